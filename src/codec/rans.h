/* rans.h - what the rans codec's files share. Layouts: docs/format/codecs.md.
 *
 * A slot of a decoding table, one for each of the 4096 values of a state's low 12 bits:
 *
 *     31         20 19          8 7      0
 *     | slot-start |  frequency  | symbol |
 *
 * so that one 32-bit load gives all that a step needs:
 *     state = frequency * (state >> 12) + (slot - start) */
#ifndef RUSK_CODEC_RANS_H
#define RUSK_CODEC_RANS_H

#include "base/bytes.h"
#include "codec/hist.h"

#define RUSK_RANS_LANES 32
#define RUSK_RANS_LOW   16384U /* first and last state; a state below takes a word */

typedef struct rusk_rans_class {
    uint32_t slots[RUSK_FREQ_SUM];
    uint16_t freq[RUSK_CODEC_ALPHABET], start[RUSK_CODEC_ALPHABET];
    int8_t fold[RUSK_CODEC_ALPHABET];
} rusk_rans_class;

typedef rusk_status (*rusk_rans_decoder)(const rusk_codec_tables *tables,
                                         const rusk_block_shape *shape, const uint8_t *data,
                                         size_t len_bytes, int8_t *out, size_t stride,
                                         rusk_error *err);

typedef struct rusk_rans_tables {
    rusk_alloc *alloc;
    rusk_rans_decoder decode;                      /* the fastest this processor runs */
    const rusk_rans_class *at[RUSK_CODEC_CLASSES]; /* NULL where the class has no table */
} rusk_rans_tables;

static inline const rusk_rans_tables *rusk_rans_of(const rusk_codec_tables *tables) {
    return (const rusk_rans_tables *)tables;
}

rusk_status rusk_rans_build_tables(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err);
rusk_status rusk_rans_open_tables(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,
                                  size_t len_bytes, rusk_error *err);

/* A block being decoded. */
typedef struct rusk_rans_run {
    uint32_t state[RUSK_RANS_LANES];
    const uint8_t *next; /* words not yet taken: */
    int64_t left;        /* their bytes; negative once words were missing */
} rusk_rans_run;

/* Checks shape, classes and length, and takes the states. */
rusk_status rusk_rans_begin(rusk_rans_run *run, const rusk_codec_tables *tables,
                            const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                            rusk_error *err);
/* One step of n lanes with all checks. */
void rusk_rans_step(rusk_rans_run *run, const uint32_t *slots, size_t n, int8_t *out);
/* All words taken, none missing, and every state back where the encoder began. */
rusk_status rusk_rans_end(const rusk_rans_run *run, const uint8_t *data, rusk_error *err);

/* The twins: same bytes in, same symbols and status out. Which exist depends on the target. */
rusk_status rusk_rans_decode_ref(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                                 const uint8_t *data, size_t len_bytes, int8_t *out, size_t stride,
                                 rusk_error *err);

/* The fastest twin for these features (RUSK_CPU_*). */
rusk_rans_decoder rusk_rans_decoder_for(uint32_t cpu_mask);

#endif
