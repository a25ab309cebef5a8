/* tokenizer_impl.h - what the files of this room share; nobody else includes it.
 *
 *     vocab.c      metadata <-> rusk_vocab        lookup.c      rusk_vocab -> the tables below
 *     tokn_*.c     TOKN section <-> rusk_vocab    encode.c      text -> fragments -> tokens
 *     special.c    finds added tokens in text     pretokenize.c cuts text in words (PCRE2)
 *     bpe.c, spm.c a word or fragment to tokens   detokenizer.c tokens to whole characters
 */
#ifndef RUSK_TEXT_TOKENIZER_IMPL_H
#define RUSK_TEXT_TOKENIZER_IMPL_H

#include "text/pretokenize.h"
#include "text/tokenizer.h"

#define RUSK_NO_ID UINT32_MAX

struct rusk_tokenizer {
    rusk_alloc *alloc;
    rusk_arena arena;
    rusk_vocab vocab;
    bool is_bpe;

    /* What a token does, which differs from its type for the few that are control tokens by their
     * spelling (lookup.c); RUSK_KIND_END marks the ends of generation. */
    uint8_t *kinds;
    uint32_t max_token_bytes;

    /* String to id: open addressing, (upper half of the hash) << 32 | id + 1; 0 is free. */
    uint64_t *token_slots;
    uint32_t token_mask;
    /* (left, right) to rank: rank + 1; 0 is free. */
    uint32_t *merge_slots;
    uint32_t merge_mask;
    uint32_t *merge_results; /* token that a merge makes */

    uint32_t byte_ids[256]; /* token of a single byte, RUSK_NO_ID where there is none */

    /* What tokens decode to: piece_data[piece_at[id] .. piece_at[id + 1] - 1]. */
    const char *piece_data;
    const uint32_t *piece_at;

    /* Tokens that are searched in raw text (control, user-defined, unknown), sorted by bytes.
     * special_ranks: place in the order longest first, then by id; special_order inverts it. */
    uint32_t n_special;
    const uint32_t *special_ids, *special_ranks, *special_order;
    uint8_t special_first[256]; /* 1: a user-defined one starts so; 2: any one starts so */

    rusk_splitter *splitter; /* is_bpe */
    bool ignore_merges;      /* a word that is a token is taken whole */
};

#define RUSK_KIND_MASK 7U
#define RUSK_KIND_END  8U

static inline unsigned rusk_token_kind(const rusk_tokenizer *t, uint32_t id) {
    return t->kinds[id] & RUSK_KIND_MASK;
}

/* An empty tokenizer, whose vocabulary the loader fills from t->arena. */
rusk_status rusk_tokenizer_new(rusk_tokenizer **out, rusk_alloc *alloc, rusk_error *err);

/* lookup.c: checks the vocabulary (limits, duplicates, ids in range, no NaN scores) and builds all
 * tables. Merges must be set, except that `merge_lines` ("left right", n_merges of them) may stand
 * in for them. */
rusk_status rusk_tokenizer_build(rusk_tokenizer *t, const rusk_text *merge_lines, rusk_error *err);
uint32_t rusk_token_find(const rusk_tokenizer *t, const void *text, size_t len_bytes);
uint32_t rusk_merge_find(const rusk_tokenizer *t, uint32_t left, uint32_t right); /* rank */
/* The byte that a character of gpt2's alphabet stands for, -1: none. */
int rusk_byte_of_char(uint32_t c);
/* UTF-8 of the character that stands for a byte; returns its length, 1 or 2. */
size_t rusk_char_of_byte(uint8_t byte, char out[2]);

/* --- encoding: scratch and output of one call ------------------------------------------------ */

typedef struct rusk_buffer {
    void *data;
    size_t cap_bytes;
} rusk_buffer;

typedef struct rusk_encoder {
    const rusk_tokenizer *t;
    int32_t *ids;
    size_t cap, n; /* n counts on when the array is full */
    rusk_buffer symbols, heap, text;
    rusk_error *err;
} rusk_encoder;

/* At least size_bytes in buf; contents are lost where it grows. NULL: no memory (err is filled). */
void *rusk_encoder_reserve(rusk_encoder *e, rusk_buffer *buf, size_t size_bytes);

static inline void rusk_encoder_emit(rusk_encoder *e, uint32_t id) {
    if (e->n < e->cap) {
        e->ids[e->n] = (int32_t)id;
    }
    e->n++;
}

rusk_status rusk_bpe_encode(rusk_encoder *e, const uint8_t *text, size_t len_bytes);
rusk_status rusk_spm_encode(rusk_encoder *e, const uint8_t *text, size_t len_bytes, bool prefix);

/* special.c: the added tokens of a text, in order. Freed by rusk_alloc_put. */
typedef struct rusk_special_hit {
    uint32_t at, id;
} rusk_special_hit;
rusk_status rusk_special_find(const rusk_tokenizer *t, const uint8_t *text, size_t len_bytes,
                              bool parse_special, rusk_special_hit **hits, size_t *n,
                              rusk_error *err);

#endif
