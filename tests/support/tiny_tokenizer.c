#include "support/tiny_tokenizer.h"

#include "base/bytes.h"
#include "support/test.h"

rusk_source tiny_source(rusk_alloc *alloc, const rusk_meta *meta, size_t n) {
    return (rusk_source){
        .alloc = alloc, .path = "memory", .format = "gguf", .n_meta = n, .meta = meta};
}

static rusk_tokenizer *from(rusk_alloc *alloc, const tiny_vocab *v) {
    rusk_error err;
    rusk_tokenizer *t;
    rusk_source s = tiny_source(alloc, v->meta, v->n_meta);
    CHECK_OK(rusk_tokenizer_from_source(&t, alloc, &s, &err), &err);
    return t;
}

rusk_tokenizer *tiny_tokenizer_bpe(rusk_alloc *alloc, uint64_t seed, const char *pre) {
    rusk_arena arena;
    tiny_vocab v;
    rusk_arena_init(&arena, alloc, RUSK_MEM_METADATA);
    tiny_vocab_bpe(&arena, seed, pre, &v);
    rusk_tokenizer *t = from(alloc, &v);
    rusk_arena_finish(&arena);
    return t;
}

rusk_tokenizer *tiny_tokenizer_spm(rusk_alloc *alloc, uint64_t seed, bool add_space_prefix) {
    rusk_arena arena;
    tiny_vocab v;
    rusk_arena_init(&arena, alloc, RUSK_MEM_METADATA);
    tiny_vocab_spm(&arena, seed, add_space_prefix, &v);
    rusk_tokenizer *t = from(alloc, &v);
    rusk_arena_finish(&arena);
    return t;
}

static const rusk_text *texts_of(rusk_arena *arena, const char *const *list, size_t n,
                                 size_t skip) {
    rusk_text *texts = rusk_arena_get(arena, n + 1, sizeof *texts);
    CHECK(texts != NULL);
    for (size_t i = 0; i < n; i++) {
        texts[i] = (rusk_text){list[i] + skip, strlen(list[i] + skip)};
    }
    return texts;
}

size_t hand_vocab_meta(const hand_vocab *v, rusk_arena *arena, rusk_meta *meta) {
    size_t n = 0;
    uint8_t *types = rusk_arena_get(arena, v->n_tokens, 4);
    uint8_t *scores = rusk_arena_get(arena, v->n_tokens, 4);
    CHECK(types != NULL && scores != NULL);
    for (size_t i = 0; i < v->n_tokens; i++) {
        rusk_store_u32(types + 4 * i, (uint32_t)(v->tokens[i][0] - '0'));
        rusk_store_f32(scores + 4 * i, v->scores != NULL ? v->scores[i] : 0);
    }
    meta[n++] = (rusk_meta){.key = "tokenizer.ggml.model",
                            .type = RUSK_META_STRING,
                            .value.text = {v->model, strlen(v->model)}};
    if (v->pre != NULL) {
        meta[n++] = (rusk_meta){.key = "tokenizer.ggml.pre",
                                .type = RUSK_META_STRING,
                                .value.text = {v->pre, strlen(v->pre)}};
    }
    meta[n++] = (rusk_meta){.key = "tokenizer.ggml.tokens",
                            .type = RUSK_META_ARRAY,
                            .elem_type = RUSK_META_STRING,
                            .n = v->n_tokens,
                            .texts = texts_of(arena, v->tokens, v->n_tokens, 2)};
    meta[n++] = (rusk_meta){.key = "tokenizer.ggml.token_type",
                            .type = RUSK_META_ARRAY,
                            .elem_type = RUSK_META_I32,
                            .n = v->n_tokens,
                            .elements = types};
    if (v->scores != NULL) {
        meta[n++] = (rusk_meta){.key = "tokenizer.ggml.scores",
                                .type = RUSK_META_ARRAY,
                                .elem_type = RUSK_META_F32,
                                .n = v->n_tokens,
                                .elements = scores};
    }
    if (v->merges != NULL) {
        meta[n++] = (rusk_meta){.key = "tokenizer.ggml.merges",
                                .type = RUSK_META_ARRAY,
                                .elem_type = RUSK_META_STRING,
                                .n = v->n_merges,
                                .texts = texts_of(arena, v->merges, v->n_merges, 0)};
    }
    return n;
}
