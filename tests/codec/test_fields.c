#include "base/cpu.h"
#include "base/rng.h"
#include "codec/fields.h"
#include "support/test.h"

enum { MOST_COLS = 200, MOST_GROUPS = 4 };

TEST(sizes) {
    CHECK_EQ(rusk_field_groups(0), 0);
    CHECK_EQ(rusk_field_groups(1), 1);
    CHECK_EQ(rusk_field_groups(64), 1);
    CHECK_EQ(rusk_field_groups(65), 2);
    CHECK_EQ(rusk_field_bytes(576, 5), 360);
    CHECK_EQ(rusk_field_bytes(65, 8), 128);
    CHECK_EQ(rusk_field_bytes(100, 0), 0);
}

/* Every width and every number of columns: values come back, fill is zero, and `add` wraps. */
TEST(round_trips) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_fields_get best = rusk_fields_get_for(rusk_cpu_features());
    for (unsigned width = 0; width <= RUSK_FIELD_MAX_WIDTH; width++) {
        for (size_t n = 1; n <= MOST_COLS; n++) {
            uint8_t *values = test_guarded(n, true);
            uint8_t *packed = test_guarded(rusk_field_bytes(n, width), true);
            uint8_t out[MOST_GROUPS * RUSK_FIELD_GROUP], again[MOST_GROUPS * RUSK_FIELD_GROUP];
            size_t n_groups = rusk_field_groups(n);
            for (size_t i = 0; i < n; i++) {
                values[i] = (uint8_t)rusk_rng_below(&rng, 1U << width);
            }
            rusk_fields_put(values, n, width, packed);
            rusk_fields_get_ref(packed, n_groups, width, 0, out);
            CHECK_MEM(out, values, n);
            for (size_t i = n; i < n_groups * RUSK_FIELD_GROUP; i++) {
                CHECK_EQ(out[i], 0);
            }
            best(packed, n_groups, width, 250, again);
            for (size_t i = 0; i < n_groups * RUSK_FIELD_GROUP; i++) {
                CHECK_EQ(again[i], (uint8_t)(out[i] + 250));
            }
        }
    }
}

/* Where each bit of a value goes, worked out from the page's formula. */
TEST(layout) {
    static const unsigned PARTS[] = {8, 4, 2, 1};
    for (unsigned width = 1; width <= RUSK_FIELD_MAX_WIDTH; width++) {
        for (size_t column = 0; column < RUSK_FIELD_GROUP; column++) {
            unsigned shift = 0, start = 0;
            for (size_t p = 0; p < RUSK_COUNT(PARTS); p++) {
                unsigned b = PARTS[p];
                for (unsigned i = 0; i < b && (width & b) != 0; i++) {
                    uint8_t values[RUSK_FIELD_GROUP] = {0}, to[RUSK_FIELD_GROUP];
                    uint8_t expected[RUSK_FIELD_GROUP] = {0};
                    values[column] = (uint8_t)(1U << (shift + i));
                    expected[start + column % (8 * b)] =
                        (uint8_t)(1U << (b * (column / (8 * b)) + i));
                    rusk_fields_put(values, RUSK_FIELD_GROUP, width, to);
                    CHECK_MEM(to, expected, (size_t)8 * width);
                }
                shift += (width & b) != 0 ? b : 0;
                start += (width & b) != 0 ? 8 * b : 0;
            }
        }
    }
}

TEST_MAIN(CASE(sizes), CASE(layout), CASE(round_trips))
