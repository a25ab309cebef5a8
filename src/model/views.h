/* views.h - what a forward pass needs of weights and of the KV cache: two tables of functions that
 * the runtime implements, so that the model knows neither tiers nor pages. */
#ifndef RUSK_MODEL_VIEWS_H
#define RUSK_MODEL_VIEWS_H

#include "kernel/kernels.h"
#include "model/desc.h"

/* How a matrix is cut for threads: into parts of neighbouring rows. `together` (1 or 2)
 * neighbouring parts of it are done faster by one thread at once than one after the other. */
typedef struct rusk_weights_cut {
    uint32_t n_parts, together;
} rusk_weights_cut;

typedef struct rusk_weights_view {
    void *self;
    rusk_weights_cut (*cut)(void *self, uint32_t slot);
    /* Makes `worker` ready to walk through parts part .. part + n_parts - 1 (1 .. together of them)
     * of a matrix; what it walked through before is forgotten. Errors as `next`. */
    rusk_status (*open)(void *self, uint32_t slot, uint32_t part, uint32_t n_parts, unsigned worker,
                        rusk_error *err);
    /* The next rows of what `worker` has open: a tile of at most RUSK_TILE_MAX_ROWS rows, and the
     * matrix row it starts with; n_rows is 0 when all have been given. Every row is given once;
     * rows of one part ascend, parts may alternate. What must be decoded is decoded here, into
     * scratch of the worker: the tile is valid until its next call. FORMAT, DAMAGED: where several
     * parts are at fault, the first is reported. Allocates nothing. */
    rusk_status (*next)(void *self, unsigned worker, rusk_tile *tile, uint32_t *row,
                        rusk_error *err);
    /* One row as f32: embedding lookup. Ends what the worker walks through. */
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
