#include "runtime/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "support/test.h"

static const rusk_allocator *backend(void) {
    static rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    return &alloc.backend;
}

static rusk_sampler_options defaults(void) {
    return (rusk_sampler_options){.struct_size = sizeof(rusk_sampler_options),
                                  .seed = 7,
                                  .temperature = 1,
                                  .top_p = 1,
                                  .repeat_penalty = 1,
                                  .repeat_last_n = 64};
}

static rusk_sampler *make(uint32_t n_vocab, rusk_sampler_options o) {
    rusk_sampler *s;
    rusk_error err;
    CHECK_OK(rusk_sample_create(&s, backend(), n_vocab, &o, &err), &err);
    return s;
}

/* How often each of 8 tokens is drawn in 20,000 tries. */
static void draw_many(rusk_sampler_options o, const float *logits, double share[8]) {
    rusk_sampler *s = make(8, o);
    memset(share, 0, 8 * sizeof share[0]);
    for (int i = 0; i < 20000; i++) {
        share[rusk_sample_choose(s, logits)] += 1.0 / 20000;
    }
    rusk_sample_destroy(s);
}

static const float LOGITS[8] = {0, 1, 2, 3, -1, -2, 2.5F, 0.5F};

TEST(temperature_zero_takes_the_best_and_the_first_of_equals) {
    rusk_sampler_options o = defaults();
    o.temperature = 0;
    rusk_sampler *s = make(8, o);
    CHECK_EQ(rusk_sample_choose(s, LOGITS), 3);
    float equal[8] = {0, 5, 1, 5, 5, 0, 0, 0};
    CHECK_EQ(rusk_sample_choose(s, equal), 1);
    float holes[8] = {NAN, NAN, -3, NAN, -2, -INFINITY, NAN, NAN};
    CHECK_EQ(rusk_sample_choose(s, holes), 4);
    rusk_sample_destroy(s);
}

TEST(draws_follow_the_softmax) {
    double share[8], sum = 0;
    draw_many(defaults(), LOGITS, share);
    for (int i = 0; i < 8; i++) {
        sum += exp(LOGITS[i]);
    }
    for (int i = 0; i < 8; i++) {
        CHECK_NEAR(share[i], exp(LOGITS[i]) / sum, 0.015); /* 4 standard errors */
    }
}

TEST(top_k_top_p_and_min_p_cut_the_tail) {
    double share[8];
    rusk_sampler_options o = defaults();
    o.top_k = 2;
    draw_many(o, LOGITS, share);
    CHECK_NEAR(share[3] + share[6], 1, 1e-9);
    o = defaults();
    o.top_p = 0.5F; /* shares sorted: 0.41 0.25 0.15 ...: two tokens reach a half */
    draw_many(o, LOGITS, share);
    CHECK_NEAR(share[3] + share[6], 1, 1e-9);
    CHECK(share[6] > 0.3);
    o = defaults();
    o.min_p = 0.3F; /* exp(-1) = 0.37 stays, exp(-2) goes */
    draw_many(o, LOGITS, share);
    CHECK_NEAR(share[3] + share[6] + share[2], 1, 1e-9);
    CHECK(share[2] > 0.1);
}

/* Without top-k the whole vocabulary is sorted: of probabilities in the ratio 1/2 from one rank to
 * the next, wherever the ranks stand, top-p 0.9 leaves the first four. */
TEST(a_large_vocabulary_is_sorted_as_a_whole) {
    enum { N = 30011, STEP = 7919 }; /* coprime: i * STEP mod N visits every token */
    static float logits[N];
    int seen[4] = {0};
    rusk_sampler_options o = defaults();
    o.top_p = 0.9F;
    for (uint32_t rank = 0; rank < N; rank++) {
        logits[rank * STEP % N] = -0.6931472F * (float)rank;
    }
    rusk_sampler *s = make(N, o);
    for (int i = 0; i < 200; i++) {
        uint32_t token = (uint32_t)rusk_sample_choose(s, logits), rank = 0;
        while (rank < 4 && rank * STEP % N != token) {
            rank++;
        }
        CHECK(rank < 4);
        seen[rank % 4]++;
    }
    CHECK(seen[0] > seen[1] && seen[1] > seen[2] && seen[2] > 0 && seen[3] > 0);
    rusk_sample_destroy(s);
}

TEST(the_penalty_pushes_recent_tokens_down) {
    rusk_sampler_options o = defaults();
    o.temperature = 0;
    o.repeat_penalty = 2;
    o.repeat_last_n = 2;
    rusk_sampler *s = make(8, o);
    rusk_sample_accept(s, 3);
    CHECK_EQ(rusk_sample_choose(s, LOGITS), 6); /* 3 / 2 < 2.5 */
    rusk_sample_accept(s, 6);
    CHECK_EQ(rusk_sample_choose(s, LOGITS), 2);
    rusk_sample_accept(s, 2); /* 3 is forgotten */
    CHECK_EQ(rusk_sample_choose(s, LOGITS), 3);
    rusk_sample_accept(s, -1); /* not a token: ignored */
    rusk_sample_accept(s, 8);
    CHECK_EQ(rusk_sample_choose(s, LOGITS), 3);
    rusk_sample_destroy(s);
}

TEST(the_same_seed_gives_the_same_choices) {
    rusk_rng rng = rusk_rng_seed(3);
    rusk_sampler_options o = defaults();
    o.top_k = 40;
    o.top_p = 0.95F;
    o.min_p = 0.05F;
    rusk_sampler *a = make(5000, o), *b = make(5000, o);
    o.seed = 8;
    rusk_sampler *c = make(5000, o);
    int differ = 0;
    for (int i = 0; i < 200; i++) {
        static float logits[5000];
        for (int t = 0; t < 5000; t++) {
            logits[t] = (float)rusk_rng_normal(&rng);
        }
        int32_t x = rusk_sample_choose(a, logits);
        CHECK_EQ(rusk_sample_choose(b, logits), x);
        differ += rusk_sample_choose(c, logits) != x;
    }
    CHECK(differ > 100);
    rusk_sample_destroy(a);
    rusk_sample_destroy(b);
    rusk_sample_destroy(c);
}

TEST(bad_options_and_no_memory_are_errors) {
    rusk_error err;
    rusk_sampler *s;
    rusk_sampler_options o = defaults();
    o.top_p = 1.5F;
    CHECK_FAILS(rusk_sample_create(&s, backend(), 8, &o, &err), RUSK_INVALID_ARGUMENT, &err, "1.5");
    o = defaults();
    o.temperature = NAN;
    CHECK_FAILS(rusk_sample_create(&s, backend(), 8, &o, &err), RUSK_INVALID_ARGUMENT, &err, "nan");
    o = defaults();
    for (uint64_t n = 1; n <= 4; n++) {
        test_failing_alloc f;
        test_failing_alloc_init(&f, n);
        CHECK_FAILS(rusk_sample_create(&s, &f.allocator, 8, &o, &err), RUSK_NO_MEMORY, &err,
                    "sampler");
        CHECK(s == NULL);
        CHECK_EQ(f.n_live, 0);
    }
}

TEST_MAIN(CASE(temperature_zero_takes_the_best_and_the_first_of_equals),
          CASE(draws_follow_the_softmax), CASE(top_k_top_p_and_min_p_cut_the_tail),
          CASE(a_large_vocabulary_is_sorted_as_a_whole),
          CASE(the_penalty_pushes_recent_tokens_down), CASE(the_same_seed_gives_the_same_choices),
          CASE(bad_options_and_no_memory_are_errors))
