/* hash.h - XXH3 by libxxhash: checksums of blocks and sections, fingerprints of files. */
#ifndef RUSK_BASE_HASH_H
#define RUSK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64, seed 0, of len_bytes bytes. */
uint64_t rusk_hash64(const void *data, size_t len_bytes);

/* XXH3-128, seed 0, of data that comes in pieces: init, add..., end. `out` gets the canonical form,
 * most significant byte first. */
typedef struct rusk_hash128 {
    _Alignas(64) unsigned char state[640];
} rusk_hash128;
void rusk_hash128_init(rusk_hash128 *h);
void rusk_hash128_add(rusk_hash128 *h, const void *data, size_t len_bytes);
void rusk_hash128_end(const rusk_hash128 *h, uint8_t out[16]);

#endif
