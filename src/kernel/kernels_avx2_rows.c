/* kernels_avx2_rows.c - the kernels over rows of floats with 256-bit registers, AVX2 and F16C. */
#include "kernel/kernel_parts.h"

#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "kernel/avx2_parts.h"

/* The 32 lanes of a dot, halved to 8. */
INLINE __m256 lanes_of_dot(const float *x, const uint16_t *h, size_t n) {
    __m256 lane[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                      _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            __m256 w = weights(RUSK_TILE_F16, h, i + 8 * (size_t)k);
            lane[k] = _mm256_add_ps(lane[k], _mm256_mul_ps(w, _mm256_loadu_ps(x + i + 8 * k)));
        }
    }
    RUSK_UNROLL
    for (int k = 0; k < 3; k++, i += 8) {
        if (i >= n) {
            break;
        }
        __m256 w = weights(RUSK_TILE_F16, h, i);
        lane[k] = _mm256_add_ps(lane[k], _mm256_mul_ps(w, _mm256_loadu_ps(x + i)));
    }
    return _mm256_add_ps(_mm256_add_ps(lane[0], lane[2]), _mm256_add_ps(lane[1], lane[3]));
}

AVX2 static float dot_f32_f16_avx2(const float *x, const uint16_t *h, size_t n) {
    return tree_of_8(lanes_of_dot(x, h, n));
}

AVX2 static void dots_f32_f16_avx2(const float *x, const uint16_t *h, size_t stride, size_t n_rows,
                                   float *out, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n_rows; i += 4) {
        __m128 half[4];
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            half[k] = add_halves(lanes_of_dot(x, h + (i + (size_t)k) * stride, n));
        }
        _mm_storeu_ps(out + i, tree_of_four(half));
    }
    for (; i < n_rows; i++) {
        out[i] = tree_of_8(lanes_of_dot(x, h + i * stride, n));
    }
}

/* 8 * nk elements of y stay in registers over all rows. */
INLINE void mix_some(int nk, const float *a, const uint16_t *h, size_t stride, size_t n_rows,
                     float *y) {
    __m256 sum[8];
    RUSK_UNROLL
    for (int k = 0; k < nk; k++) {
        sum[k] = _mm256_loadu_ps(y + 8 * k);
    }
    for (size_t i = 0; i < n_rows; i++, h += stride) {
        __m256 factor = _mm256_broadcast_ss(a + i);
        RUSK_UNROLL
        for (int k = 0; k < nk; k++) {
            __m256 product = _mm256_mul_ps(factor, weights(RUSK_TILE_F16, h, 8 * (size_t)k));
            sum[k] = _mm256_add_ps(sum[k], product);
        }
    }
    RUSK_UNROLL
    for (int k = 0; k < nk; k++) {
        _mm256_storeu_ps(y + 8 * k, sum[k]);
    }
}

AVX2 static void mix_f16_avx2(const float *a, const uint16_t *h, size_t stride, size_t n_rows,
                              float *y, size_t n) {
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        mix_some(8, a, h + i, stride, n_rows, y + i);
    }
    for (; i + 8 <= n; i += 8) {
        mix_some(1, a, h + i, stride, n_rows, y + i);
    }
}

AVX2 static void axpy_f16_avx2(float a, const uint16_t *h, float *y, size_t n) {
    __m256 factor = _mm256_set1_ps(a);
    for (size_t i = 0; i + 8 <= n; i += 8) {
        __m256 product = _mm256_mul_ps(factor, weights(RUSK_TILE_F16, h, i));
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), product));
    }
}

AVX2 static void to_f16_avx2(const float *x, uint16_t *h, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(h + i), half);
    }
    for (; i < n; i++) {
        h[i] = rusk_f16_from_f32(x[i]);
    }
}

/* One full group; returns the sums of q over its halves as two int32. */
INLINE void quantize_group(const float *x, int8_t *q, float *scale, float *sum16) {
    __m256 v[4];
    __m256i top = _mm256_setzero_si256();
    RUSK_UNROLL
    for (int k = 0; k < 4; k++) {
        v[k] = _mm256_loadu_ps(x + 8 * k);
        __m256i magnitude =
            _mm256_and_si256(_mm256_castps_si256(v[k]), _mm256_set1_epi32(0x7FFFFFFF));
        top = _mm256_max_epi32(top, magnitude);
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    __m128i one = _mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1));
    *scale = _mm_cvtss_f32(_mm_castsi128_ps(one)) / 127.0F;
    __m256i codes = _mm256_setzero_si256();
    if (*scale > 0 && *scale < INFINITY) {
        __m256i i[4];
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            i[k] = _mm256_cvtps_epi32(_mm256_div_ps(v[k], _mm256_set1_ps(*scale)));
        }
        /* packing saturates and leaves 4-column pieces as 0 2 4 6 1 3 5 7 */
        codes = _mm256_packs_epi16(_mm256_packs_epi32(i[0], i[1]), _mm256_packs_epi32(i[2], i[3]));
        codes = _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        codes = _mm256_max_epi8(codes, _mm256_set1_epi8(-127));
    }
    _mm256_storeu_si256((__m256i *)q, codes);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);
    __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4E));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xB1));
    sum16[0] = *scale * (float)_mm256_cvtsi256_si32(sums);
    sum16[1] = *scale * (float)_mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1));
}

AVX2 static void quantize_avx2(const float *x, size_t n, int8_t *q, float *scale, float *sum16) {
    size_t g = 0;
    for (; (g + 1) * RUSK_GROUP <= n; g++) {
        quantize_group(x + g * RUSK_GROUP, q + g * RUSK_GROUP, scale + g, sum16 + 2 * g);
    }
    if (g * RUSK_GROUP < n) {
        float last[RUSK_GROUP] = {0};
        memcpy(last, x + g * RUSK_GROUP, (n - g * RUSK_GROUP) * sizeof(float));
        quantize_group(last, q + g * RUSK_GROUP, scale + g, sum16 + 2 * g);
    }
}

INLINE __m256 codes_as_floats(const int8_t *codes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)codes)));
}

AVX2 static void expand_avx2(const rusk_tile *w, float *out) {
    size_t group = w->kind == RUSK_TILE_G16 ? 16 : 32, n = w->n_cols;
    for (size_t r = 0; r < w->n_rows; r++, out += n) {
        const int8_t *codes = rusk_tile_codes(w, r);
        for (size_t i = 0; i < n; i += 8) {
            __m256 value = codes_as_floats(codes + i);
            if (w->kind == RUSK_TILE_I8) {
                value = _mm256_mul_ps(_mm256_add_ps(value, _mm256_set1_ps(w->offset)),
                                      _mm256_set1_ps(w->row_scale[r]));
            } else {
                size_t at = r * w->group_stride + i / group;
                value = _mm256_add_ps(_mm256_mul_ps(value, _mm256_set1_ps(w->d[at])),
                                      _mm256_set1_ps(w->m[at]));
            }
            if (n - i >= 8) {
                _mm256_storeu_ps(out + i, value);
            } else {
                float last[8];
                _mm256_storeu_ps(last, value);
                memcpy(out + i, last, (n - i) * sizeof(float));
            }
        }
    }
    if (w->kind == RUSK_TILE_I8) {
        rusk_patch_expanded(w, out - (size_t)w->n_rows * n);
    }
}

AVX2 static void rms_norm_avx2(const float *x, const float *gain, size_t n, float eps, float *out) {
    __m256 lane[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                      _mm256_setzero_ps()};
    size_t i = 0;
    for (; i < n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            size_t at = i + 8 * (size_t)k;
            if (at >= n) {
                break;
            }
            __m256 v = load_some(x + at, n - at);
            lane[k] = _mm256_add_ps(lane[k], _mm256_mul_ps(v, v));
        }
    }
    float r = 1.0F / sqrtf(tree_of_32(lane) / (float)n + eps);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(v, _mm256_loadu_ps(gain + i)));
    }
    for (; i < n; i++) {
        out[i] = x[i] * r * gain[i];
    }
}

/* rusk_exp_ref, eight at a time. */
INLINE __m256 exp_of_8(__m256 x) {
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256 magic = _mm256_set1_ps(RUSK_EXP_MAGIC);
    x = _mm256_min_ps(_mm256_set1_ps(RUSK_EXP_MAX), x); /* the second operand where one is NaN */
    x = _mm256_max_ps(_mm256_set1_ps(RUSK_EXP_MIN), x);
    __m256 t = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(RUSK_EXP_LOG2E)), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(n, _mm256_set1_ps(RUSK_EXP_LN2_HI)));
    r = _mm256_sub_ps(r, _mm256_mul_ps(n, _mm256_set1_ps(RUSK_EXP_LN2_LO)));
    __m256 p = _mm256_set1_ps(RUSK_EXP_C4);
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(RUSK_EXP_C3));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(RUSK_EXP_C2));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(RUSK_EXP_C1));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(RUSK_EXP_C0));
    __m256 y = _mm256_add_ps(r, _mm256_mul_ps(_mm256_mul_ps(r, r), p));
    y = _mm256_add_ps(_mm256_set1_ps(1.0F), y);
    __m256i power = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(magic));
    __m256i first = _mm256_srai_epi32(power, 1), second = _mm256_sub_epi32(power, first);
    first = _mm256_slli_epi32(_mm256_add_epi32(first, bias), 23);
    second = _mm256_slli_epi32(_mm256_add_epi32(second, bias), 23);
    y = _mm256_mul_ps(y, _mm256_castsi256_ps(first));
    return _mm256_mul_ps(y, _mm256_castsi256_ps(second));
}

/* x / (1 + exp(-u)) * up */
INLINE __m256 gated(__m256 x, __m256 u, __m256 up) {
    __m256 e = exp_of_8(_mm256_sub_ps(_mm256_setzero_ps(), u));
    return _mm256_mul_ps(_mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0F), e)), up);
}

AVX2 static void silu_mul_avx2(const float *gate, const float *up, size_t n, float *out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(gate + i);
        _mm256_storeu_ps(out + i, gated(x, x, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++) {
        out[i] = rusk_silu_ref(gate[i]) * up[i];
    }
}

AVX2 static void gelu_mul_avx2(const float *gate, const float *up, size_t n, float *out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(gate + i);
        __m256 u = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
        u = _mm256_add_ps(x, _mm256_mul_ps(u, _mm256_set1_ps(RUSK_GELU_CUBIC)));
        u = _mm256_mul_ps(u, _mm256_set1_ps(RUSK_GELU_2ROOT));
        _mm256_storeu_ps(out + i, gated(x, u, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++) {
        out[i] = rusk_gelu_ref(gate[i]) * up[i];
    }
}

AVX2 static void softmax_avx2(float *x, size_t n) {
    float top = -INFINITY, tops[8], last[16];
    __m256 best = _mm256_set1_ps(top), lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0, whole = n / 16 * 16;
    for (; i < whole; i += 8) {
        best = _mm256_max_ps(_mm256_loadu_ps(x + i), best);
    }
    _mm256_storeu_ps(tops, best);
    for (size_t k = 0; k < 8; k++) {
        top = tops[k] > top ? tops[k] : top;
    }
    for (; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    best = _mm256_set1_ps(top);
    for (size_t k = 0; k < 16; k++) {
        last[k] = whole + k < n ? x[whole + k] : -INFINITY; /* its exp is 0 */
    }
    for (i = 0; i < whole + 16; i += 16) {
        float *at = i < whole ? x + i : last;
        RUSK_UNROLL
        for (int k = 0; k < 2; k++) {
            __m256 e = exp_of_8(_mm256_sub_ps(_mm256_loadu_ps(at + 8 * k), best));
            _mm256_storeu_ps(at + 8 * k, e);
            lane[k] = _mm256_add_ps(lane[k], e);
        }
    }
    float r = 1.0F / tree_of_8(_mm256_add_ps(lane[0], lane[1]));
    for (i = 0; i < whole; i += 8) {
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r)));
    }
    for (; i < n; i++) {
        x[i] = last[i - whole] * r;
    }
}

AVX2 static void add_avx2(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    }
    for (; i < n; i++) {
        y[i] += x[i];
    }
}

void rusk_kernels_use_avx2_rows(rusk_kernels *k) {
    k->quantize = quantize_avx2;
    k->expand = expand_avx2;
    k->dot_f32_f16 = dot_f32_f16_avx2;
    k->axpy_f16 = axpy_f16_avx2;
    k->dots_f32_f16 = dots_f32_f16_avx2;
    k->mix_f16 = mix_f16_avx2;
    k->to_f16 = to_f16_avx2;
    k->rms_norm = rms_norm_avx2;
    k->silu_mul = silu_mul_avx2;
    k->gelu_mul = gelu_mul_avx2;
    k->softmax = softmax_avx2;
    k->add = add_avx2;
}

#else

void rusk_kernels_use_avx2_rows(rusk_kernels *k) {
    (void)k;
}

#endif
