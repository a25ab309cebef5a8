/* cmd_run.c - rusk run: one prompt, one answer, streamed to stdout. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_session.h"

typedef struct run_options {
    cli_session_options session;
    const char *prompt, *file;
    bool raw, json;
} run_options;

static const char ABOUT[] =
    "Answers PROMPT and writes the answer, nothing else, to stdout. The prompt is a message to\n"
    "the model in its chat format, where it has one; with --raw it is plain text that the model\n"
    "continues. Without a prompt, text from a pipe is read.";

static const char EXAMPLES[] =
    "  rusk run model.rusk \"Why is the sky blue?\"\n"
    "  rusk run model.gguf --raw --temp 0 -n 40 \"The capital of France is\"\n"
    "  rusk run model.rusk --system \"Answer in one sentence.\" -f question.txt -v\n";

static int parse(int argc, char **argv, run_options *o) {
    const cli_option options[] = {
        CLI_MODEL_OPTION(o->session.model),
        {"-p --prompt", "TEXT", "the prompt, instead of the argument", CLI_TEXT, &o->prompt, 0, 0,
         NULL},
        {"-f --file", "FILE", "the prompt from a file (-: stdin), without its last newline",
         CLI_TEXT, &o->file, 0, 0, NULL},
        {"--raw --no-conversation -no-cnv", NULL, "continue the prompt as plain text", CLI_FLAG,
         &o->raw, 0, 0, NULL},
        {"--system --system-prompt -sys", "TEXT", "what the model is told before the prompt",
         CLI_TEXT, &o->session.system, 0, 0, NULL},
        {"--json", NULL, "one JSON object at the end, with the text in it", CLI_FLAG, &o->json, 0,
         0, NULL},
        CLI_SESSION_OPTIONS(o->session),
    };
    const cli_usage usage = {"run",   "MODEL [PROMPT] [options]", ABOUT, EXAMPLES,
                             options, CLI_COUNT(options),         2};
    const char *positional[2];
    size_t n, at = 0;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o->session.model == NULL && n > 0) {
        o->session.model = positional[at++];
    }
    if (o->session.model == NULL) {
        return cli_bad_usage("run", "expected a model");
    }
    int sources = (o->prompt != NULL) + (o->file != NULL) + (at < n);
    if (sources > 1) {
        return cli_bad_usage("run", "expected one prompt, found %d (argument, -p, -f)", sources);
    }
    if (at < n) {
        o->prompt = positional[at];
    }
    if (o->prompt == NULL && o->file == NULL) {
        if (isatty(STDIN_FILENO)) {
            return cli_bad_usage("run", "expected a prompt");
        }
        o->file = "-";
    }
    if (o->raw && o->session.system != NULL) {
        return cli_bad_usage("run", "--system and --raw exclude each other");
    }
    return CLI_CONTINUE;
}

/* The prompt in memory of its own. */
static int get_prompt(const run_options *o, char **text, size_t *len) {
    if (o->file != NULL) {
        int status = cli_read_text(o->file, text, len);
        if (status == CLI_OK && (*text)[*len - 1] == '\n') {
            (*text)[--*len] = '\0';
        }
        return status;
    }
    *text = strdup(o->prompt);
    if (*text == NULL) {
        cli_message("out of memory for the prompt");
        return CLI_FAILURE;
    }
    *len = strlen(*text);
    return CLI_OK;
}

static int set_prompt(cli_session *session, const run_options *o, const char *text, size_t len) {
    if (o->raw || !session->info.has_chat_template) {
        if (o->session.system != NULL) {
            cli_message("--system: this model has no chat format");
            return CLI_FAILURE;
        }
        return cli_session_append(session, 0, text, len);
    }
    rusk_chat_message messages[2];
    size_t n = 0;
    cli_text formatted = {0};
    if (o->session.system != NULL) {
        messages[n++] = (rusk_chat_message){"system", o->session.system, strlen(o->session.system)};
    }
    messages[n++] = (rusk_chat_message){"user", text, len};
    int status = cli_session_format(session, messages, n, true, &formatted);
    if (status != CLI_OK) {
        cli_message("use --raw to give the prompt as plain text");
    } else {
        status = cli_session_append(session, 0, formatted.data, formatted.len_bytes);
    }
    cli_text_clear(&formatted);
    return status;
}

static double rate(uint64_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

static void add_timings(const cli_session *session, json_t *into) {
    rusk_stats stats;
    rusk_context_get_stats(session->ctx, &stats);
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"load_seconds", session->load_seconds},
        {"prompt_seconds", stats.prefill_seconds},
        {"decode_seconds", stats.decode_seconds},
        {"prompt_tok_s", rate(stats.n_prefill_tokens, stats.prefill_seconds)},
        {"decode_tok_s", rate(stats.n_decode_tokens, stats.decode_seconds)},
    };
    for (size_t i = 0; i < CLI_COUNT(reals); i++) {
        json_object_set_new(into, reals[i].name, cli_json_real(reals[i].value));
    }
    json_object_set_new(into, "seed", json_integer((json_int_t)session->seed));
    json_object_set_new(into, "weights", cli_weights_json(&session->info));
    json_object_set_new(into, "peak_bytes", json_integer((json_int_t)cli_peak_bytes()));
}

/* The text so far, whatever stopped it. */
static int print_json(const cli_session *session, uint32_t n_prompt, const cli_text *text,
                      cli_stop stop) {
    static const char *const STOPS[] = {[CLI_STOP_END] = "end",
                                        [CLI_STOP_COUNT] = "count",
                                        [CLI_STOP_CONTEXT] = "context",
                                        [CLI_STOP_INTERRUPTED] = "interrupted",
                                        [CLI_STOP_FAILED] = "failed"};
    json_t *d = json_object();
    json_object_set_new(d, "text",
                        json_stringn(text->data != NULL ? text->data : "", text->len_bytes));
    json_object_set_new(d, "prompt_tokens", json_integer(n_prompt));
    json_object_set_new(d, "tokens", json_integer(session->n_tokens - n_prompt));
    json_object_set_new(d, "stop", cli_json_text(STOPS[stop]));
    add_timings(session, d);
    return cli_print_json(d);
}

static int answer(cli_session *session, const run_options *o) {
    int status;
    cli_text text = {0};
    const uint32_t n_prompt = session->n_tokens;
    cli_interrupt_set(CLI_INTERRUPT_STOPS);
    session->quiet = o->json;
    cli_stop stop =
        cli_session_generate(session, o->session.n_predict, o->json ? &text : NULL, &status);
    if (o->json && status == CLI_OK) {
        status = print_json(session, n_prompt, &text, stop);
    }
    cli_text_clear(&text);
    if (status == CLI_OK && session->in_line && isatty(STDOUT_FILENO)) {
        putchar('\n');
        status = cli_flush();
    }
    if (stop == CLI_STOP_CONTEXT) {
        cli_message("stopped: the context of %u tokens is full (see -c/--ctx-size, -n)",
                    session->n_ctx);
        status = CLI_FAILURE;
    } else if (stop == CLI_STOP_INTERRUPTED) {
        status = 128 + cli_interrupted();
    }
    if (o->session.timings) {
        cli_session_print_timings(session);
    }
    return status;
}

int cli_cmd_run(int argc, char **argv) {
    run_options o = {0};
    cli_session session = {0};
    char *text = NULL;
    size_t len = 0;
    cli_session_options_default(&o.session);
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    status = get_prompt(&o, &text, &len);
    if (status == CLI_OK) {
        status = cli_check_utf8("prompt", text, len);
    }
    if (status == CLI_OK && o.session.system != NULL) {
        status = cli_check_utf8("system prompt", o.session.system, strlen(o.session.system));
    }
    if (status == CLI_OK && len == 0) {
        cli_message("the prompt is empty");
        status = CLI_FAILURE;
    }
    if (status == CLI_OK) {
        status = cli_session_open(&session, o.session.model, &o.session);
    }
    if (status == CLI_OK) {
        status = set_prompt(&session, &o, text, len);
    }
    if (status == CLI_OK) {
        status = answer(&session, &o);
    }
    free(text);
    cli_session_close(&session);
    return status;
}
