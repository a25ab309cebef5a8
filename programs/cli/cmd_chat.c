/* cmd_chat.c - rusk chat: a conversation. The history stays in the KV cache: of a new turn only its
 * own tokens are computed.
 *
 * The text of the conversation in the model's chat format grows at its end: format(messages with
 * the new one) starts with format(messages before it) + the answer. So the tokens of the answer are
 * kept as the model chose them and only the rest is tokenized. Where a format changes what stood
 * before (it trims an answer, say), the whole text is tokenized again. */
#include <stdlib.h>
#include <string.h>

#include "cli_editor.h"
#include "cli_session.h"

typedef struct chat_options {
    cli_session_options session;
    const char *history, *prompt;
} chat_options;

typedef struct conversation {
    rusk_chat_message *messages; /* contents are ours */
    size_t n, cap;
    cli_text formatted; /* what the session's tokens stand for: the format, then the answer */
} conversation;

static const char ABOUT[] =
    "Talks with a model. Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, leaves. A line ending "
    "in\n"
    "a backslash goes on. From a pipe, every line is a message. /clear begins anew, /help lists\n"
    "the commands.";

static const char EXAMPLES[] =
    "  rusk chat model.rusk\n"
    "  rusk chat model.rusk --system \"You are a pirate.\" --temp 1.0 --seed 7\n"
    "  printf 'Name a fruit.\\nAnother one.\\n' | rusk chat model.gguf -n 50\n";

static const char COMMANDS_HELP[] = "/clear  forget the conversation\n"
                                    "/exit   leave (also Ctrl-D)\n"
                                    "/help   this list\n";

static int parse(int argc, char **argv, chat_options *o) {
    const cli_option options[] = {
        CLI_MODEL_OPTION(o->session.model),
        {"-p --prompt", "TEXT", "a first message, before yours", CLI_TEXT, &o->prompt, 0, 0, NULL},
        {"--system --system-prompt -sys", "TEXT", "what the model is told beforehand", CLI_TEXT,
         &o->session.system, 0, 0, NULL},
        {"--history", "FILE", "keep the lines typed in FILE (default: in memory only)", CLI_TEXT,
         &o->history, 0, 0, NULL},
        CLI_SESSION_OPTIONS(o->session),
    };
    const cli_usage usage = {"chat",  "MODEL [options]",  ABOUT, EXAMPLES,
                             options, CLI_COUNT(options), 1};
    const char *positional[1];
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o->session.model != NULL && n > 0) {
        return cli_bad_usage("chat", "unexpected argument '%s'", positional[0]);
    }
    if (n > 0) {
        o->session.model = positional[0];
    }
    return o->session.model == NULL ? cli_bad_usage("chat", "expected a model") : CLI_CONTINUE;
}

static bool add_message(conversation *c, const char *role, const char *text, size_t len) {
    if (c->n == c->cap) {
        size_t cap = 2 * c->cap + 8;
        rusk_chat_message *larger = realloc(c->messages, cap * sizeof *larger);
        if (larger == NULL) {
            cli_message("out of memory for the conversation");
            return false;
        }
        c->messages = larger;
        c->cap = cap;
    }
    char *copy = malloc(len + 1);
    if (copy == NULL) {
        cli_message("out of memory for a message of %zu bytes", len);
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    c->messages[c->n++] = (rusk_chat_message){role, copy, len};
    return true;
}

static void drop_messages(conversation *c, size_t keep) {
    while (c->n > keep) {
        free((char *)c->messages[--c->n].content);
    }
}

static bool begin(conversation *c, cli_session *session, const char *system) {
    drop_messages(c, 0);
    c->formatted.len_bytes = 0;
    session->n_tokens = 0;
    return system == NULL || add_message(c, "system", system, strlen(system));
}

/* Feeds the conversation, whose last message is new, to the session. */
static int feed(conversation *c, cli_session *session) {
    cli_text now = {0};
    const cli_text *before = &c->formatted;
    int status = cli_session_format(session, c->messages, c->n, true, &now);
    if (status == CLI_OK) {
        bool grows = before->len_bytes > 0 && now.len_bytes >= before->len_bytes &&
                     memcmp(now.data, before->data, before->len_bytes) == 0;
        size_t from = grows ? before->len_bytes : 0;
        status = cli_session_append(session, grows ? session->n_tokens : 0, now.data + from,
                                    now.len_bytes - from);
    }
    if (status != CLI_OK) {
        cli_text_clear(&now);
        return status;
    }
    cli_text_clear(&c->formatted);
    c->formatted = now;
    return CLI_OK;
}

/* One turn. The exit status of a failure that ends the program; else CLI_OK. *complete says whether
 * the answer is whole. */
static int turn(conversation *c, cli_session *session, const chat_options *o, const char *text,
                size_t len, bool *complete) {
    int status;
    size_t n_before = c->n;
    *complete = false;
    if (cli_check_utf8("message", text, len) != CLI_OK) {
        return CLI_OK;
    }
    if (!add_message(c, "user", text, len)) {
        return CLI_FAILURE;
    }
    if (feed(c, session) != CLI_OK) {
        drop_messages(c, n_before); /* the conversation is as before: a shorter message may do */
        return CLI_OK;
    }
    size_t start = c->formatted.len_bytes;
    cli_stop stop = cli_session_generate(session, o->session.n_predict, &c->formatted, &status);
    if (status != CLI_OK) {
        return status;
    }
    putchar('\n');
    if (stop == CLI_STOP_CONTEXT) {
        (void)cli_flush();
        cli_message("stopped: the context of %u tokens is full; /clear begins anew",
                    session->n_ctx);
    }
    *complete = stop == CLI_STOP_END || stop == CLI_STOP_COUNT;
    if (!add_message(c, "assistant",
                     c->formatted.len_bytes > start ? c->formatted.data + start : "",
                     c->formatted.len_bytes - start)) {
        return CLI_FAILURE;
    }
    return cli_flush();
}

/* What is left when Ctrl-C came twice with nothing typed in between. */
static bool leaves(unsigned *n_interrupts) {
    if (++*n_interrupts >= 2) {
        return true;
    }
    fputs("(Ctrl-C again or Ctrl-D leaves)\n", stderr);
    return false;
}

typedef enum outcome { HANDLED, LEAVE, MESSAGE } outcome;

static outcome command(conversation *c, cli_session *session, const chat_options *o,
                       const char *line) {
    if (line[0] == '\0') {
        return HANDLED;
    }
    if (strcmp(line, "/exit") == 0 || strcmp(line, "/quit") == 0 || strcmp(line, "/bye") == 0) {
        return LEAVE;
    }
    if (strcmp(line, "/clear") == 0) {
        return begin(c, session, o->session.system) ? HANDLED : LEAVE;
    }
    if (strcmp(line, "/help") == 0 || strcmp(line, "/?") == 0) {
        fputs(COMMANDS_HELP, stderr);
        return HANDLED;
    }
    return MESSAGE;
}

static int talk(conversation *c, cli_session *session, const chat_options *o, cli_editor *editor) {
    bool interactive = cli_editor_is_interactive(editor), complete = true, all_complete = true;
    unsigned n_interrupts = 0;
    int status = CLI_OK;
    if (o->prompt != NULL) {
        status = turn(c, session, o, o->prompt, strlen(o->prompt), &complete);
        all_complete = complete;
    }
    while (status == CLI_OK) {
        const char *text;
        size_t len;
        if (cli_interrupted() != 0) {
            if (!interactive || cli_interrupted() != SIGINT) {
                return 128 + cli_interrupted();
            }
            n_interrupts = 1;
            cli_interrupt_clear();
        }
        cli_line line = cli_editor_read(editor, &text, &len);
        if (line == CLI_LINE_FAILED) {
            return CLI_FAILURE;
        }
        if (line == CLI_LINE_INTERRUPT) {
            if (cli_interrupted() != 0) {
                return 128 + cli_interrupted();
            }
            if (leaves(&n_interrupts)) {
                return 128 + SIGINT;
            }
            continue;
        }
        outcome next = line == CLI_LINE_END ? LEAVE : command(c, session, o, text);
        if (next == LEAVE) {
            break;
        }
        n_interrupts = 0;
        if (next == MESSAGE) {
            status = turn(c, session, o, text, len, &complete);
            all_complete = all_complete && complete;
        }
    }
    /* A person has seen what went wrong; a script learns it from the status. */
    return status == CLI_OK && !interactive && !all_complete ? CLI_FAILURE : status;
}

static int converse(cli_session *session, const chat_options *o) {
    conversation c = {0};
    int status = CLI_FAILURE;
    cli_editor *editor = cli_editor_open(o->history);
    if (editor != NULL) {
        if (cli_editor_is_interactive(editor)) {
            fprintf(stderr, "%s. /help lists commands, Ctrl-D leaves.\n",
                    session->info.name[0] != '\0' ? session->info.name : "Ready");
        }
        cli_interrupt_set(CLI_INTERRUPT_IS_NOTED);
        status = begin(&c, session, o->session.system) ? talk(&c, session, o, editor) : CLI_FAILURE;
    }
    cli_editor_close(editor);
    drop_messages(&c, 0);
    free(c.messages);
    cli_text_clear(&c.formatted);
    return status;
}

int cli_cmd_chat(int argc, char **argv) {
    chat_options o = {0};
    cli_session session = {0};
    cli_session_options_default(&o.session);
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o.session.system != NULL) {
        status = cli_check_utf8("system prompt", o.session.system, strlen(o.session.system));
        if (status != CLI_OK) {
            return status;
        }
    }
    status = cli_session_open(&session, o.session.model, &o.session);
    if (status == CLI_OK && !session.info.has_chat_template) {
        cli_message("'%s' has no chat format; see rusk run --raw", o.session.model);
        status = CLI_FAILURE;
    }
    if (status == CLI_OK) {
        status = converse(&session, &o);
        if (o.session.timings) {
            cli_session_print_timings(&session);
        }
    }
    cli_session_close(&session);
    return status;
}
