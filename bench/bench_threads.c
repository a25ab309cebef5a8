/* bench_threads.c - what the pool makes of jobs as a decode step has them, alone and beside a
 * process that computes on one CPU. JSON lines on stdout.
 *
 *     bench_threads [--threads N] [--busy N] [--cpu N] [--rounds N] [--tasks N] [--task-us N]
 *
 * A step is 120 jobs of --tasks tasks of --task-us microseconds each, with a short serial part
 * between them. Steps alone and steps beside --busy computing processes, pinned to CPU --cpu,
 * alternate. stolen_ratio is of the best of both; median_ratio of the medians. On two CPUs of which
 * one is shared fairly, 0.75 of the time of two is left. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "base/threads.h"

enum { JOBS = 120, MAX_ROUNDS = 1000, MAX_BUSY = 16 };

static const double ROUND_SECONDS = 0.25;

typedef struct options {
    unsigned n_threads, n_busy, cpu, n_rounds, n_tasks;
    double task_us;
} options;

typedef struct work {
    uint64_t n_spins;
    _Atomic uint64_t sink;
} work;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void compute(work *w, uint64_t n) {
    uint64_t x = n;
    for (uint64_t i = 0; i < n; i++) {
        x = x * 6364136223846793005U + 1442695040888963407U;
    }
    atomic_store(&w->sink, x);
}

static void task(void *arg, size_t index, unsigned worker) {
    (void)index;
    (void)worker;
    work *w = arg;
    compute(w, w->n_spins);
}

/* Turns of the loop above in a microsecond. */
static double calibrate(void) {
    enum { TURNS = 2000000 };
    work w = {0};
    double best = 1;
    for (int i = 0; i < 10; i++) {
        double start = now();
        compute(&w, TURNS);
        best = RUSK_MIN(best, now() - start);
    }
    return TURNS / best * 1e-6;
}

static void step(rusk_pool *pool, work *w, const options *o) {
    for (int j = 0; j < JOBS; j++) {
        rusk_pool_run(pool, task, w, o->n_tasks);
        compute(w, w->n_spins / 2);
    }
}

/* Steps a second over ROUND_SECONDS; *worst is the longest step seen so far. */
static double rate(rusk_pool *pool, work *w, const options *o, double *worst) {
    double start = now(), last = start;
    unsigned n = 0;
    while (last - start < ROUND_SECONDS) {
        step(pool, w, o);
        double t = now();
        *worst = RUSK_MAX(*worst, t - last);
        last = t;
        n++;
    }
    return n / (last - start);
}

static pid_t start_busy(unsigned cpu) {
    pid_t child = fork();
    if (child == 0) {
        cpu_set_t set;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
        for (volatile uint64_t i = 0;; i++) {
        }
    }
    return child;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(rusk_pool *pool, work *w, const options *o) {
    static double alone[MAX_ROUNDS], stolen[MAX_ROUNDS];
    double worst_alone = 0, worst_stolen = 0, pause = 0;
    struct rusage a, b;
    getrusage(RUSAGE_SELF, &a);
    for (unsigned i = 0; i < o->n_rounds; i++) {
        pid_t busy[MAX_BUSY];
        alone[i] = rate(pool, w, o, &worst_alone);
        for (unsigned k = 0; k < o->n_busy; k++) {
            busy[k] = start_busy(o->cpu);
        }
        (void)rate(pool, w, o, &pause); /* until it computes, and the scheduler has settled */
        stolen[i] = rate(pool, w, o, &worst_stolen);
        for (unsigned k = 0; k < o->n_busy; k++) {
            kill(busy[k], SIGKILL);
            waitpid(busy[k], NULL, 0);
        }
    }
    getrusage(RUSAGE_SELF, &b);
    qsort(alone, o->n_rounds, sizeof *alone, by_value);
    qsort(stolen, o->n_rounds, sizeof *stolen, by_value);
    unsigned last = o->n_rounds - 1, middle = o->n_rounds / 2;
    printf("{\"threads\": %u, \"busy\": %u, \"tasks\": %u, \"task_us\": %.1f, \"alone\": %.1f, "
           "\"stolen\": %.1f, \"stolen_ratio\": %.3f, \"median_ratio\": %.3f, "
           "\"worst_alone_ms\": %.1f, \"worst_stolen_ms\": %.1f, \"voluntary_switches\": %ld}\n",
           o->n_threads, o->n_busy, o->n_tasks, o->task_us, alone[last], stolen[last],
           stolen[last] / alone[last], stolen[middle] / alone[middle], 1e3 * worst_alone,
           1e3 * worst_stolen, b.ru_nvcsw - a.ru_nvcsw);
}

int main(int argc, char **argv) {
    options o = {.n_threads = rusk_cpu_count(),
                 .n_busy = 1,
                 .cpu = rusk_cpu_count() - 1,
                 .n_rounds = 10,
                 .n_tasks = 12,
                 .task_us = 6};
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned v = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--threads") == 0) {
            o.n_threads = v;
        } else if (strcmp(argv[i], "--busy") == 0) {
            o.n_busy = RUSK_MIN(v, (unsigned)MAX_BUSY);
        } else if (strcmp(argv[i], "--cpu") == 0) {
            o.cpu = v;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            o.n_rounds = RUSK_MAX(1U, RUSK_MIN(v, (unsigned)MAX_ROUNDS));
        } else if (strcmp(argv[i], "--tasks") == 0) {
            o.n_tasks = v;
        } else if (strcmp(argv[i], "--task-us") == 0) {
            o.task_us = atof(argv[i + 1]);
        } else {
            fprintf(stderr, "bench_threads: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    rusk_alloc alloc;
    rusk_pool *pool;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    if (rusk_pool_create(&pool, &alloc, o.n_threads, &err) != RUSK_OK) {
        fprintf(stderr, "bench_threads: %s\n", err.message);
        return 1;
    }
    work w = {.n_spins = (uint64_t)(calibrate() * o.task_us)};
    measure(pool, &w, &o);
    rusk_pool_destroy(pool);
    return 0;
}
