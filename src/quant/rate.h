/* rate.h - what any step would cost, from one pass over the weights.
 *
 * A tensor's magnitudes, each divided by its row's scale at step 1, go into one fine histogram.
 * Rounding at step s puts the magnitudes from (q - 1/2) s to (q + 1/2) s on symbol +-q, so sums
 * over the histogram give the symbols' counts, and those the entropy, for every s: the search for a
 * step reads no weights. Exact but for the split of one bin at each border, and blind to what
 * classes of rows will save (measured: docs/decisions/0010). */
#ifndef RUSK_QUANT_RATE_H
#define RUSK_QUANT_RATE_H

#include <stddef.h>
#include <stdint.h>

#define RUSK_RATE_BINS     4096
#define RUSK_RATE_PER_UNIT 128 /* bins a unit: 4 a symbol at the finest step, 1/32 */

typedef struct rusk_rate_hist {
    uint64_t count[RUSK_RATE_BINS]; /* the last one also holds all beyond it */
} rusk_rate_hist;

/* Adds n magnitudes of a row. A scale of 0 counts them as zeros. */
void rusk_rate_add(rusk_rate_hist *hist, const float *row, size_t n, float unit_scale);
void rusk_rate_merge(rusk_rate_hist *into, const rusk_rate_hist *from);
/* Bits of all symbols and patches at a step, step > 0. */
double rusk_rate_bits(const rusk_rate_hist *hist, double step);

#endif
