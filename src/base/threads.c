/* threads.c - the worker pool.
 *
 * A job is published by raising `generation`. Each worker takes indices from `next` until
 * none is left, then lowers `n_busy`; the caller waits for n_busy to reach 0. Both sides spin for a
 * few microseconds before they sleep: a decode step is ~200 short jobs, and a sleep costs ~50 us.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>

#include "base/assert.h"
#include "base/cpu.h"

enum { SPINS = 4000 }; /* ~10 us of pause instructions on a 3 GHz core */

typedef struct worker {
    rusk_pool *pool;
    pthread_t thread;
    unsigned index;
} worker;

struct rusk_pool {
    rusk_alloc *alloc;
    unsigned n_threads;
    unsigned n_started; /* workers whose thread exists; differs only while creating */
    _Atomic unsigned generation;
    _Atomic unsigned n_busy;
    _Atomic size_t next;
    _Atomic bool stop;
    rusk_task task;
    void *arg;
    size_t n_tasks;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    worker workers[];
};

static void cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void run_tasks(rusk_pool *pool, unsigned index) {
    for (;;) {
        size_t i = atomic_fetch_add(&pool->next, 1);
        if (i >= pool->n_tasks) {
            return;
        }
        pool->task(pool->arg, i, index);
    }
}

static unsigned wait_for_job(rusk_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->generation) != seen || atomic_load(&pool->stop)) {
            return atomic_load(&pool->generation);
        }
        cpu_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->stop)) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&pool->generation);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    rusk_pool *pool = w->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->stop)) {
            return NULL;
        }
        run_tasks(pool, w->index);
        if (atomic_fetch_sub(&pool->n_busy, 1) == 1) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

rusk_status rusk_pool_create(rusk_pool **out, rusk_alloc *alloc, unsigned n_threads,
                             rusk_error *err) {
    *out = NULL;
    if (n_threads == 0) {
        n_threads = RUSK_MIN(rusk_cpu_count(), (unsigned)RUSK_THREADS_MAX);
    }
    if (n_threads > RUSK_THREADS_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "threads: expected 1 to %d, found %u", RUSK_THREADS_MAX, n_threads);
    }
    size_t size = sizeof(rusk_pool) + n_threads * sizeof(worker);
    rusk_pool *pool = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, 1, size);
    if (pool == NULL) {
        return rusk_fail_memory(err, size, "the thread pool");
    }
    pool->alloc = alloc;
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (unsigned i = 1; i < n_threads; i++) {
        worker *w = &pool->workers[i];
        *w = (worker){.pool = pool, .index = i};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            rusk_pool_destroy(pool);
            return rusk_fail(err, RUSK_NO_MEMORY, RUSK_NO_OFFSET,
                             "cannot start thread %u of %u: the system refused it", i + 1,
                             n_threads);
        }
        pool->n_started = i;
    }
    *out = pool;
    return RUSK_OK;
}

void rusk_pool_destroy(rusk_pool *pool) {
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 1; i <= pool->n_started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    rusk_alloc_put(pool->alloc, pool);
}

unsigned rusk_pool_size(const rusk_pool *pool) {
    return pool->n_threads;
}

static void wait_until_idle(rusk_pool *pool) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->n_busy) == 0) {
            return;
        }
        cpu_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->n_busy) != 0) {
        pthread_cond_wait(&pool->done, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void rusk_pool_run(rusk_pool *pool, rusk_task task, void *arg, size_t n_tasks) {
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++) {
            task(arg, i, 0);
        }
        return;
    }
    pool->task = task;
    pool->arg = arg;
    pool->n_tasks = n_tasks;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->n_busy, pool->n_threads - 1);
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    run_tasks(pool, 0);
    wait_until_idle(pool);
}
