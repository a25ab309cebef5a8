/* views.h - what a forward pass needs of weights and of the KV cache: two tables of functions that
 * the runtime implements, so that the model knows neither tiers nor pages. */
#ifndef RUSK_MODEL_VIEWS_H
#define RUSK_MODEL_VIEWS_H

#include "kernel/kernels.h"
#include "model/desc.h"

typedef struct rusk_weights_view {
    void *self;
    /* Rows of a matrix are cut into tiles of tile_rows (the last may be shorter): the unit of work
     * of a thread, at most RUSK_TILE_MAX_ROWS rows. */
    uint32_t (*tile_rows)(void *self, uint32_t slot);
    /* Tile `index` of a matrix. Where it must be decoded first, that happens here, into scratch of
     * `worker`; it stays valid until the worker's next call. FORMAT, DAMAGED. Allocates
     * nothing. */
    rusk_status (*tile)(void *self, uint32_t slot, uint32_t index, unsigned worker, rusk_tile *tile,
                        rusk_error *err);
    /* One row as f32: embedding lookup. */
    rusk_status (*row)(void *self, uint32_t slot, uint32_t row, unsigned worker, float *out,
                       rusk_error *err);
    /* A vector (norm gain, bias), resident f32. */
    const float *(*vector)(void *self, uint32_t slot);
    /* Scratch of a worker for rusk_matmul: floats for the largest tile. */
    float *(*scratch)(void *self, unsigned worker);
} rusk_weights_view;

#define RUSK_TILE_MAX_ROWS 512

/* KV cache: f16 rows of n_kv_heads * head_dim halves, in pages of page_positions. */
typedef struct rusk_kv_view {
    void *self;
    uint32_t page_positions;
    /* Page that holds positions page * page_positions .. of a sequence in a layer; row of position
     * p at k + (p % page_positions) * n_kv_heads * head_dim. Already allocated for every position
     * of the batch. */
    void (*page)(void *self, uint32_t layer, uint32_t sequence, uint32_t page, uint16_t **k,
                 uint16_t **v);
} rusk_kv_view;

#endif
