/* halves_avx2.c - eight scales at a time by F16C, which RUSK_CPU_AVX2 includes. */
#include "format/halves.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/bytes.h"

enum { LANES = 8 };

#define INLINE static inline __attribute__((always_inline, target("avx2,f16c")))

INLINE int at(const uint8_t *bytes, size_t stride, size_t j, size_t last) {
    return rusk_load_u16(bytes + (j < last ? j : last) * stride);
}

/* Eight of them, the last one again and again where there are fewer. They are put together in a
 * register: a vector that is loaded where narrower stores have just been waits for them. */
INLINE __m256 eight(const uint8_t *bytes, size_t stride, size_t last) {
    __m128i h = _mm_cvtsi32_si128(at(bytes, stride, 0, last));
    h = _mm_insert_epi16(h, at(bytes, stride, 1, last), 1);
    h = _mm_insert_epi16(h, at(bytes, stride, 2, last), 2);
    h = _mm_insert_epi16(h, at(bytes, stride, 3, last), 3);
    h = _mm_insert_epi16(h, at(bytes, stride, 4, last), 4);
    h = _mm_insert_epi16(h, at(bytes, stride, 5, last), 5);
    h = _mm_insert_epi16(h, at(bytes, stride, 6, last), 6);
    h = _mm_insert_epi16(h, at(bytes, stride, 7, last), 7);
    return _mm256_cvtph_ps(h);
}

__attribute__((target("avx2,f16c"))) void rusk_halves_load_avx2(const uint8_t *bytes, size_t stride,
                                                                size_t n, float *out) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        _mm256_storeu_ps(out + i, eight(bytes + i * stride, stride, LANES - 1));
    }
    if (i < n) {
        float last[LANES];
        _mm256_storeu_ps(last, eight(bytes + i * stride, stride, n - i - 1));
        for (size_t j = 0; i + j < n; j++) {
            out[i + j] = last[j];
        }
    }
}
#endif
