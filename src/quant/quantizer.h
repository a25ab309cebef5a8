/* quantizer.h - the first compression: float rows to int8 symbols and row scales.
 *
 * The seam `rusk_quantizer`. There is one dial for the whole model, a relative step; what a tensor
 * makes of it is quant/allocate's data, which arrives here in rusk_quant_stats together with what
 * calibration knows. A tensor goes through a quantizer in pieces of whole rows, three times:
 *
 *   measure   values -> rusk_row_stats         once, however many steps are tried afterwards
 *   scales    rusk_row_stats, step -> scales   of the whole tensor; the caller then rounds them to
 *                                              what the file can hold
 *   quantize  values, scales -> symbols, patches
 *
 * Rows depend only on themselves, so pieces and threads may be cut anywhere. */
#ifndef RUSK_QUANT_QUANTIZER_H
#define RUSK_QUANT_QUANTIZER_H

#include "codec/codec.h"

typedef struct rusk_quant_stats {
    float importance;        /* relative weight of this tensor's error; 1 is neutral */
    const float *row_weight; /* of each row given, NULL: equal. Error weight (Fisher diagonal) */
    const float *hessian;    /* n_cols x n_cols, NULL: identity. E[x x^T] of the inputs */
} rusk_quant_stats;

/* What a row's scale and class are chosen by. All zero for a row of zeros. */
typedef struct rusk_row_stats {
    float rms;
    float mean_abs;
    float tail; /* magnitude that at most rusk_patches_per_row values of the row exceed */
} rusk_row_stats;

/* Outliers a row may spend on patches before its step must grow: one in 256 and one more, so that
 * patches (about 4 bytes each) stay below 0.13 bits a weight. At most RUSK_TAIL_MAX. */
#define RUSK_TAIL_MAX 64
static inline uint32_t rusk_patches_per_row(uint32_t n_cols) {
    uint32_t n = n_cols / 256 + 1;
    return n < RUSK_TAIL_MAX ? n : RUSK_TAIL_MAX;
}

typedef struct rusk_quant_out {
    int8_t *symbols;     /* n_rows x n_cols, caller's: -127..127 */
    rusk_patch *patches; /* position = row * n_cols + column, ascending; caller's */
    size_t cap_patches;  /* n_rows * n_cols is always enough */
    size_t n_patches;
} rusk_quant_out;

typedef struct rusk_quantizer {
    const char *name;
    const char *summary;      /* one line for a person */
    float step_min, step_max; /* range of the dial */
    float symbol_offset;      /* value = (symbol + delta of its patch + offset) * scale */

    /* n_rows x n_cols values, row stride n_cols. A value that is not finite: FORMAT naming row
     * (row0 is the first one's number) and column. */
    rusk_status (*measure)(const float *rows, uint64_t row0, uint32_t n_rows, uint32_t n_cols,
                           rusk_row_stats *stats, rusk_error *err);
    /* Scales are finite, 0 only for rows of zeros (or too small for a float), and proportional to
     * `step` but where the tail bounds them from below. */
    void (*scales)(const rusk_row_stats *rows, uint32_t n_rows, float step,
                   const rusk_quant_stats *stats, float *row_scales);
    /* LIMIT where cap_patches does not suffice. A row whose scale is 0 becomes zeros. */
    rusk_status (*quantize)(const float *rows, uint32_t n_rows, uint32_t n_cols,
                            const float *row_scales, const rusk_quant_stats *stats,
                            rusk_quant_out *out, rusk_error *err);
} rusk_quantizer;

/* The registry: index 0 .. count-1; find by name, NULL where unknown. */
const rusk_quantizer *rusk_quantizer_find(const char *name);
size_t rusk_quantizer_count(void);
const rusk_quantizer *rusk_quantizer_at(size_t index);

extern const rusk_quantizer rusk_quantizer_uniform;

#endif
