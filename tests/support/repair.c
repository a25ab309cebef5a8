/* repair.c - own little reading of docs/format/container.md, sections 3 and 6. */
#include "support/repair.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

enum { SUPER = 64, ENTRY = 32, EXTENT = 16, BLOCK = 12, MAX_ENTRIES = 64 };

static bool inside(size_t len, uint64_t offset, uint64_t bytes) {
    return offset <= len && bytes <= len - offset;
}

/* Mutated extents may overlap: `budget` bounds the bytes hashed, so that the time stays linear. */
static void repair_blocks(uint8_t *buf, size_t len, uint8_t *blks, size_t blks_bytes) {
    if (blks_bytes < 8) {
        return;
    }
    uint64_t n_extents = rusk_load_u32(blks), n_blocks = rusk_load_u32(blks + 4);
    if (8 + n_extents * EXTENT + n_blocks * BLOCK > blks_bytes) {
        return;
    }
    uint8_t *entries = blks + 8 + n_extents * EXTENT;
    uint64_t block = 0, budget = 4 * (uint64_t)len;
    for (uint64_t e = 0; e < n_extents; e++) {
        const uint8_t *p = blks + 8 + e * EXTENT;
        uint64_t offset = rusk_load_u64(p), extent_bytes = rusk_load_u32(p + 8);
        uint64_t n = rusk_load_u32(p + 12);
        for (uint64_t i = 0; i < n && block < n_blocks; i++, block++) {
            uint8_t *entry = entries + block * BLOCK;
            uint64_t start = rusk_load_u32(entry), end = extent_bytes;
            if (i + 1 < n && block + 1 < n_blocks) {
                end = rusk_load_u32(entry + BLOCK);
            }
            if (end >= start && end - start <= budget && inside(len, offset, end)) {
                budget -= end - start;
                rusk_store_u64(entry + 4, rusk_hash64(buf + offset + start, end - start));
            }
        }
    }
}

size_t test_repair_container(uint8_t *buf, size_t len) {
    if (len < SUPER || memcmp(buf, "RUSK", 4) != 0) {
        return len;
    }
    uint64_t offset = rusk_load_u64(buf + 16), bytes = rusk_load_u64(buf + 24);
    if (inside(len, offset, bytes)) {
        uint64_t n = bytes / ENTRY < MAX_ENTRIES ? bytes / ENTRY : MAX_ENTRIES;
        for (uint64_t i = 0; i < n; i++) {
            uint8_t *entry = buf + offset + i * ENTRY;
            uint64_t at = rusk_load_u64(entry + 8), size = rusk_load_u64(entry + 16);
            if (memcmp(entry, "DATA", 4) == 0 || !inside(len, at, size)) {
                continue;
            }
            if (memcmp(entry, "BLKS", 4) == 0) {
                repair_blocks(buf, len, buf + at, size);
            }
            rusk_store_u64(entry + 24, rusk_hash64(buf + at, size));
        }
        rusk_store_u64(buf + 32, rusk_hash64(buf + offset, bytes));
    }
    rusk_store_u64(buf + 56, rusk_hash64(buf, 56));
    return len;
}
