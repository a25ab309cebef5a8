/* avx512_parts.h - what the AVX-512 files share; inside the room. */
#ifndef RUSK_KERNEL_AVX512_PARTS_H
#define RUSK_KERNEL_AVX512_PARTS_H

#include <immintrin.h>

#include "kernel/kernel_parts.h"

#define AVX512 __attribute__((target("avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline)) AVX512

INLINE __mmask16 first(size_t n) {
    return n >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1U << n) - 1);
}

INLINE __m512 load_some(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(first(n), p);
}

/* Trees of four rows at once: 16 lanes each, halved to 8, 4, 2, 1. */
INLINE __m128 trees_of_16(const __m512 v[4]) {
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x44),
                              _mm512_shuffle_f32x4(v[0], v[1], 0xEE));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(v[2], v[3], 0x44),
                              _mm512_shuffle_f32x4(v[2], v[3], 0xEE));
    __m512 four =
        _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
    __m512 two = _mm512_add_ps(four, _mm512_shuffle_ps(four, four, 0x4E));
    __m512 one = _mm512_add_ps(two, _mm512_shuffle_ps(two, two, 0xB1));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, one));
}

#endif
