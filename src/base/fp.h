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

/* IEEE binary16: s eeeee mmmmmmmmmm. Subnormals, infinities and NaN are kept. */
static inline float rusk_f32_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000U) << 16;
    uint32_t exponent = (h >> 10) & 0x1FU;
    uint32_t mantissa = h & 0x3FFU;
    if (exponent == 0) {
        /* mantissa * 2^-24 is exact in f32 */
        float magnitude = (float)mantissa * 0x1p-24F;
        return rusk_f32_from_bits(rusk_f32_bits(magnitude) | sign);
    }
    if (exponent == 31) {
        return rusk_f32_from_bits(sign | 0x7F800000U | mantissa << 13);
    }
    return rusk_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
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
    if (magnitude <
        0x38800000U) { /* below 2^-14: adding 2^-1 leaves round(x * 2^24) in the low bits */
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
