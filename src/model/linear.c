/* linear.c - products of a batch with weight matrices, tile by tile.
 *
 * A tile is decoded once and multiplied with all rows of the batch. The tiles of several matrices
 * that read the same input (q, k, v; gate, up) make one job, so that fewer barriers are paid. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "model/graph_impl.h"

void rusk_graph_quantize(rusk_graph *g, uint32_t row) {
    const rusk_acts *a = &g->acts;
    if (a->q != NULL) {
        g->kernels->quantize(a->x + (size_t)row * a->n_cols, a->n_cols,
                             a->q + (size_t)row * a->n_groups * RUSK_GROUP,
                             a->scale + (size_t)row * a->n_groups,
                             a->sum16 + (size_t)row * a->n_groups * 2);
    }
}

enum { MAX_PRODUCTS = 3 };

typedef struct multiply_job {
    rusk_graph *g;
    const graph_product *products;
    unsigned n_products;
    uint32_t tile_rows[MAX_PRODUCTS];
    size_t first[MAX_PRODUCTS + 1]; /* index of each product's first tile */
} multiply_job;

static rusk_status get_tile(rusk_graph *g, uint32_t slot, uint32_t index, unsigned worker,
                            rusk_tile *tile, rusk_error *err) {
    RUSK_TRY(g->weights->tile(g->weights->self, slot, index, worker, tile, err));
    RUSK_ASSERT(tile->n_cols == g->acts.n_cols && tile->n_rows <= RUSK_TILE_MAX_ROWS);
    return RUSK_OK;
}

static rusk_status multiply_tile(void *arg, size_t index, unsigned worker, rusk_error *err) {
    const multiply_job *job = arg;
    rusk_graph *g = job->g;
    unsigned i = 0;
    while (index >= job->first[i + 1]) {
        i++;
    }
    const graph_product *p = &job->products[i];
    const uint32_t tile_index = (uint32_t)(index - job->first[i]);
    rusk_tile tile;
    RUSK_TRY(get_tile(g, p->slot, tile_index, worker, &tile, err));
    rusk_matmul(g->kernels, &tile, &g->acts, p->y + (size_t)tile_index * job->tile_rows[i],
                p->y_stride, g->weights->scratch(g->weights->self, worker));
    return RUSK_OK;
}

rusk_status rusk_graph_multiply(rusk_graph *g, const graph_product *products, unsigned n_products,
                                rusk_error *err) {
    RUSK_ASSERT(n_products <= MAX_PRODUCTS);
    multiply_job job = {.g = g, .products = products, .n_products = n_products};
    for (unsigned i = 0; i < n_products; i++) {
        job.tile_rows[i] = g->weights->tile_rows(g->weights->self, products[i].slot);
        job.first[i + 1] =
            job.first[i] + (products[i].n_rows + job.tile_rows[i] - 1) / job.tile_rows[i];
    }
    return rusk_graph_dispatch(g, multiply_tile, &job, job.first[n_products], err);
}

/* --- head ------------------------------------------------------------------------------------- */

typedef struct head_job {
    rusk_graph *g;
    uint32_t tile_rows;
} head_job;

static void soften(const rusk_graph *g, float *logits, uint32_t n) {
    const float cap = g->desc.logit_softcap;
    for (uint32_t i = 0; cap > 0 && i < n; i++) {
        logits[i] = cap * tanhf(logits[i] / cap);
    }
}

/* Rows row0 .. row0 + n - 1 of a batch. */
static rusk_acts some_rows(const rusk_acts *a, uint32_t row0, uint32_t n) {
    rusk_acts part = *a;
    part.n_rows = n;
    part.x += (size_t)row0 * a->n_cols;
    if (a->q != NULL) {
        part.q += (size_t)row0 * a->n_groups * RUSK_GROUP;
        part.scale += (size_t)row0 * a->n_groups;
        part.sum16 += (size_t)row0 * a->n_groups * 2;
    }
    return part;
}

/* The callers' rows stand anywhere in memory, so more than one goes through a worker's buffer. */
static rusk_status head_tile(void *arg, size_t index, unsigned worker, rusk_error *err) {
    const head_job *job = arg;
    rusk_graph *g = job->g;
    const rusk_acts *acts = &g->acts;
    const size_t first = index * job->tile_rows;
    float *scratch = g->weights->scratch(g->weights->self, worker);
    rusk_tile tile;
    RUSK_TRY(
        get_tile(g, rusk_desc_slot(RUSK_ROLE_OUTPUT_HEAD, 0), (uint32_t)index, worker, &tile, err));
    if (acts->n_rows == 1) {
        rusk_matmul(g->kernels, &tile, acts, g->logits[0] + first, tile.n_rows, scratch);
        soften(g, g->logits[0] + first, tile.n_rows);
        return RUSK_OK;
    }
    float *buffer = g->head + (size_t)worker * RUSK_HEAD_ROWS * RUSK_TILE_MAX_ROWS;
    for (uint32_t row = 0; row < acts->n_rows; row += RUSK_HEAD_ROWS) {
        const uint32_t n = RUSK_MIN(acts->n_rows - row, (uint32_t)RUSK_HEAD_ROWS);
        const rusk_acts part = some_rows(acts, row, n);
        rusk_matmul(g->kernels, &tile, &part, buffer, tile.n_rows, scratch);
        for (uint32_t i = 0; i < n; i++) {
            float *out = g->logits[row + i] + first;
            memcpy(out, buffer + (size_t)i * tile.n_rows, tile.n_rows * sizeof *out);
            soften(g, out, tile.n_rows);
        }
    }
    return RUSK_OK;
}

rusk_status rusk_graph_head(rusk_graph *g, rusk_error *err) {
    const uint32_t slot = rusk_desc_slot(RUSK_ROLE_OUTPUT_HEAD, 0);
    head_job job = {.g = g, .tile_rows = g->weights->tile_rows(g->weights->self, slot)};
    size_t n_tiles = (g->desc.n_vocab + job.tile_rows - 1) / job.tile_rows;
    return rusk_graph_dispatch(g, head_tile, &job, n_tiles, err);
}
