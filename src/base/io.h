/* io.h - files: positioned reads, and writing that leaves no half file.
 *
 * Messages name the path and the system's reason. A short read is FORMAT ("file ends at ..."),
 * since the caller asked for bytes that its index promised. */
#ifndef RUSK_BASE_IO_H
#define RUSK_BASE_IO_H

#include "base/alloc.h"

typedef struct rusk_input {
    int fd;
    uint64_t size_bytes;
    char *path; /* own copy */
    rusk_alloc *alloc;
} rusk_input;

/* Opens a regular file for reading. NOT_FOUND, IO (a directory, no permission), NO_MEMORY. */
rusk_status rusk_input_open(rusk_input *in, rusk_alloc *alloc, const char *path, rusk_error *err);
void rusk_input_close(rusk_input *in);
/* Exactly len_bytes from offset. Thread-safe. */
rusk_status rusk_input_read(const rusk_input *in, uint64_t offset, void *buf, size_t len_bytes,
                            rusk_error *err);
/* Whether both paths lead to one existing file. */
bool rusk_same_file(const char *a, const char *b);

/* Writing: to PATH.tmp-<pid>-<n> in the same directory; commit syncs and renames it over PATH;
 * discard (or a failure) removes it. */
typedef struct rusk_output {
    int fd;             /* -1: not open */
    uint64_t pos_bytes; /* written so far, buffered bytes included */
    char *path, *temporary;
    uint8_t *buffer;
    size_t n_buffered;
    rusk_alloc *alloc;
} rusk_output;

rusk_status rusk_output_open(rusk_output *out, rusk_alloc *alloc, const char *path,
                             rusk_error *err);
rusk_status rusk_output_write(rusk_output *out, const void *data, size_t len_bytes,
                              rusk_error *err);
rusk_status rusk_output_zeros(rusk_output *out, uint64_t n_bytes, rusk_error *err);
/* Overwrites bytes already written (a superblock at the end). Does not move pos_bytes. */
rusk_status rusk_output_patch(rusk_output *out, uint64_t offset, const void *data, size_t len_bytes,
                              rusk_error *err);
rusk_status rusk_output_commit(rusk_output *out, rusk_error *err); /* closes in any case */
void rusk_output_discard(rusk_output *out); /* after commit, or twice: nothing happens */

#endif
