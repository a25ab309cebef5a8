/* graph.h - one forward pass for a batch of tokens, written once over "linear", "norm", "rope",
 * "attention", "act", and driven by the description. */
#ifndef RUSK_MODEL_GRAPH_H
#define RUSK_MODEL_GRAPH_H

#include "base/threads.h"
#include "model/views.h"

/* A description's activations and scratch, for batches up to n_batch. */
typedef struct rusk_graph rusk_graph;

typedef struct rusk_graph_item {
    uint32_t token, position, sequence;
    float *logits; /* n_vocab floats to write, NULL: not wanted */
} rusk_graph_item;

/* rope_freqs: per-pair frequency divisors (rope_dims / 2 floats; NULL: none) are taken from the
 * weights view's ROPE_FREQS slot where the description has it. n_ctx bounds positions (attention
 * scores). */
rusk_status rusk_graph_create(rusk_graph **out, rusk_alloc *alloc, const rusk_model_desc *desc,
                              const rusk_kernels *kernels, rusk_pool *pool, uint32_t n_batch,
                              uint32_t n_ctx, bool f32_activations, rusk_error *err);
void rusk_graph_destroy(rusk_graph *graph);

/* Computes n items (1..n_batch), writes their K and V to the cache and the wanted logits. Items of
 * one sequence stand in ascending positions; each attends to positions 0..its own of its sequence
 * (or its window). Bits do not depend on the split into batches or on threads. Allocates nothing.
 * The first error of a worker (by tile index) is returned. */
rusk_status rusk_graph_run(rusk_graph *graph, const rusk_weights_view *weights,
                           const rusk_kv_view *kv, const rusk_graph_item *items, uint32_t n,
                           rusk_error *err);

/* Where the next runs add their time by stage, as rusk_profile says; NULL (as after create): time
 * is not looked at. */
void rusk_graph_set_profile(rusk_graph *graph, rusk_profile *profile);

#endif
