#include "base/cpu.h"
#include "support/test.h"

TEST(restricted) {
    const uint32_t all = rusk_cpu_features();
    rusk_cpu_restrict(0);
    CHECK_EQ(rusk_cpu_features(), 0);
    rusk_cpu_restrict(RUSK_CPU_AVX2 | RUSK_CPU_NEON);
    CHECK_EQ(rusk_cpu_features(), all & (RUSK_CPU_AVX2 | RUSK_CPU_NEON));
    rusk_cpu_restrict(UINT32_MAX);
    CHECK_EQ(rusk_cpu_features(), all);
}

TEST(count) {
    CHECK(rusk_cpu_count() >= 1);
}

TEST_MAIN(CASE(restricted), CASE(count))
