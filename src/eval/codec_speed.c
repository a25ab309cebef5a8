#include "eval/codec_speed.h"

#include <math.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/rng.h"
#include "codec/sample.h"
#include "kernel/kernels.h"

/* 16 blocks of 32 rows x 1,024 columns: 512 K weights, more than a private cache once decoded. Two
 * blocks at a time, 8 rows of each, as products do it: 16 KB, which a first-level cache holds. */
enum { BLOCKS = 16, BLOCK_ROWS = 32, COLS = 1024, PIECE_ROWS = 8, RUNS = 7 };

typedef struct sample {
    int8_t *symbols; /* BLOCKS * BLOCK_ROWS x COLS */
    uint8_t *classes;
    float *row_scales;
    rusk_hist *hist;
    int8_t *decoded; /* a piece of each of two blocks */
    float *y;        /* of a piece */
    rusk_acts acts;
} sample;

static bool sample_allocate(sample *s, rusk_arena *arena) {
    size_t n = (size_t)BLOCKS * BLOCK_ROWS * COLS;
    s->symbols = rusk_arena_get(arena, n, 1);
    s->classes = rusk_arena_get(arena, BLOCK_ROWS, 1);
    s->row_scales = rusk_arena_get(arena, BLOCK_ROWS, sizeof(float));
    s->hist = rusk_arena_get(arena, 1, sizeof *s->hist);
    s->decoded = rusk_arena_get(arena, (size_t)2 * PIECE_ROWS * COLS, 1);
    s->y = rusk_arena_get(arena, PIECE_ROWS, sizeof(float));
    s->acts = (rusk_acts){.n_rows = 1, .n_cols = COLS, .n_groups = COLS / RUSK_GROUP};
    s->acts.q = rusk_arena_get(arena, COLS, 1);
    s->acts.scale = rusk_arena_get(arena, s->acts.n_groups, sizeof(float));
    s->acts.sum16 = rusk_arena_get(arena, (size_t)s->acts.n_groups * 2, sizeof(float));
    float *x = rusk_arena_get(arena, COLS, sizeof(float));
    s->acts.x = x;
    return s->symbols != NULL && s->classes != NULL && s->row_scales != NULL && s->hist != NULL &&
           s->decoded != NULL && s->y != NULL && s->acts.q != NULL && s->acts.scale != NULL &&
           s->acts.sum16 != NULL && x != NULL;
}

static void sample_fill(sample *s, const rusk_kernels *kernels, double bits) {
    size_t n = (size_t)BLOCKS * BLOCK_ROWS * COLS;
    rusk_sample_gaussian(s->symbols, n, rusk_sample_sigma(bits), 1);
    rusk_hist_add(s->hist, 0, s->symbols, n);
    float x[COLS];
    rusk_rng rng = rusk_rng_seed(2);
    for (size_t i = 0; i < COLS; i++) {
        x[i] = (float)rusk_rng_normal(&rng);
    }
    kernels->quantize(x, COLS, s->acts.q, s->acts.scale, s->acts.sum16);
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        s->row_scales[r] = 1;
    }
}

typedef struct coded {
    const rusk_codec *codec;
    rusk_codec_tables *tables;
    rusk_strbuf bytes;
    size_t start[BLOCKS + 1];
} coded;

static void multiply(sample *s, const rusk_kernels *kernels, const int8_t *codes) {
    const rusk_tile tile = {.kind = RUSK_TILE_I8,
                            .n_rows = PIECE_ROWS,
                            .n_cols = COLS,
                            .data = codes,
                            .stride_bytes = COLS,
                            .row_scale = s->row_scales};
    kernels->matmul[RUSK_TILE_I8](&tile, &s->acts, s->y, PIECE_ROWS);
}

/* Decodes two neighbouring blocks, and multiplies each piece where `kernels` is given. */
static rusk_status pass_pair(const coded *c, sample *s, size_t first, const rusk_kernels *kernels,
                             rusk_error *err) {
    const rusk_block_shape shape = {
        .n_rows = BLOCK_ROWS, .n_cols = COLS, .row_classes = s->classes};
    rusk_block_decoder decoder[2], *const decoders[2] = {&decoder[0], &decoder[1]};
    int8_t *const out[2] = {s->decoded, s->decoded + (size_t)PIECE_ROWS * COLS};
    rusk_patch *const patches[2] = {NULL, NULL}; /* there are no outliers */
    size_t n_patches[2];
    unsigned failed;
    for (size_t i = 0; i < 2; i++) {
        const size_t start = c->start[first + i];
        RUSK_TRY(rusk_block_begin(&decoder[i], c->codec, c->tables, &shape,
                                  (const uint8_t *)c->bytes.data + start,
                                  c->start[first + i + 1] - start, err));
    }
    for (uint32_t row = 0; row < BLOCK_ROWS; row += PIECE_ROWS) {
        RUSK_TRY(
            rusk_block_rows(decoders, 2, PIECE_ROWS, out, COLS, patches, n_patches, &failed, err));
        if (kernels != NULL) {
            multiply(s, kernels, out[0]);
            multiply(s, kernels, out[1]);
        }
    }
    return RUSK_OK;
}

static rusk_status pass(const coded *c, sample *s, const rusk_kernels *kernels, double *seconds,
                        rusk_error *err) {
    double start = rusk_clock_seconds();
    for (size_t b = 0; b < BLOCKS; b += 2) {
        RUSK_TRY(pass_pair(c, s, b, kernels, err));
    }
    *seconds = fmin(*seconds, rusk_clock_seconds() - start);
    return RUSK_OK;
}

/* Encodes all blocks and makes *out; table_bytes is what the tables add to them. */
static rusk_status measure(coded *c, sample *s, size_t table_bytes, const rusk_kernels *kernels,
                           rusk_bench_codec *out, rusk_error *err) {
    rusk_block_shape shape = {.n_rows = BLOCK_ROWS, .n_cols = COLS, .row_classes = s->classes};
    for (size_t b = 0; b < BLOCKS; b++) {
        RUSK_TRY(rusk_block_encode(c->codec, c->tables, &shape, s->symbols + b * BLOCK_ROWS * COLS,
                                   NULL, 0, &c->bytes, err));
        c->start[b + 1] = c->bytes.len_bytes;
    }
    size_t coded_bytes = c->bytes.len_bytes;
    for (size_t i = 0; i < RUSK_CODEC_OVERREAD; i++) {
        rusk_strbuf_add_u8(&c->bytes, 0);
    }
    if (c->bytes.failed) {
        return rusk_fail_memory(err, coded_bytes, "coded blocks");
    }
    double decode = INFINITY, fused = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        RUSK_TRY(pass(c, s, NULL, &decode, err));
        RUSK_TRY(pass(c, s, kernels, &fused, err));
    }
    double n = (double)BLOCKS * BLOCK_ROWS * COLS;
    *out = (rusk_bench_codec){.codec = c->codec->name,
                              .entropy = rusk_hist_bits(s->hist) / n,
                              .bits = 8 * (double)(coded_bytes + table_bytes) / n,
                              .decode_gweights_s = n / decode * 1e-9,
                              .fused_gweights_s = n / fused * 1e-9};
    return RUSK_OK;
}

static rusk_status measure_codec(const rusk_codec *codec, rusk_alloc *alloc, sample *s,
                                 const rusk_kernels *kernels, rusk_bench_codec *out,
                                 rusk_error *err) {
    coded c = {.codec = codec};
    rusk_strbuf blob;
    rusk_strbuf_init(&blob, alloc, RUSK_MEM_TABLES);
    rusk_strbuf_init(&c.bytes, alloc, RUSK_MEM_SCRATCH);
    rusk_status status = codec->build_tables(s->hist, &blob, err);
    if (status == RUSK_OK) {
        status =
            codec->open_tables(&c.tables, alloc, (const uint8_t *)blob.data, blob.len_bytes, err);
    }
    if (status == RUSK_OK) {
        status = measure(&c, s, blob.len_bytes, kernels, out, err);
    }
    if (c.tables != NULL) {
        codec->close_tables(c.tables);
    }
    rusk_strbuf_finish(&c.bytes);
    rusk_strbuf_finish(&blob);
    return status;
}

rusk_status rusk_codec_speed(double bits, rusk_bench_codec *out, size_t cap, size_t *n,
                             rusk_error *err) {
    *n = 0;
    if (!(bits >= 1 && bits <= 7)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected an entropy of 1 to 7 bits, found %g", bits);
    }
    rusk_alloc alloc;
    rusk_arena arena;
    sample s;
    rusk_kernels kernels;
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_SCRATCH);
    rusk_kernels_init(&kernels, UINT32_MAX);
    rusk_status status = RUSK_OK;
    if (sample_allocate(&s, &arena)) {
        sample_fill(&s, &kernels, bits);
        size_t count = RUSK_MIN(rusk_codec_count(), cap);
        for (size_t i = 0; status == RUSK_OK && i < count; i++) {
            status = measure_codec(rusk_codec_at(i), &alloc, &s, &kernels, &out[i], err);
            *n += status == RUSK_OK;
        }
    } else {
        status = rusk_fail_memory(err, (size_t)BLOCKS * BLOCK_ROWS * COLS, "a sample of symbols");
    }
    rusk_arena_finish(&arena);
    return status;
}
