#include "base/hash.h"

#include <xxhash.h>

uint64_t rusk_hash64(const void *data, size_t len_bytes) {
    return XXH3_64bits(data, len_bytes);
}
