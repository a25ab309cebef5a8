#include "quant/allocate.h"

#include <math.h>

#include "support/test.h"

TEST(every_role_has_a_line) {
    CHECK_STR(rusk_allocate_find("ffn_down")->role, "ffn_down");
    CHECK_STR(rusk_allocate_find("token_embedding,output_head")->role,
              "token_embedding,output_head");
    const rusk_allocation *neutral = rusk_allocate_find("something_new");
    CHECK_STR(neutral->role, "");
    CHECK_NEAR(rusk_allocate_importance(neutral, 3), 1, 0);
    CHECK(rusk_allocate_find("") == neutral);
}

TEST(shared_rows_weigh_as_often_as_they_serve) {
    const rusk_allocation *k = rusk_allocate_find("attn_k"), *q = rusk_allocate_find("attn_q");
    CHECK_NEAR(rusk_allocate_importance(k, 3) / rusk_allocate_importance(k, 1), 3, 1e-5);
    CHECK_NEAR(rusk_allocate_importance(q, 3) / rusk_allocate_importance(q, 1), 1, 0);
    CHECK_NEAR(rusk_allocate_importance(q, 1), 1 / (double)(q->step * q->step), 1e-6);
}

TEST(row_weights_fall_with_the_token_id_and_leave_the_rate_alone) {
    static float weights[49152];
    static rusk_row_stats stats[49152];
    const rusk_allocation *e = rusk_allocate_find("token_embedding");
    rusk_allocate_rows rows = {.n_total = 49152, .n = 49152, .stats = stats};
    CHECK(rusk_allocate_row_weights(e, &rows, weights));
    double logs = 0;
    for (int i = 0; i < 49152; i++) {
        CHECK(weights[i] > 0 && (i == 0 || weights[i] < weights[i - 1]));
        logs += log((double)weights[i]);
    }
    CHECK_NEAR(logs / 49152, 0, 1e-3);
    float part[7];
    rows.row0 = 1000;
    rows.n = 7;
    CHECK(rusk_allocate_row_weights(e, &rows, part));
    CHECK_MEM(part, weights + 1000, sizeof part);
    rows = (rusk_allocate_rows){.n_total = 1, .n = 1, .stats = stats};
    CHECK(rusk_allocate_row_weights(e, &rows, part));
    CHECK_NEAR(part[0], 1, 1e-3);
}

TEST(row_weights_rise_with_the_width) {
    const rusk_allocation a = {.role = "x", .step = 1, .width_exponent = 1};
    const rusk_row_stats stats[4] = {{.rms = 2}, {.rms = 4}, {.rms = 8}, {.rms = 0}};
    rusk_allocate_rows rows = {.n_total = 4, .mean_rms = 4, .n = 4, .stats = stats};
    float weights[4];
    CHECK(rusk_allocate_row_weights(&a, &rows, weights));
    CHECK_NEAR(weights[0], 0.5, 1e-6);
    CHECK_NEAR(weights[1], 1, 1e-6);
    CHECK_NEAR(weights[2], 2, 1e-6);
    CHECK_NEAR(weights[3], 1, 0);
    rows.mean_rms = 0; /* a tensor of zeros */
    CHECK(!rusk_allocate_row_weights(&a, &rows, weights));
    const rusk_allocation equal = {.role = "x", .step = 1};
    rows.mean_rms = 4;
    CHECK(!rusk_allocate_row_weights(&equal, &rows, weights));
}

TEST_MAIN(CASE(every_role_has_a_line), CASE(shared_rows_weigh_as_often_as_they_serve),
          CASE(row_weights_fall_with_the_token_id_and_leave_the_rate_alone),
          CASE(row_weights_rise_with_the_width))
