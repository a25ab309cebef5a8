/* arch.c - metadata to description: the part that all architectures share.
 *
 * Reads the widths, heads, norm and RoPE keys that GGUF names alike for every architecture, lets
 * the architecture fill in what is its own, and then checks the whole: each number bounded, all of
 * them consistent. What passes here is safe to compute with in 32 bits. */
#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

const char *rusk_arch_key(char buf[RUSK_ARCH_KEY_CAP], const rusk_model_desc *desc,
                          const char *suffix) {
    snprintf(buf, RUSK_ARCH_KEY_CAP, "%s.%s", desc->architecture, suffix);
    return buf;
}

static rusk_status fail_unknown(const char *name, rusk_error *err) {
    char known[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < rusk_arch_count() && used < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                         rusk_arch_at(i)->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                     "general.architecture: expected one of %s, found \"%.64s\"", known, name);
}

static rusk_status in_range(const rusk_model_desc *d, const char *suffix, uint64_t value,
                            uint64_t low, uint64_t high, rusk_error *err) {
    if (value >= low && value <= high) {
        return RUSK_OK;
    }
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "%s.%s: expected %llu to %llu, found %llu",
                     d->architecture, suffix, (unsigned long long)low, (unsigned long long)high,
                     (unsigned long long)value);
}

static rusk_status positive(const rusk_model_desc *d, const char *suffix, float value,
                            rusk_error *err) {
    if (isfinite(value) && value > 0.0F) {
        return RUSK_OK;
    }
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                     "%s.%s: expected a positive number, found %g", d->architecture, suffix,
                     (double)value);
}

static rusk_status need_u32(const rusk_source *source, const rusk_model_desc *d, const char *suffix,
                            uint32_t high, uint32_t *out, rusk_error *err) {
    char key[RUSK_ARCH_KEY_CAP];
    RUSK_TRY(rusk_source_need_u32(source, rusk_arch_key(key, d, suffix), out, err));
    return in_range(d, suffix, *out, 1, high, err);
}

static rusk_status read_u32(const rusk_source *source, const rusk_model_desc *d, const char *suffix,
                            uint32_t fallback, uint32_t low, uint32_t high, uint32_t *out,
                            rusk_error *err) {
    char key[RUSK_ARCH_KEY_CAP];
    RUSK_TRY(rusk_source_u32(source, rusk_arch_key(key, d, suffix), fallback, out, err));
    return in_range(d, suffix, *out, low, high, err);
}

static rusk_status read_widths(const rusk_source *source, rusk_model_desc *d, rusk_error *err) {
    RUSK_TRY(need_u32(source, d, "block_count", RUSK_MODEL_MAX_LAYERS, &d->n_layers, err));
    RUSK_TRY(need_u32(source, d, "embedding_length", RUSK_MODEL_MAX_WIDTH, &d->n_embd, err));
    RUSK_TRY(need_u32(source, d, "feed_forward_length", RUSK_MODEL_MAX_WIDTH, &d->n_ff, err));
    RUSK_TRY(need_u32(source, d, "context_length", UINT32_MAX, &d->n_ctx_train, err));
    uint32_t n_experts;
    RUSK_TRY(read_u32(source, d, "expert_count", 0, 0, UINT32_MAX, &n_experts, err));
    if (n_experts > 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "%s.expert_count: expected a dense model (0), found %u experts",
                         d->architecture, n_experts);
    }
    return RUSK_OK;
}

static rusk_status read_heads(const rusk_source *source, rusk_model_desc *d, rusk_error *err) {
    RUSK_TRY(need_u32(source, d, "attention.head_count", RUSK_MODEL_MAX_HEADS, &d->n_heads, err));
    RUSK_TRY(read_u32(source, d, "attention.head_count_kv", d->n_heads, 1, RUSK_MODEL_MAX_HEADS,
                      &d->n_kv_heads, err));
    if (d->n_heads % d->n_kv_heads != 0) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "%s.attention: expected a multiple of %u key/value heads, found %u heads",
                         d->architecture, d->n_kv_heads, d->n_heads);
    }
    RUSK_TRY(read_u32(source, d, "attention.key_length", 0, 0, RUSK_MODEL_MAX_HEAD_DIM,
                      &d->head_dim, err));
    if (d->head_dim == 0) { /* the key is optional: heads then share the embedding's width */
        if (d->n_embd % d->n_heads != 0) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "%s.embedding_length: expected a multiple of %u heads, found %u",
                             d->architecture, d->n_heads, d->n_embd);
        }
        d->head_dim = d->n_embd / d->n_heads;
    }
    if (d->head_dim % 8 != 0 || d->head_dim > RUSK_MODEL_MAX_HEAD_DIM) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "%s.attention.key_length: expected a multiple of 8 up to %u, found %u",
                         d->architecture, RUSK_MODEL_MAX_HEAD_DIM, d->head_dim);
    }
    RUSK_TRY(in_range(d, "attention: head_count * key_length", (uint64_t)d->n_heads * d->head_dim,
                      1, RUSK_MODEL_MAX_WIDTH, err));
    uint32_t value_length;
    RUSK_TRY(read_u32(source, d, "attention.value_length", d->head_dim, 0, UINT32_MAX,
                      &value_length, err));
    if (value_length != d->head_dim) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "%s.attention.value_length: expected the key length %u, found %u",
                         d->architecture, d->head_dim, value_length);
    }
    d->attn_scale = 1.0F / sqrtf((float)d->head_dim);
    return RUSK_OK;
}

/* Only "linear" scaling changes the description; Llama 3's comes as a tensor without a type. */
static rusk_status read_rope_scaling(const rusk_source *source, rusk_model_desc *d,
                                     rusk_error *err) {
    char key[RUSK_ARCH_KEY_CAP];
    rusk_text type;
    float factor;
    RUSK_TRY(rusk_source_text(source, rusk_arch_key(key, d, "rope.scaling.type"), &type, err));
    d->rope_scale = 1.0F;
    if (type.data != NULL && strcmp(type.data, "none") == 0) {
        return RUSK_OK;
    }
    if (type.data != NULL && strcmp(type.data, "linear") != 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "%s: expected none or linear, found \"%.64s\"", key, type.data);
    }
    RUSK_TRY(
        rusk_source_f32(source, rusk_arch_key(key, d, "rope.scale_linear"), 1.0F, &factor, err));
    RUSK_TRY(rusk_source_f32(source, rusk_arch_key(key, d, "rope.scaling.factor"), factor, &factor,
                             err));
    if (factor != 0.0F) { /* 0 is written for "none" */
        RUSK_TRY(positive(d, "rope.scaling.factor", factor, err));
        d->rope_scale = 1.0F / factor;
    }
    return positive(d, "rope.scaling.factor: its inverse", d->rope_scale, err);
}

static rusk_status read_norm_and_rope(const rusk_source *source, rusk_model_desc *d,
                                      rusk_error *err) {
    char key[RUSK_ARCH_KEY_CAP];
    rusk_arch_key(key, d, "attention.layer_norm_rms_epsilon");
    if (rusk_source_meta(source, key) == NULL) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "missing key %s", key);
    }
    RUSK_TRY(rusk_source_f32(source, key, 0.0F, &d->norm_eps, err));
    RUSK_TRY(positive(d, "attention.layer_norm_rms_epsilon", d->norm_eps, err));

    RUSK_TRY(read_u32(source, d, "rope.dimension_count", d->head_dim, 2, d->head_dim, &d->rope_dims,
                      err));
    if (d->rope_dims % 2 != 0) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "%s.rope.dimension_count: expected an even number, found %u",
                         d->architecture, d->rope_dims);
    }
    RUSK_TRY(rusk_source_f32(source, rusk_arch_key(key, d, "rope.freq_base"), 10000.0F,
                             &d->rope_base, err));
    RUSK_TRY(read_rope_scaling(source, d, err));
    d->rope_base_local = d->rope_base;
    d->rope_scale_local = d->rope_scale;
    return RUSK_OK;
}

static rusk_status read_vocabulary(const rusk_source *source, rusk_model_desc *d, rusk_error *err) {
    char name[96];
    rusk_role_name(RUSK_ROLE_TOKEN_EMBEDDING, 0, name);
    ptrdiff_t index = rusk_source_find(source, name);
    if (index < 0) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "missing tensor '%s'", name);
    }
    uint64_t n_rows = source->tensors[index].n_rows;
    RUSK_TRY(in_range(d, "vocabulary (rows of token_embd.weight)", n_rows, 1, RUSK_MODEL_MAX_VOCAB,
                      err));
    d->n_vocab = (uint32_t)n_rows;
    /* Absent in a .rusk source: its vocabulary is a section, checked where that is read. */
    const rusk_meta *tokens = rusk_source_meta(source, "tokenizer.ggml.tokens");
    if (tokens != NULL && (tokens->type != RUSK_META_ARRAY || tokens->n != n_rows)) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "vocabulary: expected %u tokens (rows of '%s'), found %llu in "
                         "tokenizer.ggml.tokens",
                         d->n_vocab, name,
                         (unsigned long long)(tokens->type == RUSK_META_ARRAY ? tokens->n : 0));
    }
    return RUSK_OK;
}

/* Which roles the source's tensors fill. */
static rusk_status read_roles(const rusk_source *source, const rusk_arch *arch, rusk_model_desc *d,
                              rusk_error *err) {
    const uint32_t required = RUSK_ROLES_COMMON | arch->required;
    uint32_t found = 0;
    for (size_t i = 0; i < source->n_tensors; i++) {
        const rusk_source_tensor *t = &source->tensors[i];
        rusk_role role;
        uint32_t layer;
        if (!rusk_role_parse(t->name, &role, &layer) || layer >= d->n_layers ||
            ((required | arch->optional) >> role & 1U) == 0) {
            return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                             "tensor '%.128s': expected one that a %s model of %u layers uses, "
                             "found one it does not know",
                             t->name, arch->name, d->n_layers);
        }
        found |= 1U << role;
    }
    d->tied_head = (found & RUSK_ROLE_BIT(OUTPUT_HEAD)) == 0;
    d->roles = required | found;
    return RUSK_OK;
}

rusk_status rusk_model_describe(rusk_model_desc *desc, const rusk_source *source, rusk_error *err) {
    rusk_text name;
    RUSK_TRY(rusk_source_text(source, "general.architecture", &name, err));
    if (name.data == NULL) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "missing key general.architecture: the file does not say what model it "
                         "holds");
    }
    const rusk_arch *arch = rusk_arch_find(name.data, name.len_bytes);
    if (arch == NULL) {
        return fail_unknown(name.data, err);
    }
    rusk_model_desc d = {
        .architecture = arch->name, .embedding_scale = 1.0F, .rope = arch->rope, .act = arch->act};
    RUSK_TRY(read_widths(source, &d, err));
    RUSK_TRY(read_heads(source, &d, err));
    RUSK_TRY(read_norm_and_rope(source, &d, err));
    if (arch->describe != NULL) {
        RUSK_TRY(arch->describe(source, &d, err));
    }
    RUSK_TRY(positive(&d, "rope.freq_base", d.rope_base, err));
    RUSK_TRY(positive(&d, "rope.freq_base_swa", d.rope_base_local, err));
    RUSK_TRY(positive(&d, "attention scale", d.attn_scale, err));
    if (d.logit_softcap != 0.0F) {
        RUSK_TRY(positive(&d, "final_logit_softcapping", d.logit_softcap, err));
    }
    RUSK_TRY(read_vocabulary(source, &d, err));
    RUSK_TRY(read_roles(source, arch, &d, err));
    *desc = d;
    return RUSK_OK;
}
