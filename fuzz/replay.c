/* replay.c - runs a fuzz target without an engine: its seeds, then seeded mutations of them.
 *
 * A target (fuzz_*.c) defines the engine's usual entry point and, for this driver, the seeds. With
 * libFuzzer the target alone is built (clang -fsanitize=fuzzer); the driver is left out.
 *
 *     fuzz_NAME [--seconds S] [--runs N] [--seed N] [FILE ...]     FILEs are run once, unmutated */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

enum { CAP_BYTES = 1 << 22 };

static uint8_t buffer[CAP_BYTES];

static size_t mutate(rusk_rng *rng, size_t len) {
    unsigned n = 1 + (unsigned)rusk_rng_below(rng, 8);
    for (unsigned i = 0; i < n && len > 0; i++) {
        size_t at = (size_t)rusk_rng_below(rng, len);
        switch (rusk_rng_below(rng, 6)) {
        case 0:
            buffer[at] ^= (uint8_t)(1U << rusk_rng_below(rng, 8));
            break;
        case 1:
            buffer[at] = (uint8_t)rusk_rng_u64(rng);
            break;
        case 2: { /* an interesting number, 1 to 8 bytes wide */
            static const uint64_t VALUES[] = {
                0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 1ULL << 40, UINT64_MAX, INT64_MAX};
            uint64_t v = VALUES[rusk_rng_below(rng, sizeof VALUES / sizeof VALUES[0])];
            size_t width = (size_t)1 << rusk_rng_below(rng, 4);
            memcpy(buffer + at, &v, at + width <= len ? width : len - at);
            break;
        }
        case 3: /* cut */
            len = rusk_rng_below(rng, 4) == 0 ? at : len;
            break;
        case 4: { /* copy one part over another */
            size_t from = (size_t)rusk_rng_below(rng, len);
            size_t most = len - (at > from ? at : from);
            memmove(buffer + at, buffer + from,
                    (size_t)rusk_rng_below(rng, most < 64 ? most + 1 : 64));
            break;
        }
        default: /* a small step up or down */
            buffer[at] = (uint8_t)(buffer[at] + (rusk_rng_below(rng, 2) == 0 ? 1 : 255));
            break;
        }
    }
    return len;
}

static int run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "cannot open %s\n", path);
        return 1;
    }
    size_t len = fread(buffer, 1, CAP_BYTES, f);
    fclose(f);
    (void)LLVMFuzzerTestOneInput(buffer, len);
    return 0;
}

int main(int argc, char **argv) {
    double seconds = 3;
    unsigned long long runs = 0, seed = 1, done = 0;
    int status = 0;
    bool files = false;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0) {
            seconds = atof(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0) {
            runs = strtoull(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 10);
        } else {
            files = true;
            status |= run_file(argv[i]);
        }
    }
    if (files) {
        return status;
    }
    rusk_rng rng = rusk_rng_seed(seed);
    size_t n_seeds = fuzz_seed_count();
    time_t start = time(NULL);
    for (; runs > 0 ? done < runs : difftime(time(NULL), start) < seconds; done++) {
        size_t len = fuzz_seed(done % n_seeds, buffer, CAP_BYTES);
        if (done >= n_seeds) { /* the seeds themselves come first */
            len = mutate(&rng, len);
            len = fuzz_repair(&rng, buffer, len);
        }
        (void)LLVMFuzzerTestOneInput(buffer, len);
    }
    printf("%llu inputs, seed %llu\n", done, seed);
    return 0;
}
