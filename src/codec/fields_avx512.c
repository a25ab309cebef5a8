/* fields_avx512.c - unpacking fields with AVX512; the width is a constant in each case. */
#include "codec/fields.h"

#if defined(__x86_64__)

#include "codec/fields_x86.h"

#define AVX512 __attribute__((target("avx2,avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline)) AVX512

INLINE void all_groups(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                       uint8_t *out) {
    const __m512i v = _mm512_set1_epi8((char)add);
    for (size_t g = 0; g < n_groups; g++, groups += (size_t)8 * width) {
        __m512i values = _mm512_add_epi8(rusk_fields_group_avx512(groups, width), v);
        _mm512_storeu_si512(out + g * RUSK_FIELD_GROUP, values);
    }
}

#define WIDTH(n)                                                                                   \
    case n:                                                                                        \
        all_groups(groups, n_groups, n, add, out);                                                 \
        break

AVX512 void rusk_fields_get_avx512(const uint8_t *groups, size_t n_groups, unsigned width,
                                   uint8_t add, uint8_t *out) {
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
