#include "base/order.h"

#include <stdbool.h>

static bool before(rusk_compare compare, const void *items, uint32_t a, uint32_t b) {
    int c = compare(items, a, b);
    return c != 0 ? c < 0 : a < b;
}

/* Lets order[root] sink until no child stands after it (a max-heap of n items). */
static void sink(uint32_t *order, size_t root, size_t n, rusk_compare compare, const void *items) {
    uint32_t value = order[root];
    for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && before(compare, items, order[child], order[child + 1])) {
            child++;
        }
        if (!before(compare, items, value, order[child])) {
            break;
        }
        order[root] = order[child];
        root = child;
    }
    order[root] = value;
}

void rusk_order(uint32_t *order, size_t n, rusk_compare compare, const void *items) {
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
        sorted = sorted && (i == 0 || compare(items, (uint32_t)i - 1, (uint32_t)i) <= 0);
    }
    if (sorted) { /* the usual case for offsets */
        return;
    }
    for (size_t i = n / 2; i > 0; i--) {
        sink(order, i - 1, n, compare, items);
    }
    for (size_t last = n - 1; last > 0; last--) {
        uint32_t largest = order[0];
        order[0] = order[last];
        order[last] = largest;
        sink(order, 0, last, compare, items);
    }
}
