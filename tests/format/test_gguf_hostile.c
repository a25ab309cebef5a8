/* Files that are wrong: each fault has its own message, and none costs memory, time or a crash. */
#define _GNU_SOURCE
#include "format/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/strbuf.h"
#include "support/test.h"

static rusk_alloc memory;
static rusk_error err;

/* A file put together by hand, so that any field can be wrong. */
static rusk_strbuf file;

static void begin(uint64_t n_tensors, uint64_t n_meta) {
    static rusk_alloc own;
    if (file.alloc == NULL) {
        rusk_alloc_init(&own, NULL);
        rusk_strbuf_init(&file, &own, RUSK_MEM_SCRATCH);
    }
    rusk_alloc_init(&memory, NULL);
    rusk_strbuf_clear(&file);
    rusk_strbuf_add(&file, "GGUF", 4);
    rusk_strbuf_add_u32(&file, 3);
    rusk_strbuf_add_u64(&file, n_tensors);
    rusk_strbuf_add_u64(&file, n_meta);
}

static void text(const char *s) {
    rusk_strbuf_add_u64(&file, strlen(s));
    rusk_strbuf_add_text(&file, s);
}

static void entry_u32(const char *key, uint32_t value) {
    text(key);
    rusk_strbuf_add_u32(&file, RUSK_META_U32);
    rusk_strbuf_add_u32(&file, value);
}

static void tensor(const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                   uint64_t offset) {
    text(name);
    rusk_strbuf_add_u32(&file, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) {
        rusk_strbuf_add_u64(&file, ne[i]);
    }
    rusk_strbuf_add_u32(&file, type);
    rusk_strbuf_add_u64(&file, offset);
}

static void data(size_t n_bytes) {
    while (file.len_bytes % 32 != 0) {
        rusk_strbuf_add_u8(&file, 0);
    }
    for (size_t i = 0; i < n_bytes; i++) {
        rusk_strbuf_add_u8(&file, 0);
    }
}

/* To a new file each time: ext4 writes a file that is truncated and filled again to disk at once,
 * which made these thousands of small files slow. */
static void put(const char *path) {
    (void)unlink(path);
    test_write_file(path, file.data, file.len_bytes);
}

/* What was built must be refused so, with a message that names the file, and without a trace. */
static void refused(rusk_status status, const char *message) {
    const char *path = test_path("hostile.gguf");
    rusk_source *s = (rusk_source *)&file;
    CHECK(!file.failed);
    put(path);
    CHECK_FAILS(rusk_gguf_open(&s, &memory, path, &err), status, &err, message);
    CHECK(strstr(err.message, "hostile.gguf") != NULL);
    CHECK(s == NULL);
    CHECK_EQ(memory.bytes_total, 0);
    CHECK(memory.bytes_peak < (1U << 20));
}

static void accepted(void) {
    const char *path = test_path("accepted.gguf");
    rusk_source *s;
    put(path);
    CHECK_OK(rusk_gguf_open(&s, &memory, path, &err), &err);
    rusk_source_close(s);
    CHECK_EQ(memory.bytes_total, 0);
}

TEST(wrong_magic_and_versions) {
    begin(0, 0);
    accepted();
    file.data[0] = 'g';
    refused(RUSK_FORMAT, "expected the bytes 'GGUF' at offset 0, found 67 47 55 46");
    begin(0, 0);
    rusk_store_u32(file.data + 4, 1);
    refused(RUSK_UNSUPPORTED, "expected GGUF version 2 or 3, found version 1");
    rusk_store_u32(file.data + 4, 4);
    refused(RUSK_UNSUPPORTED, "expected GGUF version 2 or 3, found version 4");
    rusk_store_u32(file.data + 4, 0);
    refused(RUSK_UNSUPPORTED, "found version 0");
    rusk_store_u32(file.data + 4, 0x03000000);
    refused(RUSK_UNSUPPORTED, "found a big-endian one");
}

TEST(counts_that_the_file_cannot_hold) {
    begin(65536, 0);
    refused(RUSK_FORMAT, "(number of tensors) at offset 16, the file ends at 24");
    begin(65537, 0);
    refused(RUSK_LIMIT, "number of tensors of at most 65536, found 65537 at offset 8");
    begin(UINT64_MAX, 0);
    refused(RUSK_LIMIT, "number of tensors of at most 65536, found 18446744073709551615");
    begin(0, 65536);
    refused(RUSK_FORMAT, "(number of metadata entries)");
    begin(0, UINT64_MAX);
    refused(RUSK_LIMIT, "number of metadata entries of at most 65536");
}

TEST(names_that_are_not_names) {
    static const struct {
        const char *name;
        size_t len;
        const char *message;
    } BAD[] = {
        {"", 0, "expected a name of 1 to 65535 bytes, found 0"},
        {"a\0b", 3, "printable UTF-8, found byte 0x00 at offset 33"},
        {"a\nb", 3, "printable UTF-8, found byte 0x0a"},
        {"\x1b[2J", 4, "printable UTF-8, found byte 0x1b"},
        {"a\x7F", 2, "found byte 0x7f"},
        {"\x80", 1, "found byte 0x80"},
        {"\xC0\x80", 2, "found byte 0xc0"},         /* overlong */
        {"\xE0\x80\x80", 3, "found byte 0xe0"},     /* overlong */
        {"\xED\xA0\x80", 3, "found byte 0xed"},     /* surrogate */
        {"\xF4\x90\x80\x80", 4, "found byte 0xf4"}, /* above U+10FFFF */
        {"\xC3", 1, "found byte 0xc3"},             /* cut */
    };
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        begin(0, 1);
        rusk_strbuf_add_u64(&file, BAD[i].len);
        rusk_strbuf_add(&file, BAD[i].name, BAD[i].len);
        rusk_strbuf_add_u32(&file, RUSK_META_U32);
        rusk_strbuf_add_u32(&file, 1);
        data(8);
        refused(RUSK_FORMAT, BAD[i].message);
    }
    begin(0, 1);
    entry_u32("größe.€.𝄞", 1);
    accepted();
    begin(0, 1);
    rusk_strbuf_add_u64(&file, 65536);
    data(65536);
    refused(RUSK_FORMAT, "expected a name of 1 to 65535 bytes, found 65536");
    begin(0, 1);
    rusk_strbuf_add_u64(&file, UINT64_MAX);
    data(32);
    refused(RUSK_FORMAT, "found 18446744073709551615");
}

TEST(values_that_are_not_values) {
    begin(0, 1);
    text("k");
    rusk_strbuf_add_u32(&file, 13);
    data(32);
    refused(RUSK_FORMAT, "metadata entry 'k': expected a value type from 0 to 12, found 13 at "
                         "offset 33");
    begin(0, 1);
    text("k");
    rusk_strbuf_add_u32(&file, RUSK_META_BOOL);
    rusk_strbuf_add_u8(&file, 2);
    refused(RUSK_FORMAT, "'k': expected 0 or 1 for a bool, found 2 at offset 37");
    begin(0, 1);
    text("k");
    rusk_strbuf_add_u32(&file, RUSK_META_STRING);
    rusk_strbuf_add_u64(&file, 1000);
    refused(RUSK_FORMAT, "'k' is truncated: expected 1000 bytes (its value) at offset 45");
    begin(0, 1);
    text("k");
    rusk_strbuf_add_u32(&file, RUSK_META_STRING);
    rusk_strbuf_add_u64(&file, UINT64_MAX);
    refused(RUSK_FORMAT, "expected 18446744073709551615 bytes (its value)");
}

static void array(uint32_t type, uint64_t n) {
    begin(0, 1);
    text("k");
    rusk_strbuf_add_u32(&file, RUSK_META_ARRAY);
    rusk_strbuf_add_u32(&file, type);
    rusk_strbuf_add_u64(&file, n);
}

TEST(arrays_that_are_not_arrays) {
    array(RUSK_META_ARRAY, 1);
    data(64);
    refused(RUSK_UNSUPPORTED, "'k': expected an array of numbers or strings, found an array of "
                              "arrays at offset 37");
    array(77, 1);
    data(64);
    refused(RUSK_FORMAT, "expected a value type from 0 to 12, found 77 at offset 37");
    array(RUSK_META_U64, UINT64_MAX);
    refused(RUSK_FORMAT, "an array that fits in the file, found 18446744073709551615 elements");
    array(RUSK_META_U64, 1ULL << 40);
    refused(RUSK_FORMAT, "expected 8796093022208 bytes (elements of an array)");
    array(RUSK_META_STRING, 1ULL << 60);
    refused(RUSK_FORMAT, "(elements of an array)");
    array(RUSK_META_U8, 1ULL << 62);
    refused(RUSK_FORMAT, "(elements of an array)");
    array(RUSK_META_STRING, 2); /* the second string is longer than the file */
    text("a");
    rusk_strbuf_add_u64(&file, 1ULL << 50);
    refused(RUSK_FORMAT, "expected 1125899906842624 bytes (string of an array)");
    array(RUSK_META_BOOL, 3);
    rusk_strbuf_add(&file, "\0\1\3", 3);
    refused(RUSK_FORMAT, "expected 0 or 1 for a bool, found 3 at offset 51");
}

TEST(alignment_that_is_none) {
    static const uint32_t BAD[] = {0, 1, 4, 33, 48, 65537, 131072, UINT32_MAX};
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        begin(0, 1);
        entry_u32("general.alignment", BAD[i]);
        refused(RUSK_FORMAT, "general.alignment: expected a power of two from 8 to 65536, found");
    }
    begin(0, 1);
    text("general.alignment");
    rusk_strbuf_add_u32(&file, RUSK_META_STRING);
    text("32");
    refused(RUSK_FORMAT, "'general.alignment': expected an integer");
}

TEST(shapes_that_are_not_shapes) {
    static const uint64_t ONE[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    begin(1, 0);
    tensor("t", 0, ONE, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "tensor 't': expected 1 to 4 dimensions, found 0 at offset 33");
    begin(1, 0);
    tensor("t", 5, ONE, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "tensor 't': expected 1 to 4 dimensions, found 5");
    begin(1, 0);
    tensor("t", 4, ONE, RUSK_DTYPE_F32, 0);
    data(4);
    accepted();
    begin(1, 0);
    tensor("t", 2, (uint64_t[]){4, 0}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "expected dimensions of at least 1, found dimension 1 = 0 at offset 45");
    begin(1, 0);
    tensor("t", 2, (uint64_t[]){1ULL << 32, 1ULL << 32}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "'t': expected fewer than 2^63 elements");
    begin(1, 0);
    tensor("t", 4, (uint64_t[]){1ULL << 20, 1ULL << 20, 1ULL << 20, 1ULL << 2}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "'t': expected fewer than 2^64 bytes");
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){UINT64_MAX}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "'t': expected fewer than 2^63 elements");
    begin(1, 0);
    tensor("t", 2, (uint64_t[]){48, 2}, RUSK_DTYPE_Q4_1, 0);
    data(64);
    refused(RUSK_FORMAT, "expected rows of a multiple of 32 elements for Q4_1, found 48");
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){128}, RUSK_DTYPE_Q6_K, 0);
    data(256);
    refused(RUSK_FORMAT, "expected rows of a multiple of 256 elements for Q6_K, found 128");
}

TEST(types_that_are_not_read) {
    static const struct {
        uint32_t number;
        const char *message;
    } BAD[] = {{16, "tensor 't': tensor type IQ2_XXS (number 16 at offset 45) is not supported"},
               {4, "tensor type Q4_2"},
               {26, "tensor type I32"},
               {39, "tensor type MXFP4"},
               {99, "tensor type unknown (number 99"},
               {1000, "tensor type unknown (number 1000"},
               {UINT32_MAX, "tensor type unknown (number 4294967295"}};
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        begin(1, 0);
        tensor("t", 1, (uint64_t[]){256}, BAD[i].number, 0);
        data(1024);
        refused(RUSK_UNSUPPORTED, BAD[i].message);
        CHECK(strstr(err.message, "expected one of F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K "
                                  "Q4_K Q5_K Q6_K IQ4_NL IQ4_XS BF16") != NULL);
    }
}

TEST(data_that_is_elsewhere) {
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 16);
    data(64);
    refused(RUSK_FORMAT, "'t': expected a data offset that is a multiple of 32, found 16");
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 64);
    data(64);
    refused(RUSK_FORMAT, "expected 32 bytes at 64 after the start of the data");
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, UINT64_MAX - 31);
    data(64);
    refused(RUSK_FORMAT, "expected 32 bytes at 18446744073709551584 after");
    begin(1, 0);
    tensor("t", 1, (uint64_t[]){1ULL << 60}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "expected 4611686018427387904 bytes at 0 after");
    begin(2, 0);
    tensor("a", 1, (uint64_t[]){16}, RUSK_DTYPE_F32, 0);
    tensor("b", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 32);
    data(64);
    refused(RUSK_FORMAT, "'b': expected data of its own, found an overlap with 'a'");
    begin(2, 0);
    tensor("a", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 0);
    tensor("b", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 0);
    data(64);
    refused(RUSK_FORMAT, "found an overlap");
    begin(2, 0); /* any order is fine */
    tensor("a", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 32);
    tensor("b", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 0);
    data(64);
    accepted();
}

TEST(names_that_come_twice) {
    begin(0, 3);
    entry_u32("k", 1);
    entry_u32("l", 1);
    entry_u32("k", 2);
    refused(RUSK_FORMAT, "expected each metadata key once, found 'k' as number 0 and 2");
    begin(2, 0);
    tensor("t", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 0);
    tensor("t", 1, (uint64_t[]){8}, RUSK_DTYPE_F32, 32);
    data(64);
    refused(RUSK_FORMAT, "expected each tensor name once, found 't' as number 0 and 1");
}

/* A small file with everything in it; returns where the last tensor's data ends. */
static size_t complete_file(void) {
    begin(2, 4);
    entry_u32("general.alignment", 32);
    text("general.architecture");
    rusk_strbuf_add_u32(&file, RUSK_META_STRING);
    text("test");
    text("tokens");
    rusk_strbuf_add_u32(&file, RUSK_META_ARRAY);
    rusk_strbuf_add_u32(&file, RUSK_META_STRING);
    rusk_strbuf_add_u64(&file, 3);
    text("a");
    text("");
    text("bc");
    text("scores");
    rusk_strbuf_add_u32(&file, RUSK_META_ARRAY);
    rusk_strbuf_add_u32(&file, RUSK_META_F32);
    rusk_strbuf_add_u64(&file, 3);
    for (int i = 0; i < 3; i++) {
        rusk_strbuf_add_f32(&file, (float)i);
    }
    tensor("first", 2, (uint64_t[]){32, 2}, RUSK_DTYPE_Q4_1, 0);
    tensor("second", 1, (uint64_t[]){5}, RUSK_DTYPE_F32, 64);
    data(64 + 20);
    size_t end = file.len_bytes;
    data(0);
    return end;
}

TEST(truncated_at_every_byte) {
    const char *path = test_path("cut.gguf");
    size_t end = complete_file(), full = file.len_bytes;
    rusk_source *s;
    CHECK(full > end);
    put(path);
    for (size_t len = full; len > 0; len--) {
        if (len < full) {
            CHECK(truncate(path, (off_t)len) == 0);
        }
        if (len >= end) { /* padding behind the last tensor may be missing */
            CHECK_OK(rusk_gguf_open(&s, &memory, path, &err), &err);
            rusk_source_close(s);
            continue;
        }
        char ends[64];
        (void)snprintf(ends, sizeof ends, "the file ends at %zu", len);
        CHECK_FAILS(rusk_gguf_open(&s, &memory, path, &err), RUSK_FORMAT, &err, ends);
        CHECK(s == NULL);
        CHECK_EQ(memory.bytes_total, 0);
    }
    CHECK(truncate(path, 0) == 0);
    CHECK_FAILS(rusk_gguf_open(&s, &memory, path, &err), RUSK_FORMAT, &err, "the file ends at 0");
}

/* Each byte set to each of a few values: opens or is refused, and leaves nothing either way. */
TEST(every_byte_disturbed) {
    static const uint8_t VALUES[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
    const char *path = test_path("disturbed.gguf");
    complete_file();
    for (size_t i = 0; i < file.len_bytes; i++) {
        char kept = file.data[i];
        for (size_t v = 0; v < RUSK_COUNT(VALUES); v++) {
            rusk_source *s;
            float row[64];
            uint8_t scratch[256];
            file.data[i] = (char)VALUES[v];
            put(path);
            if (rusk_gguf_open(&s, &memory, path, &err) == RUSK_OK) {
                for (size_t t = 0; t < s->n_tensors; t++) {
                    CHECK(s->tensors[t].n_cols <= 64);
                    CHECK_OK(rusk_source_read_f32(s, t, 0, 1, row, scratch, &err), &err);
                }
            }
            rusk_source_close(s);
            CHECK_EQ(memory.bytes_total, 0);
        }
        file.data[i] = kept;
    }
    CHECK(memory.bytes_peak < (1U << 20));
}

TEST(reader_without_memory) {
    const char *path = test_path("memory.gguf");
    complete_file();
    put(path);
    for (uint64_t nth = 1;; nth++) {
        test_failing_alloc f;
        rusk_source *s;
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&memory, &f.allocator);
        err.message[0] = '\0';
        rusk_status status = rusk_gguf_open(&s, &memory, path, &err);
        if (status == RUSK_OK) {
            rusk_source_close(s);
            CHECK(nth > 3);
            CHECK_EQ(f.n_live, 0);
            break;
        }
        CHECK_EQ(status, RUSK_NO_MEMORY);
        CHECK(strstr(err.message, "out of memory") != NULL);
        CHECK(s == NULL);
        CHECK_EQ(f.n_live, 0);
    }
}

static rusk_status write_something(const char *path) {
    rusk_gguf_writer *w;
    rusk_meta meta = {
        .key = "k", .type = RUSK_META_STRING, .value.text = {.data = "v", .len_bytes = 1}};
    RUSK_TRY(rusk_gguf_writer_create(&w, &memory, path, &err));
    rusk_status status = rusk_gguf_writer_meta(w, &meta, &err);
    if (status == RUSK_OK) {
        status = rusk_gguf_writer_tensor(w, "t", 1, (uint64_t[]){1}, RUSK_DTYPE_F32, &err);
    }
    if (status == RUSK_OK) {
        status = rusk_gguf_writer_begin_data(w, &err);
    }
    if (status == RUSK_OK) {
        status = rusk_gguf_writer_write(w, "1234", 4, &err);
    }
    if (status != RUSK_OK) {
        rusk_gguf_writer_discard(w);
        return status;
    }
    return rusk_gguf_writer_commit(w, &err);
}

TEST(writer_without_memory) {
    const char *path = test_path("written.gguf");
    size_t before = test_count_files();
    for (uint64_t nth = 1;; nth++) {
        test_failing_alloc f;
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&memory, &f.allocator);
        rusk_status status = write_something(path);
        CHECK_EQ(f.n_live, 0);
        if (status == RUSK_OK) {
            CHECK(nth > 5);
            break;
        }
        CHECK_EQ(status, RUSK_NO_MEMORY);
        CHECK_EQ(test_count_files(), before); /* nothing is left behind */
    }
    CHECK_EQ(test_count_files(), before + 1);
}

/* A file with holes costs no disk, so its size is no bound on memory: the header's limit is. */
TEST(header_beyond_its_limit) {
    const char *path = test_path("sparse.gguf");
    rusk_source *s;
    array(RUSK_META_U8, RUSK_GGUF_MAX_HEADER);
    put(path);
    CHECK(truncate(path, (off_t)4 << 30) == 0);
    CHECK_FAILS(rusk_gguf_open(&s, &memory, path, &err), RUSK_LIMIT, &err,
                "expected a header of at most 536870912 bytes");
    array(RUSK_META_STRING, 1ULL << 27);
    put(path);
    CHECK(truncate(path, (off_t)4 << 30) == 0);
    CHECK_FAILS(rusk_gguf_open(&s, &memory, path, &err), RUSK_LIMIT, &err,
                "found 1073741824 bytes (elements of an array)");
    CHECK(memory.bytes_peak < (1U << 20));
}

/* Memory grows with the bytes in the file: a vocabulary of 262,144 tokens. */
TEST(large_vocabulary) {
    enum { TOKENS = 262144 };
    const char *path = test_path("vocabulary.gguf");
    array(RUSK_META_STRING, TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) {
        char token[16];
        (void)snprintf(token, sizeof token, "token%u", i);
        text(token);
    }
    put(path);
    rusk_source *s;
    CHECK_OK(rusk_gguf_open(&s, &memory, path, &err), &err);
    const rusk_meta *m = rusk_source_meta(s, "k");
    CHECK_EQ(m->n, TOKENS);
    for (uint32_t i = 0; i < TOKENS; i += 1021) {
        char token[16];
        (void)snprintf(token, sizeof token, "token%u", i);
        CHECK_STR(m->texts[i].data, token);
    }
    CHECK(memory.bytes_peak < 3 * (uint64_t)file.len_bytes);
    rusk_source_close(s);
    rusk_strbuf_finish(&file);
}

TEST_MAIN(CASE(wrong_magic_and_versions), CASE(counts_that_the_file_cannot_hold),
          CASE(names_that_are_not_names), CASE(values_that_are_not_values),
          CASE(arrays_that_are_not_arrays), CASE(alignment_that_is_none),
          CASE(shapes_that_are_not_shapes), CASE(types_that_are_not_read),
          CASE(data_that_is_elsewhere), CASE(names_that_come_twice), CASE(truncated_at_every_byte),
          CASE(every_byte_disturbed), CASE(reader_without_memory), CASE(writer_without_memory),
          CASE(header_beyond_its_limit), CASE(large_vocabulary))
