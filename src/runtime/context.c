#include "runtime/context.h"

#include "base/assert.h"
#include "base/clock.h"

enum { DEFAULT_CONTEXT = 4096 };

static rusk_status check_options(const rusk_context_options *o, rusk_error *err) {
    if (o->n_batch == 0 || o->n_seq_max == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a batch and sequences of at least 1, found %u and %u",
                         o->n_batch, o->n_seq_max);
    }
    if (o->n_batch > 1U << 20 || o->n_seq_max > 1U << 16 || o->n_logits > o->n_batch) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected n_batch <= 1048576, n_seq_max <= 65536, n_logits <= n_batch, "
                         "found %u, %u, %u",
                         o->n_batch, o->n_seq_max, o->n_logits);
    }
    if (o->activations != RUSK_ACTIVATIONS_INT8 && o->activations != RUSK_ACTIVATIONS_F32) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected activations 0 (int8) or 1 (f32), found %d", (int)o->activations);
    }
    return RUSK_OK;
}

static rusk_status create_parts(rusk_context *ctx, const rusk_context_options *o, rusk_error *err) {
    const rusk_model_desc *desc = &ctx->model->desc;
    rusk_kernels_init(&ctx->kernels, o->cpu_mask);
    RUSK_TRY(rusk_pool_create(&ctx->pool, ctx->alloc, o->n_threads, err));
    RUSK_TRY(rusk_kv_create(&ctx->kv, ctx->alloc, desc, ctx->n_ctx, ctx->n_seq_max, err));
    RUSK_TRY(rusk_weights_reader_create(&ctx->reader, ctx->alloc, ctx->model->weights,
                                        rusk_pool_size(ctx->pool), err));
    RUSK_TRY(rusk_graph_create(&ctx->graph, ctx->alloc, desc, &ctx->kernels, ctx->pool,
                               ctx->n_batch, ctx->n_ctx, o->activations == RUSK_ACTIVATIONS_F32,
                               err));
    ctx->items = rusk_alloc_zero(ctx->alloc, RUSK_MEM_ACTIVATION, ctx->n_batch, sizeof *ctx->items);
    ctx->lengths = rusk_alloc_zero(ctx->alloc, RUSK_MEM_KV, ctx->n_seq_max, sizeof *ctx->lengths);
    ctx->logits = rusk_alloc_get(ctx->alloc, RUSK_MEM_ACTIVATION,
                                 (size_t)ctx->n_logits * desc->n_vocab * sizeof(float));
    if (ctx->items == NULL || ctx->lengths == NULL || ctx->logits == NULL) {
        return rusk_fail_memory(err, (size_t)ctx->n_logits * desc->n_vocab * sizeof(float),
                                "the logits");
    }
    return RUSK_OK;
}

rusk_status rusk_context_open(rusk_context **out, rusk_model *model,
                              const rusk_context_options *options, rusk_error *err) {
    *out = NULL;
    if (model->vocab_only) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a model with weights, found one opened with vocab_only");
    }
    RUSK_TRY(check_options(options, err));
    rusk_context *ctx = rusk_alloc_zero(&model->alloc, RUSK_MEM_SCRATCH, 1, sizeof *ctx);
    if (ctx == NULL) {
        return rusk_fail_memory(err, sizeof *ctx, "a context");
    }
    ctx->model = model;
    ctx->alloc = &model->alloc;
    ctx->n_ctx = options->n_ctx != 0 ? options->n_ctx
                                     : RUSK_MIN(model->desc.n_ctx_train, (uint32_t)DEFAULT_CONTEXT);
    ctx->n_batch = RUSK_MIN(options->n_batch, ctx->n_ctx);
    ctx->n_seq_max = options->n_seq_max;
    ctx->n_logits = options->n_logits != 0 ? options->n_logits : options->n_seq_max;
    ctx->n_logits = RUSK_MIN(ctx->n_logits, ctx->n_batch);
    rusk_status status = create_parts(ctx, options, err);
    if (status != RUSK_OK) {
        rusk_context_close(ctx);
        return status;
    }
    rusk_weights_usage usage;
    rusk_weights_get_usage(model->weights, &usage);
    ctx->stats.weights_hot_bytes = usage.hot_bytes + usage.stored_bytes + usage.vector_bytes;
    ctx->stats.weights_warm_bytes = usage.warm_bytes;
    *out = ctx;
    return RUSK_OK;
}

void rusk_context_close(rusk_context *ctx) {
    if (ctx == NULL) {
        return;
    }
    rusk_graph_destroy(ctx->graph);
    rusk_weights_reader_destroy(ctx->reader);
    rusk_kv_destroy(ctx->kv);
    rusk_pool_destroy(ctx->pool);
    rusk_alloc_put(ctx->alloc, ctx->items);
    rusk_alloc_put(ctx->alloc, ctx->lengths);
    rusk_alloc_put(ctx->alloc, ctx->logits);
    rusk_alloc_put(ctx->alloc, ctx);
}

static rusk_status check_item(const rusk_context *ctx, const rusk_batch_item *item, size_t i,
                              rusk_error *err) {
    if (item->sequence < 0 || (uint32_t)item->sequence >= ctx->n_seq_max) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "batch item %zu: expected a sequence in 0..%u, found %d", i,
                         ctx->n_seq_max - 1, item->sequence);
    }
    if (item->token < 0 || (uint32_t)item->token >= ctx->model->desc.n_vocab) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "batch item %zu: expected a token in 0..%u, found %d", i,
                         ctx->model->desc.n_vocab - 1, item->token);
    }
    uint32_t next = ctx->lengths[item->sequence];
    if (item->position < 0 || (uint32_t)item->position != next) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "batch item %zu: expected position %u of sequence %d, found %d", i, next,
                         item->sequence, item->position);
    }
    return RUSK_OK;
}

/* Copies the batch into ctx->items and leaves each sequence's new length in ctx->lengths. */
static rusk_status check_batch(rusk_context *ctx, const rusk_batch_item *items, size_t n,
                               rusk_error *err) {
    if (n == 0 || n > ctx->n_batch) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a batch of 1 to %u items, found %zu", ctx->n_batch, n);
    }
    for (uint32_t s = 0; s < ctx->n_seq_max; s++) {
        ctx->lengths[s] = rusk_kv_size(ctx->kv, s);
    }
    size_t n_logits = 0;
    ctx->n_items = 0;
    for (size_t i = 0; i < n; i++) {
        RUSK_TRY(check_item(ctx, &items[i], i, err));
        ctx->lengths[items[i].sequence]++;
        n_logits += items[i].wants_logits;
    }
    if (n_logits > ctx->n_logits) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "expected at most %u items that want logits, found %zu", ctx->n_logits,
                         n_logits);
    }
    if (rusk_kv_total(ctx->kv) + n > ctx->n_ctx) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "the context is full: it holds %u positions, %zu are needed", ctx->n_ctx,
                         rusk_kv_total(ctx->kv) + n);
    }
    return RUSK_OK;
}

static void fill_items(rusk_context *ctx, const rusk_batch_item *items, size_t n) {
    size_t n_logits = 0;
    for (size_t i = 0; i < n; i++) {
        ctx->items[i] = (rusk_graph_item){.token = (uint32_t)items[i].token,
                                          .position = (uint32_t)items[i].position,
                                          .sequence = (uint32_t)items[i].sequence};
        if (items[i].wants_logits) {
            ctx->items[i].logits = ctx->logits + n_logits * ctx->model->desc.n_vocab;
            n_logits++;
        }
    }
    ctx->n_items = (uint32_t)n;
}

/* A failed pass leaves no trace: each sequence goes back to where its first item stood. */
static void take_back(rusk_context *ctx, const rusk_batch_item *items, size_t n) {
    for (size_t i = n; i-- > 0;) {
        (void)rusk_kv_resize(ctx->kv, (uint32_t)items[i].sequence, (uint32_t)items[i].position,
                             NULL);
    }
    ctx->n_items = 0;
}

rusk_status rusk_context_decode(rusk_context *ctx, const rusk_batch_item *items, size_t n,
                                rusk_error *err) {
    double start = rusk_clock_seconds();
    RUSK_TRY(check_batch(ctx, items, n, err));
    for (uint32_t s = 0; s < ctx->n_seq_max; s++) {
        RUSK_TRY(rusk_kv_resize(ctx->kv, s, ctx->lengths[s], err));
    }
    fill_items(ctx, items, n);
    rusk_weights_view weights = rusk_weights_reader_view(ctx->reader);
    rusk_kv_view kv = rusk_kv_get_view(ctx->kv);
    rusk_status status = rusk_graph_run(ctx->graph, &weights, &kv, ctx->items, (uint32_t)n, err);
    if (status != RUSK_OK) {
        take_back(ctx, items, n);
        return status;
    }
    double seconds = rusk_clock_seconds() - start;
    if (n == 1) {
        ctx->stats.n_decode_tokens++;
        ctx->stats.decode_seconds += seconds;
    } else {
        ctx->stats.n_prefill_tokens += n;
        ctx->stats.prefill_seconds += seconds;
    }
    return RUSK_OK;
}

const float *rusk_context_logits(const rusk_context *ctx, size_t index) {
    return index < ctx->n_items ? ctx->items[index].logits : NULL;
}
