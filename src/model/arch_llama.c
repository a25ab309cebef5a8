/* arch_llama.c - Llama (Touvron et al., 2023) and what shares its graph: Mistral, SmolLM,
 * TinyLlama.
 *
 * GGUF files store the rows of attn_q and attn_k permuted, so that RoPE rotates neighbouring pairs.
 * Llama 3's frequency factors come as the tensor rope_freqs. */
#include "model/arch.h"

const rusk_arch rusk_arch_llama = {
    .name = "llama",
    .optional = RUSK_ROLE_BIT(ROPE_FREQS) | RUSK_ROLE_BIT(ATTN_Q_BIAS) |
                RUSK_ROLE_BIT(ATTN_K_BIAS) | RUSK_ROLE_BIT(ATTN_V_BIAS) |
                RUSK_ROLE_BIT(ATTN_OUT_BIAS),
    .rope = RUSK_ROPE_PAIRS,
    .act = RUSK_ACT_SILU,
};
