#include "cli_profile.h"

static const struct {
    const char *key, *text;
    bool product;
} STAGES[RUSK_STAGES] = {
#define X(name, key, text, product) {key, text, product},
    RUSK_STAGE_LIST(X)
#undef X
};

double cli_profile_seconds(const rusk_profile *profile) {
    double sum = 0;
    for (size_t i = 0; i < RUSK_STAGES; i++) {
        sum += profile->seconds[i];
    }
    return sum;
}

static double outside_seconds(const rusk_profile *profile) {
    double sum = 0;
    for (size_t i = 0; i < RUSK_STAGES; i++) {
        sum += STAGES[i].product ? 0 : profile->seconds[i];
    }
    return sum;
}

static double share(const rusk_profile *profile, double seconds) {
    const double all = cli_profile_seconds(profile);
    return all > 0 ? seconds / all : 0;
}

static double per_pass(const rusk_profile *profile, double seconds) {
    return profile->n_passes > 0 ? seconds / (double)profile->n_passes : 0;
}

static void print_row(const char *text, const cli_profile *prefill, double prefill_seconds,
                      const cli_profile *decode, double decode_seconds) {
    const rusk_profile *p = &prefill->stages, *d = &decode->stages;
    printf("%-28s %10.3f %7.2f %10.4f %7.2f\n", text, 1e3 * per_pass(p, prefill_seconds),
           100 * share(p, prefill_seconds), 1e3 * per_pass(d, decode_seconds),
           100 * share(d, decode_seconds));
}

void cli_profile_print(const cli_profile *prefill, const cli_profile *decode) {
    const rusk_profile *p = &prefill->stages, *d = &decode->stages;
    printf("\n%-28s %10s %7s %10s %7s\n", "stage (of the calling thread)", "prefill ms", "%",
           "decode ms", "%");
    for (size_t i = 0; i < RUSK_STAGES; i++) {
        print_row(STAGES[i].text, prefill, p->seconds[i], decode, d->seconds[i]);
    }
    print_row("a pass", prefill, cli_profile_seconds(p), decode, cli_profile_seconds(d));
    print_row("outside the products", prefill, outside_seconds(p), decode, outside_seconds(d));
    print_row("sampling, after a pass", prefill, prefill->sampling_seconds, decode,
              decode->sampling_seconds);
}

json_t *cli_profile_json(const cli_profile *profile) {
    const rusk_profile *p = &profile->stages;
    json_t *d = json_object(), *stages = json_array();
    json_object_set_new(d, "passes", json_integer((json_int_t)p->n_passes));
    json_object_set_new(d, "tokens", json_integer((json_int_t)p->n_tokens));
    json_object_set_new(d, "seconds", cli_json_real(cli_profile_seconds(p)));
    json_object_set_new(d, "outside_share", cli_json_real(share(p, outside_seconds(p))));
    json_object_set_new(d, "sampling_seconds", cli_json_real(profile->sampling_seconds));
    json_object_set_new(d, "stages", stages);
    for (size_t i = 0; i < RUSK_STAGES; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "stage", cli_json_text(STAGES[i].key));
        json_object_set_new(entry, "product", json_boolean(STAGES[i].product));
        json_object_set_new(entry, "seconds", cli_json_real(p->seconds[i]));
        json_object_set_new(entry, "share", cli_json_real(share(p, p->seconds[i])));
        json_array_append_new(stages, entry);
    }
    return d;
}
