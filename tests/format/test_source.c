/* The seam itself: opening by content, look-ups, printing. */
#include "format/source.h"

#include <math.h>
#include <stdio.h>

#include "base/order.h"
#include "format/gguf.h"
#include "support/test.h"

static rusk_alloc memory;
static rusk_error err;

static void refused(const char *name, const void *bytes, size_t len, const char *message) {
    rusk_source *s = (rusk_source *)&memory;
    test_write_file(test_path(name), bytes, len);
    CHECK_FAILS(rusk_source_open(&s, &memory, test_path(name), &err), RUSK_FORMAT, &err, message);
    CHECK(strstr(err.message, name) != NULL);
    CHECK(s == NULL);
    CHECK_EQ(memory.bytes_total, 0);
}

TEST(opens_by_content) {
    rusk_source *s;
    rusk_gguf_writer *w;
    const char *path = test_path("a model by another name.txt");
    rusk_alloc_init(&memory, NULL);
    CHECK_OK(rusk_gguf_writer_create(&w, &memory, path, &err), &err);
    CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);
    CHECK_OK(rusk_source_open(&s, &memory, path, &err), &err);
    CHECK_STR(s->format, "gguf");
    CHECK_STR(s->path, path);
    CHECK_EQ(s->file_bytes, 32);
    rusk_source_close(s);
    rusk_source_close(NULL);
    refused("empty", "", 0, "found an empty file");
    refused("short", "GGU", 3, "found a file of 3 bytes");
    refused("other", "PK\x03\x04....", 8, "starts with the bytes 50 4b 03 04");
    refused("gguf only", "GGUF", 4, "truncated");
    CHECK_FAILS(rusk_source_open(&s, &memory, test_path("absent"), &err), RUSK_NOT_FOUND, &err,
                "absent");
    CHECK(s == NULL);
    CHECK_FAILS(rusk_source_open(&s, &memory, "/", &err), RUSK_IO, &err, "a directory");
    CHECK(s == NULL);
}

static rusk_meta integer(const char *key, rusk_meta_type type, int64_t value) {
    rusk_meta m = {.key = key, .type = type};
    if (type == RUSK_META_I8 || type == RUSK_META_I16 || type == RUSK_META_I32 ||
        type == RUSK_META_I64) {
        m.value.i = value;
    } else {
        m.value.u = (uint64_t)value;
    }
    return m;
}

static rusk_meta real(const char *key, rusk_meta_type type, double value) {
    return (rusk_meta){.key = key, .type = type, .value.f = value};
}

TEST(typed_look_ups) {
    const rusk_meta meta[] = {
        integer("u8", RUSK_META_U8, 200),
        integer("i32", RUSK_META_I32, 7),
        integer("minus", RUSK_META_I32, -1),
        integer("u64", RUSK_META_U64, 0xFFFFFFFF),
        integer("wide", RUSK_META_U64, 0x100000000),
        integer("i64", RUSK_META_I64, 0x100000000),
        integer("yes", RUSK_META_BOOL, 1),
        real("half", RUSK_META_F32, 0.5),
        real("tenth", RUSK_META_F64, 0.1),
        real("huge", RUSK_META_F64, 1e300),
        real("nan", RUSK_META_F32, NAN),
        {.key = "text", .type = RUSK_META_STRING, .value.text = {"abc", 3}},
    };
    rusk_source s = {.path = "m.gguf", .n_meta = RUSK_COUNT(meta), .meta = meta};
    rusk_arena arena;
    rusk_alloc_init(&memory, NULL);
    rusk_arena_init(&arena, &memory, RUSK_MEM_METADATA);
    for (int indexed = 0; indexed < 2; indexed++) { /* by scanning, then by the orders */
        uint32_t u = 0;
        float f = 0;
        bool b = false;
        rusk_text t;
        CHECK_OK(rusk_source_u32(&s, "u8", 1, &u, &err), &err);
        CHECK_EQ(u, 200);
        CHECK_OK(rusk_source_u32(&s, "i32", 1, &u, &err), &err);
        CHECK_EQ(u, 7);
        CHECK_OK(rusk_source_need_u32(&s, "u64", &u, &err), &err);
        CHECK_EQ(u, UINT32_MAX);
        CHECK_OK(rusk_source_u32(&s, "absent", 42, &u, &err), &err);
        CHECK_EQ(u, 42);
        CHECK_FAILS(rusk_source_u32(&s, "wide", 1, &u, &err), RUSK_FORMAT, &err,
                    "'m.gguf': metadata key 'wide': expected an integer from 0 to 4294967295, "
                    "found u64 4294967296");
        CHECK_FAILS(rusk_source_u32(&s, "minus", 1, &u, &err), RUSK_FORMAT, &err, "found i32 -1");
        CHECK_FAILS(rusk_source_u32(&s, "i64", 1, &u, &err), RUSK_FORMAT, &err, "found i64 42949");
        CHECK_FAILS(rusk_source_u32(&s, "half", 1, &u, &err), RUSK_FORMAT, &err, "found f32 0.5");
        CHECK_FAILS(rusk_source_u32(&s, "yes", 1, &u, &err), RUSK_FORMAT, &err, "found bool true");
        CHECK_FAILS(rusk_source_need_u32(&s, "absent", &u, &err), RUSK_FORMAT, &err,
                    "missing key 'absent'");
        CHECK_OK(rusk_source_f32(&s, "half", 1, &f, &err), &err);
        CHECK(f == 0.5F);
        CHECK_OK(rusk_source_f32(&s, "tenth", 1, &f, &err), &err);
        CHECK(f == 0.1F);
        CHECK_OK(rusk_source_f32(&s, "absent", 0.25F, &f, &err), &err);
        CHECK(f == 0.25F);
        CHECK_FAILS(rusk_source_f32(&s, "huge", 1, &f, &err), RUSK_FORMAT, &err, "finite");
        CHECK_FAILS(rusk_source_f32(&s, "nan", 1, &f, &err), RUSK_FORMAT, &err, "finite");
        CHECK_FAILS(rusk_source_f32(&s, "u8", 1, &f, &err), RUSK_FORMAT, &err, "found u8 200");
        CHECK_OK(rusk_source_bool(&s, "yes", false, &b, &err), &err);
        CHECK(b);
        CHECK_OK(rusk_source_bool(&s, "absent", true, &b, &err), &err);
        CHECK(b);
        CHECK_FAILS(rusk_source_bool(&s, "u8", true, &b, &err), RUSK_FORMAT, &err, "true or false");
        CHECK_OK(rusk_source_text(&s, "text", &t, &err), &err);
        CHECK_EQ(t.len_bytes, 3);
        CHECK_OK(rusk_source_text(&s, "absent", &t, &err), &err);
        CHECK(t.data == NULL);
        CHECK_FAILS(rusk_source_text(&s, "u8", &t, &err), RUSK_FORMAT, &err, "a string");
        CHECK_OK(rusk_source_index(&s, &arena, &err), &err);
    }
    rusk_arena_finish(&arena);
}

static int compare_numbers(const void *items, uint32_t a, uint32_t b) {
    const uint32_t *v = items;
    return (v[a] > v[b]) - (v[a] < v[b]);
}

TEST(order_is_sorted_and_stable) {
    static uint32_t values[1000], order[1000];
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t n = 0; n <= 1000; n += n < 40 ? 1 : 96) {
        for (uint32_t range = 1; range <= 10000; range *= 10) {
            for (size_t i = 0; i < n; i++) {
                values[i] = (uint32_t)rusk_rng_below(&rng, range);
            }
            rusk_order(order, n, compare_numbers, values);
            for (size_t i = 1; i < n; i++) {
                CHECK(order[i] < n);
                CHECK(values[order[i - 1]] < values[order[i]] ||
                      (values[order[i - 1]] == values[order[i]] && order[i - 1] < order[i]));
            }
        }
    }
}

TEST(every_name_is_found) {
    enum { N = 1000 };
    static rusk_source_tensor tensors[N];
    static char names[N][16];
    rusk_source s = {.path = "m", .n_tensors = N, .tensors = tensors};
    rusk_arena arena;
    rusk_alloc_init(&memory, NULL);
    rusk_arena_init(&arena, &memory, RUSK_MEM_METADATA);
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "blk.%zu.w", i * 7919 % N);
        tensors[i].name = names[i];
    }
    CHECK_OK(rusk_source_index(&s, &arena, &err), &err);
    for (size_t i = 0; i < N; i++) {
        CHECK_EQ(rusk_source_find(&s, names[i]), i);
    }
    CHECK_EQ(rusk_source_find(&s, "blk.1000.w"), -1);
    CHECK_EQ(rusk_source_find(&s, ""), -1);
    CHECK_EQ(rusk_source_find(&s, "zzz"), -1);
    tensors[3].name = names[500];
    CHECK_FAILS(rusk_source_index(&s, &arena, &err), RUSK_FORMAT, &err, "tensor name once");
    rusk_arena_finish(&arena);
}

static const char *printed(rusk_meta meta) {
    static char buf[256];
    rusk_meta_print(&meta, buf, sizeof buf);
    return buf;
}

TEST(values_print_for_people) {
    static const uint8_t NUMBERS[] = {1, 0, 2, 0, 0xFF, 0xFF};
    static uint8_t many[40];
    static const rusk_text TEXTS[] = {{"a", 1}, {"\xC4\xA0the", 5}, {"\x1b[2J\n", 5}};
    CHECK_STR(printed(integer("k", RUSK_META_U64, -1)), "18446744073709551615");
    CHECK_STR(printed(integer("k", RUSK_META_I8, -5)), "-5");
    CHECK_STR(printed(integer("k", RUSK_META_BOOL, 0)), "false");
    CHECK_STR(printed(real("k", RUSK_META_F32, (double)1e-5F)), "9.99999975e-06");
    CHECK_STR(printed(real("k", RUSK_META_F64, 0.1)), "0.10000000000000001");
    CHECK_STR(printed((rusk_meta){.type = RUSK_META_STRING, .value.text = {"x\0\ty", 4}}),
              "x\\x00\\x09y");
    CHECK_STR(
        printed((rusk_meta){
            .type = RUSK_META_ARRAY, .elem_type = RUSK_META_I16, .n = 3, .elements = NUMBERS}),
        "[i16 x 3] 1, 2, -1");
    CHECK_STR(printed((rusk_meta){
                  .type = RUSK_META_ARRAY, .elem_type = RUSK_META_STRING, .n = 3, .texts = TEXTS}),
              "[str x 3] a, \xC4\xA0the, \\x1b[2J\\n");
    CHECK_STR(printed((rusk_meta){.type = RUSK_META_ARRAY, .elem_type = RUSK_META_F32}),
              "[f32 x 0]");
    CHECK_STR(printed((rusk_meta){
                  .type = RUSK_META_ARRAY, .elem_type = RUSK_META_U8, .n = 40, .elements = many}),
              "[u8 x 40] 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...");
}

TEST(printing_is_cut) {
    rusk_meta m = {.type = RUSK_META_STRING, .value.text = {"abcdefgh", 8}};
    for (size_t cap = 0; cap <= 12; cap++) {
        char *buf = test_guarded(cap, true);
        rusk_meta_print(&m, buf, cap);
        if (cap > 0) {
            CHECK_EQ(strlen(buf), RUSK_MIN(cap - 1, (size_t)8));
            CHECK_MEM(buf, "abcdefgh", strlen(buf));
        }
    }
}

TEST_MAIN(CASE(opens_by_content), CASE(typed_look_ups), CASE(order_is_sorted_and_stable),
          CASE(every_name_is_found), CASE(values_print_for_people), CASE(printing_is_cut))
