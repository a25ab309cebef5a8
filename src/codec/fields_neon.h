/* fields_neon.h - a group of packed fields in registers. For aarch64 files; inside the room. */
#ifndef RUSK_CODEC_FIELDS_NEON_H
#define RUSK_CODEC_FIELDS_NEON_H

#include <arm_neon.h>
#include <stdint.h>

/* The 64 values of a group, 16 columns a register. `width` is a constant wherever this is inlined:
 * only what it needs is left. Reads 8 * width bytes. */
static inline __attribute__((always_inline)) uint8x16x4_t
rusk_fields_group_neon(const uint8_t *group, unsigned width) {
    const uint8x16_t zero = vdupq_n_u8(0);
    uint8x16x4_t v = {{zero, zero, zero, zero}};
    unsigned shift = 0;
    if (width == 8) {
        return vld1q_u8_x4(group);
    }
    if ((width & 4) != 0) {
        const uint8x16_t a = vld1q_u8(group), b = vld1q_u8(group + 16);
        const uint8x16_t nibble = vdupq_n_u8(15);
        v.val[0] = vandq_u8(a, nibble);
        v.val[1] = vandq_u8(b, nibble);
        v.val[2] = vshrq_n_u8(a, 4);
        v.val[3] = vshrq_n_u8(b, 4);
        group += 32;
        shift = 4;
    }
    if ((width & 2) != 0) {
        const uint8x16_t pairs = vld1q_u8(group), mask = vdupq_n_u8((uint8_t)(3U << shift));
        for (int k = 0; k < 4; k++) {
            const int8x16_t left = vdupq_n_s8((int8_t)((int)shift - 2 * k));
            v.val[k] = vorrq_u8(v.val[k], vandq_u8(vshlq_u8(pairs, left), mask));
        }
        group += 16;
        shift += 2;
    }
    if ((width & 1) != 0) { /* bits 2k for eight columns, then 2k + 1 for eight */
        const uint8x8_t half = vld1_u8(group);
        const uint8x16_t bits = vcombine_u8(half, half), value = vdupq_n_u8((uint8_t)(1U << shift));
        for (int k = 0; k < 4; k++) {
            const uint8x16_t bit = vcombine_u8(vdup_n_u8((uint8_t)(1U << (2 * k))),
                                               vdup_n_u8((uint8_t)(2U << (2 * k))));
            v.val[k] = vorrq_u8(v.val[k], vandq_u8(vtstq_u8(bits, bit), value));
        }
    }
    return v;
}

#endif
