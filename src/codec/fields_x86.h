/* fields_x86.h - a group of fields to registers, for the codecs' AVX2 and AVX-512 files; inside the
 * room. `width` must be a constant where these are inlined. */
#ifndef RUSK_CODEC_FIELDS_X86_H
#define RUSK_CODEC_FIELDS_X86_H

#include <immintrin.h>

#include "base/bytes.h"

#define FIELDS_AVX2   static inline __attribute__((always_inline, target("avx2")))
#define FIELDS_AVX512 static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw")))

/* Columns 0..31 (half 0) or 32..63 (half 1) of a 4-bit part, wanted at bit 0. */
FIELDS_AVX2 __m256i rusk_fields_part4_avx2(const uint8_t *part, unsigned half) {
    __m256i v = _mm256_loadu_si256((const __m256i *)part);
    v = half != 0 ? _mm256_srli_epi16(v, 4) : v;
    return _mm256_and_si256(v, _mm256_set1_epi8(0x0F));
}

/* Bits that stand at 2k in byte j of a 2-bit part go to bits at, at + 1 (at = 0 or 4). Shifts of
 * 64-bit lanes: what crosses bytes falls to the mask. */
FIELDS_AVX2 __m256i rusk_fields_part2_avx2(const uint8_t *part, unsigned half, unsigned at) {
    __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)part));
    if (at == 0) {
        v = half == 0 ? _mm256_srlv_epi64(v, _mm256_setr_epi64x(0, 0, 2, 2))
                      : _mm256_srlv_epi64(v, _mm256_setr_epi64x(4, 4, 6, 6));
    } else {
        v = half == 0 ? _mm256_sllv_epi64(v, _mm256_setr_epi64x(4, 4, 2, 2))
                      : _mm256_srlv_epi64(v, _mm256_setr_epi64x(0, 0, 2, 2));
    }
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(3U << at)));
}

/* The bit that stands at k in byte j of a 1-bit part goes to bit at (0, 2, 4 or 6). */
FIELDS_AVX2 __m256i rusk_fields_part1_avx2(const uint8_t *part, unsigned half, unsigned at) {
    __m256i v = _mm256_set1_epi64x((int64_t)rusk_load_u64(part));
    if (at == 0) {
        v = half == 0 ? _mm256_srlv_epi64(v, _mm256_setr_epi64x(0, 1, 2, 3))
                      : _mm256_srlv_epi64(v, _mm256_setr_epi64x(4, 5, 6, 7));
    } else if (at == 4) {
        v = half == 0 ? _mm256_sllv_epi64(v, _mm256_setr_epi64x(4, 3, 2, 1))
                      : _mm256_srlv_epi64(v, _mm256_setr_epi64x(0, 1, 2, 3));
    } else { /* some lanes to the left, some to the right: first to the right, below `at` */
        v = half == 0 ? _mm256_srlv_epi64(v, _mm256_setr_epi64x(0, 1, 2, 3))
                      : _mm256_srlv_epi64(v, _mm256_setr_epi64x(4, 5, 6, 7));
        v = _mm256_slli_epi16(v, (int)at);
    }
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(1U << at)));
}

/* Columns 32 * half .. 32 * half + 31 of a group. */
FIELDS_AVX2 __m256i rusk_fields_half_avx2(const uint8_t *group, unsigned width, unsigned half) {
    __m256i v = _mm256_setzero_si256();
    unsigned at = 0;
    if (width == 8) {
        return _mm256_loadu_si256((const __m256i *)group + half);
    }
    if ((width & 4) != 0) {
        v = rusk_fields_part4_avx2(group, half);
        group += 32;
        at += 4;
    }
    if ((width & 2) != 0) {
        v = _mm256_or_si256(v, rusk_fields_part2_avx2(group, half, at));
        group += 16;
        at += 2;
    }
    return (width & 1) != 0 ? _mm256_or_si256(v, rusk_fields_part1_avx2(group, half, at)) : v;
}

/* A part of b bits whose bits at b * k are wanted at bit `at`: lanes turn right by b * k - at, to
 * the left where that is negative. */
FIELDS_AVX512 __m512i rusk_fields_turn_avx512(__m512i part, unsigned b, int at) {
    __m512i n = b == 4   ? _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4)
                : b == 2 ? _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6)
                         : _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_rorv_epi64(part, _mm512_sub_epi64(n, _mm512_set1_epi64(at)));
}

/* v | part & mask: one instruction, truth table a | (b & c). */
FIELDS_AVX512 __m512i rusk_fields_join_avx512(__m512i v, __m512i part, unsigned mask) {
    return _mm512_ternarylogic_epi64(v, part, _mm512_set1_epi8((char)mask), 0xF8);
}

/* All 64 columns of a group. */
FIELDS_AVX512 __m512i rusk_fields_group_avx512(const uint8_t *group, unsigned width) {
    __m512i v = _mm512_setzero_si512();
    unsigned at = 0;
    if (width == 8) {
        return _mm512_loadu_si512(group);
    }
    if ((width & 4) != 0) {
        __m512i part = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)group));
        v = rusk_fields_join_avx512(v, rusk_fields_turn_avx512(part, 4, 0), 0x0F);
        group += 32;
        at += 4;
    }
    if ((width & 2) != 0) {
        __m512i part = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)group));
        v = rusk_fields_join_avx512(v, rusk_fields_turn_avx512(part, 2, (int)at), 3U << at);
        group += 16;
        at += 2;
    }
    if ((width & 1) != 0) {
        __m512i part = _mm512_set1_epi64((int64_t)rusk_load_u64(group));
        v = rusk_fields_join_avx512(v, rusk_fields_turn_avx512(part, 1, (int)at), 1U << at);
    }
    return v;
}

#endif
