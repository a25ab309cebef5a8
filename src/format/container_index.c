/* container_index.c - the index of a .rusk file: sections TNSR, BLKS, TBLS and SIDE, validated
 * against each other (docs/format/container.md, sections 5 to 8).
 *
 * Order matters to the bound on memory: tensors are counted against TNSR's length, blocks and
 * extents against that of BLKS, rows against that of SIDE, each before anything is allocated. */
#include "format/container_index.h"

#include <string.h>

#include "base/assert.h"
#include "base/fp.h"

/* The shortest entry of TNSR is an F32 vector's: name of one byte, no roles, codec "none", no
 * quantizer (3 + 2 + 6 + 2), flags, dimensions, one of them, two types, extra: a byte each. */
enum { LEAST_ENTRY_BYTES = 19 };

static rusk_section_reader reader_over(const rusk_container_section *s) {
    if (s == NULL) {
        return (rusk_section_reader){.in = rusk_reader_over("", 0), .tag = "(absent)"};
    }
    return (rusk_section_reader){
        .in = rusk_reader_over(s->data, (size_t)s->len_bytes), .offset = s->offset, .tag = s->tag};
}

static bool is_finite(float value) {
    return (rusk_f32_bits(value) & 0x7F800000U) != 0x7F800000U;
}

static bool is_coded(const rusk_container_tensor *t) {
    return t->dtype == RUSK_DTYPE_SYM8;
}

/* --- TNSR --- */

static rusk_status read_texts(rusk_section_reader *r, rusk_container_tensor *t, rusk_error *err) {
    rusk_text name, roles, codec, quantizer;
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_KEY, true, "a tensor's name", &name, err));
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_ROLES, true, "roles", &roles, err));
    RUSK_TRY(rusk_section_text(r, RUSK_CONTAINER_MAX_CODEC, true, "a codec", &codec, err));
    RUSK_TRY(
        rusk_section_text(r, RUSK_CONTAINER_MAX_QUANTIZER, true, "a quantizer", &quantizer, err));
    t->name = name.data;
    t->roles = roles.data;
    t->codec = codec.data;
    t->quantizer = quantizer.data;
    return RUSK_OK;
}

static rusk_status read_types(rusk_section_reader *r, rusk_container_tensor *t, rusk_error *err) {
    uint64_t dtype = rusk_reader_varint(&r->in);
    uint64_t source_dtype = rusk_reader_varint(&r->in);
    if (!rusk_reader_ok(&r->in)) {
        return rusk_section_end(r, err);
    }
    if (dtype != RUSK_DTYPE_F32 && dtype != RUSK_DTYPE_SYM8) {
        return rusk_fail(err, RUSK_UNSUPPORTED, r->offset + r->in.pos,
                         "tensor '%.100s': expected type 0 (F32) or 1000 (SYM8), found %llu",
                         t->name, (unsigned long long)dtype);
    }
    if (source_dtype > UINT32_MAX || rusk_dtype_find((uint32_t)source_dtype) == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, r->offset + r->in.pos,
                         "tensor '%.100s': unknown source type %llu", t->name,
                         (unsigned long long)source_dtype);
    }
    t->dtype = (rusk_dtype)dtype;
    t->source_dtype = (rusk_dtype)source_dtype;
    return RUSK_OK;
}

static rusk_status read_coding(rusk_section_reader *r, rusk_container_tensor *t,
                               rusk_container_rows *rows, rusk_error *err) {
    t->symbol_offset = rusk_reader_f32(&r->in);
    rows->scale_unit = rusk_reader_f32(&r->in);
    uint64_t block_rows = rusk_reader_varint(&r->in);
    uint64_t table = rusk_reader_varint(&r->in);
    if (!rusk_reader_ok(&r->in)) {
        return rusk_section_end(r, err);
    }
    if (!is_finite(rows->scale_unit) || !(rows->scale_unit > 0)) {
        return rusk_fail(err, RUSK_FORMAT, r->offset + r->in.pos,
                         "tensor '%.100s': expected a finite scale unit above 0, found %g", t->name,
                         (double)rows->scale_unit);
    }
    if (block_rows > UINT32_MAX || table > UINT32_MAX) {
        return rusk_section_fail(r, err, "block rows or code table out of range");
    }
    t->block_rows = (uint32_t)block_rows;
    rows->table = (uint32_t)table;
    return RUSK_OK;
}

static rusk_status read_tensor(rusk_section_reader *r, rusk_container_tensor *t,
                               rusk_container_rows *rows, rusk_source_tensor *st, rusk_error *err) {
    RUSK_TRY(read_texts(r, t, err));
    uint8_t flags = rusk_reader_u8(&r->in);
    t->n_dims = rusk_reader_u8(&r->in);
    if (flags != 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, r->offset + r->in.pos,
                         "tensor '%.100s': expected flags 0, found %u: it needs a newer rusk",
                         t->name, flags);
    }
    for (uint32_t i = 0; i < t->n_dims; i++) {
        uint64_t size = rusk_reader_varint(&r->in);
        t->shape[RUSK_MIN(i, RUSK_MAX_DIMS - 1U)] = size; /* too many are refused below */
    }
    RUSK_TRY(read_types(r, t, err));
    if (is_coded(t)) {
        RUSK_TRY(read_coding(r, t, rows, err));
    }
    uint64_t n_extra = rusk_reader_varint(&r->in);
    if (n_extra > RUSK_CONTAINER_MAX_EXTRA || rusk_reader_take(&r->in, (size_t)n_extra) == NULL) {
        return rusk_section_fail(r, err, "extra bytes of a tensor expected to fit the section");
    }
    uint64_t at = r->offset + r->in.pos;
    RUSK_TRY(rusk_container_check_tensor(t, RUSK_FORMAT, at, &st->n_rows, &st->n_cols, err));
    if (is_coded(t) && t->block_rows > st->n_rows) {
        return rusk_fail(err, RUSK_FORMAT, at,
                         "tensor '%.100s': expected blocks of at most %llu rows, found %u", t->name,
                         (unsigned long long)st->n_rows, t->block_rows);
    }
    return RUSK_OK;
}

static rusk_status check_names(rusk_container *c, rusk_error *err) {
    const char **names = rusk_alloc_zero(c->alloc, RUSK_MEM_SCRATCH, c->n_tensors, sizeof *names);
    if (names == NULL) {
        return rusk_fail_memory(err, c->n_tensors * sizeof *names, "tensor names");
    }
    for (size_t i = 0; i < c->n_tensors; i++) {
        names[i] = c->tensors[i].name;
    }
    rusk_status status =
        rusk_container_check_unique(c->alloc, names, c->n_tensors, RUSK_FORMAT, "tensor", err);
    rusk_alloc_put(c->alloc, names);
    return status;
}

static rusk_status read_tensors(rusk_container *c, rusk_error *err) {
    rusk_section_reader r = reader_over(rusk_container_find(c, "TNSR"));
    uint32_t n = rusk_reader_u32(&r.in);
    if (!rusk_reader_ok(&r.in) || n > RUSK_CONTAINER_MAX_TENSORS ||
        n > rusk_reader_left(&r.in) / LEAST_ENTRY_BYTES) {
        return rusk_section_fail(&r, err,
                                 "more tensors than the section or the limit of 65536 "
                                 "allows");
    }
    c->n_tensors = n;
    c->tensors = rusk_arena_get(&c->arena, n, sizeof *c->tensors);
    c->rows = rusk_arena_get(&c->arena, n, sizeof *c->rows);
    c->source_tensors = rusk_arena_get(&c->arena, n, sizeof *c->source_tensors);
    if (c->tensors == NULL || c->rows == NULL || c->source_tensors == NULL) {
        return rusk_fail_memory(err, n * sizeof *c->tensors, "the tensor index");
    }
    for (size_t i = 0; i < n; i++) {
        RUSK_TRY(read_tensor(&r, &c->tensors[i], &c->rows[i], &c->source_tensors[i], err));
    }
    RUSK_TRY(rusk_section_end(&r, err));
    return check_names(c, err);
}

/* --- TBLS --- */

static rusk_status read_tables(rusk_container *c, rusk_error *err) {
    const rusk_container_section *s = rusk_container_find(c, "TBLS");
    rusk_section_reader r = reader_over(s);
    uint32_t n = s == NULL ? 0 : rusk_reader_u32(&r.in);
    if (!rusk_reader_ok(&r.in) || n > rusk_reader_left(&r.in) / 4) {
        return rusk_section_fail(&r, err, "more tables than the section has room for");
    }
    rusk_text *tables = rusk_arena_get(&c->arena, n, sizeof *tables);
    bool *counted = rusk_arena_get(&c->arena, n, sizeof *counted);
    if (tables == NULL || counted == NULL) {
        return rusk_fail_memory(err, n * sizeof *tables, "the code tables");
    }
    for (uint32_t i = 0; i < n; i++) {
        tables[i].len_bytes = rusk_reader_u32(&r.in);
    }
    for (uint32_t i = 0; i < n; i++) {
        tables[i].data = (const char *)rusk_reader_take(&r.in, tables[i].len_bytes);
    }
    RUSK_TRY(rusk_section_end(&r, err));
    for (size_t i = 0; i < c->n_tensors; i++) {
        uint32_t table = c->rows[i].table;
        if (table > n) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "tensor '%.100s': expected a code table of 1 to %u, found %u",
                             c->tensors[i].name, n, table);
        }
        if (table > 0) {
            c->tensors[i].tables = (const uint8_t *)tables[table - 1].data;
            c->tensors[i].tables_bytes = tables[table - 1].len_bytes;
            /* its bytes are those of the first tensor that uses it */
            c->source_tensors[i].bytes += counted[table - 1] ? 0 : tables[table - 1].len_bytes;
            counted[table - 1] = true;
        }
    }
    return RUSK_OK;
}

/* --- BLKS --- */

static rusk_status read_extents(rusk_container *c, rusk_section_reader *r, rusk_error *err) {
    const rusk_container_section *data = rusk_container_find(c, "DATA");
    uint64_t least = data != NULL ? data->offset : 0;
    uint64_t end = data != NULL ? data->offset + data->len_bytes : 0;
    uint64_t first_block = 0, first_byte = 0;
    for (size_t i = 0; i < c->n_extents; i++) {
        rusk_container_extent *e = &c->extents[i];
        uint64_t at = r->offset + r->in.pos;
        e->offset = rusk_reader_u64(&r->in);
        e->block_bytes = rusk_reader_u32(&r->in);
        uint32_t n_blocks = rusk_reader_u32(&r->in);
        e->first_block = first_block;
        e->first_byte = first_byte;
        first_block += n_blocks;
        first_byte += e->block_bytes;
        if (e->block_bytes > RUSK_CONTAINER_MAX_EXTENT || n_blocks == 0 ||
            first_block > c->n_blocks) {
            return rusk_fail(err, RUSK_FORMAT, at,
                             "extent %zu: expected at most %u bytes and 1 to %llu blocks, found %u "
                             "and %u",
                             i, RUSK_CONTAINER_MAX_EXTENT,
                             (unsigned long long)(c->n_blocks - e->first_block), e->block_bytes,
                             n_blocks);
        }
        if (e->offset % RUSK_PAGE_BYTES != 0 || e->offset < least || e->offset > end ||
            rusk_extent_room(e->block_bytes) > end - e->offset) {
            return rusk_fail(err, RUSK_FORMAT, at,
                             "extent %zu: expected a page of DATA from %llu to %llu, found offset "
                             "%llu and %u bytes",
                             i, (unsigned long long)least, (unsigned long long)end,
                             (unsigned long long)e->offset, e->block_bytes);
        }
        least = e->offset + rusk_extent_room(e->block_bytes);
    }
    if (first_block != c->n_blocks) {
        return rusk_section_fail(r, err, "extents hold fewer blocks than there are");
    }
    return RUSK_OK;
}

uint32_t rusk_container_block_start(const rusk_container *c, uint64_t block) {
    return rusk_load_u32(c->blocks + block * RUSK_BLOCK_ENTRY_BYTES);
}

const rusk_container_extent *rusk_container_extent_of(const rusk_container *c, uint64_t block) {
    size_t low = 0, high = c->n_extents; /* the last extent whose first block is not above */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (c->extents[middle].first_block <= block) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return c->n_extents == 0 ? NULL : &c->extents[low];
}

static rusk_status check_block_offsets(const rusk_container *c, const rusk_section_reader *r,
                                       rusk_error *err) {
    for (size_t i = 0; i < c->n_extents; i++) {
        const rusk_container_extent *e = &c->extents[i];
        uint64_t end = i + 1 < c->n_extents ? e[1].first_block : c->n_blocks;
        uint32_t least = 0;
        for (uint64_t b = e->first_block; b < end; b++) {
            uint32_t start = rusk_container_block_start(c, b);
            if (start < least || start > e->block_bytes || (b == e->first_block && start != 0)) {
                return rusk_fail(err, RUSK_FORMAT, r->offset + r->in.pos,
                                 "block %llu: expected an offset of %u to %u in extent %zu, found "
                                 "%u",
                                 (unsigned long long)b, least,
                                 b == e->first_block ? 0 : e->block_bytes, i, start);
            }
            least = start;
        }
    }
    return RUSK_OK;
}

static rusk_status read_blocks(rusk_container *c, rusk_error *err) {
    const rusk_container_section *s = rusk_container_find(c, "BLKS");
    rusk_section_reader r = reader_over(s);
    if (s != NULL) {
        c->n_extents = rusk_reader_u32(&r.in);
        c->n_blocks = rusk_reader_u32(&r.in);
    }
    uint64_t expected = 0;
    for (size_t i = 0; i < c->n_tensors; i++) {
        rusk_container_rows *rows = &c->rows[i];
        uint32_t block_rows = c->tensors[i].block_rows;
        rows->first_block = expected;
        rows->n_blocks = 1;
        if (is_coded(&c->tensors[i])) {
            rows->n_blocks = (c->source_tensors[i].n_rows + block_rows - 1) / block_rows;
            expected += rows->n_blocks;
        }
    }
    uint64_t bytes =
        (uint64_t)c->n_extents * RUSK_EXTENT_ENTRY_BYTES + c->n_blocks * RUSK_BLOCK_ENTRY_BYTES;
    if (!rusk_reader_ok(&r.in) || bytes != rusk_reader_left(&r.in) || expected != c->n_blocks) {
        return rusk_fail(err, RUSK_FORMAT, r.offset,
                         "section BLKS: expected %llu blocks, found %llu in %llu bytes",
                         (unsigned long long)expected, (unsigned long long)c->n_blocks,
                         (unsigned long long)r.in.len_bytes);
    }
    c->extents = rusk_arena_get(&c->arena, c->n_extents, sizeof *c->extents);
    if (c->extents == NULL) {
        return rusk_fail_memory(err, c->n_extents * sizeof *c->extents, "the extent index");
    }
    RUSK_TRY(read_extents(c, &r, err));
    c->blocks = r.in.data + r.in.pos;
    return check_block_offsets(c, &r, err);
}

/* --- SIDE --- */

/* Offsets of each tensor's part; *n_rows and *f32_bytes are sums over SYM8 and F32 tensors. */
static rusk_status lay_out_side(rusk_container *c, uint64_t side_bytes, uint64_t *n_rows,
                                uint64_t *f32_bytes, rusk_error *err) {
    uint64_t offset = 0;
    *n_rows = *f32_bytes = 0;
    for (size_t i = 0; i < c->n_tensors; i++) {
        rusk_source_tensor *st = &c->source_tensors[i];
        uint64_t bytes = rusk_container_side_bytes(c->tensors[i].dtype, st->n_rows, st->n_cols);
        c->rows[i].side_offset = offset;
        offset += bytes; /* each below 2^58 and the sum checked at once: no overflow */
        if (offset > side_bytes) {
            break;
        }
        st->bytes += bytes;
        *n_rows += is_coded(&c->tensors[i]) ? st->n_rows : 0;
        *f32_bytes += is_coded(&c->tensors[i]) ? 0 : bytes;
    }
    return offset == side_bytes
               ? RUSK_OK
               : rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                           "section SIDE: expected %s bytes than the %llu found",
                           offset > side_bytes ? "more" : "fewer", (unsigned long long)side_bytes);
}

static rusk_status read_rows(rusk_container *c, size_t tensor, const uint8_t *side,
                             uint64_t section_offset, float *scales, uint8_t *classes,
                             rusk_error *err) {
    rusk_container_tensor *t = &c->tensors[tensor];
    uint64_t n = c->source_tensors[tensor].n_rows;
    const uint8_t *nibbles = side + 2 * n;
    for (uint64_t r = 0; r < n; r++) {
        scales[r] = rusk_f32_from_f16(rusk_load_u16(side + 2 * r)) * c->rows[tensor].scale_unit;
        if (!is_finite(scales[r])) {
            return rusk_fail(err, RUSK_FORMAT, section_offset + c->rows[tensor].side_offset + 2 * r,
                             "tensor '%.100s', row %llu: expected a finite scale, found %g",
                             t->name, (unsigned long long)r, (double)scales[r]);
        }
        classes[r] = (uint8_t)(nibbles[r / 2] >> 4 * (r % 2) & 15);
    }
    if (n % 2 == 1 && nibbles[n / 2] >> 4 != 0) {
        return rusk_fail(err, RUSK_FORMAT, section_offset + c->rows[tensor].side_offset,
                         "tensor '%.100s': expected 0 beyond the last row's class", t->name);
    }
    t->row_scales = scales;
    t->row_classes = classes;
    return RUSK_OK;
}

static rusk_status read_side(rusk_container *c, rusk_error *err) {
    const rusk_container_section *s = rusk_container_find(c, "SIDE");
    uint64_t n_rows, f32_bytes;
    RUSK_TRY(lay_out_side(c, s != NULL ? s->len_bytes : 0, &n_rows, &f32_bytes, err));
    if (s == NULL) {
        return RUSK_OK;
    }
    c->row_scales = rusk_alloc_get(c->alloc, RUSK_MEM_WEIGHTS, (size_t)n_rows * sizeof(float));
    c->vectors = rusk_alloc_get(c->alloc, RUSK_MEM_WEIGHTS, (size_t)(f32_bytes + n_rows));
    if (c->row_scales == NULL || c->vectors == NULL) {
        return rusk_fail_memory(err, (size_t)(f32_bytes + 5 * n_rows), "row scales and vectors");
    }
    float *scales = c->row_scales;
    uint8_t *vectors = c->vectors, *classes = c->vectors + f32_bytes;
    for (size_t i = 0; i < c->n_tensors; i++) {
        const uint8_t *side = s->data + c->rows[i].side_offset;
        const rusk_source_tensor *st = &c->source_tensors[i];
        if (is_coded(&c->tensors[i])) {
            RUSK_TRY(read_rows(c, i, side, s->offset, scales, classes, err));
            scales += st->n_rows;
            classes += st->n_rows;
        } else {
            size_t bytes = (size_t)(4 * st->n_rows * st->n_cols);
            memcpy(vectors, side, bytes);
            c->rows[i].f32 = vectors;
            vectors += bytes;
        }
    }
    return RUSK_OK;
}

/* --- what a rusk_source says of its tensors --- */

/* Bytes of all blocks before this one. */
static uint64_t bytes_before(const rusk_container *c, uint64_t block) {
    const rusk_container_extent *e = rusk_container_extent_of(c, block);
    return e == NULL ? 0
                     : e->first_byte + (block < c->n_blocks ? rusk_container_block_start(c, block)
                                                            : e->block_bytes);
}

static void describe(rusk_container *c, size_t i) {
    const rusk_container_tensor *t = &c->tensors[i];
    const rusk_container_rows *rows = &c->rows[i];
    rusk_source_tensor *st = &c->source_tensors[i];
    st->name = t->name;
    st->role = t->roles;
    st->n_dims = t->n_dims;
    memcpy(st->shape, t->shape, sizeof st->shape);
    st->dtype = rusk_dtype_find(t->dtype);
    st->codec = t->codec;
    if (is_coded(t)) {
        st->bytes += bytes_before(c, rows->first_block + rows->n_blocks) -
                     bytes_before(c, rows->first_block);
        st->bytes += rows->n_blocks * RUSK_BLOCK_ENTRY_BYTES;
    }
    st->offset = rusk_container_block_offset(&c->source, i, 0);
}

rusk_status rusk_container_read_index(rusk_container *c, rusk_error *err) {
    RUSK_TRY(read_tensors(c, err));
    RUSK_TRY(read_blocks(c, err));
    RUSK_TRY(read_tables(c, err));
    RUSK_TRY(read_side(c, err));
    for (size_t i = 0; i < c->n_tensors; i++) {
        describe(c, i);
    }
    c->source.n_tensors = c->n_tensors;
    c->source.tensors = c->source_tensors;
    return RUSK_OK;
}
