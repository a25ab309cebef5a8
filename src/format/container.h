/* container.h - reading and writing .rusk files (docs/format/container.md is the specification).
 *
 * This room treats a block as opaque bytes with a checksum; codec/ gives them meaning. A tensor is
 *   SYM8: int8 symbols behind a codec, rows cut in blocks of block_rows whole rows (the last may be
 *         shorter), a scale and a class per row, a table blob that its blocks share; or
 *   F32:  a small vector (norm, bias), stored raw, codec "none"; it is given and read as one block.
 */
#ifndef RUSK_FORMAT_CONTAINER_H
#define RUSK_FORMAT_CONTAINER_H

#include "format/source.h"

#define RUSK_CONTAINER_VERSION 1
#define RUSK_CONTAINER_MAGIC   "RUSK" /* the first four bytes of eight */

/* Decoders may read this many bytes past a block's end: what read functions give is padded so. */
#define RUSK_BLOCK_OVERREAD 64

typedef struct rusk_container_tensor {
    const char *name;
    const char *roles; /* role names, comma-separated: "token_embedding,output_head"; may be "" */
    uint32_t n_dims;
    uint64_t shape[RUSK_MAX_DIMS]; /* outermost first */
    rusk_dtype dtype;              /* SYM8 or F32 */
    rusk_dtype source_dtype;       /* what the source held, for reports and export */
    const char *codec;             /* "none", "raw", "rans", ...; at most 15 bytes */
    const char *quantizer;         /* "uniform", ...; "" for F32 */
    /* value = (symbol + symbol_offset) * row scale: 0 mid-tread, 0.5 mid-rise; -1 .. 1 */
    float symbol_offset;
    uint32_t block_rows; /* at least 1; more than the rows there are means all of them */
    /* SYM8 only, each n_rows long: */
    const float *row_scales;    /* finite, of any sign; stored as f16 times a tensor-wide f32, so
                                   rounded: rusk_container_round_scales gives what is read back */
    const uint8_t *row_classes; /* 0..15: which table of the blob decodes the row */
    const uint8_t *tables;      /* codec's table blob; equal ones are stored once */
    size_t tables_bytes;
} rusk_container_tensor;

/* Replaces each scale of a whole tensor by the value that reading will give: off by at most 2^-11
 * of itself where it is at least 2^-28 of the largest. Rounding twice is rounding once. */
void rusk_container_round_scales(float *row_scales, size_t n_rows);

/* ---------------------------------------------------------------------------------------------
 * Writing: create; per tensor begin_tensor, block..., end_tensor; head and sections at any time;
 * commit. The file stands under a temporary name until commit. A call with arguments that break a
 * rule is INVALID_ARGUMENT or LIMIT and changes nothing; after IO or NO_MEMORY only commit (which
 * then fails) and discard are left. The bytes depend on nothing but the arguments.
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_container_writer rusk_container_writer;

rusk_status rusk_container_writer_create(rusk_container_writer **out, rusk_alloc *alloc,
                                         const char *path, rusk_error *err);
/* Tensors come in execution order. The arrays and texts are copied, so that they may go. */
rusk_status rusk_container_writer_begin_tensor(rusk_container_writer *w,
                                               const rusk_container_tensor *t, rusk_error *err);
rusk_status rusk_container_writer_block(rusk_container_writer *w, const void *data,
                                        size_t len_bytes, rusk_error *err);
/* INVALID_ARGUMENT where the number of blocks is not the one that rows and block_rows ask for. */
rusk_status rusk_container_writer_end_tensor(rusk_container_writer *w, rusk_error *err);
/* HEAD: provenance and metadata of the source (everything but tokenizer.ggml.tokens, scores,
 * token_type, merges and tokenizer.chat_template). */
typedef struct rusk_provenance {
    uint64_t source_bytes;
    uint8_t source_hash[16]; /* XXH3-128 of the whole source file, canonical (big-endian) order */
    const char *tool;        /* "rusk 0.1.0" */
    const char *options;     /* "--bits 4.5 --codec rans" */
} rusk_provenance;
/* source NULL: no metadata. */
rusk_status rusk_container_writer_head(rusk_container_writer *w, const rusk_provenance *p,
                                       const rusk_source *source, rusk_error *err);
/* TOKN, CHAT: opaque here; empty ones are left out. */
rusk_status rusk_container_writer_section(rusk_container_writer *w, const char tag[4],
                                          const void *data, size_t len_bytes, rusk_error *err);
/* Length of the file that commit would make now, exactly (a tensor in progress counts so far). */
uint64_t rusk_container_writer_bytes(const rusk_container_writer *w);
/* INVALID_ARGUMENT inside a tensor and without HEAD. file_bytes may be NULL. Destroys w in any
 * case; where it fails no file is left. */
rusk_status rusk_container_writer_commit(rusk_container_writer *w, uint64_t *file_bytes,
                                         rusk_error *err);
void rusk_container_writer_discard(rusk_container_writer *w); /* NULL is accepted */

/* ---------------------------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------------------------- */

/* Validates superblock, section table, every section but DATA, and every offset; reads no weights.
 * The result is a rusk_source (metadata, tensors; read_rows works for F32 tensors). Errors:
 * NOT_FOUND, IO, FORMAT, DAMAGED (a checksum), UNSUPPORTED (newer version, unknown critical
 * section), NO_MEMORY. */
rusk_status rusk_container_open(rusk_source **out, rusk_alloc *alloc, const char *path,
                                rusk_error *err);
/* The functions below take a source whose format is "rusk". */
const rusk_container_tensor *rusk_container_get_tensor(const rusk_source *s, size_t tensor);
const rusk_provenance *rusk_container_get_provenance(const rusk_source *s);
/* Bytes of an opaque section (TOKN, CHAT), NULL where absent. Checksum already verified. */
const uint8_t *rusk_container_get_section(const rusk_source *s, const char tag[4],
                                          size_t *len_bytes);

/* 1 for F32. Tensor and block numbers are the caller's to keep in range, here and below. */
uint64_t rusk_container_n_blocks(const rusk_source *s, size_t tensor);
/* Coded length of a block; validated against the file. */
size_t rusk_container_block_bytes(const rusk_source *s, size_t tensor, uint64_t block);
/* Where a block starts in the file; of an F32 tensor, where its values start. */
uint64_t rusk_container_block_offset(const rusk_source *s, size_t tensor, uint64_t block);
/* Reads a block and verifies its checksum (DAMAGED names tensor, block and offset). buf has room
 * for block_bytes + RUSK_BLOCK_OVERREAD; the over-read bytes are zeroed. Thread-safe. */
rusk_status rusk_container_read_block(const rusk_source *s, size_t tensor, uint64_t block,
                                      uint8_t *buf, rusk_error *err);
/* Reads blocks block0 .. block0+n-1 with one read where they stand in one extent; out[i] is where
 * block i starts in buf (each followed by at least RUSK_BLOCK_OVERREAD readable bytes). buf holds
 * rusk_container_span_bytes(...). All checksums verified. */
size_t rusk_container_span_bytes(const rusk_source *s, size_t tensor, uint64_t block0, uint64_t n);
rusk_status rusk_container_read_span(const rusk_source *s, size_t tensor, uint64_t block0,
                                     uint64_t n, uint8_t *buf, const uint8_t **out,
                                     rusk_error *err);

#endif
