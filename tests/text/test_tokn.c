/* The TOKN section: what goes in comes out, and nothing else gets in. */
#include <zlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "support/test.h"
#include "support/tiny_tokenizer.h"
#include "text/tokn.h"

static bool same_text(const rusk_text *a, const rusk_text *b) {
    return a->len_bytes == b->len_bytes && memcmp(a->data, b->data, a->len_bytes) == 0;
}

static void check_same(const rusk_vocab *a, const rusk_vocab *b) {
    CHECK_STR(a->model, b->model);
    CHECK_STR(a->pre, b->pre);
    CHECK_EQ(a->n_tokens, b->n_tokens);
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        CHECK(same_text(&a->tokens[i], &b->tokens[i]));
        CHECK_EQ(b->tokens[i].data[b->tokens[i].len_bytes], '\0');
    }
    CHECK_MEM(a->types, b->types, a->n_tokens);
    CHECK((a->scores == NULL) == (b->scores == NULL));
    if (a->scores != NULL) {
        CHECK_MEM(a->scores, b->scores, a->n_tokens * sizeof *a->scores);
    }
    CHECK_EQ(a->n_merges, b->n_merges);
    if (a->n_merges > 0) {
        CHECK_MEM(a->merges, b->merges, a->n_merges * sizeof *a->merges);
    }
    CHECK(a->bos == b->bos && a->eos == b->eos && a->eot == b->eot && a->unknown == b->unknown &&
          a->padding == b->padding);
    CHECK(a->add_bos == b->add_bos && a->add_eos == b->add_eos &&
          a->add_space_prefix == b->add_space_prefix);
}

static void check_round_trip(rusk_alloc *alloc, rusk_tokenizer *t) {
    rusk_error err;
    rusk_strbuf bytes, again;
    rusk_tokenizer *back;
    rusk_strbuf_init(&bytes, alloc, RUSK_MEM_SCRATCH);
    rusk_strbuf_init(&again, alloc, RUSK_MEM_SCRATCH);
    CHECK_OK(rusk_tokenizer_to_bytes(t, &bytes, &err), &err);
    CHECK_OK(
        rusk_tokenizer_from_bytes(&back, alloc, (const uint8_t *)bytes.data, bytes.len_bytes, &err),
        &err);
    check_same(rusk_tokenizer_vocab(t), rusk_tokenizer_vocab(back));
    CHECK_OK(rusk_tokenizer_to_bytes(back, &again, &err), &err);
    CHECK_EQ(again.len_bytes, bytes.len_bytes);
    CHECK_MEM(again.data, bytes.data, bytes.len_bytes);
    rusk_tokenizer_destroy(back);
    rusk_tokenizer_destroy(t);
    rusk_strbuf_finish(&bytes);
    rusk_strbuf_finish(&again);
    CHECK_EQ(alloc->bytes_total, 0);
}

TEST(tiny_vocabularies_come_back) {
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        check_round_trip(&alloc, tiny_tokenizer_bpe(&alloc, seed, "qwen2"));
        check_round_trip(&alloc, tiny_tokenizer_spm(&alloc, seed, seed % 2 == 0));
    }
}

static rusk_tokenizer *from_entries(rusk_alloc *alloc, const rusk_meta *meta, size_t n) {
    rusk_error err;
    rusk_tokenizer *t;
    rusk_source s = tiny_source(alloc, meta, n);
    CHECK_OK(rusk_tokenizer_from_source(&t, alloc, &s, &err), &err);
    return t;
}

/* Merges out of order, twice, and making tokens of lower ids; empty tokens; odd scores. */
TEST(odd_vocabularies_come_back) {
    static const char *const TOKENS[] = {"1:abab", "1:", "1:ab", "1:b",   "3:<s>",
                                         "1:a",    "1:", "1:ba", "1:bab", "1:abb"};
    static const char *const MERGES[] = {"ab ab", "a b", "b a", "b ab", "ba b", "a b", "ab b"};
    static const float SCORES[] = {0, -0.0F, 1e30F, -1e-30F, 3, 2, 1, 0, -1, -2};
    hand_vocab v = {"gpt2", "gpt-2", TOKENS, RUSK_COUNT(TOKENS), MERGES, 7, SCORES};
    rusk_alloc alloc;
    rusk_arena arena;
    rusk_meta meta[TINY_VOCAB_METAS];
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_METADATA);
    size_t n = hand_vocab_meta(&v, &arena, meta);
    rusk_tokenizer *t = from_entries(&alloc, meta, n);
    rusk_arena_finish(&arena);
    check_round_trip(&alloc, t);
}

TEST(metadata_comes_back) {
    rusk_alloc alloc;
    rusk_arena arena, out;
    rusk_error err;
    rusk_meta *meta;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    for (int kind = 0; kind < 2; kind++) {
        tiny_vocab v;
        rusk_arena_init(&arena, &alloc, RUSK_MEM_METADATA);
        rusk_arena_init(&out, &alloc, RUSK_MEM_METADATA);
        if (kind == 0) {
            tiny_vocab_bpe(&arena, 4, "llama-bpe", &v);
        } else {
            tiny_vocab_spm(&arena, 4, false, &v);
        }
        rusk_tokenizer *t = from_entries(&alloc, v.meta, v.n_meta);
        CHECK_OK(rusk_tokenizer_to_meta(t, &out, &meta, &n, &err), &err);
        rusk_tokenizer *back = from_entries(&alloc, meta, n);
        check_same(rusk_tokenizer_vocab(t), rusk_tokenizer_vocab(back));
        rusk_tokenizer_destroy(back);
        rusk_arena_finish(&out);
        rusk_tokenizer_destroy(t);
        rusk_arena_finish(&arena);
        CHECK_EQ(alloc.bytes_total, 0);
    }
}

/* --- the worked example of docs/format/tokn.md ----------------------------------------------- */

static const uint8_t EXAMPLE[] = {
    0x01, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x67, 0x70, 0x74, 0x32, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x67, 0x70, 0x74, 0x2D, 0x32, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x22, 0x00, 0x00, 0x00, 0x78, 0xDA, 0x63, 0x66,
    0x04, 0x02, 0x16, 0x46, 0x66, 0x06, 0x20, 0x60, 0x62, 0x02, 0x91, 0x40, 0x36, 0x13, 0x33, 0x23,
    0x23, 0xB3, 0x4D, 0xB1, 0x5D, 0x62, 0x92, 0x4D, 0x89, 0x1D, 0x00, 0x0E, 0xA8, 0x02, 0xC0};

TEST(the_documents_example_reads) {
    static const char *const TOKENS[] = {"<s>", "a", "b", "ab", "abb", "<t>"};
    rusk_alloc alloc;
    rusk_error err;
    rusk_tokenizer *t;
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(rusk_tokenizer_from_bytes(&t, &alloc, EXAMPLE, sizeof EXAMPLE, &err), &err);
    const rusk_vocab *v = rusk_tokenizer_vocab(t);
    CHECK_EQ(v->n_tokens, 6);
    for (uint32_t i = 0; i < 6; i++) {
        CHECK_STR(v->tokens[i].data, TOKENS[i]);
        CHECK_EQ(v->types[i], i == 0 ? 3 : i == 5 ? 4 : 1);
    }
    CHECK_EQ(v->n_merges, 2);
    CHECK(v->merges[0].left == 1 && v->merges[0].right == 2);
    CHECK(v->merges[1].left == 3 && v->merges[1].right == 2);
    CHECK(v->bos == 0 && v->eos == 5 && v->eot == -1 && v->unknown == -1 && v->padding == -1);
    CHECK(v->add_bos && !v->add_eos && !v->add_space_prefix && v->scores == NULL);
    CHECK_STR(v->pre, "gpt-2");
    rusk_tokenizer_destroy(t);
}

/* --- hostile --------------------------------------------------------------------------------- */

typedef struct section {
    uint8_t data[1 << 17];
    size_t n;
} section;

/* A section of the example's header, changed by the caller, over a body. */
static void make(section *s, const uint8_t *body, size_t n_body, uint32_t n_tokens,
                 uint32_t n_merges) {
    uLongf packed = sizeof s->data - RUSK_TOKN_HEADER_BYTES;
    memcpy(s->data, EXAMPLE, RUSK_TOKN_HEADER_BYTES);
    rusk_store_u32(s->data + 4, n_tokens);
    rusk_store_u32(s->data + 8, n_merges);
    rusk_store_u32(s->data + 32, UINT32_MAX); /* padding and all others: none */
    for (int i = 16; i < 36; i += 4) {
        rusk_store_u32(s->data + i, UINT32_MAX);
    }
    rusk_store_u32(s->data + 12, 0);
    rusk_store_u32(s->data + 88, (uint32_t)n_body);
    CHECK_EQ(compress(s->data + RUSK_TOKN_HEADER_BYTES, &packed, body, n_body), Z_OK);
    s->n = RUSK_TOKN_HEADER_BYTES + packed;
}

static rusk_status read_bytes(const uint8_t *data, size_t n, rusk_error *err) {
    rusk_alloc alloc;
    rusk_tokenizer *t;
    rusk_alloc_init(&alloc, NULL);
    alloc.limit_bytes = 512U << 20;
    rusk_status status = rusk_tokenizer_from_bytes(&t, &alloc, data, n, err);
    CHECK((t == NULL) == (status != RUSK_OK));
    rusk_tokenizer_destroy(t);
    CHECK_EQ(alloc.bytes_total, 0);
    return status;
}

TEST(truncated_sections) {
    rusk_error err;
    for (size_t n = 0; n < sizeof EXAMPLE; n++) {
        CHECK_FAILS(read_bytes(EXAMPLE, n, &err), RUSK_FORMAT, &err, "TOKN: expected");
    }
    uint8_t longer[sizeof EXAMPLE + 1] = {0};
    memcpy(longer, EXAMPLE, sizeof EXAMPLE);
    CHECK_FAILS(read_bytes(longer, sizeof longer, &err), RUSK_FORMAT, &err, "zlib stream");
}

static void check_field(size_t at, uint32_t value, rusk_status status, const char *text) {
    rusk_error err;
    uint8_t copy[sizeof EXAMPLE];
    memcpy(copy, EXAMPLE, sizeof EXAMPLE);
    rusk_store_u32(copy + at, value);
    CHECK_FAILS(read_bytes(copy, sizeof copy, &err), status, &err, text);
}

TEST(header_fields) {
    check_field(0, 2, RUSK_UNSUPPORTED, "expected version 1, found 2");
    check_field(4, 0, RUSK_FORMAT, "expected 1 to 1048576 tokens");
    check_field(4, 7, RUSK_FORMAT, "TOKN: expected");
    check_field(4, UINT32_MAX, RUSK_FORMAT, "found 4294967295 and 2");
    check_field(8, UINT32_MAX, RUSK_FORMAT, "found 6 and 4294967295");
    check_field(12, 16, RUSK_FORMAT, "expected known flags");
    check_field(12, RUSK_TOKN_SCORES, RUSK_FORMAT, "expected a body of");
    check_field(16, 6, RUSK_FORMAT, "expected a bos token below 6");
    check_field(16, UINT32_MAX, RUSK_FORMAT, "expected a bos token, since one is to be added");
    check_field(16, 0x80000000U, RUSK_FORMAT, "expected a bos token");
    check_field(36, 1, RUSK_FORMAT, "expected known flags");
    check_field(40, 0x41414141, RUSK_UNSUPPORTED, "found 'AAAA'");
    check_field(52, 1U << 24, RUSK_FORMAT, "NUL-padded names");
    check_field(56, 0x41414141, RUSK_UNSUPPORTED, "found 'AAAA2'");
    check_field(88, 1, RUSK_FORMAT, "expected a body of");
    check_field(88, UINT32_MAX, RUSK_FORMAT, "expected a body of");
    check_field(88, 1U << 26, RUSK_FORMAT, "expected a body of");
    check_field(88, 1000, RUSK_FORMAT, "zlib stream of the length given");
    check_field(92, 0, RUSK_FORMAT, "zlib stream of the length given");
}

TEST(bodies_that_do_not_hold_together) {
    rusk_error err;
    section s;
    /* one token "a": type, no merges, no runs, length, string */
    const uint8_t good[] = {1, 0, 1, 'a'};
    make(&s, good, sizeof good, 1, 0);
    CHECK_OK(read_bytes(s.data, s.n, &err), &err);
    const uint8_t bad_type[] = {9, 0, 1, 'a'};
    make(&s, bad_type, sizeof bad_type, 1, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "type of 0 to 6, found 9");
    const uint8_t more[] = {1, 0, 1, 'a', 'b'}, fewer[] = {1, 0, 2, 'a'};
    make(&s, more, sizeof more, 1, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "body to end, found more");
    make(&s, fewer, sizeof fewer, 1, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "found fewer bytes");
    const uint8_t too_long[] = {1, 0, 0x80, 0x80, 4, 'a'}; /* 65,536 */
    make(&s, too_long, sizeof too_long, 1, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "within the limits");
    const uint8_t run_without_merges[] = {1, 1, 0, 0, 1, 0};
    make(&s, run_without_merges, sizeof run_without_merges, 1, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "found one out of range");
    /* two tokens; the merge (1, 1) makes token 1 of itself */
    const uint8_t own[] = {1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 'a'};
    make(&s, own, sizeof own, 2, 1);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "made of lower ones");
    /* a merge of a token that there is none of */
    const uint8_t far[] = {1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 'a', 'b'};
    make(&s, far, sizeof far, 2, 1);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "merges of tokens");
    const uint8_t twice[] = {1, 1, 0, 1, 1, 'a', 'a'};
    make(&s, twice, sizeof twice, 2, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "distinct tokens");
}

/* Token i is token i-1 twice: lengths double and must stop at the limit, not at 2^40 bytes. */
TEST(tokens_that_double) {
    enum { N = 41 };
    rusk_error err;
    section s;
    uint8_t body[1024];
    size_t n = 0;
    memset(body, 1, N);
    n += N;
    for (int side = 0; side < 2; side++) {
        for (uint8_t i = 0; i < N - 1; i++) {
            body[n++] = i;
        }
        memset(body + n, 0, (size_t)2 * (N - 1));
        n += (size_t)2 * (N - 1);
    }
    const uint8_t rest[] = {1, 1, 0, N - 1, 1, 'a'};
    memcpy(body + n, rest, sizeof rest);
    n += sizeof rest;
    make(&s, body, n, N, N - 1);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "within the limits");
}

/* The same merge again and again: an exporter would write what each makes. */
TEST(merges_that_make_much) {
    enum { N = 5000, HALF = 32767 };
    rusk_error err;
    section s;
    static uint8_t body[2 + 6 * N + 7 + HALF];
    uint8_t *p = body + 2 + 6 * N;
    const uint8_t rest[] = {1, 1, 0, 1, 0xFF, 0xFF, 1};
    memset(body, 0, sizeof body);
    body[0] = body[1] = 1;
    memcpy(p, rest, sizeof rest);
    memset(p + sizeof rest, 'a', HALF);
    make(&s, body, sizeof body, 2, N);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_LIMIT, &err, "at most 268435456 bytes");
}

/* 6,000 strings whose hashes point at 64 of 8,192 slots. */
TEST(tokens_whose_hashes_meet) {
    enum { N = 6000, LEN = 3 };
    rusk_error err;
    section s;
    static uint8_t body[N + 1 + N + N * LEN];
    uint8_t *text = body + N + 1 + N;
    memset(body, 1, N);
    body[N] = 0;
    memset(body + N + 1, LEN, N);
    for (uint32_t i = 0, n = 0; n < N; i++) {
        const uint8_t candidate[LEN] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        if ((rusk_hash64(candidate, LEN) & 8191) < 64) {
            memcpy(text + (size_t)LEN * n++, candidate, LEN);
        }
    }
    make(&s, body, sizeof body, N, 0);
    CHECK_FAILS(read_bytes(s.data, s.n, &err), RUSK_FORMAT, &err, "hashes next to each other");
}

TEST(random_damage) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_strbuf bytes;
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = tiny_tokenizer_bpe(&alloc, 1, "smollm");
    rusk_strbuf_init(&bytes, &alloc, RUSK_MEM_SCRATCH);
    CHECK_OK(rusk_tokenizer_to_bytes(t, &bytes, &err), &err);
    uint8_t *data = (uint8_t *)bytes.data;
    for (int round = 0; round < 2000; round++) {
        size_t at = (size_t)rusk_rng_below(&rng, bytes.len_bytes);
        uint8_t was = data[at];
        data[at] ^= (uint8_t)(1U << rusk_rng_below(&rng, 8));
        (void)read_bytes(data, bytes.len_bytes, &err);
        data[at] = was;
    }
    rusk_strbuf_finish(&bytes);
    rusk_tokenizer_destroy(t);
}

TEST(no_memory) {
    rusk_error err;
    for (uint64_t nth = 1;; nth++) {
        test_failing_alloc f;
        rusk_alloc alloc;
        rusk_strbuf bytes;
        rusk_tokenizer *t;
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&alloc, &f.allocator);
        rusk_strbuf_init(&bytes, &alloc, RUSK_MEM_SCRATCH);
        rusk_status status = rusk_tokenizer_from_bytes(&t, &alloc, EXAMPLE, sizeof EXAMPLE, &err);
        if (status == RUSK_OK) {
            status = rusk_tokenizer_to_bytes(t, &bytes, &err);
        }
        rusk_strbuf_finish(&bytes);
        rusk_tokenizer_destroy(t);
        CHECK_EQ(f.n_live, 0);
        if (status == RUSK_OK) {
            CHECK(nth > 10);
            break;
        }
        CHECK_EQ(status, RUSK_NO_MEMORY);
        CHECK(nth < 1000);
    }
}

TEST_MAIN(CASE(tiny_vocabularies_come_back), CASE(odd_vocabularies_come_back),
          CASE(metadata_comes_back), CASE(the_documents_example_reads), CASE(truncated_sections),
          CASE(header_fields), CASE(bodies_that_do_not_hold_together), CASE(tokens_that_double),
          CASE(merges_that_make_much), CASE(tokens_whose_hashes_meet), CASE(random_damage),
          CASE(no_memory))
