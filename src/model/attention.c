/* attention.c - causal attention of a batch over the paged cache, with grouped heads (Ainslie et
 * al., 2023) and sliding windows.
 *
 * Each pair of row and head is a query and goes its own way: scores over the positions it sees,
 * softmax, weighted sum of values, each in the order of positions. What a query computes depends on
 * its position alone, never on what else stands in the batch. But the queries of a few neighbouring
 * rows, and of heads that share keys, see nearly the same positions, so that a task reads those
 * that all of them see once for all:
 *
 *     row p      first ........................ p
 *     row p + 1     first ....................... p + 1     (first moves with a window)
 *     row p + 2        first ....................... p + 2
 *                      |--------- shared --------| */
#include <string.h>

#include "base/assert.h"
#include "model/graph_impl.h"

/* Rows of a task: those behind the shared positions are their own cost. */
enum { ROWS_PER_TASK = 8 };

typedef struct attend_job {
    rusk_graph *g;
    uint32_t layer, rows_per_task, heads_per_task;
    uint32_t parts; /* of a group of heads */
} attend_job;

/* The queries of some rows, in ascending positions of one sequence: heads of row 0, row 1, ... */
typedef struct attend_set {
    const rusk_graph *g;
    uint32_t layer, sequence, n_rows, n_heads;
    size_t kv_offset;                                   /* of their key and value head */
    uint32_t first[ROWS_PER_TASK], last[ROWS_PER_TASK]; /* positions that a row sees */
    const float *q[RUSK_ATTEND_QUERIES];
    float *scores[RUSK_ATTEND_QUERIES]; /* of position first + i of its row at i */
    float *out[RUSK_ATTEND_QUERIES];
} attend_set;

typedef enum attend_step { SCORE, MIX } attend_step;

/* A step of rows row0 .. row0 + n_rows - 1 over positions from .. end - 1, page by page. */
static void walk(const attend_set *set, attend_step step, uint32_t row0, uint32_t n_rows,
                 uint32_t from, uint32_t end) {
    const rusk_graph *g = set->g;
    const uint32_t size = g->kv->page_positions;
    const uint32_t query0 = row0 * set->n_heads, n = n_rows * set->n_heads;
    while (from < end) {
        const uint32_t run = RUSK_MIN(size - from % size, end - from);
        const size_t offset = (size_t)(from % size) * g->kv_dim + set->kv_offset;
        float *scores[RUSK_ATTEND_QUERIES];
        const float *weights[RUSK_ATTEND_QUERIES];
        uint16_t *k, *v;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t row = row0 + i / set->n_heads;
            weights[i] = scores[i] = set->scores[query0 + i] + (from - set->first[row]);
        }
        g->kv->page(g->kv->self, set->layer, set->sequence, from / size, &k, &v);
        if (step == SCORE) {
            g->kernels->dots_f32_f16(set->q + query0, n, k + offset, g->kv_dim, run, scores,
                                     g->desc.head_dim);
        } else {
            g->kernels->mix_f16(weights, n, v + offset, g->kv_dim, run, set->out + query0,
                                g->desc.head_dim);
        }
        from += run;
    }
}

/* A step over all that each row sees, in ascending order: before the shared positions, they, and
 * behind. */
static void step_all(const attend_set *set, attend_step step) {
    const uint32_t shared = set->first[set->n_rows - 1], shared_end = set->last[0] + 1;
    if (shared >= shared_end) {
        for (uint32_t row = 0; row < set->n_rows; row++) {
            walk(set, step, row, 1, set->first[row], set->last[row] + 1);
        }
        return;
    }
    for (uint32_t row = 0; row < set->n_rows; row++) {
        walk(set, step, row, 1, set->first[row], shared);
    }
    walk(set, step, 0, set->n_rows, shared, shared_end);
    for (uint32_t row = 0; row < set->n_rows; row++) {
        walk(set, step, row, 1, shared_end, set->last[row] + 1);
    }
}

static void attend(const attend_set *set) {
    const rusk_graph *g = set->g;
    step_all(set, SCORE);
    for (uint32_t i = 0; i < set->n_rows * set->n_heads; i++) {
        const uint32_t row = i / set->n_heads;
        g->kernels->softmax(set->scores[i], set->last[row] - set->first[row] + 1);
        memset(set->out[i], 0, g->desc.head_dim * sizeof(float));
    }
    step_all(set, MIX);
}

/* Rows row .. end - 1, as many of them as go on in one sequence, and their heads from `head`. */
static uint32_t gather(attend_set *set, uint32_t row, uint32_t end, uint32_t head, float *scores) {
    const rusk_graph *g = set->g;
    const rusk_model_desc *d = &g->desc;
    const rusk_graph_item *before = NULL;
    set->n_rows = 0;
    for (; row < end; row++, set->n_rows++) {
        const rusk_graph_item *it = &g->items[g->row_item[row]];
        if (before != NULL &&
            (it->sequence != before->sequence || it->position <= before->position)) {
            break;
        }
        before = it;
        set->sequence = it->sequence;
        set->first[set->n_rows] = 0;
        set->last[set->n_rows] = it->position;
        if (rusk_desc_windowed(d, set->layer) && it->position >= d->window) {
            set->first[set->n_rows] = it->position - d->window + 1;
        }
        for (uint32_t i = 0; i < set->n_heads; i++) {
            const uint32_t query = set->n_rows * set->n_heads + i;
            const size_t at = (size_t)row * g->q_dim + (size_t)(head + i) * d->head_dim;
            set->q[query] = g->q + at;
            set->out[query] = g->att + at;
            set->scores[query] = scores + query * g->scores_stride;
        }
    }
    return row;
}

static rusk_status attend_task(void *arg, size_t index, unsigned worker, rusk_error *err) {
    (void)err;
    const attend_job *job = arg;
    const rusk_graph *g = job->g;
    const uint32_t group = g->desc.n_heads / g->desc.n_kv_heads;
    const uint32_t part = (uint32_t)(index % job->parts);
    const uint32_t kv_head = (uint32_t)(index / job->parts % g->desc.n_kv_heads);
    const uint32_t block = (uint32_t)(index / job->parts / g->desc.n_kv_heads);
    const uint32_t head = part * job->heads_per_task;
    attend_set set = {.g = g,
                      .layer = job->layer,
                      .n_heads = RUSK_MIN(job->heads_per_task, group - head),
                      .kv_offset = (size_t)kv_head * g->desc.head_dim};
    uint32_t row = block * job->rows_per_task;
    const uint32_t end = RUSK_MIN(row + job->rows_per_task, g->n_rows);
    while (row < end) {
        row = gather(&set, row, end, kv_head * group + head,
                     g->scores + worker * g->n_queries * g->scores_stride);
        attend(&set);
    }
    return RUSK_OK;
}

static size_t cut(attend_job *job, uint32_t heads, uint32_t rows) {
    const rusk_graph *g = job->g;
    const uint32_t group = g->desc.n_heads / g->desc.n_kv_heads;
    job->heads_per_task = heads;
    job->rows_per_task = rows;
    job->parts = (group + heads - 1) / heads;
    return (size_t)job->parts * g->desc.n_kv_heads * ((g->n_rows + rows - 1) / rows);
}

/* Large tasks share more, but all workers should have some. */
rusk_status rusk_graph_attend(rusk_graph *g, uint32_t layer, rusk_error *err) {
    attend_job job = {.g = g, .layer = layer};
    uint32_t heads = RUSK_MIN(g->desc.n_heads / g->desc.n_kv_heads, g->n_queries);
    uint32_t rows = RUSK_MIN(RUSK_MIN(g->n_queries / heads, (uint32_t)ROWS_PER_TASK), g->n_rows);
    size_t n_tasks = cut(&job, heads, rows);
    while (g->n_workers > 1 && n_tasks < 2 * (size_t)g->n_workers && rows * heads > 1) {
        if (rows > 1) {
            rows = (rows + 1) / 2;
        } else {
            heads = (heads + 1) / 2;
        }
        n_tasks = cut(&job, heads, rows);
    }
    return rusk_graph_dispatch(g, attend_task, &job, n_tasks, err);
}
