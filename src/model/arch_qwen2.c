/* arch_qwen2.c - Qwen2 and Qwen2.5 (Yang et al., 2024): Llama's graph with biases on q, k and v,
 * and RoPE over halves. */
#include "model/arch.h"

const rusk_arch rusk_arch_qwen2 = {
    .name = "qwen2",
    .required =
        RUSK_ROLE_BIT(ATTN_Q_BIAS) | RUSK_ROLE_BIT(ATTN_K_BIAS) | RUSK_ROLE_BIT(ATTN_V_BIAS),
    .optional = RUSK_ROLE_BIT(ROPE_FREQS) | RUSK_ROLE_BIT(ATTN_OUT_BIAS),
    .rope = RUSK_ROPE_HALVES,
    .act = RUSK_ACT_SILU,
};
