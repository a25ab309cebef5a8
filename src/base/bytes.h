/* bytes.h - little-endian loads and stores, and the one bounded reader that all parsing goes
 * through.
 *
 * A rusk_reader is a cursor over bytes in memory. Every get checks the bound first; after the first
 * failure the reader is "bad", gets return zero, and the caller checks once with rusk_reader_ok. */
#ifndef RUSK_BASE_BYTES_H
#define RUSK_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* To and from little-endian. Loads and stores below are one memcpy each, which compilers turn into
 * one instruction; put together from bytes, stores in particular stay eight. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define RUSK_LITTLE16(v) __builtin_bswap16(v)
#define RUSK_LITTLE32(v) __builtin_bswap32(v)
#define RUSK_LITTLE64(v) __builtin_bswap64(v)
#else
#define RUSK_LITTLE16(v) (v)
#define RUSK_LITTLE32(v) (v)
#define RUSK_LITTLE64(v) (v)
#endif

static inline uint16_t rusk_load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return RUSK_LITTLE16(v);
}

static inline uint32_t rusk_load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return RUSK_LITTLE32(v);
}

static inline uint64_t rusk_load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return RUSK_LITTLE64(v);
}

static inline float rusk_load_f32(const void *p) {
    uint32_t bits = rusk_load_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void rusk_store_u16(void *p, uint16_t v) {
    v = RUSK_LITTLE16(v);
    memcpy(p, &v, sizeof v);
}

static inline void rusk_store_u32(void *p, uint32_t v) {
    v = RUSK_LITTLE32(v);
    memcpy(p, &v, sizeof v);
}

static inline void rusk_store_u64(void *p, uint64_t v) {
    v = RUSK_LITTLE64(v);
    memcpy(p, &v, sizeof v);
}

static inline void rusk_store_f32(void *p, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    rusk_store_u32(p, bits);
}

typedef struct rusk_reader {
    const uint8_t *data;
    size_t len_bytes;
    size_t pos;
    bool bad;
} rusk_reader;

static inline rusk_reader rusk_reader_over(const void *data, size_t len_bytes) {
    return (rusk_reader){.data = data, .len_bytes = len_bytes};
}

static inline bool rusk_reader_ok(const rusk_reader *r) {
    return !r->bad;
}

static inline size_t rusk_reader_left(const rusk_reader *r) {
    return r->bad ? 0 : r->len_bytes - r->pos;
}

/* Pointer to the next n bytes, which are consumed; NULL (and bad) where fewer are left. */
static inline const uint8_t *rusk_reader_take(rusk_reader *r, size_t n) {
    if (r->bad || n > r->len_bytes - r->pos) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->pos;
    r->pos += n;
    return p;
}

static inline uint8_t rusk_reader_u8(rusk_reader *r) {
    const uint8_t *p = rusk_reader_take(r, 1);
    return p != NULL ? *p : 0;
}

static inline uint16_t rusk_reader_u16(rusk_reader *r) {
    const uint8_t *p = rusk_reader_take(r, 2);
    return p != NULL ? rusk_load_u16(p) : 0;
}

static inline uint32_t rusk_reader_u32(rusk_reader *r) {
    const uint8_t *p = rusk_reader_take(r, 4);
    return p != NULL ? rusk_load_u32(p) : 0;
}

static inline uint64_t rusk_reader_u64(rusk_reader *r) {
    const uint8_t *p = rusk_reader_take(r, 8);
    return p != NULL ? rusk_load_u64(p) : 0;
}

static inline float rusk_reader_f32(rusk_reader *r) {
    const uint8_t *p = rusk_reader_take(r, 4);
    return p != NULL ? rusk_load_f32(p) : 0.0F;
}

/* Unsigned LEB128 of at most 10 bytes; bad where it is longer or overflows 64 bits. */
static inline uint64_t rusk_reader_varint(rusk_reader *r) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = rusk_reader_u8(r);
        uint64_t part = (uint64_t)(byte & 0x7F);
        if (shift == 63 && part > 1) {
            break;
        }
        value |= part << shift;
        if ((byte & 0x80) == 0) {
            return r->bad ? 0 : value;
        }
    }
    r->bad = true;
    return 0;
}

#endif
