/* cli_model.h - opening a model to run: how its weights are held in memory. */
#ifndef RUSK_CLI_MODEL_H
#define RUSK_CLI_MODEL_H

#include "cli.h"

typedef struct cli_weights_options {
    const char *codec;     /* --codec; NULL: as in the file */
    uint64_t memory_bytes; /* --weights-memory; 0: the library's default */
} cli_weights_options;

/* Names that --codec takes, NULL-terminated, and its help. */
const char *const *cli_weights_codecs(void);
const char *cli_weights_help(void);

/* Rows of an option table; w is a cli_weights_options. */
/* clang-format off */
#define CLI_WEIGHTS_OPTIONS(w)                                                                     \
    {"--codec", "NAME", cli_weights_help(), CLI_CHOICE, &(w).codec, 0, 0, cli_weights_codecs()},   \
    {"--weights-memory", "SIZE", "memory for weights: as many as fit are held decoded\n"           \
     "(default: 1.3 x the file + 64 MB; --codec raw: all; with others: none)",                     \
     CLI_BYTES, &(w).memory_bytes, 0, 0, NULL}
/* clang-format on */

/* CLI_OK, or the exit status after a message: also where the weights do not fit memory_bytes. */
int cli_model_open(rusk_model **model, const char *path, const cli_weights_options *weights,
                   uint32_t n_threads);

/* "71.2 MB: 71.1 MB coded (rans), 121 kB vectors": where a model's weights live. */
const char *cli_weights_text(const rusk_model_info *info, char buf[160]);
json_t *cli_weights_json(const rusk_model_info *info);

#endif
