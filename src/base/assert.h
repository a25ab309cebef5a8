/* assert.h - checks of our own logic. Never for file or network content: that gets an error. */
#ifndef RUSK_BASE_ASSERT_H
#define RUSK_BASE_ASSERT_H

#include <assert.h>

#define RUSK_ASSERT(condition)         assert(condition)
#define RUSK_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define RUSK_COUNT(array)              (sizeof(array) / sizeof((array)[0]))
#define RUSK_MIN(a, b)                 ((a) < (b) ? (a) : (b))
#define RUSK_MAX(a, b)                 ((a) > (b) ? (a) : (b))

#endif
