/* status.h - how a failure travels: a status code, and a message in the caller's record. */
#ifndef RUSK_BASE_STATUS_H
#define RUSK_BASE_STATUS_H

#include "rusk.h"

/* Fills `err` (may be NULL) and returns `status`, so that a failure is one line:
 *     return rusk_fail(err, RUSK_FORMAT, off, "'%s': expected %u dimensions, found %u", ...);
 * The message says what was expected, what was found, where. A longer one is cut. */
rusk_status rusk_fail(rusk_error *err, rusk_status status, uint64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* RUSK_NO_MEMORY with the size and the use of what could not be had. */
rusk_status rusk_fail_memory(rusk_error *err, size_t size_bytes, const char *what);

#define RUSK_TRY(expression)                                                                       \
    do {                                                                                           \
        rusk_status try_status_ = (expression);                                                    \
        if (try_status_ != RUSK_OK) {                                                              \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

#endif
