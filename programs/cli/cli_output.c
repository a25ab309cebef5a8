/* cli_output.c - messages, numbers for people, JSON for programs. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Writes text without control characters; bytes of UTF-8 pass. Returns the columns used, counting
 * a character as one. */
static int put_clean(FILE *out, const char *text, int limit) {
    int columns = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool continues = (*p & 0xC0) == 0x80;
        /* U+0080 to U+009F are controls too: C2 followed by 80 to 9F. */
        bool c1 = *p == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F;
        bool control = *p < 0x20 || *p == 0x7F || c1;
        int width = control ? 4 : (continues ? 0 : 1);
        if (limit > 0 && columns + width > limit) {
            break;
        }
        if (control) {
            fprintf(out, "\\x%02X", c1 ? p[1] : *p);
            p += c1 ? 1 : 0;
        } else {
            putc(*p, out);
        }
        columns += width;
    }
    return columns;
}

void cli_message(const char *fmt, ...) {
    char text[1536];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fputs("rusk: ", stderr);
    (void)put_clean(stderr, text, 0);
    putc('\n', stderr);
}

int cli_failed(const rusk_error *err) {
    int sig = cli_interrupted();
    if (err->status == RUSK_CANCELLED && sig != 0) {
        cli_message("interrupted");
        return 128 + sig;
    }
    cli_message("%s", err->message[0] != '\0' ? err->message : rusk_status_text(err->status));
    return CLI_FAILURE;
}

void cli_print_text(const char *text, int width) {
    int columns = put_clean(stdout, text, width);
    for (; columns < width; columns++) {
        putchar(' ');
    }
}

/* Whether stdout is a pipe that nobody reads any more. */
static bool reader_is_gone(void) {
    struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0;
}

int cli_flush(void) {
    static bool told; /* one failure is one message, however often the stream is flushed */
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return CLI_OK;
    }
    int error = errno; /* 0: the failure came earlier, while a full buffer was written */
    if (error == EPIPE || (error == 0 && reader_is_gone())) {
        told = true;
        return CLI_BROKEN_PIPE;
    }
    if (!told) {
        cli_message("cannot write to standard output: %s",
                    error != 0 ? strerror(error) : "write error");
        told = true;
    }
    return CLI_FAILURE;
}

int cli_print_json(json_t *document) {
    /* 12 digits: more than any figure here deserves, and 0.1 stays 0.1. */
    if (json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0) {
        putchar('\n');
    }
    json_decref(document);
    return cli_flush();
}

json_t *cli_json_text(const char *text) {
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    size_t len = strlen(text), used = 0;
    char *clean = malloc(3 * len + 1); /* U+FFFD takes three bytes */
    if (clean == NULL) {
        return json_null();
    }
    while (len > 0) {
        size_t good = cli_utf8_error(text, len);
        memcpy(clean + used, text, good);
        used += good;
        if (good < len) {
            memcpy(clean + used, "\xEF\xBF\xBD", 3);
            used += 3;
            good++;
        }
        text += good;
        len -= good;
    }
    value = json_stringn(clean, used);
    free(clean);
    return value;
}

json_t *cli_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

const char *cli_bytes_text(uint64_t bytes, char buf[32]) {
    static const char *const UNITS[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < CLI_COUNT(UNITS)) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(buf, 32, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : (value >= 9.995 ? 1 : 2),
                   value, UNITS[unit]);
    return buf;
}

const char *cli_seconds_text(double seconds, char buf[32]) {
    if (seconds < 99.95) {
        (void)snprintf(buf, 32, "%.1f s", seconds);
    } else {
        unsigned long long whole = (unsigned long long)(seconds + 0.5);
        (void)snprintf(buf, 32, "%llu min %02llu s", whole / 60, whole % 60);
    }
    return buf;
}
