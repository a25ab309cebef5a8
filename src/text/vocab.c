/* vocab.c - vocabularies from a model file's metadata, and back to it. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "text/tokenizer_impl.h"

#define KEY "tokenizer.ggml."

rusk_status rusk_tokenizer_new(rusk_tokenizer **out, rusk_alloc *alloc, rusk_error *err) {
    *out = NULL;
    rusk_tokenizer *t = rusk_alloc_zero(alloc, RUSK_MEM_TOKENIZER, 1, sizeof *t);
    if (t == NULL) {
        (void)rusk_fail_memory(err, sizeof *t, "the tokenizer");
        return RUSK_NO_MEMORY;
    }
    t->alloc = alloc;
    rusk_arena_init(&t->arena, alloc, RUSK_MEM_TOKENIZER);
    t->vocab.bos = t->vocab.eos = t->vocab.eot = t->vocab.unknown = t->vocab.padding = -1;
    *out = t;
    return RUSK_OK;
}

void rusk_tokenizer_destroy(rusk_tokenizer *t) {
    if (t != NULL) {
        rusk_splitter_destroy(t->splitter);
        rusk_arena_finish(&t->arena);
        rusk_alloc_put(t->alloc, t);
    }
}

const rusk_vocab *rusk_tokenizer_vocab(const rusk_tokenizer *t) {
    return &t->vocab;
}

/* An array of a given element type; *out NULL where it is absent. */
static rusk_status get_array(const rusk_source *s, const char *key, rusk_meta_type elem,
                             const rusk_meta **out, rusk_error *err) {
    const rusk_meta *m = rusk_source_meta(s, key);
    *out = m;
    if (m != NULL && (m->type != RUSK_META_ARRAY || (m->elem_type != elem && m->n > 0))) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "%s: expected an array of type %d, found type %d", key, (int)elem,
                         (int)(m->type == RUSK_META_ARRAY ? m->elem_type : m->type));
    }
    return RUSK_OK;
}

static rusk_status copy_tokens(rusk_tokenizer *t, const rusk_meta *m, rusk_error *err) {
    uint64_t total = 0;
    for (size_t i = 0; i < m->n; i++) {
        size_t len = m->texts[i].len_bytes;
        total += len + 1;
        if (len > RUSK_TOKEN_MAX_BYTES || total > RUSK_VOCAB_MAX_BYTES) {
            return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                             KEY "tokens: expected at most %u bytes a token and %u in all, found "
                                 "token %zu of %zu bytes",
                             RUSK_TOKEN_MAX_BYTES, RUSK_VOCAB_MAX_BYTES, i, len);
        }
    }
    rusk_text *tokens = rusk_arena_get(&t->arena, m->n, sizeof *tokens);
    char *data = rusk_arena_get(&t->arena, (size_t)total, 1);
    if (tokens == NULL || data == NULL) {
        return rusk_fail_memory(err, m->n * sizeof *tokens + (size_t)total, "tokens");
    }
    for (size_t i = 0; i < m->n; i++) {
        tokens[i] = (rusk_text){data, m->texts[i].len_bytes};
        if (tokens[i].len_bytes > 0) {
            memcpy(data, m->texts[i].data, tokens[i].len_bytes);
        }
        data += tokens[i].len_bytes + 1;
    }
    t->vocab.tokens = tokens;
    t->vocab.n_tokens = (uint32_t)m->n;
    return RUSK_OK;
}

static rusk_status load_tokens(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    const rusk_meta *m;
    RUSK_TRY(get_array(s, KEY "tokens", RUSK_META_STRING, &m, err));
    if (m == NULL || m->n == 0 || m->n > RUSK_VOCAB_MAX_TOKENS) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         KEY "tokens: expected 1 to %u tokens, found %zu", RUSK_VOCAB_MAX_TOKENS,
                         m == NULL ? 0 : m->n);
    }
    return copy_tokens(t, m, err);
}

static rusk_status check_length(const char *key, const rusk_meta *m, size_t n, rusk_error *err) {
    if (m->n != n) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "%s: expected %zu entries as there are tokens, found %zu", key, n, m->n);
    }
    return RUSK_OK;
}

static rusk_status load_types(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    static const char TYPES[] = KEY "token_type";
    const rusk_meta *m;
    size_t n = t->vocab.n_tokens;
    RUSK_TRY(get_array(s, TYPES, RUSK_META_I32, &m, err));
    uint8_t *types = rusk_arena_get(&t->arena, n, 1);
    if (types == NULL) {
        return rusk_fail_memory(err, n, "types of tokens");
    }
    t->vocab.types = types;
    if (m == NULL) {
        memset(types, RUSK_TOKEN_NORMAL, n);
        return RUSK_OK;
    }
    RUSK_TRY(check_length(TYPES, m, n, err));
    for (size_t i = 0; i < n; i++) {
        uint32_t type = rusk_load_u32(m->elements + 4 * i);
        if (type > RUSK_TOKEN_BYTE) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "token %zu: expected a type of 0 to 6, found %u", i, type);
        }
        types[i] = (uint8_t)type;
    }
    return RUSK_OK;
}

static rusk_status load_scores(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    static const char SCORES[] = KEY "scores";
    const rusk_meta *m;
    size_t n = t->vocab.n_tokens;
    RUSK_TRY(get_array(s, SCORES, RUSK_META_F32, &m, err));
    if (m == NULL) {
        return RUSK_OK;
    }
    RUSK_TRY(check_length(SCORES, m, n, err));
    float *scores = rusk_arena_get(&t->arena, n, sizeof *scores);
    if (scores == NULL) {
        return rusk_fail_memory(err, n * sizeof *scores, "scores of tokens");
    }
    for (size_t i = 0; i < n; i++) {
        scores[i] = rusk_load_f32(m->elements + 4 * i);
    }
    t->vocab.scores = scores;
    return RUSK_OK;
}

/* A token id; one that is not in the vocabulary counts as not given: files carry 4294967295. */
static rusk_status load_id(const rusk_tokenizer *t, const rusk_source *s, const char *key,
                           uint32_t fallback, int32_t *out, rusk_error *err) {
    uint32_t id;
    RUSK_TRY(rusk_source_u32(s, key, fallback, &id, err));
    id = id < t->vocab.n_tokens ? id : fallback;
    *out = id < t->vocab.n_tokens ? (int32_t)id : -1;
    return RUSK_OK;
}

/* SentencePiece numbers its first three tokens so unless told otherwise; gpt2 has no such rule. */
static rusk_status load_ids(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    rusk_vocab *v = &t->vocab;
    uint32_t none = UINT32_MAX;
    RUSK_TRY(load_id(t, s, KEY "bos_token_id", t->is_bpe ? none : 1, &v->bos, err));
    RUSK_TRY(load_id(t, s, KEY "eos_token_id", t->is_bpe ? none : 2, &v->eos, err));
    RUSK_TRY(load_id(t, s, KEY "eot_token_id", none, &v->eot, err));
    RUSK_TRY(load_id(t, s, KEY "unknown_token_id", t->is_bpe ? none : 0, &v->unknown, err));
    return load_id(t, s, KEY "padding_token_id", none, &v->padding, err);
}

static rusk_status load_flags(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    rusk_vocab *v = &t->vocab;
    const rusk_pre_info *pre = t->is_bpe ? rusk_pre_find(v->pre) : NULL;
    bool bos = t->is_bpe ? pre != NULL && pre->add_bos : true;
    RUSK_TRY(rusk_source_bool(s, KEY "add_bos_token", bos && v->bos >= 0, &v->add_bos, err));
    RUSK_TRY(rusk_source_bool(s, KEY "add_eos_token", false, &v->add_eos, err));
    return rusk_source_bool(s, KEY "add_space_prefix", !t->is_bpe, &v->add_space_prefix, err);
}

static rusk_status load_names(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    rusk_text model, pre;
    RUSK_TRY(rusk_source_text(s, KEY "model", &model, err));
    RUSK_TRY(rusk_source_text(s, KEY "pre", &pre, err));
    const char *name = model.data != NULL ? model.data : "";
    t->is_bpe = strcmp(name, "gpt2") == 0;
    if (!t->is_bpe && strcmp(name, "llama") != 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         KEY "model: expected gpt2 or llama, found '%.60s'", name);
    }
    const char *pre_name = pre.data != NULL ? pre.data : "default";
    if (t->is_bpe && rusk_pre_find(pre_name) == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         KEY "pre: expected one of " RUSK_PRE_NAMES ", found '%.60s'", pre_name);
    }
    if (strlen(pre_name) >= RUSK_PRE_MAX_BYTES) {
        pre_name = "default"; /* llama does not look at it */
    }
    t->vocab.model = t->is_bpe ? "gpt2" : "llama";
    t->vocab.pre = rusk_arena_text(&t->arena, pre_name, strlen(pre_name));
    return t->vocab.pre != NULL ? RUSK_OK
                                : rusk_fail_memory(err, strlen(pre_name), "the tokenizer");
}

static rusk_status load(rusk_tokenizer *t, const rusk_source *s, rusk_error *err) {
    RUSK_TRY(load_names(t, s, err));
    RUSK_TRY(load_tokens(t, s, err));
    RUSK_TRY(load_types(t, s, err));
    RUSK_TRY(load_scores(t, s, err));
    RUSK_TRY(load_ids(t, s, err));
    RUSK_TRY(load_flags(t, s, err));
    const rusk_meta *merges;
    RUSK_TRY(get_array(s, KEY "merges", RUSK_META_STRING, &merges, err));
    if (merges == NULL && t->is_bpe) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "missing key " KEY "merges");
    }
    if (merges != NULL && merges->n > RUSK_VOCAB_MAX_TOKENS) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         KEY "merges: expected at most %u, found %zu", RUSK_VOCAB_MAX_TOKENS,
                         merges->n);
    }
    t->vocab.n_merges = merges != NULL ? (uint32_t)merges->n : 0;
    return rusk_tokenizer_build(t, merges != NULL ? merges->texts : NULL, err);
}

rusk_status rusk_tokenizer_from_source(rusk_tokenizer **out, rusk_alloc *alloc,
                                       const rusk_source *source, rusk_error *err) {
    rusk_tokenizer *t;
    *out = NULL;
    RUSK_TRY(rusk_tokenizer_new(&t, alloc, err));
    rusk_status status = load(t, source, err);
    if (status != RUSK_OK) {
        rusk_tokenizer_destroy(t);
        return status;
    }
    *out = t;
    return RUSK_OK;
}

/* --- back to metadata ------------------------------------------------------------------------ */

enum { MAX_METAS = 16 };

typedef struct metas {
    rusk_meta *list;
    size_t n;
} metas;

static rusk_meta *add(metas *m, const char *key, rusk_meta_type type) {
    RUSK_ASSERT(m->n < MAX_METAS);
    rusk_meta *e = &m->list[m->n++];
    *e = (rusk_meta){.key = key, .type = type};
    return e;
}

static void add_text(metas *m, const char *key, const char *text) {
    add(m, key, RUSK_META_STRING)->value.text = (rusk_text){text, strlen(text)};
}

static void add_array(metas *m, const char *key, rusk_meta_type elem, size_t n,
                      const uint8_t *elements, const rusk_text *texts) {
    rusk_meta *e = add(m, key, RUSK_META_ARRAY);
    e->elem_type = elem;
    e->n = n;
    e->elements = elements;
    e->texts = texts;
}

static void add_id(metas *m, const char *key, int32_t id) {
    if (id >= 0) {
        add(m, key, RUSK_META_U32)->value.u = (uint64_t)id;
    }
}

/* "left right" for each merge, in one piece of memory. */
static const rusk_text *merge_lines(const rusk_vocab *v, rusk_arena *arena) {
    size_t total = 0;
    for (uint32_t i = 0; i < v->n_merges; i++) {
        total += v->tokens[v->merges[i].left].len_bytes + v->tokens[v->merges[i].right].len_bytes;
    }
    rusk_text *lines = rusk_arena_get(arena, v->n_merges, sizeof *lines);
    char *data = rusk_arena_get(arena, total + (size_t)2 * v->n_merges, 1);
    if (lines == NULL || data == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < v->n_merges; i++) {
        const rusk_text *left = &v->tokens[v->merges[i].left];
        const rusk_text *right = &v->tokens[v->merges[i].right];
        lines[i] = (rusk_text){data, left->len_bytes + 1 + right->len_bytes};
        memcpy(data, left->data, left->len_bytes);
        data[left->len_bytes] = ' ';
        memcpy(data + left->len_bytes + 1, right->data, right->len_bytes);
        data += lines[i].len_bytes + 1;
    }
    return lines;
}

rusk_status rusk_tokenizer_to_meta(const rusk_tokenizer *t, rusk_arena *arena, rusk_meta **out,
                                   size_t *n, rusk_error *err) {
    const rusk_vocab *v = &t->vocab;
    metas m = {.list = rusk_arena_get(arena, MAX_METAS, sizeof *m.list)};
    uint8_t *types = rusk_arena_get(arena, v->n_tokens, 4);
    uint8_t *scores = v->scores != NULL ? rusk_arena_get(arena, v->n_tokens, 4) : NULL;
    const rusk_text *merges = merge_lines(v, arena);
    *out = NULL;
    *n = 0;
    if (m.list == NULL || types == NULL || (v->scores != NULL && scores == NULL) ||
        merges == NULL) {
        return rusk_fail_memory(err, (size_t)v->n_tokens * 8, "the vocabulary's metadata");
    }
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        rusk_store_u32(types + (size_t)4 * i, v->types[i]);
        if (scores != NULL) {
            rusk_store_f32(scores + (size_t)4 * i, v->scores[i]);
        }
    }
    add_text(&m, KEY "model", v->model);
    add_text(&m, KEY "pre", v->pre);
    add_array(&m, KEY "tokens", RUSK_META_STRING, v->n_tokens, NULL, v->tokens);
    if (scores != NULL) {
        add_array(&m, KEY "scores", RUSK_META_F32, v->n_tokens, scores, NULL);
    }
    add_array(&m, KEY "token_type", RUSK_META_I32, v->n_tokens, types, NULL);
    if (t->is_bpe || v->n_merges > 0) {
        add_array(&m, KEY "merges", RUSK_META_STRING, v->n_merges, NULL, merges);
    }
    add_id(&m, KEY "bos_token_id", v->bos);
    add_id(&m, KEY "eos_token_id", v->eos);
    add_id(&m, KEY "eot_token_id", v->eot);
    add_id(&m, KEY "unknown_token_id", v->unknown);
    add_id(&m, KEY "padding_token_id", v->padding);
    add(&m, KEY "add_bos_token", RUSK_META_BOOL)->value.u = v->add_bos;
    add(&m, KEY "add_eos_token", RUSK_META_BOOL)->value.u = v->add_eos;
    add(&m, KEY "add_space_prefix", RUSK_META_BOOL)->value.u = v->add_space_prefix;
    *out = m.list;
    *n = m.n;
    return RUSK_OK;
}
