#include "eval/metrics.h"

#include <math.h>

#include "support/test.h"

TEST(mean_and_standard_error) {
    rusk_mean m = {0};
    static const double X[] = {1, 2, 4, 9};
    for (size_t i = 0; i < 4; i++) {
        rusk_mean_add(&m, X[i]);
    }
    CHECK_NEAR(rusk_mean_value(&m), 4, 1e-12);
    CHECK_NEAR(rusk_mean_se(&m), sqrt((25.5 - 16) / 3), 1e-12);
    rusk_mean one = {0};
    rusk_mean_add(&one, 5);
    CHECK_NEAR(rusk_mean_se(&one), 0, 0);
}

TEST(log_sum_exp_survives_large_logits) {
    float logits[] = {1000, 1001, 999};
    CHECK_NEAR(rusk_log_sum_exp(logits, 3), 1001 + log(1 + exp(-1) + exp(-2)), 1e-6);
    float one[] = {-5};
    CHECK_NEAR(rusk_log_sum_exp(one, 1), -5, 1e-6);
}

TEST(kl_divergence_of_known_distributions) {
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/4 log 2 */
    float p[] = {(float)log(0.5), (float)log(0.25), (float)log(0.25)};
    float q[] = {(float)log(0.25) + 3, (float)log(0.25) + 3, (float)log(0.5) + 3};
    CHECK_NEAR(rusk_kl_divergence(p, q, 3), 0.25 * log(2), 1e-6);
    CHECK_NEAR(rusk_kl_divergence(p, p, 3), 0, 1e-7);
    float never[] = {0, -INFINITY, 0}; /* p(1) = 0 adds nothing */
    float flat[] = {0, 0, 0};
    CHECK_NEAR(rusk_kl_divergence(never, flat, 3), log(1.5), 1e-6);
}

TEST(ties_go_to_the_smaller_token) {
    float x[] = {1, 3, 3, 2};
    CHECK_EQ(rusk_argmax(x, 4), 1);
}

TEST(quantiles_interpolate) {
    const float x[] = {10, 40, 0, 30, 20};
    const uint32_t order[] = {2, 0, 4, 3, 1};
    CHECK_NEAR(rusk_quantile(x, order, 5, 0.5), 20, 1e-9);
    CHECK_NEAR(rusk_quantile(x, order, 5, 0.9), 36, 1e-6);
    CHECK_NEAR(rusk_quantile(x, order, 5, 1), 40, 1e-9);
    CHECK_NEAR(rusk_quantile(x, order, 1, 0.3), 0, 1e-9);
}

TEST_MAIN(CASE(mean_and_standard_error), CASE(log_sum_exp_survives_large_logits),
          CASE(kl_divergence_of_known_distributions), CASE(ties_go_to_the_smaller_token),
          CASE(quantiles_interpolate))
