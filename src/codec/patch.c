/* patch.c - a stored block: a list of corrections, then the codec's payload.
 *
 *     n | gap, delta | gap, delta | ... | payload          all varints; deltas zigzag
 *
 * The list serves two ends: outliers beyond +-127, which stay patches for whoever multiplies, and
 * symbols too rare for a code of their own, which encode folds to a neighbour and decode mends. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "codec/codec.h"

static uint64_t zigzag(int32_t v) {
    return v < 0 ? (uint64_t)(-(int64_t)v) * 2 - 1 : (uint64_t)v * 2;
}

/* --- writing -------------------------------------------------------------------------------- */

/* Walks the symbols and the caller's patches together and gives the patches to store, in order. */
typedef struct patch_walk {
    const rusk_block_shape *shape;
    const int8_t *symbols;
    const int8_t *fold[RUSK_CODEC_CLASSES];
    const rusk_patch *given;
    size_t n_given;
    uint32_t row, col; /* where to go on */
} patch_walk;

static bool next_patch(patch_walk *w, rusk_patch *patch) {
    const rusk_block_shape *shape = w->shape;
    for (; w->row < shape->n_rows; w->row++, w->col = 0) {
        const int8_t *map = w->fold[shape->row_classes[w->row]];
        uint32_t start = w->row * shape->n_cols;
        while (w->col < shape->n_cols) {
            uint32_t position = start + w->col++;
            int8_t symbol = w->symbols[position], folded = map[(uint8_t)symbol ^ 0x80];
            bool outlier = w->n_given > 0 && w->given->position == position;
            if (folded == symbol && !outlier) {
                continue;
            }
            *patch = (rusk_patch){.position = position, .delta = (int32_t)symbol - folded};
            if (outlier) {
                patch->delta += w->given->delta;
                w->given++;
                w->n_given--;
            }
            return true;
        }
    }
    return false;
}

static rusk_status start_walk(patch_walk *w, const rusk_codec *codec,
                              const rusk_codec_tables *tables, const rusk_block_shape *shape,
                              const rusk_patch *patches, size_t n_patches, rusk_error *err) {
    uint64_t end = (uint64_t)shape->n_rows * shape->n_cols;
    if (end == 0 || end > UINT32_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected 1 to 2^32 - 1 symbols, found %u x %u", shape->n_rows,
                         shape->n_cols);
    }
    for (size_t r = 0; r < shape->n_rows; r++) {
        unsigned c = shape->row_classes[r];
        if (c >= RUSK_CODEC_CLASSES || codec->fold(tables, c) == NULL) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "row %zu: expected a class with a table, found class %u", r, c);
        }
        w->fold[c] = codec->fold(tables, c);
    }
    for (size_t i = 0; i < n_patches; i++) {
        int32_t delta = patches[i].delta;
        if (patches[i].position >= end ||
            (i > 0 && patches[i].position <= patches[i - 1].position) || delta == 0 ||
            delta > RUSK_PATCH_MAX_DELTA || delta < -RUSK_PATCH_MAX_DELTA) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "patch %zu: expected ascending positions below %llu and deltas within "
                             "+-%d, found position %u, delta %d",
                             i, (unsigned long long)end, RUSK_PATCH_MAX_DELTA, patches[i].position,
                             delta);
        }
    }
    return RUSK_OK;
}

/* Encodes with uncoded symbols folded; a copy is made only where there are some. */
static rusk_status encode_folded(const rusk_codec *codec, const rusk_codec_tables *tables,
                                 const patch_walk *walk, rusk_strbuf *out, rusk_error *err) {
    const rusk_block_shape *shape = walk->shape;
    size_t n = (size_t)shape->n_rows * shape->n_cols;
    int8_t *copy = NULL;
    for (size_t i = 0, r = 0; r < shape->n_rows; r++) {
        const int8_t *map = walk->fold[shape->row_classes[r]];
        for (size_t end = i + shape->n_cols; i < end; i++) {
            int8_t symbol = walk->symbols[i], folded = map[(uint8_t)symbol ^ 0x80];
            if (folded != symbol && copy == NULL) {
                copy = rusk_alloc_get(out->alloc, RUSK_MEM_SCRATCH, n);
                if (copy == NULL) {
                    return rusk_fail_memory(err, n, "a block's symbols");
                }
                memcpy(copy, walk->symbols, n);
            }
            if (folded != symbol) {
                copy[i] = folded;
            }
        }
    }
    rusk_status status =
        codec->encode(tables, shape, copy != NULL ? copy : walk->symbols, out, err);
    rusk_alloc_put(out->alloc, copy);
    return status;
}

rusk_status rusk_block_encode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const int8_t *symbols,
                              const rusk_patch *patches, size_t n_patches, rusk_strbuf *out,
                              rusk_error *err) {
    patch_walk start = {.shape = shape, .symbols = symbols, .given = patches, .n_given = n_patches};
    RUSK_TRY(start_walk(&start, codec, tables, shape, patches, n_patches, err));
    patch_walk walk = start;
    rusk_patch patch;
    uint64_t n = 0, expected = 0;
    while (next_patch(&walk, &patch)) {
        n++;
    }
    rusk_strbuf_add_varint(out, n);
    walk = start;
    while (next_patch(&walk, &patch)) {
        rusk_strbuf_add_varint(out, patch.position - expected);
        rusk_strbuf_add_varint(out, zigzag(patch.delta));
        expected = (uint64_t)patch.position + 1;
    }
    if (out->failed) {
        return rusk_fail_memory(err, (size_t)n, "patch list");
    }
    return encode_folded(codec, tables, &start, out, err);
}

/* --- reading -------------------------------------------------------------------------------- */

static rusk_status read_count(rusk_reader *in, const rusk_block_shape *shape, uint64_t *n,
                              rusk_error *err) {
    uint64_t most = (uint64_t)shape->n_rows * shape->n_cols;
    *n = rusk_reader_varint(in);
    /* a patch takes at least two bytes */
    if (!rusk_reader_ok(in) || *n > most || *n > rusk_reader_left(in) / 2) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "patch list: expected a count that fits %zu bytes and %llu symbols, found "
                         "%llu",
                         in->len_bytes, (unsigned long long)most, (unsigned long long)*n);
    }
    return RUSK_OK;
}

/* Most are one byte long. */
static uint64_t read_varint(rusk_reader *in) {
    if (in->pos < in->len_bytes && in->data[in->pos] < 0x80 && !in->bad) {
        return in->data[in->pos++];
    }
    return rusk_reader_varint(in);
}

/* Advances *position from the last patch's place + 1 to this one's + 1. */
static rusk_status read_patch(rusk_reader *in, const rusk_block_shape *shape, uint64_t *position,
                              rusk_patch *patch, rusk_error *err) {
    uint64_t end = (uint64_t)shape->n_rows * shape->n_cols, left = end - *position;
    uint64_t gap = read_varint(in), coded = read_varint(in);
    if (!rusk_reader_ok(in) || gap >= left || coded == 0 ||
        coded > (uint64_t)2 * RUSK_PATCH_MAX_DELTA) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "patch list: expected a gap below %llu and a delta within +-%d but 0, "
                         "found gap %llu, coded delta %llu",
                         (unsigned long long)left, RUSK_PATCH_MAX_DELTA, (unsigned long long)gap,
                         (unsigned long long)coded);
    }
    *patch = (rusk_patch){.position = (uint32_t)(*position + gap),
                          .delta = (coded & 1) != 0 ? -(int32_t)((coded + 1) / 2)
                                                    : (int32_t)(coded / 2)};
    *position += gap + 1;
    return RUSK_OK;
}

rusk_status rusk_block_patch_count(const uint8_t *data, size_t len_bytes,
                                   const rusk_block_shape *shape, size_t *n, rusk_error *err) {
    rusk_reader in = rusk_reader_over(data, len_bytes);
    uint64_t count;
    RUSK_TRY(read_count(&in, shape, &count, err));
    *n = (size_t)count;
    return RUSK_OK;
}

/* Adds what stays within -127..127 to the symbols and gives the rest. The list is known to be
 * sound. */
static rusk_status apply_patches(rusk_reader *list, const rusk_block_shape *shape, uint64_t count,
                                 int8_t *out, size_t stride, rusk_patch *patches, size_t *n_patches,
                                 rusk_error *err) {
    uint64_t position = 0, row_start = 0;
    rusk_patch patch = {0};
    for (uint64_t i = 0; i < count; i++) {
        RUSK_TRY(read_patch(list, shape, &position, &patch, err));
        while (patch.position - row_start >= shape->n_cols) { /* rows are few, divisions slow */
            row_start += shape->n_cols;
            out += stride;
        }
        int8_t *at = out + (patch.position - row_start);
        int32_t value = *at + patch.delta;
        if (value >= -RUSK_CODEC_MAX_SYMBOL && value <= RUSK_CODEC_MAX_SYMBOL) {
            *at = (int8_t)value;
        } else {
            patches[(*n_patches)++] = patch;
        }
    }
    return RUSK_OK;
}

rusk_status rusk_block_decode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                              int8_t *out, size_t stride, rusk_patch *patches, size_t *n_patches,
                              rusk_error *err) {
    rusk_reader in = rusk_reader_over(data, len_bytes);
    uint64_t count, position = 0;
    rusk_patch patch = {0};
    *n_patches = 0;
    if ((uint64_t)shape->n_rows * shape->n_cols > UINT32_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at most 2^32 - 1 symbols, found %u x %u", shape->n_rows,
                         shape->n_cols);
    }
    RUSK_TRY(read_count(&in, shape, &count, err));
    rusk_reader list = in;
    for (uint64_t i = 0; i < count; i++) { /* the payload starts where the list ends */
        RUSK_TRY(read_patch(&in, shape, &position, &patch, err));
    }
    rusk_error inner;
    rusk_status status =
        codec->decode(tables, shape, data + in.pos, len_bytes - in.pos, out, stride, &inner);
    if (status != RUSK_OK) {
        uint64_t off = inner.offset == RUSK_NO_OFFSET ? inner.offset : inner.offset + in.pos;
        return rusk_fail(err, status, off, "%s", inner.message);
    }
    return apply_patches(&list, shape, count, out, stride, patches, n_patches, err);
}
