/* cli.h - pieces that the commands of rusk share.
 *
 * The program uses rusk.h and nothing else of the library. Results go to stdout; messages,
 * progress and timings to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 128 + N where
 * signal N stopped it (130: Ctrl-C; 141: nobody reads stdout any more). */
#ifndef RUSK_CLI_H
#define RUSK_CLI_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rusk.h"

enum { CLI_OK = 0, CLI_FAILURE = 1, CLI_USAGE = 2, CLI_BROKEN_PIPE = 128 + SIGPIPE };

#define CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Commands (main.c) ---------------------------------------------------------------------- */

typedef struct cli_command {
    const char *name;
    const char *summary;               /* one line of `rusk help` */
    int (*run)(int argc, char **argv); /* argv[0] is the command; returns the exit status */
} cli_command;

int cli_cmd_pack(int argc, char **argv);
int cli_cmd_run(int argc, char **argv);
int cli_cmd_chat(int argc, char **argv);
int cli_cmd_eval(int argc, char **argv);
int cli_cmd_inspect(int argc, char **argv);
int cli_cmd_bench(int argc, char **argv);
int cli_cmd_tokenize(int argc, char **argv);
int cli_cmd_export(int argc, char **argv);

/* ---- Options (cli_options.c) ---------------------------------------------------------------- */

typedef enum cli_kind {
    CLI_FLAG,  /* bool *target = true */
    CLI_TEXT,  /* const char **target */
    CLI_UINT,  /* uint32_t *target, whole number in min .. max */
    CLI_INT,   /* int64_t *target, whole number in min .. max */
    CLI_REAL,  /* double *target, number in min .. max, or above 0 where min is CLI_ABOVE_ZERO */
    CLI_BYTES, /* uint64_t *target, a size such as 60M, at least 1 */
    CLI_CHOICE /* const char **target, one of choices */
} cli_kind;

#define CLI_ABOVE_ZERO (-1e-300)
#define CLI_NO_LIMIT   9e18

/* One option: a row of a command's table. */
typedef struct cli_option {
    /* as typed, between blanks, the commonest first: "-n --n-predict --predict" */
    const char *names;
    const char *value; /* the value's name in the help text, NULL for a flag */
    const char *help;  /* lines are broken where it says \n */
    cli_kind kind;
    void *target;
    double min, max;
    const char *const *choices; /* NULL-terminated */
} cli_option;

typedef struct cli_usage {
    const char *command;
    const char *synopsis; /* what follows "rusk COMMAND " */
    const char *about;
    const char *examples;
    const cli_option *options;
    size_t n_options;
    size_t n_positional_max;
} cli_usage;

#define CLI_CONTINUE (-1)

/* Fills the targets. CLI_CONTINUE: go on, with *n positional arguments; else the exit status to
 * return (help was asked for, or the usage is wrong and has been explained). */
int cli_parse(const cli_usage *usage, int argc, char **argv, const char **positional, size_t *n);

/* Says what is wrong and where help is; returns CLI_USAGE. */
int cli_bad_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "60M", "1.5 GB", "64MiB", "123456": decimal units unless there is an i. False for anything else,
 * for 0 and for what does not fit 64 bits. */
bool cli_parse_bytes(const char *text, uint64_t *bytes);

/* The candidate nearest to a mistyped word, NULL where none is near. */
const char *cli_nearest(const char *word, const char *const *candidates, size_t n);

/* ---- Messages and output (cli_output.c) ----------------------------------------------------- */

/* "rusk: ..." on stderr; control characters, which a hostile file may have put into a name, are
 * written as \xNN. */
void cli_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The library's message, and the exit status that fits: 128 + signal for a cancelled operation. */
int cli_failed(const rusk_error *err);

/* Text from a file on stdout, cut or filled to width columns (0: as it is), without control
 * characters. */
void cli_print_text(const char *text, int width);

/* Flushes stdout. CLI_OK, CLI_BROKEN_PIPE (quietly), or CLI_FAILURE with a message. */
int cli_flush(void);

/* Frees the document and returns cli_flush() after printing it. */
int cli_print_json(json_t *document);
/* A string with invalid UTF-8 replaced; a number, or null where it is not finite. */
json_t *cli_json_text(const char *text);
json_t *cli_json_real(double value);

/* "98.4 MB", "512 B": decimal, three digits. */
const char *cli_bytes_text(uint64_t bytes, char buf[32]);
/* "8.3 s", "2 min 05 s". */
const char *cli_seconds_text(double seconds, char buf[32]);

/* ---- The machine (cli_system.c) ------------------------------------------------------------- */

/* Makes descriptors 0 to 2 valid, ignores SIGPIPE and SIGXFSZ, sets the locale's characters. */
void cli_system_init(void);

typedef enum cli_on_interrupt {
    CLI_INTERRUPT_EXITS,    /* the program ends at once (nothing needs to be cleaned up) */
    CLI_INTERRUPT_STOPS,    /* noted; a second one exits */
    CLI_INTERRUPT_IS_NOTED, /* noted, however many */
} cli_on_interrupt;

/* What SIGINT, SIGTERM and SIGHUP do from now on. */
void cli_interrupt_set(cli_on_interrupt what);
/* Number of the signal that came, 0 for none. */
int cli_interrupted(void);
void cli_interrupt_clear(void);

/* CPUs this process may use, but not more than the library takes threads. */
enum { CLI_THREADS_MAX = 256 };
uint32_t cli_cpu_count(void);
/* Highest resident size of this process so far; 0 where the system does not say. */
uint64_t cli_peak_bytes(void);
double cli_now(void);

/* ---- Input (cli_input.c) -------------------------------------------------------------------- */

/* All of a file ("-": stdin), NUL-terminated, for free(). An empty file, a directory or one that
 * cannot be read gets a message. Returns CLI_OK or CLI_FAILURE. */
int cli_read_text(const char *path, char **text, size_t *len_bytes);

/* Offset of the first byte that is not UTF-8, len_bytes where all is well. */
size_t cli_utf8_error(const char *text, size_t len_bytes);
/* CLI_OK, or CLI_FAILURE and a message that names what it is and where it breaks. */
int cli_check_utf8(const char *what, const char *text, size_t len_bytes);

/* True, with a message, where out is the same file as source. */
bool cli_same_file(const char *source, const char *out);

/* ---- Progress (cli_progress.c) -------------------------------------------------------------- */

typedef struct cli_progress {
    bool visible;
    bool drawn;
    char stage[32];
    char label[32]; /* stands behind the bar; the caller may write to it */
    double started, last;
} cli_progress;

/* A bar on stderr, where that is a terminal. From now on an interrupt cancels the operation; where
 * it writes nothing that would stay, a second one ends the program at once. */
void cli_progress_begin(cli_progress *progress, bool writes);
/* The callback; user is the cli_progress. */
bool cli_progress_step(void *user, const char *stage, uint64_t done, uint64_t total);
/* Removes the bar. */
void cli_progress_end(cli_progress *progress);

#endif
