/* graph_impl.h - what the files of the forward pass share: graph.c drives, linear.c multiplies,
 * rope.c rotates, attention.c attends. Not for other rooms. */
#ifndef RUSK_MODEL_GRAPH_IMPL_H
#define RUSK_MODEL_GRAPH_IMPL_H

#include "base/clock.h"
#include "model/graph.h"

enum { ROPE_GLOBAL, ROPE_LOCAL, ROPE_KINDS };

/* Rows of the logits that a worker computes at a time where several are wanted. */
#define RUSK_HEAD_ROWS 32

#define RUSK_ATTEND_QUERIES 32

/* First failure of a worker in the present job. Task indices rise within a worker, so the lowest
 * index over all workers is the same for any number of threads. */
typedef struct worker_error {
    rusk_status status;
    size_t index;
    rusk_error error;
} worker_error;

/* Time by stage of the calling thread, which is worker 0 of every job and alone touches this. */
typedef struct stage_clock {
    rusk_profile *sums; /* NULL: no profile */
    double last;        /* when the last stage ended */
} stage_clock;

struct rusk_graph {
    rusk_alloc *alloc;
    rusk_model_desc desc;
    const rusk_kernels *kernels;
    rusk_pool *pool;
    unsigned n_workers;
    uint32_t n_batch, n_ctx;
    uint32_t q_dim, kv_dim; /* n_heads * head_dim, n_kv_heads * head_dim */
    bool f32_activations;

    /* Activations, one row an item. */
    float *x;       /* n_embd: the residual stream */
    float *normed;  /* n_embd */
    float *h;       /* n_embd: what a half of a layer adds to x */
    float *q;       /* q_dim */
    float *k, *v;   /* kv_dim */
    float *att;     /* q_dim */
    float *gate;    /* n_ff */
    float *up;      /* n_ff */
    rusk_acts acts; /* input of the next products; its arrays have room for the widest */
    int8_t *acts_q; /* NULL: float activations */

    double *rope_step[ROPE_KINDS]; /* rope_dims / 2: radians a position, without factors */
    float *rope_turn[ROPE_KINDS];  /* n_batch x rope_dims: rope_dims / 2 cosines, then sines */

    float *scores; /* n_workers x n_queries x scores_stride */
    size_t scores_stride;
    uint32_t n_queries; /* that a worker attends at a time, up to RUSK_ATTEND_QUERIES */
    float *head; /* n_workers x RUSK_HEAD_ROWS x RUSK_TILE_MAX_ROWS; NULL where n_batch is 1 */
    worker_error *errors; /* n_workers */

    /* Of the present run. */
    const rusk_weights_view *weights;
    const rusk_kv_view *kv;
    const rusk_graph_item *items;
    uint32_t n_rows;    /* rows of the activations in use: all items, then those that want logits */
    uint32_t *row_item; /* n_batch: item of a row */
    float **logits;     /* n_batch: where a row's logits go */
    stage_clock clock;
    rusk_stage stage; /* what the tasks of the next dispatched job are */
};

/* The clock for a stage that runs as `worker`; NULL where its time is not asked for. */
static inline stage_clock *rusk_graph_clock(rusk_graph *g, unsigned worker) {
    return worker == 0 && g->clock.sums != NULL ? &g->clock : NULL;
}

/* Time since the last mark was spent in `stage`. clock may be NULL. */
static inline void rusk_graph_mark(stage_clock *clock, rusk_stage stage) {
    if (clock != NULL) {
        const double now = rusk_clock_seconds();
        clock->sums->seconds[stage] += now - clock->last;
        clock->last = now;
    }
}

/* --- graph.c */

/* Runs task(arg, index, worker) for all indices in the pool and returns the failure with the lowest
 * index. The tasks' time is that of g->stage. */
typedef rusk_status (*graph_task)(void *arg, size_t index, unsigned worker, rusk_error *err);
rusk_status rusk_graph_dispatch(rusk_graph *g, graph_task task, void *arg, size_t n_tasks,
                                rusk_error *err);

/* --- linear.c */

/* One product of the acts: row r of matrix `slot` times row b goes to y[b * y_stride + r]. */
typedef struct graph_product {
    uint32_t slot, n_rows;
    float *y;
    size_t y_stride;
} graph_product;

/* All products read g->acts; their tiles make one job. */
rusk_status rusk_graph_multiply(rusk_graph *g, const graph_product *products, unsigned n_products,
                                rusk_error *err);
/* Logits of the acts' rows, to g->logits. */
rusk_status rusk_graph_head(rusk_graph *g, rusk_error *err);
/* Row `row` of acts->x is ready: prepares its int8 form. */
void rusk_graph_quantize(rusk_graph *g, uint32_t row);

/* --- rope.c */

/* Fills rope_step, once. */
void rusk_graph_rope_init(rusk_graph *g);
/* Fills rope_turn of a row, from its item's position and the weights' factors. */
void rusk_graph_rope_turn(rusk_graph *g, uint32_t row);
/* Rotates n_heads heads in place. */
void rusk_graph_rope(const rusk_graph *g, uint32_t layer, uint32_t row, float *heads,
                     uint32_t n_heads);

/* --- attention.c */

/* att = softmax(q K^T * scale) V for all rows and heads of a layer. */
rusk_status rusk_graph_attend(rusk_graph *g, uint32_t layer, rusk_error *err);

#endif
