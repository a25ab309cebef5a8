/* The forward pass: the same bits however the work is cut, sequences apart, windows, failures. */
#include "base/clock.h"
#include "model/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/arch.h"
#include "support/plain_views.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { N_TOKENS = 24, N_CTX = 32, MAX_VOCAB = 480 };

static rusk_alloc alloc;
static rusk_error err;
static rusk_source *source;
static rusk_model_desc desc;

/* How a run is cut, and what it computes with. */
typedef struct way {
    unsigned n_threads;
    uint32_t n_batch, rows_per_part, together, page_positions, cpu_mask;
    plain_form form;
    bool f32;
} way;

static const way PLAIN = {1, N_TOKENS, 24, 1, 16, UINT32_MAX, PLAIN_CODES, false};

typedef struct engine {
    rusk_kernels kernels;
    rusk_pool *pool;
    plain_weights weights;
    plain_kv kv;
    rusk_graph *graph;
} engine;

/* Each file name stands for one set of options, and is written once. */
static void load(const char *file, const tiny_options *o) {
    const char *path = test_path(file);
    rusk_alloc_init(&alloc, NULL);
    if (!test_exists(path)) {
        CHECK_OK(tiny_model_write(path, o, &alloc, &err), &err);
    }
    CHECK_OK(rusk_source_open(&source, &alloc, path, &err), &err);
    CHECK_OK(rusk_model_describe(&desc, source, &err), &err);
    CHECK(desc.n_vocab <= MAX_VOCAB);
}

static void load_arch(const char *arch, const char *type) {
    tiny_options o;
    tiny_options_default(&o, arch);
    o.type = type;
    char file[64];
    (void)snprintf(file, sizeof file, "%s-%s", arch, type);
    load(file, &o);
}

static void unload(void) {
    rusk_source_close(source);
    CHECK_EQ(alloc.bytes_total, 0);
}

static void start(engine *e, const way *w) {
    rusk_kernels_init(&e->kernels, w->cpu_mask);
    CHECK_OK(rusk_pool_create(&e->pool, &alloc, w->n_threads, &err), &err);
    CHECK_OK(plain_weights_open(&e->weights, &alloc, &desc, source, w->form, w->rows_per_part,
                                w->together, w->n_threads, &err),
             &err);
    CHECK_OK(plain_kv_open(&e->kv, &alloc, &desc, 3, N_CTX, w->page_positions, &err), &err);
    CHECK_OK(rusk_graph_create(&e->graph, &alloc, &desc, &e->kernels, e->pool, w->n_batch, N_CTX,
                               w->f32, &err),
             &err);
}

static void stop(engine *e) {
    rusk_graph_destroy(e->graph);
    plain_weights_close(&e->weights);
    plain_kv_close(&e->kv);
    rusk_pool_destroy(e->pool);
}

static uint32_t token_at(uint32_t sequence, uint32_t position) {
    return (17 + 131 * sequence + 37 * position + 5 * position * position) % desc.n_vocab;
}

/* Runs items in batches of at most w->n_batch. */
static void run(engine *e, const way *w, const rusk_graph_item *items, uint32_t n) {
    for (uint32_t i = 0; i < n; i += w->n_batch) {
        CHECK_OK(rusk_graph_run(e->graph, &e->weights.view, &e->kv.view, items + i,
                                RUSK_MIN(w->n_batch, n - i), &err),
                 &err);
    }
}

static float reference[N_TOKENS][MAX_VOCAB], found[N_TOKENS][MAX_VOCAB];

static void fill_items(rusk_graph_item *items, float (*logits)[MAX_VOCAB]) {
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        items[i] = (rusk_graph_item){.token = token_at(0, i), .position = i, .logits = logits[i]};
    }
}

static void compute(const way *w, float (*logits)[MAX_VOCAB]) {
    engine e;
    rusk_graph_item items[N_TOKENS];
    memset(logits, 0, sizeof reference);
    start(&e, w);
    fill_items(items, logits);
    run(&e, w, items, N_TOKENS);
    stop(&e);
}

typedef struct model_case {
    const char *arch, *type;
} model_case;

static const model_case MODELS[] = {{"llama", "F32"},   {"llama", "Q4_1"},  {"llama", "Q6_K"},
                                    {"qwen2", "F16"},   {"qwen2", "Q8_0"},  {"gemma3", "BF16"},
                                    {"gemma3", "Q4_0"}, {"gemma3", "Q4_K"}, {"llama", "IQ4_XS"}};

static void check_ways(const way *ways, size_t n) {
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        load_arch(MODELS[m].arch, MODELS[m].type);
        compute(&PLAIN, reference);
        CHECK(fabsf(reference[0][0]) > 0);
        for (size_t i = 0; i < n; i++) {
            compute(&ways[i], found);
            CHECK_MEM(found, reference, sizeof found);
        }
        unload();
    }
}

TEST(threads_do_not_change_bits) {
    way ways[] = {PLAIN, PLAIN};
    ways[0].n_threads = 2;
    ways[1].n_threads = 3;
    check_ways(ways, RUSK_COUNT(ways));
}

TEST(split_into_batches_does_not_change_bits) {
    way ways[] = {PLAIN, PLAIN, PLAIN};
    ways[0].n_batch = 1;
    ways[1].n_batch = 3;
    ways[2].n_batch = 17;
    ways[2].n_threads = 2;
    check_ways(ways, RUSK_COUNT(ways));
}

TEST(tiles_and_pages_do_not_change_bits) {
    way ways[] = {PLAIN, PLAIN};
    ways[0].rows_per_part = 512;
    ways[0].page_positions = 1;
    ways[1].rows_per_part = 7;
    ways[1].page_positions = 5;
    check_ways(ways, RUSK_COUNT(ways));
}

TEST(parts_taken_in_pairs_do_not_change_bits) {
    way ways[6];
    for (unsigned i = 0; i < RUSK_COUNT(ways); i++) {
        ways[i] = PLAIN;
        ways[i].together = 2;
        ways[i].n_threads = i % 3 + 1;
        ways[i].rows_per_part = i < 3 ? 5 : 16;
        ways[i].n_batch = i < 3 ? 1 : N_TOKENS;
    }
    check_ways(ways, RUSK_COUNT(ways));
}

TEST(plain_c_gives_the_same_bits) {
    way ways[] = {PLAIN};
    ways[0].cpu_mask = 0;
    check_ways(ways, RUSK_COUNT(ways));
}

/* int8 activations lose a little; float ones on codes and on f32 rows see the same weights. */
TEST(activations_agree_in_both_precisions) {
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        way w = PLAIN;
        load_arch(MODELS[m].arch, MODELS[m].type);
        w.f32 = true;
        w.form = PLAIN_F32;
        compute(&w, reference);
        w.form = PLAIN_CODES;
        compute(&w, found);
        CHECK_MEM(found, reference, sizeof found);
        compute(&PLAIN, found);
        for (uint32_t i = 0; i < N_TOKENS; i++) {
            CHECK_NEAR(test_relative_norm(found[i], reference[i], desc.n_vocab), 0, 0.06);
        }
        unload();
    }
}

TEST(only_wanted_logits_are_written) {
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        engine e;
        rusk_graph_item items[N_TOKENS];
        load_arch(MODELS[m].arch, MODELS[m].type);
        compute(&PLAIN, reference);
        memset(found, 0x55, sizeof found);
        start(&e, &PLAIN);
        fill_items(items, found);
        for (uint32_t i = 0; i < N_TOKENS; i++) {
            if (i % 5 != 2) {
                items[i].logits = NULL;
            }
        }
        run(&e, &PLAIN, items, N_TOKENS);
        for (uint32_t i = 0; i < N_TOKENS; i++) {
            if (i % 5 == 2) {
                CHECK_MEM(found[i], reference[i], desc.n_vocab * sizeof(float));
            } else {
                CHECK_EQ(((const uint8_t *)found[i])[0], 0x55);
            }
        }
        stop(&e);
        unload();
    }
}

/* A prompt whose logits nobody wants still fills the cache. */
TEST(prompt_without_logits_is_remembered) {
    engine e;
    rusk_graph_item items[N_TOKENS];
    load_arch("gemma3", "F32");
    compute(&PLAIN, reference);
    start(&e, &PLAIN);
    fill_items(items, found);
    for (uint32_t i = 0; i + 1 < N_TOKENS; i++) {
        items[i].logits = NULL;
    }
    run(&e, &PLAIN, items, N_TOKENS - 1);
    run(&e, &PLAIN, items + N_TOKENS - 1, 1);
    CHECK_MEM(found[N_TOKENS - 1], reference[N_TOKENS - 1], desc.n_vocab * sizeof(float));
    stop(&e);
    unload();
}

TEST(sequences_in_one_batch_are_apart) {
    enum { EACH = N_TOKENS / 3 };
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        engine e;
        rusk_graph_item items[N_TOKENS];
        load_arch(MODELS[m].arch, MODELS[m].type);
        /* Interleaved: item 3 i + s is position i of sequence s. */
        for (uint32_t i = 0; i < N_TOKENS; i++) {
            items[i] = (rusk_graph_item){.token = token_at(i % 3, i / 3),
                                         .position = i / 3,
                                         .sequence = i % 3,
                                         .logits = found[i]};
        }
        start(&e, &PLAIN);
        run(&e, &PLAIN, items, N_TOKENS);
        stop(&e);
        for (uint32_t s = 0; s < 3; s++) { /* one after the other, each as sequence 0 */
            start(&e, &PLAIN);
            for (uint32_t i = 0; i < EACH; i++) {
                rusk_graph_item item = items[3 * i + s];
                item.sequence = 0;
                item.logits = reference[i];
                run(&e, &PLAIN, &item, 1);
                CHECK_MEM(found[3 * i + s], reference[i], desc.n_vocab * sizeof(float));
            }
            stop(&e);
        }
        unload();
    }
}

/* Two windowed layers of 4 positions: what stands at 0 reaches position 6 and no further. */
TEST(window_bounds_what_is_seen) {
    engine e;
    rusk_graph_item items[N_TOKENS];
    tiny_options o;
    tiny_options_default(&o, "gemma3");
    o.n_layers = 2;
    o.window = 4;
    o.window_pattern = 100;
    load("window", &o);
    compute(&PLAIN, reference);
    start(&e, &PLAIN);
    fill_items(items, found);
    items[0].token = (items[0].token + 1) % desc.n_vocab;
    run(&e, &PLAIN, items, N_TOKENS);
    stop(&e);
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        bool same = memcmp(found[i], reference[i], desc.n_vocab * sizeof(float)) == 0;
        CHECK_EQ(same, i > 6);
    }
    unload();
}

TEST(logits_can_be_soft_capped) {
    load_arch("gemma3", "F32");
    compute(&PLAIN, reference);
    desc.logit_softcap = 2;
    compute(&PLAIN, found);
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        for (uint32_t t = 0; t < desc.n_vocab; t++) {
            CHECK_NEAR(found[i][t], 2 * tanh(reference[i][t] / 2), 1e-6);
        }
    }
    unload();
}

/* --- failures --------------------------------------------------------------------------------- */

TEST(bad_items_are_refused) {
    engine e;
    rusk_graph_item items[N_TOKENS + 1] = {0};
    load_arch("llama", "F32");
    start(&e, &PLAIN);
    const rusk_weights_view *w = &e.weights.view;
    const rusk_kv_view *kv = &e.kv.view;
    CHECK_FAILS(rusk_graph_run(e.graph, w, kv, items, 0, &err), RUSK_INVALID_ARGUMENT, &err,
                "expected 1 to 24 tokens, found 0");
    CHECK_FAILS(rusk_graph_run(e.graph, w, kv, items, N_TOKENS + 1, &err), RUSK_INVALID_ARGUMENT,
                &err, "found 25");
    items[1].token = desc.n_vocab;
    CHECK_FAILS(rusk_graph_run(e.graph, w, kv, items, 2, &err), RUSK_INVALID_ARGUMENT, &err,
                "item 1: expected a token below 480, found 480");
    items[1] = (rusk_graph_item){.position = N_CTX};
    CHECK_FAILS(rusk_graph_run(e.graph, w, kv, items, 2, &err), RUSK_INVALID_ARGUMENT, &err,
                "item 1: expected a position below 32, found 32");
    stop(&e);
    rusk_graph *graph;
    CHECK_FAILS(rusk_graph_create(&graph, &alloc, &desc, &e.kernels, NULL, 0, 1, false, &err),
                RUSK_INVALID_ARGUMENT, &err, "batch of 0");
    CHECK(graph == NULL);
    unload();
}

/* Every part from 3 on is damaged: part 3 is reported, whatever worker meets it, alone or in a
 * pair, and afterwards the graph works on. */
TEST(the_first_damaged_part_is_reported) {
    static const rusk_role ROLES[] = {RUSK_ROLE_OUTPUT_HEAD, RUSK_ROLE_ATTN_Q, RUSK_ROLE_FFN_UP};
    load_arch("llama", "F32");
    compute(&PLAIN, reference);
    for (unsigned i = 0; i < 6; i++) {
        for (size_t r = 0; r < RUSK_COUNT(ROLES); r++) {
            engine e;
            rusk_graph_item items[N_TOKENS];
            way w = PLAIN;
            w.n_threads = i % 3 + 1;
            w.together = i / 3 + 1;
            w.rows_per_part = 8;
            start(&e, &w);
            fill_items(items, found);
            e.weights.fail_slot = rusk_desc_slot(ROLES[r], 0);
            e.weights.fail_index = 3;
            for (int repeat = 0; repeat < 10; repeat++) {
                CHECK_FAILS(
                    rusk_graph_run(e.graph, &e.weights.view, &e.kv.view, items, N_TOKENS, &err),
                    RUSK_DAMAGED, &err, "part 3 of '");
                CHECK_EQ(err.offset, 3);
            }
            CHECK(rusk_graph_run(e.graph, &e.weights.view, &e.kv.view, items, N_TOKENS, NULL) ==
                  RUSK_DAMAGED);
            e.weights.fail_slot = UINT32_MAX;
            run(&e, &w, items, N_TOKENS);
            CHECK_MEM(found, reference, sizeof found);
            stop(&e);
        }
    }
    unload();
}

TEST(no_memory_at_each_request_leaves_nothing) {
    engine e;
    load_arch("gemma3", "Q8_0");
    start(&e, &PLAIN);
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        test_failing_alloc f;
        rusk_alloc failing;
        rusk_graph *graph;
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&failing, &f.allocator);
        rusk_status status =
            rusk_graph_create(&graph, &failing, &desc, &e.kernels, e.pool, 4, N_CTX, false, &err);
        done = status == RUSK_OK;
        CHECK(done || (status == RUSK_NO_MEMORY && graph == NULL));
        CHECK(nth < 100);
        rusk_graph_destroy(graph);
        CHECK_EQ(f.n_live, 0);
        CHECK_EQ(failing.bytes_total, 0);
    }
    stop(&e);
    unload();
}

TEST(absurd_sizes_are_no_memory) {
    engine e;
    rusk_graph *graph;
    load_arch("llama", "F32");
    start(&e, &PLAIN);
    alloc.limit_bytes = 1U << 30;
    CHECK_FAILS(rusk_graph_create(&graph, &alloc, &desc, &e.kernels, e.pool, UINT32_MAX, UINT32_MAX,
                                  false, &err),
                RUSK_NO_MEMORY, &err, "batch of 4294967295 tokens");
    CHECK(graph == NULL);
    alloc.limit_bytes = 0;
    stop(&e);
    unload();
}

TEST(a_run_allocates_nothing) {
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        engine e;
        rusk_graph_item items[N_TOKENS];
        way w = PLAIN;
        load_arch(MODELS[m].arch, MODELS[m].type);
        w.n_threads = 2;
        w.n_batch = 5;
        start(&e, &w);
        fill_items(items, found);
        const uint64_t n_gets = alloc.n_gets;
        run(&e, &w, items, N_TOKENS);
        CHECK_EQ(alloc.n_gets, n_gets);
        stop(&e);
        unload();
    }
}

/* The stages' sum is the time of the runs, whatever the caller's thread did in it; nothing else
 * changes. */
TEST(a_profile_accounts_for_the_time) {
    static const rusk_stage SEEN[] = {
        RUSK_STAGE_EMBEDDING, RUSK_STAGE_NORM,   RUSK_STAGE_QKV,        RUSK_STAGE_ROPE,
        RUSK_STAGE_STORE,     RUSK_STAGE_OUTPUT, RUSK_STAGE_ADD,        RUSK_STAGE_GATE_UP,
        RUSK_STAGE_DOWN,      RUSK_STAGE_HEAD,   RUSK_STAGE_ACTIVATION, RUSK_STAGE_ATTENTION};
    for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
        engine e;
        rusk_graph_item items[N_TOKENS];
        rusk_profile profile = {0};
        way w = PLAIN;
        w.n_threads = n_threads;
        load_arch("gemma3", "Q4_0");
        compute(&w, reference);
        w.n_batch = 9;
        start(&e, &w);
        fill_items(items, found);
        rusk_graph_set_profile(e.graph, &profile);
        const uint64_t n_gets = alloc.n_gets;
        const double begin = rusk_clock_seconds();
        run(&e, &w, items, N_TOKENS);
        const double took = rusk_clock_seconds() - begin;
        CHECK_EQ(alloc.n_gets, n_gets);
        CHECK_MEM(found, reference, sizeof found);
        CHECK_EQ(profile.n_tokens, N_TOKENS);
        CHECK_EQ(profile.n_passes, (N_TOKENS + 8) / 9);
        double sum = 0;
        for (size_t i = 0; i < RUSK_STAGES; i++) {
            CHECK(profile.seconds[i] >= 0);
            sum += profile.seconds[i];
        }
        CHECK(sum > 0 && sum <= took + 1e-6);
        for (size_t i = 0; i < RUSK_COUNT(SEEN) && n_threads == 1; i++) {
            CHECK(profile.seconds[SEEN[i]] > 0);
        }
        const rusk_profile before = profile;
        e.weights.fail_slot = rusk_desc_slot(RUSK_ROLE_FFN_DOWN, 0);
        CHECK(rusk_graph_run(e.graph, &e.weights.view, &e.kv.view, items, 3, NULL) == RUSK_DAMAGED);
        CHECK_EQ(profile.n_passes, before.n_passes);
        CHECK(profile.seconds[RUSK_STAGE_QKV] >= before.seconds[RUSK_STAGE_QKV]);
        e.weights.fail_slot = UINT32_MAX;
        rusk_graph_set_profile(e.graph, NULL);
        const rusk_profile last = profile;
        run(&e, &w, items, N_TOKENS);
        CHECK_MEM(&profile, &last, sizeof profile);
        stop(&e);
        unload();
    }
}

TEST_MAIN(CASE(threads_do_not_change_bits), CASE(split_into_batches_does_not_change_bits),
          CASE(tiles_and_pages_do_not_change_bits), CASE(parts_taken_in_pairs_do_not_change_bits),
          CASE(plain_c_gives_the_same_bits), CASE(activations_agree_in_both_precisions),
          CASE(only_wanted_logits_are_written), CASE(prompt_without_logits_is_remembered),
          CASE(sequences_in_one_batch_are_apart), CASE(window_bounds_what_is_seen),
          CASE(logits_can_be_soft_capped), CASE(bad_items_are_refused),
          CASE(the_first_damaged_part_is_reported), CASE(no_memory_at_each_request_leaves_nothing),
          CASE(absurd_sizes_are_no_memory), CASE(a_run_allocates_nothing),
          CASE(a_profile_accounts_for_the_time))
