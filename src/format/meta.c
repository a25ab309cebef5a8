/* meta.c - names, sizes and printing of metadata values. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "format/source.h"

enum { SHOWN_ELEMENTS = 12 }; /* of an array: enough to recognise it */

const char *rusk_meta_type_name(uint32_t type) {
    static const char *const NAMES[] = {
        [RUSK_META_U8] = "u8",       [RUSK_META_I8] = "i8",     [RUSK_META_U16] = "u16",
        [RUSK_META_I16] = "i16",     [RUSK_META_U32] = "u32",   [RUSK_META_I32] = "i32",
        [RUSK_META_F32] = "f32",     [RUSK_META_BOOL] = "bool", [RUSK_META_STRING] = "str",
        [RUSK_META_U64] = "u64",     [RUSK_META_I64] = "i64",   [RUSK_META_F64] = "f64",
        [RUSK_META_ARRAY] = "array",
    };
    return type < RUSK_COUNT(NAMES) ? NAMES[type] : NULL;
}

size_t rusk_meta_type_bytes(uint32_t type) {
    static const uint8_t BYTES[] = {
#define X(name, number, bytes) [number] = (bytes),
        RUSK_META_LIST(X)
#undef X
    };
    return type < RUSK_COUNT(BYTES) ? BYTES[type] : 0;
}

/* Text that is being written to a buffer of limited room; always terminated. */
typedef struct printer {
    char *buf;
    size_t len, cap;
} printer;

static void put(printer *p, const char *text, size_t len) {
    for (size_t i = 0; i < len && p->len + 1 < p->cap; i++) {
        p->buf[p->len++] = text[i];
    }
    p->buf[p->len] = '\0';
}

static void put_text(printer *p, rusk_text text) {
    for (size_t i = 0; i < text.len_bytes && p->len + 1 < p->cap; i++) {
        uint8_t c = (uint8_t)text.data[i];
        char escape[8];
        if (c == '\n') {
            put(p, "\\n", 2);
        } else if (c < 0x20 || c == 0x7F) {
            put(p, escape, (size_t)snprintf(escape, sizeof escape, "\\x%02x", c));
        } else {
            put(p, text.data + i, 1);
        }
    }
}

static void put_scalar(printer *p, const rusk_meta *m) {
    char text[48];
    int n;
    switch (m->type) {
    case RUSK_META_F32:
        n = snprintf(text, sizeof text, "%.9g", m->value.f);
        break;
    case RUSK_META_F64:
        n = snprintf(text, sizeof text, "%.17g", m->value.f);
        break;
    case RUSK_META_BOOL:
        n = snprintf(text, sizeof text, "%s", m->value.u != 0 ? "true" : "false");
        break;
    case RUSK_META_I8:
    case RUSK_META_I16:
    case RUSK_META_I32:
    case RUSK_META_I64:
        n = snprintf(text, sizeof text, "%lld", (long long)m->value.i);
        break;
    default:
        n = snprintf(text, sizeof text, "%llu", (unsigned long long)m->value.u);
        break;
    }
    put(p, text, (size_t)n);
}

void rusk_meta_load(rusk_meta *meta, const uint8_t *bytes) {
    switch (meta->type) {
    case RUSK_META_U8:
    case RUSK_META_BOOL:
        meta->value.u = bytes[0];
        break;
    case RUSK_META_I8:
        meta->value.i = (int64_t)bytes[0] - (bytes[0] > INT8_MAX ? 256 : 0);
        break;
    case RUSK_META_U16:
        meta->value.u = rusk_load_u16(bytes);
        break;
    case RUSK_META_I16:
        meta->value.i = (int16_t)rusk_load_u16(bytes);
        break;
    case RUSK_META_U32:
        meta->value.u = rusk_load_u32(bytes);
        break;
    case RUSK_META_I32:
        meta->value.i = (int32_t)rusk_load_u32(bytes);
        break;
    case RUSK_META_U64:
        meta->value.u = rusk_load_u64(bytes);
        break;
    case RUSK_META_I64:
        meta->value.i = (int64_t)rusk_load_u64(bytes);
        break;
    case RUSK_META_F32:
        meta->value.f = (double)rusk_load_f32(bytes);
        break;
    case RUSK_META_F64: {
        uint64_t bits = rusk_load_u64(bytes);
        memcpy(&meta->value.f, &bits, sizeof bits);
        break;
    }
    case RUSK_META_STRING:
    case RUSK_META_ARRAY:
        break;
    }
}

static void put_array(printer *p, const rusk_meta *m) {
    char head[64];
    int n = snprintf(head, sizeof head, "[%s x %zu]", rusk_meta_type_name((uint32_t)m->elem_type),
                     m->n);
    put(p, head, (size_t)n);
    size_t bytes = rusk_meta_type_bytes((uint32_t)m->elem_type);
    for (size_t i = 0; i < RUSK_MIN(m->n, (size_t)SHOWN_ELEMENTS); i++) {
        put(p, i == 0 ? " " : ", ", i == 0 ? 1 : 2);
        if (m->elem_type == RUSK_META_STRING) {
            put_text(p, m->texts[i]);
        } else {
            rusk_meta element = {.type = m->elem_type};
            rusk_meta_load(&element, m->elements + i * bytes);
            put_scalar(p, &element);
        }
    }
    if (m->n > SHOWN_ELEMENTS) {
        put(p, ", ...", 5);
    }
}

void rusk_meta_print(const rusk_meta *meta, char *buf, size_t cap_bytes) {
    if (cap_bytes == 0) {
        return;
    }
    printer p = {.buf = buf, .cap = cap_bytes};
    buf[0] = '\0';
    if (meta->type == RUSK_META_STRING) {
        put_text(&p, meta->value.text);
    } else if (meta->type == RUSK_META_ARRAY) {
        put_array(&p, meta);
    } else {
        put_scalar(&p, meta);
    }
}
