#include "quant/classes.h"

#include <math.h>

#include "support/test.h"

static rusk_bin_counts g_counts;

static double entropy_bits(const uint64_t *count) {
    double n = 0, sum = 0;
    for (int s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        n += (double)count[s];
        sum += count[s] > 0 ? (double)count[s] * log2((double)count[s]) : 0;
    }
    return n > 0 ? n * log2(n) - sum : 0;
}

static double cost_of_cut(const uint8_t *class_of_bin, double table_bits) {
    double bits = 0;
    for (int k = 0; k < RUSK_CODEC_CLASSES; k++) {
        uint64_t count[RUSK_CODEC_ALPHABET] = {0};
        for (int b = 0; b < RUSK_CLASS_BINS; b++) {
            for (int s = 0; class_of_bin[b] == k && s < RUSK_CODEC_ALPHABET; s++) {
                count[s] += g_counts.count[b][s];
            }
        }
        bits += entropy_bits(count);
        for (int s = 0; s < RUSK_CODEC_ALPHABET; s++) {
            bits += count[s] > 0 ? table_bits : 0;
        }
    }
    return bits;
}

static void gaussian_bins(uint64_t seed, const double *sigma, unsigned n_weights) {
    rusk_rng rng = rusk_rng_seed(seed);
    memset(&g_counts, 0, sizeof g_counts);
    for (int b = 0; b < RUSK_CLASS_BINS; b++) {
        for (unsigned i = 0; i < n_weights; i++) {
            double v = rint(sigma[b] * rusk_rng_normal(&rng));
            int8_t s = (int8_t)fmax(-127, fmin(127, v));
            rusk_classes_count(&g_counts, (unsigned)b, &s, 1);
        }
    }
}

static void check_cut(const uint8_t *class_of_bin, unsigned n) {
    CHECK(n >= 1 && n <= RUSK_CODEC_CLASSES);
    CHECK_EQ(class_of_bin[0], 0);
    CHECK_EQ(class_of_bin[RUSK_CLASS_BINS - 1], n - 1);
    for (int b = 1; b < RUSK_CLASS_BINS; b++) {
        unsigned rise = (unsigned)(class_of_bin[b] - class_of_bin[b - 1]);
        CHECK(rise <= 1);
    }
}

TEST(equal_rows_share_one_class) {
    double sigma[RUSK_CLASS_BINS];
    uint8_t classes[RUSK_CLASS_BINS];
    for (int b = 0; b < RUSK_CLASS_BINS; b++) {
        sigma[b] = 4;
    }
    gaussian_bins(test_seed(), sigma, 4000);
    unsigned n = rusk_classes_merge(&g_counts, 8, classes);
    check_cut(classes, n);
    CHECK_EQ(n, 1);
}

TEST(different_rows_are_cut_where_they_differ) {
    double sigma[RUSK_CLASS_BINS];
    uint8_t classes[RUSK_CLASS_BINS];
    for (int b = 0; b < RUSK_CLASS_BINS; b++) {
        sigma[b] = b < 5 ? 0.5 : b < 20 ? 3 : 12;
    }
    gaussian_bins(test_seed(), sigma, 4000);
    CHECK_EQ(rusk_classes_merge(&g_counts, 8, classes), 3);
    check_cut(classes, 3);
    CHECK(classes[4] == 0 && classes[5] == 1 && classes[19] == 1 && classes[20] == 2);
}

TEST(the_cut_is_the_cheapest_contiguous_one) {
    double sigma[RUSK_CLASS_BINS];
    uint8_t classes[RUSK_CLASS_BINS], other[RUSK_CLASS_BINS];
    for (int b = 0; b < RUSK_CLASS_BINS; b++) {
        sigma[b] = exp2(b / 6.0);
    }
    gaussian_bins(test_seed(), sigma, 500);
    unsigned n = rusk_classes_merge(&g_counts, 10, classes);
    check_cut(classes, n);
    double best = cost_of_cut(classes, 10);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int i = 0; i < 300; i++) {
        unsigned c = 0;
        for (int b = 0; b < RUSK_CLASS_BINS; b++) {
            c += b > 0 && c + 1 < RUSK_CODEC_CLASSES && rusk_rng_below(&rng, 4) == 0;
            other[b] = (uint8_t)c;
        }
        CHECK(cost_of_cut(other, 10) >= best - 1e-6);
    }
    /* with free tables all classes are used, never more than there may be */
    CHECK_EQ(rusk_classes_merge(&g_counts, 0, classes), RUSK_CODEC_CLASSES);
    check_cut(classes, RUSK_CODEC_CLASSES);
}

TEST(no_symbols_are_one_class) {
    uint8_t classes[RUSK_CLASS_BINS];
    memset(&g_counts, 0, sizeof g_counts);
    CHECK_EQ(rusk_classes_merge(&g_counts, 8, classes), 1);
    check_cut(classes, 1);
}

TEST(bins_ascend_with_the_ratio_and_are_balanced) {
    enum { N = 3200 };
    static rusk_row_stats rows[N];
    static float scales[N];
    static uint8_t bins[N];
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int r = 0; r < N; r++) {
        rows[r].mean_abs = (float)exp(0.2 * rusk_rng_normal(&rng));
        scales[r] = 0.25F;
    }
    rusk_classes_bins(rows, scales, N, bins);
    unsigned n_of_bin[RUSK_CLASS_BINS] = {0};
    for (int r = 0; r < N; r++) {
        CHECK(bins[r] < RUSK_CLASS_BINS);
        n_of_bin[bins[r]]++;
        int other = (int)rusk_rng_below(&rng, N);
        CHECK(rows[r].mean_abs > rows[other].mean_abs || bins[r] <= bins[other]);
    }
    for (int b = 0; b < RUSK_CLASS_BINS; b++) {
        CHECK(n_of_bin[b] < 3 * N / RUSK_CLASS_BINS);
    }
    rusk_classes_bins(rows, scales, 1, bins);
    CHECK(bins[0] < RUSK_CLASS_BINS);
    rusk_classes_bins(rows, scales, 0, bins); /* nothing to do */
    memset(rows, 0, sizeof rows);
    memset(scales, 0, sizeof scales);
    rusk_classes_bins(rows, scales, N, bins);
    for (int r = 1; r < N; r++) {
        CHECK_EQ(bins[r], bins[0]);
    }
}

TEST(counting_adds_up) {
    int8_t symbols[1001];
    memset(&g_counts, 0, sizeof g_counts);
    for (int i = 0; i < 1001; i++) {
        symbols[i] = (int8_t)(i % 255 - 127);
    }
    rusk_classes_count(&g_counts, 3, symbols, 1001);
    rusk_classes_count(&g_counts, 3, symbols, 0);
    uint64_t n = 0;
    for (int s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        n += g_counts.count[3][s];
    }
    CHECK_EQ(n, 1001);
    CHECK_EQ(g_counts.count[3][0], 0);
    CHECK_EQ(g_counts.count[3][1], 4);
    CHECK_EQ(g_counts.count[3][255], 3);
}

TEST_MAIN(CASE(equal_rows_share_one_class), CASE(different_rows_are_cut_where_they_differ),
          CASE(the_cut_is_the_cheapest_contiguous_one), CASE(no_symbols_are_one_class),
          CASE(bins_ascend_with_the_ratio_and_are_balanced), CASE(counting_adds_up))
