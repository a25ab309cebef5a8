#include "codec/codec.h"
#include "support/codec_cases.h"
#include "support/test.h"

static const uint8_t CLASSES[4];
static const rusk_block_shape SHAPE = {.n_rows = 4, .n_cols = 5, .row_classes = CLASSES};

static rusk_status count(const uint8_t *data, size_t len, size_t *n, rusk_error *err) {
    return rusk_block_patch_count(data, len, &SHAPE, n, err);
}

TEST(count_is_bounded_by_bytes_and_symbols) {
    static const uint8_t NONE[] = {0}, ONE[] = {1, 0, 2}, SHORT[] = {2, 0, 2, 0};
    static const uint8_t MANY[64] = {21},
                         HUGE[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01};
    static const uint8_t LONG[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    rusk_error err;
    size_t n = 99;
    CHECK_OK(count(NONE, 1, &n, &err), &err);
    CHECK_EQ(n, 0);
    CHECK_OK(count(ONE, 3, &n, &err), &err);
    CHECK_EQ(n, 1);
    CHECK_FAILS(count(ONE, 2, &n, &err), RUSK_FORMAT, &err, "found 1");
    CHECK_FAILS(count(SHORT, sizeof SHORT, &n, &err), RUSK_FORMAT, &err, "found 2");
    CHECK_FAILS(count(MANY, sizeof MANY, &n, &err), RUSK_FORMAT, &err, "20 symbols, found 21");
    CHECK_FAILS(count(HUGE, sizeof HUGE, &n, &err), RUSK_FORMAT, &err, "patch list");
    CHECK_FAILS(count(LONG, sizeof LONG, &n, &err), RUSK_FORMAT, &err, "patch list");
    CHECK_FAILS(count(NONE, 0, &n, &err), RUSK_FORMAT, &err, "patch list");
}

/* Lists in front of a raw payload of 4 rows of 5 symbols of one bit, all -3 or -2. */
typedef struct fixture {
    rusk_alloc alloc;
    rusk_codec_tables *tables;
    uint8_t data[64 + RUSK_CODEC_OVERREAD];
    int8_t out[20];
    rusk_patch patches[20];
    size_t n_patches;
} fixture;

static void start(fixture *f) {
    static const uint8_t BLOB[] = {1, 0, 1, 125};
    rusk_error err;
    memset(f, 0, sizeof *f);
    rusk_alloc_init(&f->alloc, NULL);
    CHECK_OK(rusk_codec_find("raw")->open_tables(&f->tables, &f->alloc, BLOB, sizeof BLOB, &err),
             &err);
}

static rusk_status decode(fixture *f, const uint8_t *list, size_t len, rusk_error *err) {
    memset(f->data, 0, sizeof f->data);
    memcpy(f->data, list, len);
    f->data[len + 1] = 0x01; /* symbol 1 is -2 */
    return rusk_block_decode(rusk_codec_find("raw"), f->tables, &SHAPE, f->data, len + 32, f->out,
                             5, f->patches, &f->n_patches, err);
}

TEST(patches_inside_the_range_are_applied) {
    static const uint8_t LIST[] = {4, 0, 2, 0, 1, 16, 0x84, 0x02, 0, 0x86, 0x02};
    fixture f;
    rusk_error err;
    start(&f);
    CHECK_OK(decode(&f, LIST, sizeof LIST, &err), &err);
    CHECK_EQ(f.out[0], -3 + 1);
    CHECK_EQ(f.out[1], -2 - 1);
    CHECK_EQ(f.out[18], -3 + 130);
    CHECK_EQ(f.n_patches, 1); /* -3 + 131 = 128 is an outlier, and comes out as 127 + 1 */
    CHECK_EQ(f.out[19], 127);
    CHECK_EQ(f.patches[0].position, 19);
    CHECK_EQ(f.patches[0].delta, 1);
    rusk_codec_find("raw")->close_tables(f.tables);
}

TEST(bad_lists_are_refused) {
    static const uint8_t BEYOND[] = {1, 20, 2}, SECOND[] = {2, 10, 2, 9, 2}, ZERO[] = {1, 0, 0};
    static const uint8_t FAR[] = {1, 0, 0x81, 0x80, 0x80, 0x08};   /* 2^24 + 1: -(2^23 + 1) */
    static const uint8_t LIMIT[] = {1, 0, 0x80, 0x80, 0x80, 0x08}; /* 2^24: 2^23 */
    fixture f;
    rusk_error err;
    start(&f);
    CHECK_OK(decode(&f, LIMIT, sizeof LIMIT, &err), &err);
    CHECK_EQ(f.out[0], 127);
    CHECK_EQ(f.patches[0].delta, (1 << 23) - 3 - 127);
    CHECK_FAILS(decode(&f, BEYOND, sizeof BEYOND, &err), RUSK_FORMAT, &err, "found gap 20");
    CHECK_EQ(err.offset, 3);
    CHECK_FAILS(decode(&f, SECOND, sizeof SECOND, &err), RUSK_FORMAT, &err,
                "expected a gap below 9");
    CHECK_FAILS(decode(&f, ZERO, sizeof ZERO, &err), RUSK_FORMAT, &err, "but 0");
    CHECK_FAILS(decode(&f, FAR, sizeof FAR, &err), RUSK_FORMAT, &err, "coded delta 16777217");
    rusk_codec_find("raw")->close_tables(f.tables);
}

/* Positions far apart and close together, in pieces of a row; gaps of one, two and three bytes. */
TEST(gaps_of_any_length) {
    enum { ROWS = 3, COLS = 20000 };
    static const uint32_t AT[] = {0, 1, 128, 129, 258, 20000, 39999, 40000, 59999};
    static const uint8_t BLOB[] = {1, 0, 1, 125};
    static const uint8_t NO_CLASSES[ROWS];
    static int8_t symbols[ROWS * COLS], out[COLS];
    rusk_block_shape shape = {.n_rows = ROWS, .n_cols = COLS, .row_classes = NO_CLASSES};
    rusk_patch given[RUSK_COUNT(AT)], patches[RUSK_COUNT(AT)], *to = patches;
    const rusk_codec *codec = rusk_codec_find("raw");
    rusk_codec_tables *tables;
    rusk_alloc alloc;
    rusk_strbuf data;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&data, &alloc, RUSK_MEM_WEIGHTS);
    CHECK_OK(codec->open_tables(&tables, &alloc, BLOB, sizeof BLOB, &err), &err);
    memset(symbols, -3, sizeof symbols);
    for (size_t i = 0; i < RUSK_COUNT(AT); i++) {
        given[i] = (rusk_patch){AT[i], i % 2 == 0 ? 1000 : 7};
    }
    symbols[129] = 4; /* folded to -2, which the patch of 7 makes 13 */
    CHECK_OK(rusk_block_encode(codec, tables, &shape, symbols, given, RUSK_COUNT(AT), &data, &err),
             &err);
    size_t len = data.len_bytes, n_seen = 0, n;
    for (size_t i = 0; i < RUSK_CODEC_OVERREAD; i++) {
        rusk_strbuf_add_u8(&data, 0xFF);
    }
    rusk_block_decoder decoder, *d = &decoder;
    CHECK_OK(rusk_block_begin(d, codec, tables, &shape, (const uint8_t *)data.data, len, &err),
             &err);
    for (uint32_t row = 0; row < ROWS; row++) {
        int8_t *row_out = out;
        unsigned failed;
        CHECK_OK(rusk_block_rows(&d, 1, 1, &row_out, COLS, &to, &n, &failed, &err), &err);
        for (size_t i = 0; i < n; i++, n_seen += 2) { /* -3 + 1000 comes out as 127 + 870 */
            CHECK(n_seen < RUSK_COUNT(AT));
            CHECK_EQ(patches[i].position + row * COLS, AT[n_seen]);
            CHECK_EQ(patches[i].delta, 870);
        }
        for (uint32_t i = 0, k = 0; i < COLS; i++) {
            int expected = symbols[row * COLS + i];
            for (k = 0; k < RUSK_COUNT(AT) && AT[k] != row * COLS + i; k++) {
            }
            expected += k < RUSK_COUNT(AT) ? given[k].delta : 0;
            CHECK_EQ(out[i], RUSK_MIN(expected, 127));
        }
    }
    CHECK_EQ(n_seen, RUSK_COUNT(AT) + 1);
    codec->close_tables(tables);
    rusk_strbuf_finish(&data);
}

TEST(folding_and_a_patch_add_up) {
    static const uint8_t BLOB[] = {1, 0, 1, 125};
    static const uint8_t ONE_CLASS[1];
    static const rusk_patch UNDONE = {1, -7};
    int8_t symbols[2] = {-3, 5}, out[2];
    uint8_t data[64 + RUSK_CODEC_OVERREAD] = {0};
    rusk_block_shape shape = {.n_rows = 1, .n_cols = 2, .row_classes = ONE_CLASS};
    const rusk_codec *codec = rusk_codec_find("raw");
    rusk_codec_tables *tables;
    rusk_alloc alloc;
    rusk_strbuf coded;
    rusk_error err;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&coded, &alloc, RUSK_MEM_WEIGHTS);
    CHECK_OK(codec->open_tables(&tables, &alloc, BLOB, sizeof BLOB, &err), &err);
    CHECK_OK(rusk_block_encode(codec, tables, &shape, symbols, &UNDONE, 1, &coded, &err), &err);
    CHECK_EQ(coded.len_bytes, 9);
    memcpy(data, coded.data, coded.len_bytes);
    CHECK_OK(
        rusk_block_decode(codec, tables, &shape, data, coded.len_bytes, out, 2, NULL, &n, &err),
        &err);
    CHECK_EQ(out[1], -2);
    static const rusk_patch FAR = {1, RUSK_PATCH_MAX_DELTA};
    CHECK_FAILS(rusk_block_encode(codec, tables, &shape, symbols, &FAR, 1, &coded, &err),
                RUSK_INVALID_ARGUMENT, &err, "found one farther away");
    codec->close_tables(tables);
    rusk_strbuf_finish(&coded);
}

TEST(payload_errors_tell_their_offset_in_the_block) {
    static const uint8_t LIST[] = {1, 0, 2};
    fixture f;
    rusk_error err;
    start(&f);
    CHECK_OK(decode(&f, LIST, sizeof LIST, &err), &err);
    f.data[sizeof LIST + 8 + 5] = 0x01; /* a fill bit, after the last of row 1 */
    CHECK_FAILS(rusk_block_decode(rusk_codec_find("raw"), f.tables, &SHAPE, f.data, 35, f.out, 5,
                                  f.patches, &f.n_patches, &err),
                RUSK_FORMAT, &err, "zero bits");
    CHECK_EQ(err.offset, 11);
    CHECK_FAILS(rusk_block_decode(rusk_codec_find("raw"), f.tables, &SHAPE, f.data, 34, f.out, 5,
                                  f.patches, &f.n_patches, &err),
                RUSK_FORMAT, &err, "expected 32 bytes, found 31");
    CHECK_EQ(err.offset, 34);
    CHECK_FAILS(rusk_block_decode(rusk_codec_find("raw"), f.tables, &SHAPE, f.data, 34, f.out, 5,
                                  f.patches, &f.n_patches, NULL),
                RUSK_FORMAT, &(rusk_error){.message = ""}, "");
    rusk_codec_find("raw")->close_tables(f.tables);
}

TEST(registry) {
    CHECK(rusk_codec_count() >= 2);
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        CHECK(rusk_codec_find(rusk_codec_at(i)->name) == rusk_codec_at(i));
    }
    CHECK(rusk_codec_at(rusk_codec_count()) == NULL);
    CHECK(rusk_codec_find("none") == NULL);
}

TEST(block_rows_are_even_and_bounded) {
    static const uint32_t CASES[][3] = {{576, 576, 96},  {192, 576, 96},     {49152, 576, 451},
                                        {576, 1536, 42}, {1536, 576, 110},   {1, 1, 1},
                                        {7, 1000000, 1}, {100000, 1, 50000}, {0, 5, 0},
                                        {5, 0, 5},       {4096, 65536, 4},   {4096, 4096, 64}};
    for (size_t i = 0; i < RUSK_COUNT(CASES); i++) {
        uint32_t rows = rusk_codec_block_rows(CASES[i][0], CASES[i][1]);
        CHECK(rows <= CASES[i][0] && (rows == 1 || (uint64_t)rows * CASES[i][1] <= 1 << 18));
        CHECK_EQ(rows, CASES[i][2]);
    }
}

TEST_MAIN(CASE(count_is_bounded_by_bytes_and_symbols), CASE(patches_inside_the_range_are_applied),
          CASE(bad_lists_are_refused), CASE(gaps_of_any_length), CASE(folding_and_a_patch_add_up),
          CASE(payload_errors_tell_their_offset_in_the_block), CASE(registry),
          CASE(block_rows_are_even_and_bounded))
