/* alloc.h - the one way to memory: tagged, counted, limited.
 *
 * Every byte the library holds is counted under a tag (rusk_mem_tag), so that a memory budget is a
 * number the program knows. A rusk_alloc is made for each model, file or pack job and outlives what
 * it gave. Counters are atomic: any thread may get and put. */
#ifndef RUSK_BASE_ALLOC_H
#define RUSK_BASE_ALLOC_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/status.h"

#define RUSK_ALLOC_ALIGN 64 /* bytes; a cache line, and enough for any vector load */

typedef struct rusk_alloc {
    rusk_allocator backend;
    uint64_t limit_bytes; /* requests that would exceed this total fail; 0: no limit */
    _Atomic uint64_t bytes[RUSK_MEM_TAGS];
    _Atomic uint64_t bytes_total, bytes_peak;
    _Atomic uint64_t n_gets; /* number of successful gets so far: tests watch it stand still */
} rusk_alloc;

/* backend NULL: malloc and free. */
void rusk_alloc_init(rusk_alloc *a, const rusk_allocator *backend);

/* size_bytes (0 is allowed: a unique pointer) aligned to RUSK_ALLOC_ALIGN, contents unspecified.
 * NULL where there is no memory or the limit would be passed. */
void *rusk_alloc_get(rusk_alloc *a, rusk_mem_tag tag, size_t size_bytes);
/* n * size bytes, zeroed; NULL on overflow too. */
void *rusk_alloc_zero(rusk_alloc *a, rusk_mem_tag tag, size_t n, size_t size);
/* Grows or shrinks, keeping contents; on failure NULL and ptr stays valid. ptr may be NULL. */
void *rusk_alloc_resize(rusk_alloc *a, rusk_mem_tag tag, void *ptr, size_t size_bytes);
void rusk_alloc_put(rusk_alloc *a, void *ptr); /* NULL is accepted */

void rusk_alloc_usage(const rusk_alloc *a, rusk_memory_usage *usage);

#endif
