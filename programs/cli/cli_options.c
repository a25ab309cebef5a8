/* cli_options.c - command lines from tables: a row is an option, with its names, range and target.
 *
 * "--name value", "--name=value", "-n value" and "-nvalue" are understood; "--" ends the options.
 * Names of several letters may start with one dash where a table says so. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { NAME_CAP = 48, NEAR_CAP = 32, COLUMN = 30 };

int cli_bad_usage(const char *command, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cli_message("%s: %s", command, text);
    fprintf(stderr, "Try 'rusk %s --help'.\n", command);
    return CLI_USAGE;
}

/* Levenshtein distance, for words shorter than NEAR_CAP. */
static unsigned distance(const char *a, const char *b) {
    size_t n = strlen(b);
    unsigned row[NEAR_CAP + 1];
    for (size_t j = 0; j <= n; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned skip = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = change < skip ? change : skip;
        }
    }
    return row[n];
}

const char *cli_nearest(const char *word, const char *const *candidates, size_t n) {
    size_t len = strlen(word);
    const char *best = NULL;
    unsigned least = len < 3 ? 2 : 3; /* more edits than that are another word */
    if (len >= NEAR_CAP) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (strlen(candidates[i]) < NEAR_CAP) {
            unsigned d = distance(word, candidates[i]);
            if (d < least) {
                least = d;
                best = candidates[i];
            }
        }
    }
    return best;
}

/* Copies the next name of a table's name list; NULL at its end. */
static const char *next_name(const char *names, char name[NAME_CAP]) {
    names += strspn(names, " ");
    size_t len = strcspn(names, " ");
    if (len == 0 || len >= NAME_CAP) {
        return NULL;
    }
    memcpy(name, names, len);
    name[len] = '\0';
    return names + len;
}

/* The option that `argument` names. Sets *value to what follows "=" or a short name, else NULL. */
static const cli_option *find_option(const cli_usage *usage, const char *argument,
                                     const char **value) {
    char name[NAME_CAP];
    const cli_option *attached = NULL;
    *value = NULL;
    for (size_t i = 0; i < usage->n_options; i++) {
        const cli_option *option = &usage->options[i];
        for (const char *p = next_name(option->names, name); p != NULL; p = next_name(p, name)) {
            size_t len = strlen(name);
            if (strncmp(argument, name, len) != 0) {
                continue;
            }
            if (argument[len] == '\0') {
                *value = NULL;
                return option;
            }
            if (argument[len] == '=') {
                *value = argument + len + 1;
                attached = option;
            } else if (len == 2 && name[1] != '-' && option->kind != CLI_FLAG && attached == NULL) {
                *value = argument + len;
                attached = option;
            }
        }
    }
    return attached;
}

static int unknown_option(const cli_usage *usage, const char *argument) {
    static char storage[128][NAME_CAP];
    const char *candidates[CLI_COUNT(storage)];
    size_t n = 0;
    for (size_t i = 0; i < usage->n_options; i++) {
        const char *p = usage->options[i].names;
        while (n < CLI_COUNT(storage) && (p = next_name(p, storage[n])) != NULL) {
            candidates[n] = storage[n];
            n++;
        }
    }
    char typed[NAME_CAP];
    (void)snprintf(typed, sizeof typed, "%.*s", (int)strcspn(argument, "="), argument);
    const char *near = cli_nearest(typed, candidates, n);
    if (near == NULL) {
        return cli_bad_usage(usage->command, "unknown option '%s'", argument);
    }
    return cli_bad_usage(usage->command, "unknown option '%s'; did you mean '%s'?", argument, near);
}

bool cli_parse_bytes(const char *text, uint64_t *bytes) {
    static const char UNITS[] = "KMGT";
    char *end;
    if (!((*text >= '0' && *text <= '9') || *text == '.')) {
        return false; /* no sign, blank, "inf" or "nan" */
    }
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno == ERANGE || strpbrk(text, "xXpP") != NULL) {
        return false;
    }
    end += strspn(end, " ");
    const char *unit = *end == '\0' ? NULL : strchr(UNITS, *end == 'k' ? 'K' : *end);
    if (unit != NULL) {
        bool binary = end[1] == 'i';
        for (long i = 0; i <= unit - UNITS; i++) {
            value *= binary ? 1024.0 : 1000.0;
        }
        end += binary ? 2 : 1;
    }
    if (*end == 'B') {
        end++;
    }
    if (*end != '\0' || !isfinite(value) || value < 1 || value >= 1.8e19) {
        return false;
    }
    *bytes = (uint64_t)value;
    return true;
}

static int bad_number(const cli_usage *usage, const cli_option *option, const char *name,
                      const char *text) {
    const char *what = option->kind == CLI_REAL ? "a number" : "a whole number";
    if (option->min == CLI_ABOVE_ZERO) {
        return cli_bad_usage(usage->command, "option %s: expected a number above 0, found '%s'",
                             name, text);
    }
    if (option->max >= CLI_NO_LIMIT) {
        return cli_bad_usage(usage->command, "option %s: expected %s of at least %g, found '%s'",
                             name, what, option->min, text);
    }
    return cli_bad_usage(usage->command, "option %s: expected %s from %.10g to %.10g, found '%s'",
                         name, what, option->min, option->max, text);
}

static int set_number(const cli_usage *usage, const cli_option *option, const char *name,
                      const char *text) {
    char *end = NULL;
    errno = 0;
    if (option->kind == CLI_REAL) {
        double value = strtod(text, &end);
        double least = option->min == CLI_ABOVE_ZERO ? 1e-300 : option->min;
        if (end == text || *end != '\0' || !(value >= least && value <= option->max)) {
            return bad_number(usage, option, name, text);
        }
        *(double *)option->target = value;
        return CLI_CONTINUE;
    }
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE || (double)value < option->min ||
        (double)value > option->max) {
        return bad_number(usage, option, name, text);
    }
    if (option->kind == CLI_INT) {
        *(int64_t *)option->target = value;
    } else {
        *(uint32_t *)option->target = (uint32_t)value;
    }
    return CLI_CONTINUE;
}

static int set_choice(const cli_usage *usage, const cli_option *option, const char *name,
                      const char *text) {
    char list[256] = "";
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *(const char **)option->target = option->choices[i];
            return CLI_CONTINUE;
        }
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                       option->choices[i]);
    }
    return cli_bad_usage(usage->command, "option %s: expected one of %s, found '%s'", name, list,
                         text);
}

static int set_option(const cli_usage *usage, const cli_option *option, const char *name,
                      const char *text) {
    switch (option->kind) {
    case CLI_TEXT:
        *(const char **)option->target = text;
        return CLI_CONTINUE;
    case CLI_BYTES:
        if (!cli_parse_bytes(text, option->target)) {
            return cli_bad_usage(usage->command,
                                 "option %s: expected a size such as 60M, 1.5GB or 64MiB, "
                                 "found '%s'",
                                 name, text);
        }
        return CLI_CONTINUE;
    case CLI_CHOICE:
        return set_choice(usage, option, name, text);
    default:
        return set_number(usage, option, name, text);
    }
}

static void print_option(const cli_option *option) {
    char left[128] = "", name[NAME_CAP];
    for (const char *p = next_name(option->names, name); p != NULL; p = next_name(p, name)) {
        size_t used = strlen(left);
        (void)snprintf(left + used, sizeof left - used, "%s%s", used == 0 ? "" : ", ", name);
    }
    if (option->value != NULL) {
        size_t used = strlen(left);
        (void)snprintf(left + used, sizeof left - used, " %s", option->value);
    }
    if (strlen(left) + 4 > COLUMN) {
        printf("  %s\n%*s", left, COLUMN, "");
    } else {
        printf("  %-*s", COLUMN - 2, left);
    }
    for (const char *p = option->help; *p != '\0'; p++) {
        putchar(*p);
        if (*p == '\n') {
            printf("%*s", COLUMN, "");
        }
    }
    putchar('\n');
}

static void print_help(const cli_usage *usage) {
    printf("Usage: rusk %s %s\n\n%s\n\nOptions:\n", usage->command, usage->synopsis, usage->about);
    for (size_t i = 0; i < usage->n_options; i++) {
        print_option(&usage->options[i]);
    }
    printf("  %-*sthis text\n", COLUMN - 2, "-h, --help");
    printf("\nExamples:\n%s", usage->examples);
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static int parse_option(const cli_usage *usage, int argc, char **argv, int *at) {
    const char *argument = argv[*at], *value;
    const cli_option *option = find_option(usage, argument, &value);
    if (option == NULL) {
        return unknown_option(usage, argument);
    }
    char name[NAME_CAP];
    int len = value == NULL ? (int)strlen(argument) : (int)(value - argument);
    if (len > 0 && argument[len - 1] == '=') {
        len--;
    }
    (void)snprintf(name, sizeof name, "%.*s", len, argument);
    if (option->kind == CLI_FLAG) {
        if (value != NULL) {
            return cli_bad_usage(usage->command, "option %s takes no value, found '%s'", name,
                                 value);
        }
        *(bool *)option->target = true;
        return CLI_CONTINUE;
    }
    if (value == NULL) {
        if (*at + 1 >= argc) {
            return cli_bad_usage(usage->command, "option %s: expected a value (%s)", name,
                                 option->value);
        }
        value = argv[++*at];
    }
    return set_option(usage, option, name, value);
}

int cli_parse(const cli_usage *usage, int argc, char **argv, const char **positional, size_t *n) {
    bool only_positional = false;
    *n = 0;
    if (wants_help(argc, argv)) {
        print_help(usage);
        return CLI_OK;
    }
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (!only_positional && strcmp(argument, "--") == 0) {
            only_positional = true;
        } else if (!only_positional && argument[0] == '-' && argument[1] != '\0') {
            int status = parse_option(usage, argc, argv, &i);
            if (status != CLI_CONTINUE) {
                return status;
            }
        } else if (*n == usage->n_positional_max) {
            return cli_bad_usage(usage->command,
                                 "unexpected argument '%s' (a text with blanks needs quotes)",
                                 argument);
        } else {
            positional[(*n)++] = argument;
        }
    }
    return CLI_CONTINUE;
}
