#include "runtime/kv.h"

#include "support/test.h"

static const rusk_model_desc DESC = {.n_layers = 3, .n_kv_heads = 2, .head_dim = 8};

static rusk_kv *make(rusk_alloc *alloc, uint32_t n_ctx, uint32_t n_sequences) {
    rusk_error err;
    rusk_kv *kv;
    rusk_alloc_init(alloc, NULL);
    CHECK_OK(rusk_kv_create(&kv, alloc, &DESC, n_ctx, n_sequences, &err), &err);
    return kv;
}

/* Writes a number that tells layer, sequence and position, and finds it again. */
static uint16_t mark(uint32_t layer, uint32_t s, uint32_t p, bool v) {
    return (uint16_t)(layer * 20000 + s * 5000 + p * 2 + v);
}

static uint16_t *row(const rusk_kv_view *view, uint32_t layer, uint32_t s, uint32_t p, bool v) {
    uint16_t *k, *values;
    view->page(view->self, layer, s, p / view->page_positions, &k, &values);
    return (v ? values : k) + (size_t)(p % view->page_positions) * 16;
}

static void fill(const rusk_kv_view *view, uint32_t s, uint32_t from, uint32_t to) {
    for (uint32_t layer = 0; layer < 3; layer++) {
        for (uint32_t p = from; p < to; p++) {
            for (uint32_t c = 0; c < 16; c++) {
                row(view, layer, s, p, false)[c] = mark(layer, s, p, false);
                row(view, layer, s, p, true)[c] = mark(layer, s, p, true);
            }
        }
    }
}

static void check(const rusk_kv_view *view, uint32_t s, uint32_t to) {
    for (uint32_t layer = 0; layer < 3; layer++) {
        for (uint32_t p = 0; p < to; p++) {
            for (uint32_t c = 0; c < 16; c++) {
                CHECK_EQ(row(view, layer, s, p, false)[c], mark(layer, s, p, false));
                CHECK_EQ(row(view, layer, s, p, true)[c], mark(layer, s, p, true));
            }
        }
    }
}

TEST(sequences_grow_and_shrink_without_touching_each_other) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_kv *kv = make(&alloc, 1000, 3);
    rusk_kv_view view = rusk_kv_get_view(kv);
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (int step = 0; step < 200; step++) {
        uint32_t s = (uint32_t)rusk_rng_below(&rng, 3);
        uint32_t have = rusk_kv_size(kv, s);
        uint32_t others = rusk_kv_total(kv) - have;
        uint32_t want = (uint32_t)rusk_rng_below(&rng, 1000 - others + 1);
        CHECK_OK(rusk_kv_resize(kv, s, want, &err), &err);
        CHECK_EQ(rusk_kv_size(kv, s), want);
        CHECK_EQ(rusk_kv_total(kv), others + want);
        if (want > have) {
            fill(&view, s, have, want);
        }
        for (uint32_t i = 0; i < 3; i++) {
            check(&view, i, rusk_kv_size(kv, i));
        }
    }
    rusk_kv_destroy(kv);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(one_position_too_many_is_refused_and_changes_nothing) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_kv *kv = make(&alloc, 65, 2);
    CHECK_OK(rusk_kv_resize(kv, 0, 60, &err), &err);
    CHECK_OK(rusk_kv_resize(kv, 1, 5, &err), &err);
    CHECK_FAILS(rusk_kv_resize(kv, 1, 6, &err), RUSK_LIMIT, &err, "holds 65 positions, 66");
    CHECK_EQ(rusk_kv_size(kv, 1), 5);
    CHECK_EQ(rusk_kv_total(kv), 65);
    rusk_kv_destroy(kv);
}

TEST(growing_allocates_nothing) {
    rusk_alloc alloc;
    rusk_kv *kv = make(&alloc, 256, 1);
    uint64_t n = alloc.n_gets;
    for (uint32_t i = 1; i <= 256; i++) {
        CHECK_EQ(rusk_kv_resize(kv, 0, i, NULL), RUSK_OK);
    }
    CHECK_EQ(alloc.n_gets, n);
    rusk_kv_destroy(kv);
}

TEST(impossible_sizes_and_no_memory_are_errors) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_kv *kv;
    rusk_model_desc huge = {.n_layers = 1000000, .n_kv_heads = 100000, .head_dim = 4096};
    rusk_alloc_init(&alloc, NULL);
    CHECK_FAILS(rusk_kv_create(&kv, &alloc, &huge, UINT32_MAX, 1, &err), RUSK_LIMIT, &err,
                "too large");
    for (uint64_t n = 1; n <= 5; n++) {
        test_failing_alloc f;
        test_failing_alloc_init(&f, n);
        rusk_alloc_init(&alloc, &f.allocator);
        CHECK_FAILS(rusk_kv_create(&kv, &alloc, &DESC, 64, 1, &err), RUSK_NO_MEMORY, &err, "KV");
        CHECK(kv == NULL);
        CHECK_EQ(f.n_live, 0);
    }
}

TEST_MAIN(CASE(sequences_grow_and_shrink_without_touching_each_other),
          CASE(one_position_too_many_is_refused_and_changes_nothing),
          CASE(growing_allocates_nothing), CASE(impossible_sizes_and_no_memory_are_errors))
