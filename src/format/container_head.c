/* container_head.c - section HEAD: provenance, and the source's metadata (container.md, section 4).
 */
#include <string.h>

#include "base/assert.h"
#include "base/fp.h"
#include "format/container_layout.h"

/* TOKN and CHAT hold what these say. */
static const char *const REPLACED_KEYS[] = {
    "tokenizer.ggml.tokens", "tokenizer.ggml.scores",   "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges", "tokenizer.chat_template",
};

static bool is_replaced(const char *key) {
    for (size_t i = 0; i < RUSK_COUNT(REPLACED_KEYS); i++) {
        if (strcmp(key, REPLACED_KEYS[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void write_scalar(rusk_strbuf *out, const rusk_meta *m) {
    uint8_t b[8];
    uint64_t bits = m->value.u; /* of an i too: two's complement, cut to the type's bytes */
    if (m->type == RUSK_META_F32) {
        bits = rusk_f32_bits((float)m->value.f);
    } else if (m->type == RUSK_META_F64) {
        memcpy(&bits, &m->value.f, sizeof bits);
    } else if (m->type == RUSK_META_BOOL) {
        bits = bits != 0;
    }
    rusk_store_u64(b, bits);
    rusk_strbuf_add(out, b, rusk_meta_type_bytes(m->type));
}

static void write_value(rusk_strbuf *out, const rusk_meta *m) {
    if (m->type == RUSK_META_STRING) {
        rusk_section_add_text(out, m->value.text.data, m->value.text.len_bytes);
    } else if (m->type == RUSK_META_ARRAY) {
        rusk_strbuf_add_u8(out, (uint8_t)m->elem_type);
        rusk_strbuf_add_varint(out, m->n);
        if (m->elem_type == RUSK_META_STRING) {
            for (size_t i = 0; i < m->n; i++) {
                rusk_section_add_text(out, m->texts[i].data, m->texts[i].len_bytes);
            }
        } else {
            rusk_strbuf_add(out, m->elements, m->n * rusk_meta_type_bytes(m->elem_type));
        }
    } else {
        write_scalar(out, m);
    }
}

static rusk_status check_entries(rusk_strbuf *out, const rusk_source *source, size_t *n_kept,
                                 rusk_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < source->n_meta; i++) {
        size_t len = strlen(source->meta[i].key);
        if (len == 0 || len > RUSK_CONTAINER_MAX_KEY) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "metadata key %zu: expected 1 to %u bytes, found %zu", i,
                             RUSK_CONTAINER_MAX_KEY, len);
        }
        n += !is_replaced(source->meta[i].key);
    }
    if (n > RUSK_CONTAINER_MAX_META) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "expected at most %u metadata entries, found %zu", RUSK_CONTAINER_MAX_META,
                         n);
    }
    const char **keys = rusk_alloc_zero(out->alloc, RUSK_MEM_SCRATCH, n, sizeof *keys);
    if (keys == NULL) {
        return rusk_fail_memory(err, n * sizeof *keys, "metadata keys");
    }
    n = 0;
    for (size_t i = 0; i < source->n_meta; i++) {
        if (!is_replaced(source->meta[i].key)) {
            keys[n++] = source->meta[i].key;
        }
    }
    rusk_status status = rusk_container_check_unique(out->alloc, keys, n, RUSK_INVALID_ARGUMENT,
                                                     "metadata key", err);
    rusk_alloc_put(out->alloc, keys);
    *n_kept = n;
    return status;
}

rusk_status rusk_container_write_head(rusk_strbuf *out, const rusk_provenance *p,
                                      const rusk_source *source, rusk_error *err) {
    size_t n = 0;
    size_t tool_bytes = strlen(p->tool), options_bytes = strlen(p->options);
    if (tool_bytes > RUSK_CONTAINER_MAX_NOTE || options_bytes > RUSK_CONTAINER_MAX_NOTE) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "provenance: expected texts of at most %u bytes, found %zu and %zu",
                         RUSK_CONTAINER_MAX_NOTE, tool_bytes, options_bytes);
    }
    if (source != NULL) {
        RUSK_TRY(check_entries(out, source, &n, err));
    }
    rusk_strbuf_add_u64(out, p->source_bytes);
    rusk_strbuf_add(out, p->source_hash, sizeof p->source_hash);
    rusk_section_add_text(out, p->tool, tool_bytes);
    rusk_section_add_text(out, p->options, options_bytes);
    rusk_strbuf_add_varint(out, n);
    for (size_t i = 0; source != NULL && i < source->n_meta; i++) {
        const rusk_meta *m = &source->meta[i];
        if (!is_replaced(m->key)) {
            rusk_section_add_text(out, m->key, strlen(m->key));
            rusk_strbuf_add_u8(out, (uint8_t)m->type);
            write_value(out, m);
        }
    }
    if (out->failed) {
        return rusk_fail_memory(err, out->len_bytes, "section HEAD");
    }
    if (out->len_bytes > RUSK_CONTAINER_MAX_HEAD) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "metadata: expected at most %u bytes, found %zu", RUSK_CONTAINER_MAX_HEAD,
                         out->len_bytes);
    }
    return RUSK_OK;
}

static rusk_status read_scalar(rusk_section_reader *r, rusk_meta *m, rusk_error *err) {
    size_t bytes = rusk_meta_type_bytes(m->type);
    const uint8_t *p = rusk_reader_take(&r->in, bytes);
    if (p == NULL) {
        return rusk_section_end(r, err);
    }
    uint8_t wide[8] = {0};
    memcpy(wide, p, bytes);
    uint64_t u = rusk_load_u64(wide);
    unsigned unused = 64 - 8 * (unsigned)bytes;
    switch (m->type) {
    case RUSK_META_I8:
    case RUSK_META_I16:
    case RUSK_META_I32:
    case RUSK_META_I64: /* sign extension: the shift to the right is arithmetic */
        m->value.i = (int64_t)(u << unused) >> unused;
        break;
    case RUSK_META_F32:
        m->value.f = (double)rusk_load_f32(wide);
        break;
    case RUSK_META_F64:
        memcpy(&m->value.f, &u, sizeof u);
        break;
    case RUSK_META_BOOL:
        if (u > 1) {
            return rusk_section_fail(r, err, "expected 0 or 1 as BOOL, found more");
        }
        m->value.u = u;
        break;
    default:
        m->value.u = u;
        break;
    }
    return RUSK_OK;
}

static rusk_status read_array(rusk_section_reader *r, rusk_arena *arena, rusk_meta *m,
                              rusk_error *err) {
    uint8_t elem_type = rusk_reader_u8(&r->in);
    uint64_t n = rusk_reader_varint(&r->in);
    size_t bytes = rusk_meta_type_bytes(elem_type);
    if (!rusk_reader_ok(&r->in)) {
        return rusk_section_end(r, err);
    }
    if (rusk_meta_type_name(elem_type) == NULL || elem_type == RUSK_META_ARRAY) {
        return rusk_section_fail(r, err, "expected an array of scalars or strings");
    }
    /* a string takes two bytes at least: its length and the zero byte */
    if (n > rusk_reader_left(&r->in) / (bytes == 0 ? 2 : bytes)) {
        return rusk_section_fail(r, err, "array is longer than what is left of the section");
    }
    m->elem_type = (rusk_meta_type)elem_type;
    m->n = (size_t)n;
    if (bytes > 0) {
        m->elements = rusk_reader_take(&r->in, m->n * bytes);
        return RUSK_OK;
    }
    rusk_text *texts = rusk_arena_get(arena, m->n, sizeof *texts);
    if (texts == NULL) {
        return rusk_fail_memory(err, m->n * sizeof *texts, "a metadata array");
    }
    for (size_t i = 0; i < m->n; i++) {
        RUSK_TRY(rusk_section_text(r, SIZE_MAX, false, "a string", &texts[i], err));
    }
    m->texts = texts;
    return RUSK_OK;
}

static rusk_status read_entry(rusk_section_reader *r, rusk_arena *arena, rusk_meta *m,
                              rusk_error *err) {
    rusk_text key;
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_KEY, true, "a metadata key", &key, err));
    if (key.len_bytes == 0) {
        return rusk_section_fail(r, err, "expected a metadata key, found an empty one");
    }
    m->key = key.data;
    uint8_t type = rusk_reader_u8(&r->in);
    if (rusk_meta_type_name(type) == NULL) {
        return rusk_section_fail(r, err, "metadata type is not one of 0 to 12");
    }
    m->type = (rusk_meta_type)type;
    if (m->type == RUSK_META_STRING) {
        return rusk_section_text(r, SIZE_MAX, false, "a string", &m->value.text, err);
    }
    return m->type == RUSK_META_ARRAY ? read_array(r, arena, m, err) : read_scalar(r, m, err);
}

static rusk_status check_keys(rusk_alloc *alloc, const rusk_meta *meta, size_t n, rusk_error *err) {
    const char **keys = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, n, sizeof *keys);
    if (keys == NULL) {
        return rusk_fail_memory(err, n * sizeof *keys, "metadata keys");
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = meta[i].key;
    }
    rusk_status status =
        rusk_container_check_unique(alloc, keys, n, RUSK_FORMAT, "metadata key", err);
    rusk_alloc_put(alloc, keys);
    return status;
}

rusk_status rusk_container_read_head(rusk_section_reader *r, rusk_arena *arena, rusk_provenance *p,
                                     rusk_meta **meta, size_t *n_meta, rusk_error *err) {
    rusk_text tool, options;
    p->source_bytes = rusk_reader_u64(&r->in);
    const uint8_t *hash = rusk_reader_take(&r->in, sizeof p->source_hash);
    if (hash == NULL) {
        return rusk_section_end(r, err);
    }
    memcpy(p->source_hash, hash, sizeof p->source_hash);
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_NOTE, false, "a tool's name", &tool, err));
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_NOTE, false, "options", &options, err));
    p->tool = tool.data;
    p->options = options.data;
    uint64_t n = rusk_reader_varint(&r->in);
    /* the least entry: a key of one byte with its length and zero, a type, one byte of value */
    enum { LEAST_ENTRY_BYTES = 5 };
    if (!rusk_reader_ok(&r->in) || n > RUSK_CONTAINER_MAX_META ||
        n > rusk_reader_left(&r->in) / LEAST_ENTRY_BYTES) {
        return rusk_section_fail(r, err,
                                 "more metadata entries than the section or the limit of "
                                 "65536 allows");
    }
    rusk_meta *m = rusk_arena_get(arena, (size_t)n, sizeof *m);
    if (m == NULL) {
        return rusk_fail_memory(err, (size_t)n * sizeof *m, "metadata");
    }
    for (size_t i = 0; i < n; i++) {
        RUSK_TRY(read_entry(r, arena, &m[i], err));
    }
    RUSK_TRY(rusk_section_end(r, err));
    RUSK_TRY(check_keys(arena->alloc, m, (size_t)n, err));
    *meta = m;
    *n_meta = (size_t)n;
    return RUSK_OK;
}
