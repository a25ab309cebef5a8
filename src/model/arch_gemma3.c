/* arch_gemma3.c - Gemma 3, text part (Gemma Team, 2025).
 *
 * Norms before and after both halves of a layer ("sandwich"), norms of q and k by head, five layers
 * with a sliding window for each that sees everything, with a RoPE base each; embeddings scaled by
 * sqrt(n_embd). Norm gains in GGUF already hold the 1 that the paper's formula adds. */
#include "model/arch.h"

#include <math.h>

/* The 27B model scales q.k by 1/sqrt(n_embd / n_heads) (query_pre_attn_scalar 168), the others by
 * 1/sqrt(head_dim). Files say nothing about it; its layer count tells the model. */
enum { LAYERS_OF_27B = 62 };

static rusk_status describe(const rusk_source *source, rusk_model_desc *d, rusk_error *err) {
    char key[RUSK_ARCH_KEY_CAP];
    d->embedding_scale = sqrtf((float)d->n_embd);
    if (d->n_layers == LAYERS_OF_27B) {
        const uint32_t width = d->n_embd / d->n_heads;
        d->attn_scale = 1.0F / sqrtf((float)width);
    }
    RUSK_TRY(rusk_source_u32(source, rusk_arch_key(key, d, "attention.sliding_window"), 0,
                             &d->window, err));
    RUSK_TRY(rusk_source_u32(source, rusk_arch_key(key, d, "attention.sliding_window_pattern"), 6,
                             &d->window_pattern, err));
    d->rope_scale_local = 1.0F;
    RUSK_TRY(rusk_source_f32(source, rusk_arch_key(key, d, "rope.freq_base_swa"), 10000.0F,
                             &d->rope_base_local, err));
    return rusk_source_f32(source, rusk_arch_key(key, d, "final_logit_softcapping"), 0.0F,
                           &d->logit_softcap, err);
}

const rusk_arch rusk_arch_gemma3 = {
    .name = "gemma3",
    .required = RUSK_ROLE_BIT(ATTN_Q_NORM) | RUSK_ROLE_BIT(ATTN_K_NORM) |
                RUSK_ROLE_BIT(ATTN_POST_NORM) | RUSK_ROLE_BIT(FFN_POST_NORM),
    .rope = RUSK_ROPE_HALVES,
    .act = RUSK_ACT_GELU_TANH,
    .describe = describe,
};
