#include "quant/rate.h"

#include <math.h>

#include "codec/codec.h"
#include "support/test.h"

static rusk_rate_hist g_hist, g_other;
static float g_values[200000];

static double counted_bits(size_t n, double step) {
    static double count[2001];
    double bits = 0;
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < n; i++) {
        double q = rint((double)g_values[i] / step);
        count[(int)fmax(-127, fmin(127, q)) + 1000]++;
        bits += fabs(q) > 127 ? RUSK_PATCH_COST_BITS : 0;
    }
    for (int s = 0; s < 2001; s++) {
        bits += count[s] > 0 ? count[s] * log2((double)n / count[s]) : 0;
    }
    return bits;
}

TEST(agrees_with_counting_symbols) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    size_t n = RUSK_COUNT(g_values);
    memset(&g_hist, 0, sizeof g_hist);
    for (size_t i = 0; i < n; i++) {
        double tail = rusk_rng_below(&rng, 300) == 0 ? 6 : 1;
        g_values[i] = (float)(tail * rusk_rng_normal(&rng));
    }
    rusk_rate_add(&g_hist, g_values, n, 1);
    for (double step = 1.0 / 32; step <= 4; step *= 1.3) {
        double counted = counted_bits(n, step);
        CHECK_NEAR(rusk_rate_bits(&g_hist, step) / counted, 1, 0.005);
    }
}

TEST(falls_with_the_step) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    memset(&g_hist, 0, sizeof g_hist);
    for (size_t i = 0; i < 10000; i++) {
        g_values[i] = (float)rusk_rng_normal(&rng);
    }
    rusk_rate_add(&g_hist, g_values, 10000, 1);
    double before = INFINITY;
    for (double step = 1.0 / 32; step <= 4; step *= 1.1) {
        double bits = rusk_rate_bits(&g_hist, step);
        CHECK(bits < before);
        before = bits;
    }
}

TEST(scale_is_a_unit_and_parts_merge) {
    memset(&g_hist, 0, sizeof g_hist);
    memset(&g_other, 0, sizeof g_other);
    for (int i = 0; i < 100; i++) {
        g_values[i] = (float)(i - 50) * 0.1F;
    }
    rusk_rate_add(&g_hist, g_values, 100, 0.5F);
    rusk_rate_add(&g_other, g_values, 40, 0.5F);
    static rusk_rate_hist rest;
    rusk_rate_add(&rest, g_values + 40, 60, 0.5F);
    rusk_rate_merge(&g_other, &rest);
    CHECK_MEM(&g_hist, &g_other, sizeof g_hist);
}

TEST(edges) {
    memset(&g_hist, 0, sizeof g_hist);
    CHECK_NEAR(rusk_rate_bits(&g_hist, 0.1), 0, 0); /* empty */
    memset(g_values, 0, 10 * sizeof(float));
    rusk_rate_add(&g_hist, g_values, 10, 0);
    CHECK_NEAR(rusk_rate_bits(&g_hist, 0.1), 0, 1e-9); /* all zero */
    g_values[0] = 1e30F;
    rusk_rate_add(&g_hist, g_values, 1, 1e-30F);
    g_values[0] = 1e-40F;
    rusk_rate_add(&g_hist, g_values, 1, 1e-40F);
    CHECK(isfinite(rusk_rate_bits(&g_hist, 0.1)));
}

TEST_MAIN(CASE(agrees_with_counting_symbols), CASE(falls_with_the_step),
          CASE(scale_is_a_unit_and_parts_merge), CASE(edges))
