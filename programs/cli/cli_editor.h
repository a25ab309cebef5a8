/* cli_editor.h - a line from the person at the terminal (libedit), or from a pipe.
 *
 * At a terminal: editing, history, a trailing backslash continues the line, Ctrl-C drops it. From a
 * pipe: a line is a line. */
#ifndef RUSK_CLI_EDITOR_H
#define RUSK_CLI_EDITOR_H

#include "cli.h"

typedef struct cli_editor cli_editor;

typedef enum cli_line { CLI_LINE_TEXT, CLI_LINE_END, CLI_LINE_INTERRUPT, CLI_LINE_FAILED } cli_line;

/* history_path NULL: the history lives in memory only. NULL with a message where there is no
 * memory. */
cli_editor *cli_editor_open(const char *history_path);
/* Saves the history where a path was given. */
void cli_editor_close(cli_editor *editor);
/* Whether a person types (prompts and hints make sense). */
bool cli_editor_is_interactive(const cli_editor *editor);
/* The next line without its newline, valid until the next call. INTERRUPT: Ctrl-C at an empty
 * prompt, or a signal while waiting for a pipe. FAILED: told already. */
cli_line cli_editor_read(cli_editor *editor, const char **text, size_t *len_bytes);

#endif
