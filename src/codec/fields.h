/* fields.h - rows of small integers of one width, 0 to 8 bits, packed for vectors. Used by raw for
 * whole codes and by the a16 family for low bits. Layout and examples: docs/format/codecs.md.
 *
 * A row is cut in groups of 64 columns, the last one filled with zeros; a group takes 8 * width
 * bytes. It is a sequence of parts of 8, 4, 2 and 1 bits, those that add up to the width, widest
 * first; a field's lowest bits are in the first part. In a part of b bits byte j holds columns j,
 * j + 8b, j + 16b ... from its lowest bits up:
 *
 *     4 bits, 32 bytes   byte j | column j + 32        | column j             |
 *     2 bits, 16 bytes   byte j | j + 48   | j + 32    | j + 16   | j         |
 *     1 bit, 8 bytes     byte j | j+56 .. j+8 ..                   ..     | j |
 *
 * so a vector of 64 bytes takes a part out by one load that repeats it, one shift that differs
 * between lanes, and one AND. */
#ifndef RUSK_CODEC_FIELDS_H
#define RUSK_CODEC_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#define RUSK_FIELD_GROUP     64 /* columns */
#define RUSK_FIELD_MAX_WIDTH 8

static inline size_t rusk_field_groups(size_t n_cols) {
    return n_cols / RUSK_FIELD_GROUP + (n_cols % RUSK_FIELD_GROUP != 0);
}

/* Bytes of a row. */
static inline size_t rusk_field_bytes(size_t n_cols, unsigned width) {
    return rusk_field_groups(n_cols) * 8 * width;
}

/* Packs a row; values[] < 2^width. Writes rusk_field_bytes. */
void rusk_fields_put(const uint8_t *values, size_t n_cols, unsigned width, uint8_t *to);

/* Unpacks whole groups: 64 values each, and `add` added to each of them (modulo 256). Reads the
 * groups' bytes and no more. */
typedef void (*rusk_fields_get)(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                                uint8_t *out);
void rusk_fields_get_ref(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                         uint8_t *out);
/* Only where the target has them, and to be called only where the processor does. */
void rusk_fields_get_avx2(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                          uint8_t *out);
void rusk_fields_get_avx512(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                            uint8_t *out);
void rusk_fields_get_neon(const uint8_t *groups, size_t n_groups, unsigned width, uint8_t add,
                          uint8_t *out);
/* The fastest for these features (RUSK_CPU_*) among those of this target. */
rusk_fields_get rusk_fields_get_for(uint32_t cpu_mask);

#endif
