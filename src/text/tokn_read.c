/* tokn_read.c - a TOKN section to a vocabulary. Everything is checked before it is used; what the
 * section claims is held against limits and against its own length before memory is asked for. */
#include <string.h>

#include "base/bytes.h"
#include "base/fp.h"
#include "text/tokenizer_impl.h"
#include "text/tokn.h"

static rusk_status bad(rusk_error *err, const char *what) {
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "TOKN: %s", what);
}

static int32_t read_id(rusk_reader *r) {
    uint32_t id = rusk_reader_u32(r);
    return id <= INT32_MAX ? (int32_t)id : id == UINT32_MAX ? -1 : -2;
}

/* A NUL-padded name, where it stands; NULL where it is not one. */
static const char *read_name(rusk_reader *r, size_t field_bytes) {
    const char *name = (const char *)rusk_reader_take(r, field_bytes);
    const char *end = name != NULL ? memchr(name, '\0', field_bytes) : NULL;
    for (const char *p = end; end != NULL && p < name + field_bytes; p++) {
        if (*p != '\0') {
            return NULL;
        }
    }
    return end != NULL ? name : NULL;
}

static rusk_status read_header(rusk_tokenizer *t, rusk_reader *r, uint32_t *flags,
                               uint32_t *body_bytes, rusk_error *err) {
    rusk_vocab *v = &t->vocab;
    uint32_t version = rusk_reader_u32(r);
    if (rusk_reader_ok(r) && version != RUSK_TOKN_VERSION) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "TOKN: expected version %u, found %u", RUSK_TOKN_VERSION, version);
    }
    v->n_tokens = rusk_reader_u32(r);
    v->n_merges = rusk_reader_u32(r);
    *flags = rusk_reader_u32(r);
    v->bos = read_id(r);
    v->eos = read_id(r);
    v->eot = read_id(r);
    v->unknown = read_id(r);
    v->padding = read_id(r);
    uint32_t reserved = rusk_reader_u32(r);
    const char *model = read_name(r, RUSK_TOKN_MODEL_BYTES);
    const char *pre = read_name(r, RUSK_PRE_MAX_BYTES);
    *body_bytes = rusk_reader_u32(r);
    if (!rusk_reader_ok(r)) {
        return bad(err, "expected a header of 92 bytes, found fewer");
    }
    if (model == NULL || pre == NULL || reserved != 0 || *flags > 15) {
        return bad(err, "expected known flags and NUL-padded names, found others");
    }
    v->add_bos = (*flags & RUSK_TOKN_ADD_BOS) != 0;
    v->add_eos = (*flags & RUSK_TOKN_ADD_EOS) != 0;
    v->add_space_prefix = (*flags & RUSK_TOKN_SPACE_PREFIX) != 0;
    t->is_bpe = strcmp(model, "gpt2") == 0;
    if (!t->is_bpe && strcmp(model, "llama") != 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "TOKN: expected model gpt2 or llama, found '%s'", model);
    }
    v->model = t->is_bpe ? "gpt2" : "llama";
    v->pre = rusk_arena_text(&t->arena, pre, strlen(pre));
    return v->pre != NULL ? RUSK_OK : rusk_fail_memory(err, RUSK_PRE_MAX_BYTES, "the tokenizer");
}

/* Bounds the counts by the body, and the body by the bytes that are there. */
static rusk_status check_sizes(const rusk_vocab *v, uint32_t flags, uint32_t body_bytes,
                               size_t packed_bytes, rusk_error *err) {
    if (v->n_tokens == 0 || v->n_tokens > RUSK_VOCAB_MAX_TOKENS ||
        v->n_merges > RUSK_VOCAB_MAX_TOKENS) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "TOKN: expected 1 to %u tokens and at most as many merges, found %u and "
                         "%u",
                         RUSK_VOCAB_MAX_TOKENS, v->n_tokens, v->n_merges);
    }
    uint64_t least = (uint64_t)v->n_tokens * ((flags & RUSK_TOKN_SCORES) != 0 ? 5 : 1) +
                     (uint64_t)v->n_merges * 6 + 1;
    if (body_bytes < least || body_bytes > RUSK_TOKN_MAX_BODY ||
        body_bytes / RUSK_TOKN_MAX_RATIO > packed_bytes) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "TOKN: expected a body of %llu to %u bytes that %zu packed ones can make, "
                         "found %u",
                         (unsigned long long)least, RUSK_TOKN_MAX_BODY, packed_bytes, body_bytes);
    }
    return RUSK_OK;
}

static rusk_status inflate_body(rusk_alloc *alloc, const uint8_t *packed, size_t packed_bytes,
                                uint8_t *body, uint32_t body_bytes, rusk_error *err) {
    z_stream z = {.zalloc = rusk_tokn_zalloc, .zfree = rusk_tokn_zfree, .opaque = alloc};
    if (packed_bytes > UINT32_MAX || inflateInit(&z) != Z_OK) {
        return rusk_fail_memory(err, 1 << 16, "inflating the vocabulary");
    }
    z.next_in = (Bytef *)packed;
    z.avail_in = (uInt)packed_bytes;
    z.next_out = body;
    z.avail_out = body_bytes;
    int code = inflate(&z, Z_FINISH);
    bool whole = code == Z_STREAM_END && z.avail_out == 0 && z.avail_in == 0;
    (void)inflateEnd(&z);
    if (code == Z_MEM_ERROR) {
        return rusk_fail_memory(err, 1 << 16, "inflating the vocabulary");
    }
    return whole ? RUSK_OK : bad(err, "expected a zlib stream of the length given, found another");
}

static uint32_t from_planes(const uint8_t *planes, size_t n, size_t i, size_t n_planes) {
    uint32_t value = 0;
    for (size_t plane = 0; plane < n_planes; plane++) {
        value |= (uint32_t)planes[plane * n + i] << 8 * plane;
    }
    return value;
}

static rusk_status read_scores(rusk_tokenizer *t, rusk_reader *r, rusk_error *err) {
    uint32_t n = t->vocab.n_tokens, bits = 0;
    float *scores = rusk_arena_get(&t->arena, n, sizeof *scores);
    const uint8_t *planes = rusk_reader_take(r, (size_t)4 * n);
    if (scores == NULL || planes == NULL) {
        return rusk_fail_memory(err, n * sizeof *scores, "scores of tokens");
    }
    for (uint32_t i = 0; i < n; i++) {
        bits += from_planes(planes, n, i, 4);
        scores[i] = rusk_f32_from_bits(bits);
    }
    t->vocab.scores = scores;
    return RUSK_OK;
}

static rusk_status read_merges(rusk_tokenizer *t, rusk_reader *r, rusk_error *err) {
    uint32_t n = t->vocab.n_merges;
    rusk_merge *merges = rusk_arena_get(&t->arena, n, sizeof *merges);
    const uint8_t *planes = rusk_reader_take(r, (size_t)6 * n);
    if (merges == NULL || planes == NULL) {
        return rusk_fail_memory(err, n * sizeof *merges, "merges");
    }
    for (size_t i = 0; i < n; i++) {
        merges[i].left = from_planes(planes, n, i, 3);
        merges[i].right = from_planes(planes + (size_t)3 * n, n, i, 3);
        if (merges[i].left >= t->vocab.n_tokens || merges[i].right >= t->vocab.n_tokens) {
            return bad(err, "expected merges of tokens of the vocabulary, found others");
        }
    }
    t->vocab.merges = merges;
    return RUSK_OK;
}

/* maker[id] = 1 + the merge that makes it, 0: its string is stored. */
static rusk_status read_runs(const rusk_vocab *v, rusk_reader *r, uint32_t *maker,
                             rusk_error *err) {
    uint64_t n_runs = rusk_reader_varint(r), id = 0;
    for (uint64_t run = 0; run < n_runs; run++) {
        uint64_t gap = rusk_reader_varint(r);
        uint64_t merge = rusk_reader_varint(r), length = rusk_reader_varint(r);
        if (!rusk_reader_ok(r) || length == 0 || gap > v->n_tokens - id ||
            length > v->n_tokens - id - gap || merge > v->n_merges ||
            length > v->n_merges - merge) {
            return bad(err, "expected runs of tokens that merges make, found one out of range");
        }
        id += gap;
        for (uint64_t i = 0; i < length; i++, id++, merge++) {
            if (v->merges[merge].left >= id || v->merges[merge].right >= id) {
                return bad(err, "expected tokens made of lower ones, found one that is not");
            }
            maker[id] = (uint32_t)merge + 1;
        }
    }
    return RUSK_OK;
}

/* Lengths of all tokens, in tokens[].len_bytes, and their sum with a NUL each. */
static rusk_status read_lengths(const rusk_vocab *v, rusk_reader *r, const uint32_t *maker,
                                rusk_text *tokens, size_t *total, rusk_error *err) {
    *total = 0;
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        uint64_t len;
        if (maker[id] != 0) {
            const rusk_merge *m = &v->merges[maker[id] - 1];
            len = (uint64_t)tokens[m->left].len_bytes + tokens[m->right].len_bytes;
        } else {
            len = rusk_reader_varint(r);
        }
        if (!rusk_reader_ok(r) || len > RUSK_TOKEN_MAX_BYTES ||
            *total + len + 1 > RUSK_VOCAB_MAX_BYTES) {
            return bad(err, "expected lengths of tokens within the limits, found more");
        }
        tokens[id].len_bytes = (size_t)len;
        *total += (size_t)len + 1;
    }
    return RUSK_OK;
}

static rusk_status read_strings(rusk_tokenizer *t, rusk_reader *r, const uint32_t *maker,
                                rusk_error *err) {
    rusk_vocab *v = &t->vocab;
    size_t total;
    rusk_text *tokens = rusk_arena_get(&t->arena, v->n_tokens, sizeof *tokens);
    if (tokens == NULL) {
        return rusk_fail_memory(err, v->n_tokens * sizeof *tokens, "tokens");
    }
    RUSK_TRY(read_lengths(v, r, maker, tokens, &total, err));
    char *data = rusk_arena_get(&t->arena, total, 1);
    if (data == NULL) {
        return rusk_fail_memory(err, total, "tokens");
    }
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        tokens[id].data = data;
        size_t len = tokens[id].len_bytes;
        if (maker[id] != 0) {
            const rusk_merge *m = &v->merges[maker[id] - 1];
            memcpy(data, tokens[m->left].data, tokens[m->left].len_bytes);
            memcpy(data + tokens[m->left].len_bytes, tokens[m->right].data,
                   tokens[m->right].len_bytes);
        } else {
            const uint8_t *from = rusk_reader_take(r, len);
            if (from == NULL) {
                return bad(err, "expected the strings of all tokens, found fewer bytes");
            }
            memcpy(data, from, len);
        }
        data += len + 1;
    }
    v->tokens = tokens;
    return rusk_reader_left(r) == 0 ? RUSK_OK : bad(err, "expected the body to end, found more");
}

static rusk_status read_body(rusk_tokenizer *t, const uint8_t *body, uint32_t body_bytes,
                             uint32_t flags, uint32_t *maker, rusk_error *err) {
    rusk_reader r = rusk_reader_over(body, body_bytes);
    uint32_t n = t->vocab.n_tokens;
    uint8_t *types = rusk_arena_get(&t->arena, n, 1);
    if (types == NULL) {
        return rusk_fail_memory(err, n, "types of tokens");
    }
    memcpy(types, rusk_reader_take(&r, n), n); /* check_sizes: the planes are all there */
    t->vocab.types = types;
    if ((flags & RUSK_TOKN_SCORES) != 0) {
        RUSK_TRY(read_scores(t, &r, err));
    }
    RUSK_TRY(read_merges(t, &r, err));
    RUSK_TRY(read_runs(&t->vocab, &r, maker, err));
    return read_strings(t, &r, maker, err);
}

static rusk_status read_all(rusk_tokenizer *t, const uint8_t *data, size_t len_bytes,
                            rusk_error *err) {
    rusk_reader r = rusk_reader_over(data, len_bytes);
    uint32_t flags = 0, body_bytes = 0;
    RUSK_TRY(read_header(t, &r, &flags, &body_bytes, err));
    size_t packed_bytes = rusk_reader_left(&r);
    RUSK_TRY(check_sizes(&t->vocab, flags, body_bytes, packed_bytes, err));
    uint8_t *body = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, body_bytes);
    uint32_t *maker = rusk_alloc_zero(t->alloc, RUSK_MEM_SCRATCH, t->vocab.n_tokens, sizeof *maker);
    rusk_status status;
    if (body == NULL || maker == NULL) {
        status = rusk_fail_memory(err, body_bytes, "the TOKN section");
    } else {
        status = inflate_body(t->alloc, data + r.pos, packed_bytes, body, body_bytes, err);
    }
    if (status == RUSK_OK) {
        status = read_body(t, body, body_bytes, flags, maker, err);
    }
    rusk_alloc_put(t->alloc, body);
    rusk_alloc_put(t->alloc, maker);
    return status == RUSK_OK ? rusk_tokenizer_build(t, NULL, err) : status;
}

rusk_status rusk_tokenizer_from_bytes(rusk_tokenizer **out, rusk_alloc *alloc, const uint8_t *data,
                                      size_t len_bytes, rusk_error *err) {
    rusk_tokenizer *t;
    *out = NULL;
    RUSK_TRY(rusk_tokenizer_new(&t, alloc, err));
    rusk_status status = read_all(t, data, len_bytes, err);
    if (status != RUSK_OK) {
        rusk_tokenizer_destroy(t);
        return status;
    }
    *out = t;
    return RUSK_OK;
}
