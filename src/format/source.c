#include "format/source.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/order.h"
#include "format/container.h"
#include "format/gguf.h"

/* A format is one line here. */
static const struct {
    const char *magic; /* the first four bytes */
    rusk_status (*open)(rusk_source **out, rusk_alloc *alloc, const char *path, rusk_error *err);
} FORMATS[] = {
    {RUSK_GGUF_MAGIC, rusk_gguf_open},
    {RUSK_CONTAINER_MAGIC, rusk_container_open},
};

enum { MAGIC_BYTES = 4 };

rusk_status rusk_source_open(rusk_source **out, rusk_alloc *alloc, const char *path,
                             rusk_error *err) {
    *out = NULL;
    rusk_input input;
    uint8_t magic[MAGIC_BYTES] = {0};
    RUSK_TRY(rusk_input_open(&input, alloc, path, err));
    uint64_t size = input.size_bytes;
    rusk_status status = RUSK_OK;
    if (size < MAGIC_BYTES) {
        status = rusk_fail(err, RUSK_FORMAT, 0,
                           "'%s': expected a GGUF or rusk model, found %s of %llu bytes", path,
                           size == 0 ? "an empty file" : "a file", (unsigned long long)size);
    } else {
        status = rusk_input_read(&input, 0, magic, MAGIC_BYTES, err);
    }
    rusk_input_close(&input);
    RUSK_TRY(status);
    for (size_t i = 0; i < RUSK_COUNT(FORMATS); i++) {
        if (memcmp(magic, FORMATS[i].magic, MAGIC_BYTES) == 0) {
            return FORMATS[i].open(out, alloc, path, err);
        }
    }
    return rusk_fail(err, RUSK_FORMAT, 0,
                     "'%s': expected a GGUF or rusk model, found a file that starts with the bytes "
                     "%02x %02x %02x %02x",
                     path, magic[0], magic[1], magic[2], magic[3]);
}

void rusk_source_close(rusk_source *source) {
    if (source != NULL) {
        source->ops->close(source);
    }
}

/* --- look-up ------------------------------------------------------------------------------- */

static const char *meta_key(const rusk_source *s, size_t i) {
    return s->meta[i].key;
}

static const char *tensor_name(const rusk_source *s, size_t i) {
    return s->tensors[i].name;
}

static int compare_keys(const void *items, uint32_t a, uint32_t b) {
    return strcmp(meta_key(items, a), meta_key(items, b));
}

static int compare_names(const void *items, uint32_t a, uint32_t b) {
    return strcmp(tensor_name(items, a), tensor_name(items, b));
}

static rusk_status make_order(const uint32_t **out, const rusk_source *s, rusk_arena *arena,
                              size_t n, rusk_compare compare,
                              const char *(*text)(const rusk_source *, size_t), const char *what,
                              rusk_error *err) {
    uint32_t *order = rusk_arena_get(arena, n, sizeof *order);
    if (order == NULL) {
        return rusk_fail_memory(err, n * sizeof *order, "a look-up order");
    }
    rusk_order(order, n, compare, s);
    for (size_t i = 1; i < n; i++) {
        if (compare(s, order[i - 1], order[i]) == 0) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "'%s': expected each %s once, found '%.80s' as number %u and %u",
                             s->path, what, text(s, order[i]), order[i - 1], order[i]);
        }
    }
    *out = order;
    return RUSK_OK;
}

rusk_status rusk_source_index(rusk_source *source, rusk_arena *arena, rusk_error *err) {
    RUSK_TRY(make_order(&source->meta_order, source, arena, source->n_meta, compare_keys, meta_key,
                        "metadata key", err));
    return make_order(&source->tensor_order, source, arena, source->n_tensors, compare_names,
                      tensor_name, "tensor name", err);
}

static ptrdiff_t find(const rusk_source *s, const uint32_t *order, size_t n, const char *wanted,
                      const char *(*text)(const rusk_source *, size_t)) {
    if (order == NULL) {
        for (size_t i = 0; i < n; i++) {
            if (strcmp(text(s, i), wanted) == 0) {
                return (ptrdiff_t)i;
            }
        }
        return -1;
    }
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(text(s, order[middle]), wanted);
        if (c == 0) {
            return (ptrdiff_t)order[middle];
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

const rusk_meta *rusk_source_meta(const rusk_source *source, const char *key) {
    ptrdiff_t i = find(source, source->meta_order, source->n_meta, key, meta_key);
    return i < 0 ? NULL : &source->meta[i];
}

ptrdiff_t rusk_source_find(const rusk_source *source, const char *name) {
    return find(source, source->tensor_order, source->n_tensors, name, tensor_name);
}

/* --- typed look-up ------------------------------------------------------------------------- */

/* Error for a value that is there but not what the caller needs; shows it. */
static rusk_status fail_value(const rusk_source *s, const rusk_meta *m, const char *expected,
                              rusk_error *err) {
    char value[64];
    rusk_meta_print(m, value, sizeof value);
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                     "'%s': metadata key '%.80s': expected %s, found %s %s", s->path, m->key,
                     expected, rusk_meta_type_name((uint32_t)m->type), value);
}

static bool integer_as_u32(const rusk_meta *m, uint32_t *out) {
    switch (m->type) {
    case RUSK_META_U8:
    case RUSK_META_U16:
    case RUSK_META_U32:
    case RUSK_META_U64:
        *out = (uint32_t)m->value.u;
        return m->value.u <= UINT32_MAX;
    case RUSK_META_I8:
    case RUSK_META_I16:
    case RUSK_META_I32:
    case RUSK_META_I64:
        *out = (uint32_t)m->value.i;
        return m->value.i >= 0 && m->value.i <= (int64_t)UINT32_MAX;
    default:
        return false;
    }
}

rusk_status rusk_source_u32(const rusk_source *s, const char *key, uint32_t fallback, uint32_t *out,
                            rusk_error *err) {
    const rusk_meta *m = rusk_source_meta(s, key);
    uint32_t value = fallback;
    if (m != NULL && !integer_as_u32(m, &value)) {
        return fail_value(s, m, "an integer from 0 to 4294967295", err);
    }
    *out = value;
    return RUSK_OK;
}

rusk_status rusk_source_need_u32(const rusk_source *s, const char *key, uint32_t *out,
                                 rusk_error *err) {
    if (rusk_source_meta(s, key) == NULL) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET, "'%s': missing key '%s'", s->path, key);
    }
    return rusk_source_u32(s, key, 0, out, err);
}

rusk_status rusk_source_f32(const rusk_source *s, const char *key, float fallback, float *out,
                            rusk_error *err) {
    const rusk_meta *m = rusk_source_meta(s, key);
    float value = fallback;
    if (m != NULL) {
        bool is_float = m->type == RUSK_META_F32 || m->type == RUSK_META_F64;
        value = is_float ? (float)m->value.f : 0.0F;
        if (!is_float || !isfinite(value)) {
            return fail_value(s, m, "a finite number (f32 or f64)", err);
        }
    }
    *out = value;
    return RUSK_OK;
}

rusk_status rusk_source_bool(const rusk_source *s, const char *key, bool fallback, bool *out,
                             rusk_error *err) {
    const rusk_meta *m = rusk_source_meta(s, key);
    if (m != NULL && m->type != RUSK_META_BOOL) {
        return fail_value(s, m, "true or false", err);
    }
    *out = m != NULL ? m->value.u != 0 : fallback;
    return RUSK_OK;
}

rusk_status rusk_source_text(const rusk_source *s, const char *key, rusk_text *text,
                             rusk_error *err) {
    const rusk_meta *m = rusk_source_meta(s, key);
    if (m != NULL && m->type != RUSK_META_STRING) {
        return fail_value(s, m, "a string", err);
    }
    *text = m != NULL ? m->value.text : (rusk_text){.data = NULL};
    return RUSK_OK;
}

/* --- rows ---------------------------------------------------------------------------------- */

uint64_t rusk_source_row_bytes(const rusk_source_tensor *t) {
    return t->n_cols / t->dtype->block_elements * t->dtype->block_bytes;
}

rusk_status rusk_source_read_f32(const rusk_source *s, size_t tensor, uint64_t row0,
                                 uint64_t n_rows, float *out, void *scratch, rusk_error *err) {
    const rusk_source_tensor *t = &s->tensors[tensor];
    if (t->dtype->dtype == RUSK_DTYPE_SYM8) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "'%s': tensor '%.80s': expected stored values, found symbols behind a "
                         "codec",
                         s->path, t->name);
    }
    if (row0 > t->n_rows || n_rows > t->n_rows - row0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "'%s': tensor '%.80s': expected rows within 0 .. %llu, found %llu rows "
                         "from row %llu",
                         s->path, t->name, (unsigned long long)t->n_rows,
                         (unsigned long long)n_rows, (unsigned long long)row0);
    }
    RUSK_TRY(s->ops->read_rows(s, tensor, row0, n_rows, scratch, err));
    rusk_dtype_to_f32(t->dtype, scratch, (size_t)(n_rows * t->n_cols), out);
    return RUSK_OK;
}
