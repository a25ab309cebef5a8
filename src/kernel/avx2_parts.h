/* avx2_parts.h - what the AVX2 files share; inside the room. */
#ifndef RUSK_KERNEL_AVX2_PARTS_H
#define RUSK_KERNEL_AVX2_PARTS_H

#include <immintrin.h>

#include "kernel/kernel_parts.h"

#define AVX2   __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) AVX2

/* n of 8 floats, zeros beyond. */
INLINE __m256 load_some(const float *p, size_t n) {
    static const int32_t MASK[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (n >= 8) {
        return _mm256_loadu_ps(p);
    }
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(MASK + 8 - n)));
}

INLINE __m128 add_halves(__m256 v) {
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

/* Trees of four rows at once, from lanes already halved to four. */
INLINE __m128 tree_of_four(const __m128 v[4]) {
    __m128 ab = _mm_add_ps(_mm_shuffle_ps(v[0], v[1], 0x44), _mm_shuffle_ps(v[0], v[1], 0xEE));
    __m128 cd = _mm_add_ps(_mm_shuffle_ps(v[2], v[3], 0x44), _mm_shuffle_ps(v[2], v[3], 0xEE));
    return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xDD));
}

INLINE float tree_of_8(__m256 v) {
    __m128 four = add_halves(v);
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

INLINE float tree_of_32(const __m256 lane[4]) {
    return tree_of_8(
        _mm256_add_ps(_mm256_add_ps(lane[0], lane[2]), _mm256_add_ps(lane[1], lane[3])));
}

/* 8 weights as f32 from element i of a float row. */
INLINE __m256 weights(rusk_tile_kind kind, const void *row, size_t i) {
    if (kind == RUSK_TILE_F32) {
        return _mm256_loadu_ps((const float *)row + i);
    }
    __m128i half = _mm_loadu_si128((const __m128i *)((const uint16_t *)row + i));
    if (kind == RUSK_TILE_F16) {
        return _mm256_cvtph_ps(half);
    }
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

#endif
