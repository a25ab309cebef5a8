#include "base/strbuf.h"

#include <string.h>

#include "base/bytes.h"

void rusk_strbuf_init(rusk_strbuf *s, rusk_alloc *alloc, rusk_mem_tag tag) {
    *s = (rusk_strbuf){.alloc = alloc, .tag = tag};
}

void rusk_strbuf_finish(rusk_strbuf *s) {
    rusk_alloc_put(s->alloc, s->data);
    s->data = NULL;
    s->len_bytes = s->cap_bytes = 0;
}

void rusk_strbuf_clear(rusk_strbuf *s) {
    s->len_bytes = 0;
    s->failed = false;
}

void rusk_strbuf_add(rusk_strbuf *s, const void *data, size_t len_bytes) {
    if (s->failed || len_bytes > SIZE_MAX / 4 - s->len_bytes) {
        s->failed = true;
        return;
    }
    size_t need = s->len_bytes + len_bytes + 1;
    if (need > s->cap_bytes) {
        size_t cap = need + need / 2 + 32;
        char *grown = rusk_alloc_resize(s->alloc, s->tag, s->data, cap);
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        s->data = grown;
        s->cap_bytes = cap;
    }
    if (len_bytes > 0) {
        memcpy(s->data + s->len_bytes, data, len_bytes);
    }
    s->len_bytes += len_bytes;
    s->data[s->len_bytes] = '\0';
}

void rusk_strbuf_add_text(rusk_strbuf *s, const char *text) {
    rusk_strbuf_add(s, text, strlen(text));
}

void rusk_strbuf_add_u8(rusk_strbuf *s, uint8_t v) {
    rusk_strbuf_add(s, &v, 1);
}

void rusk_strbuf_add_u16(rusk_strbuf *s, uint16_t v) {
    uint8_t b[2];
    rusk_store_u16(b, v);
    rusk_strbuf_add(s, b, sizeof b);
}

void rusk_strbuf_add_u32(rusk_strbuf *s, uint32_t v) {
    uint8_t b[4];
    rusk_store_u32(b, v);
    rusk_strbuf_add(s, b, sizeof b);
}

void rusk_strbuf_add_u64(rusk_strbuf *s, uint64_t v) {
    uint8_t b[8];
    rusk_store_u64(b, v);
    rusk_strbuf_add(s, b, sizeof b);
}

void rusk_strbuf_add_f32(rusk_strbuf *s, float v) {
    uint8_t b[4];
    rusk_store_f32(b, v);
    rusk_strbuf_add(s, b, sizeof b);
}

void rusk_strbuf_add_varint(rusk_strbuf *s, uint64_t v) {
    uint8_t b[10];
    size_t n = 0;
    do {
        b[n] = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
        v >>= 7;
        n++;
    } while (v != 0);
    rusk_strbuf_add(s, b, n);
}
