#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *rusk_status_text(rusk_status status) {
    switch (status) {
#define X(name, number, text)                                                                      \
    case RUSK_##name:                                                                              \
        return text;
        RUSK_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

rusk_status rusk_fail(rusk_error *err, rusk_status status, uint64_t offset, const char *fmt, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        err->status = status;
        err->offset = offset;
        (void)vsnprintf(err->message, sizeof err->message, fmt, args);
        va_end(args);
    }
    return status;
}

rusk_status rusk_fail_memory(rusk_error *err, size_t size_bytes, const char *what) {
    return rusk_fail(err, RUSK_NO_MEMORY, RUSK_NO_OFFSET, "out of memory: %zu bytes for %s",
                     size_bytes, what);
}
