/* cmd_tokenize.c - rusk tokenize: a text as the model sees it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char ABOUT[] =
    "Prints the tokens of a text, an id and its text a line, or the ids alone. BOS and EOS are "
    "added\n"
    "where the model asks for them. With --special, \"<|im_start|>\" in the text is the control\n"
    "token, not eleven characters.";

static const char EXAMPLES[] = "  rusk tokenize model.gguf \"Hello, world\"\n"
                               "  rusk tokenize model.rusk --text page.txt --ids\n"
                               "  rusk tokenize model.rusk --text page.txt --json | jq '.ids | "
                               "length'\n";

typedef struct tokenize_options {
    const char *model, *file, *text;
    bool ids, special, no_bos, json;
} tokenize_options;

static int parse(int argc, char **argv, tokenize_options *o) {
    const cli_option options[] = {
        {"-m --model", "MODEL", "the model, instead of the first argument", CLI_TEXT, &o->model, 0,
         0, NULL},
        {"--text -f --file", "FILE", "the text from a file (-: stdin)", CLI_TEXT, &o->file, 0, 0,
         NULL},
        {"-p --prompt", "TEXT", "the text, instead of the argument", CLI_TEXT, &o->text, 0, 0,
         NULL},
        {"--ids", NULL, "ids only, on one line", CLI_FLAG, &o->ids, 0, 0, NULL},
        {"--special", NULL, "control tokens in the text are understood", CLI_FLAG, &o->special, 0,
         0, NULL},
        {"--no-bos", NULL, "add no BOS or EOS", CLI_FLAG, &o->no_bos, 0, 0, NULL},
        {"--json", NULL, "the ids as JSON", CLI_FLAG, &o->json, 0, 0, NULL},
    };
    const cli_usage usage = {"tokenize", "MODEL [TEXT | --text FILE] [options]",
                             ABOUT,      EXAMPLES,
                             options,    CLI_COUNT(options),
                             2};
    const char *positional[2];
    size_t n, at = 0;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o->model == NULL && n > 0) {
        o->model = positional[at++];
    }
    if (o->model == NULL) {
        return cli_bad_usage("tokenize", "expected a model");
    }
    int sources = (o->text != NULL) + (o->file != NULL) + (at < n);
    if (sources > 1) {
        return cli_bad_usage("tokenize", "expected one text, found %d", sources);
    }
    if (at < n) {
        o->text = positional[at];
    }
    if (o->text == NULL && o->file == NULL) {
        if (isatty(STDIN_FILENO)) {
            return cli_bad_usage("tokenize", "expected a text, or --text FILE");
        }
        o->file = "-";
    }
    return CLI_CONTINUE;
}

static rusk_status tokenize(const rusk_model *model, const tokenize_options *o, const char *text,
                            size_t len, int32_t **ids, size_t *n, rusk_error *err) {
    uint32_t flags = (o->special ? RUSK_TOKENIZE_PARSE_SPECIAL : 0U) |
                     (o->no_bos ? 0U : RUSK_TOKENIZE_ADD_SPECIAL);
    size_t cap = len / 2 + 16;
    rusk_status status = RUSK_LIMIT;
    *ids = NULL;
    for (int attempt = 0; attempt < 2 && status == RUSK_LIMIT; attempt++) {
        free(*ids);
        *ids = malloc(cap * sizeof **ids);
        if (*ids == NULL) {
            (void)snprintf(err->message, sizeof err->message, "out of memory for %zu tokens", cap);
            return err->status = RUSK_NO_MEMORY;
        }
        status = rusk_tokenize(model, text, len, flags, *ids, cap, n, err);
        cap = *n;
    }
    return status;
}

static int print_json(const int32_t *ids, size_t n) {
    json_t *d = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_integer(ids[i]));
    }
    json_object_set_new(d, "ids", list);
    json_object_set_new(d, "n", json_integer((json_int_t)n));
    return cli_print_json(d);
}

/* A token's bytes in quotes; what is no printable ASCII or UTF-8 is escaped. */
static void print_quoted(const char *text, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t good = cli_utf8_error(text + i, len - i);
        if (c == '\n') {
            fputs("\\n", stdout);
        } else if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20 || c == 0x7F || good == 0 ||
                   (c == 0xC2 && (unsigned char)text[i + 1] < 0xA0)) {
            printf("\\x%02X", c);
            if (c == 0xC2 && good > 0) {
                printf("\\x%02X", (unsigned char)text[++i]);
            }
        } else {
            do {
                putchar(text[i++]);
            } while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80);
            continue;
        }
        i++;
    }
    fputs("\"\n", stdout);
}

static int print_tokens(const rusk_model *model, const tokenize_options *o, const int32_t *ids,
                        size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (o->ids) {
            printf("%s%d", i == 0 ? "" : " ", ids[i]);
            continue;
        }
        size_t len = 0;
        const char *text = rusk_token_text(model, ids[i], true, &len);
        printf("%8d  ", ids[i]);
        print_quoted(text != NULL ? text : "", text != NULL ? len : 0);
    }
    if (o->ids) {
        putchar('\n');
    }
    return cli_flush();
}

int cli_cmd_tokenize(int argc, char **argv) {
    tokenize_options o = {0};
    rusk_model *model;
    rusk_model_options options;
    rusk_error err = {0};
    char *text = NULL;
    size_t len = 0, n = 0;
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (o.file != NULL) {
        status = cli_read_text(o.file, &text, &len);
        if (status != CLI_OK) {
            return status;
        }
    } else {
        len = strlen(o.text);
    }
    rusk_model_options_default(&options);
    options.vocab_only = true;
    if (rusk_model_open(&model, o.model, &options, &err) != RUSK_OK) {
        free(text);
        return cli_failed(&err);
    }
    int32_t *ids;
    if (tokenize(model, &o, text != NULL ? text : o.text, len, &ids, &n, &err) != RUSK_OK) {
        status = cli_failed(&err);
    } else {
        status = o.json ? print_json(ids, n) : print_tokens(model, &o, ids, n);
    }
    free(ids);
    free(text);
    rusk_model_close(model);
    return status;
}
