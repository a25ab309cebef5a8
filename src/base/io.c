#define _GNU_SOURCE
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

enum { BUFFER_BYTES = 256 * 1024, MAX_CALL_BYTES = 1 << 30, SUFFIX_CAP = 48 };

/* strerror is not thread-safe; this is the GNU strerror_r, which returns the text. */
static const char *reason(int error, char buf[128]) {
    return strerror_r(error, buf, 128);
}

static rusk_status fail_errno(rusk_error *err, const char *doing, const char *path) {
    char buf[128];
    int error = errno;
    if (error == ENOSPC || error == EDQUOT) {
        return rusk_fail(err, RUSK_IO, RUSK_NO_OFFSET, "%s '%s': disk full (%s)", doing, path,
                         reason(error, buf));
    }
    return rusk_fail(err, error == ENOENT ? RUSK_NOT_FOUND : RUSK_IO, RUSK_NO_OFFSET, "%s '%s': %s",
                     doing, path, reason(error, buf));
}

static char *copy_text(rusk_alloc *alloc, const char *text, size_t extra_bytes) {
    size_t len = strlen(text);
    char *copy = rusk_alloc_get(alloc, RUSK_MEM_METADATA, len + extra_bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, len + 1);
    }
    return copy;
}

rusk_status rusk_input_open(rusk_input *in, rusk_alloc *alloc, const char *path, rusk_error *err) {
    *in = (rusk_input){.fd = -1, .alloc = alloc};
    /* opening a pipe would wait for somebody to write to it; files do not care */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail_errno(err, "cannot open", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rusk_status status = fail_errno(err, "cannot examine", path);
        close(fd);
        return status;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return rusk_fail(err, RUSK_IO, RUSK_NO_OFFSET,
                         "cannot open '%s': expected a file, found %s", path,
                         S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
    }
    in->path = copy_text(alloc, path, 0);
    if (in->path == NULL) {
        close(fd);
        return rusk_fail_memory(err, strlen(path), "a path");
    }
    in->fd = fd;
    in->size_bytes = (uint64_t)st.st_size;
    return RUSK_OK;
}

void rusk_input_close(rusk_input *in) {
    if (in->fd >= 0) {
        close(in->fd);
    }
    in->fd = -1;
    rusk_alloc_put(in->alloc, in->path);
    in->path = NULL;
}

rusk_status rusk_input_read(const rusk_input *in, uint64_t offset, void *buf, size_t len_bytes,
                            rusk_error *err) {
    if (offset > in->size_bytes || len_bytes > in->size_bytes - offset) {
        return rusk_fail(
            err, RUSK_FORMAT, offset,
            "'%s' is truncated: expected %zu bytes at offset %llu, the file ends at %llu", in->path,
            len_bytes, (unsigned long long)offset, (unsigned long long)in->size_bytes);
    }
    uint8_t *p = buf;
    while (len_bytes > 0) {
        ssize_t n = pread(in->fd, p, RUSK_MIN(len_bytes, (size_t)MAX_CALL_BYTES), (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(err, "cannot read", in->path);
        }
        if (n == 0) {
            return rusk_fail(err, RUSK_FORMAT, offset, "'%s' became shorter while it was read",
                             in->path);
        }
        p += n;
        offset += (uint64_t)n;
        len_bytes -= (size_t)n;
    }
    return RUSK_OK;
}

bool rusk_same_file(const char *a, const char *b) {
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

rusk_status rusk_output_open(rusk_output *out, rusk_alloc *alloc, const char *path,
                             rusk_error *err) {
    *out = (rusk_output){.fd = -1, .alloc = alloc};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return rusk_fail(err, RUSK_IO, RUSK_NO_OFFSET,
                         "cannot write '%s': expected a file, found %s", path,
                         S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
    }
    out->path = copy_text(alloc, path, 0);
    out->temporary = copy_text(alloc, path, SUFFIX_CAP);
    out->buffer = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, BUFFER_BYTES);
    if (out->path == NULL || out->temporary == NULL || out->buffer == NULL) {
        rusk_output_discard(out);
        return rusk_fail_memory(err, BUFFER_BYTES, "an output buffer");
    }
    /* mkostemp would give mode 0600; a model file is as readable as any file the user makes */
    for (unsigned try = 0; out->fd < 0 && try < 1000; try++) {
        (void)snprintf(out->temporary + strlen(path), SUFFIX_CAP, ".tmp-%ld-%u", (long)getpid(),
                       try);
        out->fd = open(out->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (out->fd < 0 && errno != EEXIST) {
            break;
        }
    }
    if (out->fd < 0) {
        rusk_status status = fail_errno(err, "cannot create a file next to", path);
        rusk_output_discard(out);
        return status;
    }
    return RUSK_OK;
}

static rusk_status write_all(rusk_output *out, const uint8_t *data, size_t len_bytes,
                             uint64_t offset, rusk_error *err) {
    while (len_bytes > 0) {
        ssize_t n =
            pwrite(out->fd, data, RUSK_MIN(len_bytes, (size_t)MAX_CALL_BYTES), (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(err, "cannot write", out->path);
        }
        data += n;
        offset += (uint64_t)n;
        len_bytes -= (size_t)n;
    }
    return RUSK_OK;
}

static rusk_status flush(rusk_output *out, rusk_error *err) {
    RUSK_TRY(write_all(out, out->buffer, out->n_buffered, out->pos_bytes - out->n_buffered, err));
    out->n_buffered = 0;
    return RUSK_OK;
}

rusk_status rusk_output_write(rusk_output *out, const void *data, size_t len_bytes,
                              rusk_error *err) {
    const uint8_t *p = data;
    while (len_bytes > 0) {
        size_t n = RUSK_MIN(len_bytes, BUFFER_BYTES - out->n_buffered);
        memcpy(out->buffer + out->n_buffered, p, n);
        out->n_buffered += n;
        out->pos_bytes += n;
        p += n;
        len_bytes -= n;
        if (out->n_buffered == BUFFER_BYTES) {
            RUSK_TRY(flush(out, err));
        }
    }
    return RUSK_OK;
}

rusk_status rusk_output_zeros(rusk_output *out, uint64_t n_bytes, rusk_error *err) {
    static const uint8_t ZEROS[4096];
    while (n_bytes > 0) {
        size_t n = (size_t)RUSK_MIN(n_bytes, (uint64_t)sizeof ZEROS);
        RUSK_TRY(rusk_output_write(out, ZEROS, n, err));
        n_bytes -= n;
    }
    return RUSK_OK;
}

rusk_status rusk_output_patch(rusk_output *out, uint64_t offset, const void *data, size_t len_bytes,
                              rusk_error *err) {
    RUSK_ASSERT(offset + len_bytes <= out->pos_bytes);
    RUSK_TRY(flush(out, err));
    return write_all(out, data, len_bytes, offset, err);
}

static void sync_directory(const char *path) {
    const char *slash = strrchr(path, '/');
    char dir[4096] = ".";
    if (slash != NULL && (size_t)(slash - path) < sizeof dir - 1) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        memcpy(dir, path, len);
        dir[len] = '\0';
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

rusk_status rusk_output_commit(rusk_output *out, rusk_error *err) {
    rusk_status status = flush(out, err);
    if (status == RUSK_OK && fsync(out->fd) != 0) {
        status = fail_errno(err, "cannot sync", out->path);
    }
    int fd = out->fd;
    out->fd = -1;
    if (close(fd) != 0 && status == RUSK_OK) {
        status = fail_errno(err, "cannot close", out->path);
    }
    if (status == RUSK_OK && rename(out->temporary, out->path) != 0) {
        status = fail_errno(err, "cannot rename to", out->path);
    }
    if (status == RUSK_OK) {
        sync_directory(out->path);
    } else {
        (void)unlink(out->temporary);
    }
    rusk_output_discard(out);
    return status;
}

void rusk_output_discard(rusk_output *out) {
    if (out->fd >= 0) {
        close(out->fd);
        (void)unlink(out->temporary);
        out->fd = -1;
    }
    rusk_alloc_put(out->alloc, out->path);
    rusk_alloc_put(out->alloc, out->temporary);
    rusk_alloc_put(out->alloc, out->buffer);
    out->path = out->temporary = NULL;
    out->buffer = NULL;
}
