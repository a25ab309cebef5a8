/* desc.h - the generic decoder description: a transformer decoder as data.
 *
 * An architecture (arch.h) fills it from a source's metadata; graph.c reads it. A new architecture
 * is usually a table, not code. */
#ifndef RUSK_MODEL_DESC_H
#define RUSK_MODEL_DESC_H

#include <stdbool.h>
#include <stdint.h>

/* Roles of tensors.  X(name, role text, GGUF name pattern, kind)
 * kind: G global, L one per layer ("%u" is the layer); M matrix, V vector. */
#define RUSK_ROLE_LIST(X)                                                                          \
    X(TOKEN_EMBEDDING, "token_embedding", "token_embd.weight", G, M)                               \
    X(OUTPUT_HEAD, "output_head", "output.weight", G, M)                                           \
    X(OUTPUT_NORM, "output_norm", "output_norm.weight", G, V)                                      \
    X(ROPE_FREQS, "rope_freqs", "rope_freqs.weight", G, V)                                         \
    X(ATTN_NORM, "attn_norm", "blk.%u.attn_norm.weight", L, V)                                     \
    X(ATTN_Q, "attn_q", "blk.%u.attn_q.weight", L, M)                                              \
    X(ATTN_K, "attn_k", "blk.%u.attn_k.weight", L, M)                                              \
    X(ATTN_V, "attn_v", "blk.%u.attn_v.weight", L, M)                                              \
    X(ATTN_Q_BIAS, "attn_q_bias", "blk.%u.attn_q.bias", L, V)                                      \
    X(ATTN_K_BIAS, "attn_k_bias", "blk.%u.attn_k.bias", L, V)                                      \
    X(ATTN_V_BIAS, "attn_v_bias", "blk.%u.attn_v.bias", L, V)                                      \
    X(ATTN_Q_NORM, "attn_q_norm", "blk.%u.attn_q_norm.weight", L, V)                               \
    X(ATTN_K_NORM, "attn_k_norm", "blk.%u.attn_k_norm.weight", L, V)                               \
    X(ATTN_OUT, "attn_output", "blk.%u.attn_output.weight", L, M)                                  \
    X(ATTN_OUT_BIAS, "attn_output_bias", "blk.%u.attn_output.bias", L, V)                          \
    X(ATTN_POST_NORM, "attn_post_norm", "blk.%u.post_attention_norm.weight", L, V)                 \
    X(FFN_NORM, "ffn_norm", "blk.%u.ffn_norm.weight", L, V)                                        \
    X(FFN_GATE, "ffn_gate", "blk.%u.ffn_gate.weight", L, M)                                        \
    X(FFN_UP, "ffn_up", "blk.%u.ffn_up.weight", L, M)                                              \
    X(FFN_DOWN, "ffn_down", "blk.%u.ffn_down.weight", L, M)                                        \
    X(FFN_POST_NORM, "ffn_post_norm", "blk.%u.post_ffw_norm.weight", L, V)

typedef enum rusk_role {
#define X(name, text, pattern, scope, kind) RUSK_ROLE_##name,
    RUSK_ROLE_LIST(X)
#undef X
        RUSK_ROLES
} rusk_role;

typedef enum rusk_rope_kind {
    RUSK_ROPE_PAIRS, /* rotates (2i, 2i+1): llama's GGUF layout */
    RUSK_ROPE_HALVES /* rotates (i, i + dims/2): GPT-NeoX layout; qwen2, gemma3 */
} rusk_rope_kind;

typedef enum rusk_act_kind { RUSK_ACT_SILU, RUSK_ACT_GELU_TANH } rusk_act_kind;

typedef struct rusk_model_desc {
    const char *architecture;
    uint32_t n_layers, n_embd, n_ff, n_vocab;
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t n_ctx_train;
    float norm_eps;
    float attn_scale;      /* of q.k, 1/sqrt(head_dim) unless the architecture says otherwise */
    float embedding_scale; /* of the looked-up embedding; 1 where there is none */
    float logit_softcap;   /* 0: none */
    rusk_act_kind act;
    rusk_rope_kind rope;
    uint32_t rope_dims;
    float rope_base, rope_scale; /* of global layers; angles are multiplied by rope_scale */
    float rope_base_local, rope_scale_local; /* of windowed layers */
    uint32_t window;         /* positions a windowed layer sees, itself included; 0: no windows */
    uint32_t window_pattern; /* layer i sees everything where (i + 1) % window_pattern == 0; 0:
                                every layer is windowed */
    bool tied_head;          /* OUTPUT_HEAD is TOKEN_EMBEDDING */
    uint32_t roles;          /* bit mask of the roles a layer (or the model) has */
} rusk_model_desc;

static inline bool rusk_desc_has(const rusk_model_desc *d, rusk_role role) {
    return (d->roles >> role & 1U) != 0;
}

static inline bool rusk_desc_windowed(const rusk_model_desc *d, uint32_t layer) {
    return d->window > 0 && (d->window_pattern == 0 || (layer + 1) % d->window_pattern != 0);
}

/* Tensor slot: globals first, then each layer's. Views are addressed by it. */
static inline uint32_t rusk_desc_slot(rusk_role role, uint32_t layer) {
    return layer * RUSK_ROLES + (uint32_t)role; /* globals use layer 0's slots */
}

static inline uint32_t rusk_desc_n_slots(const rusk_model_desc *d) {
    return d->n_layers * RUSK_ROLES;
}

#endif
