/* linear.c - products of a batch with weight matrices, tile by tile.
 *
 * A tile is decoded once and multiplied with all rows of the batch. Several matrices that read the
 * same input (q, k, v; gate, up) make one job, so that fewer barriers are paid. */
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

/* --- units of work ----------------------------------------------------------------------------
 *
 * A unit is one part of a matrix, or two neighbouring ones where that is faster. T threads take
 * units in order, so the last ones decide how long some wait for others: 2T parts at a time are
 * taken as T pairs, and of the m < 2T parts that are left as many singly as gives each thread at
 * most one unit more. 6 parts on 2 threads: 2, 2, 1, 1.
 *
 * Units ascend by product and part whatever T is, so that of several failures the same one is
 * reported. */

enum { MAX_PRODUCTS = 3 };

typedef struct product_units {
    uint32_t n_parts;
    uint32_t n_pairs; /* parts 0 .. 2 * n_pairs - 1 come in pairs */
    size_t first;     /* number of its first unit in the job */
} product_units;

/* Multiplies rows of product `p`, which start with `row`, and stores the result. */
typedef void (*tile_task)(rusk_graph *g, const graph_product *p, const rusk_tile *tile,
                          uint32_t row, unsigned worker);

typedef struct multiply_job {
    rusk_graph *g;
    tile_task multiply;
    const graph_product *products;
    unsigned n_products;
    product_units units[MAX_PRODUCTS];
} multiply_job;

static size_t cut_job(multiply_job *job) {
    const rusk_weights_view *w = job->g->weights;
    const size_t n_threads = job->g->n_workers;
    rusk_weights_cut cut[MAX_PRODUCTS];
    size_t n_pairable = 0, n_units = 0;
    for (unsigned i = 0; i < job->n_products; i++) {
        cut[i] = w->cut(w->self, job->products[i].slot);
        n_pairable += cut[i].together == 2 ? cut[i].n_parts : 0;
    }
    const size_t rounds = n_pairable / (2 * n_threads), rest = n_pairable % (2 * n_threads);
    size_t n_pairs = rounds * n_threads + (rest > n_threads ? rest - n_threads : 0);
    for (unsigned i = 0; i < job->n_products; i++) {
        product_units *u = &job->units[i];
        *u = (product_units){.n_parts = cut[i].n_parts, .first = n_units};
        if (cut[i].together == 2) {
            u->n_pairs = (uint32_t)RUSK_MIN((size_t)u->n_parts / 2, n_pairs);
            n_pairs -= u->n_pairs;
        }
        n_units += u->n_parts - u->n_pairs;
    }
    return n_units;
}

static rusk_status multiply_unit(void *arg, size_t index, unsigned worker, rusk_error *err) {
    const multiply_job *job = arg;
    rusk_graph *g = job->g;
    const rusk_weights_view *w = g->weights;
    unsigned i = job->n_products - 1;
    while (index < job->units[i].first) {
        i--;
    }
    const graph_product *p = &job->products[i];
    const product_units *u = &job->units[i];
    const uint32_t unit = (uint32_t)(index - u->first);
    const bool pair = unit < u->n_pairs;
    RUSK_TRY(
        w->open(w->self, p->slot, pair ? 2 * unit : unit + u->n_pairs, pair ? 2 : 1, worker, err));
    for (;;) {
        rusk_tile tile;
        uint32_t row;
        RUSK_TRY(w->next(w->self, worker, &tile, &row, err));
        if (tile.n_rows == 0) {
            return RUSK_OK;
        }
        RUSK_ASSERT(tile.n_cols == g->acts.n_cols && tile.n_rows <= RUSK_TILE_MAX_ROWS);
        RUSK_ASSERT(row < p->n_rows && tile.n_rows <= p->n_rows - row);
        job->multiply(g, p, &tile, row, worker);
    }
}

static rusk_status run_job(rusk_graph *g, tile_task multiply, const graph_product *products,
                           unsigned n_products, rusk_error *err) {
    RUSK_ASSERT(n_products <= MAX_PRODUCTS);
    multiply_job job = {
        .g = g, .multiply = multiply, .products = products, .n_products = n_products};
    const size_t n_units = cut_job(&job);
    return rusk_graph_dispatch(g, multiply_unit, &job, n_units, err);
}

static void multiply_tile(rusk_graph *g, const graph_product *p, const rusk_tile *tile,
                          uint32_t row, unsigned worker) {
    rusk_matmul(g->kernels, tile, &g->acts, p->y + row, p->y_stride,
                g->weights->scratch(g->weights->self, worker));
}

rusk_status rusk_graph_multiply(rusk_graph *g, const graph_product *products, unsigned n_products,
                                rusk_error *err) {
    return run_job(g, multiply_tile, products, n_products, err);
}

/* --- head ------------------------------------------------------------------------------------- */

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
static void head_tile(rusk_graph *g, const graph_product *p, const rusk_tile *tile, uint32_t first,
                      unsigned worker) {
    (void)p;
    const rusk_acts *acts = &g->acts;
    float *scratch = g->weights->scratch(g->weights->self, worker);
    if (acts->n_rows == 1) {
        rusk_matmul(g->kernels, tile, acts, g->logits[0] + first, tile->n_rows, scratch);
        soften(g, g->logits[0] + first, tile->n_rows);
        return;
    }
    float *buffer = g->head + (size_t)worker * RUSK_HEAD_ROWS * RUSK_TILE_MAX_ROWS;
    for (uint32_t row = 0; row < acts->n_rows; row += RUSK_HEAD_ROWS) {
        const uint32_t n = RUSK_MIN(acts->n_rows - row, (uint32_t)RUSK_HEAD_ROWS);
        const rusk_acts part = some_rows(acts, row, n);
        rusk_matmul(g->kernels, tile, &part, buffer, tile->n_rows, scratch);
        for (uint32_t i = 0; i < n; i++) {
            float *out = g->logits[row + i] + first;
            memcpy(out, buffer + (size_t)i * tile->n_rows, tile->n_rows * sizeof *out);
            soften(g, out, tile->n_rows);
        }
    }
}

rusk_status rusk_graph_head(rusk_graph *g, rusk_error *err) {
    const graph_product head = {.slot = rusk_desc_slot(RUSK_ROLE_OUTPUT_HEAD, 0),
                                .n_rows = g->desc.n_vocab};
    return run_job(g, head_tile, &head, 1, err);
}
