/* special.c - finds added tokens (control, user-defined, unknown) in raw text.
 *
 * The rule is llama.cpp's: the longest token is searched first, from left to right, and what it
 * takes is taken; then the next longest in what is left, and so on. Instead of a search of the text
 * per token, each position knows the longest token that starts there, and a heap hands positions
 * out by that token's place in the order (rank << 32 | position). A position whose token does not
 * fit any more goes back with the next shorter one that starts there. */
#include <string.h>

#include "text/heap64.h"
#include "text/tokenizer_impl.h"

typedef struct finder {
    const rusk_tokenizer *t;
    const uint8_t *text;
    size_t len_bytes;
    bool parse_special;
    uint8_t *taken; /* a bit per byte of the text */
    rusk_heap64 heap, found;
} finder;

static bool is_taken(const finder *f, size_t at) {
    return (f->taken[at / 8] >> (at % 8) & 1) != 0;
}

/* First of special_ids[lo .. hi-1] whose byte at `depth` is at least c (their first depth bytes are
 * equal; a token that ends there comes first). */
static uint32_t lower(const rusk_tokenizer *t, uint32_t lo, uint32_t hi, size_t depth, unsigned c) {
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const rusk_text *token = &t->vocab.tokens[t->special_ids[mid]];
        if (token->len_bytes <= depth || (uint8_t)token->data[depth] < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Rank of the longest allowed token at `at` that is at most `most` long; RUSK_NO_ID: none. */
static uint32_t longest(const finder *f, size_t at, size_t most) {
    const rusk_tokenizer *t = f->t;
    uint32_t lo = 0, hi = t->n_special, best = RUSK_NO_ID;
    for (size_t depth = 0; depth < most && lo < hi; depth++) {
        unsigned c = f->text[at + depth];
        lo = lower(t, lo, hi, depth, c);
        hi = lower(t, lo, hi, depth, c + 1);
        uint32_t id = lo < hi ? t->special_ids[lo] : 0;
        if (lo < hi && t->vocab.tokens[id].len_bytes == depth + 1 &&
            (f->parse_special || rusk_token_kind(t, id) == RUSK_TOKEN_USER_DEFINED)) {
            best = t->special_ranks[lo];
        }
    }
    return best;
}

static uint32_t id_of(const finder *f, uint64_t key) {
    return f->t->special_order[key >> 32];
}

/* Takes tokens in order. One that overlaps an earlier one, which is at least as long, overlaps it
 * with its first or last byte. */
static void take_all(finder *f) {
    while (f->heap.n > 0) {
        uint64_t key = rusk_heap64_pop(&f->heap);
        size_t at = (uint32_t)key, len = f->t->vocab.tokens[id_of(f, key)].len_bytes;
        if (is_taken(f, at)) {
            continue;
        }
        if (!is_taken(f, at + len - 1)) {
            for (size_t i = at; i < at + len; i++) {
                f->taken[i / 8] |= (uint8_t)(1U << (i % 8));
            }
            rusk_heap64_push(&f->found, (uint64_t)at << 32 | id_of(f, key));
            continue;
        }
        size_t most = 1;
        while (!is_taken(f, at + most)) {
            most++;
        }
        uint32_t rank = longest(f, at, most);
        if (rank != RUSK_NO_ID) {
            rusk_heap64_push(&f->heap, (uint64_t)rank << 32 | at);
        }
    }
}

/* Positions where a token may start, cheaply: by the first byte. */
static size_t count_starts(const finder *f) {
    size_t n = 0;
    for (size_t at = 0; at < f->len_bytes; at++) {
        uint8_t first = f->t->special_first[f->text[at]];
        n += first == 1 || (first == 2 && f->parse_special) ? 1 : 0;
    }
    return n;
}

static void start(finder *f) {
    for (size_t at = 0; at < f->len_bytes; at++) {
        uint8_t first = f->t->special_first[f->text[at]];
        if (first == 1 || (first == 2 && f->parse_special)) {
            uint32_t rank = longest(f, at, f->len_bytes - at);
            if (rank != RUSK_NO_ID) {
                rusk_heap64_push(&f->heap, (uint64_t)rank << 32 | at);
            }
        }
    }
}

rusk_status rusk_special_find(const rusk_tokenizer *t, const uint8_t *text, size_t len_bytes,
                              bool parse_special, rusk_special_hit **hits, size_t *n,
                              rusk_error *err) {
    finder f = {.t = t, .text = text, .len_bytes = len_bytes, .parse_special = parse_special};
    *hits = NULL;
    *n = 0;
    size_t n_starts = count_starts(&f);
    if (n_starts == 0) {
        return RUSK_OK;
    }
    f.heap.keys = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, 8 * n_starts);
    f.found.keys = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, 8 * n_starts);
    f.taken = rusk_alloc_zero(t->alloc, RUSK_MEM_SCRATCH, len_bytes / 8 + 1, 1);
    rusk_status status = RUSK_OK;
    if (f.heap.keys == NULL || f.found.keys == NULL || f.taken == NULL) {
        status = rusk_fail_memory(err, 16 * n_starts, "finding added tokens");
    } else {
        start(&f);
        take_all(&f);
        *n = f.found.n;
        *hits = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, *n * sizeof **hits);
        status = *hits != NULL ? RUSK_OK : rusk_fail_memory(err, *n * 8, "finding added tokens");
        for (size_t i = 0; i < *n && *hits != NULL; i++) {
            uint64_t key = rusk_heap64_pop(&f.found);
            (*hits)[i] = (rusk_special_hit){(uint32_t)(key >> 32), (uint32_t)key};
        }
    }
    rusk_alloc_put(t->alloc, f.heap.keys);
    rusk_alloc_put(t->alloc, f.found.keys);
    rusk_alloc_put(t->alloc, f.taken);
    return status;
}
