/* encode.c - text to ids: added tokens are found first, what lies between them is encoded by the
 * vocabulary's kind; and what the caller asks about a token. */
#include "text/tokenizer_impl.h"

void *rusk_encoder_reserve(rusk_encoder *e, rusk_buffer *buf, size_t size_bytes) {
    if (size_bytes > buf->cap_bytes) {
        rusk_alloc_put(e->t->alloc, buf->data);
        buf->cap_bytes = 0;
        size_t cap = size_bytes + size_bytes / 2;
        buf->data = rusk_alloc_get(e->t->alloc, RUSK_MEM_SCRATCH, cap);
        if (buf->data == NULL) {
            (void)rusk_fail_memory(e->err, cap, "encoding text");
            return NULL;
        }
        buf->cap_bytes = cap;
    }
    return buf->data;
}

static rusk_status encode_part(rusk_encoder *e, const uint8_t *text, size_t len_bytes,
                               bool after_special) {
    if (len_bytes == 0) {
        return RUSK_OK;
    }
    if (e->t->is_bpe) {
        return rusk_bpe_encode(e, text, len_bytes);
    }
    return rusk_spm_encode(e, text, len_bytes, e->t->vocab.add_space_prefix && after_special);
}

static rusk_status encode_all(rusk_encoder *e, const uint8_t *text, size_t len_bytes,
                              bool parse_special) {
    rusk_special_hit *hits;
    size_t n, at = 0;
    rusk_status status = rusk_special_find(e->t, text, len_bytes, parse_special, &hits, &n, e->err);
    bool after_special = true; /* so is the beginning */
    for (size_t i = 0; i < n && status == RUSK_OK; i++) {
        status = encode_part(e, text + at, hits[i].at - at, after_special);
        rusk_encoder_emit(e, hits[i].id);
        at = hits[i].at + e->t->vocab.tokens[hits[i].id].len_bytes;
        after_special = true;
    }
    if (status == RUSK_OK) {
        status = encode_part(e, text + at, len_bytes - at, after_special);
    }
    rusk_alloc_put(e->t->alloc, hits);
    return status;
}

rusk_status rusk_tokenizer_encode(const rusk_tokenizer *t, const char *text, size_t len_bytes,
                                  uint32_t flags, int32_t *ids, size_t cap, size_t *n,
                                  rusk_error *err) {
    rusk_encoder e = {.t = t, .ids = ids, .cap = cap, .err = err};
    bool special = (flags & RUSK_TOKENIZE_ADD_SPECIAL) != 0;
    *n = 0;
    if (len_bytes > RUSK_TEXT_MAX_BYTES) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "text: expected at most %u bytes, found %zu", RUSK_TEXT_MAX_BYTES,
                         len_bytes);
    }
    if (special && t->vocab.add_bos) {
        rusk_encoder_emit(&e, (uint32_t)t->vocab.bos);
    }
    rusk_status status = encode_all(&e, (const uint8_t *)text, len_bytes,
                                    (flags & RUSK_TOKENIZE_PARSE_SPECIAL) != 0);
    if (special && t->vocab.add_eos) {
        rusk_encoder_emit(&e, (uint32_t)t->vocab.eos);
    }
    rusk_alloc_put(t->alloc, e.symbols.data);
    rusk_alloc_put(t->alloc, e.heap.data);
    rusk_alloc_put(t->alloc, e.text.data);
    if (status != RUSK_OK) {
        return status;
    }
    *n = e.n;
    if (e.n > cap) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "text: expected at most %zu tokens, found %zu", cap, e.n);
    }
    return RUSK_OK;
}

const char *rusk_tokenizer_text(const rusk_tokenizer *t, int32_t id, bool special,
                                size_t *len_bytes) {
    *len_bytes = 0;
    if (id < 0 || (uint32_t)id >= t->vocab.n_tokens) {
        return NULL;
    }
    unsigned kind = rusk_token_kind(t, (uint32_t)id);
    if (special && (kind == RUSK_TOKEN_CONTROL || kind == RUSK_TOKEN_UNKNOWN)) {
        *len_bytes = t->vocab.tokens[id].len_bytes;
        return t->vocab.tokens[id].data;
    }
    *len_bytes = t->piece_at[id + 1] - t->piece_at[id];
    return t->piece_data + t->piece_at[id];
}

bool rusk_tokenizer_is_end(const rusk_tokenizer *t, int32_t id) {
    return id >= 0 && (uint32_t)id < t->vocab.n_tokens && (t->kinds[id] & RUSK_KIND_END) != 0;
}
