/* gguf.h - reading GGUF version 2 and 3, and writing version 3. */
#ifndef RUSK_FORMAT_GGUF_H
#define RUSK_FORMAT_GGUF_H

#include "format/source.h"

#define RUSK_GGUF_MAGIC "GGUF"

/* Limits: a file beyond them is refused, so that a hostile one costs bounded memory. Header bytes
 * are read through a bounded window; nothing is allocated by a count that the file's size does not
 * cover. */
#define RUSK_GGUF_MAX_KV      65536U
#define RUSK_GGUF_MAX_TENSORS 65536U
#define RUSK_GGUF_MAX_KEY     65535U /* bytes of a key or tensor name */

rusk_status rusk_gguf_open(rusk_source **out, rusk_alloc *alloc, const char *path, rusk_error *err);

/* Writing. Order of calls: create, meta..., tensor (declares all, in file order), begin_data, write
 * (the bytes of the tensors one after another, any split; padding between them is the writer's),
 * commit. */
typedef struct rusk_gguf_writer rusk_gguf_writer;

rusk_status rusk_gguf_writer_create(rusk_gguf_writer **out, rusk_alloc *alloc, const char *path,
                                    rusk_error *err);
rusk_status rusk_gguf_writer_meta(rusk_gguf_writer *w, const rusk_meta *meta, rusk_error *err);
/* shape outermost first. */
rusk_status rusk_gguf_writer_tensor(rusk_gguf_writer *w, const char *name, uint32_t n_dims,
                                    const uint64_t *shape, rusk_dtype dtype, rusk_error *err);
rusk_status rusk_gguf_writer_begin_data(rusk_gguf_writer *w, rusk_error *err);
rusk_status rusk_gguf_writer_write(rusk_gguf_writer *w, const void *data, size_t len_bytes,
                                   rusk_error *err);
/* INVALID_ARGUMENT where fewer or more bytes were written than declared. Destroys w in any case. */
rusk_status rusk_gguf_writer_commit(rusk_gguf_writer *w, rusk_error *err);
void rusk_gguf_writer_discard(rusk_gguf_writer *w); /* NULL is accepted; leaves no file */

#endif
