/* threads.c - the worker pool.
 *
 * One 64-bit word is the whole protocol: how many tasks the present job has, and which is next.
 *
 *     63               32 31               0
 *     | tasks of the job  | next task        |
 *
 * A thread claims a task by adding 1. What comes back tells both at once, so a claim is of the
 * present job or of none: a thread that slept through a job cannot take part in it too late. The
 * caller waits until all *tasks* are done, not until all threads say so: a worker that lost its
 * core while it held no task delays nobody. A valid claim keeps its job from ending, so the job's
 * fields may be read after it.
 *
 * Workers look out for a next job for some microseconds before they sleep: a decode step is about
 * 150 short jobs, and waking costs tens of microseconds. While they look out they yield again and
 * again. Where another process keeps one of two CPUs busy, Linux puts the caller and its worker on
 * the other one together, and each look-out would take from the caller the time in which it could
 * publish the next job: steps of bench_threads fell to 0.36 of the speed without that process, and
 * with the yields to 0.52, which is what one thread alone does. A yield with nobody waiting is one
 * short system call, so they cost nothing on an idle machine. The caller does not yield while it
 * waits for the last tasks: beside a busy process that gives away a whole slice of time. */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>

#include "base/assert.h"
#include "base/cpu.h"

/* A pause takes 26 ns on Zen 5 and 10 to 40 ns on others, a yield 420 ns: some 100 us, and a sixth
 * of it yielding. */
enum { SPINS = 4000, SPINS_A_YIELD = 64 };

typedef struct worker {
    rusk_pool *pool;
    pthread_t thread;
    unsigned index;
} worker;

struct rusk_pool {
    rusk_alloc *alloc;
    unsigned n_threads;
    unsigned n_started; /* workers whose thread exists; differs only while creating */
    _Atomic uint64_t ticket;
    _Atomic size_t n_done;
    _Atomic unsigned n_sleeping;
    _Atomic bool stop;
    rusk_task task;
    void *arg;
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

static size_t ticket_next(uint64_t ticket) {
    return (size_t)(ticket & UINT32_MAX);
}

static size_t ticket_tasks(uint64_t ticket) {
    return (size_t)(ticket >> 32);
}

static bool has_task(rusk_pool *pool) {
    uint64_t ticket = atomic_load(&pool->ticket);
    return ticket_next(ticket) < ticket_tasks(ticket);
}

static void run_tasks(rusk_pool *pool, unsigned index) {
    while (has_task(pool)) {
        uint64_t ticket = atomic_fetch_add(&pool->ticket, 1);
        size_t n = ticket_tasks(ticket);
        if (ticket_next(ticket) >= n) {
            return;
        }
        pool->task(pool->arg, ticket_next(ticket), index);
        if (atomic_fetch_add(&pool->n_done, 1) + 1 == n && index != 0) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void wait_for_task(rusk_pool *pool) {
    for (int i = 0; i < SPINS; i++) {
        if (has_task(pool) || atomic_load(&pool->stop)) {
            return;
        }
        if (i % SPINS_A_YIELD == SPINS_A_YIELD - 1) {
            (void)sched_yield();
        }
        cpu_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    /* before the look: publish() looks the other way round */
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!has_task(pool) && !atomic_load(&pool->stop)) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    while (!atomic_load(&w->pool->stop)) {
        run_tasks(w->pool, w->index);
        wait_for_task(w->pool);
    }
    return NULL;
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

static void wait_until_done(rusk_pool *pool, size_t n_tasks) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->n_done) == n_tasks) {
            return;
        }
        cpu_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->n_done) != n_tasks) {
        pthread_cond_wait(&pool->done, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void publish(rusk_pool *pool, size_t n_tasks) {
    atomic_store(&pool->n_done, 0);
    atomic_store(&pool->ticket, (uint64_t)n_tasks << 32);
    if (atomic_load(&pool->n_sleeping) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void rusk_pool_run(rusk_pool *pool, rusk_task task, void *arg, size_t n_tasks) {
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++) {
            task(arg, i, 0);
        }
        return;
    }
    RUSK_ASSERT(n_tasks < UINT32_MAX - RUSK_THREADS_MAX); /* a claim that fails adds 1 too */
    pool->task = task;
    pool->arg = arg;
    publish(pool, n_tasks);
    run_tasks(pool, 0);
    wait_until_done(pool, n_tasks);
}
