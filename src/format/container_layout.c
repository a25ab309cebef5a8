/* container_layout.c - rules of docs/format/container.md that writer and reader must agree on. */
#include "format/container_layout.h"

#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/fp.h"
#include "base/order.h"

enum {
    F32_EXPONENT_BIAS = 127,
    F16_SIGNIFICANT_BITS = 11,
    /* largest scale in units: 2^14 .. 2^15, so that f16 (up to 65504) keeps 11 significant bits
     * down to 2^-14, 2^-28 of the largest */
    SCALE_EXPONENT = 14,
    UNIT_LEAST_EXPONENT = -126 /* the smallest normal f32 */
};

/* Whether text holds only a-z 0-9 _ - . and the characters of `more`. */
static bool is_id(const char *text, const char *more) {
    for (const char *p = text; *p != '\0'; p++) {
        bool known = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' ||
                     *p == '-' || *p == '.' || strchr(more, *p) != NULL;
        if (!known) {
            return false;
        }
    }
    return true;
}

static bool roles_ok(const char *roles) {
    size_t len = strlen(roles);
    if (len > RUSK_CONTAINER_MAX_ROLES || !is_id(roles, ",")) {
        return false;
    }
    return len == 0 || (roles[0] != ',' && roles[len - 1] != ',' && strstr(roles, ",,") == NULL);
}

static rusk_status check_texts(const rusk_container_tensor *t, rusk_status status, uint64_t offset,
                               rusk_error *err) {
    size_t name_bytes = strlen(t->name);
    if (name_bytes == 0 || name_bytes > RUSK_CONTAINER_MAX_KEY) {
        return rusk_fail(err, status, offset, "tensor name: expected 1 to %u bytes, found %zu",
                         RUSK_CONTAINER_MAX_KEY, name_bytes);
    }
    if (!roles_ok(t->roles)) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected roles as names separated by commas, found "
                         "'%.130s'",
                         t->name, t->roles);
    }
    bool coded = t->dtype == RUSK_DTYPE_SYM8;
    bool codec_ok = t->codec[0] != '\0' && strlen(t->codec) <= RUSK_CONTAINER_MAX_CODEC &&
                    is_id(t->codec, "") && (strcmp(t->codec, "none") == 0) != coded;
    if (!codec_ok) {
        return rusk_fail(err, status, offset, "tensor '%.100s': expected %s, found codec '%.30s'",
                         t->name, coded ? "a codec's name for SYM8" : "codec 'none' for F32",
                         t->codec);
    }
    bool quantizer_ok = strlen(t->quantizer) <= RUSK_CONTAINER_MAX_QUANTIZER &&
                        is_id(t->quantizer, "") && (coded || t->quantizer[0] == '\0');
    if (!quantizer_ok) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected %s, found quantizer '%.40s'", t->name,
                         coded ? "a quantizer's name" : "no quantizer for F32", t->quantizer);
    }
    return RUSK_OK;
}

static rusk_status check_shape(const rusk_container_tensor *t, rusk_status status, uint64_t offset,
                               uint64_t *n_rows, uint64_t *n_cols, rusk_error *err) {
    if (t->n_dims == 0 || t->n_dims > RUSK_MAX_DIMS) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected 1 to %d dimensions, found %u", t->name,
                         RUSK_MAX_DIMS, t->n_dims);
    }
    uint64_t rows = 1, cols = t->shape[t->n_dims - 1];
    for (uint32_t i = 0; i + 1 < t->n_dims; i++) {
        if (!rusk_mul_u64(rows, t->shape[i], &rows) || rows > RUSK_CONTAINER_MAX_ROWS) {
            rows = UINT64_MAX;
            break;
        }
    }
    if (rows == 0 || rows > RUSK_CONTAINER_MAX_ROWS) {
        return rusk_fail(err, status, offset, "tensor '%.100s': expected 1 to %u rows, found %s",
                         t->name, RUSK_CONTAINER_MAX_ROWS, rows == 0 ? "none" : "more");
    }
    if (cols == 0 || cols > RUSK_CONTAINER_MAX_COLS) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected 1 to %u columns, found %llu", t->name,
                         RUSK_CONTAINER_MAX_COLS, (unsigned long long)cols);
    }
    *n_rows = rows;
    *n_cols = cols;
    return RUSK_OK;
}

rusk_status rusk_container_check_tensor(const rusk_container_tensor *t, rusk_status status,
                                        uint64_t offset, uint64_t *n_rows, uint64_t *n_cols,
                                        rusk_error *err) {
    if (t->dtype != RUSK_DTYPE_SYM8 && t->dtype != RUSK_DTYPE_F32) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected type F32 or SYM8, found %d", t->name,
                         (int)t->dtype);
    }
    RUSK_TRY(check_texts(t, status, offset, err));
    RUSK_TRY(check_shape(t, status, offset, n_rows, n_cols, err));
    if (t->dtype == RUSK_DTYPE_F32) {
        return RUSK_OK;
    }
    if (!(t->symbol_offset >= -1.0F && t->symbol_offset <= 1.0F)) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected a symbol offset from -1 to 1, found %g",
                         t->name, (double)t->symbol_offset);
    }
    uint64_t block_rows = RUSK_MIN((uint64_t)t->block_rows, *n_rows);
    if (block_rows == 0 || block_rows * *n_cols > RUSK_CONTAINER_MAX_BLOCK_SYMBOLS) {
        return rusk_fail(err, status, offset,
                         "tensor '%.100s': expected blocks of 1 to %u symbols, found %llu rows of "
                         "%llu",
                         t->name, RUSK_CONTAINER_MAX_BLOCK_SYMBOLS, (unsigned long long)block_rows,
                         (unsigned long long)*n_cols);
    }
    return RUSK_OK;
}

uint64_t rusk_container_side_bytes(rusk_dtype dtype, uint64_t n_rows, uint64_t n_cols) {
    /* limits on rows and columns keep the products below 2^58 */
    return dtype == RUSK_DTYPE_F32 ? 4 * n_rows * n_cols : 2 * n_rows + (n_rows + 1) / 2;
}

float rusk_container_scale_unit(const float *row_scales, size_t n_rows) {
    uint32_t largest = 0; /* bits of magnitudes order as the magnitudes do */
    for (size_t i = 0; i < n_rows; i++) {
        uint32_t magnitude = rusk_f32_bits(row_scales[i]) & 0x7FFFFFFFU;
        largest = RUSK_MAX(largest, magnitude);
    }
    if (largest == 0) {
        return 1.0F;
    }
    /* Rounded to 11 significant bits first: the unit of rounded scales is then the same, which
     * makes rounding idempotent. A carry into the exponent is what is wanted. */
    uint32_t rounded = largest + (1U << (23 - F16_SIGNIFICANT_BITS));
    int exponent = (int)(rounded >> 23) - F32_EXPONENT_BIAS - SCALE_EXPONENT;
    exponent = RUSK_MAX(exponent, UNIT_LEAST_EXPONENT);
    return rusk_f32_from_bits((uint32_t)(exponent + F32_EXPONENT_BIAS) << 23);
}

void rusk_container_round_scales(float *row_scales, size_t n_rows) {
    float unit = rusk_container_scale_unit(row_scales, n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        row_scales[i] = rusk_f32_from_f16(rusk_f16_from_f32(row_scales[i] / unit)) * unit;
    }
}

static int compare_names(const void *items, uint32_t a, uint32_t b) {
    const char *const *names = items;
    return strcmp(names[a], names[b]);
}

rusk_status rusk_container_check_unique(rusk_alloc *alloc, const char **names, size_t n,
                                        rusk_status status, const char *what, rusk_error *err) {
    uint32_t *order = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, n * sizeof *order);
    if (order == NULL) {
        return rusk_fail_memory(err, n * sizeof *order, what);
    }
    rusk_order(order, n, compare_names, names);
    const char *twin = NULL;
    for (size_t i = 1; i < n && twin == NULL; i++) {
        twin = strcmp(names[order[i - 1]], names[order[i]]) == 0 ? names[order[i]] : NULL;
    }
    rusk_alloc_put(alloc, order);
    return twin == NULL
               ? RUSK_OK
               : rusk_fail(err, status, RUSK_NO_OFFSET, "%s '%.200s' stands twice", what, twin);
}

rusk_status rusk_section_fail(const rusk_section_reader *r, rusk_error *err, const char *what) {
    uint64_t at = r->offset + r->in.pos;
    return rusk_fail(err, RUSK_FORMAT, at, "section %s at offset %llu: %s", r->tag,
                     (unsigned long long)at, what);
}

rusk_status rusk_section_end(const rusk_section_reader *r, rusk_error *err) {
    if (!rusk_reader_ok(&r->in)) {
        return rusk_section_fail(r, err, "expected more bytes, found the section's end");
    }
    if (rusk_reader_left(&r->in) > 0) {
        return rusk_section_fail(r, err, "expected the section's end, found more bytes");
    }
    return RUSK_OK;
}

rusk_status rusk_section_text(rusk_section_reader *r, size_t max_bytes, bool word, const char *what,
                              rusk_text *out, rusk_error *err) {
    uint64_t len = rusk_reader_varint(&r->in), at = r->offset + r->in.pos;
    if (rusk_reader_ok(&r->in) && len > max_bytes) {
        return rusk_fail(err, RUSK_FORMAT, at,
                         "section %s at offset %llu: expected %s of at most %zu bytes, found %llu",
                         r->tag, (unsigned long long)at, what, max_bytes, (unsigned long long)len);
    }
    if (!rusk_reader_ok(&r->in) || len >= rusk_reader_left(&r->in)) {
        return rusk_fail(err, RUSK_FORMAT, at,
                         "section %s at offset %llu: expected %s, found the section's end", r->tag,
                         (unsigned long long)at, what);
    }
    const uint8_t *data = rusk_reader_take(&r->in, (size_t)len + 1);
    if (data[len] != 0 || (word && memchr(data, 0, (size_t)len) != NULL)) {
        return rusk_fail(err, RUSK_FORMAT, at,
                         "section %s at offset %llu: expected %s with a zero byte %s", r->tag,
                         (unsigned long long)at, what,
                         data[len] != 0 ? "behind it, found another" : "only behind it");
    }
    *out = (rusk_text){.data = (const char *)data, .len_bytes = (size_t)len};
    return RUSK_OK;
}

void rusk_section_add_text(rusk_strbuf *s, const char *text, size_t len_bytes) {
    rusk_strbuf_add_varint(s, len_bytes);
    rusk_strbuf_add(s, text, len_bytes);
    rusk_strbuf_add_u8(s, 0);
}
