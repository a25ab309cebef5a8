/* dtype_legacy.c - blocks of 32 columns with one f16 scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * Byte offsets in a block, x[] the stored codes; nibbles hold columns j (low) and j + 16 (high):
 *
 *     Q4_0  | d f16 | x0,x16 | x1,x17 | ... | x15,x31 |                18 bytes, value d * (x - 8)
 *           0       2        3              17
 *     Q4_1  | d f16 | m f16 | x0,x16 | ... | x15,x31 |                 20 bytes, value d * x + m
 *           0       2       4              19
 *     Q5_0  | d f16 | h u32 | x0,x16 | ... | x15,x31 |                 22 bytes, value d * (x - 16)
 *           0       2       6              21
 *     Q5_1  | d f16 | m f16 | h u32 | x0,x16 | ... | x15,x31 |         24 bytes, value d * x + m
 *           0       2       4       8              23
 *     Q8_0  | d f16 | x0 | x1 | ... | x31 |                     34 bytes, value d * x, x int8
 *           0       2    3          33
 *
 * Bit j of h is bit 4 of x[j]. Pinned by tests/format/test_dtype.c (golden_q4_0 ...). */
#include "format/dtype_unpack.h"

#include "base/bytes.h"
#include "format/halves.h"

enum { BLOCK = 32, HALF = 16 };

static void no_minima(size_t n, float *restrict m) {
    for (size_t b = 0; b < n; b++) {
        m[b] = -0.0F;
    }
}

/* out[0..15] = low nibbles, out[16..31] = high nibbles, each plus `offset`. */
static inline void unpack_nibbles(const uint8_t *restrict in, int8_t *restrict out, int offset) {
    for (int j = 0; j < HALF; j++) {
        out[j] = (int8_t)((in[j] & 15) + offset);
    }
    for (int j = 0; j < HALF; j++) {
        out[HALF + j] = (int8_t)((in[j] >> 4) + offset);
    }
}

void rusk_unpack_q4_0(RUSK_UNPACK_ARGS) {
    rusk_halves_load(bytes, 18, n / BLOCK, d);
    no_minima(n / BLOCK, m);
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 18) {
        unpack_nibbles(bytes + 2, codes + b * BLOCK, -8);
    }
}

void rusk_unpack_q4_1(RUSK_UNPACK_ARGS) {
    rusk_halves_load(bytes, 20, n / BLOCK, d);
    rusk_halves_load(bytes + 2, 20, n / BLOCK, m);
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 20) {
        unpack_nibbles(bytes + 4, codes + b * BLOCK, 0);
    }
}

/* Bit i of `bits` to the top bit of byte i, the other bits zero. The multiplication puts a copy of
 * `bits` in each byte, the mask keeps bit i of byte i; adding 0x7F to that byte (at most 0x80, so
 * nothing is carried out of it) sets its top bit exactly where it was not zero. */
static inline uint64_t spread_bits(unsigned bits) {
    uint64_t one_each = bits * 0x0101010101010101U & 0x8040201008040201U;
    return (one_each + 0x7F7F7F7F7F7F7F7FU) & 0x8080808080808080U;
}

/* Eight codes at a time. The nibble minus 16 is the nibble with its upper bits set, so Q5_0 sets
 * them where bit 4 is clear. */
void rusk_unpack_q5_0(RUSK_UNPACK_ARGS) {
    rusk_halves_load(bytes, 22, n / BLOCK, d);
    no_minima(n / BLOCK, m);
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 22, codes += BLOCK) {
        for (int i = 0; i < 4; i++) {
            uint64_t x = rusk_load_u64(bytes + 6 + 8 * (i % 2)) >> 4 * (i / 2);
            uint64_t clear = spread_bits(bytes[2 + i] ^ 0xFFU);
            clear |= clear >> 1;
            rusk_store_u64(codes + 8 * i, (x & 0x0F0F0F0F0F0F0F0FU) | clear | clear >> 2);
        }
    }
}

void rusk_unpack_q5_1(RUSK_UNPACK_ARGS) {
    rusk_halves_load(bytes, 24, n / BLOCK, d);
    rusk_halves_load(bytes + 2, 24, n / BLOCK, m);
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 24, codes += BLOCK) {
        for (int i = 0; i < 4; i++) {
            uint64_t x = rusk_load_u64(bytes + 8 + 8 * (i % 2)) >> 4 * (i / 2);
            uint64_t fifth = spread_bits(bytes[4 + i]) >> 3;
            rusk_store_u64(codes + 8 * i, (x & 0x0F0F0F0F0F0F0F0FU) | fifth);
        }
    }
}

void rusk_unpack_q8_0(RUSK_UNPACK_ARGS) {
    rusk_halves_load(bytes, 34, n / BLOCK, d);
    no_minima(n / BLOCK, m);
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 34) {
        for (int j = 0; j < BLOCK; j++) {
            codes[b * BLOCK + j] = (int8_t)bytes[2 + j];
        }
    }
}
