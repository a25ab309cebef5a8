/* cli_session.h - a model that answers: what `run` and `chat` have in common.
 *
 * A session keeps the tokens of the text so far. A turn appends tokens and generates more; only
 * what the KV cache does not hold yet is computed. */
#ifndef RUSK_CLI_SESSION_H
#define RUSK_CLI_SESSION_H

#include "cli_model.h"

typedef struct cli_session_options {
    const char *model; /* -m; else the first positional argument */
    const char *system;
    const char *activations;
    cli_weights_options weights;
    int64_t n_predict; /* -1: until the model ends */
    uint32_t n_ctx, n_threads, top_k, repeat_last_n;
    double temperature, top_p, min_p, repeat_penalty;
    int64_t seed; /* -1: another one each time */
    bool timings;
} cli_session_options;

extern const char *const CLI_ACTIVATIONS[];
rusk_activations cli_activations(const char *name);

void cli_session_options_default(cli_session_options *options);

/* Rows of an option table; o is a cli_session_options. */
#define CLI_MODEL_OPTION(o)                                                                        \
    {                                                                                              \
        "-m --model", "MODEL", "the model, instead of the first argument", CLI_TEXT, &(o), 0, 0,   \
            NULL                                                                                   \
    }
#define CLI_THREADS_OPTION(n)                                                                      \
    {                                                                                              \
        "-t --threads", "N", "threads (default: the CPUs this process may use)", CLI_UINT, &(n),   \
            1, CLI_THREADS_MAX, NULL                                                               \
    }
#define CLI_ACTIVATIONS_OPTION(o)                                                                  \
    {                                                                                              \
        "--activations", "KIND", "int8 (default) or f32: inputs of quantized matrices",            \
            CLI_CHOICE, &(o), 0, 0, CLI_ACTIVATIONS                                                \
    }
/* clang-format off */
#define CLI_SESSION_OPTIONS(o)                                                                     \
    {"-n --n-predict --predict", "N", "most tokens to generate (default -1: until the end)",       \
     CLI_INT, &(o).n_predict, -1, INT32_MAX, NULL},                                                \
    {"-c --ctx-size", "N", "context in tokens (default 0: the model's, at most 4096)", CLI_UINT,   \
     &(o).n_ctx, 0, INT32_MAX, NULL},                                                              \
    CLI_THREADS_OPTION((o).n_threads),                                                             \
    {"--temp --temperature", "T", "temperature (default 0.8; 0: always the likeliest token)",      \
     CLI_REAL, &(o).temperature, 0, 1000, NULL},                                                   \
    {"--top-k", "N", "keep the N likeliest tokens (default 40; 0: off)", CLI_UINT, &(o).top_k, 0,  \
     INT32_MAX, NULL},                                                                             \
    {"--top-p", "P", "keep the likeliest tokens of total probability P\n(default 0.95; 1: off)",   \
     CLI_REAL, &(o).top_p, 0, 1, NULL},                                                            \
    {"--min-p", "P", "drop tokens below P x the likeliest (default 0.05; 0: off)", CLI_REAL,       \
     &(o).min_p, 0, 1, NULL},                                                                      \
    {"--repeat-penalty", "X", "divide the logits of recent tokens by X (default 1: off)",          \
     CLI_REAL, &(o).repeat_penalty, CLI_ABOVE_ZERO, 1000, NULL},                                   \
    {"--repeat-last-n", "N", "tokens that count as recent (default 64)", CLI_UINT,                 \
     &(o).repeat_last_n, 0, INT32_MAX, NULL},                                                      \
    {"-s --seed", "N", "seed of the choices (default -1: another one each time)", CLI_INT,         \
     &(o).seed, -1, CLI_NO_LIMIT, NULL},                                                           \
    CLI_WEIGHTS_OPTIONS((o).weights),                                                              \
    CLI_ACTIVATIONS_OPTION((o).activations),                                                       \
    {"-v --verbose --timings", NULL, "speed and memory at the end, on stderr", CLI_FLAG,           \
     &(o).timings, 0, 0, NULL}
/* clang-format on */

typedef struct cli_session {
    rusk_model *model;
    rusk_context *ctx;
    rusk_sampler *sampler;
    rusk_model_info info;
    uint32_t n_ctx;
    int32_t *tokens; /* n_ctx + 1: the text so far; the cache holds its first rusk_kv_length */
    uint32_t n_tokens, n_batch;
    rusk_batch_item *items; /* n_batch */
    uint64_t seed;
    double load_seconds;
    bool in_line; /* what was written last does not end in a newline */
    bool quiet;   /* the text goes to `answer` alone, not to stdout */
} cli_session;

/* CLI_OK, or the exit status after a message. */
int cli_session_open(cli_session *session, const char *path, const cli_session_options *options);
void cli_session_close(cli_session *session);

typedef struct cli_text {
    char *data;
    size_t len_bytes, cap_bytes;
} cli_text;

void cli_text_clear(cli_text *text);

/* The messages in the model's chat format. CLI_OK or CLI_FAILURE. */
int cli_session_format(const cli_session *session, const rusk_chat_message *messages, size_t n,
                       bool add_assistant, cli_text *out);

/* Replaces the session's tokens behind `keep` by those of a text, control tokens understood; at
 * the very beginning BOS where the model asks for it. What the cache holds of it is used again.
 * CLI_FAILURE where the text does not fit the context: the message names both numbers, the session
 * is as before. */
int cli_session_append(cli_session *session, uint32_t keep, const char *text, size_t len_bytes);

typedef enum cli_stop {
    CLI_STOP_END,         /* the model ended */
    CLI_STOP_COUNT,       /* n_predict reached */
    CLI_STOP_CONTEXT,     /* no room left in the context */
    CLI_STOP_INTERRUPTED, /* a signal came */
    CLI_STOP_FAILED       /* told already; *status is the exit status */
} cli_stop;

/* Generates from the session's tokens, which gain what is generated, and streams it to stdout
 * unless the session is quiet. `answer`, where not NULL, receives the text too. */
cli_stop cli_session_generate(cli_session *session, int64_t n_predict, cli_text *answer,
                              int *status);

/* Lines of --timings. */
void cli_session_print_timings(const cli_session *session);

#endif
