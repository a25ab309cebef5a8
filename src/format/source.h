/* source.h - a model file, whatever its format: named tensors and metadata by key.
 *
 * The seam `rusk_source`: GGUF and the .rusk container are its first two implementations, and the
 * model room (which maps names to roles) and the tokenizer see nothing else. Metadata keys are
 * GGUF's ("general.architecture", "llama.block_count", "tokenizer.ggml.tokens"). A container keeps
 * the source's metadata except the tokenizer arrays, which live in its TOKN section. */
#ifndef RUSK_FORMAT_SOURCE_H
#define RUSK_FORMAT_SOURCE_H

#include "base/arena.h"
#include "format/dtype.h"

/* X(name, GGUF value type number, bytes of one; 0: variable) */
#define RUSK_META_LIST(X)                                                                          \
    X(U8, 0, 1)                                                                                    \
    X(I8, 1, 1)                                                                                    \
    X(U16, 2, 2)                                                                                   \
    X(I16, 3, 2)                                                                                   \
    X(U32, 4, 4)                                                                                   \
    X(I32, 5, 4)                                                                                   \
    X(F32, 6, 4)                                                                                   \
    X(BOOL, 7, 1)                                                                                  \
    X(STRING, 8, 0)                                                                                \
    X(ARRAY, 9, 0)                                                                                 \
    X(U64, 10, 8)                                                                                  \
    X(I64, 11, 8)                                                                                  \
    X(F64, 12, 8)

typedef enum rusk_meta_type {
#define X(name, number, bytes) RUSK_META_##name = (number),
    RUSK_META_LIST(X)
#undef X
} rusk_meta_type;

typedef struct rusk_text {
    const char *data; /* NUL-terminated too, though it may hold NUL bytes */
    size_t len_bytes;
} rusk_text;

typedef struct rusk_meta {
    const char *key;
    rusk_meta_type type;
    union {
        uint64_t u; /* U8..U64, BOOL */
        int64_t i;  /* I8..I64 */
        double f;   /* F32, F64 */
        rusk_text text;
    } value;
    /* ARRAY: n elements of elem_type (never ARRAY: nested arrays are refused). Scalars
     * little-endian in `elements`; strings in `texts`. */
    rusk_meta_type elem_type;
    size_t n;
    const uint8_t *elements;
    const rusk_text *texts;
} rusk_meta;

typedef struct rusk_source_tensor {
    const char *name;
    const char *role; /* as in rusk_tensor_info; "" in GGUF */
    uint32_t n_dims;
    uint64_t shape[RUSK_MAX_DIMS]; /* outermost first (GGUF writes it innermost first) */
    uint64_t n_rows, n_cols;       /* n_cols = shape[n_dims - 1], n_rows = product of the others */
    const rusk_dtype_info *dtype;
    const char *codec; /* "none", or the codec of a SYM8 tensor */
    uint64_t bytes;    /* stored, side information included */
    uint64_t offset;   /* in the file; of the first byte of data */
} rusk_source_tensor;

typedef struct rusk_source rusk_source;

typedef struct rusk_source_ops {
    void (*close)(rusk_source *source);
    /* Raw bytes of whole rows, as stored. Not for SYM8 (a container's blocks are read through
     * format/container.h). Bounds are the caller's: row0 + n_rows <= tensor rows. Thread-safe. */
    rusk_status (*read_rows)(const rusk_source *source, size_t tensor, uint64_t row0,
                             uint64_t n_rows, void *out, rusk_error *err);
} rusk_source_ops;

/* First member of every implementation. */
struct rusk_source {
    const rusk_source_ops *ops;
    rusk_alloc *alloc;
    const char *path;
    const char *format; /* "gguf", "rusk" */
    uint32_t format_version;
    uint64_t file_bytes;
    size_t n_meta;
    const rusk_meta *meta;
    size_t n_tensors;
    const rusk_source_tensor *tensors;
    /* Permutations sorted by key and by name, made by rusk_source_index; NULL: look-ups scan. */
    const uint32_t *meta_order, *tensor_order;
};

/* Opens by content (magic), not by name. alloc must outlive the source. */
rusk_status rusk_source_open(rusk_source **out, rusk_alloc *alloc, const char *path,
                             rusk_error *err);
void rusk_source_close(rusk_source *source); /* NULL is accepted */

/* For implementations: builds the look-up orders in `arena` once meta and tensors are complete.
 * FORMAT where two keys, or two tensor names, are the same. */
rusk_status rusk_source_index(rusk_source *source, rusk_arena *arena, rusk_error *err);

const rusk_meta *rusk_source_meta(const rusk_source *source, const char *key); /* NULL: absent */
/* Tensor index by name, -1: absent. */
ptrdiff_t rusk_source_find(const rusk_source *source, const char *name);

/* Typed look-ups: the value where the key is present, `fallback` where it is absent; FORMAT where
 * it has another type or does not fit. A u32 may be stored as any integer type, an f32 as F32 or
 * F64 and is finite. `_need` variants: FORMAT ("missing key ...") where it is absent. */
rusk_status rusk_source_u32(const rusk_source *s, const char *key, uint32_t fallback, uint32_t *out,
                            rusk_error *err);
rusk_status rusk_source_need_u32(const rusk_source *s, const char *key, uint32_t *out,
                                 rusk_error *err);
rusk_status rusk_source_f32(const rusk_source *s, const char *key, float fallback, float *out,
                            rusk_error *err);
rusk_status rusk_source_bool(const rusk_source *s, const char *key, bool fallback, bool *out,
                             rusk_error *err);
/* text->data NULL where absent. */
rusk_status rusk_source_text(const rusk_source *s, const char *key, rusk_text *text,
                             rusk_error *err);

/* Rows as f32: read_rows, then rusk_dtype_to_f32. `scratch` holds n_rows rows as stored.
 * INVALID_ARGUMENT for SYM8 and for rows outside the tensor. */
rusk_status rusk_source_read_f32(const rusk_source *s, size_t tensor, uint64_t row0,
                                 uint64_t n_rows, float *out, void *scratch, rusk_error *err);
/* Bytes of one stored row of a tensor that is not SYM8. */
uint64_t rusk_source_row_bytes(const rusk_source_tensor *t);

/* "u32", "str", "array" ...; NULL for a number that is no type. */
const char *rusk_meta_type_name(uint32_t type);
/* Bytes of one value; 0 for STRING, ARRAY and unknown types. */
size_t rusk_meta_type_bytes(uint32_t type);

/* Fills meta->value from the little-endian bytes of a scalar of meta->type. */
void rusk_meta_load(rusk_meta *meta, const uint8_t *bytes);

/* Writes a metadata value as short text for a person ("[str x 49152] a, b, ..."), NUL-terminated,
 * cut. Control characters come out as escapes, so that a file cannot steer a terminal. */
void rusk_meta_print(const rusk_meta *meta, char *buf, size_t cap_bytes);

#endif
