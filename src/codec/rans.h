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

/* A block being decoded. */
typedef struct rusk_rans_run {
    uint32_t state[RUSK_RANS_LANES];
    const uint8_t *next; /* words not yet taken: */
    int64_t left;        /* their bytes; negative once words were missing */
} rusk_rans_run;

/* Decodes up to n_steps whole steps (32 symbols each) with one table, as long as words for a whole
 * step are left, and returns how many. May read, never use, RUSK_CODEC_OVERREAD bytes beyond the
 * words. All variants do the same to the same run. */
typedef size_t (*rusk_rans_steps)(rusk_rans_run *run, const uint32_t *slots, size_t n_steps,
                                  int8_t *out);
size_t rusk_rans_steps_ref(rusk_rans_run *run, const uint32_t *slots, size_t n_steps, int8_t *out);
/* Only where the target has them, and to be called only where the processor does. */
size_t rusk_rans_steps_avx2(rusk_rans_run *run, const uint32_t *slots, size_t n_steps, int8_t *out);
size_t rusk_rans_steps_neon(rusk_rans_run *run, const uint32_t *slots, size_t n_steps, int8_t *out);
/* The fastest for these features (RUSK_CPU_*) among those of this target. */
rusk_rans_steps rusk_rans_steps_for(uint32_t cpu_mask);

typedef struct rusk_rans_tables {
    rusk_alloc *alloc;
    rusk_rans_steps steps;                         /* the fastest this processor runs */
    const rusk_rans_class *at[RUSK_CODEC_CLASSES]; /* NULL where the class has no table */
} rusk_rans_tables;

static inline const rusk_rans_tables *rusk_rans_of(const rusk_codec_tables *tables) {
    return (const rusk_rans_tables *)tables;
}

rusk_status rusk_rans_build_tables(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err);
rusk_status rusk_rans_open_tables(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,
                                  size_t len_bytes, rusk_error *err);

/* All rows of a payload with this variant. */
rusk_status rusk_rans_decode_with(rusk_rans_steps steps, const rusk_codec_tables *tables,
                                  const rusk_block_shape *shape, const uint8_t *data,
                                  size_t len_bytes, int8_t *out, size_t stride, rusk_error *err);

#endif
