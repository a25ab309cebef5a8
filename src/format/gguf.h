/* gguf.h - reading GGUF version 2 and 3, and writing version 3. */
#ifndef RUSK_FORMAT_GGUF_H
#define RUSK_FORMAT_GGUF_H

#include "format/source.h"

#define RUSK_GGUF_MAGIC "GGUF"

/* Limits (docs/format/gguf.md): a file beyond them is refused, so that a hostile one costs bounded
 * memory. Header bytes are read through a bounded window; nothing is allocated by a count that the
 * bytes left in the file do not cover. */
#define RUSK_GGUF_MAX_KV        65536U
#define RUSK_GGUF_MAX_TENSORS   65536U
#define RUSK_GGUF_MAX_KEY       65535U                /* bytes of a key or tensor name */
#define RUSK_GGUF_MAX_HEADER    ((uint64_t)512 << 20) /* bytes before the tensor data */
#define RUSK_GGUF_ALIGNMENT     32U                   /* where general.alignment is absent */
#define RUSK_GGUF_MAX_ALIGNMENT 65536U

/* Opens version 2 or 3, little-endian. Validates the whole header (counts, keys, types, shapes,
 * offsets, sizes, overlaps); reads no tensor data. A tensor of a type that is not in
 * RUSK_DTYPE_LIST gives UNSUPPORTED, naming it. NOT_FOUND, IO, FORMAT, UNSUPPORTED, LIMIT,
 * NO_MEMORY. */
rusk_status rusk_gguf_open(rusk_source **out, rusk_alloc *alloc, const char *path, rusk_error *err);

/* Writing. Order of calls: create, meta..., tensor (declares all, in file order), begin_data, write
 * (the bytes of the tensors one after another, any split; padding between them is the writer's),
 * commit; INVALID_ARGUMENT for another order, a key or name given twice, a row that is not whole
 * blocks, bytes beyond what was declared. The same calls give the same bytes. Metadata with the key
 * general.alignment (U32, a power of two from 8 to RUSK_GGUF_MAX_ALIGNMENT) sets the alignment;
 * else it is 32. A failed call leaves the writer fit only for discard. */
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
