/* cli_session.c - loading a model, feeding it tokens, streaming what it says. */
#include "cli_session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *const CLI_ACTIVATIONS[] = {"int8", "f32", NULL};

rusk_activations cli_activations(const char *name) {
    return strcmp(name, "f32") == 0 ? RUSK_ACTIVATIONS_F32 : RUSK_ACTIVATIONS_INT8;
}

void cli_session_options_default(cli_session_options *options) {
    rusk_sampler_options sampler;
    rusk_sampler_options_default(&sampler);
    *options = (cli_session_options){
        .activations = CLI_ACTIVATIONS[0],
        .n_predict = -1,
        .n_threads = cli_cpu_count(),
        .top_k = sampler.top_k,
        .repeat_last_n = sampler.repeat_last_n,
        .temperature = (double)sampler.temperature,
        .top_p = (double)sampler.top_p,
        .min_p = (double)sampler.min_p,
        .repeat_penalty = (double)sampler.repeat_penalty,
        .seed = -1,
    };
}

static uint64_t choose_seed(int64_t wanted) {
    uint32_t random = 0;
    if (wanted >= 0) {
        return (uint64_t)wanted;
    }
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint32_t)(cli_now() * 1e6);
    }
    return random;
}

static rusk_status create_sampler(cli_session *session, const cli_session_options *options,
                                  rusk_error *err) {
    rusk_sampler_options sampler;
    rusk_sampler_options_default(&sampler);
    sampler.seed = session->seed;
    sampler.temperature = (float)options->temperature;
    sampler.top_k = options->top_k;
    sampler.top_p = (float)options->top_p;
    sampler.min_p = (float)options->min_p;
    sampler.repeat_penalty = (float)options->repeat_penalty;
    sampler.repeat_last_n = options->repeat_last_n;
    return rusk_sampler_create(&session->sampler, session->model, &sampler, err);
}

int cli_session_open(cli_session *session, const char *path, const cli_session_options *options) {
    double started = cli_now();
    rusk_error err = {0};
    rusk_context_options context;
    memset(session, 0, sizeof *session);
    session->seed = choose_seed(options->seed);
    rusk_context_options_default(&context);
    context.n_ctx = options->n_ctx;
    context.n_threads = options->n_threads;
    context.activations = cli_activations(options->activations);
    int opened = cli_model_open(&session->model, path, &options->weights, options->n_threads);
    if (opened != CLI_OK) {
        return opened;
    }
    if (rusk_context_create(&session->ctx, session->model, &context, &err) != RUSK_OK ||
        create_sampler(session, options, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    rusk_model_get_info(session->model, &session->info);
    session->n_ctx = rusk_context_size(session->ctx);
    session->n_batch = context.n_batch;
    session->tokens = malloc(((size_t)session->n_ctx + 1) * sizeof *session->tokens);
    session->items = malloc(session->n_batch * sizeof *session->items);
    if (session->tokens == NULL || session->items == NULL) {
        cli_message("out of memory for a context of %u tokens", session->n_ctx);
        return CLI_FAILURE;
    }
    session->load_seconds = cli_now() - started;
    return CLI_OK;
}

void cli_session_close(cli_session *session) {
    rusk_sampler_destroy(session->sampler);
    rusk_context_destroy(session->ctx);
    rusk_model_close(session->model);
    free(session->tokens);
    free(session->items);
    memset(session, 0, sizeof *session);
}

void cli_text_clear(cli_text *text) {
    free(text->data);
    *text = (cli_text){0};
}

static bool text_reserve(cli_text *text, size_t more_bytes) {
    size_t needed = text->len_bytes + more_bytes;
    if (needed > text->cap_bytes) {
        size_t cap = needed + needed / 2 + 256;
        char *data = realloc(text->data, cap);
        if (data == NULL) {
            cli_message("out of memory for a text of %zu bytes", needed);
            return false;
        }
        text->data = data;
        text->cap_bytes = cap;
    }
    return true;
}

int cli_session_format(const cli_session *session, const rusk_chat_message *messages, size_t n,
                       bool add_assistant, cli_text *out) {
    rusk_error err = {0};
    out->len_bytes = 0;
    size_t needed = 0;
    rusk_status status = rusk_chat_format(session->model, messages, n, add_assistant, out->data,
                                          out->cap_bytes, &needed, &err);
    if (status == RUSK_LIMIT) {
        if (!text_reserve(out, needed)) {
            return CLI_FAILURE;
        }
        status = rusk_chat_format(session->model, messages, n, add_assistant, out->data,
                                  out->cap_bytes, &needed, &err);
    }
    if (status != RUSK_OK) {
        return cli_failed(&err);
    }
    out->len_bytes = needed;
    return CLI_OK;
}

/* Token ids of a text in fresh memory. A chat format that writes BOS itself must not get two. */
static int tokenize(const cli_session *session, const char *text, size_t len_bytes, bool first,
                    int32_t **ids, size_t *n) {
    rusk_error err = {0};
    uint32_t flags = RUSK_TOKENIZE_PARSE_SPECIAL | (first ? RUSK_TOKENIZE_ADD_SPECIAL : 0U);
    size_t cap = len_bytes + 8; /* a token is at least a byte; a second try handles the rest */
    *ids = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        free(*ids);
        *ids = malloc(cap * sizeof **ids);
        if (*ids == NULL) {
            cli_message("out of memory for %zu tokens", cap);
            return CLI_FAILURE;
        }
        rusk_status status =
            rusk_tokenize(session->model, text, len_bytes, flags, *ids, cap, n, &err);
        if (status == RUSK_OK) {
            int32_t bos = rusk_token_bos(session->model);
            if (first && *n >= 2 && bos != RUSK_TOKEN_NONE && (*ids)[0] == bos &&
                (*ids)[1] == bos) {
                (*n)--;
                memmove(*ids, *ids + 1, *n * sizeof **ids);
            }
            return CLI_OK;
        }
        if (status != RUSK_LIMIT) {
            break;
        }
        cap = *n;
    }
    free(*ids);
    *ids = NULL;
    (void)cli_failed(&err);
    return CLI_FAILURE;
}

int cli_session_append(cli_session *session, uint32_t keep, const char *text, size_t len_bytes) {
    int32_t *ids;
    size_t n;
    rusk_error err = {0};
    int status = tokenize(session, text, len_bytes, keep == 0, &ids, &n);
    if (status != CLI_OK) {
        return status;
    }
    if (keep > session->n_ctx || n > session->n_ctx - keep) {
        cli_message("the prompt is too long: expected at most %u tokens (context), found %zu; "
                    "see -c/--ctx-size",
                    session->n_ctx, keep + n);
        free(ids);
        return CLI_FAILURE;
    }
    if (keep + n == 0) {
        cli_message("the prompt is empty");
        free(ids);
        return CLI_FAILURE;
    }
    uint32_t held = rusk_kv_length(session->ctx, 0), same = keep < held ? keep : held;
    for (uint32_t i = 0;
         same == keep + i && same < held && i < n && session->tokens[same] == ids[i]; i++) {
        same++;
    }
    memcpy(session->tokens + keep, ids, n * sizeof *ids);
    session->n_tokens = keep + (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        rusk_sampler_accept(session->sampler, ids[i]);
    }
    free(ids);
    /* The last token is computed in any case: its logits choose the next one. */
    same = same < session->n_tokens ? same : session->n_tokens - 1;
    if (same < held && rusk_kv_truncate(session->ctx, 0, (int32_t)same, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    return CLI_OK;
}

/* Computes what the cache lacks, logits for the last token. False: *stop says why not. */
static bool catch_up(cli_session *session, size_t *logits_index, cli_stop *stop, int *status) {
    rusk_error err = {0};
    rusk_batch_item *items = session->items;
    uint32_t at = rusk_kv_length(session->ctx, 0), cap = session->n_batch;
    *stop = CLI_STOP_FAILED;
    while (at < session->n_tokens) {
        uint32_t n = session->n_tokens - at < cap ? session->n_tokens - at : cap;
        if (cli_interrupted() != 0) {
            *stop = CLI_STOP_INTERRUPTED;
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            items[i] = (rusk_batch_item){.token = session->tokens[at + i],
                                         .position = (int32_t)(at + i),
                                         .wants_logits = at + i + 1 == session->n_tokens};
        }
        if (rusk_decode(session->ctx, items, n, &err) != RUSK_OK) {
            *status = cli_failed(&err);
            break;
        }
        *logits_index = n - 1;
        at += n;
    }
    return at == session->n_tokens;
}

static bool emit(cli_session *session, cli_text *answer, const char *text, size_t len_bytes,
                 int *status) {
    if (len_bytes > 0 && !session->quiet) {
        (void)fwrite(text, 1, len_bytes, stdout);
        session->in_line = text[len_bytes - 1] != '\n';
    }
    *status = cli_flush();
    if (*status != CLI_OK) {
        return false;
    }
    if (answer != NULL && text != NULL && len_bytes > 0) {
        if (!text_reserve(answer, len_bytes)) {
            *status = CLI_FAILURE;
            return false;
        }
        memcpy(answer->data + answer->len_bytes, text, len_bytes);
        answer->len_bytes += len_bytes;
    }
    return true;
}

/* Writes what token `id` completes. */
static bool emit_token(cli_session *session, rusk_detokenizer *detokenizer, int32_t id,
                       cli_text *buffer, cli_text *answer, int *status) {
    size_t len = 0;
    rusk_error err = {0};
    (void)rusk_token_text(session->model, id, false, &len);
    buffer->len_bytes = 0;
    if (!text_reserve(buffer, 3 * len + 3)) {
        *status = CLI_FAILURE;
        return false;
    }
    if (rusk_detokenizer_push(detokenizer, session->model, id, buffer->data, buffer->cap_bytes,
                              &len, &err) != RUSK_OK) {
        *status = cli_failed(&err);
        return false;
    }
    return emit(session, answer, buffer->data, len, status);
}

cli_stop cli_session_generate(cli_session *session, int64_t n_predict, cli_text *answer,
                              int *status) {
    rusk_detokenizer detokenizer;
    char rest[RUSK_DETOKENIZER_CAP];
    cli_text buffer = {0};
    cli_stop stop = CLI_STOP_COUNT;
    size_t index = 0;
    *status = CLI_OK;
    rusk_detokenizer_init(&detokenizer);
    for (int64_t n = 0; n_predict < 0 || n < n_predict; n++) {
        if (!catch_up(session, &index, &stop, status)) {
            break;
        }
        int32_t id = rusk_sampler_sample(session->sampler, rusk_logits(session->ctx, index));
        if (rusk_token_is_end(session->model, id)) {
            stop = CLI_STOP_END;
            break;
        }
        rusk_sampler_accept(session->sampler, id);
        session->tokens[session->n_tokens++] = id;
        stop = CLI_STOP_FAILED;
        if (!emit_token(session, &detokenizer, id, &buffer, answer, status)) {
            break;
        }
        stop = CLI_STOP_COUNT;
        /* The last one stands in `tokens` (which has room for it) but has no place in the cache. */
        if (session->n_tokens > session->n_ctx && n + 1 != n_predict) {
            stop = CLI_STOP_CONTEXT;
            break;
        }
    }
    if (stop != CLI_STOP_FAILED &&
        !emit(session, answer, rest, rusk_detokenizer_flush(&detokenizer, rest), status)) {
        stop = CLI_STOP_FAILED;
    }
    cli_text_clear(&buffer);
    return stop;
}

static double rate(uint64_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

void cli_session_print_timings(const cli_session *session) {
    rusk_stats stats;
    char size[32], weights[160];
    rusk_context_get_stats(session->ctx, &stats);
    fprintf(stderr, "load    %8.2f s\n", session->load_seconds);
    fprintf(stderr, "prompt  %8.2f s  %6llu tokens  %8.1f tok/s\n", stats.prefill_seconds,
            (unsigned long long)stats.n_prefill_tokens,
            rate(stats.n_prefill_tokens, stats.prefill_seconds));
    fprintf(stderr, "decode  %8.2f s  %6llu tokens  %8.1f tok/s\n", stats.decode_seconds,
            (unsigned long long)stats.n_decode_tokens,
            rate(stats.n_decode_tokens, stats.decode_seconds));
    fprintf(stderr, "seed    %8llu\n", (unsigned long long)session->seed);
    fprintf(stderr, "weights %s\n", cli_weights_text(&session->info, weights));
    fprintf(stderr, "memory  %s at most\n", cli_bytes_text(cli_peak_bytes(), size));
}
