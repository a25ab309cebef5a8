/* Reader and writer together: what is written comes back, in the same bytes every time. */
#include "format/gguf.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/fp.h"
#include "support/test.h"

static rusk_alloc memory;
static rusk_error err;

static rusk_meta meta_u32(const char *key, uint32_t v) {
    return (rusk_meta){.key = key, .type = RUSK_META_U32, .value.u = v};
}

static rusk_meta meta_text(const char *key, const char *text, size_t len) {
    return (rusk_meta){
        .key = key, .type = RUSK_META_STRING, .value.text = {.data = text, .len_bytes = len}};
}

static rusk_gguf_writer *writer(const char *path) {
    rusk_gguf_writer *w;
    CHECK_OK(rusk_gguf_writer_create(&w, &memory, path, &err), &err);
    return w;
}

static void write_meta(rusk_gguf_writer *w, rusk_meta meta) {
    CHECK_OK(rusk_gguf_writer_meta(w, &meta, &err), &err);
}

static rusk_source *open_source(const char *path) {
    rusk_source *s;
    CHECK_OK(rusk_source_open(&s, &memory, path, &err), &err);
    return s;
}

TEST(every_metadata_type_comes_back) {
    static const uint8_t I16S[] = {0xFF, 0xFF, 0x34, 0x12};
    static const uint8_t BOOLS[] = {0, 1, 1};
    static const rusk_text TEXTS[] = {{"a", 1}, {"", 0}, {"n\0l", 3}};
    const rusk_meta in[] = {
        {.key = "u8", .type = RUSK_META_U8, .value.u = 255},
        {.key = "i8", .type = RUSK_META_I8, .value.i = -128},
        {.key = "u16", .type = RUSK_META_U16, .value.u = 65535},
        {.key = "i16", .type = RUSK_META_I16, .value.i = -2},
        {.key = "u32", .type = RUSK_META_U32, .value.u = UINT32_MAX},
        {.key = "i32", .type = RUSK_META_I32, .value.i = INT32_MIN},
        {.key = "f32", .type = RUSK_META_F32, .value.f = 0.5},
        {.key = "bool", .type = RUSK_META_BOOL, .value.u = 1},
        {.key = "text", .type = RUSK_META_STRING, .value.text = {"x\0y", 3}},
        {.key = "u64", .type = RUSK_META_U64, .value.u = UINT64_MAX},
        {.key = "i64", .type = RUSK_META_I64, .value.i = INT64_MIN},
        {.key = "f64", .type = RUSK_META_F64, .value.f = 0.1},
        {.key = "i16s",
         .type = RUSK_META_ARRAY,
         .elem_type = RUSK_META_I16,
         .n = 2,
         .elements = I16S},
        {.key = "bools",
         .type = RUSK_META_ARRAY,
         .elem_type = RUSK_META_BOOL,
         .n = 3,
         .elements = BOOLS},
        {.key = "texts",
         .type = RUSK_META_ARRAY,
         .elem_type = RUSK_META_STRING,
         .n = 3,
         .texts = TEXTS},
        {.key = "none",
         .type = RUSK_META_ARRAY,
         .elem_type = RUSK_META_F64,
         .n = 0,
         .elements = BOOLS},
        {.key = "no texts",
         .type = RUSK_META_ARRAY,
         .elem_type = RUSK_META_STRING,
         .n = 0,
         .texts = TEXTS},
    };
    const char *path = test_path("meta.gguf");
    rusk_alloc_init(&memory, NULL);
    rusk_gguf_writer *w = writer(path);
    for (size_t i = 0; i < RUSK_COUNT(in); i++) {
        write_meta(w, in[i]);
    }
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);
    rusk_source *s = open_source(path);
    CHECK_STR(s->format, "gguf");
    CHECK_EQ(s->format_version, 3);
    CHECK_EQ(s->n_meta, RUSK_COUNT(in));
    CHECK_EQ(s->n_tensors, 0);
    for (size_t i = 0; i < RUSK_COUNT(in); i++) {
        const rusk_meta *m = &s->meta[i];
        CHECK_STR(m->key, in[i].key);
        CHECK(rusk_source_meta(s, in[i].key) == m);
        CHECK_EQ(m->type, in[i].type);
        if (m->type == RUSK_META_STRING) {
            CHECK_EQ(m->value.text.len_bytes, in[i].value.text.len_bytes);
            CHECK_MEM(m->value.text.data, in[i].value.text.data, m->value.text.len_bytes + 1);
        } else if (m->type == RUSK_META_ARRAY) {
            CHECK_EQ(m->elem_type, in[i].elem_type);
            CHECK_EQ(m->n, in[i].n);
        } else {
            CHECK_EQ(m->value.u, in[i].value.u);
        }
    }
    CHECK_MEM(rusk_source_meta(s, "i16s")->elements, I16S, sizeof I16S);
    CHECK_MEM(rusk_source_meta(s, "bools")->elements, BOOLS, sizeof BOOLS);
    for (size_t i = 0; i < RUSK_COUNT(TEXTS); i++) {
        const rusk_text *t = &rusk_source_meta(s, "texts")->texts[i];
        CHECK_EQ(t->len_bytes, TEXTS[i].len_bytes);
        CHECK_MEM(t->data, TEXTS[i].data, t->len_bytes + 1);
    }
    CHECK(rusk_source_meta(s, "absent") == NULL);
    rusk_source_close(s);
    CHECK_EQ(memory.bytes_total, 0);
}

/* Three tensors of different types; data written in pieces that straddle their borders. */
static void write_tensors(const char *path, uint32_t alignment, uint8_t *data, size_t piece) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < 3 * 5 * 4 + 7 * 2 + 2 * 3 * 34; i++) {
        data[i] = (uint8_t)rusk_rng_u64(&rng);
    }
    rusk_gguf_writer *w = writer(path);
    if (alignment != 0) {
        write_meta(w, meta_u32("general.alignment", alignment));
    }
    write_meta(w, meta_text("general.architecture", "test", 4));
    CHECK_OK(rusk_gguf_writer_tensor(w, "a", 2, (uint64_t[]){3, 5}, RUSK_DTYPE_F32, &err), &err);
    CHECK_OK(rusk_gguf_writer_tensor(w, "b", 1, (uint64_t[]){7}, RUSK_DTYPE_F16, &err), &err);
    CHECK_OK(rusk_gguf_writer_tensor(w, "c", 3, (uint64_t[]){2, 3, 32}, RUSK_DTYPE_Q8_0, &err),
             &err);
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    for (size_t at = 0, total = 3 * 5 * 4 + 7 * 2 + 2 * 3 * 34; at < total; at += piece) {
        CHECK_OK(rusk_gguf_writer_write(w, data + at, RUSK_MIN(piece, total - at), &err), &err);
    }
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);
}

TEST(tensors_come_back_at_every_alignment) {
    static const uint32_t ALIGNMENTS[] = {0, 8, 64, 4096};
    const char *path = test_path("tensors.gguf");
    rusk_alloc_init(&memory, NULL);
    for (size_t k = 0; k < RUSK_COUNT(ALIGNMENTS); k++) {
        uint8_t data[512], back[512];
        write_tensors(path, ALIGNMENTS[k], data, 11);
        rusk_source *s = open_source(path);
        uint32_t alignment = ALIGNMENTS[k] != 0 ? ALIGNMENTS[k] : RUSK_GGUF_ALIGNMENT;
        CHECK_EQ(s->n_tensors, 3);
        static const char *const NAMES[] = {"a", "b", "c"};
        static const uint64_t ROWS[] = {3, 1, 6}, COLS[] = {5, 7, 32}, BYTES[] = {60, 14, 204};
        size_t at = 0;
        for (size_t i = 0; i < 3; i++) {
            const rusk_source_tensor *t = &s->tensors[i];
            CHECK_STR(t->name, NAMES[i]);
            CHECK_STR(t->role, "");
            CHECK_STR(t->codec, "none");
            CHECK_EQ(rusk_source_find(s, NAMES[i]), i);
            CHECK_EQ(t->n_rows, ROWS[i]);
            CHECK_EQ(t->n_cols, COLS[i]);
            CHECK_EQ(t->bytes, BYTES[i]);
            CHECK_EQ(t->offset % alignment, 0);
            for (uint64_t row = 0; row < t->n_rows; row++) { /* each row by itself */
                CHECK_OK(s->ops->read_rows(s, i, row, 1, back, &err), &err);
                CHECK_MEM(back, data + at, rusk_source_row_bytes(t));
                at += rusk_source_row_bytes(t);
            }
        }
        CHECK_EQ(s->tensors[2].n_dims, 3);
        CHECK_EQ(s->tensors[2].shape[0], 2);
        CHECK_EQ(s->tensors[2].shape[1], 3);
        CHECK_EQ(s->tensors[2].shape[2], 32);
        CHECK_EQ(rusk_source_find(s, "d"), -1);
        CHECK_EQ(s->file_bytes % alignment, 0);
        rusk_source_close(s);
        CHECK_EQ(memory.bytes_total, 0);
    }
}

TEST(values_come_back_as_f32) {
    const char *path = test_path("values.gguf");
    static const float ROWS[4] = {1.0F, -2.5F, 0x1p-149F, 3e38F};
    uint8_t bytes[16], scratch[16];
    float out[4];
    rusk_alloc_init(&memory, NULL);
    for (size_t i = 0; i < 4; i++) {
        rusk_store_f32(bytes + 4 * i, ROWS[i]);
    }
    rusk_gguf_writer *w = writer(path);
    CHECK_OK(rusk_gguf_writer_tensor(w, "t", 2, (uint64_t[]){2, 2}, RUSK_DTYPE_F32, &err), &err);
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_OK(rusk_gguf_writer_write(w, bytes, sizeof bytes, &err), &err);
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);
    rusk_source *s = open_source(path);
    CHECK_OK(rusk_source_read_f32(s, 0, 0, 2, out, scratch, &err), &err);
    CHECK_MEM(out, ROWS, sizeof ROWS);
    CHECK_OK(rusk_source_read_f32(s, 0, 1, 1, out, scratch, &err), &err);
    CHECK_MEM(out, ROWS + 2, 8);
    CHECK_OK(rusk_source_read_f32(s, 0, 2, 0, out, scratch, &err), &err);
    CHECK_FAILS(rusk_source_read_f32(s, 0, 1, 2, out, scratch, &err), RUSK_INVALID_ARGUMENT, &err,
                "expected rows within 0 .. 2, found 2 rows from row 1");
    rusk_source_close(s);
}

TEST(the_same_calls_give_the_same_bytes) {
    uint8_t data[512];
    size_t len, len_again;
    rusk_alloc_init(&memory, NULL);
    write_tensors(test_path("one.gguf"), 0, data, 1);
    write_tensors(test_path("two.gguf"), 0, data, 300);
    uint8_t *one = test_read_file(test_path("one.gguf"), &len);
    uint8_t *two = test_read_file(test_path("two.gguf"), &len_again);
    CHECK_EQ(len, len_again);
    CHECK_MEM(one, two, len);
    free(one);
    free(two);
}

/* The smallest file, byte by byte as the format's document has it. */
TEST(golden_file) {
    static const uint8_t GOLDEN[] = {
        'G',  'G',  'U',  'F',  3, 0, 0, 0, 1,   0, 0, 0, 0, 0, 0, 0, /* one tensor */
        1,    0,    0,    0,    0, 0, 0, 0, 1,   0, 0, 0, 0, 0, 0, 0, /* one entry, key of 1 byte */
        'k',  4,    0,    0,    0, 7, 0, 0, 0,                        /* u32 7 */
        1,    0,    0,    0,    0, 0, 0, 0, 't', 1, 0, 0, 0,          /* name, 1 dimension */
        2,    0,    0,    0,    0, 0, 0, 0, 1,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* of 2, F16,
                                                                                     offset 0 */
        0,    0,    0,    0,    0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* to 96 */
        0x00, 0x3C, 0x00, 0xC0, 0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, /* 1.0, -2.0 */
        0,    0,    0,    0,    0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0,
    };
    const char *path = test_path("golden.gguf");
    size_t len;
    float out[2];
    uint8_t scratch[4];
    rusk_alloc_init(&memory, NULL);
    rusk_gguf_writer *w = writer(path);
    write_meta(w, meta_u32("k", 7));
    CHECK_OK(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){2}, RUSK_DTYPE_F16, &err), &err);
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_OK(rusk_gguf_writer_write(w, GOLDEN + 96, 4, &err), &err);
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);
    uint8_t *bytes = test_read_file(path, &len);
    CHECK_EQ(len, sizeof GOLDEN);
    CHECK_MEM(bytes, GOLDEN, sizeof GOLDEN);
    free(bytes);
    rusk_source *s = open_source(path);
    CHECK_OK(rusk_source_read_f32(s, 0, 0, 1, out, scratch, &err), &err);
    CHECK(out[0] == 1.0F && out[1] == -2.0F);
    rusk_source_close(s);
}

TEST(version_2_opens) {
    uint8_t data[512];
    size_t len;
    const char *path = test_path("v2.gguf");
    rusk_alloc_init(&memory, NULL);
    write_tensors(path, 0, data, 100);
    uint8_t *bytes = test_read_file(path, &len);
    bytes[4] = 2;
    test_write_file(path, bytes, len);
    free(bytes);
    rusk_source *s = open_source(path);
    CHECK_EQ(s->format_version, 2);
    CHECK_EQ(s->n_tensors, 3);
    rusk_source_close(s);
}

TEST(writer_refuses_wrong_calls) {
    const char *path = test_path("refused.gguf");
    size_t before = test_count_files();
    rusk_alloc_init(&memory, NULL);
    rusk_meta k = meta_u32("k", 1);

    rusk_gguf_writer *w = writer(path);
    CHECK_OK(rusk_gguf_writer_meta(w, &k, &err), &err);
    CHECK_FAILS(rusk_gguf_writer_meta(w, &k, &err), RUSK_INVALID_ARGUMENT, &err, "key once");
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){33}, RUSK_DTYPE_Q8_0, &err),
                RUSK_INVALID_ARGUMENT, &err, "tensor 't': expected");
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){0}, RUSK_DTYPE_F32, &err),
                RUSK_INVALID_ARGUMENT, &err, "tensor 't': expected");
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 0, (uint64_t[]){1}, RUSK_DTYPE_F32, &err),
                RUSK_INVALID_ARGUMENT, &err, "tensor 't': expected");
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){1}, RUSK_DTYPE_SYM8, &err),
                RUSK_INVALID_ARGUMENT, &err, "a GGUF type");
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 2, (uint64_t[]){1U << 31, 1ULL << 31},
                                        RUSK_DTYPE_F32, &err),
                RUSK_INVALID_ARGUMENT, &err, "tensor 't': expected");
    CHECK_OK(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){1}, RUSK_DTYPE_F32, &err), &err);
    CHECK_FAILS(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){1}, RUSK_DTYPE_F32, &err),
                RUSK_INVALID_ARGUMENT, &err, "name once");
    k.key = "l";
    CHECK_FAILS(rusk_gguf_writer_meta(w, &k, &err), RUSK_INVALID_ARGUMENT, &err,
                "before the first");
    CHECK_FAILS(rusk_gguf_writer_write(w, "1234", 4, &err), RUSK_INVALID_ARGUMENT, &err,
                "begin_data before");
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_OK(rusk_gguf_writer_write(w, "12", 2, &err), &err);
    CHECK_FAILS(rusk_gguf_writer_commit(w, &err), RUSK_INVALID_ARGUMENT, &err,
                "expected 4 bytes, found 2");

    w = writer(path);
    CHECK_OK(rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){1}, RUSK_DTYPE_F32, &err), &err);
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_FAILS(rusk_gguf_writer_write(w, "12345", 5, &err), RUSK_INVALID_ARGUMENT, &err,
                "found more");
    rusk_gguf_writer_discard(w);

    w = writer(path);
    CHECK_FAILS(rusk_gguf_writer_commit(w, &err), RUSK_INVALID_ARGUMENT, &err, "before commit");
    rusk_gguf_writer_discard(NULL);

    static const uint32_t BAD[] = {0, 4, 48, 131072};
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        rusk_meta a = meta_u32("general.alignment", BAD[i]);
        w = writer(path);
        CHECK_FAILS(rusk_gguf_writer_meta(w, &a, &err), RUSK_INVALID_ARGUMENT, &err,
                    "power of two");
        rusk_gguf_writer_discard(w);
    }
    CHECK_FAILS(rusk_gguf_writer_create(&w, &memory, "/nonexistent/x.gguf", &err), RUSK_NOT_FOUND,
                &err, "/nonexistent/x.gguf");
    CHECK(w == NULL);
    CHECK_EQ(test_count_files(), before);
    CHECK_EQ(memory.bytes_total, 0);
}

TEST(demo_model_opens) {
    const char *path = test_demo_model();
    rusk_alloc_init(&memory, NULL);
    rusk_source *s = open_source(path);
    CHECK_EQ(s->n_tensors, 272);
    CHECK_EQ(rusk_source_meta(s, "tokenizer.ggml.tokens")->n, 49152);
    ptrdiff_t i = rusk_source_find(s, "blk.0.ffn_down.weight");
    CHECK(i >= 0);
    CHECK_EQ(s->tensors[i].n_rows, 576);
    CHECK_EQ(s->tensors[i].n_cols, 1536);
    CHECK(memory.bytes_peak < 16U << 20);
    rusk_source_close(s);
    CHECK_EQ(memory.bytes_total, 0);
}

TEST_MAIN(CASE(every_metadata_type_comes_back), CASE(tensors_come_back_at_every_alignment),
          CASE(values_come_back_as_f32), CASE(the_same_calls_give_the_same_bytes),
          CASE(golden_file), CASE(version_2_opens), CASE(writer_refuses_wrong_calls),
          CASE(demo_model_opens))
