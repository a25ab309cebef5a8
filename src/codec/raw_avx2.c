/* raw_avx2.c - 32 bits of a plane to 32 bytes: copy byte i of the four to bytes 8i .. 8i+7, keep
 * bit j % 8 in byte j, compare. */
#include "codec/raw.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/bytes.h"

#define AVX2   __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) AVX2

INLINE __m256i half_group(const uint8_t *planes, unsigned width, __m256i first) {
    const __m256i copies = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bits = _mm256_set1_epi64x((int64_t)0x8040201008040201U);
    __m256i codes = _mm256_setzero_si256();
    for (unsigned b = 0; b < width; b++) {
        __m256i plane = _mm256_set1_epi32((int)rusk_load_u32(planes + (size_t)8 * b));
        __m256i kept = _mm256_and_si256(_mm256_shuffle_epi8(plane, copies), bits);
        __m256i set = _mm256_cmpeq_epi8(kept, bits);
        codes = _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8((char)(1U << b))));
    }
    return _mm256_add_epi8(codes, first);
}

INLINE void all_groups(const uint8_t *planes, size_t n_groups, unsigned width, unsigned lowest,
                       int8_t *out) {
    const __m256i first = _mm256_set1_epi8((char)(lowest + 128U));
    for (size_t g = 0; g < n_groups; g++) {
        __m256i *to = (__m256i *)(out + g * RUSK_RAW_GROUP);
        _mm256_storeu_si256(to, half_group(planes, width, first));
        _mm256_storeu_si256(to + 1, half_group(planes + 4, width, first));
        planes += (size_t)8 * width;
    }
}

/* The width is a constant in each case, so that the loop over planes unrolls. */
#define WIDTH(n)                                                                                   \
    case n:                                                                                        \
        all_groups(planes, n_groups, n, lowest, out);                                              \
        break

AVX2 void rusk_raw_groups_avx2(const uint8_t *planes, size_t n_groups, unsigned width,
                               unsigned lowest, int8_t *out) {
    switch (width) {
        WIDTH(1);
        WIDTH(2);
        WIDTH(3);
        WIDTH(4);
        WIDTH(5);
        WIDTH(6);
        WIDTH(7);
        WIDTH(8);
    }
}

#endif
