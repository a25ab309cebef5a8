/* arena.h - memory by lifetime: many small gets, one release.
 *
 *     chunk ──next──> chunk ──next──> NULL       (newest first)
 *     | header | used ........ | free |
 *
 * An arena never moves what it gave. */
#ifndef RUSK_BASE_ARENA_H
#define RUSK_BASE_ARENA_H

#include "base/alloc.h"

typedef struct rusk_arena {
    rusk_alloc *alloc;
    rusk_mem_tag tag;
    struct rusk_arena_chunk *chunk;
} rusk_arena;

void rusk_arena_init(rusk_arena *arena, rusk_alloc *alloc, rusk_mem_tag tag);
void rusk_arena_finish(rusk_arena *arena);

/* n * size bytes aligned to 16, zeroed; NULL where there is no memory or n * size overflows. */
void *rusk_arena_get(rusk_arena *arena, size_t n, size_t size);
/* NUL-terminated copy of text that may hold NUL bytes itself. */
char *rusk_arena_text(rusk_arena *arena, const char *text, size_t len_bytes);

#endif
