/* cli_editor.c - line editing by libedit. See cli_editor.h. */
#define _GNU_SOURCE
#include "cli_editor.h"

#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { HISTORY_ENTRIES = 1000 };

struct cli_editor {
    EditLine *el; /* NULL: no terminal */
    History *history;
    const char *history_path;
    char *text; /* the line, or the lines that backslashes join */
    size_t len_bytes, cap_bytes;
    bool interrupted, was_empty, continues;
};

static const char *prompt(EditLine *el) {
    void *data = NULL;
    (void)el_get(el, EL_CLIENTDATA, &data);
    const cli_editor *editor = data;
    return editor != NULL && editor->continues ? "... " : "> ";
}

/* Bound to Ctrl-C: the line is given up and el_gets returns. */
static unsigned char on_interrupt(EditLine *el, int key) {
    void *data = NULL;
    (void)key;
    (void)el_get(el, EL_CLIENTDATA, &data);
    cli_editor *editor = data;
    const LineInfo *line = el_line(el);
    editor->interrupted = true;
    editor->was_empty = line->lastchar == line->buffer && editor->len_bytes == 0;
    return CC_EOF;
}

static bool open_terminal(cli_editor *editor) {
    HistEvent event;
    FILE *out = isatty(STDOUT_FILENO) ? stdout : stderr;
    editor->el = el_init("rusk", stdin, out, stderr);
    editor->history = history_init();
    if (editor->el == NULL || editor->history == NULL) {
        return false;
    }
    (void)history(editor->history, &event, H_SETSIZE, HISTORY_ENTRIES);
    (void)history(editor->history, &event, H_SETUNIQUE, 1);
    if (editor->history_path != NULL) {
        (void)history(editor->history, &event, H_LOAD, editor->history_path);
    }
    (void)el_set(editor->el, EL_CLIENTDATA, editor);
    (void)el_set(editor->el, EL_PROMPT, prompt);
    (void)el_set(editor->el, EL_EDITOR, "emacs");
    (void)el_set(editor->el, EL_HIST, history, editor->history);
    /* The wide form: el_set would keep copies of the two texts for ever. */
    (void)el_wset(editor->el, EL_ADDFN, L"rusk-interrupt", L"give up the line", on_interrupt);
    (void)el_set(editor->el, EL_BIND, "^C", "rusk-interrupt", NULL);
    (void)el_set(editor->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    return true;
}

cli_editor *cli_editor_open(const char *history_path) {
    cli_editor *editor = calloc(1, sizeof *editor);
    if (editor == NULL) {
        cli_message("out of memory for the line editor");
        return NULL;
    }
    editor->history_path = history_path;
    if (isatty(STDIN_FILENO) && (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO)) &&
        !open_terminal(editor)) {
        cli_message("cannot set up the line editor");
        cli_editor_close(editor);
        return NULL;
    }
    return editor;
}

static void save_history(cli_editor *editor) {
    HistEvent event;
    mode_t old = umask(077); /* what was said is nobody else's business */
    if (history(editor->history, &event, H_SAVE, editor->history_path) < 0) {
        cli_message("cannot write the history to '%s'", editor->history_path);
    }
    (void)umask(old);
}

void cli_editor_close(cli_editor *editor) {
    if (editor == NULL) {
        return;
    }
    if (editor->history != NULL && editor->history_path != NULL) {
        save_history(editor);
    }
    if (editor->el != NULL) {
        el_end(editor->el);
    }
    if (editor->history != NULL) {
        history_end(editor->history);
    }
    free(editor->text);
    free(editor);
}

bool cli_editor_is_interactive(const cli_editor *editor) {
    return editor->el != NULL;
}

static bool append(cli_editor *editor, const char *text, size_t len) {
    size_t needed = editor->len_bytes + len + 1;
    if (needed > editor->cap_bytes) {
        char *larger = realloc(editor->text, 2 * needed);
        if (larger == NULL) {
            cli_message("out of memory for a line of %zu bytes", needed);
            return false;
        }
        editor->text = larger;
        editor->cap_bytes = 2 * needed;
    }
    memcpy(editor->text + editor->len_bytes, text, len);
    editor->len_bytes += len;
    editor->text[editor->len_bytes] = '\0';
    return true;
}

static cli_line read_pipe(cli_editor *editor) {
    errno = 0;
    ssize_t n = getline(&editor->text, &editor->cap_bytes, stdin);
    if (n < 0) {
        if (cli_interrupted() != 0) {
            return CLI_LINE_INTERRUPT;
        }
        if (ferror(stdin)) {
            cli_message("cannot read standard input: %s", strerror(errno));
            return CLI_LINE_FAILED;
        }
        return CLI_LINE_END;
    }
    editor->len_bytes = (size_t)n;
    if (n > 0 && editor->text[n - 1] == '\n') {
        editor->text[--editor->len_bytes] = '\0';
    }
    return CLI_LINE_TEXT;
}

/* el_gets while Ctrl-C is a key, not a signal: as a signal, libedit would swallow it. */
static const char *edit_line(cli_editor *editor, int *n) {
    struct termios before, during;
    bool known = tcgetattr(STDIN_FILENO, &before) == 0;
    if (known) {
        during = before;
        during.c_cc[VINTR] = _POSIX_VDISABLE;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &during);
    }
    const char *line = el_gets(editor->el, n);
    if (known) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    }
    return line;
}

static cli_line read_terminal(cli_editor *editor) {
    HistEvent event;
    do {
        int n = 0;
        editor->interrupted = false;
        const char *line = edit_line(editor, &n);
        editor->continues = false;
        if (editor->interrupted) {
            fputs("^C\n", stderr);
            if (editor->was_empty) {
                return CLI_LINE_INTERRUPT;
            }
            editor->len_bytes = 0;
            continue; /* the loop's condition asks for another line */
        }
        if (line == NULL || n <= 0) {
            if (cli_interrupted() != 0) {
                return CLI_LINE_INTERRUPT;
            }
            fputc('\n', stderr);
            return CLI_LINE_END;
        }
        size_t len = (size_t)n;
        len -= line[len - 1] == '\n' ? 1 : 0;
        editor->continues = len > 0 && line[len - 1] == '\\';
        if (!append(editor, line, editor->continues ? len - 1 : len) ||
            (editor->continues && !append(editor, "\n", 1))) {
            return CLI_LINE_FAILED;
        }
    } while (editor->continues || editor->interrupted);
    if (editor->len_bytes > 0) {
        (void)history(editor->history, &event, H_ENTER, editor->text);
    }
    return CLI_LINE_TEXT;
}

cli_line cli_editor_read(cli_editor *editor, const char **text, size_t *len_bytes) {
    editor->len_bytes = 0;
    cli_line line = editor->el != NULL ? read_terminal(editor) : read_pipe(editor);
    *text = editor->text;
    *len_bytes = editor->len_bytes;
    return line;
}
