/* bench_kernel.c - speed of the kernels on one thread, one JSON object a line.
 *
 *     bench_kernel [--seconds S]      S: time spent on each figure (0.05); the best repeat counts
 *
 * what     gemv (1 activation row), gemm (64), row (kernels over a float row), memory (read, copy:
 *          what this machine gives in the same run)
 * where    L1: 24 KB of weights, L3: 6 MB, DRAM: 192 MB
 * rate     products: 1e9 multiply-adds a second (for gemv: weights); rows: 1e9 elements; memory: GB
 * vs_ref   the rate over that of the plain kernels */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "kernel/kernels.h"
#include "support/tiles.h"

static double seconds_each = 0.05;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best seconds per call of `run`, after one call to warm up. */
static double best_of(void (*run)(void *), void *arg) {
    double start = now(), best = 1e9;
    run(arg);
    double once = now() - start;
    size_t n = once < 1e-4 ? (size_t)(1e-4 / (once + 1e-9)) + 1 : 1;
    do {
        double t = now();
        for (size_t i = 0; i < n; i++) {
            run(arg);
        }
        t = (now() - t) / (double)n;
        best = t < best ? t : best;
    } while (now() - start < seconds_each);
    return best;
}

static const struct {
    const char *name;
    size_t bytes;
} PLACES[] = {{"L1", 24 << 10}, {"L3", 6 << 20}, {"DRAM", 192 << 20}};

static const char *const KINDS[] = {"F32", "F16", "BF16", "I8", "G32", "G16"};

static rusk_kernels levels[5];
static size_t n_levels;

typedef struct product {
    const rusk_kernels *k;
    test_tile t;
    test_acts a;
    float *y;
} product;

static void run_product(void *arg) {
    product *p = arg;
    p->k->matmul[p->t.tile.kind](&p->t.tile, &p->a.acts, p->y, p->t.tile.n_rows);
}

static void bench_products(rusk_tile_kind kind, size_t place, uint32_t n_batch, uint32_t n_cols) {
    static const double BYTES[] = {4, 2, 2, 1, 1 + 8.0 / 32, 1 + 8.0 / 16};
    uint32_t n_rows = (uint32_t)((double)PLACES[place].bytes / BYTES[kind] / n_cols) / 4 * 4;
    n_rows = n_rows < 4 ? 4 : n_rows;
    rusk_rng rng = rusk_rng_seed(1);
    product p = {.t = test_tile_make(&rng, kind, n_rows, n_cols, 0),
                 .a = test_acts_make(&rng, &levels[0], n_batch, n_cols, true),
                 .y = calloc((size_t)n_rows * n_batch, sizeof(float))};
    double ref = 0, work = (double)n_rows * n_cols * n_batch;
    for (size_t i = 0; i < n_levels; i++) {
        p.k = &levels[i];
        double rate = work / best_of(run_product, &p) / 1e9;
        ref = i == 0 ? rate : ref;
        printf("{\"what\": \"%s\", \"tile\": \"%s\", \"cols\": %u, \"isa\": \"%s\", \"where\": "
               "\"%s\", "
               "\"rate\": %.2f, \"weight_gb_s\": %.2f, \"vs_ref\": %.1f}\n",
               n_batch == 1 ? "gemv" : "gemm", KINDS[kind], n_cols, p.k->name, PLACES[place].name,
               rate, rate * BYTES[kind] / n_batch, rate / ref);
        (void)fflush(stdout);
    }
    free(p.y);
    test_acts_free(&p.a);
    test_tile_free(&p.t);
}

enum { N = 1536, DIM = 64, POSITIONS = 256, HALVES = POSITIONS * DIM, QUERIES = 24 };

typedef struct rows {
    const rusk_kernels *k;
    int which;
    float x[N], y[N], out[N], scale[N], sum16[N], scores[QUERIES][POSITIONS];
    int8_t q[N];
    uint16_t half[HALVES];
} rows;

static const struct {
    const char *name;
    double n;
} ROWS[] = {{"quantize", N},
            {"rms_norm", N},
            {"silu_mul", N},
            {"gelu_mul", N},
            {"softmax", N},
            {"add", N},
            {"to_f16", N},
            {"rotate_halves", N},
            {"rotate_pairs", N},
            {"dots_f32_f16", HALVES},
            {"mix_f16", HALVES},
            {"dots_f32_f16 x 24", 24 * HALVES},
            {"mix_f16 x 24", 24 * HALVES}};

/* Queries of heads and rows that see the same positions. */
static void attend(rows *r, size_t n, bool dots) {
    const float *in[QUERIES];
    float *out[QUERIES];
    for (size_t i = 0; i < n; i++) {
        in[i] = (dots ? r->x : r->y) + i * DIM / 2;
        out[i] = dots ? r->scores[i] : r->out + i * DIM;
    }
    if (dots) {
        r->k->dots_f32_f16(in, n, r->half, DIM, POSITIONS, out, DIM);
    } else {
        r->k->mix_f16(in, n, r->half, DIM, POSITIONS, out, DIM);
    }
}

static void run_rows(void *arg) {
    rows *r = arg;
    const rusk_kernels *k = r->k;
    switch (r->which) {
    case 0:
        k->quantize(r->x, N, r->q, r->scale, r->sum16);
        break;
    case 1:
        k->rms_norm(r->x, r->y, N, 1e-5F, r->out);
        break;
    case 2:
        k->silu_mul(r->x, r->y, N, r->out);
        break;
    case 3:
        k->gelu_mul(r->x, r->y, N, r->out);
        break;
    case 4:
        k->softmax(r->out, N);
        break;
    case 5:
        k->add(r->out, r->x, N);
        break;
    case 6:
        k->to_f16(r->x, r->half, N);
        break;
    case 7:
        k->rotate_halves(r->out, r->x, N / 2);
        break;
    case 8:
        k->rotate_pairs(r->out, r->x, N / 2);
        break;
    default:
        attend(r, r->which < 11 ? 1 : 24, r->which % 2 == 1);
        break;
    }
}

static void bench_rows(void) {
    static rows r;
    rusk_rng rng = rusk_rng_seed(1);
    for (int which = 0; which < (int)RUSK_COUNT(ROWS); which++) {
        double ref = 0;
        for (size_t i = 0; i < n_levels; i++) {
            for (size_t j = 0; j < N; j++) {
                r.x[j] = (float)rusk_rng_normal(&rng);
                r.y[j] = (float)rusk_rng_normal(&rng);
                r.out[j] = r.x[j];
            }
            r.k = &levels[i];
            r.which = which;
            double rate = ROWS[which].n / best_of(run_rows, &r) / 1e9;
            ref = i == 0 ? rate : ref;
            printf("{\"what\": \"row\", \"kernel\": \"%s\", \"isa\": \"%s\", \"rate\": %.2f, "
                   "\"vs_ref\": %.1f}\n",
                   ROWS[which].name, r.k->name, rate, rate / ref);
        }
    }
}

typedef struct memory {
    uint64_t *from, *to, sum;
    size_t n;
} memory;

static void run_read(void *arg) {
    memory *m = arg;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= m->n; i += 8) {
        for (size_t j = 0; j < 8; j++) {
            sum[j] += m->from[i + j];
        }
    }
    for (size_t j = 0; j < 8; j++) {
        m->sum += sum[j];
    }
}

static void run_copy(void *arg) {
    memory *m = arg;
    memcpy(m->to, m->from, m->n * 8);
    m->sum += m->to[m->n / 2];
}

static void bench_memory(size_t place) {
    size_t bytes = PLACES[place].bytes;
    memory m = {.from = malloc(bytes), .to = malloc(bytes), .n = bytes / 8};
    if (m.from == NULL || m.to == NULL) {
        abort();
    }
    memset(m.from, 1, bytes);
    memset(m.to, 1, bytes);
    double read = (double)bytes / best_of(run_read, &m) / 1e9;
    double copy = (double)bytes / best_of(run_copy, &m) / 1e9;
    printf("{\"what\": \"memory\", \"where\": \"%s\", \"read_gb_s\": %.2f, \"copy_gb_s\": %.2f, "
           "\"check\": %d}\n",
           PLACES[place].name, read, copy, (int)(m.sum & 1));
    free(m.from);
    free(m.to);
}

static void find_levels(void) {
    static const uint32_t MASKS[] = {0, RUSK_CPU_AVX2, RUSK_CPU_AVX2 | RUSK_CPU_AVX512,
                                     RUSK_CPU_NEON, RUSK_CPU_NEON | RUSK_CPU_DOTPROD};
    for (size_t i = 0; i < RUSK_COUNT(MASKS); i++) {
        rusk_kernels_init(&levels[n_levels], MASKS[i]);
        if (n_levels == 0 || strcmp(levels[n_levels].name, levels[n_levels - 1].name) != 0) {
            n_levels += i == 0 || (rusk_cpu_features() & MASKS[i]) == MASKS[i];
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--seconds") == 0) {
            seconds_each = strtod(argv[i + 1], NULL);
        }
    }
    find_levels();
    for (size_t place = 0; place < RUSK_COUNT(PLACES); place++) {
        bench_memory(place);
        for (int kind = 0; kind < RUSK_TILE_KINDS; kind++) {
            bench_products((rusk_tile_kind)kind, place, 1, 1536);
            if (place == 0) {
                bench_products((rusk_tile_kind)kind, place, 1, 576);
                bench_products((rusk_tile_kind)kind, place, 64, 576);
                bench_products((rusk_tile_kind)kind, place, 64, 1536);
            }
        }
    }
    bench_rows();
    return 0;
}
