/* dtype_k.c - "K" blocks of 256 columns: small scales per group of 16 or 32, and f16 scales for
 * those: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K.
 *
 * Byte offsets; s and t are the integer scale and minimum of a group, x the code of a column:
 *
 *     Q2_K  | t,s of 16 groups: 16 x (s low nibble, t high) | x: 64 bytes | d f16 | dmin f16 |
 *           0                                               16            80      82        84
 *           value (d * s) * x - dmin * t, x 0..3
 *     Q3_K  | h: 32 bytes | x: 64 bytes | s: 12 bytes | d f16 |
 *           0             32            96            108   110
 *           value (d * (s - 32)) * (x + 4 h - 4), x 0..3
 *     Q4_K  | d f16 | dmin f16 | s,t: 12 bytes | x: 128 bytes |
 *           0       2          4               16           144
 *           value (d * s) * x - dmin * t, x 0..15
 *     Q5_K  | d f16 | dmin f16 | s,t: 12 bytes | h: 32 bytes | x: 128 bytes |
 *           0       2          4               16            48           176
 *           value (d * s) * (x + 16 h) - dmin * t
 *     Q6_K  | x: 128 bytes | h: 64 bytes | s: 16 x int8 | d f16 |
 *           0              128           192            208   210
 *           value (d * s) * (x + 16 h - 32), x 0..15, h 0..3
 *
 * Codes of 2 bits (x of Q2_K and Q3_K; h of Q6_K): 32 bytes hold 128 columns, byte l has columns l,
 * 32 + l, 64 + l, 96 + l in bits 0-1, 2-3, 4-5, 6-7.
 * Codes of 4 bits, Q4_K and Q5_K: 32 bytes hold 64 columns, l low nibble, 32 + l high.
 * Codes of 4 bits, Q6_K: 64 bytes hold 128 columns, l low nibble, 64 + l high.
 * h of one bit (Q3_K, Q5_K): byte l has columns l, 32 + l, ... 224 + l in bits 0, 1, ... 7.
 *
 * 12 bytes hold 8 scales s and 8 minima t of 6 bits (Q4_K, Q5_K), i = byte % 4:
 *     bytes 0-3    | s4+i hi2 | s_i 6 bits |
 *     bytes 4-7    | t4+i hi2 | t_i 6 bits |
 *     bytes 8-11   | t4+i lo4 | s4+i lo4   |
 * or 16 scales of 6 bits (Q3_K):
 *     bytes 0-7    | s8+i lo4  | s_i lo4  |                         i = byte
 *     bytes 8-11   | s12+i hi2 | s8+i hi2 | s4+i hi2 | s_i hi2 |    i = byte - 8
 *
 * Pinned by tests/format/test_dtype.c (golden_q2_k ...). */
#include "format/dtype_unpack.h"

#include "base/bytes.h"
#include "base/fp.h"

enum { BLOCK = 256, LANES = 32 }; /* bytes that are taken apart together */

static inline float load_half(const uint8_t *p) {
    return rusk_f32_from_f16(rusk_load_u16(p));
}

void rusk_unpack_q2_k(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 84, codes += BLOCK) {
        float scale = load_half(bytes + 80), minimum = load_half(bytes + 82);
        for (int g = 0; g < 16; g++) {
            *d++ = scale * (float)(bytes[g] & 15);
            *m++ = -(minimum * (float)(bytes[g] >> 4));
        }
        for (int half = 0; half < 2; half++) {
            const uint8_t *x = bytes + 16 + LANES * half;
            for (int part = 0; part < 4; part++) {
                int8_t *out = codes + 128 * half + LANES * part;
                for (int l = 0; l < LANES; l++) {
                    out[l] = (int8_t)(x[l] >> 2 * part & 3);
                }
            }
        }
    }
}

/* Four bytes at a time: byte i of a word is lane i on little-endian loads. */
static inline void q3_k_scales(const uint8_t *in, uint8_t s[16]) {
    uint32_t low0 = rusk_load_u32(in), low1 = rusk_load_u32(in + 4), high = rusk_load_u32(in + 8);
    rusk_store_u32(s, (low0 & 0x0F0F0F0FU) | (high << 4 & 0x30303030U));
    rusk_store_u32(s + 4, (low1 & 0x0F0F0F0FU) | (high << 2 & 0x30303030U));
    rusk_store_u32(s + 8, (low0 >> 4 & 0x0F0F0F0FU) | (high & 0x30303030U));
    rusk_store_u32(s + 12, (low1 >> 4 & 0x0F0F0F0FU) | (high >> 2 & 0x30303030U));
}

void rusk_unpack_q3_k(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 110, codes += BLOCK) {
        float scale = load_half(bytes + 108);
        uint8_t s[16];
        q3_k_scales(bytes + 96, s);
        for (int g = 0; g < 16; g++) {
            *d++ = scale * (float)(s[g] - 32);
            *m++ = -0.0F;
        }
        for (int part = 0; part < 8; part++) {
            const uint8_t *x = bytes + 32 + LANES * (part / 4);
            int8_t *out = codes + LANES * part;
            for (int l = 0; l < LANES; l++) {
                int high = bytes[l] >> part & 1;
                out[l] = (int8_t)((x[l] >> 2 * (part % 4) & 3) + 4 * high - 4);
            }
        }
    }
}

/* 8 scales and 8 minima of Q4_K and Q5_K to f32 groups. */
static inline void q45_k_groups(const uint8_t *bytes, float *restrict d, float *restrict m) {
    float scale = load_half(bytes), minimum = load_half(bytes + 2);
    uint32_t s = rusk_load_u32(bytes + 4), t = rusk_load_u32(bytes + 8);
    uint32_t low = rusk_load_u32(bytes + 12);
    uint8_t both[16];
    rusk_store_u32(both, s & 0x3F3F3F3FU);
    rusk_store_u32(both + 4, (low & 0x0F0F0F0FU) | (s >> 2 & 0x30303030U));
    rusk_store_u32(both + 8, t & 0x3F3F3F3FU);
    rusk_store_u32(both + 12, (low >> 4 & 0x0F0F0F0FU) | (t >> 2 & 0x30303030U));
    for (int g = 0; g < 8; g++) {
        d[g] = scale * (float)both[g];
        m[g] = -(minimum * (float)both[8 + g]);
    }
}

void rusk_unpack_q4_k(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 144, codes += BLOCK) {
        q45_k_groups(bytes, d + 8 * b, m + 8 * b);
        for (int part = 0; part < 4; part++) {
            const uint8_t *x = bytes + 16 + LANES * part;
            int8_t *out = codes + 2 * LANES * part;
            for (int l = 0; l < LANES; l++) {
                out[l] = (int8_t)(x[l] & 15);
                out[LANES + l] = (int8_t)(x[l] >> 4);
            }
        }
    }
}

void rusk_unpack_q5_k(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 176, codes += BLOCK) {
        const uint8_t *h = bytes + 16;
        q45_k_groups(bytes, d + 8 * b, m + 8 * b);
        for (int part = 0; part < 4; part++) {
            const uint8_t *x = bytes + 48 + LANES * part;
            int8_t *out = codes + 2 * LANES * part;
            for (int l = 0; l < LANES; l++) {
                out[l] = (int8_t)((x[l] & 15) | (h[l] >> 2 * part & 1) << 4);
                out[LANES + l] = (int8_t)(x[l] >> 4 | (h[l] >> (2 * part + 1) & 1) << 4);
            }
        }
    }
}

void rusk_unpack_q6_k(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / BLOCK; b++, bytes += 210, codes += BLOCK) {
        float scale = load_half(bytes + 208);
        for (int g = 0; g < 16; g++) {
            *d++ = scale * (float)(int8_t)bytes[192 + g];
            *m++ = -0.0F;
        }
        for (int half = 0; half < 2; half++) {
            const uint8_t *x = bytes + 64 * half, *h = bytes + 128 + LANES * half;
            int8_t *out = codes + 128 * half;
            for (int l = 0; l < LANES; l++) {
                out[l] = (int8_t)(((x[l] & 15) | (h[l] & 3) << 4) - 32);
                out[32 + l] = (int8_t)(((x[32 + l] & 15) | (h[l] >> 2 & 3) << 4) - 32);
                out[64 + l] = (int8_t)((x[l] >> 4 | (h[l] >> 4 & 3) << 4) - 32);
                out[96 + l] = (int8_t)((x[32 + l] >> 4 | (h[l] >> 6) << 4) - 32);
            }
        }
    }
}
