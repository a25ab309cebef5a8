#include "base/arena.h"

#include <string.h>

#include "base/assert.h"
#include "base/checked.h"

enum { CHUNK_BYTES = 64 * 1024, ARENA_ALIGN = 16 };

struct rusk_arena_chunk {
    struct rusk_arena_chunk *next;
    size_t used, cap_bytes;
    _Alignas(ARENA_ALIGN) char data[];
};

void rusk_arena_init(rusk_arena *arena, rusk_alloc *alloc, rusk_mem_tag tag) {
    *arena = (rusk_arena){.alloc = alloc, .tag = tag};
}

void rusk_arena_finish(rusk_arena *arena) {
    while (arena->chunk != NULL) {
        struct rusk_arena_chunk *next = arena->chunk->next;
        rusk_alloc_put(arena->alloc, arena->chunk);
        arena->chunk = next;
    }
}

static struct rusk_arena_chunk *chunk_add(rusk_arena *arena, size_t least_bytes) {
    size_t cap = RUSK_MAX(least_bytes, (size_t)CHUNK_BYTES);
    struct rusk_arena_chunk *chunk =
        rusk_alloc_get(arena->alloc, arena->tag, sizeof(struct rusk_arena_chunk) + cap);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->used = 0;
    chunk->cap_bytes = cap;
    chunk->next = arena->chunk;
    arena->chunk = chunk;
    return chunk;
}

void *rusk_arena_get(rusk_arena *arena, size_t n, size_t size) {
    size_t bytes;
    uint64_t rounded;
    if (!rusk_mul_size(n, size, &bytes) || !rusk_align_u64(bytes, ARENA_ALIGN, &rounded) ||
        rounded > SIZE_MAX / 2) {
        return NULL;
    }
    struct rusk_arena_chunk *chunk = arena->chunk;
    if (chunk == NULL || chunk->cap_bytes - chunk->used < rounded) {
        chunk = chunk_add(arena, (size_t)rounded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *ptr = chunk->data + chunk->used;
    chunk->used += (size_t)rounded;
    memset(ptr, 0, bytes);
    return ptr;
}

char *rusk_arena_text(rusk_arena *arena, const char *text, size_t len_bytes) {
    char *copy = len_bytes == SIZE_MAX ? NULL : rusk_arena_get(arena, len_bytes + 1, 1);
    if (copy != NULL && len_bytes > 0) {
        memcpy(copy, text, len_bytes);
    }
    return copy;
}
