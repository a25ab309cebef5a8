/* rans_neon.c - a step in eight registers of 4 lanes, two at a time: words spread over eight lanes
 * by a byte shuffle that a table gives for each of the 256 patterns.
 *
 * Table lookups are plain loads, one a lane: there is nothing else on this instruction set. */
#include "codec/rans.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "codec/spread.h"

#define INLINE static inline __attribute__((always_inline))

INLINE uint32x4_t lookup(const uint32_t *slots, uint32x4_t index) {
    uint32x4_t v = vdupq_n_u32(slots[vgetq_lane_u32(index, 0)]);
    v = vsetq_lane_u32(slots[vgetq_lane_u32(index, 1)], v, 1);
    v = vsetq_lane_u32(slots[vgetq_lane_u32(index, 2)], v, 2);
    return vsetq_lane_u32(slots[vgetq_lane_u32(index, 3)], v, 3);
}

/* The slot of 4 lanes; returns the states before words enter. */
INLINE uint32x4_t look_up_and_multiply(uint32x4_t x, const uint32_t *slots, uint32x4_t *slot) {
    const uint32x4_t low12 = vdupq_n_u32(RUSK_FREQ_SUM - 1);
    *slot = lookup(slots, vandq_u32(x, low12));
    uint32x4_t freq = vandq_u32(vshrq_n_u32(*slot, 8), low12);
    return vmlaq_u32(vshrq_n_u32(*slot, 20), freq, vshrq_n_u32(x, RUSK_FREQ_BITS));
}

/* One symbol of 8 lanes in the low bytes of slot[0] and slot[1]; steps their states x[0], x[1]. */
INLINE void step_8(uint32x4_t *x, const uint32_t *slots, const uint8_t **next, uint32x4_t *slot) {
    static const uint16_t BIT[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint32x4_t bound = vdupq_n_u32(RUSK_RANS_LOW);
    uint32x4_t a = look_up_and_multiply(x[0], slots, &slot[0]);
    uint32x4_t b = look_up_and_multiply(x[1], slots, &slot[1]);
    uint32x4_t low_a = vcltq_u32(a, bound), low_b = vcltq_u32(b, bound);
    uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(low_a), vreinterpretq_u16_u32(low_b));
    unsigned pattern = vaddvq_u16(vandq_u16(low, vld1q_u16(BIT)));
    /* word r is bytes 2r and 2r + 1 of what follows */
    uint16x8_t spread =
        vmlaq_n_u16(vdupq_n_u16(0x0100), vmovl_u8(vld1_u8(RUSK_SPREAD[pattern])), 0x0202);
    uint16x8_t words =
        vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(*next), vreinterpretq_u8_u16(spread)));
    x[0] = vbslq_u32(low_a, vsliq_n_u32(vmovl_u16(vget_low_u16(words)), a, 16), a);
    x[1] = vbslq_u32(low_b, vsliq_n_u32(vmovl_high_u16(words), b, 16), b);
    *next -= 2 * vaddvq_s16(vreinterpretq_s16_u16(low)); /* a low lane counts -1 */
}

/* Low bytes of four registers of 4 lanes, in order. */
INLINE int8x16_t low_bytes(const uint32x4_t slot[4]) {
    uint16x8_t ab = vuzp1q_u16(vreinterpretq_u16_u32(slot[0]), vreinterpretq_u16_u32(slot[1]));
    uint16x8_t cd = vuzp1q_u16(vreinterpretq_u16_u32(slot[2]), vreinterpretq_u16_u32(slot[3]));
    return vreinterpretq_s8_u8(vuzp1q_u8(vreinterpretq_u8_u16(ab), vreinterpretq_u8_u16(cd)));
}

size_t rusk_rans_steps_neon(rusk_rans_run *run, const uint32_t *slots, size_t n_steps,
                            int8_t *out) {
    if (run->left < 2 * RUSK_RANS_LANES) {
        return 0;
    }
    const uint8_t *next = run->next, *end = run->next + run->left;
    uint32x4_t x[RUSK_RANS_LANES / 4];
    for (size_t i = 0; i < RUSK_RANS_LANES / 4; i++) {
        x[i] = vld1q_u32(run->state + 4 * i);
    }
    size_t n = 0;
    for (; n < n_steps && end - next >= 2 * RUSK_RANS_LANES; n++) {
        for (size_t i = 0; i < RUSK_RANS_LANES / 4; i += 4) {
            uint32x4_t slot[4];
            step_8(x + i, slots, &next, slot);
            step_8(x + i + 2, slots, &next, slot + 2);
            vst1q_s8(out + n * RUSK_RANS_LANES + 4 * i, low_bytes(slot));
        }
    }
    for (size_t i = 0; i < RUSK_RANS_LANES / 4; i++) {
        vst1q_u32(run->state + 4 * i, x[i]);
    }
    run->next = next;
    run->left = end - next;
    return n;
}

#endif
