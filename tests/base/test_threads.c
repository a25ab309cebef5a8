#define _POSIX_C_SOURCE 200809L
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

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

/* --- cores that are not there ------------------------------------------------------------- */

typedef struct uneven_job {
    size_t n_tasks;
    _Atomic size_t n_done;
    _Atomic unsigned done_by[8];
    _Atomic unsigned slow_worker;
} uneven_job;

/* The first task lasts until all others are done. */
static void first_is_slow(void *arg, size_t index, unsigned worker) {
    uneven_job *j = arg;
    if (index == 0) {
        atomic_store(&j->slow_worker, worker);
        while (atomic_load(&j->n_done) < j->n_tasks - 1) {
            (void)sched_yield();
        }
    }
    atomic_fetch_add(&j->done_by[worker], 1);
    atomic_fetch_add(&j->n_done, 1);
}

/* Whoever is held up by one task gets no other; the rest is done meanwhile. */
TEST(a_slow_task_holds_up_no_other) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    for (unsigned n_threads = 2; n_threads <= 8; n_threads += 3) {
        rusk_pool *pool;
        CHECK_OK(rusk_pool_create(&pool, &alloc, n_threads, &err), &err);
        for (int repeat = 0; repeat < 20; repeat++) {
            uneven_job j = {.n_tasks = 100};
            rusk_pool_run(pool, first_is_slow, &j, j.n_tasks);
            unsigned sum = 0;
            for (unsigned w = 0; w < n_threads; w++) {
                sum += j.done_by[w];
            }
            CHECK_EQ(sum, 100);
            CHECK_EQ(j.done_by[j.slow_worker], 1);
        }
        rusk_pool_destroy(pool);
    }
}

typedef struct meeting {
    unsigned n_threads;
    _Atomic unsigned n_here;
    pthread_t thread[8];
} meeting;

/* One task a thread: each waits until all have one, so every thread takes part. */
static void meet(void *arg, size_t index, unsigned worker) {
    meeting *m = arg;
    (void)index;
    m->thread[worker] = pthread_self();
    atomic_fetch_add(&m->n_here, 1);
    while (atomic_load(&m->n_here) < m->n_threads) {
        (void)sched_yield();
    }
}

static int gate[2]; /* a pipe: what is frozen waits for a byte */
static _Atomic int n_frozen;

static void freeze(int signal_number) {
    char byte;
    (void)signal_number;
    atomic_fetch_add(&n_frozen, 1);
    while (read(gate[0], &byte, 1) != 1) {
    }
}

static void wait_ms(long ms) {
    const struct timespec t = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

/* A signal's handler keeps a worker for as long as we like, as a stolen core would. */
TEST(jobs_finish_though_a_worker_never_runs) {
    enum { N_THREADS = 3 };
    struct sigaction action = {.sa_handler = freeze, .sa_flags = SA_RESTART};
    rusk_alloc alloc;
    rusk_error err;
    rusk_pool *pool;
    meeting m = {.n_threads = N_THREADS};
    rusk_alloc_init(&alloc, NULL);
    CHECK(pipe(gate) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK_OK(rusk_pool_create(&pool, &alloc, N_THREADS, &err), &err);
    rusk_pool_run(pool, meet, &m, N_THREADS);
    wait_ms(50); /* it sleeps by now, so it is frozen without the pool's lock */
    CHECK(pthread_kill(m.thread[1], SIGUSR1) == 0);
    while (n_frozen == 0) {
        wait_ms(1);
    }
    for (int repeat = 0; repeat < 500; repeat++) {
        static job j;
        memset(&j, 0, sizeof j);
        j.n_workers = N_THREADS;
        rusk_pool_run(pool, count, &j, 40);
        for (size_t i = 0; i < 40; i++) {
            CHECK_EQ(j.hits[i], 1);
        }
    }
    CHECK_EQ(n_frozen, 1);
    CHECK(write(gate[1], "", 1) == 1);
    m.n_here = 0;
    rusk_pool_run(pool, meet, &m, N_THREADS); /* it is back */
    rusk_pool_destroy(pool);
    CHECK_EQ(alloc.bytes_total, 0);
    close(gate[0]);
    close(gate[1]);
}

static void *be_busy(void *stop) {
    while (!atomic_load((_Atomic bool *)stop)) {
    }
    return NULL;
}

/* Many more threads than CPUs, beside threads that only compute. */
TEST(short_jobs_finish_where_threads_outnumber_cpus) {
    enum { N_BUSY = 3, N_THREADS = 24 };
    static _Atomic bool stop;
    pthread_t busy[N_BUSY];
    rusk_alloc alloc;
    rusk_error err;
    rusk_pool *pool;
    static job j;
    rusk_alloc_init(&alloc, NULL);
    atomic_store(&stop, false);
    for (size_t i = 0; i < N_BUSY; i++) {
        CHECK(pthread_create(&busy[i], NULL, be_busy, &stop) == 0);
    }
    CHECK_OK(rusk_pool_create(&pool, &alloc, N_THREADS, &err), &err);
    memset(&j, 0, sizeof j);
    j.n_workers = N_THREADS;
    for (unsigned n = 1; n <= 300; n++) {
        rusk_pool_run(pool, count, &j, 17);
        for (size_t i = 0; i < 17; i++) {
            CHECK_EQ(j.hits[i], n);
        }
    }
    CHECK(!j.bad_worker);
    rusk_pool_destroy(pool);
    atomic_store(&stop, true);
    for (size_t i = 0; i < N_BUSY; i++) {
        pthread_join(busy[i], NULL);
    }
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST_MAIN(CASE(every_task_runs_once), CASE(a_slow_task_holds_up_no_other),
          CASE(jobs_finish_though_a_worker_never_runs),
          CASE(short_jobs_finish_where_threads_outnumber_cpus), CASE(too_many_threads_are_refused),
          CASE(no_memory_is_reported))
