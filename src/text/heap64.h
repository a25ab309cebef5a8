/* heap64.h - a binary heap of 64-bit keys, smallest first. The caller owns the array and sees to
 * its room. */
#ifndef RUSK_TEXT_HEAP64_H
#define RUSK_TEXT_HEAP64_H

#include <stddef.h>
#include <stdint.h>

typedef struct rusk_heap64 {
    uint64_t *keys;
    size_t n;
} rusk_heap64;

static inline void rusk_heap64_push(rusk_heap64 *h, uint64_t key) {
    size_t i = h->n++;
    while (i > 0 && h->keys[(i - 1) / 2] > key) {
        h->keys[i] = h->keys[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->keys[i] = key;
}

/* The smallest key, removed. n > 0. */
static inline uint64_t rusk_heap64_pop(rusk_heap64 *h) {
    uint64_t least = h->keys[0], key = h->keys[--h->n];
    size_t i = 0;
    for (size_t child = 1; child < h->n; child = 2 * i + 1) {
        child += child + 1 < h->n && h->keys[child + 1] < h->keys[child] ? 1 : 0;
        if (h->keys[child] >= key) {
            break;
        }
        h->keys[i] = h->keys[child];
        i = child;
    }
    h->keys[i] = key;
    return least;
}

#endif
