/* dtype_unpack.h - inside the room: one unpack function per quantized type (contract: rusk_unpack).
 *
 * They run on every tile of a GGUF that is used as it is, so their inner loops have constant trip
 * counts and no branches, which compilers turn into vector code without being told an instruction
 * set. Types without a minimum write m = -0.0: x + -0.0 is x for every x, also for -0.0 (x + 0.0 is
 * not), so that d * code + m has exactly the bits of d * code. */
#ifndef RUSK_FORMAT_DTYPE_UNPACK_H
#define RUSK_FORMAT_DTYPE_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#define RUSK_UNPACK_ARGS                                                                           \
    const uint8_t *restrict bytes, size_t n, int8_t *restrict codes, float *restrict d,            \
        float *restrict m

void rusk_unpack_q4_0(RUSK_UNPACK_ARGS);
void rusk_unpack_q4_1(RUSK_UNPACK_ARGS);
void rusk_unpack_q5_0(RUSK_UNPACK_ARGS);
void rusk_unpack_q5_1(RUSK_UNPACK_ARGS);
void rusk_unpack_q8_0(RUSK_UNPACK_ARGS);
void rusk_unpack_q2_k(RUSK_UNPACK_ARGS);
void rusk_unpack_q3_k(RUSK_UNPACK_ARGS);
void rusk_unpack_q4_k(RUSK_UNPACK_ARGS);
void rusk_unpack_q5_k(RUSK_UNPACK_ARGS);
void rusk_unpack_q6_k(RUSK_UNPACK_ARGS);
void rusk_unpack_iq4_nl(RUSK_UNPACK_ARGS);
void rusk_unpack_iq4_xs(RUSK_UNPACK_ARGS);

#endif
