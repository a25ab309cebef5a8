/* kernels_avx2_rows.c - the kernels over rows of floats with 256-bit registers, AVX2 and F16C. */
#include "kernel/kernel_parts.h"

#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "kernel/avx2_parts.h"

/* The 32 lanes of nq (1..3) queries times a row, halved to 4. */
INLINE void lanes_of_dots(int nq, const float *const *x, const uint16_t *h, size_t n,
                          __m128 half[3]) {
    __m256 lane[3][4];
    RUSK_UNROLL
    for (int k = 0; k < 4 * nq; k++) {
        lane[k / 4][k % 4] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            const size_t at = i + 8 * (size_t)k;
            if (at >= n) {
                break;
            }
            __m256 w = weights(RUSK_TILE_F16, h, at);
            RUSK_UNROLL
            for (int q = 0; q < nq; q++) {
                __m256 product = _mm256_mul_ps(w, _mm256_loadu_ps(x[q] + at));
                lane[q][k] = _mm256_add_ps(lane[q][k], product);
            }
        }
    }
    RUSK_UNROLL
    for (int q = 0; q < nq; q++) {
        half[q] = add_halves(_mm256_add_ps(_mm256_add_ps(lane[q][0], lane[q][2]),
                                           _mm256_add_ps(lane[q][1], lane[q][3])));
    }
}

INLINE void dots_some(int nq, const float *const *x, const uint16_t *h, size_t stride,
                      size_t n_rows, float *const *out, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n_rows; i += 4) {
        __m128 half[4][3];
        RUSK_UNROLL
        for (int r = 0; r < 4; r++) {
            lanes_of_dots(nq, x, h + (i + (size_t)r) * stride, n, half[r]);
        }
        RUSK_UNROLL
        for (int q = 0; q < nq; q++) {
            const __m128 rows[4] = {half[0][q], half[1][q], half[2][q], half[3][q]};
            _mm_storeu_ps(out[q] + i, tree_of_four(rows));
        }
    }
    for (; i < n_rows; i++) {
        __m128 half[4] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
        float sums[4];
        lanes_of_dots(nq, x, h + i * stride, n, half);
        _mm_storeu_ps(sums, tree_of_four(half));
        for (int q = 0; q < nq; q++) {
            out[q][i] = sums[q];
        }
    }
}

AVX2 static void dots_f32_f16_avx2(const float *const *x, size_t n_x, const uint16_t *h,
                                   size_t stride, size_t n_rows, float *const *out, size_t n) {
    for (; n_x >= 3; n_x -= 3, x += 3, out += 3) {
        dots_some(3, x, h, stride, n_rows, out, n);
    }
    if (n_x == 2) {
        dots_some(2, x, h, stride, n_rows, out, n);
    } else if (n_x == 1) {
        dots_some(1, x, h, stride, n_rows, out, n);
    }
}

/* 8 * nk elements from the i-th of nq results stay in registers over all rows. */
INLINE void mix_some(int nq, int nk, const float *const *a, const uint16_t *h, size_t stride,
                     size_t n_rows, float *const *y, size_t i) {
    __m256 sum[3][8];
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        sum[k / nk][k % nk] = _mm256_loadu_ps(y[k / nk] + i + 8 * (k % nk));
    }
    h += i;
    for (size_t r = 0; r < n_rows; r++, h += stride) {
        __m256 factor[3];
        RUSK_UNROLL
        for (int q = 0; q < nq; q++) {
            factor[q] = _mm256_broadcast_ss(a[q] + r);
        }
        RUSK_UNROLL
        for (int k = 0; k < nk; k++) {
            __m256 w = weights(RUSK_TILE_F16, h, 8 * (size_t)k);
            RUSK_UNROLL
            for (int q = 0; q < nq; q++) {
                sum[q][k] = _mm256_add_ps(sum[q][k], _mm256_mul_ps(factor[q], w));
            }
        }
    }
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        _mm256_storeu_ps(y[k / nk] + i + 8 * (k % nk), sum[k / nk][k % nk]);
    }
}

AVX2 static void mix_f16_avx2(const float *const *a, size_t n_x, const uint16_t *h, size_t stride,
                              size_t n_rows, float *const *y, size_t n) {
    for (; n_x >= 3; n_x -= 3, a += 3, y += 3) {
        size_t i = 0;
        for (; i + 24 <= n; i += 24) {
            mix_some(3, 3, a, h, stride, n_rows, y, i);
        }
        for (; i < n; i += 8) {
            mix_some(3, 1, a, h, stride, n_rows, y, i);
        }
    }
    for (; n_x > 0; n_x--, a++, y++) {
        size_t i = 0;
        for (; i + 64 <= n; i += 64) {
            mix_some(1, 8, a, h, stride, n_rows, y, i);
        }
        for (; i < n; i += 8) {
            mix_some(1, 1, a, h, stride, n_rows, y, i);
        }
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

AVX2 static void rotate_halves_avx2(float *x, const float *turn, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + n + i);
        __m256 c = _mm256_loadu_ps(turn + i), s = _mm256_loadu_ps(turn + n + i);
        _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(x + n + i, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
    for (; i < n; i++) {
        rusk_rotate(x + i, x + n + i, turn[i], turn[n + i]);
    }
}

/* Four pairs a register: x times cosines, minus or plus the neighbour's product with the sine. */
AVX2 static void rotate_pairs_avx2(float *x, const float *turn, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m128 c = _mm_loadu_ps(turn + i), s = _mm_loadu_ps(turn + n + i);
        __m256 cc = _mm256_set_m128(_mm_unpackhi_ps(c, c), _mm_unpacklo_ps(c, c));
        __m256 ss = _mm256_set_m128(_mm_unpackhi_ps(s, s), _mm_unpacklo_ps(s, s));
        __m256 v = _mm256_loadu_ps(x + 2 * i), other = _mm256_permute_ps(v, 0xB1);
        v = _mm256_addsub_ps(_mm256_mul_ps(v, cc), _mm256_mul_ps(other, ss));
        _mm256_storeu_ps(x + 2 * i, v);
    }
    for (; i < n; i++) {
        rusk_rotate(x + 2 * i, x + 2 * i + 1, turn[i], turn[n + i]);
    }
}

void rusk_kernels_use_avx2_rows(rusk_kernels *k) {
    k->quantize = quantize_avx2;
    k->expand = expand_avx2;
    k->dots_f32_f16 = dots_f32_f16_avx2;
    k->mix_f16 = mix_f16_avx2;
    k->to_f16 = to_f16_avx2;
    k->rms_norm = rms_norm_avx2;
    k->silu_mul = silu_mul_avx2;
    k->gelu_mul = gelu_mul_avx2;
    k->softmax = softmax_avx2;
    k->add = add_avx2;
    k->rotate_halves = rotate_halves_avx2;
    k->rotate_pairs = rotate_pairs_avx2;
}

#else

void rusk_kernels_use_avx2_rows(rusk_kernels *k) {
    (void)k;
}

#endif
