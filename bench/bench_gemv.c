/* bench_gemv.c - products of a vector, or of a batch, with a matrix in coded blocks; one thread,
 * warm; JSON lines.
 *
 *     bench_gemv [options] [FILE.npy ...]
 *       --rows N --cols N    shape of the Gaussian matrices (4096 x 4096)
 *       --bits B ...         their entropies (1.5 2 2.5 3 3.5 3.9 4.5 5.5)
 *       --grid tread|rise    their grid: with a level at zero or without (tread)
 *       --widths N           deviations of their rows, a quarter octave apart (4)
 *       --codec NAME ...     codecs (all)
 *       --batch N ...        activation rows (1)
 *       --cpu NAME ...       ref, avx2, avx512, neon, best: what may be used (best)
 *       --piece BYTES        decoded symbols that stay in the first-level cache (16384)
 *       --block N            symbols of a block (as pack chooses)
 *       --runs N             the best run counts (7)
 *       --seconds S          length of a run (0.05)
 *       --json               accepted; the output is JSON lines anyway
 *
 * A row is decoded and multiplied as the runtime does it: two neighbouring blocks in lock step, a
 * piece of a few rows of each at a time into a buffer, then the int8 kernel with row scales,
 * outliers and the production epilogue.
 *
 * what          gemv, gemm (batch > 1), or a reference beside them: decode (no product), hot (the
 *               same symbols as int8 matrix), f16 (batch > 1: the same matrix in halves, float
 *               activations), memory (reading 192 MB)
 * gw_s          1e9 weights a second; with a batch also gmac_s, 1e9 multiply-adds a second
 * entropy       bits a weight given the row's class; bits: blocks and tables; excess: bits over
 *               entropy; excess_stored: with classes, offsets and checksums as the container
 *               has them. The references' bits are what they read. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/fp.h"
#include "kernel/kernels.h"
#include "support/symbols.h"
#include "support/tiles.h"

enum { LIST = 16, MAX_FILES = 64 };

typedef struct settings {
    uint32_t n_rows, n_cols;
    double bits[LIST];
    size_t n_bits;
    const char *codecs[LIST];
    size_t n_codecs;
    uint32_t batches[LIST];
    size_t n_batches;
    const char *cpus[LIST];
    size_t n_cpus;
    const char *files[MAX_FILES];
    size_t n_files;
    test_grid grid;
    unsigned n_widths;
    size_t piece_bytes;
    uint32_t block_symbols;
    unsigned n_runs;
    double seconds;
} settings;

static settings o = {.n_rows = 4096,
                     .n_cols = 4096,
                     .bits = {1.5, 2, 2.5, 3, 3.5, 3.9, 4.5, 5.5},
                     .n_bits = 8,
                     .batches = {1},
                     .n_batches = 1,
                     .cpus = {"best"},
                     .n_cpus = 1,
                     .n_widths = 4,
                     .piece_bytes = 16384,
                     .n_runs = 7,
                     .seconds = 0.05};

static void fail(const char *what, const char *why) {
    (void)fprintf(stderr, "bench_gemv: %s: %s\n", what, why);
    exit(2);
}

static void *get(size_t n_bytes) {
    void *p = aligned_alloc(64, (n_bytes + 127) / 64 * 64);
    if (p == NULL) {
        fail("memory", "none left");
    }
    memset(p, 0, n_bytes);
    return p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds a call of the best of n_runs runs, each the mean over about o.seconds. */
static double best_of(void (*run)(void *), void *arg) {
    run(arg);
    double once = now();
    run(arg);
    once = now() - once;
    size_t n = once < o.seconds ? (size_t)(o.seconds / (once + 1e-9)) + 1 : 1;
    double best = INFINITY;
    for (unsigned i = 0; i < o.n_runs; i++) {
        double start = now();
        for (size_t j = 0; j < n; j++) {
            run(arg);
        }
        best = fmin(best, (now() - start) / (double)n);
    }
    return best;
}

/* --- one product --------------------------------------------------------------------------- */

typedef struct product {
    const rusk_kernels *kernels;
    const rusk_acts *acts;
    const test_coded *coded;
    float *row_scale, *y; /* y: n_batch x n_rows */
    int8_t *piece;
    rusk_patch *patches;
    uint32_t piece_rows;
    size_t stride, patches_max;
    bool multiply;
} product;

static void multiply(const product *p, uint32_t row, uint32_t n_rows, const int8_t *codes,
                     const rusk_patch *patches, size_t n_patches) {
    const rusk_tile tile = {.kind = RUSK_TILE_I8,
                            .n_rows = n_rows,
                            .n_cols = p->coded->symbols->n_cols,
                            .data = codes,
                            .stride_bytes = p->stride,
                            .row_scale = p->row_scale + row,
                            .patches = patches,
                            .n_patches = n_patches};
    p->kernels->matmul[RUSK_TILE_I8](&tile, p->acts, p->y + row, p->coded->symbols->n_rows);
}

/* Blocks first .. first + n - 1, n = 1 or 2, of heights that differ in the matrix's last alone. */
static void walk(const product *p, size_t first, unsigned n) {
    const test_coded *c = p->coded;
    rusk_block_decoder decoder[2], *decoders[2] = {&decoder[0], &decoder[1]};
    rusk_error err;
    uint32_t rows_left = UINT32_MAX, row = 0;
    for (unsigned i = 0; i < n; i++) {
        const rusk_block_shape shape = test_coded_shape(c, first + i);
        size_t len_bytes;
        const uint8_t *data = test_coded_block(c, first + i, &len_bytes);
        if (rusk_block_begin(&decoder[i], c->codec, c->tables, &shape, data, len_bytes, &err) !=
            RUSK_OK) {
            fail(c->codec->name, err.message);
        }
        rows_left = RUSK_MIN(rows_left, shape.n_rows);
    }
    while (rows_left > 0) {
        const uint32_t n_rows = RUSK_MIN(rows_left, p->piece_rows / n);
        int8_t *out[2] = {p->piece, p->piece + n_rows * p->stride};
        rusk_patch *patches[2] = {p->patches, p->patches + p->patches_max};
        size_t n_patches[2];
        unsigned failed;
        if (rusk_block_rows(decoders, n, n_rows, out, p->stride, patches, n_patches, &failed,
                            &err) != RUSK_OK) {
            fail(c->codec->name, err.message);
        }
        for (unsigned i = 0; p->multiply && i < n; i++) {
            multiply(p, (uint32_t)(first + i) * c->block_rows + row, n_rows, out[i], patches[i],
                     n_patches[i]);
        }
        row += n_rows;
        rows_left -= n_rows;
    }
}

static void run_product(void *arg) {
    const product *p = arg;
    const size_t n = p->coded->n_blocks;
    size_t b = 0;
    while (b + 2 <= n && test_coded_shape(p->coded, b + 1).n_rows == p->coded->block_rows) {
        walk(p, b, 2);
        b += 2;
    }
    for (; b < n; b++) {
        walk(p, b, 1);
    }
}

typedef struct whole {
    const rusk_kernels *kernels;
    const rusk_acts *acts;
    rusk_tile tile;
    float *y;
} whole;

static void run_whole(void *arg) {
    const whole *w = arg;
    rusk_tile part = w->tile;
    for (uint32_t row = 0; row < w->tile.n_rows; row += 64) {
        part.n_rows = RUSK_MIN(w->tile.n_rows - row, 64U);
        part.data = (const uint8_t *)w->tile.data + row * w->tile.stride_bytes;
        part.row_scale = w->tile.row_scale + row;
        w->kernels->matmul[part.kind](&part, w->acts, w->y + row, w->tile.n_rows);
    }
}

/* --- report ----------------------------------------------------------------------------------- */

typedef struct job {
    const char *cpu;
    const test_symbols *symbols;
    rusk_kernels kernels;
    test_acts acts;
    uint32_t n_batch;
    float *row_scale, *y, *expected;
    size_t stride;
} job;

static void print(const job *j, const char *what, const char *codec, double seconds) {
    const test_symbols *s = j->symbols;
    const double rate = 1e-9 * (double)s->n_rows * s->n_cols / seconds;
    printf("{\"what\": \"%s\", \"engine\": \"rusk\", \"codec\": \"%s\", \"source\": \"%s\", "
           "\"rows\": %u, \"cols\": %u, \"batch\": %u, \"threads\": 1, \"cpu\": \"%s\", "
           "\"gw_s\": %.3f, \"gmac_s\": %.3f",
           what, codec, s->name, s->n_rows, s->n_cols, j->n_batch, j->cpu, rate, rate * j->n_batch);
}

static void report_whole(job *j, rusk_tile_kind kind, const char *what, double bits) {
    const test_symbols *s = j->symbols;
    const bool halves = kind == RUSK_TILE_F16;
    const size_t stride = j->stride * (halves ? 2 : 1);
    rusk_acts acts = j->acts.acts;
    uint8_t *data = get(stride * s->n_rows);
    for (size_t r = 0; r < s->n_rows; r++) {
        for (size_t c = 0; c < s->n_cols; c++) {
            const int8_t symbol = s->symbols[r * s->n_cols + c];
            if (halves) {
                const uint16_t half = rusk_f16_from_f32(symbol);
                memcpy(data + r * stride + 2 * c, &half, sizeof half);
            } else {
                data[r * stride + c] = (uint8_t)symbol;
            }
        }
    }
    if (halves) {
        acts.q = NULL;
    }
    whole w = {.kernels = &j->kernels,
               .acts = &acts,
               .y = halves ? j->y : j->expected,
               .tile = {.kind = kind,
                        .n_rows = s->n_rows,
                        .n_cols = s->n_cols,
                        .data = data,
                        .stride_bytes = stride,
                        .row_scale = j->row_scale}};
    print(j, what, halves ? "f16" : "int8", best_of(run_whole, &w));
    printf(", \"bits\": %.1f}\n", bits);
    free(data);
}

static void report_codec(job *j, const rusk_codec *codec) {
    const test_symbols *s = j->symbols;
    test_coded coded;
    test_coded_make(&coded, codec, s, o.block_symbols / s->n_cols);
    product p = {.kernels = &j->kernels,
                 .acts = &j->acts.acts,
                 .coded = &coded,
                 .row_scale = j->row_scale,
                 .y = j->y,
                 .stride = j->stride,
                 .patches_max = (size_t)coded.block_rows * s->n_cols};
    p.piece_rows = (uint32_t)RUSK_MAX(o.piece_bytes / j->stride, (size_t)4);
    p.piece = get(p.piece_rows * j->stride);
    p.patches = get(2 * p.patches_max * sizeof *p.patches);
    if (j->n_batch == 1) {
        print(j, "decode", codec->name, best_of(run_product, &p));
        printf("}\n");
    }
    p.multiply = true;
    const size_t n_y = (size_t)s->n_rows * j->n_batch * sizeof *p.y;
    memset(p.y, 0, n_y);
    const double seconds = best_of(run_product, &p);
    if (memcmp(p.y, j->expected, n_y) != 0) {
        fail(codec->name, "the product differs from that of the symbols");
    }
    const double entropy = test_symbols_bits(s), bits = test_coded_bits(&coded, false);
    print(j, j->n_batch == 1 ? "gemv" : "gemm", codec->name, seconds);
    printf(", \"entropy\": %.4f, \"bits\": %.4f, \"excess\": %.5f, \"excess_stored\": %.5f}\n",
           entropy, bits, bits / entropy - 1, test_coded_bits(&coded, true) / entropy - 1);
    (void)fflush(stdout);
    free(p.piece);
    free(p.patches);
    test_coded_free(&coded);
}

static bool wanted(const char *codec) {
    for (size_t i = 0; i < o.n_codecs; i++) {
        if (strcmp(o.codecs[i], codec) == 0) {
            return true;
        }
    }
    return o.n_codecs == 0;
}

static void report(const test_symbols *s, const char *cpu, uint32_t n_batch) {
    job j = {.cpu = cpu, .symbols = s, .n_batch = n_batch};
    rusk_rng rng = rusk_rng_seed(2);
    rusk_kernels_init(&j.kernels, UINT32_MAX);
    j.acts = test_acts_make(&rng, &j.kernels, n_batch, s->n_cols, true);
    j.stride = ((size_t)s->n_cols + RUSK_GROUP - 1) / RUSK_GROUP * RUSK_GROUP;
    j.row_scale = get(s->n_rows * sizeof(float));
    j.y = get((size_t)s->n_rows * n_batch * sizeof(float));
    j.expected = get((size_t)s->n_rows * n_batch * sizeof(float));
    for (size_t r = 0; r < s->n_rows; r++) {
        j.row_scale[r] = 0.01F + 1e-5F * (float)(r % 100);
    }
    report_whole(&j, RUSK_TILE_I8, "hot", 8);
    if (n_batch > 1) {
        report_whole(&j, RUSK_TILE_F16, "f16", 16);
    }
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        if (wanted(rusk_codec_at(i)->name)) {
            report_codec(&j, rusk_codec_at(i));
        }
    }
    free(j.row_scale);
    free(j.y);
    free(j.expected);
    test_acts_free(&j.acts);
}

/* What the machine lacks is left out. */
static void report_source(const test_symbols *s) {
    for (size_t i = 0; i < o.n_cpus; i++) {
        if (test_symbols_restrict(o.cpus[i]) == 1) {
            for (size_t b = 0; b < o.n_batches; b++) {
                report(s, o.cpus[i], o.batches[b]);
            }
        }
    }
    (void)test_symbols_restrict("best");
}

static void report_memory(void) {
    const size_t n = (192 << 20) / 8;
    uint64_t *from = get(n * 8), sum[8] = {0};
    double best = INFINITY;
    for (unsigned run = 0; run < o.n_runs; run++) {
        double start = now();
        for (size_t i = 0; i < n; i += 8) {
            for (size_t k = 0; k < 8; k++) {
                sum[k] += from[i + k];
            }
        }
        best = fmin(best, now() - start);
    }
    printf("{\"what\": \"memory\", \"threads\": 1, \"read_gb_s\": %.2f, \"sum\": %u}\n",
           8e-9 * (double)n / best, (unsigned)(sum[0] + sum[7]));
    free(from);
}

/* --- command line ----------------------------------------------------------------------------- */

static void add(const char *option, const char *value) {
    const double number = strtod(value, NULL);
    if (strcmp(option, "--codec") == 0 && o.n_codecs < LIST && rusk_codec_find(value) != NULL) {
        o.codecs[o.n_codecs++] = value;
    } else if (strcmp(option, "--cpu") == 0 && o.n_cpus < LIST &&
               test_symbols_restrict(value) >= 0) {
        o.cpus[o.n_cpus++] = value;
    } else if (strcmp(option, "--grid") == 0 && strcmp(value, "rise") == 0) {
        o.grid = TEST_MID_RISE;
    } else if (strcmp(option, "--grid") == 0 && strcmp(value, "tread") == 0) {
        o.grid = TEST_MID_TREAD;
    } else if (!(number > 0 && number < 1e6)) {
        fail(option, "expected a positive number, a codec or a name from the list");
    } else if (strcmp(option, "--bits") == 0 && o.n_bits < LIST) {
        o.bits[o.n_bits++] = number;
    } else if (strcmp(option, "--batch") == 0 && o.n_batches < LIST) {
        o.batches[o.n_batches++] = (uint32_t)number;
    } else if (strcmp(option, "--rows") == 0) {
        o.n_rows = (uint32_t)number;
    } else if (strcmp(option, "--cols") == 0) {
        o.n_cols = (uint32_t)number;
    } else if (strcmp(option, "--widths") == 0 && number <= RUSK_CODEC_CLASSES) {
        o.n_widths = (unsigned)number;
    } else if (strcmp(option, "--piece") == 0) {
        o.piece_bytes = (size_t)number;
    } else if (strcmp(option, "--block") == 0) {
        o.block_symbols = (uint32_t)number;
    } else if (strcmp(option, "--runs") == 0) {
        o.n_runs = (unsigned)number;
    } else if (strcmp(option, "--seconds") == 0) {
        o.seconds = number;
    } else {
        fail(option, "unknown option, or too many of its values");
    }
}

/* An option takes the words up to the next one; --bits, --batch and --cpu replace their default.
 * Files come first, or after "--". */
static void parse(int argc, char **argv) {
    const char *option = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--") == 0) {
            option = NULL;
        } else if (strncmp(argv[i], "--", 2) == 0) {
            option = argv[i];
            o.n_bits = strcmp(option, "--bits") == 0 ? 0 : o.n_bits;
            o.n_batches = strcmp(option, "--batch") == 0 ? 0 : o.n_batches;
            o.n_cpus = strcmp(option, "--cpu") == 0 ? 0 : o.n_cpus;
        } else if (option != NULL) {
            add(option, argv[i]);
        } else if (o.n_files < MAX_FILES) {
            o.files[o.n_files++] = argv[i];
        }
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    report_memory();
    for (size_t i = 0; i < o.n_files; i++) {
        test_symbols s = test_symbols_load(o.files[i]);
        report_source(&s);
        test_symbols_free(&s);
    }
    for (size_t i = 0; o.n_files == 0 && i < o.n_bits; i++) {
        test_symbols s = test_symbols_gaussian(o.n_rows, o.n_cols, o.bits[i], o.n_widths, o.grid);
        report_source(&s);
        test_symbols_free(&s);
    }
    return 0;
}
