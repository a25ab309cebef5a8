/* cmd_bench.c - rusk bench: prefill and decode speed of a model, and the rates of the codecs. */
#include <stdlib.h>

#include "cli_profile.h"
#include "cli_session.h"

enum { CODECS_CAP = 32 };

static const char ABOUT[] =
    "Measures prefill (a prompt of -p tokens) and decode (-n tokens, one at a time) of a model, "
    "the\n"
    "best of -r runs, and how fast each codec decodes weights of about --bits entropy: to memory,\n"
    "and fused with the multiplication, on one thread. --profile adds where the time of the "
    "passes\n"
    "goes, as the calling thread sees it. Times of a busy machine mean little.";

static const char EXAMPLES[] = "  rusk bench model.rusk\n"
                               "  rusk bench model.rusk -d 100 -n 32 --profile\n"
                               "  rusk bench model.gguf -t 1 -p 128 -n 32 -r 3 --json\n";

typedef struct bench_options {
    const char *model, *activations;
    cli_weights_options weights;
    uint32_t n_prefill, n_decode, n_depth, n_repeats, n_threads;
    double bits;
    bool json, profile;
} bench_options;

typedef struct bench_result {
    rusk_model_info info;
    double prefill_tok_s, decode_tok_s;
    cli_profile prefill, decode; /* --profile */
    rusk_bench_codec codecs[CODECS_CAP];
    size_t n_codecs;
} bench_result;

static int parse(int argc, char **argv, bench_options *o) {
    const cli_option options[] = {
        CLI_MODEL_OPTION(o->model),
        {"-p --n-prompt", "N", "tokens of the prompt (default 512)", CLI_UINT, &o->n_prefill, 1,
         1 << 20, NULL},
        {"-n --n-gen", "N", "tokens to decode (default 128)", CLI_UINT, &o->n_decode, 1, 1 << 20,
         NULL},
        {"-d --n-depth", "N", "tokens in the context beforehand (default 0)", CLI_UINT, &o->n_depth,
         0, 1 << 20, NULL},
        {"-r --repetitions", "N", "runs, of which the best counts (default 5)", CLI_UINT,
         &o->n_repeats, 1, 1000, NULL},
        {"-b --bits", "B", "entropy of the codecs' weights (default 4)", CLI_REAL, &o->bits, 1, 7,
         NULL},
        CLI_THREADS_OPTION(o->n_threads),
        CLI_WEIGHTS_OPTIONS(o->weights),
        CLI_ACTIVATIONS_OPTION(o->activations),
        {"--profile", NULL, "time by stage, in runs of their own", CLI_FLAG, &o->profile, 0, 0,
         NULL},
        {"--json", NULL, "the result as JSON", CLI_FLAG, &o->json, 0, 0, NULL},
    };
    const cli_usage usage = {"bench", "MODEL [options]",  ABOUT, EXAMPLES,
                             options, CLI_COUNT(options), 1};
    const char *positional[1];
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o->model == NULL && n > 0) {
        o->model = positional[0];
    } else if (n > 0) {
        return cli_bad_usage("bench", "unexpected argument '%s'", positional[0]);
    }
    return o->model == NULL ? cli_bad_usage("bench", "expected a model") : CLI_CONTINUE;
}

typedef struct bench_run {
    rusk_context *ctx;
    rusk_sampler *sampler;
    rusk_batch_item *items; /* n_batch */
    uint32_t n_batch, n_vocab;
} bench_run;

/* Feeds n tokens behind the first `depth` positions, in batches of at most n_batch; *seconds says
 * how long it took. With a profile tokens are sampled, too. */
static rusk_status feed(bench_run *b, uint32_t depth, uint32_t n, uint32_t n_batch,
                        cli_profile *profile, double *seconds, rusk_error *err) {
    uint32_t token = 12345; /* any walk over the vocabulary will do, the same each time */
    rusk_status status = rusk_kv_truncate(b->ctx, 0, (int32_t)depth, err);
    double started = cli_now();
    for (uint32_t at = 0; status == RUSK_OK && at < n; at += n_batch) {
        uint32_t now = n - at < n_batch ? n - at : n_batch;
        for (uint32_t i = 0; i < now; i++) {
            token = token * 1664525U + 1013904223U;
            b->items[i] = (rusk_batch_item){.token = (int32_t)((token >> 8) % b->n_vocab),
                                            .position = (int32_t)(depth + at + i),
                                            .wants_logits = i + 1 == now};
        }
        if (cli_interrupted() != 0) {
            return err->status = RUSK_CANCELLED;
        }
        status = rusk_decode(b->ctx, b->items, now, err);
        if (profile != NULL && status == RUSK_OK) {
            double before = cli_now();
            (void)rusk_sampler_sample(b->sampler, rusk_logits(b->ctx, now - 1));
            profile->sampling_seconds += cli_now() - before;
        }
    }
    *seconds = cli_now() - started;
    return status;
}

/* A run behind `depth` positions for its speed, and one for its profile; the best of each. */
static rusk_status measure(bench_run *b, const bench_options *o, uint32_t n, uint32_t n_batch,
                           double *tok_s, cli_profile *best, rusk_error *err) {
    double seconds;
    rusk_status status = feed(b, o->n_depth, n, n_batch, NULL, &seconds, err);
    if (status == RUSK_OK && seconds > 0 && n / seconds > *tok_s) {
        *tok_s = n / seconds;
    }
    if (status == RUSK_OK && o->profile) {
        cli_profile profile = {.sampling_seconds = 0};
        rusk_context_set_profile(b->ctx, &profile.stages);
        status = feed(b, o->n_depth, n, n_batch, &profile, &seconds, err);
        rusk_context_set_profile(b->ctx, NULL);
        if (best->stages.n_passes == 0 ||
            cli_profile_seconds(&profile.stages) < cli_profile_seconds(&best->stages)) {
            *best = profile;
        }
    }
    return status;
}

static rusk_status repeat(bench_run *b, const bench_options *o, bench_result *r, rusk_error *err) {
    double seconds;
    cli_progress progress;
    cli_progress_begin(&progress, false);
    rusk_status status = feed(b, 0, o->n_depth, b->n_batch, NULL, &seconds, err);
    for (uint32_t i = 0; i < o->n_repeats && status == RUSK_OK; i++) {
        (void)cli_progress_step(&progress, "measuring", i, o->n_repeats);
        status = measure(b, o, o->n_prefill, b->n_batch, &r->prefill_tok_s, &r->prefill, err);
        if (status == RUSK_OK) {
            status = measure(b, o, o->n_decode, 1, &r->decode_tok_s, &r->decode, err);
        }
    }
    cli_progress_end(&progress);
    return status;
}

static rusk_status run(const bench_options *o, rusk_model *model, bench_result *r,
                       rusk_error *err) {
    bench_run b = {.ctx = NULL};
    rusk_context_options options;
    rusk_model_info info;
    rusk_model_get_info(model, &info);
    rusk_context_options_default(&options);
    options.n_ctx = o->n_depth + (o->n_prefill > o->n_decode ? o->n_prefill : o->n_decode);
    options.n_threads = o->n_threads;
    options.activations = cli_activations(o->activations);
    b.n_batch = options.n_batch;
    b.n_vocab = info.n_vocab;
    rusk_status status = rusk_context_create(&b.ctx, model, &options, err);
    if (status == RUSK_OK) {
        status = rusk_sampler_create(&b.sampler, model, NULL, err);
    }
    if (status == RUSK_OK) {
        b.items = malloc(options.n_batch * sizeof *b.items);
        if (b.items == NULL) {
            (void)snprintf(err->message, sizeof err->message, "out of memory for a batch");
            status = err->status = RUSK_NO_MEMORY;
        }
    }
    if (status == RUSK_OK) {
        status = repeat(&b, o, r, err);
    }
    free(b.items);
    rusk_sampler_destroy(b.sampler);
    rusk_context_destroy(b.ctx);
    return status;
}

static int print_json(const bench_options *o, const bench_result *r) {
    json_t *d = json_object(), *codecs = json_array();
    json_object_set_new(d, "prefill_tok_s", cli_json_real(r->prefill_tok_s));
    json_object_set_new(d, "decode_tok_s", cli_json_real(r->decode_tok_s));
    json_object_set_new(d, "threads", json_integer(o->n_threads));
    json_object_set_new(d, "prefill_tokens", json_integer(o->n_prefill));
    json_object_set_new(d, "decode_tokens", json_integer(o->n_decode));
    json_object_set_new(d, "depth", json_integer(o->n_depth));
    if (o->profile) {
        json_object_set_new(d, "prefill_profile", cli_profile_json(&r->prefill));
        json_object_set_new(d, "decode_profile", cli_profile_json(&r->decode));
    }
    json_object_set_new(d, "weights", cli_weights_json(&r->info));
    json_object_set_new(d, "codecs", codecs);
    for (size_t i = 0; i < r->n_codecs; i++) {
        const rusk_bench_codec *c = &r->codecs[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "codec", cli_json_text(c->codec));
        json_object_set_new(entry, "entropy", cli_json_real(c->entropy));
        json_object_set_new(entry, "bits", cli_json_real(c->bits));
        json_object_set_new(entry, "excess", cli_json_real(c->bits / c->entropy - 1));
        json_object_set_new(entry, "decode_gweights_s", cli_json_real(c->decode_gweights_s));
        json_object_set_new(entry, "fused_gweights_s", cli_json_real(c->fused_gweights_s));
        json_array_append_new(codecs, entry);
    }
    return cli_print_json(d);
}

static int print_result(const bench_options *o, const bench_result *r) {
    char weights[160];
    printf("prefill %5u tokens  %9.1f tok/s  %u threads\n", o->n_prefill, r->prefill_tok_s,
           o->n_threads);
    printf("decode  %5u tokens  %9.1f tok/s  %u threads\n", o->n_decode, r->decode_tok_s,
           o->n_threads);
    printf("weights %s\n", cli_weights_text(&r->info, weights));
    if (o->profile) {
        cli_profile_print(&r->prefill, &r->decode);
    }
    printf("\n%-8s %8s %8s %8s %18s %18s   one thread\n", "codec", "entropy", "bits", "excess",
           "decode Gweights/s", "fused Gweights/s");
    for (size_t i = 0; i < r->n_codecs; i++) {
        const rusk_bench_codec *c = &r->codecs[i];
        printf("%-8s %8.3f %8.3f %6.2f %% %18.3f %18.3f\n", c->codec, c->entropy, c->bits,
               100 * (c->bits / c->entropy - 1), c->decode_gweights_s, c->fused_gweights_s);
    }
    return cli_flush();
}

int cli_cmd_bench(int argc, char **argv) {
    bench_options o = {.activations = CLI_ACTIVATIONS[0],
                       .n_prefill = 512,
                       .n_decode = 128,
                       .n_repeats = 5,
                       .n_threads = cli_cpu_count(),
                       .bits = 4};
    bench_result result = {0};
    rusk_model *model = NULL;
    rusk_error err = {0};
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    status = cli_model_open(&model, o.model, &o.weights, o.n_threads);
    if (status != CLI_OK) {
        return status;
    }
    rusk_model_get_info(model, &result.info);
    rusk_status measured = run(&o, model, &result, &err);
    rusk_model_close(model); /* texts of the info that come from the file go with it */
    cli_interrupt_set(CLI_INTERRUPT_EXITS);
    if (measured != RUSK_OK ||
        rusk_bench_codecs(o.bits, result.codecs, CODECS_CAP, &result.n_codecs, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    return o.json ? print_json(&o, &result) : print_result(&o, &result);
}
