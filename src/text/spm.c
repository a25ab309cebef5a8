/* spm.c - SentencePiece-style encoding (Kudo and Richardson 2018, its BPE mode).
 *
 * The text, spaces written as U+2581, starts as one symbol per character; the neighbours that
 * together are the token with the highest score are joined, the leftmost of them first. Candidates
 * are a heap of score order << 32 | left, so a stale one is recognized by looking its text up anew:
 * if that still is a token of this score, joining now is right whatever the candidate once was. */
#include <string.h>

#include "base/fp.h"
#include "text/heap64.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t prev, next;
    uint32_t at, len_bytes; /* len_bytes 0: joined into the left neighbour */
} symbol;

typedef struct spm {
    const rusk_tokenizer *t;
    const uint8_t *text;
    symbol *s;
    rusk_heap64 heap;
} spm;

/* Maps scores to integers that ascend as scores descend. Floats order as sign and magnitude. */
static uint32_t score_order(const rusk_tokenizer *t, uint32_t id) {
    float score = t->vocab.scores != NULL ? t->vocab.scores[id] : 0.0F;
    uint32_t bits = rusk_f32_bits(score + 0.0F); /* -0 becomes 0 */
    uint32_t ascending = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
    return ~ascending;
}

/* Key of joining `left` with its right neighbour; false where they are no token. */
static bool candidate(const spm *p, uint32_t left, uint64_t *key) {
    if (left == NONE || p->s[left].next == NONE) {
        return false;
    }
    const symbol *a = &p->s[left], *b = &p->s[a->next];
    uint32_t id = rusk_token_find(p->t, p->text + a->at, (size_t)a->len_bytes + b->len_bytes);
    if (id == RUSK_NO_ID) {
        return false;
    }
    *key = (uint64_t)score_order(p->t, id) << 32 | left;
    return true;
}

static void add_candidate(spm *p, uint32_t left) {
    uint64_t key;
    if (candidate(p, left, &key)) {
        rusk_heap64_push(&p->heap, key);
    }
}

static void merge_all(spm *p) {
    while (p->heap.n > 0) {
        uint64_t key = rusk_heap64_pop(&p->heap), now;
        uint32_t left = (uint32_t)key;
        symbol *a = &p->s[left];
        if (a->len_bytes == 0 || !candidate(p, left, &now) || now != key) {
            continue;
        }
        symbol *b = &p->s[a->next];
        a->len_bytes += b->len_bytes;
        a->next = b->next;
        b->len_bytes = 0;
        if (a->next != NONE) {
            p->s[a->next].prev = left;
        }
        add_candidate(p, a->prev);
        add_candidate(p, left);
    }
}

/* A symbol that is no token goes byte by byte; without byte tokens it is unknown. */
static void emit_symbol(rusk_encoder *e, const uint8_t *text, size_t len_bytes) {
    const rusk_tokenizer *t = e->t;
    uint32_t id = rusk_token_find(t, text, len_bytes);
    if (id != RUSK_NO_ID) {
        rusk_encoder_emit(e, id);
        return;
    }
    bool can = true;
    for (size_t i = 0; i < len_bytes; i++) {
        can = can && t->byte_ids[text[i]] != RUSK_NO_ID;
    }
    for (size_t i = 0; can && i < len_bytes; i++) {
        rusk_encoder_emit(e, t->byte_ids[text[i]]);
    }
    if (!can) {
        bool valid = rusk_utf8_char(text, len_bytes) == len_bytes;
        id = valid ? RUSK_NO_ID : rusk_token_find(t, RUSK_UTF8_REPLACEMENT, 3);
        if (id != RUSK_NO_ID || t->vocab.unknown >= 0) {
            rusk_encoder_emit(e, id != RUSK_NO_ID ? id : (uint32_t)t->vocab.unknown);
        }
    }
}

/* One symbol per character; a byte that is part of none is one too. */
static uint32_t cut(spm *p, size_t len_bytes) {
    uint32_t n = 0;
    for (size_t at = 0; at < len_bytes; n++) {
        size_t len = rusk_utf8_char(p->text + at, len_bytes - at);
        len = len > 0 ? len : 1;
        p->s[n] = (symbol){n - 1, at + len < len_bytes ? n + 1 : NONE, (uint32_t)at, (uint32_t)len};
        at += len;
    }
    return n;
}

static size_t escape(const uint8_t *text, size_t len_bytes, bool prefix, uint8_t *out) {
    static const char SPACE[] = "\xE2\x96\x81";
    size_t n = 0;
    for (size_t i = 0; i < len_bytes + prefix; i++) {
        uint8_t c = prefix ? i == 0 ? ' ' : text[i - 1] : text[i];
        if (c == ' ') {
            memcpy(out + n, SPACE, 3);
            n += 3;
        } else {
            out[n++] = c;
        }
    }
    return n;
}

rusk_status rusk_spm_encode(rusk_encoder *e, const uint8_t *text, size_t len_bytes, bool prefix) {
    spm p = {.t = e->t};
    uint8_t *escaped = rusk_encoder_reserve(e, &e->text, 3 * (len_bytes + 1));
    p.text = escaped;
    p.s = rusk_encoder_reserve(e, &e->symbols, (len_bytes + 1) * sizeof *p.s);
    /* n - 1 candidates at first, and each merge takes one and gives at most two */
    p.heap.keys = rusk_encoder_reserve(e, &e->heap, 16 * (len_bytes + 1));
    if (escaped == NULL || p.s == NULL || p.heap.keys == NULL) {
        return RUSK_NO_MEMORY;
    }
    uint32_t n = cut(&p, escape(text, len_bytes, prefix, escaped));
    for (uint32_t i = 0; i + 1 < n; i++) {
        add_candidate(&p, i);
    }
    merge_all(&p);
    for (uint32_t i = 0; n > 0 && i != NONE; i = p.s[i].next) {
        emit_symbol(e, p.text + p.s[i].at, p.s[i].len_bytes);
    }
    return RUSK_OK;
}
