/* dtype.h - element types of stored tensors, and how their bytes become numbers.
 *
 * Every quantized GGUF type is, once its bits are taken apart, the same thing: int8 codes in groups
 * of 16 or 32 columns with a scale d and a minimum m per group, value = d * code + m (f32, in this
 * order). So a type is one `unpack` function, and both dequantization and the int8 kernels are
 * built on it. */
#ifndef RUSK_FORMAT_DTYPE_H
#define RUSK_FORMAT_DTYPE_H

#include "base/status.h"

/* X(name, GGUF type number, elements per block, bytes per block, columns per group) ; group 0:
 * float type. SYM8 is not a GGUF type: symbols of a .rusk tensor, int8 behind a codec. */
#define RUSK_DTYPE_LIST(X)                                                                         \
    X(F32, 0, 1, 4, 0)                                                                             \
    X(F16, 1, 1, 2, 0)                                                                             \
    X(Q4_0, 2, 32, 18, 32)                                                                         \
    X(Q4_1, 3, 32, 20, 32)                                                                         \
    X(Q5_0, 6, 32, 22, 32)                                                                         \
    X(Q5_1, 7, 32, 24, 32)                                                                         \
    X(Q8_0, 8, 32, 34, 32)                                                                         \
    X(Q2_K, 10, 256, 84, 16)                                                                       \
    X(Q3_K, 11, 256, 110, 16)                                                                      \
    X(Q4_K, 12, 256, 144, 32)                                                                      \
    X(Q5_K, 13, 256, 176, 32)                                                                      \
    X(Q6_K, 14, 256, 210, 16)                                                                      \
    X(IQ4_NL, 20, 32, 18, 32)                                                                      \
    X(IQ4_XS, 23, 256, 136, 32)                                                                    \
    X(BF16, 30, 1, 2, 0)                                                                           \
    X(SYM8, 1000, 1, 1, 0)

typedef enum rusk_dtype {
#define X(name, number, elements, bytes, group) RUSK_DTYPE_##name = (number),
    RUSK_DTYPE_LIST(X)
#undef X
} rusk_dtype;

/* n columns (a multiple of block_elements) of packed bytes to codes[n], d[n / group], m[n / group].
 */
typedef void (*rusk_unpack)(const uint8_t *bytes, size_t n, int8_t *codes, float *d, float *m);

typedef struct rusk_dtype_info {
    const char *name;
    rusk_unpack unpack; /* NULL for float types */
    rusk_dtype dtype;
    uint32_t block_elements, block_bytes;
    uint32_t group; /* columns per (d, m); 0 for float types */
} rusk_dtype_info;

/* NULL for a number that is not in the list. */
const rusk_dtype_info *rusk_dtype_find(uint32_t number);
/* Name of any GGUF type number, also of those we cannot read ("IQ2_XXS", "TQ1_0"); "type 99" is
 * NULL. */
const char *rusk_dtype_gguf_name(uint32_t number);

/* n elements to f32. n is a multiple of block_elements. Not for SYM8. */
void rusk_dtype_to_f32(const rusk_dtype_info *info, const uint8_t *bytes, size_t n, float *out);

#endif
