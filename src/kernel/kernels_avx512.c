/* kernels_avx512.c - products with 512-bit registers and VNNI: a register holds two groups of 32
 * columns, so their quads are the 16 lanes of kernels.h in order.
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four neighbours to an int32, exactly. Codes
 * become unsigned by w + 128 (flip the top bit), and the sums start at -128 * (sum of the quad's
 * q), which one more vpdpbusd per activation register gives, shared by the rows of a block. */
#include "kernel/kernel_parts.h"

#if defined(__x86_64__)

#include <string.h>

#include "base/assert.h"
#include "kernel/avx512_parts.h"

enum { BATCH = 64 }; /* activation rows per pass over a tile: they stay in L2 */

/* Bytes of int8 weights asked for ahead of a lone activation row. SmolLM2 decoded, one thread of
 * Zen 5: 194 tok/s with the next four rows, 200 at 4 KB, 220 to 247 at 8, 214 at 16. */
enum { AHEAD = 8192 };

/* No masked 128-bit store: GCC 12 makes it an extraction, which faults on what is masked out. */
INLINE void store_rows(float *y, int nr, __m128 v) {
    if (nr == 4) {
        _mm_storeu_ps(y, v);
    } else {
        *y = _mm_cvtss_f32(v);
    }
}

/* A block of nr rows (4 or 1) and nt activation rows, constants after inlining. */
typedef struct block {
    const int8_t *w;
    const float *d, *m;
    size_t w_stride, group_stride; /* from row to row */
    const int8_t *q[4];
    const float *scale[4], *sum16[4];
    size_t n_groups;
} block;

/* Groups g and g + 1, the latter absent (zero) where `single`. factor: values from which `pick`
 * takes the 16 that belong to the pair's lanes. */
INLINE void two_groups(rusk_tile_kind kind, int nr, int nt, const block *k, size_t g, bool single,
                       const __m512 factor[4][4], __m512i pick, __m512 lane[4][4]) {
    const __m512i flip = _mm512_set1_epi8(-128);
    const __mmask64 there = single ? 0xFFFFFFFFU : ~(__mmask64)0;
    __m512i q[4], start[4];
    __m512 scale[4];
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        const int8_t *at = k->q[t] + g * RUSK_GROUP;
        q[t] = single ? _mm512_maskz_loadu_epi8(there, at) : _mm512_loadu_si512(at);
        __m512i zero = _mm512_setzero_si512();
        start[t] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, flip, q[t]));
        if (kind == RUSK_TILE_I8) {
            scale[t] = _mm512_permutexvar_ps(pick, factor[0][t]);
        }
    }
    const int8_t *from = k->w + g * RUSK_GROUP;
    RUSK_UNROLL
    for (int r = 0; r < nr; r++, from += k->w_stride) {
        __m512i w = single ? _mm512_maskz_loadu_epi8(there, from) : _mm512_loadu_si512(from);
        w = _mm512_xor_si512(w, flip);
        if (nt == 1) {
            _mm_prefetch((const char *)from + AHEAD, _MM_HINT_T0);
        }
        RUSK_UNROLL
        for (int t = 0; t < nt; t++) {
            __m512 quads = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start[t], w, q[t]));
            __m512 f = kind == RUSK_TILE_I8 ? scale[t] : _mm512_permutexvar_ps(pick, factor[r][t]);
            lane[r][t] = _mm512_add_ps(lane[r][t], _mm512_mul_ps(quads, f));
        }
    }
}

/* Factors of the next 16 groups (8 for G16: 16 halves). */
INLINE void make_factors(rusk_tile_kind kind, int nr, int nt, const block *k, size_t g, size_t n,
                         __m512 factor[4][4]) {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m512 scale = load_some(k->scale[t] + g, n);
        if (kind == RUSK_TILE_I8) {
            factor[0][t] = scale;
            continue;
        }
        if (kind == RUSK_TILE_G16) {
            scale = _mm512_permutexvar_ps(twice, scale);
        }
        const float *d = k->d;
        RUSK_UNROLL
        for (int r = 0; r < nr; r++, d += k->group_stride) {
            __m512 value =
                kind == RUSK_TILE_G32 ? load_some(d + g, n) : load_some(d + 2 * g, 2 * n);
            factor[r][t] = _mm512_mul_ps(value, scale);
        }
    }
}

/* lanes += the products of minima and sums */
INLINE void add_minima(rusk_tile_kind kind, int nr, int nt, const block *k, __m512 lane[4][4]) {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    size_t n = kind == RUSK_TILE_G32 ? k->n_groups : 2 * k->n_groups;
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m512 more[4];
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            more[r] = _mm512_setzero_ps();
        }
        for (size_t i = 0; i < n; i += 16) {
            __m512 sum;
            if (kind == RUSK_TILE_G32) {
                size_t n_halves = 2 * (n - i);
                __m512 a = load_some(k->sum16[t] + 2 * i, n_halves);
                __m512 b = load_some(k->sum16[t] + 2 * i + 16, n_halves > 16 ? n_halves - 16 : 0);
                sum = _mm512_add_ps(_mm512_permutex2var_ps(a, even, b),
                                    _mm512_permutex2var_ps(a, odd, b));
            } else {
                sum = load_some(k->sum16[t] + i, n - i);
            }
            const float *m = k->m + i;
            RUSK_UNROLL
            for (int r = 0; r < nr; r++, m += k->group_stride) {
                __m512 product = _mm512_mul_ps(load_some(m, n - i), sum);
                more[r] = _mm512_add_ps(more[r], product);
            }
        }
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            lane[r][t] = _mm512_add_ps(lane[r][t], more[r]);
        }
    }
}

/* sums[t]: trees of the block's rows (4 entries, nr of them valid). */
INLINE void int8_block(rusk_tile_kind kind, int nr, int nt, const block *k, __m128 sums[4]) {
    const size_t chunk = kind == RUSK_TILE_G16 ? 8 : 16;
    const __m512i step = _mm512_set1_epi32(kind == RUSK_TILE_G16 ? 4 : 2);
    const __m512i begin = kind == RUSK_TILE_G16
                              ? _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)
                              : _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m512 lane[4][4], factor[4][4];
    RUSK_UNROLL
    for (int i = 0; i < nr * nt; i++) {
        lane[i / nt][i % nt] = _mm512_setzero_ps();
    }
    for (size_t g = 0; g < k->n_groups; g += chunk) {
        size_t n_here = RUSK_MIN(k->n_groups - g, chunk), i = 0;
        __m512i pick = begin;
        make_factors(kind, nr, nt, k, g, n_here, factor);
        for (; i + 2 <= n_here; i += 2) {
            two_groups(kind, nr, nt, k, g + i, false, factor, pick, lane);
            pick = _mm512_add_epi32(pick, step);
        }
        if (i < n_here) {
            two_groups(kind, nr, nt, k, g + i, true, factor, pick, lane);
        }
    }
    if (kind != RUSK_TILE_I8) {
        add_minima(kind, nr, nt, k, lane);
    }
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m512 rows[4];
        RUSK_UNROLL
        for (int r = 0; r < 4; r++) {
            rows[r] = r < nr ? lane[r][t] : _mm512_setzero_ps();
        }
        sums[t] = trees_of_16(rows);
    }
}

/* Rows r .. r+nr-1 times activation rows b .. b+nt-1 into y. */
INLINE void int8_rows(rusk_tile_kind kind, int nr, int nt, const rusk_tile *w, size_t r,
                      const rusk_acts *x, size_t b, const float *offset, float *y,
                      size_t y_stride) {
    block k = {.w = rusk_tile_codes(w, r), .w_stride = w->stride_bytes, .n_groups = x->n_groups};
    __m128 sums[4];
    if (kind != RUSK_TILE_I8) {
        k.d = w->d + r * w->group_stride;
        k.m = w->m + r * w->group_stride;
        k.group_stride = w->group_stride;
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
        if (kind == RUSK_TILE_I8) {
            const float *scale = w->row_scale + r;
            sums[t] = _mm_mul_ps(_mm_add_ps(sums[t], _mm_set1_ps(offset[t])),
                                 nr == 4 ? _mm_loadu_ps(scale) : _mm_load_ss(scale));
        }
        store_rows(y + (b + (size_t)t) * y_stride + r, nr, sums[t]);
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
            for (; b + 4 <= n; b += 4) {
                int8_rows(kind, 4, 4, w, r, x, b0 + b, offset + b, y, y_stride);
            }
            for (; b + 2 <= n; b += 2) {
                int8_rows(kind, 4, 2, w, r, x, b0 + b, offset + b, y, y_stride);
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

AVX512 static void matmul_i8_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                    size_t y_stride) {
    matmul_int8(RUSK_TILE_I8, w, x, y, y_stride);
    rusk_patch_product(w, x, y, y_stride);
}

AVX512 static void matmul_g32_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                     size_t y_stride) {
    matmul_int8(RUSK_TILE_G32, w, x, y, y_stride);
}

AVX512 static void matmul_g16_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                     size_t y_stride) {
    matmul_int8(RUSK_TILE_G16, w, x, y, y_stride);
}

/* n of 16 weights as f32 from element i of a float row, zeros beyond. */
INLINE __m512 weights(rusk_tile_kind kind, const void *row, size_t i, size_t n) {
    if (kind == RUSK_TILE_F32) {
        return load_some((const float *)row + i, n);
    }
    const uint16_t *from = (const uint16_t *)row + i;
    __m256i half = n >= 16 ? _mm256_loadu_si256((const __m256i *)from)
                           : _mm256_maskz_loadu_epi16(first(n), from);
    if (kind == RUSK_TILE_F16) {
        return _mm512_cvtph_ps(half);
    }
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* Columns i .. i+31 of nr rows times nt activation rows, n of them there. */
INLINE void float_columns(rusk_tile_kind kind, int nr, int nt, const void *const row[4],
                          const float *const x[4], size_t i, size_t n, size_t ahead_bytes,
                          __m512 lane[4][4][2]) {
    RUSK_UNROLL
    for (int h = 0; h < 2; h++) {
        size_t at = i + 16 * (size_t)h, there = n > 16 * (size_t)h ? n - 16 * (size_t)h : 0;
        __m512 v[4];
        RUSK_UNROLL
        for (int t = 0; t < nt; t++) {
            v[t] = load_some(x[t] + at, there);
        }
        RUSK_UNROLL
        for (int r = 0; r < nr; r++) {
            __m512 weight = weights(kind, row[r], at, there);
            if (nt == 1 && (h == 0 || kind == RUSK_TILE_F32)) {
                _mm_prefetch((const char *)row[r] + at * (kind == RUSK_TILE_F32 ? 4 : 2) +
                                 ahead_bytes,
                             _MM_HINT_T0);
            }
            RUSK_UNROLL
            for (int t = 0; t < nt; t++) {
                lane[r][t][h] = _mm512_add_ps(lane[r][t][h], _mm512_mul_ps(weight, v[t]));
            }
        }
    }
}

INLINE void float_rows(rusk_tile_kind kind, int nr, int nt, const rusk_tile *w, size_t r0,
                       const rusk_acts *acts, size_t b, float *y, size_t y_stride) {
    size_t i = 0, n = acts->n_cols, ahead_bytes = (size_t)nr * w->stride_bytes;
    const void *row[4];
    const float *x[4];
    __m512 lane[4][4][2];
    RUSK_UNROLL
    for (int r = 0; r < nr; r++) {
        row[r] = rusk_tile_codes(w, r0 + (size_t)r);
    }
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = acts->x + (b + (size_t)t) * n;
    }
    RUSK_UNROLL
    for (int k = 0; k < 2 * nr * nt; k++) {
        lane[k / (2 * nt)][k / 2 % nt][k % 2] = _mm512_setzero_ps();
    }
    for (; i + 32 <= n; i += 32) {
        float_columns(kind, nr, nt, row, x, i, 32, ahead_bytes, lane);
    }
    if (i < n) {
        float_columns(kind, nr, nt, row, x, i, n - i, ahead_bytes, lane);
    }
    RUSK_UNROLL
    for (int t = 0; t < nt; t++) {
        __m512 rows[4];
        RUSK_UNROLL
        for (int r = 0; r < 4; r++) {
            rows[r] = r < nr ? _mm512_add_ps(lane[r][t][0], lane[r][t][1]) : _mm512_setzero_ps();
        }
        store_rows(y + (b + (size_t)t) * y_stride + r0, nr, trees_of_16(rows));
    }
}

INLINE void matmul_float(rusk_tile_kind kind, const rusk_tile *w, const rusk_acts *x, float *y,
                         size_t y_stride) {
    for (size_t b0 = 0; b0 < x->n_rows; b0 += BATCH) {
        size_t end = RUSK_MIN(x->n_rows, b0 + BATCH), r = 0;
        for (; r + 4 <= w->n_rows; r += 4) {
            size_t b = b0;
            for (; b + 2 <= end; b += 2) {
                float_rows(kind, 4, 2, w, r, x, b, y, y_stride);
            }
            if (b < end) {
                float_rows(kind, 4, 1, w, r, x, b, y, y_stride);
            }
        }
        for (; r < w->n_rows; r++) {
            for (size_t b = b0; b < end; b++) {
                float_rows(kind, 1, 1, w, r, x, b, y, y_stride);
            }
        }
    }
}

AVX512 static void matmul_f32_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                     size_t y_stride) {
    matmul_float(RUSK_TILE_F32, w, x, y, y_stride);
}

AVX512 static void matmul_f16_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                     size_t y_stride) {
    matmul_float(RUSK_TILE_F16, w, x, y, y_stride);
}

AVX512 static void matmul_bf16_avx512(const rusk_tile *w, const rusk_acts *x, float *y,
                                      size_t y_stride) {
    matmul_float(RUSK_TILE_BF16, w, x, y, y_stride);
}

void rusk_kernels_use_avx512(rusk_kernels *k) {
    k->name = "avx512";
    k->matmul[RUSK_TILE_F32] = matmul_f32_avx512;
    k->matmul[RUSK_TILE_F16] = matmul_f16_avx512;
    k->matmul[RUSK_TILE_BF16] = matmul_bf16_avx512;
    k->matmul[RUSK_TILE_I8] = matmul_i8_avx512;
    k->matmul[RUSK_TILE_G32] = matmul_g32_avx512;
    k->matmul[RUSK_TILE_G16] = matmul_g16_avx512;
    rusk_kernels_use_avx512_rows(k);
}

#else

void rusk_kernels_use_avx512(rusk_kernels *k) {
    (void)k;
}

#endif
