/* Encoding, held against plain twins: merge by scanning, find added tokens by searching the text
 * for one after the other. */
#include "base/threads.h"
#include "support/test.h"
#include "support/tiny_tokenizer.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

enum { CAP = 200000 };

static int32_t ids[CAP], other_ids[CAP];
static const char *const PRES[] = {"smollm", "gpt-2", "qwen2", "llama-bpe", "default"};

static size_t encode(const rusk_tokenizer *t, const void *text, size_t len, uint32_t flags) {
    rusk_error err;
    size_t n;
    CHECK_OK(rusk_tokenizer_encode(t, text, len, flags, ids, CAP, &n, &err), &err);
    return n;
}

static void check_ids(const rusk_tokenizer *t, const char *text, uint32_t flags,
                      const int32_t *expected, size_t n_expected) {
    size_t n = encode(t, text, strlen(text), flags);
    for (size_t i = 0; i < n && i < n_expected; i++) {
        if (ids[i] != expected[i]) {
            test_fail(__FILE__, __LINE__, "'%s': token %zu is %d, expected %d", text, i, ids[i],
                      expected[i]);
        }
    }
    CHECK_EQ(n, n_expected);
}
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4

static rusk_tokenizer *by_hand(rusk_alloc *alloc, const hand_vocab *v) {
    rusk_error err;
    rusk_tokenizer *t;
    rusk_arena arena;
    rusk_meta meta[TINY_VOCAB_METAS];
    rusk_arena_init(&arena, alloc, RUSK_MEM_METADATA);
    rusk_source s = tiny_source(alloc, meta, hand_vocab_meta(v, &arena, meta));
    CHECK_OK(rusk_tokenizer_from_source(&t, alloc, &s, &err), &err);
    rusk_arena_finish(&arena);
    return t;
}

/* --- by hand --------------------------------------------------------------------------------- */

#define SP "\xC4\xA0" /* U+0120: a space in gpt2's alphabet */

TEST(merges_go_by_rank_then_from_the_left) {
    static const char *const TOKENS[] = {"1:a",  "1:b",       "1:c",       "1:" SP, "1:ab",
                                         "1:bc", "1:" SP "a", "1:abc",     "1:aa",  "3:<x>",
                                         "4:cc", "2:<unk>",   "1:\xC3\x83"};
    static const char *const MERGES[] = {"b c", "a b", SP " a", "a bc", "a a", "a b"};
    hand_vocab v = {"gpt2", "gpt-2", TOKENS, RUSK_COUNT(TOKENS), MERGES, 6, NULL};
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = by_hand(&alloc, &v);
    check_ids(t, "abc", 0, IDS(7));
    check_ids(t, "ab", 0, IDS(4));
    check_ids(t, "aaa", 0, IDS(8, 0));
    check_ids(t, "a aab", 0, IDS(0, 6, 4));
    check_ids(t, "accb", 0, IDS(0, 10, 1)); /* user-defined: always */
    check_ids(t, "a<x>b", 0, IDS(0, 1));    /* <, x, > have no token: left out */
    check_ids(t, "a<x>b", RUSK_TOKENIZE_PARSE_SPECIAL, IDS(0, 9, 1));
    check_ids(t, "<unk>", RUSK_TOKENIZE_PARSE_SPECIAL, IDS(11));
    check_ids(t, "a\xC3", 0, IDS(0, 12)); /* an invalid byte that has a token */
    check_ids(t, "", RUSK_TOKENIZE_ADD_SPECIAL, NULL, 0);
    rusk_tokenizer_destroy(t);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(invalid_bytes_without_a_token_become_replacements) {
    /* EF, BF, BD have tokens (U+00EF, U+00BF, U+00BD in the alphabet), FE has none */
    static const char *const TOKENS[] = {"1:a", "1:\xC3\xAF", "1:\xC2\xBF", "1:\xC2\xBD"};
    hand_vocab v = {"gpt2", "gpt-2", TOKENS, 4, PRES, 0, NULL};
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = by_hand(&alloc, &v);
    check_ids(t,
              "a\xFE"
              "a",
              0, IDS(0, 1, 2, 3, 0));
    check_ids(t, "\xEF\xBF", 0, IDS(1, 2));
    check_ids(t, "\xEF\xBF\xBD", 0, IDS(1, 2, 3));
    rusk_tokenizer_destroy(t);
}

TEST(a_whole_word_first_with_llama_bpe) {
    static const char *const TOKENS[] = {"1:a", "1:b", "1:c", "1:ab", "1:bc", "1:abc"};
    static const char *const MERGES[] = {"a b"};
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    hand_vocab v = {"gpt2", "llama-bpe", TOKENS, 6, MERGES, 1, NULL};
    rusk_tokenizer *t = by_hand(&alloc, &v);
    check_ids(t, "abc", 0, IDS(5));
    check_ids(t, "abcc", 0, IDS(3, 2, 2));
    rusk_tokenizer_destroy(t);
    v.pre = "gpt-2";
    t = by_hand(&alloc, &v);
    check_ids(t, "abc", 0, IDS(3, 2));
    rusk_tokenizer_destroy(t);
}

TEST(sentencepiece_goes_by_score) {
    static const char *const TOKENS[] = {"2:<unk>",
                                         "3:<s>",
                                         "3:</s>",
                                         "1:\xE2\x96\x81",
                                         "1:a",
                                         "1:b",
                                         "1:ab",
                                         "1:ba",
                                         ("1:\xE2\x96\x81"
                                          "a"),
                                         "6:<0xC3>",
                                         "6:<0xA9>",
                                         "1:\xEF\xBF\xBD"};
    static const float SCORES[] = {0, 0, 0, -9, -9, -9, -1, -2, -0.5F, 0, 0, -9};
    hand_vocab v = {"llama", NULL, TOKENS, RUSK_COUNT(TOKENS), NULL, 0, SCORES};
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = by_hand(&alloc, &v); /* defaults: <unk> 0, bos 1, eos 2, a space first */
    check_ids(t, "abab", 0, IDS(8, 5, 6));
    check_ids(t, "ba", RUSK_TOKENIZE_ADD_SPECIAL, IDS(1, 3, 7));
    check_ids(t, "b\xC3\xA9", 0, IDS(3, 5, 9, 10)); /* byte fallback */
    check_ids(t, "bz", 0, IDS(3, 5, 0));            /* no token, no byte: unknown */
    check_ids(t, "b\xFF", 0, IDS(3, 5, 11));        /* invalid: the replacement character */
    check_ids(t, "b\xC3 ", 0, IDS(3, 5, 9, 3));     /* an invalid byte does not take others along */
    check_ids(t, "b</s>b", RUSK_TOKENIZE_PARSE_SPECIAL, IDS(3, 5, 2, 3, 5));
    check_ids(t, "", RUSK_TOKENIZE_ADD_SPECIAL, IDS(1));
    CHECK(rusk_tokenizer_is_end(t, 2) && !rusk_tokenizer_is_end(t, 1));
    rusk_tokenizer_destroy(t);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(what_tokens_say) {
    rusk_alloc alloc;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = tiny_tokenizer_bpe(&alloc, 1, "smollm");
    CHECK_EQ(rusk_tokenizer_text(t, 3, false, &n)[0], '\0');
    CHECK_EQ(n, 1); /* byte 0 */
    (void)rusk_tokenizer_text(t, 1, false, &n);
    CHECK_EQ(n, 0);
    CHECK_STR(rusk_tokenizer_text(t, 1, true, &n), "<|im_start|>");
    CHECK(rusk_tokenizer_text(t, -1, true, &n) == NULL);
    CHECK(rusk_tokenizer_text(t, 480, true, &n) == NULL);
    CHECK(rusk_tokenizer_is_end(t, 0) && rusk_tokenizer_is_end(t, 2));
    CHECK(!rusk_tokenizer_is_end(t, 1) && !rusk_tokenizer_is_end(t, 9999));
    check_ids(t, "<|im_start|><|im_end|>", RUSK_TOKENIZE_PARSE_SPECIAL, IDS(1, 2));
    rusk_tokenizer_destroy(t);
}

TEST(byte_tokens_that_name_no_byte_say_nothing) {
    static const char *const TOKENS[] = {"6:<0x4a>", "6:<0xG0>", "6:x", "1:a", "0:b"};
    hand_vocab v = {"gpt2", "gpt-2", TOKENS, 5, PRES, 0, NULL};
    rusk_alloc alloc;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = by_hand(&alloc, &v);
    CHECK_EQ(rusk_tokenizer_text(t, 0, false, &n)[0], 'J');
    for (int32_t id = 0; id < 5; id++) {
        CHECK(rusk_tokenizer_text(t, id, true, &n) != NULL);
        CHECK_EQ(n, id == 0 || id == 3 ? 1 : 0);
    }
    rusk_tokenizer_destroy(t);
}

TEST(the_number_needed_is_told) {
    rusk_alloc alloc;
    rusk_error err;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = tiny_tokenizer_bpe(&alloc, 1, "smollm");
    CHECK_FAILS(rusk_tokenizer_encode(t, "12345", 5, 0, ids, 2, &n, &err), RUSK_LIMIT, &err,
                "expected at most 2 tokens, found 5");
    CHECK_EQ(n, 5);
    CHECK_FAILS(rusk_tokenizer_encode(t, "1", 1, 0, NULL, 0, &n, &err), RUSK_LIMIT, &err,
                "found 1");
    CHECK_OK(rusk_tokenizer_encode(t, "12345", 5, 0, ids, 5, &n, &err), &err);
    CHECK_OK(rusk_tokenizer_encode(t, NULL, 0, 0, NULL, 0, &n, &err), &err);
    CHECK_FAILS(rusk_tokenizer_encode(t, "", RUSK_TEXT_MAX_BYTES + 1, 0, ids, 5, &n, &err),
                RUSK_LIMIT, &err, "expected at most 268435456 bytes");
    rusk_tokenizer_destroy(t);
}

/* --- twins ----------------------------------------------------------------------------------- */

/* One pass of the rule as it is written: of all neighbours the best, until there is none. */
static size_t merge_by_scanning(const rusk_tokenizer *t, uint32_t *s, size_t n) {
    for (;;) {
        uint32_t best = RUSK_NO_ID;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = rusk_merge_find(t, s[i], s[i + 1]);
            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == RUSK_NO_ID) {
            return n;
        }
        s[at] = t->merge_results[best];
        memmove(s + at + 1, s + at + 2, (n - at - 2) * sizeof *s);
        n--;
    }
}

/* Letters only, so that the text is one word. */
TEST(bpe_equals_its_twin) {
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (uint64_t seed = 1; seed <= 5; seed++) {
        rusk_tokenizer *t = tiny_tokenizer_bpe(&alloc, seed, "gpt-2");
        for (int round = 0; round < 300; round++) {
            char text[200];
            uint32_t twin[200];
            size_t len = 1 + (size_t)rusk_rng_below(&rng, sizeof text);
            static const char LETTERS[] = "aeioutsmkrhnd";
            size_t few = 2 + (size_t)rusk_rng_below(&rng, sizeof LETTERS - 2);
            for (size_t i = 0; i < len; i++) {
                text[i] = LETTERS[rusk_rng_below(&rng, few)];
                twin[i] = t->byte_ids[(uint8_t)text[i]];
            }
            size_t n = encode(t, text, len, 0), n_twin = merge_by_scanning(t, twin, len);
            CHECK_EQ(n, n_twin);
            CHECK_MEM(ids, twin, n * sizeof *ids);
        }
        rusk_tokenizer_destroy(t);
    }
}

typedef struct piece {
    size_t at, len;
} piece;

static size_t merge_spm_by_scanning(const rusk_tokenizer *t, const char *text, piece *s, size_t n) {
    for (;;) {
        float best = -1e30F;
        size_t at = n;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t id = rusk_token_find(t, text + s[i].at, s[i].len + s[i + 1].len);
            if (id != RUSK_NO_ID && t->vocab.scores[id] > best) {
                best = t->vocab.scores[id];
                at = i;
            }
        }
        if (at == n) {
            return n;
        }
        s[at].len += s[at + 1].len;
        memmove(s + at + 1, s + at + 2, (n - at - 2) * sizeof *s);
        n--;
    }
}

TEST(sentencepiece_equals_its_twin) {
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (uint64_t seed = 1; seed <= 5; seed++) {
        rusk_tokenizer *t = tiny_tokenizer_spm(&alloc, seed, false);
        for (int round = 0; round < 300; round++) {
            char text[200];
            piece twin[200];
            size_t len = 1 + (size_t)rusk_rng_below(&rng, sizeof text);
            for (size_t i = 0; i < len; i++) {
                text[i] = "aeioutsmkrhnd."[rusk_rng_below(&rng, 14)];
                twin[i] = (piece){i, 1};
            }
            size_t n = encode(t, text, len, 0), n_twin = merge_spm_by_scanning(t, text, twin, len);
            CHECK_EQ(n, n_twin);
            for (size_t i = 0; i < n; i++) {
                CHECK_EQ(ids[i], rusk_token_find(t, text + twin[i].at, twin[i].len));
            }
        }
        rusk_tokenizer_destroy(t);
    }
}

/* The rule as llama.cpp has it: each token in turn, longest first, searched in what is left. */
static size_t find_by_searching(const rusk_tokenizer *t, const char *text, size_t len, bool all,
                                uint32_t *owner) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        owner[i] = RUSK_NO_ID;
    }
    for (uint32_t k = 0; k < t->n_special; k++) {
        uint32_t id = t->special_order[k];
        size_t n_token = t->vocab.tokens[id].len_bytes;
        if (!all && t->kinds[id] != RUSK_TOKEN_USER_DEFINED) {
            continue;
        }
        for (size_t at = 0; at + n_token <= len;) {
            bool here = memcmp(text + at, t->vocab.tokens[id].data, n_token) == 0;
            for (size_t i = 0; i < n_token; i++) {
                here = here && owner[at + i] == RUSK_NO_ID;
            }
            for (size_t i = 0; here && i < n_token; i++) {
                owner[at + i] = i == 0 ? id : RUSK_NO_ID - 1;
            }
            n += here ? 1 : 0;
            at += here ? n_token : 1;
        }
    }
    return n;
}

TEST(added_tokens_equal_their_twin) {
    static const char *const TOKENS[] = {"4:a",    "3:aa",   "4:ab",  "3:aba",  "4:bab",
                                         "3:abab", "4:bb",   "2:bbb", "4:aabb", "3:baa",
                                         "4:aaaa", "3:abba", "4:b",   "1:c",    "3:ababab"};
    hand_vocab v = {"gpt2", "gpt-2", TOKENS, RUSK_COUNT(TOKENS), PRES, 0, NULL};
    rusk_alloc alloc;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = by_hand(&alloc, &v);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int round = 0; round < 3000; round++) {
        char text[64];
        uint32_t owner[64];
        size_t len = (size_t)rusk_rng_below(&rng, sizeof text), n;
        bool all = rusk_rng_below(&rng, 2) == 0;
        for (size_t i = 0; i < len; i++) {
            text[i] = "aaabbbc"[rusk_rng_below(&rng, 7)];
        }
        rusk_special_hit *hits;
        CHECK_OK(rusk_special_find(t, (const uint8_t *)text, len, all, &hits, &n, &err), &err);
        CHECK_EQ(n, find_by_searching(t, text, len, all, owner));
        for (size_t i = 0; i < n; i++) {
            CHECK_EQ(hits[i].id, owner[hits[i].at]);
            CHECK(i == 0 || hits[i].at > hits[i - 1].at);
        }
        rusk_alloc_put(&alloc, hits);
    }
    rusk_tokenizer_destroy(t);
}

/* --- properties ------------------------------------------------------------------------------ */

static void check_decodes(const rusk_tokenizer *t, const uint8_t *text, size_t len,
                          uint32_t flags) {
    size_t n = encode(t, text, len, flags), at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t n_piece;
        const char *p = rusk_tokenizer_text(t, ids[i], true, &n_piece);
        CHECK(n_piece <= len - at && memcmp(p, text + at, n_piece) == 0);
        at += n_piece;
    }
    CHECK_EQ(at, len);
}

TEST(any_bytes_come_back) {
    static const char *const PARTS[] = {" ",  "\n", "\r\n", "'s",   "12",     "<|im_end|>",
                                        "\t", "é",  "世",   "🙂", "<tool>", "\xE2\x96"};
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t k = 0; k <= RUSK_COUNT(PRES); k++) {
        rusk_tokenizer *t = k < RUSK_COUNT(PRES) ? tiny_tokenizer_bpe(&alloc, k, PRES[k])
                                                 : tiny_tokenizer_spm(&alloc, k, false);
        for (int round = 0; round < 500; round++) {
            uint8_t text[300];
            size_t len = 0, want = (size_t)rusk_rng_below(&rng, 280);
            while (len < want) {
                const char *part = PARTS[rusk_rng_below(&rng, RUSK_COUNT(PARTS))];
                if (rusk_rng_below(&rng, 2) == 0) {
                    memcpy(text + len, part, strlen(part));
                    len += strlen(part);
                } else {
                    text[len++] = (uint8_t)rusk_rng_u64(&rng);
                }
            }
            for (size_t i = 2; i < len && !t->is_bpe; i++) { /* U+2581 itself comes back a space */
                bool space = memcmp(text + i - 2, "\xE2\x96\x81", 3) == 0;
                text[i] = space ? 0x82 : text[i];
            }
            check_decodes(t, text, len, (uint32_t)rusk_rng_below(&rng, 2) * 2);
        }
        rusk_tokenizer_destroy(t);
    }
}

/* Words of a megabyte: were time quadratic, this would take hours. */
TEST(long_words_take_no_longer) {
    enum { LEN = 1 << 18 };
    static uint8_t text[LEN];
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    for (int k = 0; k < 2; k++) {
        rusk_tokenizer *t =
            k == 0 ? tiny_tokenizer_bpe(&alloc, 1, "qwen2") : tiny_tokenizer_spm(&alloc, 1, true);
        static const char FILL[] = {'a', ' ', '\n', '!', '<'};
        for (size_t i = 0; i < sizeof FILL; i++) {
            size_t n;
            rusk_error err;
            memset(text, FILL[i], LEN);
            rusk_status s = rusk_tokenizer_encode(t, (const char *)text, LEN,
                                                  RUSK_TOKENIZE_PARSE_SPECIAL, ids, CAP, &n, &err);
            CHECK(s == RUSK_OK || s == RUSK_LIMIT);
            CHECK(n > 0 && n <= LEN + 1);
        }
        rusk_tokenizer_destroy(t);
    }
}

typedef struct shared {
    const rusk_tokenizer *t;
    const rusk_text *text;
    int32_t ids[8][2000];
    size_t n[8];
} shared;

static void encode_one(void *arg, size_t index, unsigned worker) {
    shared *s = arg;
    (void)worker;
    (void)rusk_tokenizer_encode(s->t, s->text->data, 1500, 0, s->ids[index], 2000, &s->n[index],
                                NULL);
}

TEST(threads_share_a_tokenizer) {
    static shared s;
    rusk_alloc alloc;
    rusk_error err;
    rusk_pool *pool;
    rusk_arena arena;
    tiny_vocab v;
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_METADATA);
    tiny_vocab_bpe(&arena, 3, "smollm", &v);
    rusk_tokenizer *t = tiny_tokenizer_bpe(&alloc, 3, "smollm");
    CHECK_OK(rusk_pool_create(&pool, &alloc, 4, &err), &err);
    s.t = t;
    s.text = v.corpus;
    CHECK(v.corpus->len_bytes >= 1500);
    rusk_pool_run(pool, encode_one, &s, 8);
    for (int i = 0; i < 8; i++) {
        CHECK(s.n[i] > 100 && s.n[i] == s.n[0]);
        CHECK_MEM(s.ids[i], s.ids[0], s.n[0] * sizeof **s.ids);
    }
    rusk_pool_destroy(pool);
    rusk_arena_finish(&arena);
    rusk_tokenizer_destroy(t);
    CHECK_EQ(alloc.bytes_total, 0);
}

/* --- what is refused ------------------------------------------------------------------------- */

static rusk_status try_hand(const hand_vocab *v, rusk_meta extra, rusk_error *err) {
    rusk_alloc alloc;
    rusk_arena arena;
    rusk_tokenizer *t;
    rusk_meta meta[TINY_VOCAB_METAS + 1];
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_METADATA);
    size_t n = hand_vocab_meta(v, &arena, meta);
    if (extra.key != NULL) {
        meta[n++] = extra;
    }
    rusk_source s = tiny_source(&alloc, meta, n);
    rusk_status status = rusk_tokenizer_from_source(&t, &alloc, &s, err);
    CHECK((t == NULL) == (status != RUSK_OK));
    rusk_tokenizer_destroy(t);
    rusk_arena_finish(&arena);
    CHECK_EQ(alloc.bytes_total, 0);
    return status;
}

TEST(vocabularies_that_are_refused) {
    static const char *const TOKENS[] = {"1:a", "1:b", "1:ab"}, *const TWICE[] = {"1:a", "1:a"},
                             *const TYPE[] = {"1:a", "7:b"}, *const MERGE[] = {"a b"},
                             *const NO_SPACE[] = {"ab"}, *const NO_SIDE[] = {"a c"},
                             *const NO_RESULT[] = {"b a"};
    static const float NAN_SCORE[] = {0, 0.0F / 0.0F, 0};
    const hand_vocab good = {"gpt2", "gpt-2", TOKENS, 3, MERGE, 1, NULL};
    const rusk_meta none = {.key = NULL};
    rusk_error err;
    hand_vocab v = good;
    CHECK_OK(try_hand(&v, none, &err), &err);
    v.model = "bert";
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_UNSUPPORTED, &err, "found 'bert'");
    v = good;
    v.pre = "chatglm";
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_UNSUPPORTED, &err, "found 'chatglm'");
    v = good;
    v.n_tokens = 0;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "expected 1 to 1048576 tokens");
    v = good;
    v.tokens = TWICE;
    v.n_tokens = 2;
    v.n_merges = 0;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "found 'a' as 0 and 1");
    v.tokens = TYPE;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "token 1: expected a type of 0 to 6");
    v = good;
    v.merges = NULL;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "missing key tokenizer.ggml.merges");
    v.merges = NO_SPACE;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "merge 0: expected two tokens");
    v.merges = NO_SIDE;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "of the vocabulary, found 'a c'");
    v.merges = NO_RESULT;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "to make a token");
    v = good;
    v.scores = NAN_SCORE;
    CHECK_FAILS(try_hand(&v, none, &err), RUSK_FORMAT, &err, "found NaN");
    const rusk_meta add_bos = {
        .key = "tokenizer.ggml.add_bos_token", .type = RUSK_META_BOOL, .value.u = 1};
    CHECK_FAILS(try_hand(&good, add_bos, &err), RUSK_FORMAT, &err, "expected a bos token");
    const rusk_meta far_bos = {
        .key = "tokenizer.ggml.bos_token_id", .type = RUSK_META_U32, .value.u = UINT32_MAX};
    CHECK_OK(try_hand(&good, far_bos, &err), &err); /* counts as not given */
    const rusk_meta short_scores = {.key = "tokenizer.ggml.scores",
                                    .type = RUSK_META_ARRAY,
                                    .elem_type = RUSK_META_F32,
                                    .n = 0};
    CHECK_FAILS(try_hand(&good, short_scores, &err), RUSK_FORMAT, &err,
                "expected 3 entries as there are tokens, found 0");
}

TEST(no_memory) {
    rusk_error err;
    rusk_alloc plain;
    rusk_arena arena;
    tiny_vocab v;
    rusk_alloc_init(&plain, NULL);
    rusk_arena_init(&arena, &plain, RUSK_MEM_METADATA);
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0) {
            tiny_vocab_bpe(&arena, 1, "default", &v);
        } else {
            tiny_vocab_spm(&arena, 1, true, &v);
        }
        for (uint64_t nth = 1;; nth++) {
            test_failing_alloc f;
            rusk_alloc alloc;
            rusk_tokenizer *t;
            size_t n;
            test_failing_alloc_init(&f, nth);
            rusk_alloc_init(&alloc, &f.allocator);
            rusk_source s = tiny_source(&alloc, v.meta, v.n_meta);
            rusk_status status = rusk_tokenizer_from_source(&t, &alloc, &s, &err);
            if (status == RUSK_OK) {
                status =
                    rusk_tokenizer_encode(t, "a<tool>b\xFF\n\n 1", 13, RUSK_TOKENIZE_PARSE_SPECIAL,
                                          other_ids, CAP, &n, &err);
            }
            rusk_tokenizer_destroy(t);
            CHECK_EQ(f.n_live, 0);
            if (status == RUSK_OK) {
                CHECK(nth > 5);
                break;
            }
            CHECK_EQ(status, RUSK_NO_MEMORY);
            CHECK(nth < 1000);
        }
    }
    rusk_arena_finish(&arena);
}

TEST_MAIN(CASE(merges_go_by_rank_then_from_the_left),
          CASE(invalid_bytes_without_a_token_become_replacements),
          CASE(a_whole_word_first_with_llama_bpe), CASE(sentencepiece_goes_by_score),
          CASE(what_tokens_say), CASE(byte_tokens_that_name_no_byte_say_nothing),
          CASE(the_number_needed_is_told), CASE(bpe_equals_its_twin),
          CASE(sentencepiece_equals_its_twin), CASE(added_tokens_equal_their_twin),
          CASE(any_bytes_come_back), CASE(long_words_take_no_longer),
          CASE(threads_share_a_tokenizer), CASE(vocabularies_that_are_refused), CASE(no_memory))
