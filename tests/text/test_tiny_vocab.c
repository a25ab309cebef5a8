/* The generator of small vocabularies is itself checked: other rooms' tests build on it. */
#include "support/tiny_vocab.h"

#include "support/test.h"

static const rusk_meta *find(const tiny_vocab *v, const char *key) {
    for (size_t i = 0; i < v->n_meta; i++) {
        if (strcmp(v->meta[i].key, key) == 0) {
            return &v->meta[i];
        }
    }
    test_fail(__FILE__, __LINE__, "no key %s", key);
}

TEST(a_seed_gives_one_vocabulary) {
    rusk_alloc alloc;
    rusk_arena arena;
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_TOKENIZER);
    tiny_vocab a, b, c;
    tiny_vocab_bpe(&arena, 1, "smollm", &a);
    tiny_vocab_bpe(&arena, 1, "smollm", &b);
    tiny_vocab_bpe(&arena, 2, "smollm", &c);
    size_t n_other = 0;
    CHECK_EQ(a.n_tokens, 480);
    for (uint32_t i = 0; i < a.n_tokens; i++) {
        CHECK_STR(a.tokens[i].data, b.tokens[i].data);
        n_other += strcmp(a.tokens[i].data, c.tokens[i].data) != 0;
    }
    CHECK(n_other > 100);
    CHECK_STR(a.tokens[a.bos].data, "<|im_start|>");
    CHECK_STR(find(&a, "tokenizer.ggml.pre")->value.text.data, "smollm");
    CHECK_EQ(find(&a, "tokenizer.ggml.merges")->n, 200);
    rusk_arena_finish(&arena);
}

TEST(pieces_are_distinct) {
    rusk_alloc alloc;
    rusk_arena arena;
    rusk_alloc_init(&alloc, NULL);
    rusk_arena_init(&arena, &alloc, RUSK_MEM_TOKENIZER);
    tiny_vocab v[2];
    tiny_vocab_bpe(&arena, test_seed(), "gpt-2", &v[0]);
    tiny_vocab_spm(&arena, test_seed(), true, &v[1]);
    for (int k = 0; k < 2; k++) {
        size_t n_same = 0;
        for (uint32_t i = 0; i < v[k].n_tokens; i++) {
            for (uint32_t j = 0; j < i; j++) {
                n_same += strcmp(v[k].tokens[i].data, v[k].tokens[j].data) == 0;
            }
        }
        CHECK(n_same <= 4); /* two merge paths may spell one piece, as in real vocabularies */
        CHECK_EQ(find(&v[k], "tokenizer.ggml.token_type")->n, v[k].n_tokens);
    }
    CHECK_EQ(find(&v[1], "tokenizer.ggml.scores")->n, v[1].n_tokens);
    rusk_arena_finish(&arena);
}

TEST_MAIN(CASE(a_seed_gives_one_vocabulary), CASE(pieces_are_distinct))
