/* gguf_write.c - writing GGUF version 3.
 *
 * The counts stand in front of the entries, so the header is gathered in memory and goes out in
 * begin_data; tensor bytes then stream. Sizes are known from the declarations, so padding needs no
 * help from the caller. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/strbuf.h"
#include "format/gguf.h"

enum { GGUF_VERSION = 3 };

typedef struct declared {
    const char *name;
    uint64_t hash; /* of the name: most comparisons need no more, however long names are */
    uint64_t bytes;
    size_t offset_at; /* where in `tensors` its data offset stands, to be filled in begin_data */
    struct declared *next;
} declared;

typedef struct named {
    const char *key;
    uint64_t hash;
    struct named *next;
} named;

struct rusk_gguf_writer {
    rusk_alloc *alloc;
    rusk_output output;
    rusk_arena arena;
    rusk_strbuf meta, tensors; /* encoded entries */
    uint64_t n_meta, n_tensors;
    named *keys;
    declared *first, *last;
    uint32_t alignment;
    bool began;
    declared *current;      /* the tensor that the next byte belongs to; NULL: all are complete */
    uint64_t current_bytes; /* of it, already written */
};

static rusk_status fail_call(const rusk_gguf_writer *w, rusk_error *err, const char *what) {
    return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET, "writing '%s': %s", w->output.path,
                     what);
}

rusk_status rusk_gguf_writer_create(rusk_gguf_writer **out, rusk_alloc *alloc, const char *path,
                                    rusk_error *err) {
    *out = NULL;
    rusk_gguf_writer *w = rusk_alloc_zero(alloc, RUSK_MEM_METADATA, 1, sizeof *w);
    if (w == NULL) {
        return rusk_fail_memory(err, sizeof *w, "a GGUF writer");
    }
    w->alloc = alloc;
    w->alignment = RUSK_GGUF_ALIGNMENT;
    rusk_arena_init(&w->arena, alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&w->meta, alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&w->tensors, alloc, RUSK_MEM_METADATA);
    rusk_status status = rusk_output_open(&w->output, alloc, path, err);
    if (status != RUSK_OK) {
        rusk_gguf_writer_discard(w);
        return status;
    }
    *out = w;
    return RUSK_OK;
}

void rusk_gguf_writer_discard(rusk_gguf_writer *w) {
    if (w == NULL) {
        return;
    }
    rusk_output_discard(&w->output);
    rusk_strbuf_finish(&w->meta);
    rusk_strbuf_finish(&w->tensors);
    rusk_arena_finish(&w->arena);
    rusk_alloc_put(w->alloc, w);
}

/* --- header -------------------------------------------------------------------------------- */

static void add_text(rusk_strbuf *s, const char *data, size_t len_bytes) {
    rusk_strbuf_add_u64(s, len_bytes);
    rusk_strbuf_add(s, data, len_bytes);
}

static void add_scalar(rusk_strbuf *s, const rusk_meta *m) {
    uint64_t bits = m->value.u;
    if (m->type == RUSK_META_F32) {
        rusk_strbuf_add_f32(s, (float)m->value.f);
        return;
    }
    if (m->type == RUSK_META_F64) {
        memcpy(&bits, &m->value.f, sizeof bits);
    } else if (m->type == RUSK_META_I8 || m->type == RUSK_META_I16 || m->type == RUSK_META_I32 ||
               m->type == RUSK_META_I64) {
        bits = (uint64_t)m->value.i;
    }
    switch (rusk_meta_type_bytes((uint32_t)m->type)) {
    case 1:
        rusk_strbuf_add_u8(s, (uint8_t)bits);
        break;
    case 2:
        rusk_strbuf_add_u16(s, (uint16_t)bits);
        break;
    case 4:
        rusk_strbuf_add_u32(s, (uint32_t)bits);
        break;
    default:
        rusk_strbuf_add_u64(s, bits);
        break;
    }
}

static void add_array(rusk_strbuf *s, const rusk_meta *m) {
    rusk_strbuf_add_u32(s, (uint32_t)m->elem_type);
    rusk_strbuf_add_u64(s, m->n);
    if (m->elem_type == RUSK_META_STRING) {
        for (size_t i = 0; i < m->n; i++) {
            add_text(s, m->texts[i].data, m->texts[i].len_bytes);
        }
    } else {
        rusk_strbuf_add(s, m->elements, m->n * rusk_meta_type_bytes((uint32_t)m->elem_type));
    }
}

static rusk_status check_name(const rusk_gguf_writer *w, const char *name, rusk_error *err) {
    size_t len = strlen(name);
    if (len == 0 || len > RUSK_GGUF_MAX_KEY) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "writing '%s': expected a name of 1 to %u bytes, found %zu",
                         w->output.path, RUSK_GGUF_MAX_KEY, len);
    }
    return RUSK_OK;
}

static rusk_status set_alignment(rusk_gguf_writer *w, const rusk_meta *m, rusk_error *err) {
    uint64_t a = m->value.u;
    if (m->type != RUSK_META_U32 || a < 8 || a > RUSK_GGUF_MAX_ALIGNMENT || (a & (a - 1)) != 0) {
        return fail_call(
            w, err, "general.alignment: expected a u32 that is a power of two from 8 to 65536");
    }
    w->alignment = (uint32_t)a;
    return RUSK_OK;
}

rusk_status rusk_gguf_writer_meta(rusk_gguf_writer *w, const rusk_meta *meta, rusk_error *err) {
    if (w->n_tensors > 0 || w->began) {
        return fail_call(w, err, "expected metadata before the first tensor");
    }
    RUSK_TRY(check_name(w, meta->key, err));
    if (rusk_meta_type_name((uint32_t)meta->type) == NULL ||
        (meta->type == RUSK_META_ARRAY && (rusk_meta_type_name((uint32_t)meta->elem_type) == NULL ||
                                           meta->elem_type == RUSK_META_ARRAY))) {
        return fail_call(w, err, "expected a metadata type of the list, arrays not nested");
    }
    uint64_t hash = rusk_hash64(meta->key, strlen(meta->key));
    for (const named *k = w->keys; k != NULL; k = k->next) {
        if (k->hash == hash && strcmp(k->key, meta->key) == 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "writing '%s': expected each metadata key once, found '%.80s' again",
                             w->output.path, meta->key);
        }
    }
    if (strcmp(meta->key, "general.alignment") == 0) {
        RUSK_TRY(set_alignment(w, meta, err));
    }
    named *k = rusk_arena_get(&w->arena, 1, sizeof *k);
    char *key = rusk_arena_text(&w->arena, meta->key, strlen(meta->key));
    if (k == NULL || key == NULL) {
        return rusk_fail_memory(err, sizeof *k, "a metadata key");
    }
    *k = (named){.key = key, .hash = hash, .next = w->keys};
    w->keys = k;
    w->n_meta++;
    add_text(&w->meta, key, strlen(key));
    rusk_strbuf_add_u32(&w->meta, (uint32_t)meta->type);
    if (meta->type == RUSK_META_STRING) {
        add_text(&w->meta, meta->value.text.data, meta->value.text.len_bytes);
    } else if (meta->type == RUSK_META_ARRAY) {
        add_array(&w->meta, meta);
    } else {
        add_scalar(&w->meta, meta);
    }
    return w->meta.failed ? rusk_fail_memory(err, w->meta.len_bytes, "the header of a GGUF")
                          : RUSK_OK;
}

/* Bytes of a tensor; false where the shape is not one that a reader accepts. */
static bool tensor_bytes(uint32_t n_dims, const uint64_t *shape, const rusk_dtype_info *info,
                         uint64_t *bytes) {
    if (n_dims == 0 || n_dims > RUSK_MAX_DIMS || shape[n_dims - 1] % info->block_elements != 0) {
        return false;
    }
    *bytes = info->block_bytes;
    for (uint32_t i = 0; i < n_dims; i++) {
        uint64_t n = i == n_dims - 1 ? shape[i] / info->block_elements : shape[i];
        if (n == 0 || !rusk_mul_u64(*bytes, n, bytes) || *bytes > INT64_MAX) {
            return false;
        }
    }
    return true;
}

rusk_status rusk_gguf_writer_tensor(rusk_gguf_writer *w, const char *name, uint32_t n_dims,
                                    const uint64_t *shape, rusk_dtype dtype, rusk_error *err) {
    if (w->began) {
        return fail_call(w, err, "expected tensors to be declared before begin_data");
    }
    RUSK_TRY(check_name(w, name, err));
    uint64_t hash = rusk_hash64(name, strlen(name));
    for (const declared *t = w->first; t != NULL; t = t->next) {
        if (t->hash == hash && strcmp(t->name, name) == 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "writing '%s': expected each tensor name once, found '%.80s' again",
                             w->output.path, name);
        }
    }
    const rusk_dtype_info *info = rusk_dtype_find((uint32_t)dtype);
    uint64_t bytes;
    if (info == NULL || dtype == RUSK_DTYPE_SYM8 || !tensor_bytes(n_dims, shape, info, &bytes)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "writing '%s': tensor '%.80s': expected 1 to %d dimensions of at least 1, "
                         "rows of whole blocks, and a GGUF type; found something else",
                         w->output.path, name, RUSK_MAX_DIMS);
    }
    declared *t = rusk_arena_get(&w->arena, 1, sizeof *t);
    char *copy = rusk_arena_text(&w->arena, name, strlen(name));
    if (t == NULL || copy == NULL) {
        return rusk_fail_memory(err, sizeof *t, "a tensor name");
    }
    add_text(&w->tensors, copy, strlen(copy));
    rusk_strbuf_add_u32(&w->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) {
        rusk_strbuf_add_u64(&w->tensors, shape[n_dims - 1 - i]);
    }
    rusk_strbuf_add_u32(&w->tensors, (uint32_t)dtype);
    *t = (declared){.name = copy, .hash = hash, .bytes = bytes, .offset_at = w->tensors.len_bytes};
    rusk_strbuf_add_u64(&w->tensors, 0);
    if (w->tensors.failed) {
        return rusk_fail_memory(err, w->tensors.len_bytes, "the header of a GGUF");
    }
    *(w->last != NULL ? &w->last->next : &w->first) = t;
    w->last = t;
    w->n_tensors++;
    return RUSK_OK;
}

/* --- data ---------------------------------------------------------------------------------- */

static rusk_status pad(rusk_gguf_writer *w, rusk_error *err) {
    uint64_t aligned;
    if (!rusk_align_u64(w->output.pos_bytes, w->alignment, &aligned)) {
        return fail_call(w, err, "expected fewer than 2^64 bytes");
    }
    return rusk_output_zeros(&w->output, aligned - w->output.pos_bytes, err);
}

rusk_status rusk_gguf_writer_begin_data(rusk_gguf_writer *w, rusk_error *err) {
    if (w->began) {
        return fail_call(w, err, "expected begin_data once");
    }
    w->began = true;
    w->current = w->first;
    uint64_t offset = 0;
    for (declared *t = w->first; t != NULL; t = t->next) {
        rusk_store_u64(w->tensors.data + t->offset_at, offset);
        if (!rusk_add_u64(offset, t->bytes, &offset) ||
            !rusk_align_u64(offset, w->alignment, &offset)) {
            return fail_call(w, err, "expected fewer than 2^64 bytes");
        }
    }
    uint8_t head[20];
    rusk_store_u32(head, GGUF_VERSION);
    rusk_store_u64(head + 4, w->n_tensors);
    rusk_store_u64(head + 12, w->n_meta);
    RUSK_TRY(rusk_output_write(&w->output, RUSK_GGUF_MAGIC, 4, err));
    RUSK_TRY(rusk_output_write(&w->output, head, sizeof head, err));
    RUSK_TRY(rusk_output_write(&w->output, w->meta.data, w->meta.len_bytes, err));
    RUSK_TRY(rusk_output_write(&w->output, w->tensors.data, w->tensors.len_bytes, err));
    return pad(w, err);
}

rusk_status rusk_gguf_writer_write(rusk_gguf_writer *w, const void *data, size_t len_bytes,
                                   rusk_error *err) {
    if (!w->began) {
        return fail_call(w, err, "expected begin_data before tensor bytes");
    }
    const uint8_t *p = data;
    while (len_bytes > 0) {
        if (w->current == NULL) {
            return fail_call(w, err, "expected only the bytes of the declared tensors, found more");
        }
        size_t n = (size_t)RUSK_MIN((uint64_t)len_bytes, w->current->bytes - w->current_bytes);
        RUSK_TRY(rusk_output_write(&w->output, p, n, err));
        p += n;
        len_bytes -= n;
        w->current_bytes += n;
        if (w->current_bytes == w->current->bytes) {
            RUSK_TRY(pad(w, err));
            w->current = w->current->next;
            w->current_bytes = 0;
        }
    }
    return RUSK_OK;
}

rusk_status rusk_gguf_writer_commit(rusk_gguf_writer *w, rusk_error *err) {
    rusk_status status = RUSK_OK;
    if (!w->began) {
        status = fail_call(w, err, "expected begin_data before commit");
    } else if (w->current != NULL) {
        status = rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                           "writing '%s': tensor '%.80s': expected %llu bytes, found %llu",
                           w->output.path, w->current->name, (unsigned long long)w->current->bytes,
                           (unsigned long long)w->current_bytes);
    }
    if (status == RUSK_OK) {
        status = rusk_output_commit(&w->output, err);
    }
    rusk_gguf_writer_discard(w);
    return status;
}
