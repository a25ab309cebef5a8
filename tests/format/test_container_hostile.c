/* test_container_hostile.c - .rusk files that are cut, flipped, or wrong on purpose; a full disk;
 * no memory. A wrong file is written from `spec`, where every field of the format can be set, with
 * right checksums. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/strbuf.h"
#include "format/container.h"
#include "support/repair.h"
#include "support/test.h"
#include "support/tiny_container.h"

enum { PAGE = 4096, FILE_CAP = 1 << 16 };

static rusk_alloc alloc;
static rusk_error err;

static const test_container_plan SMALL = {
    .seed = 3, .n_tensors = 4, .most_rows = 9, .most_bytes = 30, .texts = true};

static uint8_t *small_file(size_t *len) {
    uint64_t bytes;
    const char *path = test_path("small.rusk");
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(test_container_write(&alloc, path, &SMALL, &bytes, &err), &err);
    return test_read_file(path, len);
}

/* To a new file each time: ext4 writes one that is cut and filled again to disk at once. */
static void put(const char *path, const uint8_t *file, size_t len) {
    (void)unlink(path);
    test_write_file(path, file, len);
}

static rusk_status try_open(const uint8_t *file, size_t len) {
    rusk_source *s = NULL;
    const char *path = test_path("hostile.rusk");
    put(path, file, len);
    rusk_alloc_init(&alloc, NULL);
    err.message[0] = '\0';
    rusk_status status = rusk_container_open(&s, &alloc, path, &err);
    CHECK((s != NULL) == (status == RUSK_OK));
    rusk_source_close(s);
    CHECK_EQ(alloc.bytes_total, 0);
    return status;
}

/* --- damage --- */

TEST(a_file_cut_anywhere_is_refused) {
    size_t len;
    uint8_t *file = small_file(&len);
    for (size_t cut = 0; cut < len; cut++) {
        if (cut > 80 && cut < 2 * PAGE - 80 && cut % 97 != 0) {
            continue; /* gap and DATA: every byte there is alike */
        }
        rusk_status status = try_open(file, cut);
        if (status != RUSK_FORMAT || strstr(err.message, "truncated") == NULL) {
            test_fail(__FILE__, __LINE__, "cut at %zu: %s", cut, err.message);
        }
    }
    CHECK_EQ(try_open(file, len), RUSK_OK);
    file = realloc(file, len + 1);
    file[len] = 0;
    CHECK_FAILS(try_open(file, len + 1), RUSK_FORMAT, &err, "as the file's last bytes");
    free(file);
}

/* Whether every block of a file can be read; *wrong: the number of those that cannot. */
static rusk_status read_blocks(const char *path, size_t *wrong, size_t *all) {
    static uint8_t buf[4096];
    rusk_source *s;
    RUSK_TRY(rusk_container_open(&s, &alloc, path, &err));
    *wrong = *all = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        for (uint64_t b = 0; b < rusk_container_n_blocks(s, i); b++) {
            rusk_status status = rusk_container_read_block(s, i, b, buf, &err);
            if (status != RUSK_OK) {
                CHECK_EQ(status, RUSK_DAMAGED);
                CHECK(strstr(err.message, s->tensors[i].name) != NULL);
                CHECK_EQ(err.offset, rusk_container_block_offset(s, i, b));
                (*wrong)++;
            }
            (*all)++;
        }
    }
    rusk_source_close(s);
    return RUSK_OK;
}

TEST(a_flipped_byte_is_found) {
    size_t len, wrong, all, found = 0;
    uint8_t *file = small_file(&len);
    const char *path = test_path("flipped.rusk");
    const uint8_t *blks = NULL;
    for (size_t at = (size_t)rusk_load_u64(file + 16); at < len; at += 32) {
        blks = memcmp(file + at, "BLKS", 4) == 0 ? file + rusk_load_u64(file + at + 8) : blks;
    }
    size_t data_bytes = rusk_load_u32(blks + 8 + 8);
    CHECK(data_bytes > 100);
    for (size_t at = 0; at < len; at++) {
        bool gap = (at >= 64 && at < PAGE) || (at >= PAGE + data_bytes && at < 2 * PAGE);
        if (gap && at % 311 != 0) {
            continue;
        }
        uint8_t old = file[at];
        file[at] ^= (uint8_t)(1U << at % 8);
        put(path, file, len);
        file[at] = old;
        rusk_status status = read_blocks(path, &wrong, &all);
        if (gap) {
            CHECK_OK(status, &err);
            CHECK_EQ(wrong, 0);
        } else if (at >= PAGE && at < 2 * PAGE) { /* a block: found when it is read, alone */
            CHECK_OK(status, &err);
            CHECK_EQ(wrong, 1);
            found++;
        } else if (status == RUSK_OK) {
            test_fail(__FILE__, __LINE__, "byte %zu flipped and not found", at);
        } else {
            CHECK(status == RUSK_DAMAGED || status == RUSK_FORMAT || status == RUSK_UNSUPPORTED);
        }
    }
    CHECK_EQ(found, data_bytes);
    CHECK_EQ(alloc.bytes_total, 0);
    free(file);
}

/* --- files that are wrong with right checksums --- */

typedef struct spec {
    uint32_t version, super_flags;
    uint64_t super_reserved, table_offset_shift;
    /* HEAD */
    uint64_t tool_bytes;
    char tool_end;
    uint64_t n_meta;
    const char *keys[2];
    size_t key_bytes; /* 0: strlen */
    uint8_t meta_type, elem_type;
    uint64_t meta_n;
    uint32_t meta_value;
    size_t head_extra;
    /* TNSR: a matrix and a vector */
    uint32_t n_tensors;
    const char *name, *roles, *codec, *quantizer, *vector_name;
    uint8_t entry_flags, n_dims;
    uint64_t dims[8];
    uint64_t dtype, source_dtype, block_rows, table, n_extra;
    float symbol_offset, scale_unit;
    size_t tnsr_extra;
    /* BLKS: one extent, two blocks */
    uint32_t n_extents, n_blocks, extent_bytes, extent_blocks;
    uint64_t extent_offset;
    uint64_t second_offset; /* 0: no second extent, which takes the second block */
    uint32_t starts[2];
    size_t blks_extra;
    /* TBLS */
    uint32_t n_tables, table_bytes;
    size_t tbls_extra;
    /* SIDE */
    uint16_t scales[3];
    uint8_t classes[2];
    size_t side_extra;
    /* section table */
    uint64_t data_offset, data_bytes;
    const char *drop, *extra_tag; /* a section left out; one more, with flags */
    uint32_t extra_flags, all_flags;
} spec;

static spec good_spec(void) {
    return (spec){.version = 1,
                  .tool_bytes = 4,
                  .n_meta = 2,
                  .keys = {"k1", "k2"},
                  .meta_type = RUSK_META_BOOL,
                  .meta_n = 1,
                  .meta_value = 1,
                  .n_tensors = 2,
                  .name = "m",
                  .roles = "attn_q",
                  .codec = "raw",
                  .quantizer = "uniform",
                  .vector_name = "v",
                  .n_dims = 2,
                  .dims = {3, 4, 1, 1, 1, 1, 1, 1},
                  .dtype = RUSK_DTYPE_SYM8,
                  .source_dtype = RUSK_DTYPE_F16,
                  .block_rows = 2,
                  .table = 1,
                  .scale_unit = 1,
                  .n_extents = 1,
                  .n_blocks = 2,
                  .extent_bytes = 8,
                  .extent_blocks = 2,
                  .extent_offset = PAGE,
                  .starts = {0, 5},
                  .n_tables = 1,
                  .table_bytes = 3,
                  .scales = {0x3C00, 0xBC00, 0x0000},
                  .classes = {0xF1, 0x02},
                  .data_offset = PAGE,
                  .data_bytes = PAGE};
}

static void add_text(rusk_strbuf *s, const char *text, size_t len) {
    rusk_strbuf_add_varint(s, len);
    rusk_strbuf_add(s, text, len);
    rusk_strbuf_add_u8(s, 0);
}

static void add_zeros(rusk_strbuf *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        rusk_strbuf_add_u8(s, 0);
    }
}

static void build_head(const spec *p, rusk_strbuf *s) {
    add_zeros(s, 24);
    rusk_strbuf_add_varint(s, p->tool_bytes);
    rusk_strbuf_add(s, "tool", 4);
    rusk_strbuf_add_u8(s, (uint8_t)p->tool_end);
    add_text(s, "", 0);
    rusk_strbuf_add_varint(s, p->n_meta);
    for (size_t i = 0; i < 2; i++) {
        add_text(s, p->keys[i], p->key_bytes != 0 ? p->key_bytes : strlen(p->keys[i]));
        rusk_strbuf_add_u8(s, p->meta_type);
        if (p->meta_type == RUSK_META_ARRAY) {
            rusk_strbuf_add_u8(s, p->elem_type);
            rusk_strbuf_add_varint(s, p->meta_n);
            rusk_strbuf_add_u32(s, p->meta_value);
        } else {
            rusk_strbuf_add_u8(s, (uint8_t)p->meta_value);
        }
    }
    add_zeros(s, p->head_extra);
}

static void build_tnsr(const spec *p, rusk_strbuf *s) {
    const char *texts[] = {p->name, p->roles, p->codec, p->quantizer};
    rusk_strbuf_add_u32(s, p->n_tensors);
    for (size_t i = 0; i < 4; i++) {
        add_text(s, texts[i], strlen(texts[i]));
    }
    rusk_strbuf_add_u8(s, p->entry_flags);
    rusk_strbuf_add_u8(s, p->n_dims);
    for (size_t i = 0; i < p->n_dims && i < 8; i++) {
        rusk_strbuf_add_varint(s, p->dims[i]);
    }
    rusk_strbuf_add_varint(s, p->dtype);
    rusk_strbuf_add_varint(s, p->source_dtype);
    rusk_strbuf_add_f32(s, p->symbol_offset);
    rusk_strbuf_add_f32(s, p->scale_unit);
    rusk_strbuf_add_varint(s, p->block_rows);
    rusk_strbuf_add_varint(s, p->table);
    rusk_strbuf_add_varint(s, p->n_extra);
    add_zeros(s, p->n_extra < 100 ? p->n_extra : 0);
    static const uint8_t VECTOR[] = {0, 0, 4, 'n', 'o', 'n', 'e', 0, 0, 0, 0, 1, 2, 0, 0, 0};
    add_text(s, p->vector_name, strlen(p->vector_name));
    rusk_strbuf_add(s, VECTOR, sizeof VECTOR);
    add_zeros(s, p->tnsr_extra);
}

static void build_blks(const spec *p, rusk_strbuf *s) {
    rusk_strbuf_add_u32(s, p->n_extents);
    rusk_strbuf_add_u32(s, p->n_blocks);
    rusk_strbuf_add_u64(s, p->extent_offset);
    rusk_strbuf_add_u32(s, p->extent_bytes);
    rusk_strbuf_add_u32(s, p->extent_blocks);
    if (p->second_offset != 0) {
        rusk_strbuf_add_u64(s, p->second_offset);
        rusk_strbuf_add_u32(s, 3);
        rusk_strbuf_add_u32(s, 1);
    }
    for (size_t i = 0; i < 2; i++) {
        rusk_strbuf_add_u32(s, p->starts[i]);
        rusk_strbuf_add_u64(s, 0);
    }
    add_zeros(s, p->blks_extra);
}

static void build_tbls_and_side(const spec *p, rusk_strbuf *tbls, rusk_strbuf *side) {
    rusk_strbuf_add_u32(tbls, p->n_tables);
    rusk_strbuf_add_u32(tbls, p->table_bytes);
    rusk_strbuf_add(tbls, "tab", 3);
    add_zeros(tbls, p->tbls_extra);
    for (size_t i = 0; i < 3; i++) {
        rusk_strbuf_add_u16(side, p->scales[i]);
    }
    rusk_strbuf_add(side, p->classes, 2);
    rusk_strbuf_add_f32(side, 1);
    rusk_strbuf_add_f32(side, 2);
    add_zeros(side, p->side_extra);
}

typedef struct image {
    uint8_t bytes[FILE_CAP];
    size_t len, n_sections;
    uint8_t table[64 * 40];
} image;

static void put_entry(image *im, const spec *p, const char *tag, uint64_t offset, uint64_t len) {
    uint8_t *e = im->table + 32 * im->n_sections++;
    memcpy(e, tag, 4);
    rusk_store_u32(e + 4, p->all_flags != 0 ? p->all_flags : 1);
    rusk_store_u64(e + 8, offset);
    rusk_store_u64(e + 16, len);
}

static void put_section(image *im, const spec *p, const char *tag, const rusk_strbuf *s) {
    if (p->drop != NULL && strcmp(p->drop, tag) == 0) {
        return;
    }
    memcpy(im->bytes + im->len, s->data, s->len_bytes);
    put_entry(im, p, tag, im->len, s->len_bytes);
    im->len += s->len_bytes;
}

static const image *build(const spec *p) {
    static image im;
    static const char *const TAGS[] = {"HEAD", "TNSR", "BLKS", "TBLS", "SIDE"};
    rusk_strbuf s[5];
    rusk_alloc_init(&alloc, NULL);
    for (size_t i = 0; i < 5; i++) {
        rusk_strbuf_init(&s[i], &alloc, RUSK_MEM_SCRATCH);
    }
    build_head(p, &s[0]);
    build_tnsr(p, &s[1]);
    build_blks(p, &s[2]);
    build_tbls_and_side(p, &s[3], &s[4]);
    memset(&im, 0, sizeof im);
    memcpy(im.bytes, "RUSK\r\n\x1a\n", 8);
    rusk_store_u32(im.bytes + 8, p->version);
    rusk_store_u32(im.bytes + 12, p->super_flags);
    rusk_store_u64(im.bytes + 40, p->super_reserved);
    memcpy(im.bytes + PAGE, "AAAAABBB", 8);
    im.len = 3 * PAGE;
    if (p->drop == NULL || strcmp(p->drop, "DATA") != 0) {
        put_entry(&im, p, "DATA", p->data_offset, p->data_bytes);
    }
    for (size_t i = 0; i < 5; i++) {
        put_section(&im, p, TAGS[i], &s[i]);
        rusk_strbuf_finish(&s[i]);
    }
    if (p->extra_tag != NULL) {
        put_entry(&im, p, p->extra_tag, im.len, 0);
        rusk_store_u32(im.table + 32 * (im.n_sections - 1) + 4, p->extra_flags);
    }
    rusk_store_u64(im.bytes + 16, im.len + p->table_offset_shift);
    rusk_store_u64(im.bytes + 24, 32 * im.n_sections);
    memcpy(im.bytes + im.len, im.table, 32 * im.n_sections);
    im.len += 32 * im.n_sections;
    (void)test_repair_container(im.bytes, im.len);
    return &im;
}

static rusk_status open_spec(const spec *p) {
    const image *im = build(p);
    return try_open(im->bytes, im->len);
}

TEST(the_unchanged_specification_opens) {
    spec p = good_spec();
    const image *im = build(&p);
    CHECK_OK(try_open(im->bytes, im->len), &err);
    rusk_source *s;
    uint8_t block[5 + RUSK_BLOCK_OVERREAD];
    CHECK_OK(rusk_source_open(&s, &alloc, test_path("hostile.rusk"), &err), &err);
    const rusk_container_tensor *t = rusk_container_get_tensor(s, 0);
    CHECK(t->row_scales[0] == 1 && t->row_scales[1] == -1 && t->row_scales[2] == 0);
    CHECK_EQ(t->row_classes[0], 1);
    CHECK_EQ(t->row_classes[1], 15);
    CHECK_EQ(t->row_classes[2], 2);
    CHECK_OK(rusk_container_read_block(s, 0, 1, block, &err), &err);
    CHECK_MEM(block, "BBB", 3);
    CHECK_EQ(s->tensors[0].bytes, 8 + 2 * 12 + 3 + 6 + 2);
    CHECK_EQ(s->tensors[0].offset, PAGE);
    rusk_source_close(s);
}

#define HOSTILE(change, expected, text)                                                            \
    do {                                                                                           \
        spec p = good_spec();                                                                      \
        change;                                                                                    \
        CHECK_FAILS(open_spec(&p), expected, &err, text);                                          \
    } while (0)
#define HARMLESS(change)                                                                           \
    do {                                                                                           \
        spec p = good_spec();                                                                      \
        change;                                                                                    \
        CHECK_OK(open_spec(&p), &err);                                                             \
    } while (0)

static const float NOT_A_NUMBER = __builtin_nanf(""), INFINITE = __builtin_inff();

TEST(wrong_superblocks_and_section_tables) {
    HOSTILE(p.version = 2, RUSK_UNSUPPORTED, "newer rusk: expected container version 1, found 2");
    HOSTILE(p.version = 0, RUSK_FORMAT, "expected version 1");
    HOSTILE(p.super_flags = 1, RUSK_FORMAT, "flags 1");
    HOSTILE(p.super_reserved = 1, RUSK_FORMAT, "zeros in the superblock");
    HOSTILE(p.table_offset_shift = 1, RUSK_FORMAT, "truncated");
    HOSTILE(p.table_offset_shift = UINT64_MAX / 2, RUSK_FORMAT, "truncated");
    HOSTILE(p.table_offset_shift = (uint64_t)-1, RUSK_FORMAT, "last bytes");
    HOSTILE(p.drop = "HEAD", RUSK_FORMAT, "section HEAD of at most 16777216 bytes, found none");
    HOSTILE(p.drop = "TNSR", RUSK_FORMAT, "section TNSR");
    HOSTILE(p.drop = "BLKS", RUSK_FORMAT, "section BLKS: expected 2 blocks, found 0");
    HOSTILE(p.drop = "TBLS", RUSK_FORMAT, "code table of 1 to 0, found 1");
    HOSTILE(p.drop = "SIDE", RUSK_FORMAT, "section SIDE: expected more");
    HOSTILE(p.drop = "DATA", RUSK_FORMAT, "expected a page of DATA");
    HOSTILE((p.extra_tag = "HEAD"), RUSK_FORMAT, "a tag of its own");
    HOSTILE((p.extra_tag = "XTRA", p.extra_flags = 1), RUSK_UNSUPPORTED,
            "unknown critical section 58 54 52 41");
    HOSTILE((p.extra_tag = "XTRA", p.extra_flags = 2), RUSK_FORMAT, "flags 2");
    HARMLESS((p.extra_tag = "XTRA", p.extra_flags = 0));
    HOSTILE(p.data_offset = PAGE + 1, RUSK_FORMAT, "DATA on whole pages");
    HOSTILE(p.data_offset = 3 * PAGE, RUSK_FORMAT, "expected a place from");
    HOSTILE((p.data_offset = PAGE / 2, p.data_bytes = PAGE), RUSK_FORMAT, "DATA on whole pages");
    HOSTILE(p.data_bytes = UINT64_MAX - 100, RUSK_FORMAT, "expected a place from");
    HOSTILE(p.data_offset = 32, RUSK_FORMAT, "expected a place from 64");
}

TEST(wrong_heads) {
    HOSTILE(p.tool_bytes = 5000, RUSK_FORMAT, "of at most 4095 bytes, found 5000");
    HOSTILE(p.tool_bytes = 3, RUSK_FORMAT, "a zero byte behind it");
    HOSTILE(p.tool_end = 'x', RUSK_FORMAT, "a zero byte behind it");
    HOSTILE(p.n_meta = 3, RUSK_FORMAT, "metadata");
    HOSTILE(p.n_meta = 1, RUSK_FORMAT, "expected the section's end");
    HOSTILE(p.n_meta = UINT64_MAX, RUSK_FORMAT, "more metadata entries");
    HOSTILE(p.keys[1] = "k1", RUSK_FORMAT, "metadata key 'k1' stands twice");
    HOSTILE(p.keys[0] = "", RUSK_FORMAT, "an empty one");
    HOSTILE((p.keys[0] = p.keys[1] = "a\0b", p.key_bytes = 3), RUSK_FORMAT,
            "zero byte only behind");
    HOSTILE(p.meta_type = 13, RUSK_FORMAT, "metadata type");
    HOSTILE(p.meta_value = 2, RUSK_FORMAT, "BOOL");
    HOSTILE((p.meta_type = RUSK_META_ARRAY, p.elem_type = RUSK_META_ARRAY), RUSK_FORMAT,
            "array of scalars or strings");
    HOSTILE((p.meta_type = RUSK_META_ARRAY, p.meta_n = 1000), RUSK_FORMAT, "array is longer");
    HOSTILE((p.meta_type = RUSK_META_ARRAY, p.elem_type = RUSK_META_STRING, p.meta_n = 1ULL << 60),
            RUSK_FORMAT, "array is longer");
    HARMLESS((p.meta_type = RUSK_META_ARRAY, p.elem_type = RUSK_META_I8, p.meta_n = 4));
    HOSTILE(p.head_extra = 1, RUSK_FORMAT, "expected the section's end");
}

TEST(wrong_tensor_entries) {
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    HOSTILE(p.n_tensors = 3, RUSK_FORMAT, "");
    HOSTILE(p.n_tensors = UINT32_MAX, RUSK_FORMAT, "more tensors");
    HOSTILE(p.n_tensors = 1, RUSK_FORMAT, "expected the section's end");
    HOSTILE(p.name = "", RUSK_FORMAT, "tensor name");
    HOSTILE(p.vector_name = "m", RUSK_FORMAT, "tensor 'm' stands twice");
    HOSTILE(p.roles = ",a", RUSK_FORMAT, "roles");
    HOSTILE(p.roles = longest, RUSK_FORMAT, "roles of at most 127 bytes");
    HOSTILE(p.codec = "none", RUSK_FORMAT, "a codec's name for SYM8");
    HOSTILE(p.codec = "RAW", RUSK_FORMAT, "codec 'RAW'");
    HOSTILE(p.codec = "sixteen-bytes-xx", RUSK_FORMAT, "a codec of at most 15 bytes");
    HOSTILE(p.quantizer = "\x1b", RUSK_FORMAT, "quantizer");
    HOSTILE(p.entry_flags = 1, RUSK_UNSUPPORTED, "needs a newer rusk");
    HOSTILE(p.n_dims = 0, RUSK_FORMAT, "1 to 4 dimensions, found 0");
    HOSTILE(p.n_dims = 5, RUSK_FORMAT, "1 to 4 dimensions, found 5");
    HOSTILE(p.n_dims = 255, RUSK_FORMAT, "");
    HOSTILE(p.dims[0] = 0, RUSK_FORMAT, "rows, found none");
    HOSTILE(p.dims[0] = UINT64_MAX, RUSK_FORMAT, "rows, found more");
    HOSTILE((p.n_dims = 4, p.dims[0] = 1ULL << 32, p.dims[1] = 1ULL << 32, p.dims[2] = 1,
             p.dims[3] = 4),
            RUSK_FORMAT, "rows, found more");
    HOSTILE(p.dims[0] = 4, RUSK_FORMAT, "section SIDE: expected more");
    HOSTILE(p.dims[0] = 5, RUSK_FORMAT, "section BLKS: expected 3 blocks, found 2");
    HOSTILE((p.dims[0] = 1U << 31, p.block_rows = 1U << 30, p.dims[1] = 1), RUSK_FORMAT,
            "blocks of 1 to 16777216 symbols");
    HOSTILE((p.dims[0] = 1U << 31, p.block_rows = 1U << 24, p.dims[1] = 1), RUSK_FORMAT,
            "section BLKS: expected 128 blocks");
    HOSTILE(p.dims[1] = 1ULL << 25, RUSK_FORMAT, "columns, found 33554432");
    HOSTILE(p.dims[1] = 1U << 24, RUSK_FORMAT, "blocks of 1 to 16777216 symbols, found 2 rows");
    HOSTILE(p.dtype = RUSK_DTYPE_F16, RUSK_UNSUPPORTED, "type 0 (F32) or 1000 (SYM8), found 1");
    HOSTILE(p.dtype = RUSK_DTYPE_F32, RUSK_FORMAT, "");
    HOSTILE(p.source_dtype = 99, RUSK_UNSUPPORTED, "unknown source type 99");
    HOSTILE(p.source_dtype = 1ULL << 32, RUSK_UNSUPPORTED, "unknown source type");
    HOSTILE(p.symbol_offset = NOT_A_NUMBER, RUSK_FORMAT, "symbol offset from -1 to 1");
    HOSTILE(p.symbol_offset = -2, RUSK_FORMAT, "symbol offset from -1 to 1, found -2");
    HOSTILE(p.scale_unit = NOT_A_NUMBER, RUSK_FORMAT, "finite scale unit");
    HOSTILE(p.scale_unit = INFINITE, RUSK_FORMAT, "finite scale unit");
    HOSTILE(p.scale_unit = 0, RUSK_FORMAT, "finite scale unit");
    HOSTILE(p.block_rows = 0, RUSK_FORMAT, "found 0 rows");
    HOSTILE(p.block_rows = 4, RUSK_FORMAT, "blocks of at most 3 rows, found 4");
    HOSTILE(p.block_rows = 1ULL << 32, RUSK_FORMAT, "out of range");
    HOSTILE(p.table = 2, RUSK_FORMAT, "code table of 1 to 1, found 2");
    HOSTILE(p.n_extra = 1000, RUSK_FORMAT, "extra bytes");
    HOSTILE(p.n_extra = 1 << 20, RUSK_FORMAT, "extra bytes");
    HOSTILE(p.tnsr_extra = 1, RUSK_FORMAT, "expected the section's end");
    HARMLESS(p.n_extra = 7);
    HARMLESS(p.roles = "");
    HARMLESS(p.table = 0);
}

TEST(wrong_extents_and_blocks) {
    HOSTILE(p.n_extents = 0, RUSK_FORMAT, "section BLKS");
    HOSTILE(p.n_extents = UINT32_MAX, RUSK_FORMAT, "section BLKS");
    HOSTILE(p.n_blocks = UINT32_MAX, RUSK_FORMAT, "section BLKS: expected 2 blocks");
    HOSTILE(p.blks_extra = 12, RUSK_FORMAT, "section BLKS");
    HOSTILE(p.extent_blocks = 0, RUSK_FORMAT, "1 to 2 blocks, found 8 and 0");
    HOSTILE(p.extent_blocks = 1, RUSK_FORMAT, "fewer blocks");
    HOSTILE(p.extent_blocks = 3, RUSK_FORMAT, "1 to 2 blocks, found 8 and 3");
    HOSTILE(p.extent_offset = PAGE + 512, RUSK_FORMAT, "expected a page of DATA");
    HOSTILE(p.extent_offset = 0, RUSK_FORMAT, "expected a page of DATA");
    HOSTILE(p.extent_offset = 2 * PAGE, RUSK_FORMAT, "expected a page of DATA");
    HOSTILE(p.extent_offset = UINT64_MAX - PAGE + 1, RUSK_FORMAT, "expected a page of DATA");
    HOSTILE(p.extent_bytes = PAGE - 63, RUSK_FORMAT, "expected a page of DATA");
    HARMLESS(p.extent_bytes = PAGE - 64);
    HOSTILE(p.extent_bytes = UINT32_MAX, RUSK_FORMAT, "at most 134217728 bytes");
    HOSTILE(p.starts[0] = 1, RUSK_FORMAT, "offset of 0 to 0 in extent 0, found 1");
    HOSTILE(p.starts[1] = 9, RUSK_FORMAT, "offset of 0 to 8 in extent 0, found 9");
    for (uint64_t second = 0; second < 4; second++) { /* overlapping, before, behind, behind DATA */
        static const uint64_t OFFSETS[] = {PAGE, 2 * PAGE, 2 * PAGE, 3 * PAGE};
        spec p = good_spec();
        p.n_extents = 2;
        p.extent_blocks = 1;
        p.second_offset = OFFSETS[second];
        p.extent_offset = second == 1 ? 2 * PAGE : PAGE;
        p.starts[1] = 0;
        p.data_bytes = 2 * PAGE;
        rusk_status expected = second == 2 ? RUSK_OK : RUSK_FORMAT;
        CHECK_EQ(open_spec(&p), expected);
        CHECK(expected == RUSK_OK || strstr(err.message, "extent 1: expected a page of DATA"));
    }
    HARMLESS(p.starts[1] = 0);
    HARMLESS(p.starts[1] = 8);
}

TEST(wrong_tables_and_side_information) {
    HOSTILE(p.n_tables = 2, RUSK_FORMAT, "");
    HOSTILE(p.n_tables = UINT32_MAX, RUSK_FORMAT, "more tables");
    HOSTILE(p.table_bytes = 4, RUSK_FORMAT, "found the section's end");
    HOSTILE(p.table_bytes = UINT32_MAX, RUSK_FORMAT, "found the section's end");
    HOSTILE(p.tbls_extra = 1, RUSK_FORMAT, "found more bytes");
    HOSTILE(p.side_extra = 1, RUSK_FORMAT, "section SIDE: expected fewer");
    HOSTILE(p.scales[1] = 0x7C00, RUSK_FORMAT, "row 1: expected a finite scale, found inf");
    HOSTILE(p.scales[2] = 0x7E00, RUSK_FORMAT, "row 2: expected a finite scale, found nan");
    HOSTILE((p.scales[0] = 0x7BFF, p.scale_unit = 0x1p120F), RUSK_FORMAT,
            "finite scale, found inf");
    HOSTILE(p.classes[1] = 0x12, RUSK_FORMAT, "beyond the last row's class");
}

TEST(hostile_counts_cost_little_memory) {
    test_failing_alloc f;
    rusk_source *s;
    spec p = good_spec();
    p.dims[0] = 1U << 31;
    p.block_rows = 1U << 22;
    const image *im = build(&p);
    const char *path = test_path("hungry.rusk");
    test_write_file(path, im->bytes, im->len);
    test_failing_alloc_init(&f, 0);
    rusk_alloc_init(&alloc, &f.allocator);
    CHECK_FAILS(rusk_container_open(&s, &alloc, path, &err), RUSK_FORMAT, &err, "BLKS");
    CHECK(alloc.bytes_peak < 200000);
    CHECK_EQ(f.n_live, 0);
}

/* --- files that are none --- */

TEST(what_is_no_file) {
    rusk_source *s;
    rusk_alloc_init(&alloc, NULL);
    CHECK_FAILS(rusk_container_open(&s, &alloc, test_path("absent.rusk"), &err), RUSK_NOT_FOUND,
                &err, "absent.rusk");
    CHECK_FAILS(rusk_container_open(&s, &alloc, "/", &err), RUSK_IO, &err, "a directory");
    CHECK_FAILS(try_open((const uint8_t *)"", 0), RUSK_FORMAT, &err, "truncated");
    uint8_t zeros[100] = {0};
    CHECK_FAILS(try_open(zeros, sizeof zeros), RUSK_FORMAT, &err, "is no .rusk file");
    memcpy(zeros, "RUSK\n\x1a\n", 7); /* CR LF became LF */
    CHECK_FAILS(try_open(zeros, sizeof zeros), RUSK_FORMAT, &err, "is no .rusk file");
}

/* --- no memory, no room --- */

TEST(every_allocation_may_fail) {
    const char *path = test_path("oom.rusk");
    rusk_source *s;
    test_failing_alloc f;
    uint64_t bytes, n = 0;
    rusk_status status = RUSK_NO_MEMORY;
    for (n = 1; status == RUSK_NO_MEMORY; n++) {
        test_failing_alloc_init(&f, n);
        rusk_alloc_init(&alloc, &f.allocator);
        err.message[0] = '\0';
        status = test_container_write(&alloc, path, &SMALL, &bytes, &err);
        CHECK_EQ(f.n_live, 0);
        CHECK(status == RUSK_OK || (status == RUSK_NO_MEMORY && err.message[0] != '\0'));
        CHECK_EQ(test_exists(path), status == RUSK_OK);
    }
    CHECK(n > 20);
    CHECK_OK(status, &err);
    size_t files = test_count_files();
    status = RUSK_NO_MEMORY;
    for (n = 1; status == RUSK_NO_MEMORY; n++) {
        test_failing_alloc_init(&f, n);
        rusk_alloc_init(&alloc, &f.allocator);
        status = rusk_container_open(&s, &alloc, path, &err);
        CHECK((s != NULL) == (status == RUSK_OK));
        rusk_source_close(s);
        CHECK_EQ(f.n_live, 0);
    }
    CHECK(n > 10);
    CHECK_OK(status, &err);
    CHECK_EQ(test_count_files(), files);
}

/* Writing fails at each limit on the size of a file; nothing is left, an old file stays. */
TEST(a_file_that_may_not_grow) {
    test_container_plan plan = {.seed = 1, .n_tensors = 5, .most_rows = 30, .most_bytes = 60000};
    const char *path = test_path("limited.rusk");
    struct rlimit old, less;
    uint64_t bytes;
    rusk_alloc_init(&alloc, NULL);
    test_write_file(path, "old", 3);
    size_t files = test_count_files();
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 700000; limit += 131072) {
        less = (struct rlimit){.rlim_cur = limit, .rlim_max = old.rlim_max};
        CHECK(setrlimit(RLIMIT_FSIZE, &less) == 0);
        rusk_status status = test_container_write(&alloc, path, &plan, &bytes, &err);
        CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
        CHECK_EQ(status, RUSK_IO);
        CHECK(strstr(err.message, "File too large") != NULL);
        CHECK_EQ(test_count_files(), files);
        CHECK_EQ(alloc.bytes_total, 0);
    }
    (void)signal(SIGXFSZ, SIG_DFL);
    size_t len;
    uint8_t *file = test_read_file(path, &len);
    CHECK_EQ(len, 3);
    free(file);
}

TEST(a_full_disk_is_named) {
    test_container_plan plan = {.seed = 1, .n_tensors = 5, .most_rows = 30, .most_bytes = 60000};
    const char *dir = test_path("full");
    char path[256];
    uint64_t bytes;
    CHECK(mkdir(dir, 0700) == 0);
    if (mount("none", dir, "tmpfs", 0, "size=512k") != 0) {
        test_skip("a full disk needs the right to mount a tmpfs");
    }
    (void)snprintf(path, sizeof path, "%s/out.rusk", dir);
    rusk_alloc_init(&alloc, NULL);
    rusk_status status = test_container_write(&alloc, path, &plan, &bytes, &err);
    bool left = test_exists(path);
    CHECK(umount(dir) == 0);
    CHECK_EQ(status, RUSK_IO);
    CHECK(strstr(err.message, "disk full") != NULL);
    CHECK(!left);
}

TEST_MAIN(CASE(a_file_cut_anywhere_is_refused), CASE(a_flipped_byte_is_found),
          CASE(the_unchanged_specification_opens), CASE(wrong_superblocks_and_section_tables),
          CASE(wrong_heads), CASE(wrong_tensor_entries), CASE(wrong_extents_and_blocks),
          CASE(wrong_tables_and_side_information), CASE(hostile_counts_cost_little_memory),
          CASE(what_is_no_file), CASE(every_allocation_may_fail), CASE(a_file_that_may_not_grow),
          CASE(a_full_disk_is_named))
