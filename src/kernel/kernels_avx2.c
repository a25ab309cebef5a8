/* kernels_avx2.c - the kernels with 256-bit registers, AVX2 and F16C; no FMA, the order of
 * kernels.h forbids contraction.
 *
 * int8 products: maddubs multiplies unsigned by signed bytes, so w * q is |w| * sign(q, w). |w| may
 * be 128 (|-128| as a byte), q is within +-127: pairs stay within 2 * 128 * 127 = 32512, no
 * saturation; madd with ones then leaves the sum of each 4 columns: exactly a quad. */
#include "kernel/kernel_parts.h"

#if defined(__x86_64__)

#include <string.h>

#include "base/assert.h"
#include "kernel/avx2_parts.h"

enum { BATCH = 64 }; /* activation rows per pass over a tile: they stay in L2 */

INLINE __m256 quads(__m256i magnitude, __m256i w, __m256i q) {
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(q, w));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* A block of nr rows and nt activation rows, constants after inlining. */
typedef struct block {
    const int8_t *w[4], *q[2];
    const float *d[4], *m[4], *scale[2], *sum16[2];
    size_t n_groups, ahead_bytes; /* from a row to the one that will be next at its place */
} block;

enum { CHUNK = 8 }; /* groups whose factors are worked out together */

/* factor[r][t]: d * scale of up to 8 groups; for G16 16 of them. */
INLINE void make_factors(rusk_tile_kind kind, int nr, int nt, const block *k, size_t g,
                         size_t n_here, float factor[4][2][2 * CHUNK]) {
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m256 scale = load_some(k->scale[t] + g, n_here);
        __m256 lo = _mm256_unpacklo_ps(scale, scale), hi = _mm256_unpackhi_ps(scale, scale);
        __m256 first = _mm256_permute2f128_ps(lo, hi, 0x20);
        __m256 second = _mm256_permute2f128_ps(lo, hi, 0x31);
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            float *to = factor[r][t];
            if (kind == RUSK_TILE_G32) {
                __m256 d = load_some(k->d[r] + g, n_here);
                _mm256_storeu_ps(to, _mm256_mul_ps(d, scale));
            } else {
                const float *d = k->d[r] + 2 * g;
                size_t n = 2 * n_here;
                _mm256_storeu_ps(to, _mm256_mul_ps(load_some(d, n), first));
                if (n > 8) {
                    _mm256_storeu_ps(to + 8, _mm256_mul_ps(load_some(d + 8, n - 8), second));
                }
            }
        }
    }
}

INLINE __m256 factor_of(rusk_tile_kind kind, const float *factor, size_t i) {
    if (kind != RUSK_TILE_G16) {
        return _mm256_broadcast_ss(factor + i);
    }
    double two;
    memcpy(&two, factor + 2 * i, sizeof two);
    return _mm256_permutevar_ps(_mm256_castpd_ps(_mm256_set1_pd(two)),
                                _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

INLINE void one_group(rusk_tile_kind kind, int nr, int nt, const block *k, size_t g, size_t i,
                      float factor[4][2][2 * CHUNK], int odd, __m256 lane[4][2][2]) {
    __m256i q[2];
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        q[t] = _mm256_loadu_si256((const __m256i *)(k->q[t] + (g + i) * RUSK_GROUP));
    }
    RUSK_UNROLL
    for (int r = 0; r < nr; r++) {
        __m256i w = _mm256_loadu_si256((const __m256i *)(k->w[r] + (g + i) * RUSK_GROUP));
        __m256i magnitude = _mm256_abs_epi8(w);
        if (nt == 1 && odd == 0) { /* a cache line holds two groups */
            _mm_prefetch((const char *)k->w[r] + (g + i) * RUSK_GROUP + k->ahead_bytes,
                         _MM_HINT_T0);
        }
        RUSK_UNROLL
        for (int t = 0; t < nt; t++) {
            __m256 f = kind == RUSK_TILE_I8 ? _mm256_broadcast_ss(k->scale[t] + g + i)
                                            : factor_of(kind, factor[r][t], i);
            __m256 product = _mm256_mul_ps(quads(magnitude, w, q[t]), f);
            lane[r][t][odd] = _mm256_add_ps(lane[r][t][odd], product);
        }
    }
}

/* lanes += the products of minima and sums */
INLINE void add_minima(rusk_tile_kind kind, int nr, int nt, const block *k, __m256 lane[4][2][2]) {
    size_t n = kind == RUSK_TILE_G32 ? k->n_groups : 2 * k->n_groups;
    __m256 more[4][2][2];
    RUSK_UNROLL
    for (int i = 0; i < nr * nt * 2; i++) {
        more[i / (nt * 2)][i / 2 % nt][i % 2] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < n; i += 16) {
        RUSK_UNROLL
        for (int half = 0; half < 2; half++) {
            size_t at = i + 8 * (size_t)half;
            if (at >= n) {
                break;
            }
            RUSK_UNROLL
            for (int t = 0; t < nt; t++) {
                __m256 sum;
                if (kind == RUSK_TILE_G32) {
                    __m256 a = load_some(k->sum16[t] + 2 * at, 2 * (n - at));
                    __m256 b = _mm256_setzero_ps();
                    if (n - at > 4) {
                        b = load_some(k->sum16[t] + 2 * at + 8, 2 * (n - at) - 8);
                    }
                    __m256 pairs =
                        _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD));
                    sum = _mm256_castpd_ps(
                        _mm256_permute4x64_pd(_mm256_castps_pd(pairs), 0xD8)); /* 0 2 1 3 */
                } else {
                    sum = load_some(k->sum16[t] + at, n - at);
                }
                RUSK_UNROLL
                for (int r = 0; r < nr; r++) {
                    __m256 product = _mm256_mul_ps(load_some(k->m[r] + at, n - at), sum);
                    more[r][t][half] = _mm256_add_ps(more[r][t][half], product);
                }
            }
        }
    }
    RUSK_UNROLL
    for (int i = 0; i < nr * nt * 2; i++) {
        int r = i / (nt * 2), t = i / 2 % nt, h = i % 2;
        lane[r][t][h] = _mm256_add_ps(lane[r][t][h], more[r][t][h]);
    }
}

/* sums[t]: trees of the block's rows (4 entries, nr of them valid). */
INLINE void int8_block(rusk_tile_kind kind, int nr, int nt, const block *k, __m128 sums[2]) {
    __m256 lane[4][2][2];
    float factor[4][2][2 * CHUNK];
    RUSK_UNROLL
    for (int i = 0; i < nr * nt * 2; i++) {
        lane[i / (nt * 2)][i / 2 % nt][i % 2] = _mm256_setzero_ps();
    }
    for (size_t g = 0; g < k->n_groups; g += CHUNK) {
        size_t n_here = RUSK_MIN(k->n_groups - g, (size_t)CHUNK), i = 0;
        if (kind != RUSK_TILE_I8) {
            make_factors(kind, nr, nt, k, g, n_here, factor);
        }
        for (; i + 2 <= n_here; i += 2) {
            one_group(kind, nr, nt, k, g, i, factor, 0, lane);
            one_group(kind, nr, nt, k, g, i + 1, factor, 1, lane);
        }
        if (i < n_here) {
            one_group(kind, nr, nt, k, g, i, factor, 0, lane);
        }
    }
    if (kind != RUSK_TILE_I8) {
        add_minima(kind, nr, nt, k, lane);
    }
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m128 half[4];
        RUSK_UNROLL
        for (int r = 0; r < 4; r++) {
            half[r] =
                r < nr ? add_halves(_mm256_add_ps(lane[r][t][0], lane[r][t][1])) : _mm_setzero_ps();
        }
        sums[t] = tree_of_four(half);
    }
}

/* Rows r .. r+nr-1 times activation rows b .. b+nt-1 into y. */
INLINE void int8_rows(rusk_tile_kind kind, int nr, int nt, const rusk_tile *w, size_t r,
                      const rusk_acts *x, size_t b, const float *offset, float *y,
                      size_t y_stride) {
    block k = {.n_groups = x->n_groups, .ahead_bytes = (size_t)nr * w->stride_bytes};
    __m128 sums[2];
    RUSK_UNROLL
    for (int i = 0; i < nr; i++) {
        k.w[i] = rusk_tile_codes(w, r + (size_t)i);
        if (kind != RUSK_TILE_I8) {
            k.d[i] = w->d + (r + (size_t)i) * w->group_stride;
            k.m[i] = w->m + (r + (size_t)i) * w->group_stride;
        }
    }
    RUSK_UNROLL
    for (int i = 0; i < nt; i++) {
        k.q[i] = x->q + (b + (size_t)i) * x->n_groups * RUSK_GROUP;
        k.scale[i] = x->scale + (b + (size_t)i) * x->n_groups;
        k.sum16[i] = x->sum16 + (b + (size_t)i) * x->n_groups * 2;
    }
    int8_block(kind, nr, nt, &k, sums);
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        float out[4];
        _mm_storeu_ps(out, sums[t]);
        RUSK_UNROLL
        for (int i = 0; i < nr; i++) {
            if (kind == RUSK_TILE_I8) {
                out[i] = (out[i] + offset[t]) * w->row_scale[r + (size_t)i];
            }
            y[(b + (size_t)t) * y_stride + r + (size_t)i] = out[i];
        }
    }
}

INLINE void matmul_int8(rusk_tile_kind kind, const rusk_tile *w, const rusk_acts *x, float *y,
                        size_t y_stride) {
    float offset[BATCH];
    for (size_t b0 = 0; b0 < x->n_rows; b0 += BATCH) {
        size_t n = RUSK_MIN(x->n_rows - b0, (size_t)BATCH), r = 0;
        if (kind == RUSK_TILE_I8) {
            for (size_t b = 0; b < n; b++) {
                offset[b] = w->offset != 0 ? w->offset * rusk_sum_of_acts(x, b0 + b) : 0;
            }
        }
        for (; r + 4 <= w->n_rows; r += 4) {
            size_t b = 0;
            for (; b + 2 <= n; b += 2) {
                int8_rows(kind, 2, 2, w, r, x, b0 + b, offset + b, y, y_stride);
                int8_rows(kind, 2, 2, w, r + 2, x, b0 + b, offset + b, y, y_stride);
            }
            if (b < n) {
                int8_rows(kind, 4, 1, w, r, x, b0 + b, offset + b, y, y_stride);
            }
        }
        for (; r < w->n_rows; r++) {
            for (size_t b = 0; b < n; b++) {
                int8_rows(kind, 1, 1, w, r, x, b0 + b, offset + b, y, y_stride);
            }
        }
    }
}

AVX2 static void matmul_i8_avx2(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    matmul_int8(RUSK_TILE_I8, w, x, y, y_stride);
    rusk_patch_product(w, x, y, y_stride);
}

AVX2 static void matmul_g32_avx2(const rusk_tile *w, const rusk_acts *x, float *y,
                                 size_t y_stride) {
    matmul_int8(RUSK_TILE_G32, w, x, y, y_stride);
}

AVX2 static void matmul_g16_avx2(const rusk_tile *w, const rusk_acts *x, float *y,
                                 size_t y_stride) {
    matmul_int8(RUSK_TILE_G16, w, x, y, y_stride);
}

/* One row of weights times nt activation rows. */
INLINE void float_row(rusk_tile_kind kind, int nt, const void *row, const rusk_acts *x, size_t b,
                      float *y, size_t y_stride) {
    size_t size = kind == RUSK_TILE_F32 ? 4 : 2, i = 0, n = x->n_cols;
    const float *from = x->x + b * n;
    __m256 lane[2][4];
    RUSK_UNROLL
    for (int k = 0; k < 4 * nt; k++) {
        lane[k / 4][k % 4] = _mm256_setzero_ps();
    }
    for (; i + 32 <= n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            __m256 w = weights(kind, row, i + 8 * (size_t)k);
            RUSK_UNROLL
            for (int t = 0; t < nt; t++) {
                __m256 v = _mm256_loadu_ps(from + (size_t)t * n + i + 8 * (size_t)k);
                lane[t][k] = _mm256_add_ps(lane[t][k], _mm256_mul_ps(w, v));
            }
        }
    }
    if (i < n) {
        float last_w[32] = {0}, last_x[32] = {0};
        memcpy(last_w, (const char *)row + i * size, (n - i) * size);
        for (int t = 0; t < nt; t++) {
            memcpy(last_x, from + (size_t)t * n + i, (n - i) * sizeof(float));
            RUSK_UNROLL
            for (int k = 0; k < 4; k++) {
                __m256 product = _mm256_mul_ps(weights(kind, last_w, 8 * (size_t)k),
                                               _mm256_loadu_ps(last_x + 8 * k));
                lane[t][k] = _mm256_add_ps(lane[t][k], product);
            }
        }
    }
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        y[(b + (size_t)t) * y_stride] = tree_of_32(lane[t]);
    }
}

INLINE void matmul_float(rusk_tile_kind kind, const rusk_tile *w, const rusk_acts *x, float *y,
                         size_t y_stride) {
    for (size_t b0 = 0; b0 < x->n_rows; b0 += BATCH) {
        size_t n = RUSK_MIN(x->n_rows - b0, (size_t)BATCH);
        for (size_t r = 0; r < w->n_rows; r++) {
            const void *row = rusk_tile_codes(w, r);
            size_t b = 0;
            for (; b + 2 <= n; b += 2) {
                float_row(kind, 2, row, x, b0 + b, y + r, y_stride);
            }
            if (b < n) {
                float_row(kind, 1, row, x, b0 + b, y + r, y_stride);
            }
        }
    }
}

AVX2 static void matmul_f32_avx2(const rusk_tile *w, const rusk_acts *x, float *y,
                                 size_t y_stride) {
    matmul_float(RUSK_TILE_F32, w, x, y, y_stride);
}

AVX2 static void matmul_f16_avx2(const rusk_tile *w, const rusk_acts *x, float *y,
                                 size_t y_stride) {
    matmul_float(RUSK_TILE_F16, w, x, y, y_stride);
}

AVX2 static void matmul_bf16_avx2(const rusk_tile *w, const rusk_acts *x, float *y,
                                  size_t y_stride) {
    matmul_float(RUSK_TILE_BF16, w, x, y, y_stride);
}

void rusk_kernels_use_avx2(rusk_kernels *k) {
    k->name = "avx2";
    k->matmul[RUSK_TILE_F32] = matmul_f32_avx2;
    k->matmul[RUSK_TILE_F16] = matmul_f16_avx2;
    k->matmul[RUSK_TILE_BF16] = matmul_bf16_avx2;
    k->matmul[RUSK_TILE_I8] = matmul_i8_avx2;
    k->matmul[RUSK_TILE_G32] = matmul_g32_avx2;
    k->matmul[RUSK_TILE_G16] = matmul_g16_avx2;
    rusk_kernels_use_avx2_rows(k);
}

#else

void rusk_kernels_use_avx2(rusk_kernels *k) {
    (void)k;
}

#endif
