/* bench_unpack.c - how fast stored blocks become codes and scales, and f32: one JSON line a type.
 *
 *     bench_unpack [TYPE ...]
 *
 * One thread, a tile that stays in the second cache (as kernels use it), the best of many runs.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "format/dtype.h"

enum { COLUMNS = 64 * 1024 };
#define SECONDS 0.1

static uint8_t stored[COLUMNS * 4];
static int8_t codes[COLUMNS];
static float d[COLUMNS / 16], m[COLUMNS / 16], values[COLUMNS];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run(const rusk_dtype_info *info, int to_f32) {
    if (to_f32) {
        rusk_dtype_to_f32(info, stored, COLUMNS, values);
    } else {
        info->unpack(stored, COLUMNS, codes, d, m);
    }
}

/* In billions of weights a second: the fastest of the short runs that fit in SECONDS, so that other
 * load on the machine does not count. */
static double measure(const rusk_dtype_info *info, int to_f32) {
    double begin = now(), best = 1;
    for (double at = begin; at - begin < SECONDS;) {
        run(info, to_f32);
        double end = now();
        best = end - at < best ? end - at : best;
        at = end;
    }
    return COLUMNS / best * 1e-9;
}

int main(int argc, char **argv) {
    static const uint32_t NUMBERS[] = {
#define X(name, number, elements, bytes, group) number,
        RUSK_DTYPE_LIST(X)
#undef X
    };
    rusk_rng rng = rusk_rng_seed(1);
    for (size_t i = 0; i < sizeof stored; i++) {
        stored[i] = (uint8_t)(rusk_rng_u64(&rng) & 0x7B); /* no f16 is infinite or NaN */
    }
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        const rusk_dtype_info *info = rusk_dtype_find(NUMBERS[i]);
        int wanted = argc == 1;
        for (int a = 1; a < argc; a++) {
            wanted |= strcmp(argv[a], info->name) == 0;
        }
        if (!wanted || info->dtype == RUSK_DTYPE_SYM8) {
            continue;
        }
        printf("{\"type\":\"%s\",\"bits\":%.4g", info->name,
               8.0 * info->block_bytes / info->block_elements);
        if (info->unpack != NULL) {
            printf(",\"unpack_gweights_s\":%.2f", measure(info, 0));
        }
        printf(",\"f32_gweights_s\":%.2f}\n", measure(info, 1));
    }
    return 0;
}
