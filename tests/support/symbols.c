#include "support/symbols.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "codec/sample.h"

static void fail(const char *what, const rusk_error *err) {
    (void)fprintf(stderr, "%s: %s\n", what, err != NULL ? err->message : "failed");
    exit(1);
}

static test_symbols matrix_of(uint32_t n_rows, uint32_t n_cols) {
    test_symbols s = {.n_rows = n_rows, .n_cols = n_cols};
    s.symbols = malloc((size_t)n_rows * n_cols);
    s.classes = calloc(n_rows, 1);
    s.hist = malloc(sizeof *s.hist);
    if (s.symbols == NULL || s.classes == NULL || s.hist == NULL) {
        fail("no memory for a matrix of symbols", NULL);
    }
    return s;
}

static void count_rows(test_symbols *s) {
    rusk_hist_clear(s->hist);
    for (size_t r = 0; r < s->n_rows; r++) {
        rusk_hist_add(s->hist, s->classes[r], s->symbols + r * s->n_cols, s->n_cols);
    }
}

static void rise_row(int8_t *row, size_t n, double sigma, rusk_rng *rng) {
    for (size_t i = 0; i < n; i++) {
        row[i] = (int8_t)fmin(fmax(floor(sigma * rusk_rng_normal(rng)), -127), 127);
    }
}

test_symbols test_symbols_gaussian(uint32_t n_rows, uint32_t n_cols, double bits, unsigned n_widths,
                                   test_grid grid) {
    test_symbols s = matrix_of(n_rows, n_cols);
    rusk_rng rng = rusk_rng_seed(1);
    (void)snprintf(s.name, sizeof s.name, "gaussian %.2f%s", bits,
                   grid == TEST_MID_RISE ? " rise" : "");
    for (size_t r = 0; r < n_rows; r++) {
        int8_t *row = s.symbols + r * n_cols;
        s.classes[r] = (uint8_t)rusk_rng_below(&rng, n_widths);
        double octaves = (0.5 * (n_widths - 1) - s.classes[r]) / 4;
        double sigma = rusk_sample_sigma(bits) * exp2(octaves);
        if (grid == TEST_MID_RISE) {
            rise_row(row, n_cols, sigma, &rng);
        } else {
            rusk_sample_gaussian(row, n_cols, sigma, rusk_rng_u64(&rng));
        }
    }
    count_rows(&s);
    return s;
}

static void class_rows(test_symbols *s) {
    double top = -100;
    double *level = malloc(s->n_rows * sizeof *level);
    if (level == NULL) {
        fail(s->name, NULL);
    }
    for (size_t r = 0; r < s->n_rows; r++) {
        double sum = 0.08 * s->n_cols; /* rows of zeros only have a deviation too */
        for (size_t i = 0; i < s->n_cols; i++) {
            double v = s->symbols[r * s->n_cols + i];
            sum += v * v;
        }
        level[r] = rint(2 * log2(sum / s->n_cols));
        top = fmax(top, level[r]);
    }
    for (size_t r = 0; r < s->n_rows; r++) {
        s->classes[r] = (uint8_t)fmin(top - level[r], RUSK_CODEC_CLASSES - 1);
    }
    free(level);
}

/* Version 1 of the format, '|i1', two dimensions. */
test_symbols test_symbols_load(const char *path) {
    unsigned char head[10];
    char text[512] = {0};
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY\x01", 7) != 0) {
        fail(path, NULL);
    }
    size_t len = (size_t)head[8] | (size_t)head[9] << 8;
    if (len >= sizeof text || fread(text, 1, len, f) != len || strstr(text, "|i1") == NULL ||
        strstr(text, "'shape': (") == NULL) {
        fail(path, NULL);
    }
    char *at = strstr(text, "'shape': (") + strlen("'shape': (");
    uint32_t n_rows = (uint32_t)strtoul(at, &at, 10);
    uint32_t n_cols = (uint32_t)strtoul(at + 1, NULL, 10);
    if (n_rows == 0 || n_cols == 0) {
        fail(path, NULL);
    }
    test_symbols s = matrix_of(n_rows, n_cols);
    if (fread(s.symbols, n_cols, n_rows, f) != n_rows) {
        fail(path, NULL);
    }
    (void)fclose(f);
    const char *slash = strrchr(path, '/');
    (void)snprintf(s.name, sizeof s.name, "%s", slash != NULL ? slash + 1 : path);
    class_rows(&s);
    count_rows(&s);
    return s;
}

void test_symbols_free(test_symbols *s) {
    free(s->symbols);
    free(s->classes);
    free(s->hist);
}

double test_symbols_bits(const test_symbols *s) {
    return rusk_hist_bits(s->hist) / ((double)s->n_rows * s->n_cols);
}

int test_symbols_restrict(const char *cpu) {
    static const struct {
        const char *name;
        uint32_t mask;
    } CPUS[] = {{"ref", 0},
                {"avx2", RUSK_CPU_AVX2},
                {"avx512", RUSK_CPU_AVX2 | RUSK_CPU_AVX512},
                {"neon", RUSK_CPU_NEON},
                {"best", UINT32_MAX}};
    rusk_cpu_restrict(UINT32_MAX);
    for (size_t i = 0; i < RUSK_COUNT(CPUS); i++) {
        const uint32_t mask = CPUS[i].mask;
        if (strcmp(CPUS[i].name, cpu) == 0) {
            if (mask != UINT32_MAX && (rusk_cpu_features() & mask) != mask) {
                return 0;
            }
            rusk_cpu_restrict(mask);
            return 1;
        }
    }
    return -1;
}

/* --- coded ------------------------------------------------------------------------------------ */

rusk_block_shape test_coded_shape(const test_coded *c, size_t block) {
    const test_symbols *s = c->symbols;
    uint32_t row = (uint32_t)block * c->block_rows;
    return (rusk_block_shape){.n_rows = RUSK_MIN(c->block_rows, s->n_rows - row),
                              .n_cols = s->n_cols,
                              .row_classes = s->classes + row};
}

const uint8_t *test_coded_block(const test_coded *c, size_t block, size_t *len_bytes) {
    *len_bytes = c->offsets[block + 1] - c->offsets[block];
    return (const uint8_t *)c->data.data + c->offsets[block];
}

void test_coded_encode(test_coded *c) {
    static const uint8_t PADDING[RUSK_CODEC_OVERREAD];
    const test_symbols *s = c->symbols;
    rusk_error err;
    c->data.len_bytes = 0;
    for (size_t b = 0; b < c->n_blocks; b++) {
        const rusk_block_shape shape = test_coded_shape(c, b);
        if (rusk_block_encode(c->codec, c->tables, &shape,
                              s->symbols + b * c->block_rows * s->n_cols, NULL, 0, &c->data,
                              &err) != RUSK_OK) {
            fail(c->codec->name, &err);
        }
        c->offsets[b + 1] = c->data.len_bytes;
    }
    rusk_strbuf_add(&c->data, PADDING, sizeof PADDING);
    if (c->data.failed) {
        fail("no memory for coded blocks", NULL);
    }
}

void test_coded_make(test_coded *c, const rusk_codec *codec, const test_symbols *s,
                     uint32_t block_rows) {
    rusk_error err;
    *c = (test_coded){.codec = codec, .symbols = s};
    rusk_alloc_init(&c->alloc, NULL);
    rusk_strbuf_init(&c->blob, &c->alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&c->data, &c->alloc, RUSK_MEM_WEIGHTS);
    c->block_rows = block_rows > 0 ? block_rows : rusk_codec_block_rows(s->n_rows, s->n_cols);
    c->n_blocks = (s->n_rows + c->block_rows - 1) / c->block_rows;
    c->offsets = calloc(c->n_blocks + 1, sizeof *c->offsets);
    if (c->offsets == NULL) {
        fail("no memory for offsets", NULL);
    }
    if (codec->build_tables(s->hist, &c->blob, &err) != RUSK_OK ||
        codec->open_tables(&c->tables, &c->alloc, (const uint8_t *)c->blob.data, c->blob.len_bytes,
                           &err) != RUSK_OK) {
        fail(codec->name, &err);
    }
    test_coded_encode(c);
}

void test_coded_free(test_coded *c) {
    c->codec->close_tables(c->tables);
    rusk_strbuf_finish(&c->blob);
    rusk_strbuf_finish(&c->data);
    free(c->offsets);
}

double test_coded_bits(const test_coded *c, bool stored) {
    double bytes = (double)c->offsets[c->n_blocks] + (double)c->blob.len_bytes;
    if (stored) {
        bytes += 0.5 * c->symbols->n_rows + 12.0 * (double)c->n_blocks;
    }
    return 8 * bytes / ((double)c->symbols->n_rows * c->symbols->n_cols);
}
