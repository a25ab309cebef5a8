#include "codec/hist.h"

#include <math.h>

#include "codec/sample.h"
#include "support/test.h"

TEST(logarithm_is_accurate) {
    for (uint64_t n = 1; n < 100000; n += 1 + n / 50) {
        CHECK_NEAR(rusk_log2_u64(n), log2((double)n), 1e-14 * (1 + log2((double)n)));
    }
    CHECK_NEAR(rusk_log2_u64(UINT64_MAX), 64, 1e-12);
    CHECK(rusk_log2_u64(1) == 0 && rusk_log2_u64(1ULL << 40) == 40);
}

TEST(counts_and_entropy) {
    static const int8_t SYMBOLS[] = {-127, 127, 0, 0, 5, 5, 5, 5};
    rusk_hist hist;
    rusk_hist_clear(&hist);
    CHECK(rusk_hist_bits(&hist) == 0);
    rusk_hist_add(&hist, 7, SYMBOLS, sizeof SYMBOLS);
    rusk_hist_add(&hist, 9, SYMBOLS, 2);
    rusk_hist_add(&hist, 9, SYMBOLS, 0);
    CHECK_EQ(hist.count[7][1], 1);
    CHECK_EQ(hist.count[7][255], 1);
    CHECK_EQ(hist.count[7][128], 2);
    CHECK_EQ(hist.count[7][133], 4);
    CHECK_NEAR(rusk_hist_bits(&hist), 8 * 1.75 + 2 * 1, 1e-12);
}

static void check_valid(const uint64_t *count, const uint16_t *freq) {
    unsigned sum = 0, n_used = 0;
    for (size_t s = 0; s < 256; s++) {
        CHECK(freq[s] < 4096);
        n_used += count[s] > 0;
        CHECK(count[s] == 0 || freq[s] > 0);
        sum += freq[s];
    }
    for (size_t s = 0; s < 256 && n_used > 1; s++) {
        CHECK(count[s] > 0 || freq[s] == 0);
    }
    CHECK_EQ(sum, 4096);
}

/* No exchange of one unit between two symbols is cheaper: with a convex cost, that is the least. */
TEST(normalization_is_optimal) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int repeat = 0; repeat < 200; repeat++) {
        uint64_t count[256] = {0};
        uint16_t freq[256];
        unsigned n = 1 + (unsigned)rusk_rng_below(&rng, 255), power = 1 + repeat % 40;
        for (unsigned i = 0; i < n; i++) {
            count[1 + rusk_rng_below(&rng, 255)] = 1 + rusk_rng_below(&rng, 1ULL << power);
        }
        rusk_freq_normalize(count, freq);
        check_valid(count, freq);
        double cost = rusk_freq_cost(count, freq);
        for (int trial = 0; trial < 300; trial++) {
            size_t a = (size_t)rusk_rng_below(&rng, 256), b = (size_t)rusk_rng_below(&rng, 256);
            if (a == b || count[a] == 0 || freq[b] < 2) {
                continue;
            }
            freq[a]++;
            freq[b]--;
            CHECK(rusk_freq_cost(count, freq) >= cost * (1 - 1e-12));
            freq[a]--;
            freq[b]++;
        }
    }
}

/* Any number of symbols and any sum, with a table of steps or without: the same optimum. */
TEST(fits_are_optimal_for_any_sum) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    double step[257] = {0};
    for (unsigned f = 1; f <= 256; f++) {
        step[f] = log2((f + 1.0) / f);
    }
    for (int repeat = 0; repeat < 300; repeat++) {
        uint64_t count[16] = {1, 1};
        uint16_t freq[16], computed[16];
        size_t n = 2 + (size_t)rusk_rng_below(&rng, 15);
        unsigned sum = 16 + (unsigned)rusk_rng_below(&rng, 241), total = 0;
        for (size_t i = 0; i < n; i++) {
            count[i] += rusk_rng_below(&rng, 1ULL << (1 + repeat % 40));
        }
        rusk_freq_fit(count, n, sum, step, freq);
        rusk_freq_fit(count, n, sum, NULL, computed);
        double cost[2] = {0, 0};
        for (size_t i = 0; i < n; i++) {
            CHECK((freq[i] > 0) == (count[i] > 0));
            total += freq[i];
            cost[0] -= count[i] > 0 ? (double)count[i] * log2(freq[i]) : 0;
            cost[1] -= count[i] > 0 ? (double)count[i] * log2(computed[i]) : 0;
        }
        CHECK_EQ(total, sum);
        CHECK_NEAR(cost[0], cost[1], 1e-9 * fabs(cost[1]));
        for (size_t a = 0; a < n; a++) { /* no unit is better off elsewhere */
            for (size_t b = 0; b < n; b++) {
                if (count[a] > 0 && freq[b] > 1) {
                    CHECK((double)count[a] * step[freq[a]] <=
                          (double)count[b] * step[freq[b] - 1] * (1 + 1e-9) + (a == b ? 1e18 : 0));
                }
            }
        }
    }
}

TEST(one_symbol_gets_a_neighbour) {
    for (size_t s = 1; s < 256; s++) {
        uint64_t count[256] = {0};
        uint16_t freq[256];
        count[s] = 1000;
        rusk_freq_normalize(count, freq);
        check_valid(count, freq);
        CHECK_EQ(freq[s], 4095);
        CHECK_EQ(freq[s < 255 ? s + 1 : s - 1], 1);
    }
}

TEST(rare_symbols_are_folded_where_it_pays) {
    static int8_t symbols[1 << 20];
    rusk_hist hist;
    uint16_t freq[256], all[256];
    rusk_sample_gaussian(symbols, sizeof symbols, 3, test_seed());
    rusk_hist_clear(&hist);
    rusk_hist_add(&hist, 0, symbols, sizeof symbols);
    for (size_t s = 170; s < 256; s += 2) {
        hist.count[0][s]++; /* 43 outliers, one each */
    }
    double bits = rusk_freq_choose(hist.count[0], freq);
    rusk_freq_normalize(hist.count[0], all);
    CHECK(bits < rusk_freq_cost(hist.count[0], all));
    CHECK(freq[254] == 0 && freq[128] > 0);
    CHECK(bits < rusk_hist_bits(&hist) * 1.003);
}

TEST(fold_map_takes_the_nearest) {
    uint16_t used[256] = {0};
    int8_t map[256];
    used[126] = used[130] = used[140] = 1; /* -2, 2, 12 */
    rusk_fold_map(used, map);
    CHECK_EQ(map[0], -2);
    CHECK_EQ(map[126], -2);
    CHECK_EQ(map[127], -2);
    CHECK_EQ(map[128], -2); /* a tie at zero: either would do */
    CHECK_EQ(map[135], 2);  /* a tie goes toward zero */
    CHECK_EQ(map[136], 12);
    CHECK_EQ(map[255], 12);
}

TEST_MAIN(CASE(logarithm_is_accurate), CASE(counts_and_entropy), CASE(normalization_is_optimal),
          CASE(fits_are_optimal_for_any_sum), CASE(one_symbol_gets_a_neighbour),
          CASE(rare_symbols_are_folded_where_it_pays), CASE(fold_map_takes_the_nearest))
