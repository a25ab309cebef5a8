/* Words that each kind of pre-tokenizer cuts. '|' stands between words in what is expected. */
#include "text/pretokenize.h"

#include "support/test.h"

typedef struct cut {
    const char *text;
    char out[4096];
    size_t n, n_words;
} cut;

static rusk_status add_word(void *arg, size_t at, size_t len_bytes) {
    cut *c = arg;
    CHECK(c->n + len_bytes + 2 < sizeof c->out);
    if (c->n_words++ > 0) {
        c->out[c->n++] = '|';
    }
    memcpy(c->out + c->n, c->text + at, len_bytes);
    c->n += len_bytes;
    c->out[c->n] = '\0';
    return RUSK_OK;
}

static void check(const char *pre, const char *text, const char *expected) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_splitter *s;
    static cut c;
    memset(&c, 0, sizeof c);
    c.text = text;
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(rusk_splitter_create(&s, &alloc, rusk_pre_find(pre), &err), &err);
    CHECK_OK(rusk_splitter_run(s, (const uint8_t *)text, strlen(text), add_word, &c, &err), &err);
    CHECK_STR(c.out, expected);
    rusk_splitter_destroy(s);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(gpt2) {
    check("gpt-2", "Hello world's  end", "Hello| world|'s| | end");
    check("gpt-2", "I'LL we'll 'S", "I|'|LL| we|'ll| '|S");
    check("gpt-2", "a1234 12b!? x", "a|1234| 12|b|!?| x");
    check("gpt-2", " \n\n a  ", " \n\n| a|  ");
    check("gpt-2", "", "");
}

TEST(smollm) {
    check("smollm", "in 1999, 20th", "in| |1|9|9|9|,| |2|0|th");
    check("smollm", "  12", "  |1|2");
}

TEST(qwen2) {
    check("qwen2", "It'S in_var (x)\n\ny", "It|'S| in|_var| (|x|)\n\n|y");
    check("qwen2", "a \n \n b12", "a| \n \n| b|1|2");
    check("qwen2", "x   \ty", "x|   |\ty");
}

TEST(llama3) {
    check("llama-bpe", "12345678 a", "123|456|78| a");
    check("llama-bpe", "\xE2\x80\x94we'RE", "\xE2\x80\x94we|'RE");
}

TEST(default_kind) {
    check("default", "a.b$c 12345", "a|.|b|$|c| |123|45");
    check("default", "x = y+z", "x| |=| y|+|z");
}

TEST(unicode) {
    /* U+3000 and U+00A0 are spaces, U+180E and U+200B are not, U+0661 is a number */
    check("gpt-2",
          "a\xE3\x80\x80"
          "b\xC2\xA0"
          "c",
          "a|\xE3\x80\x80|b|\xC2\xA0|c");
    check("gpt-2", "a\xE1\xA0\x8E\xE2\x80\x8B.", "a|\xE1\xA0\x8E\xE2\x80\x8B.");
    check("gpt-2", "1\xD9\xA1", "1\xD9\xA1");
    check("smollm", "1\xD9\xA1", "1|\xD9\xA1");
    /* U+31350, a letter since Unicode 15.0; U+2EBF0 since 15.1 */
    check("gpt-2", "a\xF0\xB1\x8D\x90\xF0\xAE\xAF\xB0", "a\xF0\xB1\x8D\x90\xF0\xAE\xAF\xB0");
}

TEST(names) {
    CHECK(rusk_pre_find("nothing") == NULL);
    CHECK(rusk_pre_find("llama-bpe")->ignore_merges && rusk_pre_find("llama-bpe")->add_bos);
    CHECK(!rusk_pre_find("smollm")->ignore_merges);
    CHECK_EQ(rusk_pre_find("deepseek-r1-qwen")->kind, rusk_pre_find("qwen2")->kind);
}

TEST(no_memory) {
    rusk_error err;
    for (uint64_t nth = 1;; nth++) {
        test_failing_alloc f;
        rusk_alloc alloc;
        rusk_splitter *s;
        cut c = {.text = "a b1"};
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&alloc, &f.allocator);
        rusk_status status = rusk_splitter_create(&s, &alloc, rusk_pre_find("default"), &err);
        if (status == RUSK_OK) {
            status = rusk_splitter_run(s, (const uint8_t *)c.text, 4, add_word, &c, &err);
        }
        rusk_splitter_destroy(s);
        CHECK_EQ(f.n_live, 0);
        if (status == RUSK_OK) {
            CHECK(nth > 4);
            break;
        }
        CHECK_EQ(status, RUSK_NO_MEMORY);
        CHECK(nth < 100);
    }
}

TEST_MAIN(CASE(gpt2), CASE(smollm), CASE(qwen2), CASE(llama3), CASE(default_kind), CASE(unicode),
          CASE(names), CASE(no_memory))
