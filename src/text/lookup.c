/* lookup.c - checks a vocabulary and builds what encoding and decoding look things up in. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/order.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

/* --- gpt2's alphabet -------------------------------------------------------------------------
 * A byte is written as one printable character: itself where Latin-1 has a visible character there,
 * else one of U+0100 .. U+0143, given out in the order of the bytes:
 *     00..20 -> 0100..0120    7F..A0 -> 0121..0142    AD -> 0143 */

static bool is_visible(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

static uint32_t char_of(uint8_t byte) {
    if (is_visible(byte)) {
        return byte;
    }
    return byte <= 0x20 ? 0x100U + byte : byte == 0xAD ? 0x143U : 0x121U + byte - 0x7FU;
}

int rusk_byte_of_char(uint32_t c) {
    if (c < 0x100) {
        return is_visible(c) ? (int)c : -1;
    }
    if (c <= 0x120) {
        return (int)(c - 0x100);
    }
    return c <= 0x142 ? (int)(c - 0x121 + 0x7F) : c == 0x143 ? 0xAD : -1;
}

size_t rusk_char_of_byte(uint8_t byte, char out[2]) {
    uint32_t c = char_of(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0U | c >> 6);
    out[1] = (char)(0x80U | (c & 0x3FU));
    return 2;
}

/* --- strings to ids -------------------------------------------------------------------------- */

/* No entry stands farther from the place its hash gives it. At 2^20 entries and three quarters
 * full, a run of a good hash's is some 400 slots long; a file made so that its hashes meet would
 * otherwise cost the square of its entries. */
enum { MOST_PROBES = 4096 };

uint32_t rusk_token_find(const rusk_tokenizer *t, const void *text, size_t len_bytes) {
    if (len_bytes == 0 || len_bytes > t->max_token_bytes) {
        return RUSK_NO_ID;
    }
    uint64_t hash = rusk_hash64(text, len_bytes);
    for (uint32_t n = 0; n < MOST_PROBES; n++) {
        uint64_t slot = t->token_slots[((uint32_t)hash + n) & t->token_mask];
        if (slot == 0) {
            break;
        }
        const rusk_text *token = &t->vocab.tokens[(uint32_t)slot - 1];
        if (slot >> 32 == hash >> 32 && token->len_bytes == len_bytes &&
            memcmp(token->data, text, len_bytes) == 0) {
            return (uint32_t)slot - 1;
        }
    }
    return RUSK_NO_ID;
}

/* Slots for n entries: a power of two, at most three quarters full. */
static uint32_t slots_for(uint32_t n) {
    uint32_t slots = 16;
    while (slots / 4 * 3 < n) {
        slots *= 2;
    }
    return slots;
}

static rusk_status fail_crowded(const char *what, uint32_t index, rusk_error *err) {
    return rusk_fail(
        err, RUSK_FORMAT, RUSK_NO_OFFSET,
        "vocabulary: expected at most %d %s with hashes next to each other, found more "
        "at number %u",
        MOST_PROBES, what, index);
}

static rusk_status build_tokens(rusk_tokenizer *t, rusk_error *err) {
    const rusk_vocab *v = &t->vocab;
    uint32_t n_slots = slots_for(v->n_tokens);
    t->token_slots = rusk_arena_get(&t->arena, n_slots, sizeof *t->token_slots);
    if (t->token_slots == NULL) {
        return rusk_fail_memory(err, n_slots * sizeof *t->token_slots, "the table of tokens");
    }
    t->token_mask = n_slots - 1;
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        t->max_token_bytes = RUSK_MAX(t->max_token_bytes, (uint32_t)v->tokens[id].len_bytes);
    }
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        const rusk_text *token = &v->tokens[id];
        if (token->len_bytes == 0) {
            continue; /* padding of the vocabulary: stands for no bytes and is never found */
        }
        uint32_t first = rusk_token_find(t, token->data, token->len_bytes);
        if (first != RUSK_NO_ID) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "vocabulary: expected distinct tokens, found '%.40s' as %u and %u",
                             token->data, first, id);
        }
        uint64_t hash = rusk_hash64(token->data, token->len_bytes);
        uint32_t n = 0;
        while (n < MOST_PROBES && t->token_slots[((uint32_t)hash + n) & t->token_mask] != 0) {
            n++;
        }
        if (n == MOST_PROBES) {
            return fail_crowded("tokens", id, err);
        }
        t->token_slots[((uint32_t)hash + n) & t->token_mask] = hash >> 32 << 32 | (id + 1);
    }
    return RUSK_OK;
}

static void find_bytes(rusk_tokenizer *t) {
    static const char HEX[] = "0123456789ABCDEF";
    for (unsigned b = 0; b < 256; b++) {
        char text[6] = {'<', '0', 'x', HEX[b >> 4], HEX[b & 15], '>'};
        if (t->is_bpe) {
            size_t len = rusk_char_of_byte((uint8_t)b, text);
            t->byte_ids[b] = rusk_token_find(t, text, len);
            continue;
        }
        t->byte_ids[b] = rusk_token_find(t, text, sizeof text);
        if (t->byte_ids[b] == RUSK_NO_ID) {
            char byte = (char)b;
            t->byte_ids[b] = rusk_token_find(t, &byte, 1);
        }
    }
}

/* --- merges ---------------------------------------------------------------------------------- */

static uint32_t merge_hash(uint32_t left, uint32_t right) {
    uint64_t pair = (uint64_t)left << 32 | right;
    return (uint32_t)((pair * 0x9E3779B97F4A7C15U) >> 32) ^ left;
}

uint32_t rusk_merge_find(const rusk_tokenizer *t, uint32_t left, uint32_t right) {
    const rusk_merge *merges = t->vocab.merges;
    uint32_t hash = merge_hash(left, right);
    for (uint32_t n = 0; n < MOST_PROBES; n++) {
        uint32_t slot = t->merge_slots[(hash + n) & t->merge_mask];
        if (slot == 0) {
            break;
        }
        if (merges[slot - 1].left == left && merges[slot - 1].right == right) {
            return slot - 1;
        }
    }
    return RUSK_NO_ID;
}

/* "left right" as ids: the first space after the first character parts them. */
static rusk_status parse_merges(rusk_tokenizer *t, const rusk_text *lines, rusk_error *err) {
    rusk_merge *merges = rusk_arena_get(&t->arena, t->vocab.n_merges, sizeof *merges);
    if (merges == NULL) {
        return rusk_fail_memory(err, t->vocab.n_merges * sizeof *merges, "merges");
    }
    for (uint32_t i = 0; i < t->vocab.n_merges; i++) {
        const char *text = lines[i].data;
        size_t len = lines[i].len_bytes;
        const char *space = len > 2 ? memchr(text + 1, ' ', len - 1) : NULL;
        if (space == NULL) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "merge %u: expected two tokens with a space between them, found "
                             "'%.60s'",
                             i, len > 0 ? text : "");
        }
        size_t left_bytes = (size_t)(space - text);
        merges[i].left = rusk_token_find(t, text, left_bytes);
        merges[i].right = rusk_token_find(t, space + 1, len - left_bytes - 1);
        if (merges[i].left == RUSK_NO_ID || merges[i].right == RUSK_NO_ID) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "merge %u: expected two tokens of the vocabulary, found '%.60s'", i,
                             text);
        }
    }
    t->vocab.merges = merges;
    return RUSK_OK;
}

static rusk_status place_merge(rusk_tokenizer *t, uint32_t i, rusk_error *err) {
    uint32_t hash = merge_hash(t->vocab.merges[i].left, t->vocab.merges[i].right), n = 0;
    while (n < MOST_PROBES && t->merge_slots[(hash + n) & t->merge_mask] != 0) {
        n++;
    }
    if (n == MOST_PROBES) {
        return fail_crowded("merges", i, err);
    }
    t->merge_slots[(hash + n) & t->merge_mask] = i + 1;
    return RUSK_OK;
}

/* What merge i makes, by way of `joined` (room for two tokens), and its place in the table. *total
 * counts the bytes that all merges make. */
static rusk_status add_merge(rusk_tokenizer *t, uint32_t i, char *joined, uint64_t *total,
                             rusk_error *err) {
    const rusk_vocab *v = &t->vocab;
    rusk_merge m = v->merges[i];
    if (m.left >= v->n_tokens || m.right >= v->n_tokens) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "merge %u: expected tokens below %u, found %u and %u", i, v->n_tokens,
                         m.left, m.right);
    }
    const rusk_text *a = &v->tokens[m.left], *b = &v->tokens[m.right];
    *total += (uint64_t)a->len_bytes + b->len_bytes;
    if (*total > RUSK_MERGES_MAX_BYTES) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "merge %u: expected merges to make at most %u bytes in all, found more", i,
                         RUSK_MERGES_MAX_BYTES);
    }
    memcpy(joined, a->data, a->len_bytes);
    memcpy(joined + a->len_bytes, b->data, b->len_bytes);
    t->merge_results[i] = rusk_token_find(t, joined, a->len_bytes + b->len_bytes);
    if (t->merge_results[i] == RUSK_NO_ID) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "merge %u: expected '%.30s' and '%.30s' to make a token of the "
                         "vocabulary, found none",
                         i, a->data, b->data);
    }
    bool again = rusk_merge_find(t, m.left, m.right) != RUSK_NO_ID; /* the first rank counts */
    return again ? RUSK_OK : place_merge(t, i, err);
}

static rusk_status build_merges(rusk_tokenizer *t, rusk_error *err) {
    uint32_t n_merges = t->vocab.n_merges, n_slots = slots_for(n_merges);
    t->merge_slots = rusk_arena_get(&t->arena, n_slots, sizeof *t->merge_slots);
    t->merge_results = rusk_arena_get(&t->arena, n_merges, sizeof *t->merge_results);
    char *joined = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, (size_t)2 * t->max_token_bytes);
    if (t->merge_slots == NULL || t->merge_results == NULL || joined == NULL) {
        rusk_alloc_put(t->alloc, joined);
        return rusk_fail_memory(err, n_slots * sizeof *t->merge_slots, "the table of merges");
    }
    t->merge_mask = n_slots - 1;
    uint64_t total = 0;
    rusk_status status = RUSK_OK;
    for (uint32_t i = 0; i < n_merges && status == RUSK_OK; i++) {
        status = add_merge(t, i, joined, &total, err);
    }
    rusk_alloc_put(t->alloc, joined);
    return status;
}

/* --- kinds ----------------------------------------------------------------------------------- */

/* Tokens that are what they are by their spelling, whatever their type says: files get it wrong
 * often. END: generation ends with them. */
typedef struct known_token {
    const char *text;
    bool is_end;
} known_token;

static const known_token KNOWN[] = {
    {"<|im_end|>", true},
    {"<|endoftext|>", true},
    {"<end_of_turn>", true},
    {"<|eot_id|>", true},
    {"<|eom_id|>", true},
    {"<|end_of_text|>", true},
    {"<|end|>", true},
    {"</s>", true},
    {"<EOT>", true},
    {"_<EOT>", true},
    {"[EOT]", true},
    {"[EOS]", true},
    {"<end_of_utterance>", true},
    {"<eos>", true},
    {"<\xEF\xBD\x9C"
     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
     true},
    {"<|fim_prefix|>", false},
    {"<|fim_suffix|>", false},
    {"<|fim_middle|>", false},
    {"<fim_prefix>", false},
    {"<fim_suffix>", false},
    {"<fim_middle>", false},
    {"<fim-prefix>", false},
    {"<fim-suffix>", false},
    {"<fim-middle>", false},
    {"<PRE>", false},
    {"<SUF>", false},
    {"<MID>", false},
};

/* Of each group the first that is there is a control token and an end: a fill-in-the-middle answer
 * goes no further. */
static const char *const FILL_ENDS[][5] = {
    {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
    {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
    {"<|file_sep|>"},
};

static void mark_end(rusk_tokenizer *t, int32_t id) {
    if (id >= 0) {
        t->kinds[id] |= RUSK_KIND_END;
    }
}

static uint32_t mark_control(rusk_tokenizer *t, const char *text) {
    uint32_t id = rusk_token_find(t, text, strlen(text));
    if (id != RUSK_NO_ID) {
        t->kinds[id] = (uint8_t)((t->kinds[id] & RUSK_KIND_END) | RUSK_TOKEN_CONTROL);
    }
    return id;
}

static rusk_status build_kinds(rusk_tokenizer *t, rusk_error *err) {
    t->kinds = rusk_arena_get(&t->arena, t->vocab.n_tokens, 1);
    if (t->kinds == NULL) {
        return rusk_fail_memory(err, t->vocab.n_tokens, "kinds of tokens");
    }
    memcpy(t->kinds, t->vocab.types, t->vocab.n_tokens);
    for (size_t i = 0; i < RUSK_COUNT(KNOWN); i++) {
        uint32_t id = mark_control(t, KNOWN[i].text);
        if (id != RUSK_NO_ID && KNOWN[i].is_end) {
            mark_end(t, (int32_t)id);
        }
    }
    for (size_t i = 0; i < RUSK_COUNT(FILL_ENDS); i++) {
        uint32_t id = RUSK_NO_ID;
        for (size_t k = 0; k < 5 && FILL_ENDS[i][k] != NULL && id == RUSK_NO_ID; k++) {
            id = mark_control(t, FILL_ENDS[i][k]);
        }
        mark_end(t, id != RUSK_NO_ID ? (int32_t)id : -1);
    }
    mark_end(t, t->vocab.eos);
    mark_end(t, t->vocab.eot);
    return RUSK_OK;
}

/* --- added tokens ---------------------------------------------------------------------------- */

/* Added tokens while they are being sorted. */
typedef struct added {
    const rusk_text *tokens;
    const uint32_t *ids;
} added;

static int by_bytes(const void *items, uint32_t a, uint32_t b) {
    const added *s = items;
    const rusk_text *x = &s->tokens[s->ids[a]], *y = &s->tokens[s->ids[b]];
    int order = memcmp(x->data, y->data, RUSK_MIN(x->len_bytes, y->len_bytes));
    return order != 0 ? order : (x->len_bytes > y->len_bytes) - (x->len_bytes < y->len_bytes);
}

static int by_length(const void *items, uint32_t a, uint32_t b) {
    const added *s = items;
    size_t x = s->tokens[s->ids[a]].len_bytes, y = s->tokens[s->ids[b]].len_bytes;
    return (x < y) - (x > y);
}

static bool is_special(const rusk_tokenizer *t, uint32_t id) {
    unsigned kind = rusk_token_kind(t, id);
    return t->vocab.tokens[id].len_bytes > 0 &&
           (kind == RUSK_TOKEN_CONTROL || kind == RUSK_TOKEN_USER_DEFINED ||
            kind == RUSK_TOKEN_UNKNOWN);
}

static rusk_status build_special(rusk_tokenizer *t, rusk_error *err) {
    const rusk_text *tokens = t->vocab.tokens;
    uint32_t n = 0;
    for (uint32_t id = 0; id < t->vocab.n_tokens; id++) {
        n += is_special(t, id) ? 1 : 0;
    }
    uint32_t *ids = rusk_arena_get(&t->arena, n, sizeof *ids);
    uint32_t *ranks = rusk_arena_get(&t->arena, n, sizeof *ranks);
    uint32_t *order = rusk_arena_get(&t->arena, n, sizeof *order);
    /* ascending ids; the order of the list by length, its inverse, and its order by bytes */
    uint32_t *list = rusk_alloc_zero(t->alloc, RUSK_MEM_SCRATCH, (size_t)4 * n, sizeof *list);
    if (ids == NULL || ranks == NULL || order == NULL || list == NULL) {
        rusk_alloc_put(t->alloc, list);
        return rusk_fail_memory(err, n * sizeof *ids, "added tokens");
    }
    uint32_t *longest = list + n, *rank = list + 2 * (size_t)n, *sorted = list + 3 * (size_t)n;
    for (uint32_t id = 0, i = 0; id < t->vocab.n_tokens; id++) {
        if (is_special(t, id)) {
            list[i++] = id;
            uint8_t *first = &t->special_first[(uint8_t)tokens[id].data[0]];
            *first = rusk_token_kind(t, id) == RUSK_TOKEN_USER_DEFINED || *first == 1 ? 1 : 2;
        }
    }
    const added items = {.tokens = tokens, .ids = list};
    rusk_order(longest, n, by_length, &items);
    rusk_order(sorted, n, by_bytes, &items);
    for (uint32_t i = 0; i < n; i++) {
        order[i] = list[longest[i]];
        rank[longest[i]] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = list[sorted[i]];
        ranks[i] = rank[sorted[i]];
    }
    rusk_alloc_put(t->alloc, list);
    t->n_special = n;
    t->special_ids = ids;
    t->special_ranks = ranks;
    t->special_order = order;
    return RUSK_OK;
}

/* --- pieces ---------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* gpt2: each character to its byte; one outside the alphabet stays what it is. */
static size_t decode_bpe(const rusk_text *token, char *out) {
    const uint8_t *p = (const uint8_t *)token->data;
    size_t n = 0;
    for (size_t at = 0; at < token->len_bytes;) {
        size_t len = rusk_utf8_char(p + at, token->len_bytes - at);
        int byte = len > 0 ? rusk_byte_of_char(rusk_utf8_decode(p + at, len)) : -1;
        if (byte >= 0) {
            out[n++] = (char)byte;
        } else {
            memcpy(out + n, p + at, RUSK_MAX(len, 1U));
            n += RUSK_MAX(len, 1U);
        }
        at += RUSK_MAX(len, 1U);
    }
    return n;
}

/* llama: U+2581 to a space. */
static size_t decode_spm(const rusk_text *token, char *out) {
    size_t n = 0;
    for (size_t at = 0; at < token->len_bytes; n++) {
        bool space = token->len_bytes - at >= 3 && memcmp(token->data + at, "\xE2\x96\x81", 3) == 0;
        out[n] = space ? ' ' : token->data[at];
        at += space ? 3 : 1;
    }
    return n;
}

/* Never longer than the token. */
static size_t decode(const rusk_tokenizer *t, uint32_t id, char *out) {
    const rusk_text *token = &t->vocab.tokens[id];
    switch (rusk_token_kind(t, id)) {
    case RUSK_TOKEN_NORMAL:
        return t->is_bpe ? decode_bpe(token, out) : decode_spm(token, out);
    case RUSK_TOKEN_BYTE: {
        const char *s = token->data;
        int high = token->len_bytes == 6 ? hex_digit(s[3]) : -1;
        int low = token->len_bytes == 6 ? hex_digit(s[4]) : -1;
        if (high < 0 || low < 0) {
            return 0;
        }
        out[0] = (char)(high << 4 | low);
        return 1;
    }
    case RUSK_TOKEN_USER_DEFINED:
        memcpy(out, token->data, token->len_bytes);
        return token->len_bytes;
    default:
        return 0;
    }
}

static rusk_status build_pieces(rusk_tokenizer *t, rusk_error *err) {
    uint32_t n = t->vocab.n_tokens;
    size_t most = 1, used = 0;
    for (uint32_t id = 0; id < n; id++) {
        most += t->vocab.tokens[id].len_bytes;
    }
    uint32_t *at = rusk_arena_get(&t->arena, (size_t)n + 1, sizeof *at);
    char *scratch = rusk_alloc_get(t->alloc, RUSK_MEM_SCRATCH, most);
    if (at == NULL || scratch == NULL) {
        rusk_alloc_put(t->alloc, scratch);
        return rusk_fail_memory(err, most, "texts of tokens");
    }
    for (uint32_t id = 0; id < n; id++) {
        used += decode(t, id, scratch + used);
        at[id + 1] = (uint32_t)used;
    }
    t->piece_at = at;
    t->piece_data = rusk_arena_text(&t->arena, scratch, used);
    rusk_alloc_put(t->alloc, scratch);
    return t->piece_data != NULL ? RUSK_OK : rusk_fail_memory(err, used, "texts of tokens");
}

/* --- all ------------------------------------------------------------------------------------- */

static rusk_status check(const rusk_tokenizer *t, rusk_error *err) {
    const rusk_vocab *v = &t->vocab;
    const int32_t ids[] = {v->bos, v->eos, v->eot, v->unknown, v->padding};
    static const char *const NAMES[] = {"bos", "eos", "eot", "unknown", "padding"};
    for (size_t i = 0; i < RUSK_COUNT(ids); i++) {
        if (ids[i] < -1 || ids[i] >= (int64_t)v->n_tokens) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "vocabulary: expected a %s token below %u, found %d", NAMES[i],
                             v->n_tokens, ids[i]);
        }
    }
    if ((v->add_bos && v->bos < 0) || (v->add_eos && v->eos < 0)) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "vocabulary: expected a %s token, since one is to be added; found none",
                         v->add_bos && v->bos < 0 ? "bos" : "eos");
    }
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        if (v->types[id] > RUSK_TOKEN_BYTE) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "token %u: expected a type of 0 to 6, found %u", id, v->types[id]);
        }
        if (v->scores != NULL && isnan(v->scores[id])) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "token %u: expected a number as its score, found NaN", id);
        }
    }
    return RUSK_OK;
}

rusk_status rusk_tokenizer_build(rusk_tokenizer *t, const rusk_text *merge_lines, rusk_error *err) {
    RUSK_TRY(check(t, err));
    RUSK_TRY(build_tokens(t, err));
    if (merge_lines != NULL) {
        RUSK_TRY(parse_merges(t, merge_lines, err));
    }
    RUSK_TRY(build_merges(t, err));
    find_bytes(t);
    RUSK_TRY(build_kinds(t, err));
    RUSK_TRY(build_special(t, err));
    RUSK_TRY(build_pieces(t, err));
    if (t->is_bpe) {
        const rusk_pre_info *pre = rusk_pre_find(t->vocab.pre);
        if (pre == NULL) {
            return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                             "pre-tokenizer: expected one of " RUSK_PRE_NAMES ", found '%.60s'",
                             t->vocab.pre);
        }
        t->ignore_merges = pre->ignore_merges;
        RUSK_TRY(rusk_splitter_create(&t->splitter, t->alloc, pre, err));
    }
    return RUSK_OK;
}
