/* order.h - sorting without memory of its own: a permutation, by heapsort (Williams, 1964), so that
 * no input makes it slow and the C library's qsort, which calls malloc for large arrays, is not
 * needed. */
#ifndef RUSK_BASE_ORDER_H
#define RUSK_BASE_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* Negative, zero or positive as item a stands before, with or after item b. */
typedef int (*rusk_compare)(const void *items, uint32_t a, uint32_t b);

/* order[0 .. n-1] becomes the numbers 0 .. n-1, sorted by `compare`; equal items in order of their
 * numbers, so that the result does not depend on the method. */
void rusk_order(uint32_t *order, size_t n, rusk_compare compare, const void *items);

#endif
