/* rans_avx2.c - a step in four registers of 8 lanes. Words spread over the lanes that need them by
 * a permutation that a table gives for each of the 256 patterns.
 *
 * Table lookups are eight plain loads. A gather instruction gives 0.88e9 symbols a second with GCC
 * and 1.5e9 with clang where these give 1.8e9 (Zen 5), and it is slower still on processors with
 * microcode against Downfall. For the same reason there is no AVX-512 variant: two registers of 16
 * lanes with vpgatherdd and vpexpandd came to 1.75e9, with plain loads to 1.85e9. */
#include "codec/rans.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "codec/spread.h"

#define AVX2   __attribute__((target("avx2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) AVX2

INLINE __m128i lookup_4(const uint32_t *slots, __m128i index) {
    uint64_t a = (uint64_t)_mm_cvtsi128_si64(index), b = (uint64_t)_mm_extract_epi64(index, 1);
    __m128i v = _mm_cvtsi32_si128((int)slots[(uint32_t)a]);
    v = _mm_insert_epi32(v, (int)slots[a >> 32], 1);
    v = _mm_insert_epi32(v, (int)slots[(uint32_t)b], 2);
    return _mm_insert_epi32(v, (int)slots[b >> 32], 3);
}

INLINE __m256i lookup(const uint32_t *slots, __m256i index) {
    __m128i low = lookup_4(slots, _mm256_castsi256_si128(index));
    __m128i high = lookup_4(slots, _mm256_extracti128_si256(index, 1));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* One symbol of 8 lanes in the low bytes of *slot; returns the new states. */
INLINE __m256i step_8(__m256i x, const uint32_t *slots, const uint8_t **next, __m256i *slot) {
    const __m256i low12 = _mm256_set1_epi32(RUSK_FREQ_SUM - 1);
    *slot = lookup(slots, _mm256_and_si256(x, low12));
    __m256i freq = _mm256_and_si256(_mm256_srli_epi32(*slot, 8), low12);
    x = _mm256_mullo_epi32(freq, _mm256_srli_epi32(x, RUSK_FREQ_BITS));
    x = _mm256_add_epi32(x, _mm256_srli_epi32(*slot, 20));
    /* states are below 2^30, so the signed comparison is right */
    __m256i low = _mm256_cmpgt_epi32(_mm256_set1_epi32(RUSK_RANS_LOW), x);
    unsigned pattern = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*next));
    __m256i spread = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)RUSK_SPREAD[pattern]));
    words = _mm256_permutevar8x32_epi32(words, spread);
    *next += 2 * (size_t)_mm_popcnt_u32(pattern);
    return _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), words), low);
}

/* Low bytes of four registers of 8 lanes, in order. */
INLINE __m256i low_bytes(const __m256i slot[4]) {
    const __m256i byte = _mm256_set1_epi32(0xFF);
    __m256i ab = _mm256_packus_epi32(_mm256_and_si256(slot[0], byte), /* lanes a0 b0 | a1 b1 */
                                     _mm256_and_si256(slot[1], byte));
    __m256i cd =
        _mm256_packus_epi32(_mm256_and_si256(slot[2], byte), _mm256_and_si256(slot[3], byte));
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

AVX2 size_t rusk_rans_steps_avx2(rusk_rans_run *run, const uint32_t *slots, size_t n_steps,
                                 int8_t *out) {
    if (run->left < 2 * RUSK_RANS_LANES) {
        return 0;
    }
    const uint8_t *next = run->next, *end = run->next + run->left;
    const __m256i *from = (const __m256i *)run->state;
    __m256i a = _mm256_loadu_si256(from), b = _mm256_loadu_si256(from + 1);
    __m256i c = _mm256_loadu_si256(from + 2), d = _mm256_loadu_si256(from + 3);
    size_t n = 0;
    for (; n < n_steps && end - next >= 2 * RUSK_RANS_LANES; n++) {
        __m256i slot[4];
        a = step_8(a, slots, &next, &slot[0]);
        b = step_8(b, slots, &next, &slot[1]);
        c = step_8(c, slots, &next, &slot[2]);
        d = step_8(d, slots, &next, &slot[3]);
        _mm256_storeu_si256((__m256i *)(out + n * RUSK_RANS_LANES), low_bytes(slot));
    }
    __m256i *to = (__m256i *)run->state;
    _mm256_storeu_si256(to, a);
    _mm256_storeu_si256(to + 1, b);
    _mm256_storeu_si256(to + 2, c);
    _mm256_storeu_si256(to + 3, d);
    run->next = next;
    run->left = end - next;
    return n;
}

#endif
