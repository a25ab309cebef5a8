/* cli_input.c - texts from files, and whether they are UTF-8. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { FIRST_BYTES = 64 * 1024 };

static int read_all(FILE *f, const char *path, char **text, size_t *len_bytes) {
    size_t cap = FIRST_BYTES, len = 0;
    char *buf = malloc(cap);
    while (buf != NULL) {
        len += fread(buf + len, 1, cap - len - 1, f);
        if (len + 1 < cap) {
            break;
        }
        char *larger = cap <= SIZE_MAX / 2 ? realloc(buf, 2 * cap) : NULL;
        if (larger == NULL) {
            free(buf);
        }
        buf = larger;
        cap *= 2;
    }
    if (buf == NULL) {
        cli_message("out of memory while reading '%s'", path);
        return CLI_FAILURE;
    }
    if (ferror(f)) {
        cli_message("cannot read '%s': %s", path, strerror(errno));
        free(buf);
        return CLI_FAILURE;
    }
    if (len == 0) {
        cli_message("'%s' is empty, expected a text", path);
        free(buf);
        return CLI_FAILURE;
    }
    buf[len] = '\0';
    *text = buf;
    *len_bytes = len;
    return CLI_OK;
}

int cli_read_text(const char *path, char **text, size_t *len_bytes) {
    struct stat st;
    *text = NULL;
    *len_bytes = 0;
    if (strcmp(path, "-") == 0) {
        return read_all(stdin, "standard input", text, len_bytes);
    }
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        cli_message("cannot open '%s': %s", path, strerror(errno));
        return CLI_FAILURE;
    }
    int status = CLI_FAILURE;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        cli_message("'%s' is a directory, expected a text file", path);
    } else {
        status = read_all(f, path, text, len_bytes);
    }
    fclose(f);
    return status;
}

/* Bytes of the well-formed character at p (Unicode 15, table 3-7), 0 for none. */
static size_t utf8_length(const unsigned char *p, size_t len) {
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n == 0 || p[0] > 0xF4 || n > len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] > 0x9F;
    bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : n;
}

size_t cli_utf8_error(const char *text, size_t len_bytes) {
    size_t at = 0;
    while (at < len_bytes) {
        size_t n = utf8_length((const unsigned char *)text + at, len_bytes - at);
        if (n == 0) {
            break;
        }
        at += n;
    }
    return at;
}

int cli_check_utf8(const char *what, const char *text, size_t len_bytes) {
    size_t at = cli_utf8_error(text, len_bytes);
    if (at == len_bytes) {
        return CLI_OK;
    }
    cli_message("%s: expected UTF-8, found invalid byte 0x%02X at byte offset %zu", what,
                (unsigned char)text[at], at);
    return CLI_FAILURE;
}

bool cli_same_file(const char *source, const char *out) {
    struct stat a, b;
    if (stat(source, &a) != 0 || stat(out, &b) != 0 || a.st_dev != b.st_dev ||
        a.st_ino != b.st_ino) {
        return false;
    }
    cli_message("output '%s' is the source file itself; choose another name", out);
    return true;
}
