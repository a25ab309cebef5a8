/* neon_parts.h - what the aarch64 files share; inside the room. */
#ifndef RUSK_KERNEL_NEON_PARTS_H
#define RUSK_KERNEL_NEON_PARTS_H

#include <arm_neon.h>

static inline float tree_of_4(float32x4_t v) {
    float32x2_t two = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(vpadd_f32(two, two), 0);
}

static inline float tree_of_16(const float32x4_t v[4]) {
    return tree_of_4(vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3])));
}

static inline float tree_of_32(const float32x4_t v[8]) {
    const float32x4_t half[4] = {vaddq_f32(v[0], v[4]), vaddq_f32(v[1], v[5]),
                                 vaddq_f32(v[2], v[6]), vaddq_f32(v[3], v[7])};
    return tree_of_16(half);
}

#endif
