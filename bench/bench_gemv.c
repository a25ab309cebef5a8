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
 *       --block N            symbols of a block (as pack chooses)
 *       --runs N             the best run counts (7)
 *       --seconds S          length of a run (0.05)
 *       --json               accepted; the output is JSON lines anyway
 *
 * Products go through the runtime's own walk (weights_warm.c): two neighbouring blocks in lock
 * step, a piece of a few rows of each at a time into a buffer, then the int8 kernel with row
 * scales, outliers and the production epilogue.
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
#include "runtime/weights_tensor.h"
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
    rusk_weights_tensor tensor;
    rusk_weights_worker worker;
    float *y; /* n_batch x n_rows */
    bool multiply;
} product;

/* A tensor as the runtime holds it, and one worker's scratch. */
static void product_make(product *p, const test_coded *c, const float *row_scales, size_t stride) {
    const test_symbols *s = c->symbols;
    rusk_weights_tensor *t = &p->tensor;
    size_t codes_bytes, n_rows;
    *t = (rusk_weights_tensor){.name = s->name,
                               .tier = RUSK_TIER_WARM,
                               .n_rows = s->n_rows,
                               .n_cols = s->n_cols,
                               .stride = (uint32_t)stride,
                               .part_rows = c->block_rows,
                               .row_scales = row_scales,
                               .row_classes = s->classes,
                               .codec = c->codec,
                               .tables = c->tables,
                               .block_rows = c->block_rows,
                               .n_blocks = (uint32_t)c->n_blocks,
                               .blocks = get(c->n_blocks * sizeof *t->blocks)};
    for (size_t b = 0; b < c->n_blocks; b++) {
        t->blocks[b].data = test_coded_block(c, b, &t->blocks[b].len_bytes);
    }
    rusk_weights_warm_scratch(t, &codes_bytes, &n_rows);
    p->worker = (rusk_weights_worker){.codes = get(codes_bytes),
                                      .patches_max = (size_t)c->block_rows * s->n_cols,
                                      .t = t,
                                      .walks = get(2 * sizeof *p->worker.walks)};
    p->worker.patches = get(2 * p->worker.patches_max * sizeof *p->worker.patches);
}

static void product_free(product *p) {
    free(p->tensor.blocks);
    free(p->worker.codes);
    free(p->worker.patches);
    free(p->worker.walks);
}

/* Two neighbouring blocks, or one alone, as a worker does them. */
static void multiply_part(product *p, uint32_t first, uint32_t n) {
    rusk_error err;
    rusk_tile tile;
    uint32_t row;
    p->worker.part = first;
    p->worker.n_parts = n;
    rusk_status status = rusk_weights_warm_open(&p->worker, &err);
    while (status == RUSK_OK) {
        status = rusk_weights_warm_next(&p->worker, &tile, &row, &err);
        if (status == RUSK_OK && tile.n_rows == 0) {
            return;
        }
        if (status == RUSK_OK && p->multiply) {
            rusk_matmul(p->kernels, &tile, p->acts, p->y + row, p->tensor.n_rows, NULL);
        }
    }
    fail(p->tensor.name, err.message);
}

static void run_product(void *arg) {
    product *p = arg;
    const uint32_t together = p->tensor.codec->in_pairs ? 2 : 1;
    for (uint32_t b = 0; b < p->tensor.n_blocks; b += together) {
        multiply_part(p, b, RUSK_MIN(p->tensor.n_blocks - b, together));
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
    product p = {.kernels = &j->kernels, .acts = &j->acts.acts, .y = j->y};
    product_make(&p, &coded, j->row_scale, j->stride);
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
    product_free(&p);
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
    for (unsigned run = 0; run < 7; run++) {
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
