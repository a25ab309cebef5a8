/* bpe.c - byte-level byte pair encoding (Sennrich et al. 2016; bytes as in GPT-2).
 *
 * A word starts as one symbol per byte; the neighbours whose merge has the lowest rank are joined,
 * the leftmost of them first, until no neighbours have a merge. Symbols are a linked list,
 * candidates a heap of rank << 32 | left: O(n log n). A candidate is stale when its symbols are not
 * those of its merge any more. */
#include <string.h>

#include "text/heap64.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#define NONE UINT32_MAX /* end of the list; also: joined into the left neighbour */

typedef struct symbol {
    uint32_t prev, next;
    uint32_t id; /* RUSK_NO_ID: a byte without a token */
} symbol;

typedef struct bpe {
    rusk_encoder *e;
    const uint8_t *text;
} bpe;

static void add_candidate(const rusk_tokenizer *t, rusk_heap64 *heap, const symbol *s,
                          uint32_t left) {
    if (left == NONE || s[left].next == NONE) {
        return;
    }
    uint32_t rank = rusk_merge_find(t, s[left].id, s[s[left].next].id);
    if (rank != RUSK_NO_ID) {
        rusk_heap64_push(heap, (uint64_t)rank << 32 | left);
    }
}

static void merge_all(const rusk_tokenizer *t, rusk_heap64 *heap, symbol *s) {
    while (heap->n > 0) {
        uint64_t key = rusk_heap64_pop(heap);
        uint32_t rank = (uint32_t)(key >> 32), left = (uint32_t)key;
        uint32_t right = s[left].next;
        const rusk_merge *m = &t->vocab.merges[rank];
        if (s[left].id != m->left || right == NONE || s[right].id != m->right) {
            continue;
        }
        s[left].id = t->merge_results[rank];
        s[left].next = s[right].next;
        if (s[right].next != NONE) {
            s[s[right].next].prev = left;
        }
        s[right].id = RUSK_NO_ID;
        add_candidate(t, heap, s, s[left].prev);
        add_candidate(t, heap, s, left);
    }
}

/* The word as the vocabulary writes it, where that is one token. */
static uint32_t whole_word(const rusk_tokenizer *t, const uint8_t *word, size_t len_bytes) {
    char text[512];
    size_t n = 0;
    if (len_bytes > sizeof text / 2) {
        return RUSK_NO_ID;
    }
    for (size_t i = 0; i < len_bytes; i++) {
        n += rusk_char_of_byte(word[i], text + n);
    }
    return rusk_token_find(t, text, n);
}

static rusk_status encode_word(void *arg, size_t at, size_t len_bytes) {
    bpe *b = arg;
    const rusk_tokenizer *t = b->e->t;
    const uint8_t *word = b->text + at;
    uint32_t whole = t->ignore_merges ? whole_word(t, word, len_bytes) : RUSK_NO_ID;
    if (whole != RUSK_NO_ID) {
        rusk_encoder_emit(b->e, whole);
        return RUSK_OK;
    }
    /* n - 1 candidates at first, and each merge takes one and gives at most two */
    symbol *s = rusk_encoder_reserve(b->e, &b->e->symbols, len_bytes * sizeof *s);
    rusk_heap64 heap = {.keys = rusk_encoder_reserve(b->e, &b->e->heap, 16 * len_bytes)};
    if (s == NULL || heap.keys == NULL) {
        return RUSK_NO_MEMORY;
    }
    uint32_t n = (uint32_t)len_bytes;
    for (uint32_t i = 0; i < n; i++) {
        s[i] =
            (symbol){.prev = i - 1, .next = i + 1 < n ? i + 1 : NONE, .id = t->byte_ids[word[i]]};
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        add_candidate(t, &heap, s, i);
    }
    merge_all(t, &heap, s);
    for (uint32_t i = 0; i != NONE; i = s[i].next) {
        if (s[i].id != RUSK_NO_ID) {
            rusk_encoder_emit(b->e, s[i].id);
        }
    }
    return RUSK_OK;
}

/* Invalid bytes: `words` is what the expressions see, where such a byte is U+0001 (one byte too,
 * and as U+FFFD neither letter, number, punctuation nor space); `text` is what gets encoded, where
 * it stays what it is if the vocabulary can write it and else becomes U+FFFD in both. */
static size_t repair(const rusk_tokenizer *t, const uint8_t *in, size_t len_bytes, uint8_t *text,
                     uint8_t *words) {
    size_t n = 0;
    for (size_t at = 0; at < len_bytes;) {
        size_t len = rusk_utf8_char(in + at, len_bytes - at);
        const void *from = in + at;
        size_t n_from = len > 0 ? len : 1;
        at += n_from;
        if (len == 0 && t->byte_ids[in[at - 1]] == RUSK_NO_ID) {
            from = RUSK_UTF8_REPLACEMENT;
            len = n_from = 3;
        }
        memcpy(text + n, from, n_from);
        memcpy(words + n, len > 0 ? from : "\x01", n_from);
        n += n_from;
    }
    return n;
}

static bool is_valid(const uint8_t *text, size_t len_bytes) {
    size_t len;
    for (size_t at = 0; at < len_bytes; at += len) {
        len = rusk_utf8_char(text + at, len_bytes - at);
        if (len == 0) {
            return false;
        }
    }
    return true;
}

rusk_status rusk_bpe_encode(rusk_encoder *e, const uint8_t *text, size_t len_bytes) {
    bpe b = {.e = e, .text = text};
    const uint8_t *words = text;
    if (!is_valid(text, len_bytes)) {
        uint8_t *copy = rusk_encoder_reserve(e, &e->text, 6 * len_bytes);
        if (copy == NULL) {
            return RUSK_NO_MEMORY;
        }
        words = copy + 3 * len_bytes;
        b.text = copy;
        len_bytes = repair(e->t, text, len_bytes, copy, copy + 3 * len_bytes);
    }
    return rusk_splitter_run(e->t->splitter, words, len_bytes, encode_word, &b, e->err);
}
