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
    bool folds[RUSK_CODEC_CLASSES]; /* some symbol to another one */
    const rusk_patch *given;
    size_t n_given;
    uint32_t row, col; /* where to go on */
    uint64_t n_folded; /* symbols of the patches given so far */
} patch_walk;

static bool folds_some(const int8_t *map, const int8_t *symbols, size_t n) {
    size_t n_folded = 0;
    for (size_t i = 0; i < n; i++) {
        n_folded += map[(uint8_t)symbols[i] ^ 0x80] != symbols[i];
    }
    return n_folded > 0;
}

/* Most rows have no patch, and are not worth a branch a symbol. */
static bool is_plain(const patch_walk *w) {
    unsigned c = w->shape->row_classes[w->row];
    size_t n_cols = w->shape->n_cols, start = w->row * n_cols;
    return w->col == 0 && !(w->n_given > 0 && w->given->position < start + n_cols) &&
           !(w->folds[c] && folds_some(w->fold[c], w->symbols + start, n_cols));
}

static bool next_patch(patch_walk *w, rusk_patch *patch) {
    const rusk_block_shape *shape = w->shape;
    for (; w->row < shape->n_rows; w->row++, w->col = 0) {
        const int8_t *map = w->fold[shape->row_classes[w->row]];
        uint32_t start = w->row * shape->n_cols;
        if (is_plain(w)) {
            continue;
        }
        while (w->col < shape->n_cols) {
            uint32_t position = start + w->col++;
            int8_t symbol = w->symbols[position], folded = map[(uint8_t)symbol ^ 0x80];
            bool outlier = w->n_given > 0 && w->given->position == position;
            if (folded == symbol && !outlier) {
                continue;
            }
            *patch = (rusk_patch){.position = position, .delta = (int32_t)symbol - folded};
            w->n_folded += folded != symbol;
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
        if (w->fold[c] == NULL) {
            w->fold[c] = codec->fold(tables, c);
            for (int i = 1; i < RUSK_CODEC_ALPHABET; i++) {
                w->folds[c] = w->folds[c] || w->fold[c][i] != i - 128;
            }
        }
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

/* Encodes a copy with uncoded symbols folded. */
static rusk_status encode_folded(const rusk_codec *codec, const rusk_codec_tables *tables,
                                 const patch_walk *walk, rusk_strbuf *out, rusk_error *err) {
    const rusk_block_shape *shape = walk->shape;
    size_t n = (size_t)shape->n_rows * shape->n_cols;
    int8_t *copy = rusk_alloc_get(out->alloc, RUSK_MEM_SCRATCH, n);
    if (copy == NULL) {
        return rusk_fail_memory(err, n, "a block's symbols");
    }
    for (size_t i = 0, r = 0; r < shape->n_rows; r++) {
        const int8_t *map = walk->fold[shape->row_classes[r]];
        for (size_t end = i + shape->n_cols; i < end; i++) {
            copy[i] = map[(uint8_t)walk->symbols[i] ^ 0x80];
        }
    }
    rusk_status status = codec->encode(tables, shape, copy, out, err);
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
    bool any_folded = walk.n_folded > 0;
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
    return any_folded ? encode_folded(codec, tables, &start, out, err)
                      : codec->encode(tables, shape, symbols, out, err);
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

rusk_status rusk_block_patch_count(const uint8_t *data, size_t len_bytes,
                                   const rusk_block_shape *shape, size_t *n, rusk_error *err) {
    rusk_reader in = rusk_reader_over(data, len_bytes);
    uint64_t count;
    RUSK_TRY(read_count(&in, shape, &count, err));
    *n = (size_t)count;
    return RUSK_OK;
}

/* The byte after n varints, NULL where they do not end before `end`. */
static const uint8_t *skip_varints(const uint8_t *at, const uint8_t *end, uint64_t n) {
    const uint64_t ones = 0x0101010101010101U;
    while (n >= 8 && end - at >= 8) { /* a varint's last byte has its highest bit clear */
        n -= ((~rusk_load_u64(at) >> 7 & ones) * ones) >> 56;
        at += 8;
    }
    for (; n > 0 && at < end; at++) {
        n -= *at < 0x80;
    }
    return n == 0 ? at : NULL;
}

/* Reads the patch after d->next, whose position + 1 is `from`. */
static rusk_status read_patch(rusk_block_decoder *d, uint64_t from, rusk_error *err) {
    const rusk_block_shape *shape = &d->decoder.shape;
    rusk_reader in = rusk_reader_over(d->list, (size_t)(d->decoder.data - d->list));
    uint64_t left = (uint64_t)shape->n_rows * shape->n_cols - from;
    uint64_t gap = rusk_reader_varint(&in), coded = rusk_reader_varint(&in);
    d->list += in.pos;
    if (!rusk_reader_ok(&in) || gap >= left || coded == 0 ||
        coded > (uint64_t)2 * RUSK_PATCH_MAX_DELTA) {
        return rusk_fail(err, RUSK_FORMAT, (uint64_t)(d->list - d->data),
                         "patch list: expected a gap below %llu and a delta within +-%d but 0, "
                         "found gap %llu, coded delta %llu",
                         (unsigned long long)left, RUSK_PATCH_MAX_DELTA, (unsigned long long)gap,
                         (unsigned long long)coded);
    }
    d->next.position = (uint32_t)(from + gap);
    d->next.delta = (coded & 1) != 0 ? -(int32_t)((coded + 1) / 2) : (int32_t)(coded / 2);
    return RUSK_OK;
}

/* An error in the payload, its offset in the block. */
static rusk_status fail_inside(const rusk_block_decoder *d, rusk_status status,
                               const rusk_error *inner, rusk_error *err) {
    uint64_t off = inner->offset;
    off += off == RUSK_NO_OFFSET ? 0 : (uint64_t)(d->decoder.data - d->data);
    return rusk_fail(err, status, off, "%s", inner->message);
}

rusk_status rusk_block_begin(rusk_block_decoder *d, const rusk_codec *codec,
                             const rusk_codec_tables *tables, const rusk_block_shape *shape,
                             const uint8_t *data, size_t len_bytes, rusk_error *err) {
    rusk_reader in = rusk_reader_over(data, len_bytes);
    uint64_t count;
    rusk_error inner;
    if ((uint64_t)shape->n_rows * shape->n_cols > UINT32_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at most 2^32 - 1 symbols, found %u x %u", shape->n_rows,
                         shape->n_cols);
    }
    RUSK_TRY(read_count(&in, shape, &count, err));
    d->codec = codec;
    d->data = data;
    d->list = data + in.pos;
    d->n_patches_left = (size_t)count;
    const uint8_t *payload = skip_varints(d->list, data + len_bytes, 2 * count);
    if (payload == NULL) {
        return rusk_fail(err, RUSK_FORMAT, len_bytes,
                         "patch list: expected %llu patches, found the block's end",
                         (unsigned long long)count);
    }
    rusk_status status = codec->begin(&d->decoder, tables, shape, payload,
                                      len_bytes - (size_t)(payload - data), &inner);
    if (status != RUSK_OK) {
        d->decoder.data = payload;
        return fail_inside(d, status, &inner, err);
    }
    return count > 0 ? read_patch(d, 0, err) : RUSK_OK;
}

/* Adds what stays within -127..127 to the last n_rows rows decoded and gives the rest. How a codec
 * split an outlier into symbol and patch depends on which symbols it folds; what comes out does
 * not, so that the bits of a product do not, either. */
static rusk_status apply_patches(rusk_block_decoder *d, uint32_t n_rows, int8_t *out, size_t stride,
                                 rusk_patch *patches, size_t *n_patches, rusk_error *err) {
    uint32_t n_cols = d->decoder.shape.n_cols;
    uint64_t first = (uint64_t)(d->decoder.next_row - n_rows) * n_cols, row_start = first;
    uint64_t end = first + (uint64_t)n_rows * n_cols;
    while (d->n_patches_left > 0 && d->next.position < end) {
        rusk_patch patch = d->next;
        while (patch.position - row_start >= n_cols) { /* rows are few, divisions slow */
            row_start += n_cols;
            out += stride;
        }
        int8_t *at = out + (patch.position - row_start);
        int32_t value = *at + patch.delta;
        int32_t symbol = RUSK_MAX(RUSK_MIN(value, RUSK_CODEC_MAX_SYMBOL), -RUSK_CODEC_MAX_SYMBOL);
        *at = (int8_t)symbol;
        if (symbol != value) {
            patches[(*n_patches)++] = (rusk_patch){.position = (uint32_t)(patch.position - first),
                                                   .delta = value - symbol};
        }
        if (--d->n_patches_left > 0) {
            RUSK_TRY(read_patch(d, (uint64_t)patch.position + 1, err));
        }
    }
    return RUSK_OK;
}

rusk_status rusk_block_rows(rusk_block_decoder *const *d, unsigned n, uint32_t n_rows,
                            int8_t *const *out, size_t stride, rusk_patch *const *patches,
                            size_t *n_patches, unsigned *failed, rusk_error *err) {
    rusk_decoder *decoders[2] = {NULL, NULL};
    rusk_error inner;
    for (unsigned i = 0; i < n; i++) {
        uint32_t left = d[i]->decoder.shape.n_rows - d[i]->decoder.next_row;
        n_patches[i] = 0;
        decoders[i] = &d[i]->decoder;
        if (n_rows > left) {
            *failed = i;
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "block: expected at most %u rows, those left, found %u", left, n_rows);
        }
    }
    rusk_status status = d[0]->codec->rows(decoders, n, n_rows, out, stride, failed, &inner);
    if (status != RUSK_OK) {
        return fail_inside(d[*failed], status, &inner, err);
    }
    for (unsigned i = 0; i < n; i++) {
        *failed = i;
        RUSK_TRY(apply_patches(d[i], n_rows, out[i], stride, patches[i], &n_patches[i], err));
    }
    return RUSK_OK;
}

rusk_status rusk_block_decode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                              int8_t *out, size_t stride, rusk_patch *patches, size_t *n_patches,
                              rusk_error *err) {
    rusk_block_decoder decoder, *d = &decoder;
    unsigned failed;
    *n_patches = 0;
    RUSK_TRY(rusk_block_begin(d, codec, tables, shape, data, len_bytes, err));
    return rusk_block_rows(&d, 1, shape->n_rows, &out, stride, &patches, n_patches, &failed, err);
}
