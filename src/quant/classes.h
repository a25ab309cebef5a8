/* classes.h - which rows share a code table.
 *
 * Rows of a tensor differ in width (scale against spread) and in shape (heavy or light tails). Rows
 * are first sorted into bins by mean |value| / scale, which tells both; the symbols of each bin are
 * counted; then neighbouring bins are merged into the classes that cost least, tables included: the
 * cheapest cut of a sequence, found exactly by dynamic programming. */
#ifndef RUSK_QUANT_CLASSES_H
#define RUSK_QUANT_CLASSES_H

#include "codec/codec.h"
#include "quant/quantizer.h"

#define RUSK_CLASS_BINS 32

typedef struct rusk_bin_counts {
    uint64_t count[RUSK_CLASS_BINS][RUSK_CODEC_ALPHABET]; /* index = symbol + 128 */
} rusk_bin_counts;

/* Bin of each row, 0 .. RUSK_CLASS_BINS-1, ascending with mean_abs / scale, of about equal numbers
 * of rows. Equal ratios share a bin. Bits do not depend on anything but the arguments. */
void rusk_classes_bins(const rusk_row_stats *rows, const float *row_scales, uint64_t n_rows,
                       uint8_t *bins);
/* Counts n symbols of one bin. */
void rusk_classes_count(rusk_bin_counts *counts, unsigned bin, const int8_t *symbols, size_t n);
/* Class of each bin, ascending from 0; returns the number of classes (1 .. RUSK_CODEC_CLASSES). A
 * table is taken to cost table_bits for each symbol that occurs. */
unsigned rusk_classes_merge(const rusk_bin_counts *counts, double table_bits,
                            uint8_t class_of_bin[RUSK_CLASS_BINS]);

#endif
