/* tiles.h - random tiles and activations for kernel tests and benchmarks. */
#ifndef RUSK_TILES_H
#define RUSK_TILES_H

#include "base/rng.h"
#include "kernel/kernels.h"

typedef struct test_tile {
    rusk_tile tile;
    void *data;
    float *row_scale, *d, *m;
    rusk_patch *patches;
} test_tile;

/* Codes anywhere in -128..127 (-127..127 for I8), scales near 0.01, n_patches for I8 spread over
 * the tile (fewer where it is small). Each buffer is exact: it ends where the contract ends. */
test_tile test_tile_make(rusk_rng *rng, rusk_tile_kind kind, uint32_t n_rows, uint32_t n_cols,
                         uint32_t n_patches);
void test_tile_free(test_tile *t);
/* Value of a weight by the tile's definition, patches included. */
double test_tile_value(const test_tile *t, uint32_t row, uint32_t col);

typedef struct test_acts {
    rusk_acts acts;
    float *x;
} test_acts;

/* Normal activations, with q by k->quantize where `ints`, else NULL. */
test_acts test_acts_make(rusk_rng *rng, const rusk_kernels *k, uint32_t n_rows, uint32_t n_cols,
                         bool ints);
void test_acts_free(test_acts *a);

#endif
