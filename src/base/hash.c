/* XXH3_createState would use malloc; the state's layout is known to those who ask for it. */
#define XXH_STATIC_LINKING_ONLY
#include "base/hash.h"

#include <xxhash.h>

#include "base/assert.h"

RUSK_STATIC_ASSERT(sizeof(XXH3_state_t) <= sizeof(rusk_hash128), "the state fits");

uint64_t rusk_hash64(const void *data, size_t len_bytes) {
    return XXH3_64bits(data, len_bytes);
}

static XXH3_state_t *state_of(rusk_hash128 *h) {
    return (XXH3_state_t *)(void *)h->state;
}

void rusk_hash128_init(rusk_hash128 *h) {
    XXH3_INITSTATE(state_of(h));
    (void)XXH3_128bits_reset(state_of(h));
}

void rusk_hash128_add(rusk_hash128 *h, const void *data, size_t len_bytes) {
    (void)XXH3_128bits_update(state_of(h), data, len_bytes);
}

void rusk_hash128_end(const rusk_hash128 *h, uint8_t out[16]) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits_digest((const XXH3_state_t *)(const void *)h->state));
    for (size_t i = 0; i < 16; i++) {
        out[i] = canonical.digest[i];
    }
}
