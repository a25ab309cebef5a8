/* quantizer.h - the first compression: float rows to int8 symbols and row scales.
 *
 * The seam `rusk_quantizer`. A quantizer sees one tensor at a time, as f32 rows, and one dial for
 * the whole model (`step`, relative: see each quantizer); what it knows of the tensor beyond its
 * values comes in rusk_quant_stats, which later quantizers (activation-aware, error feedback) fill
 * from calibration. */
#ifndef RUSK_QUANT_QUANTIZER_H
#define RUSK_QUANT_QUANTIZER_H

#include "codec/codec.h"

typedef struct rusk_quant_stats {
    float importance; /* relative weight of this tensor's error (quant/allocate); 1 is neutral */
    const float *row_weight; /* n_rows, NULL: equal. Error weight of a row (Fisher diagonal) */
    const float *hessian;    /* n_cols x n_cols, NULL: identity. E[x x^T] of the inputs */
} rusk_quant_stats;

typedef struct rusk_quant_out {
    int8_t *symbols;      /* n_rows x n_cols, caller's */
    float *row_scales;    /* n_rows, caller's; value = (symbol + offset) * scale */
    uint8_t *row_classes; /* n_rows, caller's */
    rusk_patch *patches;  /* position = row * n_cols + column, ascending, in room for cap_patches */
    size_t cap_patches, n_patches;
    float symbol_offset;
} rusk_quant_out;

typedef struct rusk_quantizer {
    const char *name;
    const char *summary;
    /* Quantizes rows x cols floats (stride n_cols) at a relative step. Deterministic; rows depend
     * only on themselves, so that a tensor may be given in pieces. Non-finite weights: FORMAT
     * naming row, column. */
    rusk_status (*quantize)(const float *rows, uint32_t n_rows, uint32_t n_cols, float step,
                            const rusk_quant_stats *stats, rusk_quant_out *out, rusk_error *err);
} rusk_quantizer;

const rusk_quantizer *rusk_quantizer_find(const char *name);
size_t rusk_quantizer_count(void);
const rusk_quantizer *rusk_quantizer_at(size_t index);

#endif
