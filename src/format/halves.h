/* halves.h - inside the room: the f16 scales of many blocks to f32.
 *
 * A third of the time of running a Q4_1 model went into these conversions where they were plain
 * code, so they are one function with a twin for processors that convert in hardware. */
#ifndef RUSK_FORMAT_HALVES_H
#define RUSK_FORMAT_HALVES_H

#include <stddef.h>
#include <stdint.h>

/* out[i] = the little-endian f16 at bytes + i * stride, exactly; NaN becomes quiet. Chooses by what
 * the processor can do. */
void rusk_halves_load(const uint8_t *bytes, size_t stride, size_t n, float *out);

/* The twins: the same bits, but for the payload of a NaN. */
void rusk_halves_load_ref(const uint8_t *bytes, size_t stride, size_t n, float *out);
#if defined(__x86_64__)
void rusk_halves_load_avx2(const uint8_t *bytes, size_t stride, size_t n, float *out);
#endif

#endif
