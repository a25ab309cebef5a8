/* hist.h - counts to 12-bit frequencies by exact cost. Internal to the codecs. */
#ifndef RUSK_CODEC_HIST_H
#define RUSK_CODEC_HIST_H

#include "codec/codec.h"

#define RUSK_FREQ_BITS 12
#define RUSK_FREQ_SUM  (1 << RUSK_FREQ_BITS)

/* log2(n), n >= 1, to about 1e-15. Our own: the C library's may differ in the last place between
 * processors, and tables must not. */
double rusk_log2_u64(uint64_t n);

/* Frequencies of n symbols (2 .. 256) that sum to `sum` and cost least: the sum of
 * count * log2(sum / freq) is minimal with freq >= 1 where count > 0 and 0 elsewhere. At least two
 * and at most `sum` counts must be positive. step[f] is log2((f + 1) / f), 1 <= f <= sum; NULL:
 * computed as needed. */
void rusk_freq_fit(const uint64_t *count, size_t n, unsigned sum, const double *step,
                   uint16_t *freq);

/* Frequencies that sum to 4096 and cost least: the sum of count * log2(4096 / freq) is minimal
 * with freq >= 1 where count > 0 and 0 elsewhere. Every frequency is at most 4095: where one
 * symbol is all there is, a neighbour gets 1. At least one count must be positive. */
void rusk_freq_normalize(const uint64_t count[RUSK_CODEC_ALPHABET],
                         uint16_t freq[RUSK_CODEC_ALPHABET]);

/* Sum of count * log2(4096 / freq) over counts that have a frequency. */
double rusk_freq_cost(const uint64_t count[RUSK_CODEC_ALPHABET],
                      const uint16_t freq[RUSK_CODEC_ALPHABET]);

/* map[i] = symbol of the index nearest to i with used[] != 0, the smaller magnitude at a tie. */
void rusk_fold_map(const uint16_t used[RUSK_CODEC_ALPHABET], int8_t map[RUSK_CODEC_ALPHABET]);

/* Frequencies of a class, rare symbols folded where patching them is cheaper; returns the bits
 * that its symbols and patches take. */
double rusk_freq_choose(const uint64_t count[RUSK_CODEC_ALPHABET],
                        uint16_t freq[RUSK_CODEC_ALPHABET]);

#endif
