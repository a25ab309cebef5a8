/* tiny_container.h - .rusk files from a seed. Blocks are random bytes: what they would decode to
 * does not matter to the container. Everything can be made again from the plan, for comparison. */
#ifndef RUSK_TEST_TINY_CONTAINER_H
#define RUSK_TEST_TINY_CONTAINER_H

#include "base/rng.h"
#include "format/container.h"

enum { TEST_CONTAINER_MAX_ROWS = 300, TEST_CONTAINER_MAX_BLOCK = 300000 };

typedef struct test_container_plan {
    uint64_t seed;
    size_t n_tensors;    /* every third one a vector */
    uint32_t most_rows;  /* 1 .. TEST_CONTAINER_MAX_ROWS */
    uint32_t most_bytes; /* of a block, up to TEST_CONTAINER_MAX_BLOCK */
    bool texts;          /* metadata, TOKN and CHAT */
} test_container_plan;

/* Tensor i; its arrays are static and hold until the next call. name too. */
rusk_container_tensor test_container_tensor(const test_container_plan *plan, size_t i);
/* Block b of tensor i (F32: the values) to buf; returns its length. */
size_t test_container_block(const test_container_plan *plan, size_t i, uint64_t b, uint8_t *buf);
uint64_t test_container_n_blocks(const rusk_container_tensor *t);

extern const rusk_source TEST_CONTAINER_SOURCE; /* metadata of every type */
extern const rusk_provenance TEST_CONTAINER_PROVENANCE;

/* Writes it. On failure nothing is left, the writer is gone. */
rusk_status test_container_write(rusk_alloc *alloc, const char *path,
                                 const test_container_plan *plan, uint64_t *bytes, rusk_error *err);

#endif
