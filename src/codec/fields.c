/* fields.c - packing, and unpacking in plain C. */
#include "codec/fields.h"

#include <string.h>

#include "base/assert.h"
#include "base/cpu.h"

enum { GROUP = RUSK_FIELD_GROUP };

/* One part of a group: bits shift .. shift + b - 1 of its values, in 8 * b bytes. b is a constant
 * wherever this is inlined. */
static inline void put_part(const uint8_t *values, unsigned b, unsigned shift, uint8_t *to) {
    unsigned mask = (1U << b) - 1;
    for (unsigned j = 0; j < 8 * b; j++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 8 / b; k++) {
            byte |= (values[j + 8 * b * k] >> shift & mask) << (b * k);
        }
        to[j] = (uint8_t)byte;
    }
}

static void put_group(const uint8_t *values, unsigned width, uint8_t *to) {
    unsigned shift = 0;
    if (width == 8) {
        memcpy(to, values, GROUP);
        return;
    }
    if ((width & 4) != 0) {
        put_part(values, 4, shift, to);
        to += 32;
        shift += 4;
    }
    if ((width & 2) != 0) {
        put_part(values, 2, shift, to);
        to += 16;
        shift += 2;
    }
    if ((width & 1) != 0) {
        put_part(values, 1, shift, to);
    }
}

void rusk_fields_put(const uint8_t *values, size_t n_cols, unsigned width, uint8_t *to) {
    size_t whole = n_cols / GROUP * GROUP;
    for (size_t i = 0; i < whole; i += GROUP, to += (size_t)8 * width) {
        put_group(values + i, width, to);
    }
    if (whole < n_cols) {
        uint8_t last[GROUP] = {0};
        memcpy(last, values + whole, n_cols - whole);
        put_group(last, width, to);
    }
}

/* Adds a part's bits to values. */
static inline void get_part(const uint8_t *part, unsigned b, unsigned shift, uint8_t *values) {
    unsigned mask = (1U << b) - 1;
    for (unsigned k = 0; k < 8 / b; k++) {
        for (unsigned j = 0; j < 8 * b; j++) {
            values[j + 8 * b * k] |= (uint8_t)((part[j] >> (b * k) & mask) << shift);
        }
    }
}

static void get_group(const uint8_t *from, unsigned width, uint8_t *values) {
    unsigned shift = 0;
    memset(values, 0, GROUP);
    if (width == 8) {
        memcpy(values, from, GROUP);
        return;
    }
    if ((width & 4) != 0) {
        get_part(from, 4, shift, values);
        from += 32;
        shift += 4;
    }
    if ((width & 2) != 0) {
        get_part(from, 2, shift, values);
        from += 16;
        shift += 2;
    }
    if ((width & 1) != 0) {
        get_part(from, 1, shift, values);
    }
}

void rusk_fields_get_ref(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                         uint8_t *out) {
    for (size_t g = 0; g < n_groups; g++, out += GROUP) {
        get_group(groups + g * 8 * width, width, out);
        for (size_t i = 0; i < GROUP; i++) {
            out[i] = (uint8_t)(out[i] + add);
        }
    }
}

rusk_fields_get rusk_fields_get_for(uint32_t cpu_mask) {
#if defined(__x86_64__)
    if ((cpu_mask & RUSK_CPU_AVX512) != 0) {
        return rusk_fields_get_avx512;
    }
    if ((cpu_mask & RUSK_CPU_AVX2) != 0) {
        return rusk_fields_get_avx2;
    }
#elif defined(__aarch64__)
    if ((cpu_mask & RUSK_CPU_NEON) != 0) {
        return rusk_fields_get_neon;
    }
#endif
    (void)cpu_mask;
    return rusk_fields_get_ref;
}
