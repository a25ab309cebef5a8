/* attention.c - causal attention of a batch over the paged cache, with grouped heads (Ainslie et
 * al., 2023) and sliding windows.
 *
 * Each pair of row and head goes its own way: scores over the positions it sees, softmax, weighted
 * sum of values, each in the order of positions. What a pair computes depends on its position
 * alone, never on what else stands in the batch. */
#include <string.h>

#include "base/assert.h"
#include "model/graph_impl.h"

/* Rows of one task share the keys they read, which stay in the core's cache. */
enum { ROWS_PER_TASK = 8 };

typedef struct attend_job {
    rusk_graph *g;
    uint32_t layer, rows_per_task;
} attend_job;

/* Positions first .. last of a sequence, in runs that lie in one page. */
typedef struct page_walk {
    const rusk_kv_view *kv;
    uint32_t layer, sequence, next, last;
    size_t stride; /* halves from a position to the next */
} page_walk;

typedef struct page_run {
    uint32_t position, n;
    const uint16_t *k, *v;
} page_run;

static bool next_run(page_walk *w, page_run *run) {
    if (w->next > w->last) {
        return false;
    }
    const uint32_t size = w->kv->page_positions;
    const uint32_t offset = w->next % size;
    uint16_t *k, *v;
    w->kv->page(w->kv->self, w->layer, w->sequence, w->next / size, &k, &v);
    *run = (page_run){.position = w->next,
                      .n = RUSK_MIN(size - offset, w->last - w->next + 1),
                      .k = k + offset * w->stride,
                      .v = v + offset * w->stride};
    w->next += run->n;
    return true;
}

static void attend(const rusk_graph *g, uint32_t layer, uint32_t row, uint32_t head,
                   float *scores) {
    const rusk_model_desc *d = &g->desc;
    const rusk_graph_item *it = &g->items[g->row_item[row]];
    const size_t dim = d->head_dim;
    const size_t kv_offset = head / (d->n_heads / d->n_kv_heads) * dim;
    const float *q = g->q + (size_t)row * g->q_dim + head * dim;
    float *out = g->att + (size_t)row * g->q_dim + head * dim;
    uint32_t first = 0;
    if (rusk_desc_windowed(d, layer) && it->position >= d->window) {
        first = it->position - d->window + 1;
    }
    const page_walk start = {.kv = g->kv,
                             .layer = layer,
                             .sequence = it->sequence,
                             .next = first,
                             .last = it->position,
                             .stride = g->kv_dim};
    page_run run;
    for (page_walk w = start; next_run(&w, &run);) {
        float *s = scores + (run.position - first);
        g->kernels->dots_f32_f16(q, run.k + kv_offset, w.stride, run.n, s, dim);
        for (uint32_t i = 0; i < run.n; i++) {
            s[i] *= d->attn_scale;
        }
    }
    g->kernels->softmax(scores, it->position - first + 1);
    memset(out, 0, dim * sizeof *out);
    for (page_walk w = start; next_run(&w, &run);) {
        const float *s = scores + (run.position - first);
        g->kernels->mix_f16(s, run.v + kv_offset, w.stride, run.n, out, dim);
    }
}

static rusk_status attend_task(void *arg, size_t index, unsigned worker, rusk_error *err) {
    (void)err;
    const attend_job *job = arg;
    const rusk_graph *g = job->g;
    float *scores = g->scores + worker * g->scores_stride;
    const uint32_t head = (uint32_t)(index % g->desc.n_heads);
    const uint32_t first = (uint32_t)(index / g->desc.n_heads) * job->rows_per_task;
    const uint32_t end = RUSK_MIN(first + job->rows_per_task, g->n_rows);
    for (uint32_t row = first; row < end; row++) {
        attend(g, job->layer, row, head, scores);
    }
    return RUSK_OK;
}

rusk_status rusk_graph_attend(rusk_graph *g, uint32_t layer, rusk_error *err) {
    attend_job job = {.g = g, .layer = layer};
    job.rows_per_task = g->n_rows >= 2 * ROWS_PER_TASK ? ROWS_PER_TASK : 1;
    const size_t n_blocks = (g->n_rows + job.rows_per_task - 1) / job.rows_per_task;
    return rusk_graph_dispatch(g, attend_task, &job, n_blocks * g->desc.n_heads, err);
}
