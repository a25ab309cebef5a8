/* cmd_eval.c - rusk eval: perplexity of a text, and KL divergence from a reference model. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_session.h"

static const char ABOUT[] =
    "Cuts a text into chunks and scores the second half of each, as llama.cpp's perplexity tool\n"
    "does, so that the figures can stand beside each other. With --reference the mean KL "
    "divergence\n"
    "(nats) of the reference's next-token distribution from the model's, and how often both have\n"
    "the same likeliest token. Errors are standard errors of the mean.\n"
    "--reference-activations f32 without --reference compares the model with itself: what int8\n"
    "activations cost.";

static const char EXAMPLES[] =
    "  rusk eval model.rusk --text wiki.test.raw --chunks 20\n"
    "  rusk eval model.rusk --text wiki.test.raw --reference model.gguf --json\n"
    "  rusk eval model.rusk --text wiki.test.raw --reference-activations f32\n"
    "  tail -c +647836 wiki.test.raw | rusk eval model.gguf --text - --chunks 20\n";

typedef struct eval_options {
    const char *model, *text, *reference, *activations, *reference_activations;
    cli_weights_options weights;
    uint32_t n_chunks, chunk_tokens, n_threads;
    bool json;
} eval_options;

/* The perplexity after each chunk, and the line that shows it at a terminal. */
typedef struct chunk_log {
    double *values;
    size_t n, cap;
    bool failed;
} chunk_log;

typedef struct eval_user {
    cli_progress progress;
    chunk_log log;
} eval_user;

static int parse(int argc, char **argv, eval_options *o) {
    const cli_option options[] = {
        CLI_MODEL_OPTION(o->model),
        {"--text -f --file", "FILE", "the text (-: stdin)", CLI_TEXT, &o->text, 0, 0, NULL},
        {"--reference", "MODEL", "the model to compare with, of the same vocabulary", CLI_TEXT,
         &o->reference, 0, 0, NULL},
        {"--chunks", "N", "chunks to score (default 0: all whole ones)", CLI_UINT, &o->n_chunks, 0,
         INT32_MAX, NULL},
        {"-c --chunk-size --ctx-size", "N", "tokens of a chunk (default 512)", CLI_UINT,
         &o->chunk_tokens, 4, 1 << 20, NULL},
        CLI_THREADS_OPTION(o->n_threads),
        CLI_WEIGHTS_OPTIONS(o->weights),
        CLI_ACTIVATIONS_OPTION(o->activations),
        {"--reference-activations", "KIND", "those of the reference (default: as --activations)",
         CLI_CHOICE, &o->reference_activations, 0, 0, CLI_ACTIVATIONS},
        {"--json", NULL, "the result as JSON", CLI_FLAG, &o->json, 0, 0, NULL},
    };
    const cli_usage usage = {
        "eval", "MODEL --text FILE [options]", ABOUT, EXAMPLES, options, CLI_COUNT(options), 1};
    const char *positional[1];
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o->model != NULL && n > 0) {
        return cli_bad_usage("eval", "unexpected argument '%s'", positional[0]);
    }
    if (n > 0) {
        o->model = positional[0];
    }
    if (o->model == NULL) {
        return cli_bad_usage("eval", "expected a model");
    }
    return o->text == NULL ? cli_bad_usage("eval", "expected a text (--text FILE)") : CLI_CONTINUE;
}

static bool on_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    eval_user *u = user;
    return cli_progress_step(&u->progress, stage, done, total);
}

static void on_chunk(void *user, uint32_t chunk, double perplexity) {
    eval_user *u = user;
    chunk_log *log = &u->log;
    (void)chunk;
    if (u->progress.visible) {
        /* The bar's label carries the figure so far. */
        (void)snprintf(u->progress.label, sizeof u->progress.label, "  ppl %.2f", perplexity);
    }
    if (log->n == log->cap) {
        size_t cap = 2 * log->cap + 64;
        double *larger = realloc(log->values, cap * sizeof *larger);
        if (larger == NULL) {
            log->failed = true;
            return;
        }
        log->values = larger;
        log->cap = cap;
    }
    log->values[log->n++] = perplexity;
}

static int print_json(const rusk_eval_result *r, const chunk_log *log) {
    json_t *d = json_object(), *running = json_array();
    bool ref = r->has_reference;
    json_object_set_new(d, "perplexity", cli_json_real(r->perplexity));
    json_object_set_new(d, "perplexity_se", cli_json_real(r->perplexity_se));
    json_object_set_new(d, "tokens", json_integer((json_int_t)r->n_tokens));
    json_object_set_new(d, "chunks", json_integer((json_int_t)r->n_chunks));
    for (size_t i = 0; i < log->n; i++) {
        json_array_append_new(running, cli_json_real(log->values[i]));
    }
    json_object_set_new(d, "running_perplexity", running);
    const struct {
        const char *name;
        double value;
    } compared[] = {
        {"reference_perplexity", r->ref_perplexity},
        {"reference_perplexity_se", r->ref_perplexity_se},
        {"kl_mean", r->kl_mean},
        {"kl_se", r->kl_se},
        {"kl_median", r->kl_median},
        {"kl_p90", r->kl_p90},
        {"kl_p99", r->kl_p99},
        {"kl_max", r->kl_max},
        {"same_top", r->same_top},
        {"same_top_se", r->same_top_se},
    };
    for (size_t i = 0; i < CLI_COUNT(compared); i++) {
        json_object_set_new(d, compared[i].name,
                            ref ? cli_json_real(compared[i].value) : json_null());
    }
    return cli_print_json(d);
}

static int print_result(const rusk_eval_result *r) {
    printf("perplexity  %.4f +- %.4f  (%llu tokens in %u chunks)\n", r->perplexity,
           r->perplexity_se, (unsigned long long)r->n_tokens, r->n_chunks);
    if (r->has_reference) {
        printf("reference   %.4f +- %.4f  (ratio %.4f)\n", r->ref_perplexity, r->ref_perplexity_se,
               r->perplexity / r->ref_perplexity);
        printf("KL mean     %.6f +- %.6f\n", r->kl_mean, r->kl_se);
        printf("KL median   %.6f   90 %% %.6f   99 %% %.6f   max %.6f\n", r->kl_median, r->kl_p90,
               r->kl_p99, r->kl_max);
        printf("same top    %.2f +- %.2f %%\n", 100 * r->same_top, 100 * r->same_top_se);
    }
    return cli_flush();
}

static int evaluate(const eval_options *o, rusk_model *model, rusk_model *reference,
                    const char *text, size_t len) {
    rusk_eval_options options;
    rusk_eval_result result;
    rusk_error err = {0};
    eval_user user = {0};
    rusk_eval_options_default(&options);
    options.chunk_tokens = o->chunk_tokens;
    options.n_chunks = o->n_chunks;
    options.n_threads = o->n_threads;
    options.activations = cli_activations(o->activations);
    if (o->reference_activations != NULL) {
        options.reference_activations = cli_activations(o->reference_activations);
    }
    options.progress = on_progress;
    options.on_chunk = on_chunk;
    options.user = &user;
    cli_progress_begin(&user.progress, false);
    rusk_status evaluated = rusk_eval(model, reference, text, len, &options, &result, &err);
    cli_progress_end(&user.progress);
    int status;
    if (evaluated != RUSK_OK) {
        status = cli_failed(&err);
    } else if (user.log.failed) {
        cli_message("out of memory for the values of the chunks");
        status = CLI_FAILURE;
    } else {
        status = o->json ? print_json(&result, &user.log) : print_result(&result);
    }
    free(user.log.values);
    return status;
}

int cli_cmd_eval(int argc, char **argv) {
    eval_options o = {
        .chunk_tokens = 512, .n_threads = cli_cpu_count(), .activations = CLI_ACTIVATIONS[0]};
    rusk_model *model = NULL, *reference = NULL;
    const cli_weights_options defaults = {0};
    char *text = NULL;
    size_t len = 0;
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    status = cli_read_text(o.text, &text, &len);
    if (status != CLI_OK) {
        return status;
    }
    status = cli_model_open(&model, o.model, &o.weights, o.n_threads);
    if (status == CLI_OK && o.reference != NULL) {
        status = cli_model_open(&reference, o.reference, &defaults, o.n_threads);
    }
    if (status == CLI_OK) {
        const bool with_itself = o.reference == NULL && o.reference_activations != NULL;
        status = evaluate(&o, model, with_itself ? model : reference, text, len);
    }
    rusk_model_close(reference);
    rusk_model_close(model);
    free(text);
    return status;
}
