/* strbuf.h - a growing byte string. Always NUL-terminated once something was added. Failure to grow
 * is remembered (`failed`) and checked once at the end. */
#ifndef RUSK_BASE_STRBUF_H
#define RUSK_BASE_STRBUF_H

#include "base/alloc.h"

typedef struct rusk_strbuf {
    rusk_alloc *alloc;
    rusk_mem_tag tag;
    char *data; /* NULL while empty */
    size_t len_bytes, cap_bytes;
    bool failed;
} rusk_strbuf;

void rusk_strbuf_init(rusk_strbuf *s, rusk_alloc *alloc, rusk_mem_tag tag);
void rusk_strbuf_finish(rusk_strbuf *s);
void rusk_strbuf_clear(rusk_strbuf *s); /* keeps the memory */
void rusk_strbuf_add(rusk_strbuf *s, const void *data, size_t len_bytes);
void rusk_strbuf_add_text(rusk_strbuf *s, const char *text);
void rusk_strbuf_add_u8(rusk_strbuf *s, uint8_t v);
void rusk_strbuf_add_u16(rusk_strbuf *s, uint16_t v); /* little-endian, as all that follow */
void rusk_strbuf_add_u32(rusk_strbuf *s, uint32_t v);
void rusk_strbuf_add_u64(rusk_strbuf *s, uint64_t v);
void rusk_strbuf_add_f32(rusk_strbuf *s, float v);
void rusk_strbuf_add_varint(rusk_strbuf *s, uint64_t v); /* unsigned LEB128 */

#endif
