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

/* The set is part of the format. */
static const int8_t CODES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};

static inline void look_up(const uint8_t *restrict in, int8_t *restrict out) {
    for (int j = 0; j < 16; j++) {
        out[j] = CODES[in[j] & 15];
        out[16 + j] = CODES[in[j] >> 4];
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
