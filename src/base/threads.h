/* threads.h - one pool of workers that cuts a range of independent tasks among them.
 *
 * Tasks are handed out by an atomic counter, so a slow core takes fewer; what a task computes must
 * not depend on which worker runs it. Workers spin briefly for the next job, then sleep on a
 * condition, so that a stolen core costs little. */
#ifndef RUSK_BASE_THREADS_H
#define RUSK_BASE_THREADS_H

#include "base/alloc.h"

#define RUSK_THREADS_MAX 256

typedef struct rusk_pool rusk_pool;

/* n_threads counts the caller: 1 makes no thread at all; 0 means rusk_cpu_count(). Above
 * RUSK_THREADS_MAX: INVALID_ARGUMENT. */
rusk_status rusk_pool_create(rusk_pool **out, rusk_alloc *alloc, unsigned n_threads,
                             rusk_error *err);
void rusk_pool_destroy(rusk_pool *pool);

unsigned rusk_pool_size(const rusk_pool *pool);

/* Runs task(arg, index, worker) for each index in 0 .. n_tasks-1, the caller taking part; returns
 * when all are done. `worker` is in 0 .. size-1: it selects scratch, never a result. One caller at
 * a time; no nesting. Allocates nothing. */
typedef void (*rusk_task)(void *arg, size_t index, unsigned worker);
void rusk_pool_run(rusk_pool *pool, rusk_task task, void *arg, size_t n_tasks);

#endif
