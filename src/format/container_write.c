/* container_write.c - writes a .rusk file in one pass (docs/format/container.md).
 *
 * Blocks go to the file as they come; everything else is gathered in memory, already in the form of
 * its section (12 bytes a block, 2.5 a row), and follows at commit:
 *
 *     superblock (zeros until commit) | gap | extent | extent | ... | sections | section table
 */
#include <string.h>

#include "base/assert.h"
#include "base/fp.h"
#include "base/hash.h"
#include "base/io.h"
#include "format/container_layout.h"

enum { OPAQUE_MAX = 16 }; /* sections given by the caller */

typedef struct opaque_section {
    char tag[5];
    rusk_strbuf data;
} opaque_section;

/* A code table in w->tables, found again by content. */
typedef struct table_entry {
    size_t offset, len_bytes;
    uint64_t hash;
} table_entry;

struct rusk_container_writer {
    rusk_alloc *alloc;
    rusk_output out;
    bool failed; /* a write or an allocation failed: nothing but discard makes sense */

    rusk_strbuf head, tensors, extents, blocks, table_lengths, tables, side;
    rusk_strbuf table_entries; /* of table_entry */
    rusk_strbuf names;         /* of all tensors, each NUL-terminated */
    opaque_section opaque[OPAQUE_MAX];
    size_t n_opaque;
    bool has_head;
    uint32_t n_tensors, n_extents, n_blocks, n_tables;

    bool in_extent;
    uint64_t extent_offset;
    uint32_t extent_bytes, extent_blocks;

    bool in_tensor;
    rusk_dtype dtype;
    uint64_t f32_bytes; /* of the tensor's only block */
    uint64_t blocks_expected, blocks_given;
    char tensor_name[64]; /* for messages; cut */
};

typedef struct section_plan {
    const char *tag;
    const rusk_strbuf *data;
    size_t max_bytes;
    bool critical;
} section_plan;

static rusk_status fail_memory(rusk_container_writer *w, size_t bytes, rusk_error *err) {
    w->failed = true;
    return rusk_fail_memory(err, bytes, "the container's index");
}

static rusk_status check_usable(const rusk_container_writer *w, rusk_error *err) {
    return !w->failed ? RUSK_OK
                      : rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                                  "container: an earlier call failed, nothing more can be written");
}

static void *strbuf_at(const rusk_strbuf *s, size_t offset) {
    return s->data + offset;
}

static rusk_strbuf *all_strbufs(rusk_container_writer *w, size_t index) {
    rusk_strbuf *list[] = {&w->head,   &w->tensors,       &w->extents,
                           &w->blocks, &w->table_lengths, &w->tables,
                           &w->side,   &w->table_entries, &w->names};
    return index < RUSK_COUNT(list) ? list[index] : NULL;
}

rusk_status rusk_container_writer_create(rusk_container_writer **out, rusk_alloc *alloc,
                                         const char *path, rusk_error *err) {
    *out = NULL;
    rusk_container_writer *w = rusk_alloc_zero(alloc, RUSK_MEM_METADATA, 1, sizeof *w);
    if (w == NULL) {
        return rusk_fail_memory(err, sizeof *w, "a container writer");
    }
    w->alloc = alloc;
    for (size_t i = 0; all_strbufs(w, i) != NULL; i++) {
        rusk_strbuf_init(all_strbufs(w, i), alloc, RUSK_MEM_METADATA);
    }
    rusk_status status = rusk_output_open(&w->out, alloc, path, err);
    if (status == RUSK_OK) {
        status = rusk_output_zeros(&w->out, RUSK_SUPERBLOCK_BYTES, err);
    }
    if (status != RUSK_OK) {
        rusk_container_writer_discard(w);
        return status;
    }
    *out = w;
    return RUSK_OK;
}

void rusk_container_writer_discard(rusk_container_writer *w) {
    if (w == NULL) {
        return;
    }
    rusk_output_discard(&w->out);
    for (size_t i = 0; all_strbufs(w, i) != NULL; i++) {
        rusk_strbuf_finish(all_strbufs(w, i));
    }
    for (size_t i = 0; i < w->n_opaque; i++) {
        rusk_strbuf_finish(&w->opaque[i].data);
    }
    rusk_alloc_put(w->alloc, w);
}

/* --- tensors --- */

/* The table's number in TNSR: 0 none, else 1 + index; an equal table is stored once. */
static uint32_t add_table(rusk_container_writer *w, const uint8_t *data, size_t len_bytes) {
    if (len_bytes == 0) {
        return 0;
    }
    uint64_t hash = rusk_hash64(data, len_bytes);
    const table_entry *entries = (const void *)w->table_entries.data;
    for (uint32_t i = 0; i < w->n_tables; i++) {
        if (entries[i].hash == hash && entries[i].len_bytes == len_bytes &&
            memcmp(strbuf_at(&w->tables, entries[i].offset), data, len_bytes) == 0) {
            return i + 1;
        }
    }
    table_entry entry = {.offset = w->tables.len_bytes, .len_bytes = len_bytes, .hash = hash};
    rusk_strbuf_add(&w->table_entries, &entry, sizeof entry);
    rusk_strbuf_add_u32(&w->table_lengths, (uint32_t)len_bytes);
    rusk_strbuf_add(&w->tables, data, len_bytes);
    return ++w->n_tables;
}

static rusk_status check_rows(const rusk_container_tensor *t, uint64_t n_rows, float unit,
                              rusk_error *err) {
    for (size_t r = 0; r < n_rows; r++) {
        float scale = rusk_f32_from_f16(rusk_f16_from_f32(t->row_scales[r] / unit)) * unit;
        if ((rusk_f32_bits(t->row_scales[r]) & 0x7F800000U) == 0x7F800000U ||
            (rusk_f32_bits(scale) & 0x7F800000U) == 0x7F800000U) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "tensor '%.100s', row %zu: expected a finite scale, found %g", t->name,
                             r, (double)t->row_scales[r]);
        }
        if (t->row_classes[r] > 15) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "tensor '%.100s', row %zu: expected a class of 0 to 15, found %u",
                             t->name, r, t->row_classes[r]);
        }
    }
    return RUSK_OK;
}

static void add_rows(rusk_container_writer *w, const rusk_container_tensor *t, uint64_t n_rows,
                     float unit) {
    for (size_t r = 0; r < n_rows; r++) {
        rusk_strbuf_add_u16(&w->side, rusk_f16_from_f32(t->row_scales[r] / unit));
    }
    for (size_t r = 0; r < n_rows; r += 2) {
        unsigned high = r + 1 < n_rows ? t->row_classes[r + 1] : 0;
        rusk_strbuf_add_u8(&w->side, (uint8_t)(t->row_classes[r] | high << 4));
    }
}

static rusk_status check_new_name(const rusk_container_writer *w, const char *name,
                                  rusk_error *err) {
    const char *p = w->names.data, *end = p == NULL ? p : p + w->names.len_bytes;
    for (; p != end; p += strlen(p) + 1) {
        if (strcmp(p, name) == 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "tensor '%.100s' was written already", name);
        }
    }
    return RUSK_OK;
}

static void add_entry(rusk_container_writer *w, const rusk_container_tensor *t, float unit,
                      uint32_t block_rows, uint32_t table) {
    rusk_strbuf *s = &w->tensors;
    const char *texts[] = {t->name, t->roles, t->codec, t->quantizer};
    for (size_t i = 0; i < RUSK_COUNT(texts); i++) {
        rusk_section_add_text(s, texts[i], strlen(texts[i]));
    }
    rusk_strbuf_add_u8(s, 0); /* flags */
    rusk_strbuf_add_u8(s, (uint8_t)t->n_dims);
    for (uint32_t i = 0; i < t->n_dims; i++) {
        rusk_strbuf_add_varint(s, t->shape[i]);
    }
    rusk_strbuf_add_varint(s, t->dtype);
    rusk_strbuf_add_varint(s, t->source_dtype);
    if (t->dtype == RUSK_DTYPE_SYM8) {
        rusk_strbuf_add_f32(s, t->symbol_offset);
        rusk_strbuf_add_f32(s, unit);
        rusk_strbuf_add_varint(s, block_rows);
        rusk_strbuf_add_varint(s, table);
    }
    rusk_strbuf_add_varint(s, 0); /* extra bytes */
}

static rusk_status check_begin(const rusk_container_writer *w, const rusk_container_tensor *t,
                               uint64_t *n_rows, uint64_t *n_cols, float *unit, rusk_error *err) {
    RUSK_TRY(check_usable(w, err));
    if (w->in_tensor) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "tensor '%.100s': tensor '%s' has not ended yet", t->name, w->tensor_name);
    }
    if (w->n_tensors == RUSK_CONTAINER_MAX_TENSORS) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET, "expected at most %u tensors",
                         RUSK_CONTAINER_MAX_TENSORS);
    }
    RUSK_TRY(
        rusk_container_check_tensor(t, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET, n_rows, n_cols, err));
    if (rusk_dtype_find(t->source_dtype) == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "tensor '%.100s': unknown source type %d", t->name, (int)t->source_dtype);
    }
    RUSK_TRY(check_new_name(w, t->name, err));
    uint64_t side = rusk_container_side_bytes(t->dtype, *n_rows, *n_cols);
    if (w->side.len_bytes + side > RUSK_CONTAINER_MAX_SIDE) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "tensor '%.100s': scales and vectors expected in %u bytes, found more",
                         t->name, RUSK_CONTAINER_MAX_SIDE);
    }
    if (t->dtype == RUSK_DTYPE_SYM8) {
        if (t->tables_bytes > RUSK_CONTAINER_MAX_TBLS / 2) {
            return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                             "tensor '%.100s': code table of %zu bytes is too long", t->name,
                             t->tables_bytes);
        }
        *unit = rusk_container_scale_unit(t->row_scales, (size_t)*n_rows);
        RUSK_TRY(check_rows(t, *n_rows, *unit, err));
    }
    return RUSK_OK;
}

rusk_status rusk_container_writer_begin_tensor(rusk_container_writer *w,
                                               const rusk_container_tensor *t, rusk_error *err) {
    uint64_t n_rows = 0, n_cols = 0;
    float unit = 1.0F;
    RUSK_TRY(check_begin(w, t, &n_rows, &n_cols, &unit, err));
    uint32_t block_rows = 0, table = 0;
    w->blocks_expected = 1;
    if (t->dtype == RUSK_DTYPE_SYM8) {
        block_rows = (uint32_t)RUSK_MIN((uint64_t)t->block_rows, n_rows);
        RUSK_ASSERT(block_rows > 0);
        table = add_table(w, t->tables, t->tables_bytes);
        add_rows(w, t, n_rows, unit);
        w->blocks_expected = (n_rows + block_rows - 1) / block_rows;
    }
    add_entry(w, t, unit, block_rows, table);
    rusk_strbuf_add(&w->names, t->name, strlen(t->name) + 1);
    if (w->tensors.failed || w->side.failed || w->tables.failed || w->table_lengths.failed ||
        w->table_entries.failed || w->names.failed) {
        return fail_memory(w, w->tensors.len_bytes + w->side.len_bytes, err);
    }
    w->in_tensor = true;
    w->dtype = t->dtype;
    w->f32_bytes = 4 * n_rows * n_cols;
    w->blocks_given = 0;
    (void)strncpy(w->tensor_name, t->name, sizeof w->tensor_name - 1);
    return RUSK_OK;
}

/* --- extents --- */

static rusk_status begin_extent(rusk_container_writer *w, rusk_error *err) {
    uint64_t fill = -w->out.pos_bytes & (RUSK_PAGE_BYTES - 1);
    RUSK_TRY(rusk_output_zeros(&w->out, fill, err)); /* of the gap before the first one only */
    w->in_extent = true;
    w->extent_offset = w->out.pos_bytes;
    w->extent_bytes = w->extent_blocks = 0;
    return RUSK_OK;
}

static rusk_status end_extent(rusk_container_writer *w, rusk_error *err) {
    RUSK_TRY(rusk_output_zeros(&w->out, rusk_extent_room(w->extent_bytes) - w->extent_bytes, err));
    rusk_strbuf_add_u64(&w->extents, w->extent_offset);
    rusk_strbuf_add_u32(&w->extents, w->extent_bytes);
    rusk_strbuf_add_u32(&w->extents, w->extent_blocks);
    w->n_extents++;
    w->in_extent = false;
    return w->extents.failed ? rusk_fail_memory(err, w->extents.len_bytes, "the extent index")
                             : RUSK_OK;
}

/* A block border is a good end where few bytes are lost up to the page. */
static bool extent_is_full(const rusk_container_writer *w) {
    if (w->extent_bytes < RUSK_EXTENT_LEAST_BYTES) {
        return false;
    }
    uint64_t lost = rusk_extent_room(w->extent_bytes) - RUSK_BLOCK_OVERREAD - w->extent_bytes;
    return w->extent_bytes > RUSK_EXTENT_MOST_BYTES || lost <= RUSK_EXTENT_GOOD_FILL;
}

static rusk_status append_block(rusk_container_writer *w, const void *data, size_t len_bytes,
                                rusk_error *err) {
    if (!w->in_extent) {
        RUSK_TRY(begin_extent(w, err));
    }
    rusk_strbuf_add_u32(&w->blocks, w->extent_bytes);
    rusk_strbuf_add_u64(&w->blocks, rusk_hash64(data, len_bytes));
    if (w->blocks.failed) {
        return rusk_fail_memory(err, w->blocks.len_bytes, "the block index");
    }
    RUSK_TRY(rusk_output_write(&w->out, data, len_bytes, err));
    w->extent_bytes += (uint32_t)len_bytes;
    w->extent_blocks++;
    w->n_blocks++;
    return extent_is_full(w) ? end_extent(w, err) : RUSK_OK;
}

rusk_status rusk_container_writer_block(rusk_container_writer *w, const void *data,
                                        size_t len_bytes, rusk_error *err) {
    RUSK_TRY(check_usable(w, err));
    if (!w->in_tensor || w->blocks_given == w->blocks_expected) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "container: a block beyond the %llu expected of tensor '%s'",
                         w->in_tensor ? (unsigned long long)w->blocks_expected : 0ULL,
                         w->tensor_name);
    }
    if (w->dtype == RUSK_DTYPE_F32) {
        if (len_bytes != w->f32_bytes) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "tensor '%s': expected %llu bytes of F32, found %zu", w->tensor_name,
                             (unsigned long long)w->f32_bytes, len_bytes);
        }
        rusk_strbuf_add(&w->side, data, len_bytes);
        w->blocks_given++;
        return w->side.failed ? fail_memory(w, len_bytes, err) : RUSK_OK;
    }
    if (len_bytes > RUSK_CONTAINER_MAX_EXTENT - RUSK_EXTENT_MOST_BYTES) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "tensor '%s': expected blocks of at most %u bytes, found %zu",
                         w->tensor_name, RUSK_CONTAINER_MAX_EXTENT - RUSK_EXTENT_MOST_BYTES,
                         len_bytes);
    }
    rusk_status status = append_block(w, data, len_bytes, err);
    w->failed = status != RUSK_OK;
    w->blocks_given++;
    return status;
}

rusk_status rusk_container_writer_end_tensor(rusk_container_writer *w, rusk_error *err) {
    RUSK_TRY(check_usable(w, err));
    if (!w->in_tensor || w->blocks_given != w->blocks_expected) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "tensor '%s': expected %llu blocks, found %llu",
                         w->in_tensor ? w->tensor_name : "(none begun)",
                         (unsigned long long)w->blocks_expected,
                         (unsigned long long)w->blocks_given);
    }
    w->in_tensor = false;
    w->n_tensors++;
    return RUSK_OK;
}

/* --- sections --- */

rusk_status rusk_container_writer_head(rusk_container_writer *w, const rusk_provenance *p,
                                       const rusk_source *source, rusk_error *err) {
    RUSK_TRY(check_usable(w, err));
    if (w->has_head) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "container: HEAD was written already");
    }
    rusk_status status = rusk_container_write_head(&w->head, p, source, err);
    w->failed = status != RUSK_OK;
    w->has_head = status == RUSK_OK;
    return status;
}

static bool is_own_tag(const char tag[4]) {
    static const char *const OWN[] = {"HEAD", "TNSR", "BLKS", "DATA", "TBLS", "SIDE"};
    for (size_t i = 0; i < RUSK_COUNT(OWN); i++) {
        if (memcmp(tag, OWN[i], 4) == 0) {
            return true;
        }
    }
    return false;
}

static size_t opaque_limit(const char tag[4]) {
    return memcmp(tag, "CHAT", 4) == 0 ? RUSK_CONTAINER_MAX_CHAT : RUSK_CONTAINER_MAX_TOKN;
}

rusk_status rusk_container_writer_section(rusk_container_writer *w, const char tag[4],
                                          const void *data, size_t len_bytes, rusk_error *err) {
    RUSK_TRY(check_usable(w, err));
    bool taken = is_own_tag(tag);
    for (size_t i = 0; i < w->n_opaque; i++) {
        taken |= memcmp(w->opaque[i].tag, tag, 4) == 0;
    }
    if (taken || w->n_opaque == OPAQUE_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         taken ? "container: section %.4s is there already or the writer's own"
                               : "container: no room for section %.4s",
                         tag);
    }
    if (len_bytes > opaque_limit(tag)) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "section %.4s: expected at most %zu bytes, found %zu", tag,
                         opaque_limit(tag), len_bytes);
    }
    opaque_section *s = &w->opaque[w->n_opaque++];
    memcpy(s->tag, tag, 4);
    rusk_strbuf_init(&s->data, w->alloc, RUSK_MEM_METADATA);
    rusk_strbuf_add(&s->data, data, len_bytes);
    return s->data.failed ? fail_memory(w, len_bytes, err) : RUSK_OK;
}

static size_t section_bytes(const rusk_container_writer *w, size_t *n_sections) {
    size_t tbls = w->n_tables == 0 ? 0 : 4 + w->table_lengths.len_bytes + w->tables.len_bytes;
    uint32_t n_extents = w->n_extents + w->in_extent;
    size_t blks = n_extents == 0
                      ? 0
                      : RUSK_BLKS_HEADER_BYTES + (size_t)n_extents * RUSK_EXTENT_ENTRY_BYTES +
                            w->blocks.len_bytes;
    size_t bytes = w->head.len_bytes + 4 + w->tensors.len_bytes + blks + tbls + w->side.len_bytes;
    *n_sections = 2 + 2 * (size_t)(blks > 0) + (tbls > 0) + (w->side.len_bytes > 0);
    for (size_t i = 0; i < w->n_opaque; i++) {
        bytes += w->opaque[i].data.len_bytes;
        *n_sections += w->opaque[i].data.len_bytes > 0;
    }
    return bytes;
}

uint64_t rusk_container_writer_bytes(const rusk_container_writer *w) {
    size_t n_sections;
    uint64_t fill = w->in_extent ? rusk_extent_room(w->extent_bytes) - w->extent_bytes : 0;
    uint64_t sections = section_bytes(w, &n_sections);
    return w->out.pos_bytes + fill + sections + n_sections * RUSK_SECTION_ENTRY_BYTES;
}

/* --- commit --- */

static void add_section(rusk_strbuf *table, const char *tag, bool critical, uint64_t offset,
                        uint64_t len_bytes, uint64_t hash) {
    rusk_strbuf_add(table, tag, 4);
    rusk_strbuf_add_u32(table, critical ? RUSK_SECTION_CRITICAL : 0);
    rusk_strbuf_add_u64(table, offset);
    rusk_strbuf_add_u64(table, len_bytes);
    rusk_strbuf_add_u64(table, hash);
}

static rusk_status write_section(rusk_container_writer *w, rusk_strbuf *table,
                                 const section_plan *plan, rusk_error *err) {
    size_t len = plan->data->len_bytes;
    if (plan->data->failed) {
        return rusk_fail_memory(err, len, plan->tag);
    }
    if (len > plan->max_bytes) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "section %s: expected at most %zu bytes, found %zu", plan->tag,
                         plan->max_bytes, len);
    }
    if (len == 0) {
        return RUSK_OK;
    }
    add_section(table, plan->tag, plan->critical, w->out.pos_bytes, len,
                rusk_hash64(plan->data->data, len));
    return rusk_output_write(&w->out, plan->data->data, len, err);
}

/* The sections that were gathered in parts: TNSR, BLKS, TBLS. */
static void join_parts(const rusk_container_writer *w, rusk_strbuf *tnsr, rusk_strbuf *blks,
                       rusk_strbuf *tbls) {
    rusk_strbuf_add_u32(tnsr, w->n_tensors);
    rusk_strbuf_add(tnsr, w->tensors.data, w->tensors.len_bytes);
    if (w->n_extents > 0) {
        rusk_strbuf_add_u32(blks, w->n_extents);
        rusk_strbuf_add_u32(blks, w->n_blocks);
        rusk_strbuf_add(blks, w->extents.data, w->extents.len_bytes);
        rusk_strbuf_add(blks, w->blocks.data, w->blocks.len_bytes);
    }
    if (w->n_tables > 0) {
        rusk_strbuf_add_u32(tbls, w->n_tables);
        rusk_strbuf_add(tbls, w->table_lengths.data, w->table_lengths.len_bytes);
        rusk_strbuf_add(tbls, w->tables.data, w->tables.len_bytes);
    }
}

static rusk_status write_sections(rusk_container_writer *w, rusk_strbuf *table, rusk_error *err) {
    if (w->n_extents > 0) {
        add_section(table, "DATA", true, RUSK_PAGE_BYTES, w->out.pos_bytes - RUSK_PAGE_BYTES, 0);
    }
    section_plan head = {"HEAD", &w->head, RUSK_CONTAINER_MAX_HEAD, true};
    RUSK_TRY(write_section(w, table, &head, err));
    for (size_t i = 0; i < w->n_opaque; i++) {
        const opaque_section *s = &w->opaque[i];
        section_plan plan = {s->tag, &s->data, opaque_limit(s->tag),
                             memcmp(s->tag, "TOKN", 4) == 0};
        RUSK_TRY(write_section(w, table, &plan, err));
    }
    rusk_strbuf parts[3];
    for (size_t i = 0; i < RUSK_COUNT(parts); i++) {
        rusk_strbuf_init(&parts[i], w->alloc, RUSK_MEM_METADATA);
    }
    join_parts(w, &parts[0], &parts[1], &parts[2]);
    const section_plan plans[] = {
        {"TNSR", &parts[0], RUSK_CONTAINER_MAX_TNSR, true},
        {"BLKS", &parts[1], RUSK_CONTAINER_MAX_BLKS, true},
        {"TBLS", &parts[2], RUSK_CONTAINER_MAX_TBLS, true},
        {"SIDE", &w->side, RUSK_CONTAINER_MAX_SIDE, true},
    };
    rusk_status status = RUSK_OK;
    for (size_t i = 0; i < RUSK_COUNT(plans) && status == RUSK_OK; i++) {
        status = write_section(w, table, &plans[i], err);
    }
    for (size_t i = 0; i < RUSK_COUNT(parts); i++) {
        rusk_strbuf_finish(&parts[i]);
    }
    return status;
}

static rusk_status write_ends(rusk_container_writer *w, rusk_strbuf *table, rusk_error *err) {
    if (w->in_extent) {
        RUSK_TRY(end_extent(w, err));
    }
    RUSK_TRY(write_sections(w, table, err));
    if (table->failed) {
        return rusk_fail_memory(err, table->len_bytes, "the section table");
    }
    uint8_t super[RUSK_SUPERBLOCK_BYTES] = RUSK_CONTAINER_MAGIC_BYTES;
    rusk_store_u32(super + 8, RUSK_CONTAINER_VERSION);
    rusk_store_u64(super + 16, w->out.pos_bytes);
    rusk_store_u64(super + 24, table->len_bytes);
    rusk_store_u64(super + 32, rusk_hash64(table->data, table->len_bytes));
    rusk_store_u64(super + RUSK_SUPERBLOCK_HASH_AT, rusk_hash64(super, RUSK_SUPERBLOCK_HASH_AT));
    RUSK_TRY(rusk_output_write(&w->out, table->data, table->len_bytes, err));
    return rusk_output_patch(&w->out, 0, super, sizeof super, err);
}

rusk_status rusk_container_writer_commit(rusk_container_writer *w, uint64_t *file_bytes,
                                         rusk_error *err) {
    rusk_status status = check_usable(w, err);
    if (status == RUSK_OK && (w->in_tensor || !w->has_head)) {
        status =
            rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET, "container: cannot commit %s",
                      w->in_tensor ? "inside a tensor" : "without HEAD");
    }
    if (status == RUSK_OK) {
        rusk_strbuf table;
        rusk_strbuf_init(&table, w->alloc, RUSK_MEM_METADATA);
        status = write_ends(w, &table, err);
        rusk_strbuf_finish(&table);
    }
    if (status == RUSK_OK) {
        uint64_t bytes = w->out.pos_bytes;
        status = rusk_output_commit(&w->out, err);
        if (status == RUSK_OK && file_bytes != NULL) {
            *file_bytes = bytes;
        }
    }
    rusk_container_writer_discard(w);
    return status;
}
