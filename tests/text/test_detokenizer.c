/* Streams of byte tokens: what comes out is whole characters at every step. */
#include "support/test.h"
#include "support/tiny_tokenizer.h"
#include "text/utf8.h"

/* One token per byte, on the tiny gpt2 vocabulary (ids 3 .. 258). */
typedef struct stream {
    rusk_alloc alloc;
    rusk_tokenizer *t;
    rusk_detokenizer d;
    char out[65536];
    size_t n;
} stream;

static stream s;

static void begin(void) {
    memset(&s, 0, sizeof s);
    rusk_alloc_init(&s.alloc, NULL);
    s.t = tiny_tokenizer_bpe(&s.alloc, 1, "smollm");
}

static bool is_utf8(const char *text, size_t len_bytes) {
    for (size_t at = 0, len; at < len_bytes; at += len) {
        len = rusk_utf8_char((const uint8_t *)text + at, len_bytes - at);
        if (len == 0) {
            return false;
        }
    }
    return true;
}

static void push(int32_t id) {
    rusk_error err;
    size_t len;
    CHECK_OK(rusk_tokenizer_push(s.t, &s.d, id, s.out + s.n, sizeof s.out - s.n, &len, &err), &err);
    CHECK(is_utf8(s.out + s.n, len));
    s.n += len;
}

static void push_bytes(const char *text, size_t len_bytes) {
    for (size_t i = 0; i < len_bytes; i++) {
        push(3 + (uint8_t)text[i]);
    }
}

static void end(const char *expected) {
    s.n += rusk_tokenizer_flush(&s.d, s.out + s.n);
    s.out[s.n] = '\0';
    CHECK_STR(s.out, expected);
    CHECK_EQ(rusk_tokenizer_flush(&s.d, s.out), 0);
    rusk_tokenizer_destroy(s.t);
    CHECK_EQ(s.alloc.bytes_total, 0);
}

TEST(characters_wait_for_their_last_byte) {
    begin();
    push_bytes("a\xF0\x9F\x99", 4);
    CHECK_EQ(s.n, 1);
    CHECK_EQ(s.d.n_pending, 3);
    push_bytes("\x82\xC3", 2);
    CHECK_EQ(s.n, 5);
    push_bytes("\xA9", 1);
    end("a\xF0\x9F\x99\x82\xC3\xA9");
}

TEST(bytes_that_cannot_be_characters) {
    begin();
    push_bytes("\x80"
               "a\xE2\x96"
               "b\xC0\xAF\xED\xA0\x80\xF5",
               11);
    /* the maximal subpart E2 96 is one replacement; C0, AF, ED, A0, 80, F5 are one each */
#define R RUSK_UTF8_REPLACEMENT
    end(R "a" R "b" R R R R R R);
    begin();
    push_bytes("x\xF0\x9F", 3);
    end("x" R);
#undef R
}

TEST(control_tokens_give_nothing) {
    begin();
    push_bytes("\xC3", 1);
    push(1);
    CHECK_EQ(s.n, 0);
    push_bytes("\xA9", 1);
    push(479); /* unused */
    end("\xC3\xA9");
}

TEST(room_is_held_against_what_is_needed) {
    rusk_error err;
    size_t len;
    char buf[8];
    begin();
    push_bytes("\xF0\x9F\x99", 3);
    CHECK_FAILS(rusk_tokenizer_push(s.t, &s.d, 3 + 0x82, buf, 3, &len, &err), RUSK_LIMIT, &err,
                "expected room for 4 bytes, found 3");
    CHECK_EQ(s.d.n_pending, 3);
    CHECK_OK(rusk_tokenizer_push(s.t, &s.d, 3 + 0x82, buf, 4, &len, &err), &err);
    CHECK_EQ(len, 4);
    CHECK_FAILS(rusk_tokenizer_push(s.t, &s.d, 480, buf, 8, &len, &err), RUSK_INVALID_ARGUMENT,
                &err, "expected an id below 480, found 480");
    CHECK_FAILS(rusk_tokenizer_push(s.t, &s.d, -1, buf, 8, &len, &err), RUSK_INVALID_ARGUMENT, &err,
                "found -1");
    end("");
}

TEST(sentencepiece_drops_the_first_space) {
    rusk_error err;
    for (int prefix = 0; prefix < 2; prefix++) {
        memset(&s, 0, sizeof s);
        rusk_alloc_init(&s.alloc, NULL);
        s.t = tiny_tokenizer_spm(&s.alloc, 1, prefix == 1);
        int32_t ids[16];
        size_t n;
        CHECK_OK(rusk_tokenizer_encode(s.t, "a b", 3, RUSK_TOKENIZE_ADD_SPECIAL, ids, 16, &n, &err),
                 &err);
        CHECK_EQ(ids[0], 2);
        for (size_t i = 0; i < n; i++) {
            push(ids[i]);
        }
        push(6 + ' '); /* a byte token: only the first text of all loses a space */
        end("a b ");
    }
}

TEST(random_bytes_come_out_valid) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    begin();
    for (int i = 0; i < 20000; i++) {
        static const uint8_t HARD[] = {0xF0, 0x9F, 0x99, 0x82, 0xE2, 0x96, 0x81, 0xC3, 0xA9, 'a'};
        uint64_t k = rusk_rng_below(&rng, 20);
        push(3 + (k < 10 ? HARD[k] : (int32_t)rusk_rng_below(&rng, 256)));
    }
    CHECK(s.n > 20000);
    rusk_tokenizer_destroy(s.t);
}

TEST_MAIN(CASE(characters_wait_for_their_last_byte), CASE(bytes_that_cannot_be_characters),
          CASE(control_tokens_give_nothing), CASE(room_is_held_against_what_is_needed),
          CASE(sentencepiece_drops_the_first_space), CASE(random_bytes_come_out_valid))
