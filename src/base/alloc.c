/* alloc.c - the tagged allocator.
 *
 *     backend pointer          aligned to 64            returned
 *     v                        v                        v
 *     |  0..63 bytes of slack  | header (64 bytes)      | size_bytes ...
 *
 * The header stands right before the returned pointer and remembers size, tag and backend pointer.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"

typedef struct header {
    void *origin;
    size_t size_bytes;
    rusk_mem_tag tag;
} header;

RUSK_STATIC_ASSERT(sizeof(header) <= RUSK_ALLOC_ALIGN, "the header fits before an aligned block");

static void *malloc_backend(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void free_backend(void *user, void *ptr) {
    (void)user;
    free(ptr);
}

void rusk_alloc_init(rusk_alloc *a, const rusk_allocator *backend) {
    memset(a, 0, sizeof *a);
    if (backend != NULL) {
        a->backend = *backend;
    } else {
        a->backend = (rusk_allocator){.alloc = malloc_backend, .free = free_backend};
    }
}

static header *header_of(void *ptr) {
    return (header *)((char *)ptr - RUSK_ALLOC_ALIGN);
}

void *rusk_alloc_get(rusk_alloc *a, rusk_mem_tag tag, size_t size_bytes) {
    uint64_t gross;
    if (!rusk_add_u64(size_bytes, (uint64_t)2 * RUSK_ALLOC_ALIGN, &gross) || gross > SIZE_MAX / 2) {
        return NULL;
    }
    uint64_t total = atomic_fetch_add(&a->bytes_total, size_bytes) + size_bytes;
    char *origin = NULL;
    if (a->limit_bytes == 0 || total <= a->limit_bytes) {
        origin = a->backend.alloc(a->backend.user, (size_t)gross);
    }
    if (origin == NULL) {
        atomic_fetch_sub(&a->bytes_total, size_bytes);
        return NULL;
    }
    uintptr_t start =
        ((uintptr_t)origin + 2 * RUSK_ALLOC_ALIGN - 1) & ~(uintptr_t)(RUSK_ALLOC_ALIGN - 1);
    if (start - (uintptr_t)origin < RUSK_ALLOC_ALIGN) {
        start += RUSK_ALLOC_ALIGN;
    }
    char *ptr = origin + (start - (uintptr_t)origin);
    *header_of(ptr) = (header){.origin = origin, .size_bytes = size_bytes, .tag = tag};
    atomic_fetch_add(&a->bytes[tag], size_bytes);
    atomic_fetch_add(&a->n_gets, 1);
    uint64_t peak = atomic_load(&a->bytes_peak);
    while (total > peak && !atomic_compare_exchange_weak(&a->bytes_peak, &peak, total)) {
    }
    return ptr;
}

void *rusk_alloc_zero(rusk_alloc *a, rusk_mem_tag tag, size_t n, size_t size) {
    size_t bytes;
    if (!rusk_mul_size(n, size, &bytes)) {
        return NULL;
    }
    void *ptr = rusk_alloc_get(a, tag, bytes);
    if (ptr != NULL) {
        memset(ptr, 0, bytes);
    }
    return ptr;
}

void *rusk_alloc_resize(rusk_alloc *a, rusk_mem_tag tag, void *ptr, size_t size_bytes) {
    void *grown = rusk_alloc_get(a, tag, size_bytes);
    if (grown != NULL && ptr != NULL) {
        memcpy(grown, ptr, RUSK_MIN(size_bytes, header_of(ptr)->size_bytes));
        rusk_alloc_put(a, ptr);
    }
    return grown;
}

void rusk_alloc_put(rusk_alloc *a, void *ptr) {
    if (ptr == NULL) {
        return;
    }
    header h = *header_of(ptr);
    atomic_fetch_sub(&a->bytes[h.tag], h.size_bytes);
    atomic_fetch_sub(&a->bytes_total, h.size_bytes);
    a->backend.free(a->backend.user, h.origin);
}

void rusk_alloc_usage(const rusk_alloc *a, rusk_memory_usage *usage) {
    for (int tag = 0; tag < RUSK_MEM_TAGS; tag++) {
        usage->bytes[tag] = atomic_load(&a->bytes[tag]);
    }
    usage->bytes_total = atomic_load(&a->bytes_total);
    usage->bytes_peak = atomic_load(&a->bytes_peak);
}
