/* container_read.c - opens a .rusk file and reads its blocks (docs/format/container.md).
 *
 * Opening reads superblock, section table and the sections of the index; DATA is not touched. What
 * stays in memory is the index: 12 bytes a block, 5 a row, the small vectors, tables and texts. */
#include "base/assert.h"
#include "base/hash.h"
#include "format/container_index.h"

static const rusk_container *container_of(const rusk_source *s) {
    return (const rusk_container *)(const void *)s;
}

/* --- superblock and section table --- */

static rusk_status read_superblock(rusk_container *c, uint64_t *table_offset, uint64_t *table_bytes,
                                   uint64_t *table_hash, rusk_error *err) {
    uint8_t b[RUSK_SUPERBLOCK_BYTES];
    if (c->in.size_bytes < sizeof b) {
        return rusk_fail(err, RUSK_FORMAT, c->in.size_bytes,
                         "'%s' is truncated: expected a superblock of %zu bytes, found %llu",
                         c->in.path, sizeof b, (unsigned long long)c->in.size_bytes);
    }
    RUSK_TRY(rusk_input_read(&c->in, 0, b, sizeof b, err));
    if (memcmp(b, RUSK_CONTAINER_MAGIC_BYTES, 8) != 0) {
        return rusk_fail(err, RUSK_FORMAT, 0, "'%s' is no .rusk file: its first 8 bytes are others",
                         c->in.path);
    }
    uint32_t version = rusk_load_u32(b + 8);
    if (version > RUSK_CONTAINER_VERSION) {
        return rusk_fail(err, RUSK_UNSUPPORTED, 8,
                         "'%s' was made by a newer rusk: expected container version %d, found %u",
                         c->in.path, RUSK_CONTAINER_VERSION, version);
    }
    if (rusk_load_u64(b + RUSK_SUPERBLOCK_HASH_AT) != rusk_hash64(b, RUSK_SUPERBLOCK_HASH_AT)) {
        return rusk_fail(err, RUSK_DAMAGED, 0, "'%s': the superblock's checksum does not match",
                         c->in.path);
    }
    static const uint8_t ZEROS[RUSK_SUPERBLOCK_HASH_AT - 40];
    if (version == 0 || rusk_load_u32(b + 12) != 0 || memcmp(b + 40, ZEROS, sizeof ZEROS) != 0) {
        return rusk_fail(err, RUSK_FORMAT, 8,
                         "'%s': expected version 1, flags 0 and zeros in the superblock, found "
                         "version %u, flags %u",
                         c->in.path, version, rusk_load_u32(b + 12));
    }
    *table_offset = rusk_load_u64(b + 16);
    *table_bytes = rusk_load_u64(b + 24);
    *table_hash = rusk_load_u64(b + 32);
    return RUSK_OK;
}

static rusk_status check_table_place(const rusk_container *c, uint64_t offset, uint64_t bytes,
                                     rusk_error *err) {
    uint64_t size = c->in.size_bytes;
    if (bytes % RUSK_SECTION_ENTRY_BYTES != 0 ||
        bytes / RUSK_SECTION_ENTRY_BYTES > RUSK_CONTAINER_MAX_SECTIONS) {
        return rusk_fail(err, RUSK_FORMAT, 24,
                         "'%s': expected a section table of at most %u entries of %d bytes, found "
                         "%llu bytes",
                         c->in.path, RUSK_CONTAINER_MAX_SECTIONS, RUSK_SECTION_ENTRY_BYTES,
                         (unsigned long long)bytes);
    }
    if (offset > size || bytes > size - offset) {
        return rusk_fail(err, RUSK_FORMAT, size,
                         "'%s' is truncated: expected its section table at %llu, found its end at "
                         "%llu",
                         c->in.path, (unsigned long long)offset, (unsigned long long)size);
    }
    if (offset < RUSK_SUPERBLOCK_BYTES || bytes != size - offset) {
        return rusk_fail(err, RUSK_FORMAT, 16,
                         "'%s': expected the section table as the file's last bytes, found it at "
                         "%llu, %llu bytes of %llu",
                         c->in.path, (unsigned long long)offset, (unsigned long long)bytes,
                         (unsigned long long)size);
    }
    return RUSK_OK;
}

static rusk_status read_section_table(rusk_container *c, rusk_error *err) {
    uint64_t offset = 0, bytes = 0, hash = 0;
    uint8_t b[RUSK_CONTAINER_MAX_SECTIONS * RUSK_SECTION_ENTRY_BYTES];
    RUSK_TRY(read_superblock(c, &offset, &bytes, &hash, err));
    RUSK_TRY(check_table_place(c, offset, bytes, err));
    RUSK_TRY(rusk_input_read(&c->in, offset, b, (size_t)bytes, err));
    if (rusk_hash64(b, (size_t)bytes) != hash) {
        return rusk_fail(err, RUSK_DAMAGED, offset,
                         "'%s': the section table's checksum does not match", c->in.path);
    }
    uint64_t least = RUSK_SUPERBLOCK_BYTES;
    for (size_t i = 0; i < bytes / RUSK_SECTION_ENTRY_BYTES; i++) {
        const uint8_t *p = b + i * RUSK_SECTION_ENTRY_BYTES;
        rusk_container_section s = {.critical = (p[4] & RUSK_SECTION_CRITICAL) != 0,
                                    .offset = rusk_load_u64(p + 8),
                                    .len_bytes = rusk_load_u64(p + 16),
                                    .hash = rusk_load_u64(p + 24)};
        memcpy(s.tag, p, 4);
        uint64_t at = offset + i * RUSK_SECTION_ENTRY_BYTES;
        if (s.offset < least || s.offset > offset || s.len_bytes > offset - s.offset) {
            return rusk_fail(
                err, RUSK_FORMAT, at,
                "'%s', section %zu: expected a place from %llu to %llu, found %llu and "
                "%llu bytes",
                c->in.path, i, (unsigned long long)least, (unsigned long long)offset,
                (unsigned long long)s.offset, (unsigned long long)s.len_bytes);
        }
        if (rusk_load_u32(p + 4) > RUSK_SECTION_CRITICAL || rusk_container_find(c, s.tag) != NULL) {
            return rusk_fail(err, RUSK_FORMAT, at,
                             "'%s', section %zu: expected flags 0 or 1 and a tag of its own, found "
                             "flags %u",
                             c->in.path, i, rusk_load_u32(p + 4));
        }
        least = s.offset + s.len_bytes;
        c->sections[c->n_sections++] = s;
    }
    return RUSK_OK;
}

/* --- sections --- */

typedef struct known_section {
    const char *tag;
    uint64_t max_bytes;
    rusk_mem_tag memory;
    bool needed;
} known_section;

static const known_section KNOWN[] = {
    {"HEAD", RUSK_CONTAINER_MAX_HEAD, RUSK_MEM_METADATA, true},
    {"TNSR", RUSK_CONTAINER_MAX_TNSR, RUSK_MEM_METADATA, true},
    {"BLKS", RUSK_CONTAINER_MAX_BLKS, RUSK_MEM_METADATA, false},
    {"TBLS", RUSK_CONTAINER_MAX_TBLS, RUSK_MEM_TABLES, false},
    {"SIDE", RUSK_CONTAINER_MAX_SIDE, RUSK_MEM_METADATA, false},
    {"TOKN", RUSK_CONTAINER_MAX_TOKN, RUSK_MEM_TOKENIZER, false},
    {"CHAT", RUSK_CONTAINER_MAX_CHAT, RUSK_MEM_TOKENIZER, false},
};

rusk_container_section *rusk_container_find(rusk_container *c, const char *tag) {
    for (size_t i = 0; i < c->n_sections; i++) {
        if (memcmp(c->sections[i].tag, tag, 4) == 0) {
            return &c->sections[i];
        }
    }
    return NULL;
}

static bool is_known(const rusk_container_section *s) {
    for (size_t i = 0; i < RUSK_COUNT(KNOWN); i++) {
        if (memcmp(s->tag, KNOWN[i].tag, 4) == 0) {
            return true;
        }
    }
    return memcmp(s->tag, "DATA", 4) == 0;
}

static rusk_status load_section(rusk_container *c, const known_section *known, rusk_error *err) {
    rusk_container_section *s = rusk_container_find(c, known->tag);
    if (s == NULL || s->len_bytes > known->max_bytes) {
        return s == NULL && !known->needed
                   ? RUSK_OK
                   : rusk_fail(err, RUSK_FORMAT, s != NULL ? s->offset : RUSK_NO_OFFSET,
                               "'%s': expected a section %s of at most %llu bytes, found %s",
                               c->in.path, known->tag, (unsigned long long)known->max_bytes,
                               s != NULL ? "more" : "none");
    }
    s->data = rusk_alloc_get(c->alloc, known->memory, (size_t)s->len_bytes);
    if (s->data == NULL) {
        return rusk_fail_memory(err, (size_t)s->len_bytes, known->tag);
    }
    RUSK_TRY(rusk_input_read(&c->in, s->offset, s->data, (size_t)s->len_bytes, err));
    if (rusk_hash64(s->data, (size_t)s->len_bytes) != s->hash) {
        return rusk_fail(err, RUSK_DAMAGED, s->offset,
                         "'%s': checksum of section %s (offset %llu, %llu bytes) does not match",
                         c->in.path, known->tag, (unsigned long long)s->offset,
                         (unsigned long long)s->len_bytes);
    }
    return RUSK_OK;
}

static rusk_status load_sections(rusk_container *c, rusk_error *err) {
    for (size_t i = 0; i < c->n_sections; i++) {
        const rusk_container_section *s = &c->sections[i];
        if (!is_known(s) && s->critical) {
            return rusk_fail(
                err, RUSK_UNSUPPORTED, s->offset,
                "'%s' needs a newer rusk: unknown critical section %02x %02x %02x %02x", c->in.path,
                (unsigned char)s->tag[0], (unsigned char)s->tag[1], (unsigned char)s->tag[2],
                (unsigned char)s->tag[3]);
        }
    }
    const rusk_container_section *data = rusk_container_find(c, "DATA");
    if (data != NULL &&
        (data->offset % RUSK_PAGE_BYTES != 0 || data->len_bytes % RUSK_PAGE_BYTES != 0)) {
        return rusk_fail(err, RUSK_FORMAT, data->offset,
                         "'%s': expected DATA on whole pages, found it at %llu, %llu bytes",
                         c->in.path, (unsigned long long)data->offset,
                         (unsigned long long)data->len_bytes);
    }
    for (size_t i = 0; i < RUSK_COUNT(KNOWN); i++) {
        RUSK_TRY(load_section(c, &KNOWN[i], err));
    }
    return RUSK_OK;
}

static void unload(rusk_container *c, const char *tag) {
    rusk_container_section *s = rusk_container_find(c, tag);
    if (s != NULL) {
        rusk_alloc_put(c->alloc, s->data);
        s->data = NULL;
    }
}

/* --- open and close --- */

static void container_close(rusk_source *source) {
    rusk_container *c = (rusk_container *)(void *)source;
    for (size_t i = 0; i < c->n_sections; i++) {
        rusk_alloc_put(c->alloc, c->sections[i].data);
    }
    rusk_alloc_put(c->alloc, c->vectors);
    rusk_alloc_put(c->alloc, c->row_scales);
    rusk_arena_finish(&c->arena);
    rusk_input_close(&c->in);
    rusk_alloc_put(c->alloc, c);
}

static rusk_status container_read_rows(const rusk_source *source, size_t tensor, uint64_t row0,
                                       uint64_t n_rows, void *out, rusk_error *err) {
    const rusk_container *c = container_of(source);
    const rusk_source_tensor *t = &source->tensors[tensor];
    if (c->rows[tensor].f32 == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, t->offset,
                         "tensor '%.100s': expected an F32 tensor, found symbols behind a codec",
                         t->name);
    }
    RUSK_ASSERT(row0 <= t->n_rows && n_rows <= t->n_rows - row0);
    memcpy(out, c->rows[tensor].f32 + 4 * row0 * t->n_cols, (size_t)(4 * n_rows * t->n_cols));
    return RUSK_OK;
}

static const rusk_source_ops OPS = {.close = container_close, .read_rows = container_read_rows};

static rusk_status read_all(rusk_container *c, rusk_error *err) {
    RUSK_TRY(read_section_table(c, err));
    RUSK_TRY(load_sections(c, err));
    const rusk_container_section *head = rusk_container_find(c, "HEAD");
    rusk_section_reader r = {.in = rusk_reader_over(head->data, (size_t)head->len_bytes),
                             .offset = head->offset,
                             .tag = "HEAD"};
    rusk_meta *meta;
    RUSK_TRY(
        rusk_container_read_head(&r, &c->arena, &c->provenance, &meta, &c->source.n_meta, err));
    c->source.meta = meta;
    RUSK_TRY(rusk_container_read_index(c, err));
    unload(c, "SIDE");
    return RUSK_OK;
}

rusk_status rusk_container_open(rusk_source **out, rusk_alloc *alloc, const char *path,
                                rusk_error *err) {
    *out = NULL;
    rusk_container *c = rusk_alloc_zero(alloc, RUSK_MEM_METADATA, 1, sizeof *c);
    if (c == NULL) {
        return rusk_fail_memory(err, sizeof *c, "a container");
    }
    c->alloc = alloc;
    rusk_arena_init(&c->arena, alloc, RUSK_MEM_METADATA);
    rusk_status status = rusk_input_open(&c->in, alloc, path, err);
    if (status != RUSK_OK) {
        rusk_alloc_put(alloc, c);
        return status;
    }
    c->source = (rusk_source){.ops = &OPS,
                              .alloc = alloc,
                              .path = c->in.path,
                              .format = "rusk",
                              .format_version = RUSK_CONTAINER_VERSION,
                              .file_bytes = c->in.size_bytes};
    status = read_all(c, err);
    if (status != RUSK_OK) {
        container_close(&c->source);
        return status;
    }
    *out = &c->source;
    return RUSK_OK;
}

/* --- what stands in it --- */

const rusk_container_tensor *rusk_container_get_tensor(const rusk_source *s, size_t tensor) {
    return &container_of(s)->tensors[tensor];
}

const rusk_provenance *rusk_container_get_provenance(const rusk_source *s) {
    return &container_of(s)->provenance;
}

const uint8_t *rusk_container_get_section(const rusk_source *s, const char tag[4],
                                          size_t *len_bytes) {
    const rusk_container *c = container_of(s);
    *len_bytes = 0;
    for (size_t i = 0; i < c->n_sections; i++) {
        if (memcmp(c->sections[i].tag, tag, 4) == 0 && c->sections[i].data != NULL) {
            *len_bytes = (size_t)c->sections[i].len_bytes;
            return c->sections[i].data;
        }
    }
    return NULL;
}

/* --- blocks --- */

static bool is_vector(const rusk_container *c, size_t tensor) {
    return c->tensors[tensor].dtype == RUSK_DTYPE_F32;
}

/* A block by its number in the file: its extent, and where it stands in it. */
typedef struct block_place {
    const rusk_container_extent *extent;
    uint32_t start, len_bytes;
} block_place;

static block_place place_of(const rusk_container *c, uint64_t block) {
    const rusk_container_extent *e = rusk_container_extent_of(c, block);
    bool is_last = e + 1 == c->extents + c->n_extents ? block + 1 == c->n_blocks
                                                      : block + 1 == e[1].first_block;
    uint32_t start = rusk_container_block_start(c, block);
    uint32_t end = is_last ? e->block_bytes : rusk_container_block_start(c, block + 1);
    return (block_place){.extent = e, .start = start, .len_bytes = end - start};
}

static size_t vector_bytes(const rusk_container *c, size_t tensor) {
    const rusk_source_tensor *t = &c->source_tensors[tensor];
    return (size_t)(4 * t->n_rows * t->n_cols);
}

uint64_t rusk_container_n_blocks(const rusk_source *s, size_t tensor) {
    return container_of(s)->rows[tensor].n_blocks;
}

size_t rusk_container_block_bytes(const rusk_source *s, size_t tensor, uint64_t block) {
    const rusk_container *c = container_of(s);
    return is_vector(c, tensor) ? vector_bytes(c, tensor)
                                : place_of(c, c->rows[tensor].first_block + block).len_bytes;
}

uint64_t rusk_container_block_offset(const rusk_source *s, size_t tensor, uint64_t block) {
    const rusk_container *c = container_of(s);
    if (is_vector(c, tensor)) {
        for (size_t i = 0; i < c->n_sections; i++) {
            if (memcmp(c->sections[i].tag, "SIDE", 4) == 0) {
                return c->sections[i].offset + c->rows[tensor].side_offset;
            }
        }
    }
    block_place p = place_of(c, c->rows[tensor].first_block + block);
    return p.extent->offset + p.start;
}

static rusk_status verify(const rusk_container *c, size_t tensor, uint64_t block,
                          const uint8_t *data, rusk_error *err) {
    uint64_t index = c->rows[tensor].first_block + block;
    block_place p = place_of(c, index);
    uint64_t expected = rusk_load_u64(c->blocks + index * RUSK_BLOCK_ENTRY_BYTES + 4);
    if (rusk_hash64(data, p.len_bytes) == expected) {
        return RUSK_OK;
    }
    uint64_t offset = p.extent->offset + p.start;
    return rusk_fail(err, RUSK_DAMAGED, offset,
                     "'%s': tensor '%.100s', block %llu: checksum of %u bytes at offset %llu does "
                     "not match",
                     c->in.path, c->tensors[tensor].name, (unsigned long long)block, p.len_bytes,
                     (unsigned long long)offset);
}

rusk_status rusk_container_read_block(const rusk_source *s, size_t tensor, uint64_t block,
                                      uint8_t *buf, rusk_error *err) {
    const uint8_t *start;
    return rusk_container_read_span(s, tensor, block, 1, buf, &start, err);
}

/* How many of the blocks from `block` on stand in one extent (at most n), and their bytes. */
static uint64_t run_of(const rusk_container *c, uint64_t block, uint64_t n, block_place *place,
                       size_t *len_bytes) {
    *place = place_of(c, block);
    const rusk_container_extent *e = place->extent;
    uint64_t end = e + 1 == c->extents + c->n_extents ? c->n_blocks : e[1].first_block;
    uint64_t run = RUSK_MIN(n, end - block);
    uint32_t stop =
        block + run == end ? e->block_bytes : rusk_container_block_start(c, block + run);
    *len_bytes = stop - place->start;
    return run;
}

size_t rusk_container_span_bytes(const rusk_source *s, size_t tensor, uint64_t block0, uint64_t n) {
    const rusk_container *c = container_of(s);
    if (is_vector(c, tensor)) {
        return n == 0 ? 0 : vector_bytes(c, tensor) + RUSK_BLOCK_OVERREAD;
    }
    size_t total = 0;
    for (uint64_t b = c->rows[tensor].first_block + block0; n > 0;) {
        block_place place;
        size_t len_bytes;
        uint64_t run = run_of(c, b, n, &place, &len_bytes);
        total += len_bytes + RUSK_BLOCK_OVERREAD;
        b += run;
        n -= run;
    }
    return total;
}

rusk_status rusk_container_read_span(const rusk_source *s, size_t tensor, uint64_t block0,
                                     uint64_t n, uint8_t *buf, const uint8_t **out,
                                     rusk_error *err) {
    const rusk_container *c = container_of(s);
    RUSK_ASSERT(block0 <= c->rows[tensor].n_blocks && n <= c->rows[tensor].n_blocks - block0);
    if (is_vector(c, tensor) && n > 0) {
        memcpy(buf, c->rows[tensor].f32, vector_bytes(c, tensor));
        memset(buf + vector_bytes(c, tensor), 0, RUSK_BLOCK_OVERREAD);
        out[0] = buf;
        return RUSK_OK;
    }
    uint64_t first = c->rows[tensor].first_block;
    for (uint64_t done = 0; done < n;) {
        block_place place;
        size_t len_bytes;
        uint64_t run = run_of(c, first + block0 + done, n - done, &place, &len_bytes);
        RUSK_TRY(rusk_input_read(&c->in, place.extent->offset + place.start, buf, len_bytes, err));
        for (uint64_t i = 0; i < run; i++, done++) {
            uint64_t index = first + block0 + done;
            out[done] = buf + (rusk_container_block_start(c, index) - place.start);
            RUSK_TRY(verify(c, tensor, block0 + done, out[done], err));
        }
        memset(buf + len_bytes, 0, RUSK_BLOCK_OVERREAD);
        buf += len_bytes + RUSK_BLOCK_OVERREAD;
    }
    return RUSK_OK;
}
