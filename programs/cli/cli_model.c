#include "cli_model.h"

#include <string.h>

enum { CODECS_MAX = 30 };

const char *const *cli_weights_codecs(void) {
    static const char *names[CODECS_MAX + 1];
    size_t n = 0;
    while (n < CODECS_MAX && rusk_codec_name(n) != NULL) {
        names[n] = rusk_codec_name(n);
        n++;
    }
    names[n] = NULL;
    return names;
}

const char *cli_weights_help(void) {
    static char text[512];
    const char *const *names = cli_weights_codecs();
    size_t len =
        (size_t)snprintf(text, sizeof text, "form of a .rusk model's weights in memory:\n");
    for (size_t i = 0; names[i] != NULL && len < sizeof text; i++) {
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    if (len < sizeof text) {
        (void)snprintf(text + len, sizeof text - len,
                       "; raw: decoded once, fastest\n(default: as in the file, decoded where "
                       "memory allows)");
    }
    return text;
}

/* The library takes the budget as a wish; a user who states one wants it kept. */
static int check_memory(const rusk_model *model, const cli_weights_options *weights) {
    rusk_model_info info;
    char least[32], found[32];
    rusk_model_get_info(model, &info);
    if (weights->memory_bytes == 0 || info.weights_bytes <= weights->memory_bytes) {
        return CLI_OK;
    }
    cli_message("--weights-memory: expected at least %s (%llu bytes), which the weights take%s%s, "
                "found %s",
                cli_bytes_text(info.weights_bytes, least), (unsigned long long)info.weights_bytes,
                info.weights_codec[0] != '\0' ? " as " : "", info.weights_codec,
                cli_bytes_text(weights->memory_bytes, found));
    return CLI_FAILURE;
}

int cli_model_open(rusk_model **model, const char *path, const cli_weights_options *weights,
                   uint32_t n_threads) {
    rusk_error err = {0};
    rusk_model_options options;
    rusk_model_options_default(&options);
    options.n_threads = n_threads;
    options.codec = weights->codec;
    options.weights_bytes = weights->memory_bytes;
    if (rusk_model_open(model, path, &options, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    int status = check_memory(*model, weights);
    if (status != CLI_OK) {
        rusk_model_close(*model);
        *model = NULL;
    }
    return status;
}

const char *cli_weights_text(const rusk_model_info *info, char buf[160]) {
    char text[32], coded[32];
    (void)snprintf(coded, sizeof coded, "coded (%.20s)", info->weights_codec);
    const struct {
        uint64_t bytes;
        const char *what;
    } parts[] = {{info->weights_hot_bytes, "decoded"},
                 {info->weights_warm_bytes, coded},
                 {info->weights_stored_bytes, "as stored"},
                 {info->weights_vector_bytes, "vectors"}};
    int len = snprintf(buf, 160, "%s", cli_bytes_text(info->weights_bytes, text));
    const char *separator = ": ";
    for (size_t i = 0; i < CLI_COUNT(parts); i++) {
        if (parts[i].bytes > 0) {
            len += snprintf(buf + len, 160 - (size_t)len, "%s%s %s", separator,
                            cli_bytes_text(parts[i].bytes, text), parts[i].what);
            separator = ", ";
        }
    }
    return buf;
}

json_t *cli_weights_json(const rusk_model_info *info) {
    json_t *d = json_object();
    json_object_set_new(d, "bytes", json_integer((json_int_t)info->weights_bytes));
    json_object_set_new(d, "decoded_bytes", json_integer((json_int_t)info->weights_hot_bytes));
    json_object_set_new(d, "coded_bytes", json_integer((json_int_t)info->weights_warm_bytes));
    json_object_set_new(d, "stored_bytes", json_integer((json_int_t)info->weights_stored_bytes));
    json_object_set_new(d, "vector_bytes", json_integer((json_int_t)info->weights_vector_bytes));
    json_object_set_new(d, "codec", cli_json_text(info->weights_codec));
    return d;
}
