#include "support/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/fp.h"
#include "base/hash.h"
#include "base/rng.h"
#include "format/gguf.h"
#include "model/arch.h"
#include "support/tiny_vocab.h"

/* Random blocks. `scale_at` holds f16 factors of the block, each a multiple of the same random
 * magnitude; `spread` is the standard deviation of the weights where that magnitude is 1 and all
 * other bits are random. Minima are such that the mean is near 0. */
typedef struct block_rule {
    rusk_dtype dtype;
    float spread;
    struct {
        uint32_t offset;
        float multiple;
    } scale_at[2];
    uint32_t n_scales;
} block_rule;

static const block_rule BLOCK_RULES[] = {
    {RUSK_DTYPE_Q4_0, 4.6F, {{0, 1}}, 1},
    {RUSK_DTYPE_Q4_1, 4.6F, {{0, 1}, {2, -7.5F}}, 2},
    {RUSK_DTYPE_Q5_0, 9.2F, {{0, 1}}, 1},
    {RUSK_DTYPE_Q5_1, 9.2F, {{0, 1}, {2, -15.5F}}, 2},
    {RUSK_DTYPE_Q8_0, 74, {{0, 1}}, 1},
    {RUSK_DTYPE_Q2_K, 14, {{80, 1}, {82, 1.5F}}, 2},
    {RUSK_DTYPE_Q3_K, 42, {{108, 1}}, 1},
    {RUSK_DTYPE_Q4_K, 255, {{0, 1}, {2, 7.5F}}, 2},
    {RUSK_DTYPE_Q5_K, 520, {{0, 1}, {2, 15.5F}}, 2},
    {RUSK_DTYPE_Q6_K, 1330, {{208, 1}}, 1},
    {RUSK_DTYPE_IQ4_NL, 67, {{0, 1}}, 1},
    {RUSK_DTYPE_IQ4_XS, 1240, {{0, 1}}, 1},
};

enum { MAX_META = 40, MAX_TENSORS = 512 };

typedef struct tiny {
    const tiny_options *o;
    rusk_model_desc desc;
    const rusk_dtype_info *dtype;
    const block_rule *rule; /* NULL for float types */
    rusk_arena arena;
    rusk_meta meta[MAX_META];
    size_t n_meta;
    uint32_t slots[MAX_TENSORS];
    size_t n_slots;
} tiny;

void tiny_options_default(tiny_options *o, const char *arch) {
    *o = (tiny_options){.arch = arch, .tokenizer = "bpe", .type = "F32", .seed = 1};
    if (strcmp(arch, "gemma3") == 0) {
        o->tokenizer = "spm";
        o->window = 8;
        o->rope_scaling = 8;
    }
}

/* --- sizes ------------------------------------------------------------------------------------ */

static uint32_t pick(uint32_t wanted, uint32_t usual) {
    return wanted != 0 ? wanted : usual;
}

/* Widths of the tiny models. Float types get widths that are no multiples of 32; block types need
 * whole blocks in each row. */
static void choose_sizes(tiny *t) {
    const tiny_options *o = t->o;
    rusk_model_desc *d = &t->desc;
    const uint32_t block = t->dtype->block_elements;
    const bool gemma = strcmp(o->arch, "gemma3") == 0, qwen = strcmp(o->arch, "qwen2") == 0;
    d->n_layers = pick(o->n_layers, gemma ? 7 : 2);
    if (block == 1) {
        d->n_embd = pick(o->n_embd, qwen ? 72 : gemma ? 56 : 64);
        d->n_heads = pick(o->n_heads, qwen ? 3 : 4);
        d->head_dim = pick(o->head_dim, qwen || gemma ? 24 : 16);
        d->n_ff = pick(o->n_ff, gemma ? 72 : 150);
    } else if (block == 32) {
        d->n_embd = pick(o->n_embd, qwen ? 96 : 64);
        d->n_heads = pick(o->n_heads, qwen ? 3 : 4);
        d->head_dim = pick(o->head_dim, qwen ? 32 : gemma ? 24 : 16);
        d->n_ff = pick(o->n_ff, 160);
    } else {
        d->n_embd = pick(o->n_embd, 256);
        d->n_heads = pick(o->n_heads, 4);
        d->head_dim = pick(o->head_dim, 64);
        d->n_ff = pick(o->n_ff, 256);
    }
    d->n_kv_heads = pick(o->n_kv_heads, d->n_heads % 2 == 0 ? d->n_heads / 2 : 1);
    d->rope_dims = d->head_dim;
}

static rusk_status choose(tiny *t, rusk_error *err) {
    const tiny_options *o = t->o;
    const rusk_arch *arch = rusk_arch_find(o->arch, strlen(o->arch));
    if (arch == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "arch: expected llama, qwen2 or gemma3, found '%s'", o->arch);
    }
#define X(name, number, elements, bytes, group)                                                    \
    if (number != RUSK_DTYPE_SYM8 && strcmp(o->type, #name) == 0) {                                \
        t->dtype = rusk_dtype_find(number);                                                        \
    }
    RUSK_DTYPE_LIST(X)
#undef X
    if (t->dtype == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "type: expected F32, F16, BF16, Q4_0 ..., found '%s'", o->type);
    }
    for (size_t i = 0; i < RUSK_COUNT(BLOCK_RULES); i++) {
        if (BLOCK_RULES[i].dtype == t->dtype->dtype) {
            t->rule = &BLOCK_RULES[i];
        }
    }
    t->desc.architecture = arch->name;
    choose_sizes(t);
    const rusk_model_desc *d = &t->desc;
    const uint32_t block = t->dtype->block_elements;
    if (d->n_embd % block != 0 || d->n_ff % block != 0 || d->n_heads * d->head_dim % block != 0 ||
        d->n_heads % d->n_kv_heads != 0 || d->n_layers * 16 + 8 > MAX_TENSORS) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "sizes: expected whole blocks of %u columns, kv heads that divide the "
                         "heads, at most %d layers",
                         block, (MAX_TENSORS - 8) / 16);
    }
    t->desc.roles = RUSK_ROLES_COMMON | arch->required;
    if (o->biases) {
        t->desc.roles |=
            arch->optional & (RUSK_ROLE_BIT(ATTN_Q_BIAS) | RUSK_ROLE_BIT(ATTN_K_BIAS) |
                              RUSK_ROLE_BIT(ATTN_V_BIAS) | RUSK_ROLE_BIT(ATTN_OUT_BIAS));
    }
    if (o->rope_freqs) {
        t->desc.roles |= arch->optional & RUSK_ROLE_BIT(ROPE_FREQS);
    }
    if (!o->untied) {
        t->desc.roles &= ~RUSK_ROLE_BIT(OUTPUT_HEAD);
    }
    return RUSK_OK;
}

/* --- metadata --------------------------------------------------------------------------------- */

static rusk_meta *add_meta(tiny *t, const char *prefix, const char *suffix, rusk_meta_type type) {
    RUSK_ASSERT(t->n_meta < MAX_META);
    rusk_meta *m = &t->meta[t->n_meta++];
    char key[128];
    int n = snprintf(key, sizeof key, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", suffix);
    *m = (rusk_meta){.key = rusk_arena_text(&t->arena, key, (size_t)n), .type = type};
    return m;
}

static void add_u32(tiny *t, const char *suffix, uint32_t value) {
    add_meta(t, t->o->arch, suffix, RUSK_META_U32)->value.u = value;
}

static void add_f32(tiny *t, const char *suffix, float value) {
    add_meta(t, t->o->arch, suffix, RUSK_META_F32)->value.f = (double)value;
}

static void add_text(tiny *t, const char *prefix, const char *suffix, const char *value) {
    add_meta(t, prefix, suffix, RUSK_META_STRING)->value.text =
        (rusk_text){.data = value, .len_bytes = strlen(value)};
}

static rusk_status describe(tiny *t, rusk_error *err) {
    const tiny_options *o = t->o;
    rusk_model_desc *d = &t->desc;
    const bool gemma = strcmp(o->arch, "gemma3") == 0;
    add_text(t, "", "general.architecture", o->arch);
    add_text(t, "", "general.name", "tiny");
    add_u32(t, "block_count", d->n_layers);
    add_u32(t, "context_length", 512);
    add_u32(t, "embedding_length", d->n_embd);
    add_u32(t, "feed_forward_length", d->n_ff);
    add_u32(t, "attention.head_count", d->n_heads);
    add_u32(t, "attention.head_count_kv", d->n_kv_heads);
    if (d->n_heads * d->head_dim != d->n_embd) {
        add_u32(t, "attention.key_length", d->head_dim);
        add_u32(t, "attention.value_length", d->head_dim);
    }
    add_f32(t, "attention.layer_norm_rms_epsilon", gemma ? 1e-6F : 1e-5F);
    add_f32(t, "rope.freq_base", gemma ? 1000000.0F : 10000.0F);
    if (strcmp(o->arch, "llama") == 0) {
        add_u32(t, "rope.dimension_count", d->rope_dims);
    }
    if (o->rope_scaling != 0) {
        add_text(t, o->arch, "rope.scaling.type", "linear");
        add_f32(t, "rope.scaling.factor", o->rope_scaling);
    }
    if (gemma && o->window != 0) {
        add_u32(t, "attention.sliding_window", o->window);
        if (o->window_pattern != 0) {
            add_u32(t, "attention.sliding_window_pattern", o->window_pattern);
        }
    }
    tiny_vocab vocab;
    if (strcmp(o->tokenizer, "bpe") == 0) {
        tiny_vocab_bpe(&t->arena, o->seed, "smollm", &vocab);
    } else if (strcmp(o->tokenizer, "spm") == 0) {
        tiny_vocab_spm(&t->arena, o->seed, !gemma, &vocab);
    } else {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "tokenizer: expected bpe or spm, found '%s'", o->tokenizer);
    }
    for (size_t i = 0; i < vocab.n_meta; i++) {
        RUSK_ASSERT(t->n_meta < MAX_META);
        t->meta[t->n_meta++] = vocab.meta[i];
    }
    d->n_vocab = vocab.n_tokens;
    return RUSK_OK;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* Mean and standard deviation of a tensor's elements: what keeps activations near 1 and logits a
 * few units apart. */
static void distribution(const tiny *t, rusk_role role, float *mean, float *spread) {
    uint64_t n_rows, n_cols;
    rusk_role_shape(&t->desc, role, &n_rows, &n_cols);
    *mean = 0;
    *spread = 0.3F; /* biases */
    if (rusk_role_is_matrix(role)) {
        bool vocabulary = role == RUSK_ROLE_TOKEN_EMBEDDING || role == RUSK_ROLE_OUTPUT_HEAD;
        *spread = (vocabulary ? 2.0F : 1.2F) / sqrtf((float)n_cols);
    } else if (role == RUSK_ROLE_ROPE_FREQS) {
        *mean = 3;
        *spread = 0.5F;
    } else if (strstr(rusk_role_text(role), "norm") != NULL) {
        *mean = 1;
        *spread = 0.1F;
    }
}

static void fill_blocks(const tiny *t, rusk_rng *rng, float spread, size_t n_blocks, uint8_t *out) {
    const uint32_t block_bytes = t->dtype->block_bytes;
    for (size_t b = 0; b < n_blocks; b++, out += block_bytes) {
        for (uint32_t i = 0; i < block_bytes; i++) {
            out[i] = (uint8_t)rusk_rng_u64(rng);
        }
        float d = spread / t->rule->spread * (float)(0.5 + rusk_rng_double(rng));
        for (uint32_t i = 0; i < t->rule->n_scales; i++) {
            rusk_store_u16(out + t->rule->scale_at[i].offset,
                           rusk_f16_from_f32(d * t->rule->scale_at[i].multiple));
        }
    }
}

static void fill_floats(rusk_dtype dtype, rusk_rng *rng, float mean, float spread, size_t n,
                        uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        float x = mean + spread * (float)rusk_rng_normal(rng);
        if (dtype == RUSK_DTYPE_F32) {
            rusk_store_f32(out + 4 * i, x);
        } else {
            rusk_store_u16(out + 2 * i,
                           dtype == RUSK_DTYPE_F16 ? rusk_f16_from_f32(x) : rusk_bf16_from_f32(x));
        }
    }
}

static const rusk_dtype_info *dtype_of(const tiny *t, rusk_role role) {
    return rusk_role_is_matrix(role) ? t->dtype : rusk_dtype_find(RUSK_DTYPE_F32);
}

static rusk_status write_tensor(tiny *t, rusk_gguf_writer *w, uint32_t slot, rusk_error *err) {
    const rusk_role role = (rusk_role)(slot % RUSK_ROLES);
    const rusk_dtype_info *dtype = dtype_of(t, role);
    uint64_t n_rows, n_cols;
    rusk_role_shape(&t->desc, role, &n_rows, &n_cols);
    const size_t n_blocks = (size_t)(n_rows * n_cols / dtype->block_elements);
    const size_t size = n_blocks * dtype->block_bytes;
    uint8_t *data = rusk_alloc_get(t->arena.alloc, RUSK_MEM_SCRATCH, size);
    if (data == NULL) {
        return rusk_fail_memory(err, size, "a tiny model's tensor");
    }
    char name[96];
    rusk_role_name(role, slot / RUSK_ROLES, name);
    rusk_rng rng = rusk_rng_seed(t->o->seed ^ rusk_hash64(name, strlen(name)));
    float mean, spread;
    distribution(t, role, &mean, &spread);
    if (dtype->block_elements > 1) {
        fill_blocks(t, &rng, spread, n_blocks, data);
    } else {
        fill_floats(dtype->dtype, &rng, mean, spread, n_blocks, data);
    }
    rusk_status status = rusk_gguf_writer_write(w, data, size, err);
    rusk_alloc_put(t->arena.alloc, data);
    return status;
}

/* In the order converters use: embedding, layers, output. */
static void list_tensors(tiny *t) {
    const rusk_model_desc *d = &t->desc;
    for (int pass = 0; pass < 3; pass++) {
        for (uint32_t layer = 0; layer < (pass == 1 ? d->n_layers : 1); layer++) {
            for (int r = 0; r < RUSK_ROLES; r++) {
                bool first = r == RUSK_ROLE_TOKEN_EMBEDDING || r == RUSK_ROLE_ROPE_FREQS;
                int wanted = !rusk_role_is_global((rusk_role)r) ? 1 : first ? 0 : 2;
                if (wanted == pass && rusk_desc_has(d, (rusk_role)r)) {
                    t->slots[t->n_slots++] = rusk_desc_slot((rusk_role)r, layer);
                }
            }
        }
    }
}

static rusk_status write_all(tiny *t, rusk_gguf_writer *w, rusk_error *err) {
    for (size_t i = 0; i < t->n_meta; i++) {
        RUSK_TRY(rusk_gguf_writer_meta(w, &t->meta[i], err));
    }
    for (size_t i = 0; i < t->n_slots; i++) {
        const rusk_role role = (rusk_role)(t->slots[i] % RUSK_ROLES);
        char name[96];
        uint64_t shape[2];
        rusk_role_name(role, t->slots[i] / RUSK_ROLES, name);
        rusk_role_shape(&t->desc, role, &shape[0], &shape[1]);
        bool matrix = rusk_role_is_matrix(role);
        RUSK_TRY(rusk_gguf_writer_tensor(w, name, matrix ? 2 : 1, matrix ? shape : shape + 1,
                                         dtype_of(t, role)->dtype, err));
    }
    RUSK_TRY(rusk_gguf_writer_begin_data(w, err));
    for (size_t i = 0; i < t->n_slots; i++) {
        RUSK_TRY(write_tensor(t, w, t->slots[i], err));
    }
    return RUSK_OK;
}

rusk_status tiny_model_write(const char *path, const tiny_options *o, rusk_alloc *alloc,
                             rusk_error *err) {
    tiny t = {.o = o};
    rusk_gguf_writer *writer = NULL;
    RUSK_TRY(choose(&t, err));
    rusk_arena_init(&t.arena, alloc, RUSK_MEM_METADATA);
    rusk_status status = describe(&t, err);
    list_tensors(&t);
    if (status == RUSK_OK) {
        status = rusk_gguf_writer_create(&writer, alloc, path, err);
    }
    if (status == RUSK_OK) {
        status = write_all(&t, writer, err);
        if (status == RUSK_OK) {
            status = rusk_gguf_writer_commit(writer, err);
        } else {
            rusk_gguf_writer_discard(writer);
        }
    }
    rusk_arena_finish(&t.arena);
    return status;
}
