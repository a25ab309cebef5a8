/* fp.h - half-precision formats. Conversions to f32 are exact; to 16 bits they round to nearest
 * even. */
#ifndef RUSK_BASE_FP_H
#define RUSK_BASE_FP_H

#include <stdint.h>
#include <string.h>

static inline float rusk_f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t rusk_f32_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* IEEE binary16: s eeeee mmmmmmmmmm. Subnormals and infinities are exact, NaN stays NaN. Masks
 * instead of branches, so that loops over it become vector code and scales of any size cost the
 * same. */
static inline float rusk_f32_from_f16(uint16_t h) {
    uint32_t magnitude = h & 0x7FFFU;
    uint32_t small = 0U - (uint32_t)(magnitude < 0x400U);  /* exponent 0 */
    uint32_t large = 0U - (uint32_t)(magnitude > 0x7BFFU); /* exponent 31 */
    /* Bias 15 to bias 127 is + 112. Exponent 31 must become 255, another 112 up. Exponent 0 has no
     * hidden one: read it as 2^-14 * 1.mmmmmmmmmm (exponent 113) and take the 2^-14 away again. */
    uint32_t bits = (magnitude << 13) + (112U << 23) + (large & 112U << 23) + (small & 1U << 23);
    float value = rusk_f32_from_bits(bits) - rusk_f32_from_bits(small & 113U << 23);
    return rusk_f32_from_bits(rusk_f32_bits(value) | (uint32_t)(h & 0x8000U) << 16);
}

static inline uint16_t rusk_f16_from_f32(float value) {
    uint32_t bits = rusk_f32_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000U;
    uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude >= 0x7F800000U) { /* infinity, NaN (made quiet) */
        return (uint16_t)(sign | 0x7C00U | (magnitude > 0x7F800000U ? 0x200U : 0U));
    }
    if (magnitude >= 0x477FF000U) { /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7C00U);
    }
    if (magnitude < 0x38800000U) {
        /* below 2^-14: adding 2^-1 leaves round(x * 2^24) in the low bits */
        float shifted = rusk_f32_from_bits(magnitude) + 0.5F;
        return (uint16_t)(sign | (rusk_f32_bits(shifted) - 0x3F000000U));
    }
    uint32_t odd = (magnitude >> 13) & 1U;
    return (uint16_t)(sign | (magnitude - 0x38000000U + 0xFFFU + odd) >> 13);
}

/* bfloat16: the upper half of an f32. */
static inline float rusk_f32_from_bf16(uint16_t b) {
    return rusk_f32_from_bits((uint32_t)b << 16);
}

static inline uint16_t rusk_bf16_from_f32(float value) {
    uint32_t bits = rusk_f32_bits(value);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return (uint16_t)(bits >> 16 | 0x40U);
    }
    return (uint16_t)((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

#endif
