/* tokn_write.c - a vocabulary to a TOKN section.
 *
 * What makes it small: in byte-level BPE almost every token is what a merge makes, and merges stand
 * there as two ids, so such a token's string is not stored. Ids go byte plane by byte plane, scores
 * as planes of the differences of their bit patterns (constant within a power of two where scores
 * count down by one), and all of it through deflate. */
#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/fp.h"
#include "text/tokenizer_impl.h"
#include "text/tokn.h"

voidpf rusk_tokn_zalloc(voidpf alloc, uInt n, uInt size) {
    return rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, n, size);
}

void rusk_tokn_zfree(voidpf alloc, voidpf ptr) {
    rusk_alloc_put(alloc, ptr);
}

static void add_planes(rusk_strbuf *body, const uint32_t *values, uint32_t n, unsigned n_planes) {
    for (unsigned plane = 0; plane < n_planes; plane++) {
        for (uint32_t i = 0; i < n; i++) {
            rusk_strbuf_add_u8(body, (uint8_t)(values[i] >> 8 * plane));
        }
    }
}

static void add_scores(rusk_strbuf *body, const rusk_vocab *v, uint32_t *scratch) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        uint32_t bits = rusk_f32_bits(v->scores[i]);
        scratch[i] = bits - last;
        last = bits;
    }
    add_planes(body, scratch, v->n_tokens, 4);
}

static void add_merges(rusk_strbuf *body, const rusk_vocab *v, uint32_t *scratch) {
    for (uint32_t i = 0; i < v->n_merges; i++) {
        scratch[i] = v->merges[i].left;
    }
    add_planes(body, scratch, v->n_merges, 3);
    for (uint32_t i = 0; i < v->n_merges; i++) {
        scratch[i] = v->merges[i].right;
    }
    add_planes(body, scratch, v->n_merges, 3);
}

/* maker[id] = 1 + the first merge that makes token id from lower ids; 0: none, it is stored. */
static void find_makers(const rusk_tokenizer *t, uint32_t *maker) {
    const rusk_vocab *v = &t->vocab;
    memset(maker, 0, v->n_tokens * sizeof *maker);
    for (uint32_t i = 0; i < v->n_merges; i++) {
        uint32_t id = t->merge_results[i];
        if (maker[id] == 0 && v->merges[i].left < id && v->merges[i].right < id) {
            maker[id] = i + 1;
        }
    }
}

static uint32_t run_length(const uint32_t *maker, uint32_t n, uint32_t id) {
    uint32_t length = 1;
    while (id + length < n && maker[id + length] == maker[id] + length) {
        length++;
    }
    return length;
}

/* Runs of tokens that successive merges make: how many, then (gap, first merge, length) each. */
static void add_runs(rusk_strbuf *body, const uint32_t *maker, uint32_t n) {
    uint32_t n_runs = 0, end = 0;
    for (uint32_t id = 0; id < n; id += maker[id] != 0 ? run_length(maker, n, id) : 1) {
        n_runs += maker[id] != 0 ? 1 : 0;
    }
    rusk_strbuf_add_varint(body, n_runs);
    for (uint32_t id = 0; id < n;) {
        if (maker[id] == 0) {
            id++;
            continue;
        }
        uint32_t length = run_length(maker, n, id);
        rusk_strbuf_add_varint(body, id - end);
        rusk_strbuf_add_varint(body, maker[id] - 1);
        rusk_strbuf_add_varint(body, length);
        id += length;
        end = id;
    }
}

static void add_strings(rusk_strbuf *body, const rusk_vocab *v, const uint32_t *maker) {
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        if (maker[id] == 0) {
            rusk_strbuf_add_varint(body, v->tokens[id].len_bytes);
        }
    }
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        if (maker[id] == 0) {
            rusk_strbuf_add(body, v->tokens[id].data, v->tokens[id].len_bytes);
        }
    }
}

static rusk_status make_body(const rusk_tokenizer *t, rusk_strbuf *body, rusk_error *err) {
    const rusk_vocab *v = &t->vocab;
    size_t n = RUSK_MAX(v->n_tokens, v->n_merges);
    uint32_t *scratch = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, n * sizeof *scratch);
    if (scratch == NULL) {
        return rusk_fail_memory(err, n * sizeof *scratch, "the TOKN section");
    }
    rusk_strbuf_add(body, v->types, v->n_tokens);
    if (v->scores != NULL) {
        add_scores(body, v, scratch);
    }
    add_merges(body, v, scratch);
    find_makers(t, scratch);
    add_runs(body, scratch, v->n_tokens);
    add_strings(body, v, scratch);
    rusk_alloc_put(t->alloc, scratch);
    return body->failed ? rusk_fail_memory(err, body->len_bytes, "the TOKN section") : RUSK_OK;
}

static void add_header(rusk_strbuf *out, const rusk_vocab *v, uint32_t body_bytes) {
    char model[RUSK_TOKN_MODEL_BYTES] = {0}, pre[RUSK_PRE_MAX_BYTES] = {0};
    const int32_t ids[] = {v->bos, v->eos, v->eot, v->unknown, v->padding};
    memcpy(model, v->model, strlen(v->model));
    memcpy(pre, v->pre, strlen(v->pre));
    rusk_strbuf_add_u32(out, RUSK_TOKN_VERSION);
    rusk_strbuf_add_u32(out, v->n_tokens);
    rusk_strbuf_add_u32(out, v->n_merges);
    rusk_strbuf_add_u32(out, (v->scores != NULL ? RUSK_TOKN_SCORES : 0) |
                                 (v->add_bos ? RUSK_TOKN_ADD_BOS : 0) |
                                 (v->add_eos ? RUSK_TOKN_ADD_EOS : 0) |
                                 (v->add_space_prefix ? RUSK_TOKN_SPACE_PREFIX : 0));
    for (size_t i = 0; i < RUSK_COUNT(ids); i++) {
        rusk_strbuf_add_u32(out, (uint32_t)ids[i]);
    }
    rusk_strbuf_add_u32(out, 0);
    rusk_strbuf_add(out, model, sizeof model);
    rusk_strbuf_add(out, pre, sizeof pre);
    rusk_strbuf_add_u32(out, body_bytes);
}

static rusk_status add_deflated(rusk_alloc *alloc, const rusk_strbuf *body, rusk_strbuf *out,
                                rusk_error *err) {
    z_stream z = {.zalloc = rusk_tokn_zalloc, .zfree = rusk_tokn_zfree, .opaque = alloc};
    if (deflateInit(&z, Z_BEST_COMPRESSION) != Z_OK) {
        return rusk_fail_memory(err, 1 << 18, "compressing the vocabulary");
    }
    uLong bound = deflateBound(&z, (uLong)body->len_bytes);
    uint8_t *packed = bound <= UINT_MAX ? rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, bound) : NULL;
    rusk_status status = RUSK_OK;
    if (packed == NULL) {
        status = rusk_fail_memory(err, bound, "compressing the vocabulary");
    } else {
        z.next_in = (Bytef *)body->data;
        z.avail_in = (uInt)body->len_bytes;
        z.next_out = packed;
        z.avail_out = (uInt)bound;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
            rusk_strbuf_add(out, packed, z.total_out);
        } else {
            status = rusk_fail(err, RUSK_INTERNAL, RUSK_NO_OFFSET,
                               "TOKN: deflate did not end in %lu bytes", bound);
        }
    }
    (void)deflateEnd(&z);
    rusk_alloc_put(alloc, packed);
    return status;
}

rusk_status rusk_tokenizer_to_bytes(const rusk_tokenizer *t, rusk_strbuf *out, rusk_error *err) {
    rusk_strbuf body;
    rusk_strbuf_init(&body, t->alloc, RUSK_MEM_SCRATCH);
    rusk_status status = make_body(t, &body, err);
    if (status == RUSK_OK && body.len_bytes > RUSK_TOKN_MAX_BODY) {
        status = rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                           "TOKN: expected a body of at most %u bytes, found %zu",
                           RUSK_TOKN_MAX_BODY, body.len_bytes);
    }
    if (status == RUSK_OK) {
        add_header(out, &t->vocab, (uint32_t)body.len_bytes);
        status = add_deflated(t->alloc, &body, out, err);
    }
    rusk_strbuf_finish(&body);
    if (status == RUSK_OK && out->failed) {
        return rusk_fail_memory(err, out->len_bytes, "the TOKN section");
    }
    return status;
}
