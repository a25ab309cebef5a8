/* kernels_neon.c - the kernels of aarch64 with what every such processor has (ARMv8.0 NEON).
 *
 * int8 products: pairs of products fit int16 (2 * 128 * 127 = 32512), so two widening multiplies, a
 * pairwise add and a widening pairwise add give the quads of 16 columns exactly. */
#include "kernel/kernel_parts.h"

#if defined(__aarch64__)

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/neon_parts.h"

#define TARGET
#define NAMED(x) x##_neon

static inline float32x4_t quads_neon(int8x16_t w, int8x16_t q) {
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(q));
    return vcvtq_f32_s32(vpaddlq_s16(vpaddq_s16(low, vmull_high_s8(w, q))));
}

#include "kernel/neon_products.inc"

/* 4 weights as f32 from element i of a float row. */
INLINE float32x4_t weights(rusk_tile_kind kind, const void *row, size_t i) {
    if (kind == RUSK_TILE_F32) {
        return vld1q_f32((const float *)row + i);
    }
    uint16x4_t half = vld1_u16((const uint16_t *)row + i);
    if (kind == RUSK_TILE_F16) {
        return vcvt_f32_f16(vreinterpret_f16_u16(half));
    }
    return vreinterpretq_f32_u32(vshll_n_u16(half, 16));
}

/* One row of weights times nt activation rows. */
INLINE void float_row(rusk_tile_kind kind, int nt, const void *row, const rusk_acts *x, size_t b,
                      float *y, size_t y_stride) {
    size_t size = kind == RUSK_TILE_F32 ? 4 : 2, i = 0, n = x->n_cols;
    const float *from = x->x + b * n;
    float32x4_t lane[2][8];
    RUSK_UNROLL
    for (int k = 0; k < 8 * nt; k++) {
        lane[k / 8][k % 8] = vdupq_n_f32(0);
    }
    for (; i + 32 <= n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 8; k++) {
            float32x4_t w = weights(kind, row, i + 4 * (size_t)k);
            RUSK_UNROLL
            for (int t = 0; t < nt; t++) {
                float32x4_t v = vld1q_f32(from + (size_t)t * n + i + 4 * (size_t)k);
                lane[t][k] = vaddq_f32(lane[t][k], vmulq_f32(w, v));
            }
        }
    }
    if (i < n) {
        float last_w[32] = {0}, last_x[32] = {0};
        memcpy(last_w, (const char *)row + i * size, (n - i) * size);
        for (int t = 0; t < nt; t++) {
            memcpy(last_x, from + (size_t)t * n + i, (n - i) * sizeof(float));
            RUSK_UNROLL
            for (int k = 0; k < 8; k++) {
                float32x4_t w = weights(kind, last_w, 4 * (size_t)k);
                lane[t][k] = vaddq_f32(lane[t][k], vmulq_f32(w, vld1q_f32(last_x + 4 * k)));
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
        size_t end = RUSK_MIN(x->n_rows, b0 + BATCH);
        for (size_t r = 0; r < w->n_rows; r++) {
            const void *row = rusk_tile_codes(w, r);
            size_t b = b0;
            for (; b + 2 <= end; b += 2) {
                float_row(kind, 2, row, x, b, y + r, y_stride);
            }
            if (b < end) {
                float_row(kind, 1, row, x, b, y + r, y_stride);
            }
        }
    }
}

static void matmul_f32_neon(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    matmul_float(RUSK_TILE_F32, w, x, y, y_stride);
}

static void matmul_f16_neon(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    matmul_float(RUSK_TILE_F16, w, x, y, y_stride);
}

static void matmul_bf16_neon(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    matmul_float(RUSK_TILE_BF16, w, x, y, y_stride);
}

/* nq (1 or 2) queries times a row. */
INLINE void dots_of_row(int nq, const float *const *x, const uint16_t *h, size_t n,
                        float *const *out, size_t row) {
    float32x4_t lane[2][8];
    RUSK_UNROLL
    for (int k = 0; k < 8 * nq; k++) {
        lane[k / 8][k % 8] = vdupq_n_f32(0);
    }
    for (size_t i = 0; i < n; i += 32) {
        RUSK_UNROLL
        for (int k = 0; k < 8; k++) {
            const size_t at = i + 4 * (size_t)k;
            if (at >= n) {
                break;
            }
            float32x4_t w = weights(RUSK_TILE_F16, h, at);
            RUSK_UNROLL
            for (int q = 0; q < nq; q++) {
                lane[q][k] = vaddq_f32(lane[q][k], vmulq_f32(w, vld1q_f32(x[q] + at)));
            }
        }
    }
    RUSK_UNROLL
    for (int q = 0; q < nq; q++) {
        out[q][row] = tree_of_32(lane[q]);
    }
}

static void dots_f32_f16_neon(const float *const *x, size_t n_x, const uint16_t *h, size_t stride,
                              size_t n_rows, float *const *out, size_t n) {
    for (; n_x >= 2; n_x -= 2, x += 2, out += 2) {
        for (size_t r = 0; r < n_rows; r++) {
            dots_of_row(2, x, h + r * stride, n, out, r);
        }
    }
    for (size_t r = 0; r < n_rows && n_x == 1; r++) {
        dots_of_row(1, x, h + r * stride, n, out, r);
    }
}

/* 4 * nk elements from the i-th of nq results stay in registers over all rows. */
INLINE void mix_some(int nq, int nk, const float *const *a, const uint16_t *h, size_t stride,
                     size_t n_rows, float *const *y, size_t i) {
    float32x4_t sum[2][8];
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        sum[k / nk][k % nk] = vld1q_f32(y[k / nk] + i + 4 * (k % nk));
    }
    h += i;
    for (size_t r = 0; r < n_rows; r++, h += stride) {
        RUSK_UNROLL
        for (int k = 0; k < nk; k++) {
            float32x4_t w = weights(RUSK_TILE_F16, h, 4 * (size_t)k);
            RUSK_UNROLL
            for (int q = 0; q < nq; q++) {
                sum[q][k] = vaddq_f32(sum[q][k], vmulq_n_f32(w, a[q][r]));
            }
        }
    }
    RUSK_UNROLL
    for (int k = 0; k < nq * nk; k++) {
        vst1q_f32(y[k / nk] + i + 4 * (k % nk), sum[k / nk][k % nk]);
    }
}

INLINE void mix_queries(int nq, const float *const *a, const uint16_t *h, size_t stride,
                        size_t n_rows, float *const *y, size_t n) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        mix_some(nq, 8, a, h, stride, n_rows, y, i);
    }
    for (; i < n; i += 8) {
        mix_some(nq, 2, a, h, stride, n_rows, y, i);
    }
}

static void mix_f16_neon(const float *const *a, size_t n_x, const uint16_t *h, size_t stride,
                         size_t n_rows, float *const *y, size_t n) {
    for (; n_x >= 2; n_x -= 2, a += 2, y += 2) {
        mix_queries(2, a, h, stride, n_rows, y, n);
    }
    if (n_x == 1) {
        mix_queries(1, a, h, stride, n_rows, y, n);
    }
}

/* Four pairs at a time, taken apart and put together by the loads and stores. */
static void rotate_pairs_neon(float *x, const float *turn, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t c = vld1q_f32(turn + i), s = vld1q_f32(turn + n + i);
        float32x4x2_t v = vld2q_f32(x + 2 * i), out;
        out.val[0] = vsubq_f32(vmulq_f32(v.val[0], c), vmulq_f32(v.val[1], s));
        out.val[1] = vaddq_f32(vmulq_f32(v.val[0], s), vmulq_f32(v.val[1], c));
        vst2q_f32(x + 2 * i, out);
    }
    for (; i < n; i++) {
        rusk_rotate(x + 2 * i, x + 2 * i + 1, turn[i], turn[n + i]);
    }
}

static void rotate_halves_neon(float *x, const float *turn, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t c = vld1q_f32(turn + i), s = vld1q_f32(turn + n + i);
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + n + i);
        vst1q_f32(x + i, vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s)));
        vst1q_f32(x + n + i, vaddq_f32(vmulq_f32(a, s), vmulq_f32(b, c)));
    }
    for (; i < n; i++) {
        rusk_rotate(x + i, x + n + i, turn[i], turn[n + i]);
    }
}

static void to_f16_neon(const float *x, uint16_t *h, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1_u16(h + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    }
    for (; i < n; i++) {
        h[i] = rusk_f16_from_f32(x[i]);
    }
}

static void quantize_group(const float *x, int8_t *q, float *scale, float *sum16) {
    uint32x4_t top = vdupq_n_u32(0);
    RUSK_UNROLL
    for (int k = 0; k < 8; k++) {
        uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + 4 * k));
        top = vmaxq_u32(top, vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF)));
    }
    *scale = rusk_f32_from_bits(vmaxvq_u32(top)) / 127.0F;
    bool good = *scale > 0 && *scale < INFINITY;
    RUSK_UNROLL
    for (int h = 0; h < 2; h++) {
        int16x4_t part[4];
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            float32x4_t v = vld1q_f32(x + 16 * h + 4 * k);
            int32x4_t code = vcvtnq_s32_f32(vdivq_f32(v, vdupq_n_f32(*scale)));
            part[k] = vqmovn_s32(code);
        }
        int8x16_t codes = vcombine_s8(vqmovn_s16(vcombine_s16(part[0], part[1])),
                                      vqmovn_s16(vcombine_s16(part[2], part[3])));
        codes = good ? vmaxq_s8(codes, vdupq_n_s8(-127)) : vdupq_n_s8(0);
        vst1q_s8(q + 16 * h, codes);
        sum16[h] = *scale * (float)vaddlvq_s8(codes);
    }
}

static void quantize_neon(const float *x, size_t n, int8_t *q, float *scale, float *sum16) {
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

static void rms_norm_neon(const float *x, const float *gain, size_t n, float eps, float *out) {
    float32x4_t lane[8];
    float last[32] = {0};
    size_t whole = n / 32 * 32, i = 0;
    RUSK_UNROLL
    for (int k = 0; k < 8; k++) {
        lane[k] = vdupq_n_f32(0);
    }
    memcpy(last, x + whole, (n - whole) * sizeof(float));
    for (; i < whole + 32; i += 32) {
        const float *from = i < whole ? x + i : last;
        RUSK_UNROLL
        for (int k = 0; k < 8; k++) {
            float32x4_t v = vld1q_f32(from + 4 * k);
            lane[k] = vaddq_f32(lane[k], vmulq_f32(v, v));
        }
    }
    float r = 1.0F / sqrtf(tree_of_32(lane) / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(gain + i)));
    }
    for (; i < n; i++) {
        out[i] = x[i] * r * gain[i];
    }
}

/* rusk_exp_ref, four at a time. */
INLINE float32x4_t exp_of_4(float32x4_t x) {
    const float32x4_t highest = vdupq_n_f32(RUSK_EXP_MAX), lowest = vdupq_n_f32(RUSK_EXP_MIN);
    const float32x4_t magic = vdupq_n_f32(RUSK_EXP_MAGIC);
    const int32x4_t bias = vdupq_n_s32(127);
    x = vbslq_f32(vcltq_f32(highest, x), highest, x); /* keeps NaN */
    x = vbslq_f32(vcgtq_f32(lowest, x), lowest, x);
    float32x4_t t = vaddq_f32(vmulq_n_f32(x, RUSK_EXP_LOG2E), magic);
    float32x4_t n = vsubq_f32(t, magic);
    float32x4_t r = vsubq_f32(x, vmulq_n_f32(n, RUSK_EXP_LN2_HI));
    r = vsubq_f32(r, vmulq_n_f32(n, RUSK_EXP_LN2_LO));
    float32x4_t p = vdupq_n_f32(RUSK_EXP_C4);
    p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(RUSK_EXP_C3));
    p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(RUSK_EXP_C2));
    p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(RUSK_EXP_C1));
    p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(RUSK_EXP_C0));
    float32x4_t y = vaddq_f32(r, vmulq_f32(vmulq_f32(r, r), p));
    y = vaddq_f32(vdupq_n_f32(1.0F), y);
    int32x4_t power = vsubq_s32(vreinterpretq_s32_f32(t), vreinterpretq_s32_f32(magic));
    int32x4_t first = vshrq_n_s32(power, 1), second = vsubq_s32(power, first);
    y = vmulq_f32(y, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(first, bias), 23)));
    return vmulq_f32(y, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(second, bias), 23)));
}

/* x / (1 + exp(-u)) * up */
INLINE float32x4_t gated(float32x4_t x, float32x4_t u, float32x4_t up) {
    float32x4_t e = exp_of_4(vsubq_f32(vdupq_n_f32(0), u));
    return vmulq_f32(vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0F), e)), up);
}

static void silu_mul_neon(const float *gate, const float *up, size_t n, float *out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t x = vld1q_f32(gate + i);
        vst1q_f32(out + i, gated(x, x, vld1q_f32(up + i)));
    }
    for (; i < n; i++) {
        out[i] = rusk_silu_ref(gate[i]) * up[i];
    }
}

static void gelu_mul_neon(const float *gate, const float *up, size_t n, float *out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t x = vld1q_f32(gate + i);
        float32x4_t u = vmulq_f32(vmulq_f32(x, x), x);
        u = vaddq_f32(x, vmulq_n_f32(u, RUSK_GELU_CUBIC));
        u = vmulq_n_f32(u, RUSK_GELU_2ROOT);
        vst1q_f32(out + i, gated(x, u, vld1q_f32(up + i)));
    }
    for (; i < n; i++) {
        out[i] = rusk_gelu_ref(gate[i]) * up[i];
    }
}

static void softmax_neon(float *x, size_t n) {
    float top = -INFINITY, tops[4], last[16];
    float32x4_t best = vdupq_n_f32(top), lane[4];
    size_t whole = n / 16 * 16, i = 0;
    RUSK_UNROLL
    for (int k = 0; k < 4; k++) {
        lane[k] = vdupq_n_f32(0);
    }
    for (; i < whole; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        best = vbslq_f32(vcgtq_f32(v, best), v, best); /* passes over NaN */
    }
    vst1q_f32(tops, best);
    for (size_t k = 0; k < 4; k++) {
        top = tops[k] > top ? tops[k] : top;
    }
    for (; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    best = vdupq_n_f32(top);
    for (size_t k = 0; k < 16; k++) {
        last[k] = whole + k < n ? x[whole + k] : -INFINITY; /* its exp is 0 */
    }
    for (i = 0; i < whole + 16; i += 16) {
        float *at = i < whole ? x + i : last;
        RUSK_UNROLL
        for (int k = 0; k < 4; k++) {
            float32x4_t e = exp_of_4(vsubq_f32(vld1q_f32(at + 4 * k), best));
            vst1q_f32(at + 4 * k, e);
            lane[k] = vaddq_f32(lane[k], e);
        }
    }
    float r = 1.0F / tree_of_16(lane);
    for (i = 0; i < whole; i += 4) {
        vst1q_f32(x + i, vmulq_n_f32(vld1q_f32(x + i), r));
    }
    for (; i < n; i++) {
        x[i] = last[i - whole] * r;
    }
}

void rusk_kernels_use_neon(rusk_kernels *k) {
    k->name = "neon";
    k->quantize = quantize_neon;
    k->matmul[RUSK_TILE_F32] = matmul_f32_neon;
    k->matmul[RUSK_TILE_F16] = matmul_f16_neon;
    k->matmul[RUSK_TILE_BF16] = matmul_bf16_neon;
    k->matmul[RUSK_TILE_I8] = matmul_i8_neon;
    k->matmul[RUSK_TILE_G32] = matmul_g32_neon;
    k->matmul[RUSK_TILE_G16] = matmul_g16_neon;
    k->dots_f32_f16 = dots_f32_f16_neon;
    k->mix_f16 = mix_f16_neon;
    k->to_f16 = to_f16_neon;
    k->rms_norm = rms_norm_neon;
    k->silu_mul = silu_mul_neon;
    k->gelu_mul = gelu_mul_neon;
    k->softmax = softmax_neon;
    k->rotate_halves = rotate_halves_neon;
    k->rotate_pairs = rotate_pairs_neon;
    /* expand and add: the compiler vectorizes the plain ones */
}

#else

void rusk_kernels_use_neon(rusk_kernels *k) {
    (void)k;
}

#endif
