#include "base/hash.h"

#include "support/test.h"

/* Values of the reference implementation (xxhsum -H3, xxhsum -H2 of "abc" and of nothing). */
TEST(known_values) {
    static const uint8_t ABC[16] = {0x06, 0xB0, 0x5A, 0xB6, 0x73, 0x3A, 0x61, 0x85,
                                    0x78, 0xAF, 0x5F, 0x94, 0x89, 0x2F, 0x39, 0x50};
    static const uint8_t NOTHING[16] = {0x99, 0xAA, 0x06, 0xD3, 0x01, 0x47, 0x98, 0xD8,
                                        0x60, 0x01, 0xC3, 0x24, 0x46, 0x8D, 0x49, 0x7F};
    rusk_hash128 h;
    uint8_t out[16];
    CHECK(rusk_hash64("abc", 3) == 0x78AF5F94892F3950U);
    rusk_hash128_init(&h);
    rusk_hash128_end(&h, out);
    CHECK_MEM(out, NOTHING, 16);
    rusk_hash128_add(&h, "abc", 3);
    rusk_hash128_end(&h, out);
    CHECK_MEM(out, ABC, 16);
}

TEST(pieces_hash_as_the_whole) {
    static uint8_t data[5000];
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)rusk_rng_u64(&rng);
    }
    rusk_hash128 h;
    uint8_t whole[16], pieces[16];
    rusk_hash128_init(&h);
    rusk_hash128_add(&h, data, sizeof data);
    rusk_hash128_end(&h, whole);
    for (int repeat = 0; repeat < 20; repeat++) {
        rusk_hash128_init(&h);
        for (size_t at = 0; at < sizeof data;) {
            size_t n = 1 + rusk_rng_below(&rng, 700);
            n = RUSK_MIN(n, sizeof data - at);
            rusk_hash128_add(&h, data + at, n);
            at += n;
        }
        rusk_hash128_end(&h, pieces);
        CHECK_MEM(pieces, whole, 16);
    }
}

TEST_MAIN(CASE(known_values), CASE(pieces_hash_as_the_whole))
