/* bench_open.c - how long a model file takes to open, and the memory it holds then: one JSON line.
 *
 *     bench_open FILE ...
 *
 * The fastest of ten, from a warm cache. */
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include "format/source.h"

enum { RUNS = 10 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        double best = 1e9;
        unsigned long long held = 0, peak = 0;
        for (int r = 0; r < RUNS; r++) {
            rusk_alloc alloc;
            rusk_error err;
            rusk_source *s;
            rusk_alloc_init(&alloc, NULL);
            double start = now();
            if (rusk_source_open(&s, &alloc, argv[i], &err) != RUSK_OK) {
                fprintf(stderr, "%s\n", err.message);
                return 1;
            }
            double elapsed = now() - start;
            best = elapsed < best ? elapsed : best;
            held = alloc.bytes_total;
            peak = alloc.bytes_peak;
            rusk_source_close(s);
        }
        printf("{\"file\":\"%s\",\"open_ms\":%.2f,\"held_bytes\":%llu,\"peak_bytes\":%llu}\n",
               argv[i], best * 1e3, held, peak);
    }
    return 0;
}
