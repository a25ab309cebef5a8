/* cli_progress.c - a progress bar on a terminal, and the way Ctrl-C reaches the library.
 *
 *     packing  [###########.............]  46 %  0:12 left */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

static const double INTERVAL_SECONDS = 0.1, ESTIMATE_AFTER_SECONDS = 1.0;

void cli_progress_begin(cli_progress *progress, bool writes) {
    const char *term = getenv("TERM");
    memset(progress, 0, sizeof *progress);
    progress->visible = isatty(STDERR_FILENO) != 0 && (term == NULL || strcmp(term, "dumb") != 0);
    progress->started = cli_now();
    cli_interrupt_set(writes ? CLI_INTERRUPT_IS_NOTED : CLI_INTERRUPT_STOPS);
}

static int terminal_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

static void draw(cli_progress *p, uint64_t done, uint64_t total, double now) {
    char bar[64], left[32] = "";
    double part = total > 0 ? (double)done / (double)total : 0;
    part = part > 1 ? 1 : part;
    int columns = terminal_columns();
    int width = columns - 50 < (int)sizeof bar - 1 ? columns - 50 : (int)sizeof bar - 1;
    width = width < 0 ? 0 : width;
    int filled = (int)(part * width);
    memset(bar, '.', sizeof bar);
    memset(bar, '#', (size_t)filled);
    if (now - p->started >= ESTIMATE_AFTER_SECONDS && part > 0.02 && part < 1) {
        double seconds = (now - p->started) * (1 - part) / part + 0.5;
        if (seconds < 360000) {
            unsigned s = (unsigned)seconds;
            (void)snprintf(left, sizeof left, "  %u:%02u left", s / 60, s % 60);
        }
    }
    fprintf(stderr, "\r\033[K%-.12s  [%.*s] %3d %%%s%s", p->stage, width, bar, (int)(100 * part),
            left, p->label);
    (void)fflush(stderr);
    p->drawn = true;
}

bool cli_progress_step(void *user, const char *stage, uint64_t done, uint64_t total) {
    cli_progress *p = user;
    if (cli_interrupted() != 0) {
        return false;
    }
    if (!p->visible) {
        return true;
    }
    double now = cli_now();
    bool new_stage = strncmp(stage, p->stage, sizeof p->stage - 1) != 0;
    if (new_stage) {
        (void)snprintf(p->stage, sizeof p->stage, "%s", stage);
        p->started = now;
    }
    if (new_stage || done >= total || now - p->last >= INTERVAL_SECONDS) {
        p->last = now;
        draw(p, done, total, now);
    }
    return true;
}

void cli_progress_end(cli_progress *progress) {
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        progress->drawn = false;
    }
}
