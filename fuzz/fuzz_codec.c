/* fuzz_codec.c - tables and blocks of every codec on any bytes.
 *
 *     codec | n_rows (1..64) | u16 n_cols (1..1024) | u16 blob length | classes | blob | block
 *
 * Where a block decodes, its symbols must be in range, decoding it in pieces must give the same,
 * and encoding them again must decode to the same. Variants of decoders must agree. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/a16.h"
#include "codec/fields.h"
#include "codec/rans.h"
#include "codec/sample.h"

enum { HEAD_BYTES = 6, MOST_ROWS = 64, MOST_COLS = 1024 };

static int8_t symbols[MOST_ROWS * MOST_COLS], again[MOST_ROWS * MOST_COLS];
static rusk_patch patches[MOST_ROWS * MOST_COLS], patches_again[MOST_ROWS * MOST_COLS];

static void expect(bool holds) {
    if (!holds) {
        abort();
    }
}

static void check_encodes(const rusk_codec *codec, const rusk_codec_tables *tables,
                          const rusk_block_shape *shape, rusk_alloc *alloc, size_t n_patches) {
    static const uint8_t PADDING[RUSK_CODEC_OVERREAD];
    size_t n = (size_t)shape->n_rows * shape->n_cols, n_again;
    rusk_strbuf out;
    rusk_strbuf_init(&out, alloc, RUSK_MEM_WEIGHTS);
    for (size_t i = 0; i < n_patches; i++) { /* deltas near the limit are decode's, not encode's */
        if (abs(patches[i].delta) > RUSK_PATCH_MAX_DELTA) {
            patches[i].delta = 1000;
        }
    }
    expect(rusk_block_encode(codec, tables, shape, symbols, patches, n_patches, &out, NULL) ==
           RUSK_OK);
    size_t len = out.len_bytes;
    rusk_strbuf_add(&out, PADDING, sizeof PADDING);
    expect(rusk_block_decode(codec, tables, shape, (const uint8_t *)out.data, len, again,
                             shape->n_cols, patches_again, &n_again, NULL) == RUSK_OK);
    expect(memcmp(symbols, again, n) == 0 && n_again == n_patches);
    rusk_strbuf_finish(&out);
}

static void check_twins(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                        const uint8_t *data, size_t len) {
    size_t n = (size_t)shape->n_rows * shape->n_cols;
    memset(symbols, 0, n);
    memset(again, 0, n);
    rusk_status plain = rusk_rans_decode_with(rusk_rans_steps_ref, tables, shape, data, len,
                                              symbols, shape->n_cols, NULL);
    rusk_status fast = rusk_rans_decode_with(rusk_rans_steps_for(rusk_cpu_features()), tables,
                                             shape, data, len, again, shape->n_cols, NULL);
    expect(plain == fast && memcmp(symbols, again, n) == 0);
}

/* The a16 family: the fastest variant and the plain one agree on whether a block is sound. In which
 * row they find that it is not may differ: streams decoded together stop where one runs out. */
static void check_a16_twins(const rusk_codec *codec, rusk_codec_tables *tables,
                            const rusk_block_shape *shape, const uint8_t *data, size_t len) {
    rusk_a16_tables *t = (rusk_a16_tables *)tables;
    rusk_a16_rows fastest = t->rows;
    size_t n_patches;
    rusk_status status = rusk_block_decode(codec, tables, shape, data, len, symbols, shape->n_cols,
                                           patches, &n_patches, NULL);
    t->rows = rusk_a16_rows_ref;
    expect(rusk_block_decode(codec, tables, shape, data, len, again, shape->n_cols, patches_again,
                             &n_patches, NULL) == status);
    t->rows = fastest;
    size_t n = (size_t)shape->n_rows * shape->n_cols;
    expect(status != RUSK_OK || memcmp(symbols, again, n) == 0);
}

/* Whatever the bytes, taken as fields of each width. */
static void check_fields(const uint8_t *data, size_t len) {
    rusk_fields_get get = rusk_fields_get_for(rusk_cpu_features());
    for (unsigned width = 1; width <= RUSK_FIELD_MAX_WIDTH; width++) {
        size_t n = RUSK_MIN(len, sizeof symbols / RUSK_FIELD_MAX_WIDTH) / (8 * width);
        rusk_fields_get_ref(data, n, width, (uint8_t)len, (uint8_t *)symbols);
        get(data, n, width, (uint8_t)len, (uint8_t *)again);
        expect(memcmp(symbols, again, n * RUSK_FIELD_GROUP) == 0);
    }
}

/* Pieces of growing height, two decoders on the same block: what the whole block gave. */
static void check_pieces(const rusk_codec *codec, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len,
                         size_t n_patches) {
    static rusk_block_decoder decoders[2];
    static int8_t other[MOST_ROWS * MOST_COLS];
    static rusk_patch patches_other[MOST_ROWS * MOST_COLS];
    rusk_block_decoder *d[2] = {&decoders[0], &decoders[1]};
    size_t got[2], seen = 0;
    for (unsigned i = 0; i < 2; i++) {
        expect(rusk_block_begin(d[i], codec, tables, shape, data, len, NULL) == RUSK_OK);
    }
    for (uint32_t row = 0, rows = 1; row < shape->n_rows; row += rows++) {
        unsigned failed;
        size_t start = (size_t)row * shape->n_cols;
        int8_t *out[2] = {again, other};
        rusk_patch *to[2] = {patches_again, patches_other};
        rows = RUSK_MIN(rows, shape->n_rows - row);
        expect(rusk_block_rows(d, 2, rows, out, shape->n_cols, to, got, &failed, NULL) == RUSK_OK);
        expect(memcmp(again, symbols + start, (size_t)rows * shape->n_cols) == 0);
        expect(memcmp(other, symbols + start, (size_t)rows * shape->n_cols) == 0);
        expect(got[0] == got[1] && got[0] <= n_patches - seen);
        for (size_t i = 0; i < got[0]; i++, seen++) {
            expect(patches_again[i].position + start == patches[seen].position);
            expect(patches_again[i].delta == patches[seen].delta);
        }
    }
    expect(seen == n_patches);
}

static void try_block(const rusk_codec *codec, rusk_codec_tables *tables,
                      const rusk_block_shape *shape, const uint8_t *block, size_t len,
                      rusk_alloc *alloc) {
    size_t n_patches, n = (size_t)shape->n_rows * shape->n_cols;
    uint8_t *data = malloc(len + RUSK_CODEC_OVERREAD); /* exact, for the sanitizer */
    memcpy(data, block, len);
    memset(data + len, 0xEE, RUSK_CODEC_OVERREAD);
    if (strcmp(codec->name, "rans") == 0) {
        check_twins(tables, shape, data, len);
    } else if (strcmp(codec->name, "raw") == 0) {
        check_fields(data, len);
    } else {
        check_a16_twins(codec, tables, shape, data, len);
    }
    rusk_status status = rusk_block_decode(codec, tables, shape, data, len, symbols, shape->n_cols,
                                           patches, &n_patches, NULL);
    expect(status == RUSK_OK || status == RUSK_FORMAT);
    for (size_t i = 0; i < n && status == RUSK_OK; i++) {
        expect(symbols[i] != -128);
    }
    if (status == RUSK_OK) {
        check_pieces(codec, tables, shape, data, len, n_patches);
        check_encodes(codec, tables, shape, alloc, n_patches);
    }
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    rusk_reader in = rusk_reader_over(data, len_bytes);
    const rusk_codec *codec = rusk_codec_at(rusk_reader_u8(&in) % rusk_codec_count());
    rusk_block_shape shape = {.n_rows = 1 + rusk_reader_u8(&in) % MOST_ROWS};
    shape.n_cols = 1 + rusk_reader_u16(&in) % MOST_COLS;
    size_t blob_bytes = rusk_reader_u16(&in);
    shape.row_classes = rusk_reader_take(&in, shape.n_rows);
    const uint8_t *blob = rusk_reader_take(&in, blob_bytes);
    if (!rusk_reader_ok(&in)) {
        return 0;
    }
    rusk_alloc alloc;
    rusk_codec_tables *tables;
    rusk_alloc_init(&alloc, NULL);
    if (codec->open_tables(&tables, &alloc, blob, blob_bytes, NULL) == RUSK_OK) {
        try_block(codec, tables, &shape, data + in.pos, len_bytes - in.pos, &alloc);
        codec->close_tables(tables);
    }
    expect(alloc.bytes_total == 0);
    return 0;
}

/* Shapes and deviations of the seeds; each with every codec. */
static const struct {
    uint8_t n_rows;
    uint16_t n_cols;
    double sigma;
} SEEDS[] = {{1, 1, 1}, {2, 40, 0.3}, {3, 33, 30}, {16, 64, 3}, {5, 96, 0.01}, {64, 576, 2}};

size_t fuzz_seed_count(void) {
    return RUSK_COUNT(SEEDS) * rusk_codec_count();
}

static size_t make_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static rusk_hist hist;
    size_t which = index % RUSK_COUNT(SEEDS), c = index / RUSK_COUNT(SEEDS);
    size_t n_rows = SEEDS[which].n_rows, n_cols = SEEDS[which].n_cols;
    const rusk_codec *codec = rusk_codec_at(c);
    uint8_t classes[MOST_ROWS];
    rusk_alloc alloc;
    rusk_strbuf out, blob;
    rusk_codec_tables *tables;
    rusk_hist_clear(&hist);
    for (size_t r = 0; r < n_rows; r++) {
        int8_t *row = symbols + r * n_cols;
        classes[r] = (uint8_t)(r % 3 * 5);
        rusk_sample_gaussian(row, n_cols, SEEDS[which].sigma * (double)(1 + r % 3), r + 1);
        rusk_hist_add(&hist, classes[r], row, n_cols);
    }
    symbols[0] = 127; /* an outlier, and a symbol that may have no code */
    rusk_patch outlier = {0, 500};
    rusk_block_shape shape = {(uint32_t)n_rows, (uint32_t)n_cols, classes};
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&blob, &alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&out, &alloc, RUSK_MEM_METADATA);
    expect(codec->build_tables(&hist, &blob, NULL) == RUSK_OK);
    expect(codec->open_tables(&tables, &alloc, (const uint8_t *)blob.data, blob.len_bytes, NULL) ==
           RUSK_OK);
    rusk_strbuf_add_u8(&out, (uint8_t)c);
    rusk_strbuf_add_u8(&out, (uint8_t)(n_rows - 1));
    rusk_strbuf_add_u16(&out, (uint16_t)(n_cols - 1));
    rusk_strbuf_add_u16(&out, (uint16_t)blob.len_bytes);
    rusk_strbuf_add(&out, classes, n_rows);
    rusk_strbuf_add(&out, blob.data, blob.len_bytes);
    expect(rusk_block_encode(codec, tables, &shape, symbols, &outlier, 1, &out, NULL) == RUSK_OK);
    size_t len = RUSK_MIN(out.len_bytes, cap_bytes);
    memcpy(buf, out.data, len);
    codec->close_tables(tables);
    rusk_strbuf_finish(&blob);
    rusk_strbuf_finish(&out);
    return len;
}

/* Made once: coding costs more than most inputs do. */
size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static uint8_t made[32][1 << 16];
    static size_t len_bytes[32];
    if (index >= RUSK_COUNT(made)) {
        return make_seed(index, buf, cap_bytes);
    }
    if (len_bytes[index] == 0) {
        len_bytes[index] = make_seed(index, made[index], sizeof made[index]);
    }
    size_t len = RUSK_MIN(len_bytes[index], cap_bytes);
    memcpy(buf, made[index], len);
    return len;
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    (void)rng;
    (void)buf;
    return len_bytes;
}
