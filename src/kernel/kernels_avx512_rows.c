/* kernels_avx512_rows.c - attention with 512-bit registers: 4 queries by 2 positions at a time (or
 * 2 queries by 4), so that a key or value is converted to f32 once for several queries. */
#include "kernel/kernel_parts.h"

#if defined(__x86_64__)

#include "kernel/avx512_parts.h"

/* 16 halves from a row as f32; of the last ones only n, zeros beyond. */
INLINE __m512 halves(const uint16_t *h, size_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), h));
}

/* Columns i .. i + 31 of nq queries and nr rows. */
INLINE void dot_columns(int nq, int nr, const float *const *x, const uint16_t *h, size_t stride,
                        size_t i, size_t n, __m512 lane[8][2]) {
    RUSK_UNROLL
    for (int k = 0; k < 2; k++) {
        const size_t at = i + 16 * (size_t)k;
        if (at >= n) {
            break;
        }
        __m512 w[4];
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            w[r] = halves(h + (size_t)r * stride + at, n - at);
        }
        RUSK_UNROLL
        for (int q = 0; q < nq; q++) {
            __m512 v = load_some(x[q] + at, n - at);
            RUSK_UNROLL
            for (int r = 0; r < nr; r++) {
                __m512 *sum = &lane[q * nr + r][k];
                *sum = _mm512_add_ps(*sum, _mm512_mul_ps(w[r], v));
            }
        }
    }
}

/* nq x nr is at most 8. */
INLINE void dots_block(int nq, int nr, const float *const *x, const uint16_t *h, size_t stride,
                       size_t n, float *const *out, size_t row) {
    __m512 lane[8][2], sums[8];
    float y[8];
    RUSK_UNROLL
    for (int k = 0; k < 8; k++) {
        lane[k][0] = lane[k][1] = _mm512_setzero_ps();
    }
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        dot_columns(nq, nr, x, h, stride, i, i + 32, lane);
    }
    if (i < n) {
        dot_columns(nq, nr, x, h, stride, i, n, lane);
    }
    RUSK_UNROLL
    for (int k = 0; k < 8; k++) {
        sums[k] = _mm512_add_ps(lane[k][0], lane[k][1]);
    }
    const __m128 low = trees_of_16(sums), high = nq * nr > 4 ? trees_of_16(sums + 4) : low;
    if (nr == 4) { /* a tree of four is a query's */
        _mm_storeu_ps(out[0] + row, low);
        if (nq == 2) {
            _mm_storeu_ps(out[1] + row, high);
        }
        return;
    }
    _mm_storeu_ps(y, low);
    _mm_storeu_ps(y + 4, high);
    RUSK_UNROLL
    for (int q = 0; q < nq; q++) {
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            out[q][row + (size_t)r] = y[q * nr + r];
        }
    }
}

INLINE void dots_some(int nq, int nr, const float *const *x, const uint16_t *h, size_t stride,
                      size_t n_rows, float *const *out, size_t n) {
    size_t row = 0;
    for (; row + (size_t)nr <= n_rows; row += (size_t)nr) {
        dots_block(nq, nr, x, h + row * stride, stride, n, out, row);
    }
    for (; row < n_rows; row++) {
        dots_block(nq, 1, x, h + row * stride, stride, n, out, row);
    }
}

AVX512 static void dots_f32_f16_avx512(const float *const *x, size_t n_x, const uint16_t *h,
                                       size_t stride, size_t n_rows, float *const *out, size_t n) {
    for (; n_x >= 4; n_x -= 4, x += 4, out += 4) {
        dots_some(4, 2, x, h, stride, n_rows, out, n);
    }
    if (n_x == 3) {
        dots_some(3, 2, x, h, stride, n_rows, out, n);
    } else if (n_x == 2) {
        dots_some(2, 4, x, h, stride, n_rows, out, n);
    } else if (n_x == 1) {
        dots_some(1, 4, x, h, stride, n_rows, out, n);
    }
}

/* 16 * nk elements from the i-th of nq results stay in registers over all rows; where nk is 1,
 * those beyond n are left alone. */
INLINE void mix_some(int nq, int nk, const float *const *a, const uint16_t *h, size_t stride,
                     size_t n_rows, float *const *y, size_t i, size_t n) {
    __m512 sum[4][4];
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        const size_t at = i + 16 * (size_t)(k % nk);
        sum[k / nk][k % nk] = load_some(y[k / nk] + at, n - at);
    }
    for (size_t r = 0; r < n_rows; r++, h += stride) {
        __m512 w[4];
        RUSK_UNROLL
        for (int k = 0; k < nk; k++) {
            const size_t at = i + 16 * (size_t)k;
            w[k] = halves(h + at, n - at);
        }
        RUSK_UNROLL
        for (int q = 0; q < nq; q++) {
            const __m512 factor = _mm512_set1_ps(a[q][r]);
            RUSK_UNROLL
            for (int k = 0; k < nk; k++) {
                sum[q][k] = _mm512_add_ps(sum[q][k], _mm512_mul_ps(factor, w[k]));
            }
        }
    }
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        const size_t at = i + 16 * (size_t)(k % nk);
        _mm512_mask_storeu_ps(y[k / nk] + at, first(n - at), sum[k / nk][k % nk]);
    }
}

INLINE void mix_queries(int nq, const float *const *a, const uint16_t *h, size_t stride,
                        size_t n_rows, float *const *y, size_t n) {
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        mix_some(nq, 4, a, h, stride, n_rows, y, i, i + 64);
    }
    for (; i < n; i += 16) {
        mix_some(nq, 1, a, h, stride, n_rows, y, i, n);
    }
}

AVX512 static void mix_f16_avx512(const float *const *a, size_t n_x, const uint16_t *h,
                                  size_t stride, size_t n_rows, float *const *y, size_t n) {
    for (; n_x >= 4; n_x -= 4, a += 4, y += 4) {
        mix_queries(4, a, h, stride, n_rows, y, n);
    }
    if (n_x == 3) {
        mix_queries(3, a, h, stride, n_rows, y, n);
    } else if (n_x == 2) {
        mix_queries(2, a, h, stride, n_rows, y, n);
    } else if (n_x == 1) {
        mix_queries(1, a, h, stride, n_rows, y, n);
    }
}

void rusk_kernels_use_avx512_rows(rusk_kernels *k) {
    k->dots_f32_f16 = dots_f32_f16_avx512;
    k->mix_f16 = mix_f16_avx512;
}

#else

void rusk_kernels_use_avx512_rows(rusk_kernels *k) {
    (void)k;
}

#endif
