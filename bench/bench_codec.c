/* bench_codec.c - size and decode speed of each codec, one thread; JSON lines.
 *
 *     bench_codec                 discretized Gaussians of 2 to 6 bits, one class
 *     bench_codec FILE.npy ...    int8 matrices of symbols, rows classed by their deviation
 *
 * Fields: source; codec; decoder (the twin); bits: order-0 entropy by class; coded_bits: blocks and
 * their offsets' worth of nothing else; table_bits: the blob; overhead: (coded + table) / bits - 1;
 * decode_gw_s: 1e9 symbols a second, best of the repeats. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "base/strbuf.h"
#include "codec/rans.h"
#include "codec/sample.h"

typedef struct matrix {
    uint32_t n_rows, n_cols;
    int8_t *symbols;
    uint8_t *classes;
} matrix;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what, const rusk_error *err) {
    fprintf(stderr, "bench_codec: %s: %s\n", what, err != NULL ? err->message : "failed");
    exit(1);
}

/* Classes by quarter octaves of the deviation, the 16 widest kept apart, narrower ones joined. */
static void class_rows(matrix *m) {
    double top = -100;
    double *level = malloc(m->n_rows * sizeof *level);
    for (size_t r = 0; r < m->n_rows; r++) {
        double sum = 0.08 * m->n_cols;
        for (size_t i = 0; i < m->n_cols; i++) {
            double v = m->symbols[r * m->n_cols + i];
            sum += v * v;
        }
        level[r] = rint(2 * log2(sum / m->n_cols));
        top = fmax(top, level[r]);
    }
    for (size_t r = 0; r < m->n_rows; r++) {
        m->classes[r] = (uint8_t)fmin(top - level[r], 15);
    }
    free(level);
}

/* Version 1 or 2 of the format, '|i1', C order, two dimensions. */
static matrix load_npy(const char *path) {
    matrix m = {0};
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
    m.n_rows = (uint32_t)strtoul(at, &at, 10);
    m.n_cols = (uint32_t)strtoul(at + 1, NULL, 10);
    if (m.n_rows == 0 || m.n_cols == 0) {
        fail(path, NULL);
    }
    m.symbols = malloc((size_t)m.n_rows * m.n_cols);
    m.classes = malloc(m.n_rows);
    if (fread(m.symbols, m.n_cols, m.n_rows, f) != m.n_rows) {
        fail(path, NULL);
    }
    fclose(f);
    class_rows(&m);
    return m;
}

/* Blocks of a matrix, coded one after the other in `data`. */
typedef struct coded {
    rusk_alloc alloc;
    rusk_strbuf blob, data;
    rusk_codec_tables *tables;
    uint32_t block_rows;
    size_t n_blocks;
    size_t *offsets; /* n_blocks + 1 */
} coded;

static rusk_block_shape block_of(const matrix *m, const coded *c, size_t block) {
    uint32_t row = (uint32_t)block * c->block_rows;
    return (rusk_block_shape){.n_rows = RUSK_MIN(c->block_rows, m->n_rows - row),
                              .n_cols = m->n_cols,
                              .row_classes = m->classes + row};
}

static void encode_all(coded *c, const rusk_codec *codec, const matrix *m, const rusk_hist *hist) {
    rusk_error err;
    rusk_alloc_init(&c->alloc, NULL);
    rusk_strbuf_init(&c->blob, &c->alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&c->data, &c->alloc, RUSK_MEM_WEIGHTS);
    c->block_rows = rusk_codec_block_rows(m->n_rows, m->n_cols);
    c->n_blocks = (m->n_rows + c->block_rows - 1) / c->block_rows;
    c->offsets = calloc(c->n_blocks + 1, sizeof *c->offsets);
    if (codec->build_tables(hist, &c->blob, &err) != RUSK_OK ||
        codec->open_tables(&c->tables, &c->alloc, (const uint8_t *)c->blob.data, c->blob.len_bytes,
                           &err) != RUSK_OK) {
        fail("tables", &err);
    }
    for (size_t b = 0; b < c->n_blocks; b++) {
        rusk_block_shape shape = block_of(m, c, b);
        if (rusk_block_encode(codec, c->tables, &shape, m->symbols + b * c->block_rows * m->n_cols,
                              NULL, 0, &c->data, &err) != RUSK_OK) {
            fail("encode", &err);
        }
        c->offsets[b + 1] = c->data.len_bytes;
    }
    static const uint8_t PADDING[RUSK_CODEC_OVERREAD];
    rusk_strbuf_add(&c->data, PADDING, sizeof PADDING);
}

/* Best rate over about 0.3 s, into a block-sized buffer; checks the first pass. */
static double decode_rate(const coded *c, const rusk_codec *codec, const matrix *m) {
    size_t n = (size_t)c->block_rows * m->n_cols, n_patches;
    int8_t *out = malloc(n);
    rusk_patch *patches = malloc(n * sizeof *patches);
    rusk_error err;
    double best = 0, start = now();
    for (unsigned pass = 0; pass < 3 || now() - start < 0.3; pass++) {
        double t = now();
        for (size_t b = 0; b < c->n_blocks; b++) {
            rusk_block_shape shape = block_of(m, c, b);
            const uint8_t *data = (const uint8_t *)c->data.data + c->offsets[b];
            if (rusk_block_decode(codec, c->tables, &shape, data, c->offsets[b + 1] - c->offsets[b],
                                  out, m->n_cols, patches, &n_patches, &err) != RUSK_OK) {
                fail("decode", &err);
            }
            if (pass == 0 &&
                memcmp(out, m->symbols + b * n, (size_t)shape.n_rows * m->n_cols) != 0) {
                fail("decoded symbols differ", NULL);
            }
        }
        best = fmax(best, (double)m->n_rows * m->n_cols / (now() - t));
    }
    free(out);
    free(patches);
    return best * 1e-9;
}

static void report(const char *source, const matrix *m, const rusk_codec *codec,
                   const char *decoder, rusk_rans_steps steps) {
    static rusk_hist hist;
    coded c;
    double n = (double)m->n_rows * m->n_cols;
    rusk_hist_clear(&hist);
    for (size_t r = 0; r < m->n_rows; r++) {
        rusk_hist_add(&hist, m->classes[r], m->symbols + r * m->n_cols, m->n_cols);
    }
    encode_all(&c, codec, m, &hist);
    if (steps != NULL) {
        ((rusk_rans_tables *)c.tables)->steps = steps;
    }
    double bits = rusk_hist_bits(&hist) / n;
    double coded_bits = 8.0 * (double)c.offsets[c.n_blocks] / n;
    double table_bits = 8.0 * (double)c.blob.len_bytes / n;
    printf("{\"source\":\"%s\",\"codec\":\"%s\",\"decoder\":\"%s\",\"bits\":%.4f,"
           "\"coded_bits\":%.4f,\"table_bits\":%.4f,\"overhead\":%.5f,\"decode_gw_s\":%.3f}\n",
           source, codec->name, decoder, bits, coded_bits, table_bits,
           (coded_bits + table_bits) / bits - 1, decode_rate(&c, codec, m));
    codec->close_tables(c.tables);
    rusk_strbuf_finish(&c.blob);
    rusk_strbuf_finish(&c.data);
    free(c.offsets);
}

static void report_all(const char *source, const matrix *m) {
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        const rusk_codec *codec = rusk_codec_at(i);
        if (strcmp(codec->name, "rans") != 0) {
            report(source, m, codec, "best", NULL);
            continue;
        }
        report(source, m, codec, "ref", rusk_rans_steps_ref);
#if defined(__x86_64__)
        if ((rusk_cpu_features() & RUSK_CPU_AVX2) != 0) {
            report(source, m, codec, "avx2", rusk_rans_steps_avx2);
        }
#endif
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        matrix m = load_npy(argv[i]);
        report_all(slash != NULL ? slash + 1 : argv[i], &m);
        free(m.symbols);
        free(m.classes);
    }
    for (double bits = 2; argc == 1 && bits <= 6; bits += 0.5) {
        matrix m = {.n_rows = 1024, .n_cols = 576};
        size_t n = (size_t)m.n_rows * m.n_cols;
        char source[32];
        m.symbols = malloc(n);
        m.classes = calloc(1, m.n_rows);
        rusk_sample_gaussian(m.symbols, n, rusk_sample_sigma(bits), 1);
        (void)snprintf(source, sizeof source, "gaussian %.1f", bits);
        report_all(source, &m);
        free(m.symbols);
        free(m.classes);
    }
    return 0;
}
