#define _GNU_SOURCE
#include "base/cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>

/* __builtin_cpu_supports of clang 14 does not know "f16c": leaf 1, bit 29 of ECX. */
static int has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}
#endif

static uint32_t detect(void) {
    uint32_t mask = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && has_f16c()) {
        mask |= RUSK_CPU_AVX2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
            mask |= RUSK_CPU_AVX512;
            if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2")) {
                mask |= RUSK_CPU_VBMI;
            }
        }
    }
#elif defined(__aarch64__)
    mask |= RUSK_CPU_NEON;
#if defined(__linux__) && defined(HWCAP_ASIMDDP)
    if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) {
        mask |= RUSK_CPU_DOTPROD;
    }
#endif
#endif
    return mask;
}

static _Atomic uint32_t allowed = UINT32_MAX;

void rusk_cpu_restrict(uint32_t mask) {
    atomic_store_explicit(&allowed, mask, memory_order_relaxed);
}

uint32_t rusk_cpu_features(void) {
    /* cpuid leaves a virtual machine each time, some 20 us: ask once. Racing threads store the
     * same. */
    enum { ASKED = 1U << 30 };
    static _Atomic uint32_t known;
    uint32_t mask = atomic_load_explicit(&known, memory_order_relaxed);
    if (mask == 0) {
        mask = detect() | ASKED;
        atomic_store_explicit(&known, mask, memory_order_relaxed);
    }
    return mask & ~(uint32_t)ASKED & atomic_load_explicit(&allowed, memory_order_relaxed);
}

unsigned rusk_cpu_count(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        if (n > 0) {
            return (unsigned)n;
        }
    }
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
