/* fields_neon.c - unpacking fields with NEON; the width is a constant in each case. */
#include "codec/fields.h"

#if defined(__aarch64__)

#include "codec/fields_neon.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void all_groups(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                       uint8_t *out) {
    const uint8x16_t plus = vdupq_n_u8(add);
    for (size_t g = 0; g < n_groups; g++, groups += (size_t)8 * width) {
        uint8x16x4_t v = rusk_fields_group_neon(groups, width);
        for (size_t i = 0; i < 4; i++) {
            vst1q_u8(out + g * RUSK_FIELD_GROUP + 16 * i, vaddq_u8(v.val[i], plus));
        }
    }
}

#define WIDTH(n)                                                                                   \
    case n:                                                                                        \
        all_groups(groups, n_groups, n, add, out);                                                 \
        break

void rusk_fields_get_neon(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                          uint8_t *out) {
    switch (width) {
        WIDTH(0);
        WIDTH(1);
        WIDTH(2);
        WIDTH(3);
        WIDTH(4);
        WIDTH(5);
        WIDTH(6);
        WIDTH(7);
        WIDTH(8);
    }
}

#endif
