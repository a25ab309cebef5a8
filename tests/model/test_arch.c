/* Metadata to description, tensors to slots: what each architecture says, and every way in which a
 * file can contradict itself. */
#include "model/arch.h"

#include <math.h>
#include <stdio.h>

#include "support/test.h"
#include "support/tiny_model.h"

static rusk_alloc alloc;
static rusk_error err;

/* A source whose metadata and tensor lists can be edited. */
typedef struct editable {
    rusk_source source;
    rusk_meta meta[64];
    rusk_source_tensor tensors[256];
    rusk_source *original;
} editable;

static editable edit;

static const rusk_source *open_path(const char *path) {
    CHECK_OK(rusk_source_open(&edit.original, &alloc, path, &err), &err);
    const rusk_source *s = edit.original;
    CHECK(s->n_meta <= RUSK_COUNT(edit.meta) && s->n_tensors <= RUSK_COUNT(edit.tensors));
    memcpy(edit.meta, s->meta, s->n_meta * sizeof *s->meta);
    memcpy(edit.tensors, s->tensors, s->n_tensors * sizeof *s->tensors);
    edit.source = (rusk_source){.path = "tiny.gguf",
                                .format = "gguf",
                                .n_meta = s->n_meta,
                                .meta = edit.meta,
                                .n_tensors = s->n_tensors,
                                .tensors = edit.tensors};
    return &edit.source;
}

static const rusk_source *open_tiny(const tiny_options *o) {
    const char *path = test_path("tiny.gguf");
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(tiny_model_write(path, o, &alloc, &err), &err);
    return open_path(path);
}

/* The default model of an architecture, written once. */
static const rusk_source *open_arch(const char *arch) {
    const char *path = test_path(arch);
    rusk_alloc_init(&alloc, NULL);
    if (!test_exists(path)) {
        tiny_options o;
        tiny_options_default(&o, arch);
        CHECK_OK(tiny_model_write(path, &o, &alloc, &err), &err);
    }
    return open_path(path);
}

static void close_tiny(void) {
    rusk_source_close(edit.original);
    CHECK_EQ(alloc.bytes_total, 0);
}

static rusk_meta *meta(const char *key) {
    for (size_t i = 0; i < edit.source.n_meta; i++) {
        if (strcmp(edit.meta[i].key, key) == 0) {
            return &edit.meta[i];
        }
    }
    rusk_meta *m = &edit.meta[edit.source.n_meta++];
    *m = (rusk_meta){.key = key, .type = RUSK_META_U32};
    return m;
}

static rusk_source_tensor *tensor(const char *name) {
    ptrdiff_t i = rusk_source_find(&edit.source, name);
    CHECK(i >= 0);
    return &edit.tensors[i];
}

static int32_t map[RUSK_MODEL_MAX_LAYERS];

static rusk_status load(rusk_model_desc *d) {
    rusk_status status = rusk_model_describe(d, &edit.source, &err);
    if (status != RUSK_OK) {
        return status;
    }
    CHECK(rusk_desc_n_slots(d) <= RUSK_COUNT(map));
    return rusk_model_map(d, &edit.source, map, &err);
}

TEST(llama_is_described) {
    rusk_model_desc d;
    open_arch("llama");
    CHECK_OK(load(&d), &err);
    CHECK_STR(d.architecture, "llama");
    CHECK_EQ(d.n_layers, 2);
    CHECK_EQ(d.n_embd, 64);
    CHECK_EQ(d.n_ff, 150);
    CHECK_EQ(d.n_vocab, 480);
    CHECK_EQ(d.n_heads, 4);
    CHECK_EQ(d.n_kv_heads, 2);
    CHECK_EQ(d.head_dim, 16);
    CHECK_EQ(d.n_ctx_train, 512);
    CHECK_NEAR(d.norm_eps, 1e-5, 1e-12);
    CHECK_NEAR(d.attn_scale, 0.25, 0);
    CHECK_NEAR(d.embedding_scale, 1, 0);
    CHECK_NEAR(d.logit_softcap, 0, 0);
    CHECK_EQ(d.act, RUSK_ACT_SILU);
    CHECK_EQ(d.rope, RUSK_ROPE_PAIRS);
    CHECK_EQ(d.rope_dims, 16);
    CHECK_NEAR(d.rope_base, 10000, 0);
    CHECK_NEAR(d.rope_scale, 1, 0);
    CHECK_EQ(d.window, 0);
    CHECK(!rusk_desc_windowed(&d, 0));
    CHECK(d.tied_head);
    CHECK_EQ(d.roles, RUSK_ROLES_COMMON);
    close_tiny();
}

TEST(qwen2_has_biases_and_halves) {
    rusk_model_desc d;
    open_arch("qwen2");
    CHECK_OK(load(&d), &err);
    CHECK_EQ(d.rope, RUSK_ROPE_HALVES);
    CHECK_EQ(d.act, RUSK_ACT_SILU);
    CHECK(rusk_desc_has(&d, RUSK_ROLE_ATTN_Q_BIAS) && rusk_desc_has(&d, RUSK_ROLE_ATTN_V_BIAS));
    CHECK(!rusk_desc_has(&d, RUSK_ROLE_ATTN_OUT_BIAS));
    close_tiny();
}

TEST(gemma3_has_windows_norms_and_scales) {
    rusk_model_desc d;
    open_arch("gemma3");
    CHECK_OK(load(&d), &err);
    CHECK_EQ(d.rope, RUSK_ROPE_HALVES);
    CHECK_EQ(d.act, RUSK_ACT_GELU_TANH);
    CHECK_EQ(d.head_dim, 24);
    CHECK_NEAR(d.attn_scale, 1 / sqrt(24), 1e-7);
    CHECK_NEAR(d.embedding_scale, sqrt(56), 1e-5);
    CHECK_EQ(d.window, 8);
    CHECK_EQ(d.window_pattern, 6);
    for (uint32_t layer = 0; layer < 7; layer++) {
        CHECK_EQ(rusk_desc_windowed(&d, layer), layer != 5);
    }
    CHECK_NEAR(d.rope_base, 1e6, 0);
    CHECK_NEAR(d.rope_scale, 0.125, 0);
    CHECK_NEAR(d.rope_base_local, 1e4, 0);
    CHECK_NEAR(d.rope_scale_local, 1, 0);
    CHECK(rusk_desc_has(&d, RUSK_ROLE_ATTN_POST_NORM) && rusk_desc_has(&d, RUSK_ROLE_ATTN_K_NORM));

    *meta("gemma3.attention.sliding_window_pattern") = (rusk_meta){
        .key = "gemma3.attention.sliding_window_pattern", .type = RUSK_META_U32, .value.u = 2};
    rusk_meta *base = meta("gemma3.rope.freq_base_swa");
    base->type = RUSK_META_F32;
    base->value.f = 20000;
    rusk_meta *cap = meta("gemma3.final_logit_softcapping");
    cap->type = RUSK_META_F32;
    cap->value.f = 30;
    CHECK_OK(load(&d), &err);
    CHECK(rusk_desc_windowed(&d, 0) && !rusk_desc_windowed(&d, 1));
    CHECK_NEAR(d.rope_base_local, 20000, 0);
    CHECK_NEAR(d.logit_softcap, 30, 0);
    close_tiny();
}

/* Gemma 3 27B: 62 layers, and the only one whose scale is not 1/sqrt(head_dim). */
TEST(gemma3_27b_scales_by_its_own_width) {
    rusk_model_desc d;
    open_arch("gemma3");
    meta("gemma3.block_count")->value.u = 62;
    CHECK_OK(rusk_model_describe(&d, &edit.source, &err), &err);
    CHECK_NEAR(d.attn_scale, 1 / sqrt(56 / 4), 1e-7);
    close_tiny();
}

TEST(optional_tensors_are_found) {
    rusk_model_desc d;
    tiny_options o;
    tiny_options_default(&o, "llama");
    o.untied = o.biases = o.rope_freqs = true;
    o.rope_scaling = 4;
    open_tiny(&o);
    CHECK_OK(load(&d), &err);
    CHECK(!d.tied_head);
    CHECK(rusk_desc_has(&d, RUSK_ROLE_ROPE_FREQS) && rusk_desc_has(&d, RUSK_ROLE_ATTN_OUT_BIAS));
    CHECK_NEAR(d.rope_scale, 0.25, 0);
    close_tiny();
}

TEST(every_slot_maps_to_its_tensor) {
    static const char *const ARCHS[] = {"llama", "qwen2", "gemma3"};
    for (size_t a = 0; a < RUSK_COUNT(ARCHS); a++) {
        for (int untied = 0; untied < 2; untied++) {
            rusk_model_desc d;
            tiny_options o;
            tiny_options_default(&o, ARCHS[a]);
            o.untied = untied != 0;
            const rusk_source *s = open_tiny(&o);
            CHECK_OK(load(&d), &err);
            for (uint32_t slot = 0; slot < rusk_desc_n_slots(&d); slot++) {
                const rusk_role role = (rusk_role)(slot % RUSK_ROLES);
                const uint32_t layer = slot / RUSK_ROLES;
                bool wanted = rusk_desc_has(&d, role) && (layer == 0 || !rusk_role_is_global(role));
                CHECK_EQ(map[slot] >= 0, wanted);
                if (wanted) {
                    char name[96];
                    bool tied = role == RUSK_ROLE_OUTPUT_HEAD && !o.untied;
                    rusk_role_name(tied ? RUSK_ROLE_TOKEN_EMBEDDING : role, layer, name);
                    CHECK_STR(s->tensors[map[slot]].name, name);
                }
            }
            close_tiny();
        }
    }
}

TEST(order_has_each_tensor_once) {
    static const char *const ARCHS[] = {"llama", "qwen2", "gemma3"};
    for (size_t a = 0; a < RUSK_COUNT(ARCHS); a++) {
        for (int untied = 0; untied < 2; untied++) {
            rusk_model_desc d;
            tiny_options o;
            uint32_t order[RUSK_COUNT(map)];
            uint32_t seen[256] = {0};
            tiny_options_default(&o, ARCHS[a]);
            o.untied = untied != 0;
            o.rope_freqs = true;
            const rusk_source *s = open_tiny(&o);
            CHECK_OK(load(&d), &err);
            CHECK_EQ(rusk_model_order(&d, map, order), s->n_tensors);
            for (size_t i = 0; i < s->n_tensors; i++) {
                CHECK(map[order[i]] >= 0);
                CHECK_EQ(seen[map[order[i]]]++, 0);
            }
            CHECK_EQ(order[s->n_tensors - 1], RUSK_ROLE_OUTPUT_HEAD);
            close_tiny();
        }
    }
}

TEST(role_names_parse_back) {
    for (int r = 0; r < RUSK_ROLES; r++) {
        char name[96];
        rusk_role role;
        uint32_t layer;
        rusk_role_name((rusk_role)r, 123, name);
        CHECK(rusk_role_parse(name, &role, &layer));
        CHECK_EQ(role, r);
        CHECK_EQ(layer, rusk_role_is_global(role) ? 0 : 123);
    }
    static const char *const BAD[] = {"",
                                      "blk.",
                                      "blk..attn_q.weight",
                                      "blk.01.attn_q.weight",
                                      "blk.-1.attn_q.weight",
                                      "blk.4294967296.attn_q.weight",
                                      "blk.0.attn_q",
                                      "blk.0.output.weight",
                                      "blk.0",
                                      "blk.0.",
                                      "attn_q.weight",
                                      ".attn_q.weight",
                                      "output.weight2"};
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        rusk_role role;
        uint32_t layer;
        CHECK(!rusk_role_parse(BAD[i], &role, &layer));
    }
}

/* --- contradictions --------------------------------------------------------------------------- */

typedef struct bad_number {
    const char *arch, *key;
    uint64_t value;
    rusk_status status;
    const char *message;
} bad_number;

static const bad_number BAD_NUMBERS[] = {
    {"llama", "llama.block_count", 0, RUSK_FORMAT, "block_count: expected 1 to 1024, found 0"},
    {"llama", "llama.block_count", 1025, RUSK_FORMAT, "found 1025"},
    {"llama", "llama.block_count", 3, RUSK_FORMAT, "missing tensor 'blk.2.attn_norm.weight'"},
    {"llama", "llama.block_count", 1, RUSK_UNSUPPORTED, "tensor 'blk.1."},
    {"llama", "llama.embedding_length", 0, RUSK_FORMAT, "embedding_length"},
    {"llama", "llama.embedding_length", 0xFFFFFFFF, RUSK_FORMAT, "found 4294967295"},
    {"llama", "llama.embedding_length", 66, RUSK_FORMAT,
     "expected a multiple of 4 heads, found 66"},
    {"llama", "llama.embedding_length", 96, RUSK_FORMAT, "'token_embd.weight'"},
    {"llama", "llama.embedding_length", 72, RUSK_UNSUPPORTED, "multiple of 8 up to 4096, found 18"},
    {"llama", "llama.feed_forward_length", 0, RUSK_FORMAT, "feed_forward_length"},
    {"llama", "llama.feed_forward_length", 1U << 21, RUSK_FORMAT, "found 2097152"},
    {"llama", "llama.feed_forward_length", 151, RUSK_FORMAT, "ffn_gate.weight': expected"},
    {"llama", "llama.context_length", 0, RUSK_FORMAT, "context_length"},
    {"llama", "llama.attention.head_count", 0, RUSK_FORMAT, "head_count: expected 1 to 4096"},
    {"llama", "llama.attention.head_count", 5000, RUSK_FORMAT, "found 5000"},
    {"llama", "llama.attention.head_count", 8, RUSK_FORMAT, "dimension_count: expected 2 to 8"},
    {"qwen2", "qwen2.attention.head_count", 9, RUSK_FORMAT, "attn_k.weight': expected"},
    {"llama", "llama.attention.head_count_kv", 0, RUSK_FORMAT, "head_count_kv"},
    {"llama", "llama.attention.head_count_kv", 3, RUSK_FORMAT, "multiple of 3 key/value heads"},
    {"llama", "llama.attention.head_count_kv", 8, RUSK_FORMAT, "multiple of 8 key/value heads"},
    {"llama", "llama.attention.key_length", 12, RUSK_UNSUPPORTED, "multiple of 8"},
    {"llama", "llama.attention.key_length", 32, RUSK_FORMAT, "attn_q.weight': expected"},
    {"llama", "llama.attention.key_length", 1U << 31, RUSK_FORMAT, "key_length"},
    {"llama", "llama.attention.value_length", 8, RUSK_UNSUPPORTED, "value_length"},
    {"llama", "llama.expert_count", 8, RUSK_UNSUPPORTED, "found 8 experts"},
    {"llama", "llama.rope.dimension_count", 0, RUSK_FORMAT, "dimension_count"},
    {"llama", "llama.rope.dimension_count", 15, RUSK_FORMAT, "expected an even number, found 15"},
    {"llama", "llama.rope.dimension_count", 18, RUSK_FORMAT, "dimension_count: expected 2 to 16"},
    {"gemma3", "gemma3.attention.key_length", 4096, RUSK_UNSUPPORTED, "value_length"},
};

TEST(bad_numbers_are_refused) {
    for (size_t i = 0; i < RUSK_COUNT(BAD_NUMBERS); i++) {
        const bad_number *b = &BAD_NUMBERS[i];
        rusk_model_desc d;
        open_arch(b->arch);
        meta(b->key)->value.u = b->value;
        CHECK_FAILS(load(&d), b->status, &err, b->message);
        close_tiny();
    }
}

TEST(width_products_are_bounded) {
    rusk_model_desc d;
    open_arch("llama");
    meta("llama.attention.head_count")->value.u = 4096;
    meta("llama.attention.head_count_kv")->value.u = 4096;
    meta("llama.attention.key_length")->value.u = 4096;
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "expected 1 to 1048576, found 16777216");
    close_tiny();
}

TEST(missing_keys_are_named) {
    static const char *const NEEDED[] = {"general.architecture",
                                         "llama.block_count",
                                         "llama.embedding_length",
                                         "llama.feed_forward_length",
                                         "llama.context_length",
                                         "llama.attention.head_count",
                                         "llama.attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < RUSK_COUNT(NEEDED); i++) {
        rusk_model_desc d;
        open_arch("llama");
        meta(NEEDED[i])->key = "other.key";
        CHECK_FAILS(load(&d), RUSK_FORMAT, &err, NEEDED[i]);
        CHECK(strstr(err.message, "missing") != NULL);
        close_tiny();
    }
}

TEST(optional_keys_have_defaults) {
    static const char *const OPTIONAL[] = {"llama.attention.head_count_kv", "llama.rope.freq_base",
                                           "llama.rope.dimension_count"};
    rusk_model_desc d;
    tiny_options o;
    tiny_options_default(&o, "llama");
    o.n_kv_heads = 4;
    open_tiny(&o);
    for (size_t i = 0; i < RUSK_COUNT(OPTIONAL); i++) {
        meta(OPTIONAL[i])->key = "other.key";
    }
    CHECK_OK(load(&d), &err);
    CHECK_EQ(d.n_kv_heads, 4);
    CHECK_EQ(d.rope_dims, 16);
    CHECK_NEAR(d.rope_base, 10000, 0);
    close_tiny();
}

TEST(bad_floats_are_refused) {
    static const char *const KEYS[] = {"gemma3.attention.layer_norm_rms_epsilon",
                                       "gemma3.rope.freq_base", "gemma3.rope.freq_base_swa",
                                       "gemma3.rope.scaling.factor",
                                       "gemma3.final_logit_softcapping"};
    const double values[] = {-1, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < RUSK_COUNT(KEYS); i++) {
        for (size_t v = 0; v < RUSK_COUNT(values); v++) {
            rusk_model_desc d;
            open_arch("gemma3");
            rusk_meta *m = meta(KEYS[i]);
            m->type = RUSK_META_F32;
            m->value.f = values[v];
            CHECK_FAILS(load(&d), RUSK_FORMAT, &err, strrchr(KEYS[i], '.') + 1);
            close_tiny();
        }
    }
}

TEST(unknown_architecture_names_the_known) {
    rusk_model_desc d;
    open_arch("llama");
    meta("general.architecture")->value.text = (rusk_text){"mamba", 5};
    CHECK_FAILS(load(&d), RUSK_UNSUPPORTED, &err,
                "expected one of gemma3, llama, qwen2, found \"mamba\"");
    meta("general.architecture")->value.text = (rusk_text){"llama\0x", 7};
    CHECK_FAILS(load(&d), RUSK_UNSUPPORTED, &err, "general.architecture");
    close_tiny();
}

TEST(unknown_rope_scaling_is_refused) {
    rusk_model_desc d;
    open_arch("gemma3");
    meta("gemma3.rope.scaling.type")->value.text = (rusk_text){"yarn", 4};
    CHECK_FAILS(load(&d), RUSK_UNSUPPORTED, &err, "found \"yarn\"");
    meta("gemma3.rope.scaling.type")->value.text = (rusk_text){"none", 4};
    CHECK_OK(load(&d), &err);
    CHECK_NEAR(d.rope_scale, 1, 0);
    close_tiny();
}

TEST(vocabulary_must_match) {
    rusk_model_desc d;
    open_arch("llama");
    meta("tokenizer.ggml.tokens")->n = 479;
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "expected 480 tokens");
    CHECK(strstr(err.message, "found 479") != NULL);
    meta("tokenizer.ggml.tokens")->key = "other.key"; /* as in a .rusk source */
    CHECK_OK(load(&d), &err);
    rusk_source_tensor *t = tensor("token_embd.weight");
    t->n_rows = t->shape[0] = 1ULL << 40;
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "vocabulary");
    t->name = "token_embedding.weight";
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "missing tensor 'token_embd.weight'");
    close_tiny();
}

TEST(missing_tensors_are_named) {
    rusk_model_desc d;
    open_arch("gemma3");
    for (size_t i = 0; i < edit.source.n_tensors; i++) {
        const rusk_source_tensor removed = edit.tensors[i];
        edit.tensors[i] = edit.tensors[--edit.source.n_tensors];
        CHECK_FAILS(load(&d), RUSK_FORMAT, &err, removed.name);
        edit.tensors[edit.source.n_tensors++] = edit.tensors[i];
        edit.tensors[i] = removed;
    }
    CHECK_OK(load(&d), &err);
    close_tiny();
}

TEST(optional_tensor_in_one_layer_only_is_refused) {
    rusk_model_desc d;
    tiny_options o;
    tiny_options_default(&o, "llama");
    o.biases = true;
    open_tiny(&o);
    *tensor("blk.1.attn_k.bias") = edit.tensors[--edit.source.n_tensors];
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "missing tensor 'blk.1.attn_k.bias'");
    close_tiny();
}

TEST(wrong_shapes_are_refused) {
    rusk_model_desc d;
    open_arch("qwen2");
    for (size_t i = 0; i < edit.source.n_tensors; i++) {
        rusk_source_tensor *t = &edit.tensors[i];
        const rusk_source_tensor good = *t;
        if (strcmp(t->name, "token_embd.weight") != 0) { /* its rows are the vocabulary */
            t->n_rows++;
            CHECK_FAILS(load(&d), RUSK_FORMAT, &err, t->name);
            *t = good;
        }
        t->n_cols--;
        CHECK_FAILS(load(&d), RUSK_FORMAT, &err, t->name);
        *t = good;
        t->n_dims++;
        CHECK_FAILS(load(&d), RUSK_FORMAT, &err, t->name);
        *t = good;
    }
    close_tiny();
}

TEST(foreign_and_double_tensors_are_refused) {
    rusk_model_desc d;
    open_arch("llama");
    rusk_source_tensor *extra = &edit.tensors[edit.source.n_tensors++];
    *extra = *tensor("blk.0.ffn_up.weight");
    CHECK_FAILS(load(&d), RUSK_FORMAT, &err, "'blk.0.ffn_up.weight': expected once, found twice");
    extra->name = "blk.0.ffn_up.bias";
    CHECK_FAILS(load(&d), RUSK_UNSUPPORTED, &err, "'blk.0.ffn_up.bias'");
    extra->name = "blk.0.attn_q_norm.weight"; /* of gemma3: not llama's to have */
    CHECK_FAILS(load(&d), RUSK_UNSUPPORTED, &err, "'blk.0.attn_q_norm.weight'");
    close_tiny();
}

TEST(tiny_models_of_every_type_can_be_made) {
    static const char *const ARCHS[] = {"llama", "qwen2", "gemma3"};
    for (size_t a = 0; a < RUSK_COUNT(ARCHS); a++) {
#define X(name, number, elements, bytes, group)                                                    \
    if (number != RUSK_DTYPE_SYM8) {                                                               \
        rusk_model_desc d;                                                                         \
        tiny_options o;                                                                            \
        tiny_options_default(&o, ARCHS[a]);                                                        \
        o.type = #name;                                                                            \
        open_tiny(&o);                                                                             \
        CHECK_OK(load(&d), &err);                                                                  \
        CHECK_EQ(tensor("blk.1.attn_q.weight")->dtype->dtype, number);                             \
        close_tiny();                                                                              \
    }
        RUSK_DTYPE_LIST(X)
#undef X
    }
}

TEST_MAIN(CASE(llama_is_described), CASE(qwen2_has_biases_and_halves),
          CASE(gemma3_has_windows_norms_and_scales), CASE(gemma3_27b_scales_by_its_own_width),
          CASE(optional_tensors_are_found), CASE(every_slot_maps_to_its_tensor),
          CASE(order_has_each_tensor_once), CASE(role_names_parse_back),
          CASE(bad_numbers_are_refused), CASE(width_products_are_bounded),
          CASE(missing_keys_are_named), CASE(optional_keys_have_defaults),
          CASE(bad_floats_are_refused), CASE(unknown_architecture_names_the_known),
          CASE(unknown_rope_scaling_is_refused), CASE(vocabulary_must_match),
          CASE(missing_tensors_are_named), CASE(optional_tensor_in_one_layer_only_is_refused),
          CASE(wrong_shapes_are_refused), CASE(foreign_and_double_tensors_are_refused),
          CASE(tiny_models_of_every_type_can_be_made))
