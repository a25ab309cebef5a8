/* checked.h - arithmetic on sizes that come from outside. Each returns false on overflow and leaves
 * *out unspecified then. */
#ifndef RUSK_BASE_CHECKED_H
#define RUSK_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool rusk_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

static inline bool rusk_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool rusk_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* x rounded up to a multiple of `align` (a power of two). */
static inline bool rusk_align_u64(uint64_t x, uint64_t align, uint64_t *out) {
    if (__builtin_add_overflow(x, align - 1, out)) {
        return false;
    }
    *out &= ~(align - 1);
    return true;
}

#endif
