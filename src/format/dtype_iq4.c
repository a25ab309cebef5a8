/* dtype_iq4.c - 4-bit indices into one fixed, uneven set of 16 int8 codes: IQ4_NL, IQ4_XS.
 *
 * Byte offsets; x is an index, v[x] its code:
 *
 *     IQ4_NL  | d f16 | x0,x16 | ... | x15,x31 |                          18 bytes, value d * v[x]
 *             0       2              17
 *     IQ4_XS  | d f16 | s hi: u16 | s lo: 4 bytes | 8 groups of 16 bytes |     136 bytes
 *             0       2           4               8                    136
 *             value (d * (s - 32)) * v[x]; group g of 32 columns stands as in IQ4_NL; its s has low
 *             nibble (byte 4 + g / 2) >> 4 (g % 2) & 15 and high bits (s hi) >> 2 g & 3
 *
 * Pinned by tests/format/test_dtype.c (golden_iq4_nl, golden_iq4_xs). */
#include "format/dtype_unpack.h"

#include "base/bytes.h"
#include "base/fp.h"

/* a or b as mask is 0 or 0xFF. */
#define PICK(mask, a, b) ((uint8_t)((a) ^ (((a) ^ (b)) & (mask))))

/* The code of index x (0..15). A tree of selections by the bits of x instead of a table: compilers
 * turn a loop over it into vector code, which a table would not allow. The 16 codes are part of the
 * format. */
static inline int8_t code_of(unsigned x) {
    uint8_t bit0 = (uint8_t)(0U - (x & 1U)), bit1 = (uint8_t)(0U - (x >> 1 & 1U));
    uint8_t bit2 = (uint8_t)(0U - (x >> 2 & 1U)), bit3 = (uint8_t)(0U - (x >> 3 & 1U));
    uint8_t a = PICK(bit1, PICK(bit0, -127, -104), PICK(bit0, -83, -65));
    uint8_t b = PICK(bit1, PICK(bit0, -49, -35), PICK(bit0, -22, -10));
    uint8_t c = PICK(bit1, PICK(bit0, 1, 13), PICK(bit0, 25, 38));
    uint8_t e = PICK(bit1, PICK(bit0, 53, 69), PICK(bit0, 89, 113));
    return (int8_t)PICK(bit3, PICK(bit2, a, b), PICK(bit2, c, e));
}

static inline void look_up(const uint8_t *restrict in, int8_t *restrict out) {
    for (int j = 0; j < 16; j++) {
        out[j] = code_of(in[j] & 15U);
    }
    for (int j = 0; j < 16; j++) {
        out[16 + j] = code_of(in[j] >> 4U);
    }
}

void rusk_unpack_iq4_nl(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / 32; b++, bytes += 18) {
        d[b] = rusk_f32_from_f16(rusk_load_u16(bytes));
        m[b] = -0.0F;
        look_up(bytes + 2, codes + b * 32);
    }
}

void rusk_unpack_iq4_xs(RUSK_UNPACK_ARGS) {
    for (size_t b = 0; b < n / 256; b++, bytes += 136, codes += 256) {
        float scale = rusk_f32_from_f16(rusk_load_u16(bytes));
        unsigned high = rusk_load_u16(bytes + 2);
        for (unsigned g = 0; g < 8; g++) {
            unsigned s = (bytes[4 + g / 2] >> 4 * (g % 2) & 15U) | (high >> 2 * g & 3U) << 4;
            *d++ = scale * (float)((int)s - 32);
            *m++ = -0.0F;
            look_up(bytes + 8 + 16 * g, codes + 32 * g);
        }
    }
}
