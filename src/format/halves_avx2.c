/* halves_avx2.c - eight scales at a time by F16C, which RUSK_CPU_AVX2 includes. */
#include "format/halves.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/bytes.h"

enum { LANES = 8 };

__attribute__((target("avx2,f16c"))) void rusk_halves_load_avx2(const uint8_t *bytes, size_t stride,
                                                                size_t n, float *out) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        uint16_t h[LANES];
        for (size_t j = 0; j < LANES; j++) {
            h[j] = rusk_load_u16(bytes + (i + j) * stride);
        }
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h)));
    }
    rusk_halves_load_ref(bytes + i * stride, stride, n - i, out + i);
}
#endif
