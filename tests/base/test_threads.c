#include "base/threads.h"

#include "support/test.h"

typedef struct job {
    _Atomic uint32_t hits[1000];
    unsigned n_workers;
    _Atomic bool bad_worker;
} job;

static void count(void *arg, size_t index, unsigned worker) {
    job *j = arg;
    atomic_fetch_add(&j->hits[index], 1);
    if (worker >= j->n_workers) {
        atomic_store(&j->bad_worker, true);
    }
}

TEST(every_task_runs_once) {
    static const unsigned SIZES[] = {1, 2, 3, 8};
    rusk_alloc alloc;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    for (size_t s = 0; s < RUSK_COUNT(SIZES); s++) {
        rusk_pool *pool;
        CHECK_OK(rusk_pool_create(&pool, &alloc, SIZES[s], &err), &err);
        CHECK_EQ(rusk_pool_size(pool), SIZES[s]);
        for (size_t n = 0; n <= 1000; n += n < 10 ? 1 : 330) {
            for (int repeat = 0; repeat < 50; repeat++) {
                static job j;
                memset(&j, 0, sizeof j);
                j.n_workers = SIZES[s];
                rusk_pool_run(pool, count, &j, n);
                for (size_t i = 0; i < 1000; i++) {
                    CHECK_EQ(j.hits[i], i < n ? 1 : 0);
                }
                CHECK(!j.bad_worker);
            }
        }
        rusk_pool_destroy(pool);
        CHECK_EQ(alloc.bytes_total, 0);
    }
}

TEST(too_many_threads_are_refused) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_pool *pool;
    rusk_alloc_init(&alloc, NULL);
    CHECK_FAILS(rusk_pool_create(&pool, &alloc, RUSK_THREADS_MAX + 1, &err), RUSK_INVALID_ARGUMENT,
                &err, "expected 1 to 256, found 257");
    CHECK(pool == NULL);
}

TEST(no_memory_is_reported) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_pool *pool;
    test_failing_alloc f;
    test_failing_alloc_init(&f, 1);
    rusk_alloc_init(&alloc, &f.allocator);
    CHECK_FAILS(rusk_pool_create(&pool, &alloc, 2, &err), RUSK_NO_MEMORY, &err, "thread pool");
    CHECK_EQ(f.n_live, 0);
}

TEST_MAIN(CASE(every_task_runs_once), CASE(too_many_threads_are_refused),
          CASE(no_memory_is_reported))
