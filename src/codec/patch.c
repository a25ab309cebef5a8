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

/* A block on its way in: what its symbols become, and the list that says so. */
typedef struct patch_writer {
    const rusk_block_shape *shape;
    const int8_t *symbols;
    const int8_t *fold[RUSK_CODEC_CLASSES];
    bool folds[RUSK_CODEC_CLASSES]; /* some symbol to another one */
    const rusk_patch *given, *given_end;
    int8_t *folded; /* a copy; NULL while no symbol is folded */
    rusk_strbuf list;
    uint64_t n_patches, position; /* position: of the last patch, plus 1 */
    bool too_far;                 /* a delta beyond the limit, folding and the caller's in one */
} patch_writer;

static void put_patch(patch_writer *w, uint64_t position, int32_t delta) {
    if (delta == 0) { /* folded, and given back by the caller's patch */
        return;
    }
    w->too_far |= delta > RUSK_PATCH_MAX_DELTA || delta < -RUSK_PATCH_MAX_DELTA;
    rusk_strbuf_add_varint(&w->list, position - w->position);
    rusk_strbuf_add_varint(&w->list, zigzag(delta));
    w->position = position + 1;
    w->n_patches++;
}

static rusk_status start_writer(patch_writer *w, const rusk_codec *codec,
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

static bool copy_symbols(patch_writer *w) {
    size_t n = (size_t)w->shape->n_rows * w->shape->n_cols;
    w->folded = rusk_alloc_get(w->list.alloc, RUSK_MEM_SCRATCH, n);
    w->list.failed |= w->folded == NULL;
    if (w->folded != NULL) {
        memcpy(w->folded, w->symbols, n);
    }
    return w->folded != NULL;
}

/* Patches of n symbols from `start` on, all of one class. */
static void patch_some(patch_writer *w, const int8_t *map, uint64_t start, size_t n) {
    for (uint64_t position = start; position < start + n; position++) {
        int8_t symbol = w->symbols[position], folded = map[(uint8_t)symbol ^ 0x80];
        int32_t delta = (int32_t)symbol - folded;
        bool outlier = w->given < w->given_end && w->given->position == position;
        if (delta == 0 && !outlier) {
            continue;
        }
        if (delta != 0 && (w->folded != NULL || copy_symbols(w))) {
            w->folded[position] = folded;
        }
        put_patch(w, position, delta + (outlier ? w->given->delta : 0));
        w->given += outlier;
    }
}

static bool folds_some(const int8_t *map, const int8_t *symbols, size_t n) {
    unsigned different = 0;
    for (size_t i = 0; i < n; i++) {
        different |= (unsigned)(map[(uint8_t)symbols[i] ^ 0x80] ^ symbols[i]);
    }
    return different != 0;
}

/* Most runs of symbols have no patch, and are not worth a branch a symbol. */
static void patch_row(patch_writer *w, size_t row) {
    enum { RUN = 64 };
    unsigned c = w->shape->row_classes[row];
    uint64_t start = (uint64_t)row * w->shape->n_cols, end = start + w->shape->n_cols;
    for (; start < end; start += RUN) {
        size_t n = (size_t)RUSK_MIN(end - start, (uint64_t)RUN);
        if ((w->given < w->given_end && w->given->position < start + n) ||
            (w->folds[c] && folds_some(w->fold[c], w->symbols + start, n))) {
            patch_some(w, w->fold[c], start, n);
        }
    }
}

rusk_status rusk_block_encode(const rusk_codec *codec, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const int8_t *symbols,
                              const rusk_patch *patches, size_t n_patches, rusk_strbuf *out,
                              rusk_error *err) {
    patch_writer w = {.shape = shape, .symbols = symbols};
    RUSK_TRY(start_writer(&w, codec, tables, shape, patches, n_patches, err));
    w.given = patches;
    w.given_end = n_patches > 0 ? patches + n_patches : patches;
    rusk_strbuf_init(&w.list, out->alloc, RUSK_MEM_SCRATCH);
    for (size_t r = 0; r < shape->n_rows; r++) {
        patch_row(&w, r);
    }
    rusk_strbuf_add_varint(out, w.n_patches);
    rusk_strbuf_add(out, w.list.data, w.list.len_bytes);
    rusk_status status = RUSK_OK;
    if (w.list.failed || out->failed) {
        status = rusk_fail_memory(err, w.list.len_bytes, "a block's symbols and patches");
    } else if (w.too_far) {
        status = rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                           "block: expected patches within +-%d of the symbols coded, found one "
                           "farther away",
                           RUSK_PATCH_MAX_DELTA);
    } else {
        status = codec->encode(tables, shape, w.folded != NULL ? w.folded : symbols, out, err);
    }
    rusk_alloc_put(out->alloc, w.folded);
    rusk_strbuf_finish(&w.list);
    return status;
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

/* The varint at *at, of which the list has all bytes. Most are one byte long. */
static inline uint64_t take_varint(const uint8_t **at, const uint8_t *end, bool *bad) {
    if (**at < 0x80) {
        return *(*at)++;
    }
    rusk_reader in = rusk_reader_over(*at, (size_t)(end - *at));
    uint64_t v = rusk_reader_varint(&in);
    *at += in.pos;
    *bad |= !rusk_reader_ok(&in);
    return v;
}

/* Reads a patch and moves the cursor past it. */
static inline bool take_patch(rusk_patch_cursor *c, const uint8_t *list_end, uint64_t block_end,
                              rusk_patch *patch) {
    bool bad = false;
    uint64_t gap = take_varint(&c->next, list_end, &bad);
    if (bad || gap >= block_end - c->position) {
        return false;
    }
    uint64_t coded = take_varint(&c->next, list_end, &bad);
    if (bad || coded == 0 || coded > (uint64_t)2 * RUSK_PATCH_MAX_DELTA) {
        return false;
    }
    patch->position = (uint32_t)(c->position + gap);
    patch->delta = (int32_t)((uint32_t)coded >> 1 ^ (0 - ((uint32_t)coded & 1)));
    c->position += gap + 1;
    c->n_left--;
    return true;
}

static rusk_status fail_patch(const rusk_block_decoder *d, const rusk_patch_cursor *c,
                              rusk_error *err) {
    const rusk_block_shape *shape = &d->decoder.shape;
    rusk_reader in = rusk_reader_over(d->data, (size_t)(d->decoder.data - d->data));
    in.pos = (size_t)(c->next - d->data);
    uint64_t left = (uint64_t)shape->n_rows * shape->n_cols - c->position;
    uint64_t gap = rusk_reader_varint(&in), coded = rusk_reader_varint(&in);
    return rusk_fail(err, RUSK_FORMAT, in.pos,
                     "patch list: expected a gap below %llu and a delta within +-%d but 0, "
                     "found gap %llu, coded delta %llu",
                     (unsigned long long)left, RUSK_PATCH_MAX_DELTA, (unsigned long long)gap,
                     (unsigned long long)coded);
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
    d->codec = codec;
    d->data = data;
    d->patches = (rusk_patch_cursor){0};
    d->decoder.shape = *shape;
    d->decoder.next_row = 0;
    rusk_reader in = rusk_reader_over(data, len_bytes);
    uint64_t count;
    rusk_error inner;
    if ((uint64_t)shape->n_rows * shape->n_cols > UINT32_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at most 2^32 - 1 symbols, found %u x %u", shape->n_rows,
                         shape->n_cols);
    }
    RUSK_TRY(read_count(&in, shape, &count, err));
    d->patches = (rusk_patch_cursor){.next = data + in.pos, .n_left = (size_t)count};
    const uint8_t *payload = skip_varints(d->patches.next, data + len_bytes, 2 * count);
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
    return RUSK_OK;
}

/* Adds what stays within -127..127 to the last n_rows rows decoded and gives the rest. How a codec
 * split an outlier into symbol and patch depends on which symbols it folds; what comes out does
 * not, so that the bits of a product do not, either.
 *
 * What changes is held in locals: a store to int8_t could mean any of it. */
static rusk_status apply_patches(rusk_block_decoder *d, uint32_t n_rows, int8_t *out, size_t stride,
                                 rusk_patch *patches, size_t *n_patches, rusk_error *err) {
    const uint8_t *list_end = d->decoder.data;
    uint64_t n_cols = d->decoder.shape.n_cols, block_end = d->decoder.shape.n_rows * n_cols;
    uint64_t first = (d->decoder.next_row - n_rows) * n_cols, row_start = first;
    uint64_t end = first + n_rows * n_cols;
    rusk_patch_cursor now = d->patches, after = now;
    rusk_patch *to = patches, patch;
    for (; now.n_left > 0; now = after) {
        if (!take_patch(&after, list_end, block_end, &patch)) {
            return fail_patch(d, &now, err);
        }
        if (patch.position >= end) {
            break;
        }
        for (; patch.position - row_start >= n_cols; out += stride) { /* quicker than to divide */
            row_start += n_cols;
        }
        int8_t *at = out + (patch.position - row_start);
        int32_t value = *at + patch.delta;
        int32_t symbol = RUSK_MAX(RUSK_MIN(value, RUSK_CODEC_MAX_SYMBOL), -RUSK_CODEC_MAX_SYMBOL);
        *at = (int8_t)symbol;
        if (symbol != value) {
            *to++ = (rusk_patch){.position = (uint32_t)(patch.position - first),
                                 .delta = value - symbol};
        }
    }
    d->patches = now;
    *n_patches = (size_t)(to - patches);
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
