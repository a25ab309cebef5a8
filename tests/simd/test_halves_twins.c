/* The conversions of scales: every half, every length, at guard pages. */
#include "format/halves.h"

#include <math.h>

#include "base/bytes.h"
#include "base/cpu.h"
#include "support/test.h"

#if defined(__x86_64__)
static bool same(float a, float b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void need_avx2(void) {
    if ((rusk_cpu_features() & RUSK_CPU_AVX2) == 0) {
        test_skip("this processor has no AVX2");
    }
}

TEST(all_halves_convert_alike) {
    need_avx2();
    static uint8_t bytes[65536 * 2];
    static float a[65536], b[65536];
    for (uint32_t h = 0; h < 65536; h++) {
        rusk_store_u16(bytes + h * 2, (uint16_t)h);
    }
    rusk_halves_load_ref(bytes, 2, 65536, a);
    rusk_halves_load_avx2(bytes, 2, 65536, b);
    for (uint32_t h = 0; h < 65536; h++) {
        CHECK(same(a[h], b[h]));
    }
}

TEST(lengths_and_strides_stay_within_their_bytes) {
    need_avx2();
    static const size_t STRIDES[] = {18, 20, 22, 24, 34};
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t s = 0; s < RUSK_COUNT(STRIDES); s++) {
        for (size_t n = 1; n <= 40; n++) {
            size_t len = (n - 1) * STRIDES[s] + 2;
            uint8_t *bytes = test_guarded(len, true);
            float *out = test_guarded(n * sizeof(float), true), ref[40];
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (uint8_t)rusk_rng_u64(&rng);
            }
            rusk_halves_load_ref(bytes, STRIDES[s], n, ref);
            rusk_halves_load_avx2(bytes, STRIDES[s], n, out);
            for (size_t i = 0; i < n; i++) {
                CHECK(same(out[i], ref[i]));
            }
        }
    }
}

TEST_MAIN(CASE(all_halves_convert_alike), CASE(lengths_and_strides_stay_within_their_bytes))
#else
TEST(only_one_way_on_this_processor) {
    test_skip("no twin on this processor");
}

TEST_MAIN(CASE(only_one_way_on_this_processor))
#endif
