#include "quant/quantizer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "support/test.h"

enum { MAX_WEIGHTS = 1 << 16 };

static float g_rows[MAX_WEIGHTS];
static int8_t g_symbols[MAX_WEIGHTS];
static rusk_patch g_patches[MAX_WEIGHTS];
static rusk_row_stats g_stats[MAX_WEIGHTS];
static float g_scales[MAX_WEIGHTS];
static const rusk_quant_stats NEUTRAL = {.importance = 1};

static const rusk_quantizer *uniform(void) {
    const rusk_quantizer *q = rusk_quantizer_find("uniform");
    CHECK(q != NULL);
    return q;
}

/* Gaussian rows with a few values far outside, of different widths. */
static void fill(rusk_rng *rng, uint32_t n_rows, uint32_t n_cols) {
    for (uint32_t r = 0; r < n_rows; r++) {
        double width = exp(2 * rusk_rng_normal(rng));
        for (uint32_t c = 0; c < n_cols; c++) {
            double outlier = rusk_rng_below(rng, 500) == 0 ? 200 : 1;
            g_rows[(size_t)r * n_cols + c] = (float)(width * outlier * rusk_rng_normal(rng));
        }
    }
}

static rusk_quant_out run(uint32_t n_rows, uint32_t n_cols, float step,
                          const rusk_quant_stats *stats) {
    rusk_error err;
    rusk_quant_out out = {
        .symbols = g_symbols, .patches = g_patches, .cap_patches = MAX_WEIGHTS, .n_patches = 99};
    CHECK_OK(uniform()->measure(g_rows, 0, n_rows, n_cols, g_stats, &err), &err);
    uniform()->scales(g_stats, n_rows, step, stats, g_scales);
    CHECK_OK(uniform()->quantize(g_rows, n_rows, n_cols, g_scales, stats, &out, &err), &err);
    return out;
}

/* Every value within half a step, patches applied; patches ascending and needed. */
static void check_errors(uint32_t n_rows, uint32_t n_cols, const rusk_quant_out *out) {
    size_t p = 0;
    for (uint32_t i = 0; i < n_rows * n_cols; i++) {
        double scale = (double)g_scales[i / n_cols], q = out->symbols[i];
        CHECK(q >= -127 && q <= 127);
        if (p < out->n_patches && out->patches[p].position == i) {
            CHECK(q == 127 || q == -127);
            CHECK(out->patches[p].delta != 0 && (out->patches[p].delta > 0) == (q > 0));
            q += out->patches[p++].delta;
        }
        double error = fabs((double)g_rows[i] - q * scale);
        if (!(error <= scale * (0.5 + 1e-5) + fabs((double)g_rows[i]) * 1e-9)) {
            test_fail(__FILE__, __LINE__, "weight %u = %g became %g (scale %g)", i,
                      (double)g_rows[i], q * scale, scale);
        }
    }
    CHECK_EQ(p, out->n_patches);
}

TEST(registry) {
    CHECK(rusk_quantizer_count() >= 1);
    for (size_t i = 0; i < rusk_quantizer_count(); i++) {
        const rusk_quantizer *q = rusk_quantizer_at(i);
        CHECK(rusk_quantizer_find(q->name) == q);
        CHECK(q->step_min > 0 && q->step_min < q->step_max);
    }
    CHECK(rusk_quantizer_at(rusk_quantizer_count()) == NULL);
    CHECK(rusk_quantizer_find("nearest") == NULL);
}

TEST(errors_stay_within_half_a_step) {
    static const uint32_t WIDTHS[] = {1, 2, 3, 31, 32, 255, 256, 576, 1000};
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t w = 0; w < RUSK_COUNT(WIDTHS); w++) {
        for (float step = uniform()->step_min; step <= uniform()->step_max; step *= 2) {
            fill(&rng, 60, WIDTHS[w]);
            rusk_quant_out out = run(60, WIDTHS[w], step, &NEUTRAL);
            check_errors(60, WIDTHS[w], &out);
        }
    }
}

TEST(patches_are_bounded_per_row) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int repeat = 0; repeat < 20; repeat++) {
        fill(&rng, 40, 700);
        rusk_quant_out out = run(40, 700, uniform()->step_min, &NEUTRAL);
        unsigned n_of_row[40] = {0};
        for (size_t i = 0; i < out.n_patches; i++) {
            n_of_row[out.patches[i].position / 700]++;
        }
        for (int r = 0; r < 40; r++) {
            CHECK(n_of_row[r] <= rusk_patches_per_row(700));
        }
    }
}

TEST(row_statistics) {
    rusk_error err;
    static const float ROWS[] = {3, -4, 0, 0, 0, 0, 0, 0, -7, 7, 7, 7};
    CHECK_OK(uniform()->measure(ROWS, 0, 3, 4, g_stats, &err), &err);
    CHECK_NEAR(g_stats[0].rms, 2.5, 1e-6);
    CHECK_NEAR(g_stats[0].mean_abs, 1.75, 1e-6);
    CHECK_NEAR(g_stats[0].tail, 3, 0); /* one value may be above */
    CHECK_NEAR(g_stats[1].rms, 0, 0);
    CHECK_NEAR(g_stats[1].tail, 0, 0);
    CHECK_NEAR(g_stats[2].rms, 7, 1e-6);
    CHECK_NEAR(g_stats[2].tail, 7, 0);
}

TEST(importance_and_row_weights_shrink_the_step) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (uint32_t i = 0; i < 4 * 512; i++) {
        g_rows[i] = (float)rusk_rng_normal(&rng);
    }
    run(4, 512, 0.25F, &NEUTRAL);
    float neutral[4];
    memcpy(neutral, g_scales, sizeof neutral);
    const float weights[4] = {1, 4, 16, 0.25F};
    run(4, 512, 0.25F, &(rusk_quant_stats){.importance = 4, .row_weight = weights});
    for (int r = 0; r < 4; r++) {
        CHECK_NEAR(g_scales[r], neutral[r] / sqrtf(4 * weights[r]), 1e-6);
    }
}

TEST(pieces_give_the_same_as_the_whole) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_error err;
    fill(&rng, 50, 301);
    rusk_quant_out whole = run(50, 301, 0.1F, &NEUTRAL);
    for (uint32_t r = 0; r < 50; r++) {
        int8_t symbols[301];
        rusk_row_stats stats;
        float scale;
        rusk_patch patches[301];
        rusk_quant_out out = {.symbols = symbols, .patches = patches, .cap_patches = 301};
        const float *row = g_rows + (size_t)r * 301;
        CHECK_OK(uniform()->measure(row, r, 1, 301, &stats, &err), &err);
        uniform()->scales(&stats, 1, 0.1F, &NEUTRAL, &scale);
        CHECK_MEM(&scale, &g_scales[r], sizeof scale);
        CHECK_OK(uniform()->quantize(row, 1, 301, &scale, &NEUTRAL, &out, &err), &err);
        CHECK_MEM(symbols, whole.symbols + (size_t)r * 301, 301);
    }
}

TEST(extreme_values) {
    /* zeros, subnormals, one value among zeros, the largest floats */
    static const float ROWS[] = {
        0, 0, 0,       0,        FLT_TRUE_MIN, 0,       0,      -FLT_TRUE_MIN, 0,       0,
        5, 0, FLT_MAX, -FLT_MAX, FLT_MAX,      FLT_MAX, 1e-30F, 1e30F,         -1e-30F, 1};
    memcpy(g_rows, ROWS, sizeof ROWS);
    rusk_quant_out out = run(5, 4, 0.25F, &NEUTRAL);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(out.symbols[i], 0);
    }
    for (int r = 0; r < 5; r++) {
        CHECK(isfinite(g_scales[r]));
    }
    CHECK_EQ(out.symbols[8], 0);
    CHECK_NEAR((double)g_scales[2] * out.symbols[10], 5, 0.5 * (double)g_scales[2]);
    CHECK_NEAR((double)g_scales[3] * out.symbols[12], (double)FLT_MAX, 0.5 * (double)g_scales[3]);
    CHECK_NEAR((double)g_scales[4] * out.symbols[17], 1e30, 0.5 * (double)g_scales[4]);
}

TEST(a_scale_of_zero_gives_zeros_and_a_tiny_one_clamps) {
    rusk_error err;
    static const float ROWS[] = {1, -2, 3, 4, 1e20F, -1e20F, 0, 1e-20F};
    static const float SCALES[] = {0, 1e-20F};
    rusk_quant_out out = {.symbols = g_symbols, .patches = g_patches, .cap_patches = 8};
    CHECK_OK(uniform()->quantize(ROWS, 2, 4, SCALES, &NEUTRAL, &out, &err), &err);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(g_symbols[i], 0);
    }
    CHECK_EQ(out.n_patches, 2);
    CHECK_EQ(g_symbols[4] + (int64_t)g_patches[0].delta, RUSK_PATCH_MAX_DELTA - 512);
    CHECK_EQ(g_symbols[5] + (int64_t)g_patches[1].delta, -(RUSK_PATCH_MAX_DELTA - 512));
    CHECK_EQ(g_symbols[7], 1);
    out.cap_patches = 1;
    CHECK_FAILS(uniform()->quantize(ROWS, 2, 4, SCALES, &NEUTRAL, &out, &err), RUSK_LIMIT, &err,
                "outliers");
}

TEST(weights_that_are_not_finite_are_named) {
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    rusk_error err;
    for (size_t b = 0; b < RUSK_COUNT(BAD); b++) {
        for (uint32_t at = 0; at < 21; at++) {
            char where[64];
            memset(g_rows, 0, sizeof(float) * 21);
            g_rows[at] = BAD[b];
            snprintf(where, sizeof where, "row %u, column %u", 100 + at / 7, at % 7);
            CHECK_FAILS(uniform()->measure(g_rows, 100, 3, 7, g_stats, &err), RUSK_FORMAT, &err,
                        where);
        }
    }
}

TEST_MAIN(CASE(registry), CASE(errors_stay_within_half_a_step), CASE(patches_are_bounded_per_row),
          CASE(row_statistics), CASE(importance_and_row_weights_shrink_the_step),
          CASE(pieces_give_the_same_as_the_whole), CASE(extreme_values),
          CASE(a_scale_of_zero_gives_zeros_and_a_tiny_one_clamps),
          CASE(weights_that_are_not_finite_are_named))
