/* Each kernel against a double reference. Bounds: a float sum of n products in 32 lanes errs by at
 * most about (n/32 + 6) 2^-24 of sum |w x|; the int8 path adds the rounding of activations, which
 * is half a step per column, max|x| / 254 in its group. */
#include "kernel/kernels.h"

#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/fp.h"
#include "kernel/kernel_parts.h"
#include "support/test.h"
#include "support/tiles.h"

static rusk_kernels kernels(void) {
    rusk_kernels k;
    rusk_kernels_init(&k, rusk_cpu_features());
    return k;
}

static const uint32_t COLS[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 70, 96, 576, 1536};

/* Largest |w x| sum of a product and its exact value. */
static double exact(const test_tile *t, const double *x, uint32_t row, double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (uint32_t c = 0; c < t->tile.n_cols; c++) {
        double term = test_tile_value(t, row, c) * x[c];
        sum += term;
        *magnitude += fabs(term);
    }
    return sum;
}

static void check_product(const rusk_kernels *k, rusk_tile_kind kind, uint32_t n_cols, bool ints) {
    rusk_rng rng = rusk_rng_seed(test_seed() + n_cols);
    test_tile t = test_tile_make(&rng, kind, 7, n_cols, 3);
    test_acts a = test_acts_make(&rng, k, 5, n_cols, ints);
    float *y = calloc(5 * 9, sizeof *y), *scratch = calloc(7 * n_cols, sizeof *scratch);
    double *x = calloc(n_cols, sizeof *x);
    rusk_matmul(k, &t.tile, &a.acts, y, 9, scratch);
    bool integer = ints && kind >= RUSK_TILE_I8;
    for (uint32_t b = 0; b < 5; b++) {
        for (uint32_t c = 0; c < n_cols; c++) {
            x[c] = integer ? (double)a.acts.q[(b * a.acts.n_groups + c / 32) * 32 + c % 32] *
                                 (double)a.acts.scale[b * a.acts.n_groups + c / 32]
                           : (double)a.acts.x[b * n_cols + c];
        }
        for (uint32_t r = 0; r < 7; r++) {
            double magnitude, value = exact(&t, x, r, &magnitude);
            CHECK_NEAR(y[b * 9 + r], value, magnitude * (n_cols / 16 + 16) * 0x1p-24);
        }
        CHECK_EQ(y[b * 9 + 7], 0); /* nothing beyond the rows */
        CHECK_EQ(y[b * 9 + 8], 0);
    }
    free(x);
    free(scratch);
    free(y);
    test_acts_free(&a);
    test_tile_free(&t);
}

TEST(products_are_near_the_double_reference) {
    rusk_kernels k = kernels();
    for (size_t i = 0; i < RUSK_COUNT(COLS); i++) {
        for (int kind = 0; kind < RUSK_TILE_KINDS; kind++) {
            check_product(&k, (rusk_tile_kind)kind, COLS[i], true);
            check_product(&k, (rusk_tile_kind)kind, COLS[i], false);
        }
    }
}

/* The whole int8 path against float activations: a step of 1/127 of the group's largest value, as
 * uniform noise, is 1/(127 sqrt 12) of it; relative to normal activations about 0.7 %. */
TEST(int8_activations_cost_less_than_a_percent) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    test_tile t = test_tile_make(&rng, RUSK_TILE_G32, 200, 1536, 0);
    test_acts a = test_acts_make(&rng, &k, 1, 1536, true);
    float *y = calloc(200, sizeof *y), *reference = calloc(200, sizeof *y);
    float *scratch = calloc(200 * 1536, sizeof *scratch);
    rusk_matmul(&k, &t.tile, &a.acts, y, 200, scratch);
    int8_t *q = a.acts.q;
    a.acts.q = NULL;
    rusk_matmul(&k, &t.tile, &a.acts, reference, 200, scratch);
    a.acts.q = q;
    CHECK_NEAR(test_relative_norm(y, reference, 200), 0, 0.01);
    free(scratch);
    free(reference);
    free(y);
    test_acts_free(&a);
    test_tile_free(&t);
}

/* Residual: (A B) x = A (B x), with the product of matrices as a batch. */
TEST(matmul_residual) {
    enum { N = 96 };
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    static float a[N * N], b[N * N], bt[N * N], ab[N * N], x[N], bx[N], left[N], right[N];
    for (size_t i = 0; i < (size_t)N * N; i++) {
        a[i] = (float)rusk_rng_normal(&rng);
        b[i] = (float)rusk_rng_normal(&rng);
        bt[i % N * N + i / N] = b[i];
        x[i % N] = (float)rusk_rng_normal(&rng);
    }
    rusk_tile ta = {
        .kind = RUSK_TILE_F32, .n_rows = N, .n_cols = N, .data = a, .stride_bytes = 4 * N};
    rusk_tile tb = ta, tx = ta;
    tb.data = b;
    rusk_acts acts = {.n_rows = N, .n_cols = N, .n_groups = N / 32, .x = bt};
    rusk_matmul(&k, &ta, &acts, ab, N, NULL); /* ab[j][i] = (A B)_ij */
    acts.n_rows = 1;
    acts.x = x;
    rusk_matmul(&k, &tb, &acts, bx, N, NULL);
    acts.x = bx;
    rusk_matmul(&k, &ta, &acts, right, N, NULL);
    static float abt[N * N];
    for (size_t i = 0; i < (size_t)N * N; i++) {
        abt[i] = ab[i % N * N + i / N];
    }
    tx.data = abt;
    acts.x = x;
    rusk_matmul(&k, &tx, &acts, left, N, NULL);
    CHECK_NEAR(test_relative_norm(left, right, N), 0, 1e-6);
}

TEST(expand_is_the_value) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < RUSK_COUNT(COLS); i++) {
        for (int kind = RUSK_TILE_I8; kind < RUSK_TILE_KINDS; kind++) {
            test_tile t = test_tile_make(&rng, (rusk_tile_kind)kind, 3, COLS[i], 4);
            float *out = calloc(3 * COLS[i], sizeof *out);
            k.expand(&t.tile, out);
            for (uint32_t e = 0; e < 3 * COLS[i]; e++) {
                double value = test_tile_value(&t, e / COLS[i], e % COLS[i]);
                CHECK_NEAR(out[e], value, (fabs(value) + 1) * 0x1p-22);
            }
            free(out);
            test_tile_free(&t);
        }
    }
}

TEST(quantize_rounds_to_the_nearest_step) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (uint32_t n = 1; n <= 70; n++) {
        test_acts a = test_acts_make(&rng, &k, 1, n, true);
        for (uint32_t g = 0; g < a.acts.n_groups; g++) {
            float top = 0;
            int sum[2] = {0, 0};
            for (uint32_t c = g * 32; c < g * 32 + 32; c++) {
                float x = c < n ? a.acts.x[c] : 0;
                top = fmaxf(top, fabsf(x));
                CHECK_NEAR(a.acts.q[c] * a.acts.scale[g], x, a.acts.scale[g] * 0.50001);
                sum[c / 16 % 2] += a.acts.q[c];
            }
            CHECK(a.acts.scale[g] == top / 127.0F);
            CHECK(a.acts.sum16[2 * g] == a.acts.scale[g] * (float)sum[0]);
            CHECK(a.acts.sum16[2 * g + 1] == a.acts.scale[g] * (float)sum[1]);
        }
        test_acts_free(&a);
    }
}

TEST(quantize_of_odd_values) {
    static const float ODD[] = {0, -0.0F, 1e-45F, 2.66e-43F, 1e-38F, 3.4e38F, INFINITY, NAN};
    rusk_kernels k = kernels();
    for (size_t i = 0; i < RUSK_COUNT(ODD); i++) {
        float x[32] = {0}, scale, sum16[2];
        int8_t q[32];
        x[3] = ODD[i];
        x[20] = -ODD[i];
        k.quantize(x, 32, q, &scale, sum16);
        for (int c = 0; c < 32; c++) {
            CHECK(q[c] >= -127); /* -128 would break |q| in 7 bits */
        }
        if (isfinite(ODD[i])) {
            CHECK_EQ(q[20], -q[3]);
            CHECK_NEAR(q[3] * scale, ODD[i], fmax(scale * 63.0, 1e-43));
        } else {
            CHECK_EQ(q[3], 0);
            CHECK(isnan((float)q[3] * scale) && isnan(sum16[0]) && isnan(sum16[1]));
        }
    }
}

static double silu(double x) {
    return x / (1 + exp(-x));
}

static double gelu(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

TEST(activations_are_near_the_double_reference) {
    enum { N = 4001 };
    rusk_kernels k = kernels();
    static float x[N], up[N], out[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - 2000) / 50.0F;
        up[i] = 1.0F;
    }
    k.silu_mul(x, up, N, out);
    for (int i = 0; i < N; i++) {
        CHECK_NEAR(out[i], silu(x[i]), fabs(silu(x[i])) * 4 * 0x1p-23 + 1e-44);
    }
    k.gelu_mul(x, up, N, out);
    for (int i = 0; i < N; i++) {
        /* exp(-2u) amplifies the rounding of u: 2^-24 |2u| */
        double u = 1.6 * (fabs(x[i]) + 0.045 * pow(fabs(x[i]), 3));
        CHECK_NEAR(out[i], gelu(x[i]),
                   fabs(gelu(x[i])) * (6 + 2 * u) * 0x1p-23 + fabs(x[i]) * 0x1p-52);
    }
}

/* Over the whole range of f32, by its bits. */
TEST(exp_is_within_an_ulp) {
    for (uint64_t bits = 0; bits <= 0xFFFFFFFFU; bits += 1009) {
        float x = rusk_f32_from_bits((uint32_t)bits), y = rusk_exp_ref(x);
        double value = exp((double)x);
        if (isnan(x)) {
            CHECK(isnan(y));
        } else if (value > 0x1.fffffep127 || isinf(y)) {
            CHECK(isinf(y) && value > 0x1.fffffcp127);
        } else {
            int exponent;
            (void)frexp(value, &exponent);
            CHECK_NEAR(y, value, ldexp(1, RUSK_MAX(exponent - 24, -149)));
        }
    }
}

TEST(softmax_is_near_the_double_reference) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    static float x[3000];
    static double e[3000];
    static const size_t SIZES[] = {1, 2, 7, 8, 15, 16, 17, 33, 512, 3000};
    for (size_t s = 0; s < RUSK_COUNT(SIZES); s++) {
        size_t n = SIZES[s];
        double sum = 0, top = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)(rusk_rng_normal(&rng) * (s % 2 ? 30 : 3));
            top = fmax(top, x[i]);
        }
        for (size_t i = 0; i < n; i++) {
            e[i] = exp(x[i] - top);
            sum += e[i];
        }
        k.softmax(x, n);
        for (size_t i = 0; i < n; i++) {
            double value = e[i] / sum;
            /* x - max is rounded: relative 2^-24 |x - max| */
            double distance = value > 0 ? -log(e[i]) : 0;
            CHECK_NEAR(x[i], value, value * (8 + (double)n / 64 + distance) * 0x1p-23 + 1e-44);
        }
    }
}

TEST(norm_is_near_the_double_reference) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < RUSK_COUNT(COLS); i++) {
        size_t n = COLS[i];
        float x[1536], gain[1536], out[1536];
        double squares = 0;
        for (size_t c = 0; c < n; c++) {
            x[c] = (float)rusk_rng_normal(&rng);
            gain[c] = (float)rusk_rng_normal(&rng);
            squares += (double)x[c] * (double)x[c];
        }
        k.rms_norm(x, gain, n, 1e-5F, out);
        for (size_t c = 0; c < n; c++) {
            double value = x[c] / sqrt(squares / (double)n + 1e-5) * gain[c];
            CHECK_NEAR(out[c], value, fabs(value) * ((double)n / 32 + 12) * 0x1p-24);
        }
        k.rms_norm(x, gain, n, 1e-5F, x);
        CHECK_MEM(x, out, n * sizeof(float));
    }
}

TEST(attention_helpers) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 8; n <= 256; n += 8) {
        float x[256], y[256], before[256];
        uint16_t h[256];
        double dot = 0, magnitude = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)rusk_rng_normal(&rng);
            y[i] = before[i] = (float)rusk_rng_normal(&rng);
        }
        k.to_f16(y, h, n);
        for (size_t i = 0; i < n; i++) {
            CHECK_EQ(h[i], rusk_f16_from_f32(y[i]));
            dot += (double)x[i] * (double)rusk_f32_from_f16(h[i]);
            magnitude += fabs((double)x[i] * (double)rusk_f32_from_f16(h[i]));
        }
        const float minus_one = -1, *const queries[] = {x}, *const factors[] = {&minus_one};
        float found, *const dots[] = {&found}, *const sums[] = {y};
        k.dots_f32_f16(queries, 1, h, n, 1, dots, n);
        CHECK_NEAR(found, dot, magnitude * 24 * 0x1p-24);
        k.mix_f16(factors, 1, h, n, 1, sums, n);
        k.add(x, before, n);
        for (size_t i = 0; i < n; i++) {
            CHECK(y[i] == before[i] - rusk_f32_from_f16(h[i]));
        }
    }
}

TEST(rotation) {
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 1; n <= 70; n++) {
        float x[140], halves[140], pairs[140], turn[140];
        for (size_t i = 0; i < n; i++) {
            const double angle = 20 * rusk_rng_normal(&rng);
            turn[i] = (float)cos(angle);
            turn[n + i] = (float)sin(angle);
        }
        for (size_t i = 0; i < 2 * n; i++) {
            x[i] = (float)rusk_rng_normal(&rng);
        }
        for (size_t i = 0; i < n; i++) {
            halves[i] = pairs[2 * i] = x[i];
            halves[n + i] = pairs[2 * i + 1] = x[n + i];
        }
        k.rotate_halves(halves, turn, n);
        k.rotate_pairs(pairs, turn, n);
        for (size_t i = 0; i < n; i++) {
            const double a = x[i], b = x[n + i], c = turn[i], s = turn[n + i];
            const double bound = (fabs(a) + fabs(b)) * 2 * 0x1p-24;
            CHECK_NEAR(halves[i], a * c - b * s, bound);
            CHECK_NEAR(halves[n + i], a * s + b * c, bound);
            CHECK(halves[i] == pairs[2 * i] && halves[n + i] == pairs[2 * i + 1]);
        }
    }
}

/* Values that no model should hold still have to come out as values. */
TEST(nan_and_infinity_pass_through) {
    static const float ODD[] = {NAN, INFINITY, -INFINITY, 3.4e38F, 1e-45F};
    rusk_kernels k = kernels();
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t o = 0; o < RUSK_COUNT(ODD); o++) {
        float x[70], out[70], scratch[3 * 70], y[3];
        for (int i = 0; i < 70; i++) {
            x[i] = 1.0F;
        }
        x[40] = ODD[o];
        k.rms_norm(x, x, 70, 1e-5F, out);
        k.silu_mul(x, x, 70, out);
        k.gelu_mul(x, x, 70, out);
        for (int kind = 0; kind < RUSK_TILE_KINDS; kind++) {
            test_tile t = test_tile_make(&rng, (rusk_tile_kind)kind, 3, 70, 2);
            test_acts a = test_acts_make(&rng, &k, 1, 70, true);
            memcpy(a.x, x, sizeof x);
            k.quantize(a.x, 70, a.acts.q, a.acts.scale, a.acts.sum16);
            rusk_matmul(&k, &t.tile, &a.acts, y, 3, scratch);
            if (!isfinite(ODD[o])) {
                CHECK(!isfinite(y[0]));
            }
            test_acts_free(&a);
            test_tile_free(&t);
        }
        k.softmax(x, 70);
        CHECK(isnan(ODD[o]) || ODD[o] == INFINITY ? isnan(x[0]) : x[0] >= 0 && x[0] <= 1);
    }
}

TEST_MAIN(CASE(products_are_near_the_double_reference),
          CASE(int8_activations_cost_less_than_a_percent), CASE(matmul_residual),
          CASE(expand_is_the_value), CASE(quantize_rounds_to_the_nearest_step),
          CASE(quantize_of_odd_values), CASE(activations_are_near_the_double_reference),
          CASE(exp_is_within_an_ulp), CASE(softmax_is_near_the_double_reference),
          CASE(norm_is_near_the_double_reference), CASE(attention_helpers), CASE(rotation),
          CASE(nan_and_infinity_pass_through))
