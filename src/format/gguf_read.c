/* gguf_read.c - reading the header of a GGUF file (docs/format/gguf.md).
 *
 *     magic version n_tensors n_kv | entries | tensor descriptions | padding | data ...
 *
 * The header is walked once, front to back, through a window of fixed size. Every length is checked
 * against the bytes that are left before anything is allocated for it, so that memory is
 * proportional to the bytes really in the file. What the header says about the data (offsets,
 * sizes, overlaps) is checked before open returns; rows are read later, straight from the file. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/io.h"
#include "base/order.h"
#include "format/gguf.h"

enum {
    WINDOW_BYTES = 64 * 1024,
    WHERE_CAP = 128,
    MIN_ENTRY_BYTES = 8 + 1 + 4 + 1,          /* key, type, the smallest value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name, one dimension, type, offset */
};

typedef struct gguf_source {
    rusk_source base;
    rusk_input input;
    rusk_arena arena;
} gguf_source;

/* Cursor over the header, and what it is in, for messages. */
typedef struct parser {
    const rusk_input *input;
    rusk_arena *arena;
    uint8_t *window;
    uint64_t window_off; /* the window holds file bytes window_off .. + window_len */
    size_t window_len;
    uint64_t pos;     /* of the next byte */
    uint64_t end;     /* the file's size or RUSK_GGUF_MAX_HEADER, whichever is less */
    const char *part; /* "metadata entry" */
    uint64_t index;   /* of it */
    const char *name; /* its key or name, NULL where not known yet */
} parser;

static const char *where(const parser *p, char buf[WHERE_CAP]) {
    if (p->name != NULL) {
        (void)snprintf(buf, WHERE_CAP, "%s '%.80s'", p->part, p->name);
    } else {
        (void)snprintf(buf, WHERE_CAP, "%s %llu", p->part, (unsigned long long)p->index);
    }
    return buf;
}

#define PATH_WHERE(p, buf) (p)->input->path, where((p), (buf))

/* --- the window ---------------------------------------------------------------------------- */

/* That n bytes are there from pos on. */
static rusk_status check_left(const parser *p, uint64_t n, const char *what, rusk_error *err) {
    char buf[WHERE_CAP];
    if (n <= p->end - p->pos) {
        return RUSK_OK;
    }
    if (n > p->input->size_bytes - p->pos) {
        return rusk_fail(err, RUSK_FORMAT, p->pos,
                         "'%s': %s is truncated: expected %llu bytes (%s) at offset %llu, the file "
                         "ends at %llu",
                         PATH_WHERE(p, buf), (unsigned long long)n, what,
                         (unsigned long long)p->pos, (unsigned long long)p->input->size_bytes);
    }
    return rusk_fail(err, RUSK_LIMIT, p->pos,
                     "'%s': %s: expected a header of at most %llu bytes, found %llu bytes (%s) at "
                     "offset %llu",
                     PATH_WHERE(p, buf), (unsigned long long)RUSK_GGUF_MAX_HEADER,
                     (unsigned long long)n, what, (unsigned long long)p->pos);
}

/* The next n bytes (n <= WINDOW_BYTES), valid until the next call; they are consumed. */
static rusk_status take(parser *p, size_t n, const char *what, const uint8_t **out,
                        rusk_error *err) {
    uint64_t skip = p->pos - p->window_off;
    if (skip > p->window_len || n > p->window_len - skip) {
        RUSK_TRY(check_left(p, n, what, err));
        size_t len = (size_t)RUSK_MIN((uint64_t)WINDOW_BYTES, p->end - p->pos);
        RUSK_TRY(rusk_input_read(p->input, p->pos, p->window, len, err));
        p->window_off = p->pos;
        p->window_len = len;
        skip = 0;
    }
    *out = p->window + skip;
    p->pos += n;
    return RUSK_OK;
}

static rusk_status take_u32(parser *p, const char *what, uint32_t *out, rusk_error *err) {
    const uint8_t *bytes;
    RUSK_TRY(take(p, 4, what, &bytes, err));
    *out = rusk_load_u32(bytes);
    return RUSK_OK;
}

static rusk_status take_u64(parser *p, const char *what, uint64_t *out, rusk_error *err) {
    const uint8_t *bytes;
    RUSK_TRY(take(p, 8, what, &bytes, err));
    *out = rusk_load_u64(bytes);
    return RUSK_OK;
}

/* n bytes copied to the arena, followed by a NUL that is not counted. */
static rusk_status take_copy(parser *p, uint64_t n, const char *what, uint8_t **out,
                             rusk_error *err) {
    RUSK_TRY(check_left(p, n, what, err));
    uint8_t *copy = rusk_arena_get(p->arena, (size_t)n + 1, 1);
    if (copy == NULL) {
        return rusk_fail_memory(err, (size_t)n + 1, what);
    }
    if (n <= WINDOW_BYTES) {
        const uint8_t *bytes;
        RUSK_TRY(take(p, (size_t)n, what, &bytes, err));
        memcpy(copy, bytes, (size_t)n);
    } else { /* large arrays do not pass through the window */
        RUSK_TRY(rusk_input_read(p->input, p->pos, copy, (size_t)n, err));
        p->pos += n;
    }
    *out = copy;
    return RUSK_OK;
}

static rusk_status take_text(parser *p, const char *what, rusk_text *out, rusk_error *err) {
    uint64_t len;
    uint8_t *copy;
    RUSK_TRY(take_u64(p, what, &len, err));
    RUSK_TRY(take_copy(p, len, what, &copy, err));
    *out = (rusk_text){.data = (const char *)copy, .len_bytes = (size_t)len};
    return RUSK_OK;
}

/* --- names --------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at s (n > 0 bytes left), 0 where it is not one. */
static size_t utf8_length(const uint8_t *s, size_t n) {
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) {
        return 1;
    }
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || len > n) {
        return 0;
    }
    uint32_t code = s[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3FU);
    }
    return code < LEAST[len] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : len;
}

/* A key or tensor name: it is printed and compared as a C string, so it must be plain text. */
static rusk_status take_name(parser *p, const char **out, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t start = p->pos, len = 0;
    uint8_t *name = NULL;
    p->name = NULL;
    RUSK_TRY(take_u64(p, "length of its name", &len, err));
    if (len == 0 || len > RUSK_GGUF_MAX_KEY) {
        return rusk_fail(err, RUSK_FORMAT, start,
                         "'%s': %s at offset %llu: expected a name of 1 to %u bytes, found %llu",
                         PATH_WHERE(p, buf), (unsigned long long)start, RUSK_GGUF_MAX_KEY,
                         (unsigned long long)len);
    }
    RUSK_TRY(take_copy(p, len, "its name", &name, err));
    RUSK_ASSERT(name != NULL);
    for (size_t i = 0, step; i < len; i += step) {
        step = utf8_length(name + i, (size_t)len - i);
        if (step == 0 || name[i] < 0x20 || name[i] == 0x7F) {
            uint64_t at = start + 8 + i;
            return rusk_fail(err, RUSK_FORMAT, at,
                             "'%s': %s: expected a name in printable UTF-8, found byte 0x%02x at "
                             "offset %llu",
                             PATH_WHERE(p, buf), name[i], (unsigned long long)at);
        }
    }
    p->name = *out = (const char *)name;
    return RUSK_OK;
}

/* --- metadata ------------------------------------------------------------------------------ */

static rusk_status check_bools(const parser *p, const uint8_t *values, size_t n, uint64_t offset,
                               rusk_error *err) {
    char buf[WHERE_CAP];
    for (size_t i = 0; i < n; i++) {
        if (values[i] > 1) {
            uint64_t at = offset + i;
            return rusk_fail(err, RUSK_FORMAT, at,
                             "'%s': %s: expected 0 or 1 for a bool, found %u at offset %llu",
                             PATH_WHERE(p, buf), values[i], (unsigned long long)at);
        }
    }
    return RUSK_OK;
}

static rusk_status take_type(parser *p, rusk_meta_type *out, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t start = p->pos;
    uint32_t type;
    RUSK_TRY(take_u32(p, "type of its value", &type, err));
    if (rusk_meta_type_name(type) == NULL) {
        return rusk_fail(err, RUSK_FORMAT, start,
                         "'%s': %s: expected a value type from 0 to 12, found %u at offset %llu",
                         PATH_WHERE(p, buf), type, (unsigned long long)start);
    }
    *out = (rusk_meta_type)type;
    return RUSK_OK;
}

static rusk_status take_texts(parser *p, rusk_meta *m, rusk_error *err) {
    rusk_text *texts = rusk_arena_get(p->arena, m->n, sizeof *texts);
    if (texts == NULL) {
        return rusk_fail_memory(err, m->n * sizeof *texts, "an array of strings");
    }
    for (size_t i = 0; i < m->n; i++) {
        RUSK_TRY(take_text(p, "string of an array", &texts[i], err));
    }
    m->texts = texts;
    return RUSK_OK;
}

static rusk_status take_array(parser *p, rusk_meta *m, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t start = p->pos, n, bytes;
    RUSK_TRY(take_type(p, &m->elem_type, err));
    if (m->elem_type == RUSK_META_ARRAY) {
        return rusk_fail(err, RUSK_UNSUPPORTED, start,
                         "'%s': %s: expected an array of numbers or strings, found an array of "
                         "arrays at offset %llu (not supported)",
                         PATH_WHERE(p, buf), (unsigned long long)start);
    }
    uint64_t count_at = p->pos;
    RUSK_TRY(take_u64(p, "length of an array", &n, err));
    size_t each = m->elem_type == RUSK_META_STRING ? 8 /* its length at least */
                                                   : rusk_meta_type_bytes((uint32_t)m->elem_type);
    if (!rusk_mul_u64(n, each, &bytes)) {
        return rusk_fail(err, RUSK_FORMAT, count_at,
                         "'%s': %s: expected an array that fits in the file, found %llu elements "
                         "at offset %llu",
                         PATH_WHERE(p, buf), (unsigned long long)n, (unsigned long long)count_at);
    }
    RUSK_TRY(check_left(p, bytes, "elements of an array", err));
    m->n = (size_t)n;
    if (m->elem_type == RUSK_META_STRING) {
        return take_texts(p, m, err);
    }
    uint8_t *elements = NULL;
    uint64_t offset = p->pos;
    RUSK_TRY(take_copy(p, bytes, "elements of an array", &elements, err));
    RUSK_ASSERT(elements != NULL);
    m->elements = elements;
    return m->elem_type == RUSK_META_BOOL ? check_bools(p, elements, m->n, offset, err) : RUSK_OK;
}

static rusk_status take_entry(parser *p, rusk_meta *m, rusk_error *err) {
    RUSK_TRY(take_name(p, &m->key, err));
    RUSK_TRY(take_type(p, &m->type, err));
    if (m->type == RUSK_META_STRING) {
        return take_text(p, "its value", &m->value.text, err);
    }
    if (m->type == RUSK_META_ARRAY) {
        return take_array(p, m, err);
    }
    uint64_t offset = p->pos;
    const uint8_t *bytes;
    RUSK_TRY(take(p, rusk_meta_type_bytes((uint32_t)m->type), "its value", &bytes, err));
    if (m->type == RUSK_META_BOOL) {
        RUSK_TRY(check_bools(p, bytes, 1, offset, err));
    }
    rusk_meta_load(m, bytes);
    return RUSK_OK;
}

/* --- tensor descriptions ------------------------------------------------------------------- */

static rusk_status fail_type(const parser *p, uint32_t number, uint64_t offset, rusk_error *err) {
#define X(type, number, elements, bytes, group) " " #type
    char buf[WHERE_CAP], supported[sizeof("" RUSK_DTYPE_LIST(X))];
#undef X
    size_t len = 0;
    const char *name = rusk_dtype_gguf_name(number);
#define X(type, number, elements, bytes, group)                                                    \
    if (RUSK_DTYPE_##type != RUSK_DTYPE_SYM8) {                                                    \
        len += (size_t)snprintf(supported + len, sizeof supported - len, " %s", #type);            \
    }
    RUSK_DTYPE_LIST(X)
#undef X
    return rusk_fail(err, RUSK_UNSUPPORTED, offset,
                     "'%s': %s: tensor type %s (number %u at offset %llu) is not supported; "
                     "expected one of%s",
                     PATH_WHERE(p, buf), name != NULL ? name : "unknown", number,
                     (unsigned long long)offset, supported);
}

/* Shape as GGUF has it (innermost first) to ours, with rows, columns and bytes. */
static rusk_status set_shape(const parser *p, rusk_source_tensor *t, const uint64_t *ne,
                             uint64_t offset, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t elements = 1, bytes;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (ne[i] == 0) {
            uint64_t at = offset + 8 * (uint64_t)i;
            return rusk_fail(err, RUSK_FORMAT, at,
                             "'%s': %s: expected dimensions of at least 1, found dimension %u = 0 "
                             "at offset %llu",
                             PATH_WHERE(p, buf), i, (unsigned long long)at);
        }
        if (!rusk_mul_u64(elements, ne[i], &elements) || elements > INT64_MAX) {
            return rusk_fail(err, RUSK_FORMAT, offset,
                             "'%s': %s: expected fewer than 2^63 elements, found more (dimensions "
                             "at offset %llu)",
                             PATH_WHERE(p, buf), (unsigned long long)offset);
        }
        t->shape[t->n_dims - 1 - i] = ne[i];
    }
    t->n_cols = ne[0];
    t->n_rows = elements / ne[0];
    if (t->n_cols % t->dtype->block_elements != 0) {
        return rusk_fail(err, RUSK_FORMAT, offset,
                         "'%s': %s: expected rows of a multiple of %u elements for %s, found %llu "
                         "at offset %llu",
                         PATH_WHERE(p, buf), t->dtype->block_elements, t->dtype->name,
                         (unsigned long long)t->n_cols, (unsigned long long)offset);
    }
    if (!rusk_mul_u64(t->n_rows, rusk_source_row_bytes(t), &bytes)) {
        return rusk_fail(err, RUSK_FORMAT, offset,
                         "'%s': %s: expected fewer than 2^64 bytes, found more (dimensions at "
                         "offset %llu)",
                         PATH_WHERE(p, buf), (unsigned long long)offset);
    }
    t->bytes = bytes;
    return RUSK_OK;
}

/* t->offset is relative to the data until place_tensors. */
static rusk_status take_tensor(parser *p, rusk_source_tensor *t, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t ne[RUSK_MAX_DIMS];
    uint32_t type;
    t->role = "";
    t->codec = "none";
    RUSK_TRY(take_name(p, &t->name, err));
    uint64_t start = p->pos;
    RUSK_TRY(take_u32(p, "number of dimensions", &t->n_dims, err));
    if (t->n_dims == 0 || t->n_dims > RUSK_MAX_DIMS) {
        return rusk_fail(err, RUSK_FORMAT, start,
                         "'%s': %s: expected 1 to %d dimensions, found %u at offset %llu",
                         PATH_WHERE(p, buf), RUSK_MAX_DIMS, t->n_dims, (unsigned long long)start);
    }
    for (uint32_t i = 0; i < t->n_dims; i++) {
        RUSK_TRY(take_u64(p, "dimension", &ne[i], err));
    }
    uint64_t type_offset = p->pos;
    RUSK_TRY(take_u32(p, "tensor type", &type, err));
    RUSK_TRY(take_u64(p, "data offset", &t->offset, err));
    t->dtype = rusk_dtype_gguf_name(type) != NULL ? rusk_dtype_find(type) : NULL;
    if (t->dtype == NULL) {
        return fail_type(p, type, type_offset, err);
    }
    return set_shape(p, t, ne, start + 4, err);
}

static int compare_offsets(const void *items, uint32_t a, uint32_t b) {
    const rusk_source_tensor *t = items;
    return (t[a].offset > t[b].offset) - (t[a].offset < t[b].offset);
}

/* Data offsets to file offsets: aligned, inside the file, no two tensors on the same bytes. */
static rusk_status place_tensors(const parser *p, rusk_source_tensor *tensors, size_t n,
                                 uint64_t alignment, rusk_error *err) {
    const char *path = p->input->path;
    uint64_t size = p->input->size_bytes, data;
    bool fits = rusk_align_u64(p->pos, alignment, &data) && data <= size;
    for (size_t i = 0; i < n; i++) {
        rusk_source_tensor *t = &tensors[i];
        if (t->offset % alignment != 0) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "'%s': tensor '%.80s': expected a data offset that is a multiple of "
                             "%llu, found %llu",
                             path, t->name, (unsigned long long)alignment,
                             (unsigned long long)t->offset);
        }
        if (!fits || t->offset > size - data || t->bytes > size - data - t->offset) {
            return rusk_fail(err, RUSK_FORMAT, data,
                             "'%s': tensor '%.80s': expected %llu bytes at %llu after the start of "
                             "the data (offset %llu), the file ends at %llu",
                             path, t->name, (unsigned long long)t->bytes,
                             (unsigned long long)t->offset, (unsigned long long)data,
                             (unsigned long long)size);
        }
        t->offset += data;
    }
    uint32_t *order = rusk_arena_get(p->arena, n, sizeof *order);
    if (order == NULL) {
        return rusk_fail_memory(err, n * sizeof *order, "the order of tensors");
    }
    rusk_order(order, n, compare_offsets, tensors);
    for (size_t i = 1; i < n; i++) {
        const rusk_source_tensor *a = &tensors[order[i - 1]], *b = &tensors[order[i]];
        if (a->offset + a->bytes > b->offset) {
            return rusk_fail(err, RUSK_FORMAT, b->offset,
                             "'%s': tensor '%.80s': expected data of its own, found an overlap "
                             "with '%.80s' at offset %llu",
                             path, b->name, a->name, (unsigned long long)b->offset);
        }
    }
    return RUSK_OK;
}

/* --- the whole ----------------------------------------------------------------------------- */

static rusk_status take_version(parser *p, uint32_t *version, rusk_error *err) {
    const char *path = p->input->path;
    const uint8_t *magic;
    RUSK_TRY(take(p, 4, "magic", &magic, err));
    if (memcmp(magic, RUSK_GGUF_MAGIC, 4) != 0) {
        return rusk_fail(err, RUSK_FORMAT, 0,
                         "'%s': expected the bytes 'GGUF' at offset 0, found %02x %02x %02x %02x",
                         path, magic[0], magic[1], magic[2], magic[3]);
    }
    RUSK_TRY(take_u32(p, "version", version, err));
    if (*version != 0 && (*version & 0xFFFF) == 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, 4,
                         "'%s': expected a little-endian GGUF, found a big-endian one (version "
                         "bytes swapped at offset 4)",
                         path);
    }
    if (*version < 2 || *version > 3) {
        return rusk_fail(err, RUSK_UNSUPPORTED, 4,
                         "'%s': expected GGUF version 2 or 3, found version %u at offset 4", path,
                         *version);
    }
    return RUSK_OK;
}

/* A count of things of at least min_bytes each. */
static rusk_status take_count(parser *p, const char *what, uint64_t max, uint64_t min_bytes,
                              size_t *out, rusk_error *err) {
    char buf[WHERE_CAP];
    uint64_t start = p->pos, n;
    RUSK_TRY(take_u64(p, what, &n, err));
    if (n > max) {
        return rusk_fail(err, RUSK_LIMIT, start,
                         "'%s': %s: expected a %s of at most %llu, found %llu at offset %llu",
                         PATH_WHERE(p, buf), what, (unsigned long long)max, (unsigned long long)n,
                         (unsigned long long)start);
    }
    RUSK_TRY(check_left(p, n * min_bytes, what, err));
    *out = (size_t)n;
    return RUSK_OK;
}

static rusk_status get_alignment(const rusk_source *s, uint32_t *alignment, rusk_error *err) {
    RUSK_TRY(rusk_source_u32(s, "general.alignment", RUSK_GGUF_ALIGNMENT, alignment, err));
    uint32_t a = *alignment;
    if (a < 8 || a > RUSK_GGUF_MAX_ALIGNMENT || (a & (a - 1)) != 0) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "'%s': general.alignment: expected a power of two from 8 to %u, found %u",
                         s->path, RUSK_GGUF_MAX_ALIGNMENT, a);
    }
    return RUSK_OK;
}

static rusk_status parse(parser *p, rusk_source *s, rusk_error *err) {
    uint32_t alignment;
    p->part = "header field";
    RUSK_TRY(take_version(p, &s->format_version, err));
    RUSK_TRY(take_count(p, "number of tensors", RUSK_GGUF_MAX_TENSORS, MIN_TENSOR_BYTES,
                        &s->n_tensors, err));
    RUSK_TRY(take_count(p, "number of metadata entries", RUSK_GGUF_MAX_KV, MIN_ENTRY_BYTES,
                        &s->n_meta, err));
    rusk_meta *meta = rusk_arena_get(p->arena, s->n_meta, sizeof *meta);
    rusk_source_tensor *tensors = rusk_arena_get(p->arena, s->n_tensors, sizeof *tensors);
    if (meta == NULL || tensors == NULL) {
        return rusk_fail_memory(err, s->n_meta * sizeof *meta + s->n_tensors * sizeof *tensors,
                                "the header of a GGUF");
    }
    p->part = "metadata entry";
    for (p->index = 0; p->index < s->n_meta; p->index++) {
        p->name = NULL;
        RUSK_TRY(take_entry(p, &meta[p->index], err));
    }
    p->part = "tensor";
    for (p->index = 0; p->index < s->n_tensors; p->index++) {
        p->name = NULL;
        RUSK_TRY(take_tensor(p, &tensors[p->index], err));
    }
    s->meta = meta;
    s->tensors = tensors;
    RUSK_TRY(rusk_source_index(s, p->arena, err));
    RUSK_TRY(get_alignment(s, &alignment, err));
    return place_tensors(p, tensors, s->n_tensors, alignment, err);
}

static void gguf_close(rusk_source *source) {
    gguf_source *g = (gguf_source *)source;
    rusk_arena_finish(&g->arena);
    rusk_input_close(&g->input);
    rusk_alloc_put(source->alloc, g);
}

static rusk_status gguf_read_rows(const rusk_source *source, size_t tensor, uint64_t row0,
                                  uint64_t n_rows, void *out, rusk_error *err) {
    const gguf_source *g = (const gguf_source *)source;
    const rusk_source_tensor *t = &source->tensors[tensor];
    RUSK_ASSERT(row0 <= t->n_rows && n_rows <= t->n_rows - row0);
    uint64_t row_bytes = rusk_source_row_bytes(t);
    return rusk_input_read(&g->input, t->offset + row0 * row_bytes, out,
                           (size_t)(n_rows * row_bytes), err);
}

static const rusk_source_ops GGUF_OPS = {.close = gguf_close, .read_rows = gguf_read_rows};

rusk_status rusk_gguf_open(rusk_source **out, rusk_alloc *alloc, const char *path,
                           rusk_error *err) {
    *out = NULL;
    gguf_source *g = rusk_alloc_zero(alloc, RUSK_MEM_METADATA, 1, sizeof *g);
    if (g == NULL) {
        return rusk_fail_memory(err, sizeof *g, "a GGUF file");
    }
    rusk_arena_init(&g->arena, alloc, RUSK_MEM_METADATA);
    rusk_status status = rusk_input_open(&g->input, alloc, path, err);
    if (status != RUSK_OK) {
        rusk_alloc_put(alloc, g);
        return status;
    }
    g->base = (rusk_source){.ops = &GGUF_OPS,
                            .alloc = alloc,
                            .path = g->input.path,
                            .format = "gguf",
                            .file_bytes = g->input.size_bytes};
    parser p = {.input = &g->input,
                .arena = &g->arena,
                .window = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, WINDOW_BYTES),
                .end = RUSK_MIN(g->input.size_bytes, RUSK_GGUF_MAX_HEADER)};
    status = p.window != NULL ? parse(&p, &g->base, err)
                              : rusk_fail_memory(err, WINDOW_BYTES, "a read window");
    rusk_alloc_put(alloc, p.window);
    if (status != RUSK_OK) {
        gguf_close(&g->base);
        return status;
    }
    *out = &g->base;
    return RUSK_OK;
}
