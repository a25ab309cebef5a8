/* codec.h - the second compression: int8 symbols to entropy-coded blocks and back, bit-exact.
 *
 * The seam `rusk_codec`. A tensor's rows each have a class 0..15; a table blob (one per tensor)
 * holds what each class in use needs (frequencies, widths). A block is some whole rows, coded one
 * after the other; within a block tables switch between rows, never inside one. Layouts:
 * docs/format/codecs.md.
 *
 * Symbols are -127..127 (never -128). What does not fit is a patch: the block's symbol is clipped
 * to +-127 and the list at the block's start adds the rest:  true value = symbol + delta. */
#ifndef RUSK_CODEC_CODEC_H
#define RUSK_CODEC_CODEC_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/strbuf.h"

#define RUSK_CODEC_CLASSES    16
#define RUSK_CODEC_ALPHABET   256 /* index = symbol + 128; index 0 stays unused */
#define RUSK_CODEC_MAX_SYMBOL 127
#define RUSK_CODEC_OVERREAD   64 /* bytes a decoder may read (never use) past a block's end */

/* |delta| is at most this: symbol + delta is exact in f32. */
#define RUSK_PATCH_MAX_DELTA (1 << 23)
/* A patch's usual cost: two bytes position, one delta. */
#define RUSK_PATCH_COST_BITS 24

/* Counts of symbols by class. */
typedef struct rusk_hist {
    uint64_t count[RUSK_CODEC_CLASSES][RUSK_CODEC_ALPHABET];
} rusk_hist;

void rusk_hist_clear(rusk_hist *hist);
void rusk_hist_add(rusk_hist *hist, unsigned class_index, const int8_t *symbols, size_t n);
/* Total information in bits: sum over classes of n * H(class). */
double rusk_hist_bits(const rusk_hist *hist);

typedef struct rusk_patch {
    uint32_t position; /* row in block * n_cols + column; ascending in a list */
    int32_t delta;
} rusk_patch;

/* What a block holds. */
typedef struct rusk_block_shape {
    uint32_t n_rows, n_cols;
    const uint8_t *row_classes; /* n_rows */
} rusk_block_shape;

/* Opened, validated; immutable, shared by threads. */
typedef struct rusk_codec_tables rusk_codec_tables;

/* A payload being decoded, row after row. The memory is the caller's (aligned to 64 bytes as the
 * type asks) and holds nothing that must be released; what it points to must outlive it. */
#define RUSK_DECODER_STATE 2048
typedef struct rusk_decoder {
    const rusk_codec_tables *tables;
    rusk_block_shape shape;
    const uint8_t *data;
    size_t len_bytes;
    uint32_t next_row;
    /* Bytes that the caller will decode some time after these, asked for little by little as rows
     * are decoded, so many a row. rusk_codec.begin sets NULL and 0. */
    const uint8_t *ahead;
    size_t ahead_row_bytes;
    _Alignas(64) uint8_t state[RUSK_DECODER_STATE]; /* the codec's own */
} rusk_decoder;

/* For codecs: a row is about to be decoded. The memory is asked for into the second-level cache. */
static inline void rusk_decoder_look_ahead(rusk_decoder *d) {
    enum { CACHE_LINE = 64 };
    for (size_t i = 0; i < d->ahead_row_bytes; i += CACHE_LINE) {
        __builtin_prefetch(d->ahead + i, 0, 2);
    }
    d->ahead += d->ahead_row_bytes;
}

/* For codecs: sets all but `state`. INVALID_ARGUMENT where the shape has no rows or columns. */
rusk_status rusk_decoder_init(rusk_decoder *d, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                              rusk_error *err);

typedef struct rusk_codec {
    const char *name;
    const char *summary; /* one line for a person */
    bool for_storage;    /* dense, but too slow to multiply from: to be transcoded */
    bool in_pairs;       /* two blocks decode faster together than one after the other */

    /* Table blob for symbols with these counts. Classes with no symbols get no table.
     * Deterministic. */
    rusk_status (*build_tables)(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err);
    /* Bits that coding would take with the tables it would build, patches of folded symbols
     * included (RUSK_PATCH_COST_BITS each); table blob and what a block costs besides
     * (block_bits) excluded. */
    double (*cost_bits)(const rusk_hist *hist);
    /* What a block of this shape costs beyond its symbols, on average, its (empty) patch list
     * included. */
    double (*block_bits)(const rusk_block_shape *shape);
    /* Validates a blob and prepares it for decoding (and encoding). FORMAT, NO_MEMORY. */
    rusk_status (*open_tables)(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,
                               size_t len_bytes, rusk_error *err);
    void (*close_tables)(rusk_codec_tables *tables);
    /* For each symbol (index = symbol + 128) the one that codes it in this class: itself where it
     * has a code, else the nearest one that has (rusk_block_encode patches the difference). NULL
     * where the class has no table. */
    const int8_t *(*fold)(const rusk_codec_tables *tables, unsigned class_index);
    /* Appends the coded block to out. symbols: n_rows x n_cols, row stride n_cols. A symbol without
     * a code in its row's table: INVALID_ARGUMENT. */
    rusk_status (*encode)(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                          const int8_t *symbols, rusk_strbuf *out, rusk_error *err);
    /* Validates a payload's layout (RUSK_CODEC_OVERREAD bytes past it are readable) and prepares to
     * decode its first row. */
    rusk_status (*begin)(rusk_decoder *d, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                         rusk_error *err);
    /* The next n_rows rows, no more than are left, of each of n (1 or 2) decoders that share tables
     * and n_cols: decoder i's go to out[i], row stride `stride` >= n_cols; columns n_cols..stride-1
     * are left alone. After a block's last row its end is verified. Codecs advance two together
     * where that is faster. Any bytes are safe: damaged ones give FORMAT with the byte offset, and
     * *failed is the index of the decoder at fault; none of them can go on then. Uses no heap. */
    rusk_status (*rows)(rusk_decoder *const *d, unsigned n, uint32_t n_rows, int8_t *const *out,
                        size_t stride, unsigned *failed, rusk_error *err);
} rusk_codec;

/* The registry: index 0 .. count-1; find by name, NULL where unknown. */
size_t rusk_codec_count(void);
const rusk_codec *rusk_codec_at(size_t index);
const rusk_codec *rusk_codec_find(const char *name);

/* Rows per block to choose for a tensor of this shape: blocks of nearly equal height with up to a
 * 64th of the tensor's symbols, but at least 64 K and at most 256 K. What a block costs besides its
 * symbols (block_bits: 0.025 bits a symbol with a16 and 64 K) should be small, many threads should
 * find work in a tensor, and a single row should be had quickly. 1 .. n_rows; 0 where n_rows is
 * 0. */
uint32_t rusk_codec_block_rows(uint32_t n_rows, uint32_t n_cols);

/* A stored block is  [patch list][codec payload]. These wrap a codec with the patch list.
 *
 * Patches come in two kinds. An outlier's true value lies outside -127..127: the caller gives it
 * to encode, split into symbol and patch as it likes, and decode gives +-127 and the rest. A symbol
 * without a code in its row's table is folded to the nearest one that has; encode makes that patch
 * itself and decode applies it. What decode gives depends on the values alone, not on the codec. */
rusk_status rusk_block_encode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const int8_t *symbols,
                              const rusk_patch *patches, size_t n_patches, rusk_strbuf *out,
                              rusk_error *err);
/* Number of patches in a stored block, of both kinds, validated against its length: at most
 * n_rows * n_cols. An upper bound of what decoding gives. */
rusk_status rusk_block_patch_count(const uint8_t *data, size_t len_bytes,
                                   const rusk_block_shape *shape, size_t *n, rusk_error *err);
/* Where a patch list is being read. */
typedef struct rusk_patch_cursor {
    const uint8_t *next;
    size_t n_left;
    uint64_t position; /* of the last patch, plus 1 */
} rusk_patch_cursor;

/* A stored block being decoded, row after row; like rusk_decoder. */
typedef struct rusk_block_decoder {
    const rusk_codec *codec;
    const uint8_t *data; /* the block */
    rusk_patch_cursor patches;
    rusk_decoder decoder;
} rusk_block_decoder;

/* Finds and validates the parts of a block (RUSK_CODEC_OVERREAD bytes past it are readable) and
 * prepares to decode its first row. */
rusk_status rusk_block_begin(rusk_block_decoder *d, const rusk_codec *codec,
                             const rusk_codec_tables *tables, const rusk_block_shape *shape,
                             const uint8_t *data, size_t len_bytes, rusk_error *err);
/* The next n_rows rows of each of n (1 or 2) blocks that share codec, tables and n_cols, as
 * rusk_codec.rows gives them. Symbols -127..127 go to out[i], what outliers have beyond +-127 to
 * patches[i], n_patches[i] of them, their positions relative to the first of these rows. Room for
 * rusk_block_patch_count entries, or for n_rows * n_cols where that is less, is enough.
 * INVALID_ARGUMENT where fewer than n_rows rows are left. */
rusk_status rusk_block_rows(rusk_block_decoder *const *d, unsigned n, uint32_t n_rows,
                            int8_t *const *out, size_t stride, rusk_patch *const *patches,
                            size_t *n_patches, unsigned *failed, rusk_error *err);
/* All rows of a block: begin and rows in one. */
rusk_status rusk_block_decode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                              int8_t *out, size_t stride, rusk_patch *patches, size_t *n_patches,
                              rusk_error *err);

#endif
