/* weights_warm.c - coded blocks decoded as they are used.
 *
 * Rows are decoded a piece at a time, a few of them, into a worker's scratch that stays in the
 * first-level cache, and are multiplied there before the next ones come. Two neighbouring blocks
 * advance in lock step, since one block's chains of dependent steps leave a core idle half of the
 * time:
 *
 *     block b      | piece | piece | ...          scratch:  | piece of b | piece of b + 1 |
 *     block b + 1  | piece | piece | ...
 *
 * How large a piece is changes no bits: a row's product does not depend on its neighbours. */
#include <string.h>

#include "base/assert.h"
#include "runtime/weights_tensor.h"

/* Where a piece of n_open blocks' codes lie in scratch; the columns that pad a row are zeroed here,
 * and decoding leaves them alone. */
static void lay_out(rusk_weights_worker *s, uint32_t n_open) {
    const rusk_weights_tensor *t = s->t;
    s->piece_rows =
        rusk_weights_tile_rows(t->block_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES / n_open);
    const size_t piece_bytes = (size_t)s->piece_rows * t->stride;
    for (uint32_t i = 0; i < n_open; i++) {
        s->walks[i].codes = s->codes + i * piece_bytes;
        s->walks[i].patches = s->patches + i * s->patches_max;
    }
    for (size_t r = 0; t->stride > t->n_cols && r < (size_t)n_open * s->piece_rows; r++) {
        memset(s->codes + r * t->stride + t->n_cols, 0, t->stride - t->n_cols);
    }
}

void rusk_weights_warm_scratch(const rusk_weights_tensor *t, size_t *codes_bytes, size_t *n_rows) {
    const uint32_t one = rusk_weights_tile_rows(t->block_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES);
    const uint32_t two =
        rusk_weights_tile_rows(t->block_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES / 2);
    *n_rows = one;
    *codes_bytes = RUSK_MAX((size_t)one, 2 * (size_t)two) * t->stride;
}

/* While a block is decoded, the one that this worker takes next is asked for, as far as one can
 * tell which: in this matrix or a later one. A block is several streams, each too short for the
 * processor's own look-ahead. */
static void look_ahead(const rusk_weights_worker *s, rusk_weights_walk *walk) {
    const rusk_weights_tensor *t = s->t;
    rusk_decoder *d = &walk->decoder.decoder;
    uint32_t block = walk->block + s->blocks_ahead;
    while (block >= t->n_blocks) {
        block -= t->n_blocks;
        t = t->next_warm;
    }
    d->ahead = t->blocks[block].data;
    d->ahead_row_bytes = t->blocks[block].len_bytes / d->shape.n_rows;
}

static rusk_status begin(rusk_weights_worker *s, unsigned i, uint32_t block, rusk_error *inner) {
    const rusk_weights_tensor *t = s->t;
    rusk_weights_walk *walk = &s->walks[i];
    const rusk_block_shape shape = rusk_weights_block_shape(t, block);
    walk->block = block;
    walk->row = block * t->block_rows;
    walk->end = walk->row + shape.n_rows;
    walk->n_rows = 0;
    RUSK_TRY(rusk_block_begin(&walk->decoder, t->codec, t->tables, &shape, t->blocks[block].data,
                              t->blocks[block].len_bytes, inner));
    look_ahead(s, walk);
    return RUSK_OK;
}

/* Decodes the next n_rows rows of n blocks from walk i on. */
static rusk_status decode(rusk_weights_worker *s, unsigned i, unsigned n, uint32_t n_rows,
                          unsigned *failed, rusk_error *inner) {
    rusk_block_decoder *decoders[2] = {NULL};
    int8_t *out[2] = {NULL};
    rusk_patch *patches[2] = {NULL};
    size_t n_patches[2];
    for (unsigned k = 0; k < n; k++) {
        rusk_weights_walk *walk = &s->walks[i + k];
        decoders[k] = &walk->decoder;
        out[k] = walk->codes;
        patches[k] = walk->patches;
    }
    RUSK_TRY(
        rusk_block_rows(decoders, n, n_rows, out, s->t->stride, patches, n_patches, failed, inner));
    for (unsigned k = 0; k < n; k++) {
        rusk_weights_walk *walk = &s->walks[i + k];
        walk->n_patches = n_patches[k];
        walk->n_rows = n_rows;
    }
    return RUSK_OK;
}

static uint32_t rows_left(const rusk_weights_walk *walk) {
    return walk->end - walk->row;
}

/* Block number i of those open is at fault; where it is the second, the first may be, too, further
 * on: what is reported must not depend on which blocks were decoded together. */
static rusk_status fail(rusk_weights_worker *s, unsigned i, rusk_status status,
                        const rusk_error *inner, rusk_error *err) {
    rusk_error first = {.offset = RUSK_NO_OFFSET};
    const uint32_t block = s->part + i;
    rusk_status earlier = i > 0 ? begin(s, 0, s->part, &first) : RUSK_OK;
    s->n_parts = 0;
    while (i > 0 && earlier == RUSK_OK && rows_left(&s->walks[0]) > 0) {
        unsigned failed;
        const uint32_t n_rows = RUSK_MIN(s->piece_rows, rows_left(&s->walks[0]));
        earlier = decode(s, 0, 1, n_rows, &failed, &first);
        s->walks[0].row += n_rows;
    }
    return earlier == RUSK_OK ? rusk_weights_fail_block(err, s->t, block, status, inner)
                              : rusk_weights_fail_block(err, s->t, s->part, earlier, &first);
}

rusk_status rusk_weights_warm_open(rusk_weights_worker *s, rusk_error *err) {
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    lay_out(s, s->n_parts);
    for (unsigned i = 0; i < s->n_parts; i++) {
        rusk_status status = begin(s, i, s->part + i, &inner);
        if (status != RUSK_OK) {
            return fail(s, i, status, &inner, err);
        }
    }
    return RUSK_OK;
}

/* Decodes a piece of each block that has rows left. */
static rusk_status decode_pieces(rusk_weights_worker *s, rusk_error *err) {
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    unsigned first = 0, n = s->n_parts, failed = 0;
    while (n > 0 && rows_left(&s->walks[first]) == 0) {
        first++;
        n--;
    }
    while (n > 0 && rows_left(&s->walks[first + n - 1]) == 0) {
        n--;
    }
    if (n == 0) {
        return RUSK_OK;
    }
    uint32_t n_rows = RUSK_MIN(s->piece_rows, rows_left(&s->walks[first]));
    n_rows = RUSK_MIN(n_rows, rows_left(&s->walks[first + n - 1]));
    rusk_status status = decode(s, first, n, n_rows, &failed, &inner);
    return status == RUSK_OK ? RUSK_OK : fail(s, first + failed, status, &inner, err);
}

static void fill_tile(const rusk_weights_tensor *t, const rusk_weights_walk *walk,
                      rusk_tile *tile) {
    *tile = (rusk_tile){.kind = RUSK_TILE_I8,
                        .n_rows = walk->n_rows,
                        .n_cols = t->n_cols,
                        .data = walk->codes,
                        .stride_bytes = t->stride,
                        .row_scale = t->row_scales + walk->row,
                        .offset = t->symbol_offset,
                        .patches = walk->patches,
                        .n_patches = walk->n_patches};
}

rusk_status rusk_weights_warm_next(rusk_weights_worker *s, rusk_tile *tile, uint32_t *row,
                                   rusk_error *err) {
    for (int attempt = 0; attempt < 2; attempt++) {
        for (unsigned i = 0; i < s->n_parts; i++) {
            rusk_weights_walk *walk = &s->walks[i];
            if (walk->n_rows > 0) {
                fill_tile(s->t, walk, tile);
                *row = walk->row;
                walk->row += walk->n_rows;
                walk->n_rows = 0;
                return RUSK_OK;
            }
        }
        RUSK_TRY(decode_pieces(s, err));
    }
    *tile = (rusk_tile){.n_cols = s->t->n_cols};
    return RUSK_OK;
}

rusk_status rusk_weights_warm_row(rusk_weights_worker *s, uint32_t row, rusk_tile *tile,
                                  rusk_error *err) {
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    rusk_weights_walk *walk = &s->walks[0];
    unsigned failed;
    s->part = row / s->t->block_rows;
    s->n_parts = 1;
    lay_out(s, 1);
    rusk_status status = begin(s, 0, s->part, &inner);
    while (status == RUSK_OK) {
        const uint32_t n_rows = RUSK_MIN(s->piece_rows, row + 1 - walk->row);
        status = decode(s, 0, 1, n_rows, &failed, &inner);
        if (status == RUSK_OK && walk->row + n_rows > row) {
            fill_tile(s->t, walk, tile);
            s->n_parts = 0;
            return RUSK_OK;
        }
        walk->row += n_rows;
    }
    return fail(s, 0, status, &inner, err);
}
