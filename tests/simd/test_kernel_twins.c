/* Every kernel of every instruction set this machine has against the plain one: the same bits (a
 * NaN equals a NaN), on random input, at every small size, with each buffer at both edges of its
 * pages, and nothing written beyond what the contract says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/fp.h"
#include "kernel/kernels.h"
#include "support/test.h"
#include "support/tiles.h"

static const uint32_t LEVELS[] = {RUSK_CPU_AVX2, RUSK_CPU_AVX2 | RUSK_CPU_AVX512, RUSK_CPU_NEON,
                                  RUSK_CPU_NEON | RUSK_CPU_DOTPROD};

static bool same_floats(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (rusk_f32_bits(a[i]) != rusk_f32_bits(b[i]) && !(isnan(a[i]) && isnan(b[i]))) {
            printf("element %zu of %zu: %.9g, expected %.9g\n", i, n, (double)a[i], (double)b[i]);
            return false;
        }
    }
    return true;
}

/* Runs `body` for each level that differs from the one before. */
static void each_level(void (*body)(const rusk_kernels *ref, const rusk_kernels *twin)) {
    rusk_kernels ref, twin;
    bool any = false;
    rusk_kernels_init(&ref, 0);
    CHECK_STR(ref.name, "ref");
    for (size_t i = 0; i < RUSK_COUNT(LEVELS); i++) {
        if ((rusk_cpu_features() & LEVELS[i]) == LEVELS[i]) {
            any = true;
            rusk_kernels_init(&twin, LEVELS[i]);
            printf("  %s\n", twin.name);
            body(&ref, &twin);
        }
    }
    if (!any) {
        test_skip("this processor has none of the instruction sets that have kernels");
    }
}

enum { ARENA = 1 << 21, N_ARENAS = 12 };

/* Two sets of guarded areas: copies that start or end at an unmapped page. */
static char *arenas[2][N_ARENAS];

/* n bytes of `from` (zeros where NULL) in arena `index`, touching its lower or upper edge. */
static void *at_edge(int index, bool upper, const void *from, size_t n) {
    if (arenas[upper][index] == NULL) {
        arenas[upper][index] = test_guarded(ARENA, upper);
    }
    CHECK(n <= ARENA);
    char *p = arenas[upper][index] + (upper ? ARENA - n : 0);
    if (from != NULL) {
        memcpy(p, from, n);
    } else {
        memset(p, 0, n);
    }
    return p;
}

static rusk_tile tile_at_edge(const test_tile *t, bool upper) {
    rusk_tile w = t->tile;
    size_t n_factors = w.n_rows * w.group_stride * sizeof(float);
    w.data = at_edge(0, upper, t->data, w.n_rows * w.stride_bytes);
    if (w.kind == RUSK_TILE_I8) {
        w.row_scale = at_edge(1, upper, t->row_scale, w.n_rows * sizeof(float));
        w.patches = at_edge(2, upper, t->patches, w.n_patches * sizeof(rusk_patch));
    } else if (w.kind >= RUSK_TILE_I8) {
        w.d = at_edge(1, upper, t->d, n_factors);
        w.m = at_edge(2, upper, t->m, n_factors);
    }
    return w;
}

static rusk_acts acts_at_edge(const test_acts *a, bool upper) {
    rusk_acts x = a->acts;
    size_t n_groups = (size_t)x.n_rows * x.n_groups;
    x.x = at_edge(3, upper, a->x, (size_t)x.n_rows * x.n_cols * sizeof(float));
    x.q = at_edge(4, upper, x.q, n_groups * 32);
    x.scale = at_edge(5, upper, x.scale, n_groups * sizeof(float));
    x.sum16 = at_edge(6, upper, x.sum16, n_groups * 2 * sizeof(float));
    return x;
}

static void check_matmul(const rusk_kernels *ref, const rusk_kernels *twin, rusk_rng *rng,
                         rusk_tile_kind kind, uint32_t n_rows, uint32_t n_cols, uint32_t n_batch) {
    test_tile t = test_tile_make(rng, kind, n_rows, n_cols, 3);
    test_acts a = test_acts_make(rng, ref, n_batch, n_cols, true);
    size_t y_stride = n_rows + 3, n = (n_batch - 1) * y_stride + n_rows;
    float *expected = calloc(n, sizeof *expected);
    float *plain = calloc((size_t)n_rows * n_cols, sizeof *plain);
    ref->matmul[kind](&t.tile, &a.acts, expected, y_stride);
    for (int upper = 0; upper < 2; upper++) {
        rusk_tile w = tile_at_edge(&t, upper);
        rusk_acts x = acts_at_edge(&a, upper);
        float *y = at_edge(7, upper, NULL, n * sizeof(float));
        twin->matmul[kind](&w, &x, y, y_stride);
        CHECK(same_floats(y, expected, n));
        /* a batch is its rows, one by one */
        memset(y, 0, n * sizeof(float));
        for (uint32_t b = 0; b < n_batch; b++) {
            rusk_acts one = x;
            one.n_rows = 1;
            one.x = x.x + (size_t)b * n_cols;
            one.q = x.q + (size_t)b * x.n_groups * 32;
            one.scale = x.scale + (size_t)b * x.n_groups;
            one.sum16 = x.sum16 + (size_t)b * x.n_groups * 2;
            twin->matmul[kind](&w, &one, y + b * y_stride, y_stride);
        }
        CHECK(same_floats(y, expected, n));
        if (kind >= RUSK_TILE_I8) {
            size_t n_out = (size_t)n_rows * n_cols;
            float *out = at_edge(7, upper, NULL, n_out * sizeof(float));
            ref->expand(&t.tile, plain);
            twin->expand(&w, out);
            CHECK(same_floats(out, plain, n_out));
        }
    }
    free(plain);
    free(expected);
    test_acts_free(&a);
    test_tile_free(&t);
}

static void matmul_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    static const uint32_t COLS[] = {95, 96, 128, 255, 256, 257, 288, 480, 512, 513, 576, 1536};
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int kind = 0; kind < RUSK_TILE_KINDS; kind++) {
        for (uint32_t n_cols = 1; n_cols <= 70; n_cols++) {
            uint32_t n_rows = 1 + (uint32_t)rusk_rng_below(&rng, 13);
            uint32_t n_batch = 1 + (uint32_t)rusk_rng_below(&rng, 6);
            check_matmul(ref, twin, &rng, (rusk_tile_kind)kind, n_rows, n_cols, n_batch);
        }
        for (size_t i = 0; i < RUSK_COUNT(COLS); i++) {
            for (uint32_t n_batch = 1; n_batch <= 9; n_batch += 1 + n_batch / 4) {
                uint32_t n_rows = 1 + (uint32_t)rusk_rng_below(&rng, 18);
                check_matmul(ref, twin, &rng, (rusk_tile_kind)kind, n_rows, COLS[i], n_batch);
            }
        }
        check_matmul(ref, twin, &rng, (rusk_tile_kind)kind, 6, 40, 131); /* past a batch block */
    }
}

TEST(products) {
    each_level(matmul_body);
}

/* n floats of a mood: ordinary, tiny and huge, or with infinities and NaN among them. */
static void moody(rusk_rng *rng, int mood, float *x, size_t n) {
    static const float ODD[] = {0, -0.0F, 1e-45F, -2.6e-43F, 3.4e38F, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < n; i++) {
        double v = rusk_rng_normal(rng);
        if (mood == 1) {
            v *= exp2(rusk_rng_double(rng) * 270 - 149);
        }
        x[i] = (float)v * (mood == 0 ? 1 : 8);
        if (mood == 2 && rusk_rng_below(rng, 8) == 0) {
            x[i] = ODD[rusk_rng_below(rng, RUSK_COUNT(ODD))];
        }
        if (mood == 3) {
            x[i] = rusk_f32_from_bits((uint32_t)rusk_rng_u64(rng));
        }
    }
}

enum { LONGEST = 700 };

static void quantize_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 1; n <= LONGEST; n += n < 140 ? 1 : 97) {
        for (int mood = 0; mood < 4; mood++) {
            size_t n_groups = (n + 31) / 32;
            float x[LONGEST], scale[LONGEST], sum16[LONGEST];
            int8_t q[LONGEST + 32];
            moody(&rng, mood, x, n);
            ref->quantize(x, n, q, scale, sum16);
            for (int upper = 0; upper < 2; upper++) {
                const float *from = at_edge(0, upper, x, n * sizeof *x);
                int8_t *q2 = at_edge(1, upper, NULL, n_groups * 32);
                float *scale2 = at_edge(2, upper, NULL, n_groups * sizeof(float));
                float *sum2 = at_edge(3, upper, NULL, n_groups * 2 * sizeof(float));
                twin->quantize(from, n, q2, scale2, sum2);
                CHECK_MEM(q2, q, n_groups * 32);
                CHECK(same_floats(scale2, scale, n_groups));
                CHECK(same_floats(sum2, sum16, n_groups * 2));
            }
        }
    }
}

TEST(quantize) {
    each_level(quantize_body);
}

/* Kernels that map float rows to a float row. */
static void rows_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 1; n <= LONGEST; n += n < 140 ? 1 : 97) {
        for (int mood = 0; mood < 4; mood++) {
            for (int upper = 0; upper < 2; upper++) {
                float x[LONGEST], y[LONGEST], expected[LONGEST];
                size_t size = n * sizeof *x;
                moody(&rng, mood, x, n);
                moody(&rng, mood == 3 ? 0 : mood, y, n);
                const float *x2 = at_edge(0, upper, x, size), *y2 = at_edge(1, upper, y, size);
                float *out = at_edge(2, upper, NULL, size);
                ref->rms_norm(x, y, n, 1e-6F, expected);
                twin->rms_norm(x2, y2, n, 1e-6F, out);
                CHECK(same_floats(out, expected, n));
                ref->silu_mul(x, y, n, expected);
                twin->silu_mul(x2, y2, n, out);
                CHECK(same_floats(out, expected, n));
                ref->gelu_mul(x, y, n, expected);
                twin->gelu_mul(x2, y2, n, out);
                CHECK(same_floats(out, expected, n));
                memcpy(expected, x, size);
                memcpy(out, x, size);
                ref->softmax(expected, n);
                twin->softmax(out, n);
                CHECK(same_floats(out, expected, n));
                memcpy(expected, x, size);
                memcpy(out, x, size);
                ref->add(expected, y, n);
                twin->add(out, y2, n);
                CHECK(same_floats(out, expected, n));
                ref->rms_norm(x, y, n, 1e-6F, expected); /* in place */
                memcpy(out, x, size);
                twin->rms_norm(out, y2, n, 1e-6F, out);
                CHECK(same_floats(out, expected, n));
            }
        }
    }
}

TEST(rows) {
    each_level(rows_body);
}

static bool same_halves(const uint16_t *a, const uint16_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool both_nan = (a[i] & 0x7FFFU) > 0x7C00U && (b[i] & 0x7FFFU) > 0x7C00U;
        if (a[i] != b[i] && !both_nan) {
            printf("element %zu of %zu: %04x, expected %04x\n", i, n, a[i], b[i]);
            return false;
        }
    }
    return true;
}

static void halves_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 1; n <= 264; n++) {
        for (int mood = 0; mood < 4; mood++) {
            for (int upper = 0; upper < 2; upper++) {
                float x[264];
                uint16_t h[264];
                moody(&rng, mood, x, n);
                ref->to_f16(x, h, n);
                const float *x2 = at_edge(0, upper, x, n * sizeof *x);
                uint16_t *h2 = at_edge(1, upper, NULL, n * sizeof *h);
                twin->to_f16(x2, h2, n);
                CHECK(same_halves(h2, h, n));
            }
        }
    }
}

TEST(halves) {
    each_level(halves_body);
}

enum { DIM_MAX = 136, ROWS_MAX = 11, QUERIES_MAX = 9 };

/* Random bits as halves (NaN and infinity among them) or numbers of usual size. */
static void some_halves(rusk_rng *rng, bool wild, uint16_t *h, size_t n) {
    for (size_t i = 0; i < n; i++) {
        h[i] = wild ? (uint16_t)rusk_rng_u64(rng) : rusk_f16_from_f32((float)rusk_rng_normal(rng));
    }
}

static void run_case(rusk_rng *rng, const rusk_kernels *ref, const rusk_kernels *twin, size_t n,
                     size_t n_rows, size_t n_x, int mood) {
    const size_t stride = n + 8 * rusk_rng_below(rng, 3);
    const size_t n_halves = n_rows > 0 ? (n_rows - 1) * stride + n : 0;
    float x[QUERIES_MAX][DIM_MAX], y[QUERIES_MAX][DIM_MAX], a[QUERIES_MAX][ROWS_MAX];
    float dots[QUERIES_MAX][ROWS_MAX], expected[QUERIES_MAX][DIM_MAX];
    const float *xs[QUERIES_MAX], *as[QUERIES_MAX];
    float *outs[QUERIES_MAX];
    uint16_t h[ROWS_MAX * (DIM_MAX + 16)];
    some_halves(rng, mood == 3, h, n_halves);
    for (size_t j = 0; j < n_x; j++) {
        moody(rng, mood, x[j], n);
        moody(rng, mood, y[j], n);
        moody(rng, mood, a[j], n_rows);
        memcpy(expected[j], y[j], n * sizeof(float));
        const float *const one_x[] = {x[j]}, *const one_a[] = {a[j]};
        float *const one_dot[] = {dots[j]}, *const one_sum[] = {expected[j]};
        ref->dots_f32_f16(one_x, 1, h, stride, n_rows, one_dot, n);
        ref->mix_f16(one_a, 1, h, stride, n_rows, one_sum, n);
    }
    for (int upper = 0; upper < 2; upper++) {
        const uint16_t *h2 = at_edge(0, upper, h, n_halves * sizeof *h);
        float found[QUERIES_MAX][ROWS_MAX], sums[QUERIES_MAX][DIM_MAX];
        for (size_t j = 0; j < n_x; j++) {
            xs[j] = x[j];
            outs[j] = found[j];
        }
        /* any of them may stand at the end of what can be read */
        const size_t edge = rusk_rng_below(rng, (uint32_t)n_x);
        xs[edge] = at_edge(1, upper, x[edge], n * sizeof(float));
        outs[edge] = at_edge(2, upper, NULL, n_rows * sizeof(float));
        twin->dots_f32_f16(xs, n_x, h2, stride, n_rows, outs, n);
        for (size_t j = 0; j < n_x; j++) {
            CHECK(same_floats(outs[j], dots[j], n_rows));
            as[j] = a[j];
            memcpy(sums[j], y[j], n * sizeof(float));
            outs[j] = sums[j];
        }
        as[edge] = at_edge(3, upper, a[edge], n_rows * sizeof(float));
        outs[edge] = at_edge(4, upper, y[edge], n * sizeof(float));
        twin->mix_f16(as, n_x, h2, stride, n_rows, outs, n);
        for (size_t j = 0; j < n_x; j++) {
            CHECK(same_floats(outs[j], expected[j], n));
        }
    }
}

static void runs_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 8; n <= DIM_MAX; n += 8) {
        for (size_t n_rows = 0; n_rows <= ROWS_MAX; n_rows++) {
            for (size_t n_x = 1; n_x <= QUERIES_MAX; n_x++) {
                run_case(&rng, ref, twin, n, n_rows, n_x, (int)rusk_rng_below(&rng, 4));
            }
        }
    }
}

TEST(runs_of_positions) {
    each_level(runs_body);
}

static void rotations_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 1; n <= 70; n++) {
        for (int mood = 0; mood < 4; mood++) {
            for (int upper = 0; upper < 2; upper++) {
                float x[140], turn[140], expected[140];
                moody(&rng, mood, x, 2 * n);
                moody(&rng, 0, turn, 2 * n);
                const float *turn2 = at_edge(0, upper, turn, 2 * n * sizeof *turn);
                memcpy(expected, x, sizeof x);
                float *out = at_edge(1, upper, x, 2 * n * sizeof *x);
                ref->rotate_halves(expected, turn, n);
                twin->rotate_halves(out, turn2, n);
                CHECK(same_floats(out, expected, 2 * n));
                memcpy(expected, x, sizeof x);
                memcpy(out, x, 2 * n * sizeof *x);
                ref->rotate_pairs(expected, turn, n);
                twin->rotate_pairs(out, turn2, n);
                CHECK(same_floats(out, expected, 2 * n));
            }
        }
    }
}

TEST(rotations) {
    each_level(rotations_body);
}

/* The lowest code, -128, against the largest activations: what saturating arithmetic would lose. */
static void extremes_body(const rusk_kernels *ref, const rusk_kernels *twin) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int kind = RUSK_TILE_I8; kind < RUSK_TILE_KINDS; kind++) {
        test_tile t = test_tile_make(&rng, (rusk_tile_kind)kind, 5, 640, 0);
        test_acts a = test_acts_make(&rng, ref, 3, 640, true);
        for (int code = -128; code <= 127; code += 255) {
            for (int q = -127; q <= 127; q += 254) {
                float y[15], expected[15];
                memset(t.data, code, 5 * 640);
                memset(a.acts.q, q, 3 * 640);
                ref->matmul[kind](&t.tile, &a.acts, expected, 5);
                twin->matmul[kind](&t.tile, &a.acts, y, 5);
                CHECK(same_floats(y, expected, 15));
            }
        }
        test_acts_free(&a);
        test_tile_free(&t);
    }
}

TEST(extreme_codes) {
    each_level(extremes_body);
}

TEST_MAIN(CASE(products), CASE(quantize), CASE(rows), CASE(halves), CASE(runs_of_positions),
          CASE(rotations), CASE(extreme_codes))
