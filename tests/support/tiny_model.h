/* tiny_model.h - tiny models made from a seed, as GGUF files: every architecture, tokenizer and
 * element type that rusk reads, in well under a second.
 *
 * Weights of float types are Gaussian and depend only on the seed, the tensor's name and its width,
 * so that the same model can be had as F32, F16 and BF16. Blocks of quantized types are random bits
 * under scales that give weights of the same size. */
#ifndef RUSK_TEST_TINY_MODEL_H
#define RUSK_TEST_TINY_MODEL_H

#include "base/alloc.h"
#include "model/desc.h"

typedef struct tiny_options {
    const char *arch;      /* "llama", "qwen2", "gemma3" */
    const char *tokenizer; /* "bpe", "spm" */
    const char *type;      /* of matrices: a name of RUSK_DTYPE_LIST; vectors are F32 */
    uint64_t seed;
    /* 0: what the architecture's tiny model has, rounded up to whole blocks of the type. */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff;
    uint32_t window;         /* gemma3 only */
    uint32_t window_pattern; /* gemma3 only; 0: the key is left out (it means 6) */
    bool untied;             /* an output.weight of its own */
    bool biases;             /* llama only: q, k, v and output biases (qwen2 always has q, k, v) */
    bool rope_freqs;         /* llama and qwen2: frequency divisors per pair */
    float rope_scaling;      /* factor of linear scaling; 0: none */
} tiny_options;

/* What `make_tiny --arch A` makes: bpe, F32, seed 1 (gemma3: spm, window 8, rope scaling 8). */
void tiny_options_default(tiny_options *o, const char *arch);

/* Writes the model. INVALID_ARGUMENT names an option that does not fit. */
rusk_status tiny_model_write(const char *path, const tiny_options *o, rusk_alloc *alloc,
                             rusk_error *err);

#endif
