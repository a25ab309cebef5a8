/* fuzz.h - what a fuzz target defines. */
#ifndef RUSK_FUZZ_H
#define RUSK_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

/* The code under test on one input. Must not crash, hang or leak whatever the bytes are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

/* Valid inputs to start from, made by the library's own writers. */
size_t fuzz_seed_count(void);
size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes);

/* May recompute checksums after a mutation (in half of the cases), so that it reaches the code
 * behind them; returns the length. Targets without checksums return len_bytes. */
size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes);

#endif
