/* hash.h - XXH3 by libxxhash: checksums of blocks and sections, fingerprints of files. */
#ifndef RUSK_BASE_HASH_H
#define RUSK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64, seed 0, of len_bytes bytes. */
uint64_t rusk_hash64(const void *data, size_t len_bytes);

#endif
