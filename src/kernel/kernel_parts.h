/* kernel_parts.h - inside the room: what each instruction set's file offers, and the rare parts
 * that all of them share as plain C (patches, sums per activation row, exp). */
#ifndef RUSK_KERNEL_KERNEL_PARTS_H
#define RUSK_KERNEL_KERNEL_PARTS_H

/* The build says -ffp-contract=off; a bare compiler line gives the same bits by this. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include <stdbool.h>

#include "base/fp.h"
#include "kernel/kernels.h"

/* Fill the table, or replace some of its entries; nothing where the target lacks the set. */
void rusk_kernels_use_ref(rusk_kernels *k);
void rusk_kernels_use_avx2(rusk_kernels *k);
void rusk_kernels_use_avx2_rows(rusk_kernels *k); /* called by the one before */
void rusk_kernels_use_avx512(rusk_kernels *k);
void rusk_kernels_use_avx512_rows(rusk_kernels *k); /* called by the one before */
void rusk_kernels_use_neon(rusk_kernels *k);
void rusk_kernels_use_dotprod(rusk_kernels *k);

/* Before a loop of constant length that must disappear: its arrays are registers. */
#if defined(__clang__)
#define RUSK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RUSK_UNROLL _Pragma("GCC unroll 16")
#endif

/* Sum of n lanes (a power of two), destroying them. */
static inline float rusk_tree(float *lane, size_t n) {
    for (size_t half = n / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++) {
            lane[j] += lane[j + half];
        }
    }
    return lane[0];
}

/* One pair turned by the angle of this cosine and sine. */
static inline void rusk_rotate(float *a, float *b, float c, float s) {
    const float first = *a * c - *b * s;
    *b = *a * s + *b * c;
    *a = first;
}

static inline const int8_t *rusk_tile_codes(const rusk_tile *w, size_t row) {
    return (const int8_t *)((const char *)w->data + row * w->stride_bytes);
}

/* S of the I8 kind: sum of one activation row's sum16. */
float rusk_sum_of_acts(const rusk_acts *x, size_t b);
/* Adds the patches' part to a finished product; applies them to expanded rows. */
void rusk_patch_product(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride);
void rusk_patch_expanded(const rusk_tile *w, float *out);

/* exp in f32: x = n ln2 + r, exp(x) = 2^n (1 + r + r^2 p(r)), |r| <= ln2/2 (1 + 2^-11).
 *
 * p is the minimax polynomial for the relative error of the whole: 3.1e-9, 0.05 ulp (fit by
 * Lawson's iteration on Chebyshev nodes). n: adding 1.5 * 2^23 rounds to an integer and leaves it
 * in the low bits. ln2 = HI + LO; HI has 16 bits, so n * HI is exact. 2^n is applied in two halves,
 * so that results become subnormal, 0 or infinity without a special case; arguments are clipped to
 * where that has happened. Within 1 ulp of the true value (0.973 at worst over every 7th float),
 * below 2^-126 within a step of 2^-149. */
#define RUSK_EXP_MIN    (-110.0F)
#define RUSK_EXP_MAX    100.0F
#define RUSK_EXP_LOG2E  0x1.715476p+0F
#define RUSK_EXP_MAGIC  12582912.0F
#define RUSK_EXP_LN2_HI 0x1.62e4p-1F
#define RUSK_EXP_LN2_LO 0x1.7f7d1cp-20F
#define RUSK_EXP_C0     0x1.fffffcp-2F
#define RUSK_EXP_C1     0x1.555492p-3F
#define RUSK_EXP_C2     0x1.5558f2p-5F
#define RUSK_EXP_C3     0x1.123a2p-7F
#define RUSK_EXP_C4     0x1.6a23cep-10F

static inline float rusk_exp_ref(float x) {
    x = RUSK_EXP_MAX < x ? RUSK_EXP_MAX : x; /* keeps NaN */
    x = RUSK_EXP_MIN > x ? RUSK_EXP_MIN : x;
    float t = x * RUSK_EXP_LOG2E + RUSK_EXP_MAGIC;
    float n = t - RUSK_EXP_MAGIC;
    float r = (x - n * RUSK_EXP_LN2_HI) - n * RUSK_EXP_LN2_LO;
    float p = RUSK_EXP_C4;
    p = p * r + RUSK_EXP_C3;
    p = p * r + RUSK_EXP_C2;
    p = p * r + RUSK_EXP_C1;
    p = p * r + RUSK_EXP_C0;
    float y = 1.0F + (r + (r * r) * p);
    int32_t power = (int32_t)(rusk_f32_bits(t) - rusk_f32_bits(RUSK_EXP_MAGIC));
    int32_t first = power >> 1, second = power - first;
    y = y * rusk_f32_from_bits((uint32_t)(first + 127) << 23);
    return y * rusk_f32_from_bits((uint32_t)(second + 127) << 23);
}

#define RUSK_GELU_2ROOT 0x1.988454p+0F /* 2 sqrt(2 / pi) */
#define RUSK_GELU_CUBIC 0.044715F

static inline float rusk_silu_ref(float x) {
    return x / (1.0F + rusk_exp_ref(0.0F - x));
}

static inline float rusk_gelu_ref(float x) {
    float twice_u = (x + ((x * x) * x) * RUSK_GELU_CUBIC) * RUSK_GELU_2ROOT;
    return x / (1.0F + rusk_exp_ref(0.0F - twice_u));
}

#endif
