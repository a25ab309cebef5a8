/* context.h - a model's running state: KV cache, activations, thread pool, logits. */
#ifndef RUSK_RUNTIME_CONTEXT_H
#define RUSK_RUNTIME_CONTEXT_H

#include "model/graph.h"
#include "runtime/engine.h"
#include "runtime/kv.h"

/* The public handle. */
struct rusk_context {
    rusk_model *model;
    rusk_alloc *alloc; /* the model's */
    uint32_t n_ctx, n_batch, n_seq_max, n_logits;
    rusk_kernels kernels;
    rusk_pool *pool;
    rusk_kv *kv;
    rusk_graph *graph;
    rusk_weights_reader *reader;
    rusk_graph_item *items; /* n_batch, of the last decode */
    uint32_t n_items;
    uint32_t *lengths; /* n_seq_max: of sequences while a batch is checked */
    float *logits;     /* n_logits x n_vocab */
    rusk_stats stats;
};

/* The contracts of rusk_context_create, rusk_decode, rusk_logits (rusk.h). */
rusk_status rusk_context_open(rusk_context **out, rusk_model *model,
                              const rusk_context_options *options, rusk_error *err);
void rusk_context_close(rusk_context *ctx);
rusk_status rusk_context_decode(rusk_context *ctx, const rusk_batch_item *items, size_t n,
                                rusk_error *err);
const float *rusk_context_logits(const rusk_context *ctx, size_t index);

#endif
