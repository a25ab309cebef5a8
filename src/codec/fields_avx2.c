/* fields_avx2.c - unpacking fields with AVX2; the width is a constant in each case. */
#include "codec/fields.h"

#if defined(__x86_64__)

#include "codec/fields_x86.h"

#define AVX2   __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) AVX2

INLINE void all_groups(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                       uint8_t *out) {
    const __m256i v = _mm256_set1_epi8((char)add);
    for (size_t g = 0; g < n_groups; g++, groups += (size_t)8 * width) {
        __m256i *to = (__m256i *)(out + g * RUSK_FIELD_GROUP);
        _mm256_storeu_si256(to, _mm256_add_epi8(rusk_fields_half_avx2(groups, width, 0), v));
        _mm256_storeu_si256(to + 1, _mm256_add_epi8(rusk_fields_half_avx2(groups, width, 1), v));
    }
}

#define WIDTH(n)                                                                                   \
    case n:                                                                                        \
        all_groups(groups, n_groups, n, add, out);                                                 \
        break

AVX2 void rusk_fields_get_avx2(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                               uint8_t *out) {
    switch (width) {
        WIDTH(0);
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
