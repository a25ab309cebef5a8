/* graph.c - the forward pass: which stage follows which, driven by the description.
 *
 *     x = embedding
 *     per layer:   normed = norm(x)      q, k, v = products
 *                  bias, norm, RoPE;     k, v to the cache
 *                  attention             x += [norm](product)
 *                  normed = norm(x)      gate, up = products
 *                  gate = act(gate) * up x += [norm](product)
 *     logits = product(norm(x)), for the rows that want them
 *
 * Products and attention are jobs of the pool; what stands between them works row by row, and is
 * run in place for a few rows, so that decoding one token pays five barriers a layer. In the last
 * layer only rows that want logits go on past the cache. */
#include "model/graph.h"

#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "model/graph_impl.h"

/* --- life cycle ------------------------------------------------------------------------------- */

/* n * m elements of `size` bytes; NULL where there is no memory or the product overflows. */
static void *get_array(rusk_graph *g, rusk_mem_tag tag, uint64_t n, uint64_t m, uint64_t size) {
    uint64_t bytes;
    if (!rusk_mul_u64(n, m, &bytes) || !rusk_mul_u64(bytes, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    return rusk_alloc_get(g->alloc, tag, (size_t)bytes);
}

static float *get_floats(rusk_graph *g, uint64_t n, uint64_t m) {
    return get_array(g, RUSK_MEM_ACTIVATION, n, m, sizeof(float));
}

static bool get_activations(rusk_graph *g) {
    const rusk_model_desc *d = &g->desc;
    const uint64_t n = g->n_batch;
    g->x = get_floats(g, n, d->n_embd);
    g->normed = get_floats(g, n, d->n_embd);
    g->h = get_floats(g, n, d->n_embd);
    g->q = get_floats(g, n, g->q_dim);
    g->k = get_floats(g, n, g->kv_dim);
    g->v = get_floats(g, n, g->kv_dim);
    g->att = get_floats(g, n, g->q_dim);
    g->gate = get_floats(g, n, d->n_ff);
    g->up = get_floats(g, n, d->n_ff);
    g->row_item = get_array(g, RUSK_MEM_ACTIVATION, n, 1, sizeof *g->row_item);
    g->logits = get_array(g, RUSK_MEM_ACTIVATION, n, 1, sizeof *g->logits);
    bool ok = g->x != NULL && g->normed != NULL && g->h != NULL && g->q != NULL && g->k != NULL &&
              g->v != NULL && g->att != NULL && g->gate != NULL && g->up != NULL &&
              g->row_item != NULL && g->logits != NULL;
    if (ok && !g->f32_activations) {
        const uint64_t widest = RUSK_MAX(RUSK_MAX(d->n_embd, d->n_ff), g->q_dim);
        const uint64_t n_groups = (widest + RUSK_GROUP - 1) / RUSK_GROUP;
        g->acts_q = get_array(g, RUSK_MEM_ACTIVATION, n, n_groups * RUSK_GROUP, 1);
        g->acts.scale = get_floats(g, n, n_groups);
        g->acts.sum16 = get_floats(g, n, n_groups * 2);
        ok = g->acts_q != NULL && g->acts.scale != NULL && g->acts.sum16 != NULL;
    }
    for (int kind = 0; ok && kind < ROPE_KINDS; kind++) {
        g->rope_step[kind] = get_array(g, RUSK_MEM_ACTIVATION, d->rope_dims / 2, 1, sizeof(double));
        g->rope_turn[kind] = get_floats(g, n, d->rope_dims);
        ok = g->rope_step[kind] != NULL && g->rope_turn[kind] != NULL;
    }
    return ok;
}

/* As many as have scores in half a second-level cache (1 MB is usual), but at least 4, for which
 * kernels share most. */
static uint32_t count_queries(const rusk_graph *g) {
    enum { SCORES_BYTES = 1 << 19 };
    const uint64_t group = g->desc.n_heads / g->desc.n_kv_heads;
    const uint64_t fit = RUSK_MAX(SCORES_BYTES / (g->scores_stride * sizeof(float)), (size_t)4);
    return (uint32_t)RUSK_MIN(RUSK_MIN(fit, g->n_batch * group), (uint64_t)RUSK_ATTEND_QUERIES);
}

static bool get_scratch(rusk_graph *g) {
    /* Cache lines, so that workers share none; an odd number, so that queries share no set. */
    g->scores_stride = (((size_t)g->n_ctx + 15) / 16 | 1) * 16;
    g->n_queries = count_queries(g);
    g->scores = get_array(g, RUSK_MEM_SCRATCH, (uint64_t)g->n_workers * g->n_queries,
                          g->scores_stride, sizeof *g->scores);
    g->errors = get_array(g, RUSK_MEM_SCRATCH, g->n_workers, 1, sizeof *g->errors);
    bool ok = g->scores != NULL && g->errors != NULL;
    if (ok && g->n_batch > 1) {
        g->head = get_array(g, RUSK_MEM_SCRATCH, g->n_workers,
                            (size_t)RUSK_HEAD_ROWS * RUSK_TILE_MAX_ROWS, sizeof *g->head);
        ok = g->head != NULL;
    }
    return ok;
}

rusk_status rusk_graph_create(rusk_graph **out, rusk_alloc *alloc, const rusk_model_desc *desc,
                              const rusk_kernels *kernels, rusk_pool *pool, uint32_t n_batch,
                              uint32_t n_ctx, bool f32_activations, rusk_error *err) {
    *out = NULL;
    if (n_batch == 0 || n_ctx == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "graph: expected room for at least one token and position, found a batch "
                         "of %u and a context of %u",
                         n_batch, n_ctx);
    }
    rusk_graph *g = rusk_alloc_zero(alloc, RUSK_MEM_ACTIVATION, 1, sizeof *g);
    if (g == NULL) {
        return rusk_fail_memory(err, sizeof *g, "the graph");
    }
    g->alloc = alloc;
    g->desc = *desc;
    g->kernels = kernels;
    g->pool = pool;
    g->n_workers = rusk_pool_size(pool);
    g->n_batch = n_batch;
    g->n_ctx = n_ctx;
    g->q_dim = desc->n_heads * desc->head_dim;
    g->kv_dim = desc->n_kv_heads * desc->head_dim;
    g->f32_activations = f32_activations;
    if (!get_activations(g) || !get_scratch(g)) {
        rusk_graph_destroy(g);
        return rusk_fail(err, RUSK_NO_MEMORY, RUSK_NO_OFFSET,
                         "no memory for the activations of a batch of %u tokens in a context of %u",
                         n_batch, n_ctx);
    }
    rusk_graph_rope_init(g);
    *out = g;
    return RUSK_OK;
}

void rusk_graph_destroy(rusk_graph *g) {
    if (g == NULL) {
        return;
    }
    void *arrays[] = {g->x,
                      g->normed,
                      g->h,
                      g->q,
                      g->k,
                      g->v,
                      g->att,
                      g->gate,
                      g->up,
                      g->row_item,
                      g->logits,
                      g->acts_q,
                      g->acts.scale,
                      g->acts.sum16,
                      g->rope_step[ROPE_GLOBAL],
                      g->rope_step[ROPE_LOCAL],
                      g->rope_turn[ROPE_GLOBAL],
                      g->rope_turn[ROPE_LOCAL],
                      g->scores,
                      g->errors,
                      g->head};
    for (size_t i = 0; i < RUSK_COUNT(arrays); i++) {
        rusk_alloc_put(g->alloc, arrays[i]);
    }
    rusk_alloc_put(g->alloc, g);
}

/* --- jobs ------------------------------------------------------------------------------------- */

typedef struct dispatched {
    rusk_graph *g;
    graph_task task;
    void *arg;
} dispatched;

static void run_task(void *arg, size_t index, unsigned worker) {
    const dispatched *job = arg;
    worker_error *e = &job->g->errors[worker];
    stage_clock *clock = rusk_graph_clock(job->g, worker);
    rusk_graph_mark(clock, RUSK_STAGE_WAIT);
    if (e->status == RUSK_OK) {
        e->status = job->task(job->arg, index, worker, &e->error);
        e->index = index;
    }
    rusk_graph_mark(clock, job->g->stage);
}

rusk_status rusk_graph_dispatch(rusk_graph *g, graph_task task, void *arg, size_t n_tasks,
                                rusk_error *err) {
    dispatched job = {.g = g, .task = task, .arg = arg};
    for (unsigned w = 0; w < g->n_workers; w++) {
        g->errors[w].status = RUSK_OK;
    }
    rusk_graph_mark(rusk_graph_clock(g, 0), RUSK_STAGE_OTHER);
    rusk_pool_run(g->pool, run_task, &job, n_tasks);
    rusk_graph_mark(rusk_graph_clock(g, 0), RUSK_STAGE_WAIT);
    const worker_error *first = NULL;
    for (unsigned w = 0; w < g->n_workers; w++) {
        const worker_error *e = &g->errors[w];
        if (e->status != RUSK_OK && (first == NULL || e->index < first->index)) {
            first = e;
        }
    }
    if (first == NULL) {
        return RUSK_OK;
    }
    if (err != NULL) {
        *err = first->error;
    }
    return first->status;
}

typedef void (*row_stage)(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock);

typedef struct rows_job {
    rusk_graph *g;
    row_stage stage;
    uint32_t layer;
} rows_job;

enum { ROWS_PER_TASK = 4 }; /* up to as many rows run in place */

static void run_rows(void *arg, size_t index, unsigned worker) {
    const rows_job *job = arg;
    stage_clock *clock = rusk_graph_clock(job->g, worker);
    rusk_graph_mark(clock, RUSK_STAGE_WAIT);
    const uint32_t first = (uint32_t)index * ROWS_PER_TASK;
    const uint32_t end = RUSK_MIN(first + ROWS_PER_TASK, job->g->n_rows);
    for (uint32_t row = first; row < end; row++) {
        job->stage(job->g, job->layer, row, clock);
    }
}

static void each_row(rusk_graph *g, row_stage stage, uint32_t layer) {
    rows_job job = {.g = g, .stage = stage, .layer = layer};
    rusk_graph_mark(rusk_graph_clock(g, 0), RUSK_STAGE_OTHER);
    rusk_pool_run(g->pool, run_rows, &job, (g->n_rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK);
    rusk_graph_mark(rusk_graph_clock(g, 0), RUSK_STAGE_WAIT);
}

/* What the next products read. The stage that follows fills rows and quantizes them. */
static void set_input(rusk_graph *g, const float *x, uint32_t n_cols) {
    g->acts.n_rows = g->n_rows;
    g->acts.n_cols = n_cols;
    g->acts.n_groups = (n_cols + RUSK_GROUP - 1) / RUSK_GROUP;
    g->acts.x = x;
    g->acts.q = g->acts_q;
}

/* --- stages of one row ------------------------------------------------------------------------ */

/* NULL where the model has none. */
static const float *vector(const rusk_graph *g, rusk_role role, uint32_t layer) {
    return rusk_desc_has(&g->desc, role)
               ? g->weights->vector(g->weights->self, rusk_desc_slot(role, layer))
               : NULL;
}

static void add_bias(const rusk_graph *g, rusk_role role, uint32_t layer, float *y, uint32_t n) {
    const float *bias = vector(g, role, layer);
    if (bias != NULL) {
        g->kernels->add(y, bias, n);
    }
}

static void norm_input(rusk_graph *g, rusk_role role, uint32_t layer, uint32_t row,
                       stage_clock *clock) {
    const size_t at = (size_t)row * g->desc.n_embd;
    g->kernels->rms_norm(g->x + at, vector(g, role, layer), g->desc.n_embd, g->desc.norm_eps,
                         g->normed + at);
    rusk_graph_mark(clock, RUSK_STAGE_NORM);
    rusk_graph_quantize(g, row);
    rusk_graph_mark(clock, RUSK_STAGE_QUANTIZE);
}

static void enter_layer(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    norm_input(g, RUSK_ROLE_ATTN_NORM, layer, row, clock);
}

static void norm_heads(const rusk_graph *g, rusk_role role, uint32_t layer, float *heads,
                       uint32_t n_heads) {
    const float *gain = vector(g, role, layer);
    for (uint32_t head = 0; gain != NULL && head < n_heads; head++) {
        float *x = heads + (size_t)head * g->desc.head_dim;
        g->kernels->rms_norm(x, gain, g->desc.head_dim, g->desc.norm_eps, x);
    }
}

static void store(const rusk_graph *g, uint32_t layer, uint32_t row, const float *k,
                  const float *v) {
    const rusk_graph_item *item = &g->items[g->row_item[row]];
    const uint32_t size = g->kv->page_positions;
    const size_t offset = (size_t)(item->position % size) * g->kv_dim;
    uint16_t *k_page, *v_page;
    g->kv->page(g->kv->self, layer, item->sequence, item->position / size, &k_page, &v_page);
    g->kernels->to_f16(k, k_page + offset, g->kv_dim);
    g->kernels->to_f16(v, v_page + offset, g->kv_dim);
}

static void finish_qkv(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    const rusk_model_desc *d = &g->desc;
    float *q = g->q + (size_t)row * g->q_dim;
    float *k = g->k + (size_t)row * g->kv_dim;
    float *v = g->v + (size_t)row * g->kv_dim;
    add_bias(g, RUSK_ROLE_ATTN_Q_BIAS, layer, q, g->q_dim);
    add_bias(g, RUSK_ROLE_ATTN_K_BIAS, layer, k, g->kv_dim);
    add_bias(g, RUSK_ROLE_ATTN_V_BIAS, layer, v, g->kv_dim);
    rusk_graph_mark(clock, RUSK_STAGE_ADD);
    norm_heads(g, RUSK_ROLE_ATTN_Q_NORM, layer, q, d->n_heads);
    norm_heads(g, RUSK_ROLE_ATTN_K_NORM, layer, k, d->n_kv_heads);
    rusk_graph_mark(clock, RUSK_STAGE_NORM);
    rusk_graph_rope(g, layer, row, q, d->n_heads);
    rusk_graph_rope(g, layer, row, k, d->n_kv_heads);
    for (uint32_t i = 0; i < g->q_dim; i++) { /* here, not score by score */
        q[i] *= d->attn_scale;
    }
    rusk_graph_mark(clock, RUSK_STAGE_ROPE);
    store(g, layer, row, k, v);
    rusk_graph_mark(clock, RUSK_STAGE_STORE);
}

static void quantize_input(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    (void)layer;
    rusk_graph_quantize(g, row);
    rusk_graph_mark(clock, RUSK_STAGE_QUANTIZE);
}

/* x += h, with the bias and norm that some architectures put between. */
static void add_half(rusk_graph *g, rusk_role post_norm, uint32_t layer, uint32_t row,
                     stage_clock *clock) {
    const uint32_t n = g->desc.n_embd;
    float *h = g->h + (size_t)row * n;
    const float *gain = vector(g, post_norm, layer);
    if (gain != NULL) {
        g->kernels->rms_norm(h, gain, n, g->desc.norm_eps, h);
        rusk_graph_mark(clock, RUSK_STAGE_NORM);
    }
    g->kernels->add(g->x + (size_t)row * n, h, n);
    rusk_graph_mark(clock, RUSK_STAGE_ADD);
}

static void enter_ffn(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    add_bias(g, RUSK_ROLE_ATTN_OUT_BIAS, layer, g->h + (size_t)row * g->desc.n_embd,
             g->desc.n_embd);
    rusk_graph_mark(clock, RUSK_STAGE_ADD);
    add_half(g, RUSK_ROLE_ATTN_POST_NORM, layer, row, clock);
    norm_input(g, RUSK_ROLE_FFN_NORM, layer, row, clock);
}

static void activate(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    (void)layer;
    const uint32_t n = g->desc.n_ff;
    float *gate = g->gate + (size_t)row * n;
    const float *up = g->up + (size_t)row * n;
    if (g->desc.act == RUSK_ACT_SILU) {
        g->kernels->silu_mul(gate, up, n, gate);
    } else {
        g->kernels->gelu_mul(gate, up, n, gate);
    }
    rusk_graph_mark(clock, RUSK_STAGE_ACTIVATION);
    rusk_graph_quantize(g, row);
    rusk_graph_mark(clock, RUSK_STAGE_QUANTIZE);
}

/* The end of a layer, and the norm of what comes next. */
static void leave_layer(rusk_graph *g, uint32_t layer, uint32_t row, stage_clock *clock) {
    add_half(g, RUSK_ROLE_FFN_POST_NORM, layer, row, clock);
    if (layer + 1 < g->desc.n_layers) {
        norm_input(g, RUSK_ROLE_ATTN_NORM, layer + 1, row, clock);
    } else {
        norm_input(g, RUSK_ROLE_OUTPUT_NORM, 0, row, clock);
    }
}

/* --- the pass --------------------------------------------------------------------------------- */

static rusk_status embed(void *arg, size_t row, unsigned worker, rusk_error *err) {
    rusk_graph *g = arg;
    const rusk_model_desc *d = &g->desc;
    const rusk_weights_view *w = g->weights;
    float *x = g->x + row * d->n_embd;
    RUSK_TRY(w->row(w->self, rusk_desc_slot(RUSK_ROLE_TOKEN_EMBEDDING, 0),
                    g->items[g->row_item[row]].token, worker, x, err));
    for (uint32_t i = 0; d->embedding_scale != 1.0F && i < d->n_embd; i++) {
        x[i] *= d->embedding_scale;
    }
    rusk_graph_mark(rusk_graph_clock(g, worker), RUSK_STAGE_EMBEDDING);
    rusk_graph_rope_turn(g, (uint32_t)row);
    return RUSK_OK;
}

/* Moves the rows that want logits to the front; what follows computes nothing else. */
static void keep_wanted(rusk_graph *g) {
    uint32_t n = 0;
    for (uint32_t row = 0; row < g->n_rows; row++) {
        float *logits = g->items[g->row_item[row]].logits;
        if (logits == NULL) {
            continue;
        }
        if (n < row) {
            memcpy(g->x + (size_t)n * g->desc.n_embd, g->x + (size_t)row * g->desc.n_embd,
                   g->desc.n_embd * sizeof *g->x);
            memcpy(g->q + (size_t)n * g->q_dim, g->q + (size_t)row * g->q_dim,
                   g->q_dim * sizeof *g->q);
        }
        g->row_item[n] = g->row_item[row];
        g->logits[n++] = logits;
    }
    g->n_rows = n;
}

/* Keys and values of all rows to the cache. */
static rusk_status run_qkv(rusk_graph *g, uint32_t layer, rusk_error *err) {
    const graph_product qkv[] = {
        {rusk_desc_slot(RUSK_ROLE_ATTN_Q, layer), g->q_dim, g->q, g->q_dim},
        {rusk_desc_slot(RUSK_ROLE_ATTN_K, layer), g->kv_dim, g->k, g->kv_dim},
        {rusk_desc_slot(RUSK_ROLE_ATTN_V, layer), g->kv_dim, g->v, g->kv_dim},
    };
    g->stage = RUSK_STAGE_QKV;
    RUSK_TRY(rusk_graph_multiply(g, qkv, 3, err));
    each_row(g, finish_qkv, layer);
    return RUSK_OK;
}

static rusk_status run_attention(rusk_graph *g, uint32_t layer, rusk_error *err) {
    const rusk_model_desc *d = &g->desc;
    g->stage = RUSK_STAGE_ATTENTION;
    RUSK_TRY(rusk_graph_attend(g, layer, err));
    set_input(g, g->att, g->q_dim);
    each_row(g, quantize_input, layer);
    const graph_product out = {rusk_desc_slot(RUSK_ROLE_ATTN_OUT, layer), d->n_embd, g->h,
                               d->n_embd};
    g->stage = RUSK_STAGE_OUTPUT;
    return rusk_graph_multiply(g, &out, 1, err);
}

static rusk_status run_ffn(rusk_graph *g, uint32_t layer, rusk_error *err) {
    const rusk_model_desc *d = &g->desc;
    const graph_product both[] = {
        {rusk_desc_slot(RUSK_ROLE_FFN_GATE, layer), d->n_ff, g->gate, d->n_ff},
        {rusk_desc_slot(RUSK_ROLE_FFN_UP, layer), d->n_ff, g->up, d->n_ff},
    };
    set_input(g, g->normed, d->n_embd);
    each_row(g, enter_ffn, layer);
    g->stage = RUSK_STAGE_GATE_UP;
    RUSK_TRY(rusk_graph_multiply(g, both, 2, err));
    set_input(g, g->gate, d->n_ff);
    each_row(g, activate, layer);
    const graph_product down = {rusk_desc_slot(RUSK_ROLE_FFN_DOWN, layer), d->n_embd, g->h,
                                d->n_embd};
    g->stage = RUSK_STAGE_DOWN;
    RUSK_TRY(rusk_graph_multiply(g, &down, 1, err));
    set_input(g, g->normed, d->n_embd);
    each_row(g, leave_layer, layer);
    return RUSK_OK;
}

static rusk_status check_items(const rusk_graph *g, const rusk_graph_item *items, uint32_t n,
                               rusk_error *err) {
    if (n == 0 || n > g->n_batch) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "batch: expected 1 to %u tokens, found %u", g->n_batch, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (items[i].token >= g->desc.n_vocab) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "batch item %u: expected a token below %u, found %u", i,
                             g->desc.n_vocab, items[i].token);
        }
        if (items[i].position >= g->n_ctx) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "batch item %u: expected a position below %u, found %u", i, g->n_ctx,
                             items[i].position);
        }
    }
    return RUSK_OK;
}

static rusk_status run_pass(rusk_graph *g, uint32_t n, rusk_error *err) {
    g->n_rows = n;
    for (uint32_t row = 0; row < n; row++) {
        g->row_item[row] = row;
    }
    g->stage = RUSK_STAGE_ROPE; /* what follows the lookup in its tasks */
    RUSK_TRY(rusk_graph_dispatch(g, embed, g, n, err));
    set_input(g, g->normed, g->desc.n_embd);
    each_row(g, enter_layer, 0);
    for (uint32_t layer = 0; layer < g->desc.n_layers; layer++) {
        RUSK_TRY(run_qkv(g, layer, err));
        if (layer + 1 == g->desc.n_layers) {
            keep_wanted(g);
            if (g->n_rows == 0) {
                return RUSK_OK;
            }
        }
        RUSK_TRY(run_attention(g, layer, err));
        RUSK_TRY(run_ffn(g, layer, err));
    }
    g->stage = RUSK_STAGE_HEAD;
    return rusk_graph_head(g, err);
}

rusk_status rusk_graph_run(rusk_graph *g, const rusk_weights_view *weights, const rusk_kv_view *kv,
                           const rusk_graph_item *items, uint32_t n, rusk_error *err) {
    RUSK_TRY(check_items(g, items, n, err));
    g->weights = weights;
    g->kv = kv;
    g->items = items;
    rusk_profile *profile = g->clock.sums;
    if (profile != NULL) {
        g->clock.last = rusk_clock_seconds();
    }
    const rusk_status status = run_pass(g, n, err);
    rusk_graph_mark(rusk_graph_clock(g, 0), RUSK_STAGE_OTHER);
    if (profile != NULL && status == RUSK_OK) {
        profile->n_passes++;
        profile->n_tokens += n;
    }
    return status;
}

void rusk_graph_set_profile(rusk_graph *g, rusk_profile *profile) {
    g->clock.sums = profile;
}
