/* allocate.h - the rule about which tensor gets how many bits: a table by role.
 *
 * One dial sets the step of the whole model; here stands how much coarser or finer a role's tensors
 * are quantized. With KL ~ sum over roles of c * step^2 and bits ~ -n * log2(step), the best steps
 * have c * step^2 / n equal: step ~ sqrt(n / c). How c was measured: docs/decisions/0009. */
#ifndef RUSK_QUANT_ALLOCATE_H
#define RUSK_QUANT_ALLOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/quantizer.h"

typedef struct rusk_allocation {
    const char *role; /* as a container writes them: a tied tensor has two, comma-separated */
    float step;       /* relative to row rms, at dial 1 */
    /* Rows are tokens in the order of their ids, which in vocabularies built by merging is roughly
     * that of their frequency: a row's error weighs (id + rank_offset)^-rank_exponent. 0: all
     * rows weigh the same. */
    float rank_exponent, rank_offset;
    /* A row's error weighs (rms of the row)^width_exponent: 0 gives all rows of a tensor the same
     * relative step, 2 the same absolute one, 1 the geometric mean of both. */
    float width_exponent;
    bool shared; /* each row serves n_heads / n_kv_heads heads, so its error counts as often */
} rusk_allocation;

/* Never NULL: roles that are not in the table get its neutral last line. */
const rusk_allocation *rusk_allocate_find(const char *role);
/* Importance for rusk_quant_stats: 1 / step^2, times `sharing` where rows are shared. */
float rusk_allocate_importance(const rusk_allocation *a, float sharing);
/* Rows of a tensor. */
typedef struct rusk_allocate_rows {
    uint64_t n_total; /* of the tensor */
    float mean_rms;   /* about the geometric mean of the tensor's row rms; 0: not known */
    uint64_t row0;    /* number of the first one given */
    size_t n;
    const rusk_row_stats *stats; /* n */
} rusk_allocate_rows;

/* Error weight of each row given, with a geometric mean of about 1 over all of the tensor, so that
 * they move bits between rows and leave the tensor's rate alone. False (and nothing written) where
 * all rows weigh the same. */
bool rusk_allocate_row_weights(const rusk_allocation *a, const rusk_allocate_rows *rows,
                               float *weights);

#endif
