#include "codec/a16.h"

#include <stdlib.h>

#include "base/threads.h"
#include "codec/sample.h"
#include "support/codec_cases.h"
#include "support/test.h"

/* The three codecs go through the same cases. */
static void for_each(void (*check)(const rusk_codec *codec)) {
    static const char *const NAMES[] = {"a16", "a16r", "a16x2"};
    for (size_t i = 0; i < RUSK_COUNT(NAMES); i++) {
        check(rusk_codec_find(NAMES[i]));
    }
}

TEST(round_trips) {
    for_each(codec_check_round_trips);
}

TEST(pieces) {
    for_each(codec_check_pieces);
}

TEST(guard_pages) {
    for_each(codec_check_guard_pages);
}

TEST(truncation) {
    for_each(codec_check_truncation);
}

TEST(random_damage) {
    for_each(codec_check_damage);
}

TEST(table_damage) {
    for_each(codec_check_table_damage);
}

TEST(out_of_memory) {
    for_each(codec_check_out_of_memory);
}

TEST(bad_arguments) {
    for_each(codec_check_bad_arguments);
}

/* Pinned for ever: the bytes stand in docs/format/codecs.md. */
TEST(worked_example_a16) {
    static const uint8_t BLOB[] = {0x05, 0x00, 0x00, 0x7F, 0x33, 0x9A, 0x33, 0x00, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                   0x80, 0x7E, 0x01, 0x14, 0x78, 0x3C, 0x14, 0x21, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02};
    static const uint8_t BLOCK[] = {0x01, 0x05, 0x90, 0x03, 0x01, 0x05, 0x01, 0x05, 0x01, 0x9C,
                                    0x01, 0x9C, 0x21, 0x9C, 0x07, 0x01, 0x02, 0x80, 0x04, 0xF8,
                                    0x00, 0x05, 0xF0, 0xB4, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
                                    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09};
    codec_check_golden(rusk_codec_find("a16"), BLOB, sizeof BLOB, BLOCK, sizeof BLOCK, 1);
}

/* Pinned for ever: the bytes stand in docs/format/codecs.md. */
TEST(worked_example_a16r) {
    static const uint8_t BLOB[] = {0x05, 0x00, 0x00, 0x7F, 0x33, 0x9A, 0x33, 0x00, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                   0x01, 0x7C, 0x14, 0x01, 0x96, 0x55, 0x00, 0x00, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t BLOCK[] = {0x02, 0x05, 0x90, 0x03, 0x02, 0x0C, 0x01, 0x05, 0x01, 0x05,
                                    0x01, 0x9C, 0x01, 0x9C, 0x21, 0x9C, 0x03, 0x01, 0x01, 0x03,
                                    0x01, 0x31, 0x10, 0x84, 0x31, 0x84, 0x00, 0x00, 0x00, 0x00,
                                    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
                                    0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00};
    codec_check_golden(rusk_codec_find("a16r"), BLOB, sizeof BLOB, BLOCK, sizeof BLOCK, 2);
}

/* Pinned for ever: the bytes stand in docs/format/codecs.md. */
TEST(worked_example_a16x2) {
    static const uint8_t BLOB[] = {0x05, 0x00, 0x00, 0x00, 0x96, 0x2D, 0x00, 0x00, 0x2D, 0x10,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                   0x01, 0x00, 0x64, 0x4B, 0x00, 0x00, 0x50, 0x01, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t BLOCK[] = {
        0x02, 0x05, 0x90, 0x03, 0x02, 0x0C, 0x05, 0x01, 0x01, 0xE2, 0x94, 0x94, 0x01, 0x02,
        0x02, 0x50, 0x54, 0x54, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
        0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    codec_check_golden(rusk_codec_find("a16x2"), BLOB, sizeof BLOB, BLOCK, sizeof BLOCK, 2);
}

/* --- tables by hand ------------------------------------------------------------------------- */

typedef struct by_hand {
    rusk_alloc alloc;
    rusk_codec_tables *tables;
} by_hand;

/* One class, 0, with this table. */
static rusk_status open_class(by_hand *h, const rusk_codec *codec, unsigned flags, unsigned base,
                              const uint8_t freq[16], rusk_error *err) {
    uint8_t blob[20] = {1, 0, (uint8_t)flags, (uint8_t)base};
    rusk_alloc_init(&h->alloc, NULL);
    memcpy(blob + 4, freq, 16);
    return codec->open_tables(&h->tables, &h->alloc, blob, sizeof blob, err);
}

/* Codes and decodes; where a symbol has no code, by way of patches. */
static void check_symbols(by_hand *h, const rusk_codec *codec, uint32_t n_rows, uint32_t n_cols,
                          const int8_t *symbols) {
    size_t n = (size_t)n_rows * n_cols, n_patches;
    uint8_t *classes = calloc(n_rows, 1);
    int8_t *out = malloc(n);
    rusk_patch *patches = malloc(n * sizeof *patches);
    rusk_block_shape shape = {.n_rows = n_rows, .n_cols = n_cols, .row_classes = classes};
    rusk_strbuf data;
    rusk_error err;
    rusk_strbuf_init(&data, &h->alloc, RUSK_MEM_SCRATCH);
    CHECK_OK(rusk_block_encode(codec, h->tables, &shape, symbols, NULL, 0, &data, &err), &err);
    size_t len = data.len_bytes;
    for (int i = 0; i < RUSK_CODEC_OVERREAD; i++) {
        rusk_strbuf_add_u8(&data, 0xA7);
    }
    CHECK_OK(rusk_block_decode(codec, h->tables, &shape, (const uint8_t *)data.data, len, out,
                               n_cols, patches, &n_patches, &err),
             &err);
    CHECK_EQ(n_patches, 0);
    CHECK_MEM(out, symbols, n);
    rusk_strbuf_finish(&data);
    free(classes);
    free(out);
    free(patches);
}

static void check_table(const rusk_codec *codec, unsigned flags, unsigned base,
                        const uint8_t freq[16], const int8_t *symbols, size_t n) {
    by_hand h;
    rusk_error err;
    CHECK_OK(open_class(&h, codec, flags, base, freq, &err), &err);
    for (uint32_t n_cols = 1; n_cols <= 200; n_cols += n_cols < 8 || n_cols > 125 ? 1 : 7) {
        check_symbols(&h, codec, (uint32_t)(n / n_cols) % 6 + 1, n_cols, symbols);
    }
    codec->close_tables(h.tables);
}

/* Whatever the frequencies say, all symbols come back: those with an entry, those escaped, those
 * folded. */
TEST(every_shape_of_table) {
    static const uint8_t FREQ[][16] = {
        {255, 1},
        {128, 128},
        {1, 255},
        {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16},
        {241, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 241},
        {1, 2, 3, 5, 8, 13, 30, 60, 66, 35, 15, 8, 5, 2, 1, 2},
        {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255},
        {200, 0, 20, 0, 10, 0, 10, 0, 10, 0, 3, 0, 1, 0, 1, 1},
        {1, 17, 33, 205},
        {127, 126, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    };
    enum { MOST = 6 * 200 };
    int8_t symbols[MOST];
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < RUSK_COUNT(FREQ); i++) {
        for (unsigned low = 0; low <= RUSK_A16_MAX_LOW; low++) {
            for (unsigned escape = 0; escape <= (FREQ[i][15] > 0 ? 0x80U : 0U); escape += 0x80) {
                double sigma = (1 << low) * (1 + 3 * rusk_rng_double(&rng));
                rusk_sample_gaussian(symbols, MOST, sigma, rusk_rng_u64(&rng));
                unsigned top = 16;
                while (top > 0 && (FREQ[i][top - 1] == 0 || (top == 16 && escape != 0))) {
                    top--;
                }
                if (top << low <= 256) {
                    unsigned base = (unsigned)rusk_rng_below(&rng, 257 - (top << low));
                    check_table(rusk_codec_find("a16r"), low | escape, base, FREQ[i], symbols,
                                MOST);
                }
                if (low <= RUSK_A16_MAX_LOW_2) {
                    check_table(rusk_codec_find("a16x2"), low | escape, 0, FREQ[i], symbols, MOST);
                }
            }
        }
    }
}

static void check_refused(const char *name, unsigned flags, unsigned base, const uint8_t *freq) {
    by_hand h;
    rusk_error err;
    CHECK_FAILS(open_class(&h, rusk_codec_find(name), flags, base, freq, &err), RUSK_FORMAT, &err,
                "table, class 0");
    CHECK(h.tables == NULL && h.alloc.bytes_total == 0);
}

TEST(tables_that_do_not_fit) {
    static const uint8_t FLAT[16] = {16, 16, 16, 16, 16, 16, 16, 16,
                                     16, 16, 16, 16, 16, 16, 16, 16};
    static const uint8_t SHORT[16] = {128, 127}, LONG[16] = {128, 129}, TWO[16] = {0, 128, 128};
    check_refused("a16", 1, 100, FLAT); /* low bits */
    check_refused("a16r", 7, 0, TWO);
    check_refused("a16x2", 6, 0, FLAT);
    check_refused("a16r", 0x40, 100, FLAT); /* a flag that is none */
    check_refused("a16", 0, 100, SHORT);    /* sums */
    check_refused("a16", 0, 100, LONG);
    check_refused("a16", 0x80, 100, TWO); /* an escape without a code */
    check_refused("a16", 0, 241, FLAT);   /* beyond 127 */
    check_refused("a16r", 4, 1, FLAT);
    check_refused("a16x2", 0, 1, FLAT); /* a base */
    check_refused("a16x2", 0, 0, TWO);  /* no code for zeros */
}

/* -128 is within reach of these tables, but not a symbol. */
TEST(a_symbol_of_minus_128_is_refused) {
    static const uint8_t FLAT[16] = {16, 16, 16, 16, 16, 16, 16, 16,
                                     16, 16, 16, 16, 16, 16, 16, 16};
    static const uint8_t CLASSES[1];
    rusk_block_shape shape = {.n_rows = 1, .n_cols = 1, .row_classes = CLASSES};
    /* state 0x1000 + slot: entry of the slot, then 16 * 16 + 0 = 256: the last state */
    uint8_t single[2 + 4 + 8 * 4 + RUSK_CODEC_OVERREAD] = {0x10, 0x00};
    uint8_t pair[2 + 4 + 8 * 6 + RUSK_CODEC_OVERREAD] = {0x10, 0x30};
    rusk_block_decoder d;
    rusk_error err;
    by_hand h;
    int8_t out[1];
    const rusk_codec *codec = rusk_codec_find("a16r");
    CHECK_OK(open_class(&h, codec, 4, 0, FLAT, &err), &err);
    CHECK_OK(codec->begin(&d.decoder, h.tables, &shape, single, 38, &err), &err);
    rusk_decoder *one[1] = {&d.decoder};
    int8_t *to[1] = {out};
    unsigned failed = 9;
    CHECK_FAILS(codec->rows(one, 1, 1, to, 1, &failed, &err), RUSK_FORMAT, &err, "found -128");
    CHECK_EQ(failed, 0);
    codec->close_tables(h.tables);
    codec = rusk_codec_find("a16x2");
    CHECK_OK(open_class(&h, codec, 5, 0, FLAT, &err), &err);
    pair[6 + 32] = 2; /* column 0's field is 100000: sign, low bits 0; this is its high part */
    CHECK_OK(codec->begin(&d.decoder, h.tables, &shape, pair, 54, &err), &err);
    CHECK_FAILS(codec->rows(one, 1, 1, to, 1, &failed, &err), RUSK_FORMAT, &err, "found -128");
    codec->close_tables(h.tables);
}

/* x / f by the reciprocal, for every state and frequency there can be; and the ranks of each entry
 * are 0 .. freq - 1, each once. */
TEST(reciprocals_and_slots_are_exact) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_error err;
    for (unsigned f = 1; f < 256; f++) {
        uint8_t freq[16] = {(uint8_t)f, (uint8_t)(256 - f)};
        by_hand h;
        CHECK_OK(open_class(&h, rusk_codec_find("a16"), 0, 100, freq, &err), &err);
        const rusk_a16_class *c = rusk_a16_of(h.tables)->at[0];
        for (uint32_t x = 0; x < 65536; x++) {
            CHECK((uint32_t)((uint64_t)x * c->code[0].reciprocal >> 24) == x / f);
        }
        rusk_codec_find("a16")->close_tables(h.tables);
    }
    for (int repeat = 0; repeat < 200; repeat++) {
        uint8_t freq[16] = {0}, seen[256] = {0};
        by_hand h;
        for (int i = 0; i < 256; i++) {
            freq[rusk_rng_below(&rng, 1 + rusk_rng_below(&rng, 16))]++;
        }
        if (open_class(&h, rusk_codec_find("a16"), 0, 100, freq, &err) != RUSK_OK) {
            continue; /* 256 of one */
        }
        const rusk_a16_class *c = rusk_a16_of(h.tables)->at[0];
        for (unsigned slot = 0; slot < 256; slot++) {
            bool own = (int)(slot & 15) <= (int8_t)c->last[slot >> 4];
            unsigned e = own ? slot >> 4 : c->alias[slot >> 4];
            unsigned rank = own ? slot & 15 : (slot - c->back[slot >> 4]) & 0xFF;
            CHECK(rank < freq[e]);
            CHECK_EQ(c->slot_of_rank[c->code[e].start + rank], slot);
            seen[c->code[e].start + rank]++;
        }
        for (unsigned i = 0; i < 256; i++) {
            CHECK_EQ(seen[i], 1);
        }
        rusk_codec_find("a16")->close_tables(h.tables);
    }
}

/* --- cost ----------------------------------------------------------------------------------- */

typedef struct bound {
    const char *codec;
    double bits, most_excess; /* blocks and all over the entropy */
} bound;

/* One class, Gaussian, blocks of 113 rows of 576: what is left to states is 0.024 bits a symbol.
 * cost_bits and block_bits tell the size to 0.1 %. */
TEST(cost_is_near_the_entropy) {
    static const bound BOUNDS[] = {
        {"a16", 2.0, 0.018},  {"a16", 2.6, 0.017},  {"a16", 3.2, 0.015},
        {"a16r", 2.6, 0.017}, {"a16r", 3.9, 0.016}, {"a16r", 4.5, 0.017},
        {"a16r", 5.5, 0.015}, {"a16r", 6.5, 0.013}, {"a16x2", 4.5, 0.027}};
    enum { N_COLS = 576, MOST_ROWS = 128 };
    static int8_t symbols[MOST_ROWS * N_COLS];
    static const uint8_t CLASSES[MOST_ROWS];
    uint32_t n_rows = rusk_codec_block_rows(1536, N_COLS);
    size_t n = (size_t)n_rows * N_COLS;
    for (size_t i = 0; i < RUSK_COUNT(BOUNDS); i++) {
        const rusk_codec *codec = rusk_codec_find(BOUNDS[i].codec);
        codec_case c = {.shape = {.n_rows = n_rows, .n_cols = N_COLS, .row_classes = CLASSES},
                        .symbols = symbols};
        codec_block b;
        rusk_sample_gaussian(symbols, n, rusk_sample_sigma(BOUNDS[i].bits), test_seed());
        rusk_hist_clear(&c.hist);
        rusk_hist_add(&c.hist, 0, symbols, n);
        codec_block_init(&b, codec, &c);
        double entropy = rusk_hist_bits(&c.hist), coded = 8.0 * (double)b.data.len_bytes;
        CHECK(coded < entropy * (1 + BOUNDS[i].most_excess));
        CHECK_NEAR(coded, codec->cost_bits(&c.hist) + codec->block_bits(&c.shape), 0.001 * coded);
        codec_block_finish(&b, codec);
    }
}

/* --- threads -------------------------------------------------------------------------------- */

enum { N_TASKS = 24 };

typedef struct encode_job {
    const rusk_codec *codec;
    const codec_case *c;
    const codec_block *b;
    rusk_strbuf data[N_TASKS];
    rusk_status status[N_TASKS];
} encode_job;

static void encode_task(void *context, size_t task, unsigned worker) {
    encode_job *job = context;
    (void)worker;
    job->status[task] =
        rusk_block_encode(job->codec, job->b->tables, &job->c->shape, job->c->symbols,
                          job->c->patches, job->c->n_patches, &job->data[task], NULL);
}

/* Blocks coded at the same time with the same tables have the same bytes. */
static void check_threads(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    codec_case c;
    codec_block b;
    encode_job job = {.codec = codec, .c = &c, .b = &b};
    rusk_error err;
    codec_case_init(&c, &rng, 64, 576);
    codec_block_init(&b, codec, &c);
    rusk_pool *pool;
    CHECK_OK(rusk_pool_create(&pool, &b.alloc, 4, &err), &err);
    for (size_t i = 0; i < N_TASKS; i++) {
        rusk_strbuf_init(&job.data[i], &b.alloc, RUSK_MEM_SCRATCH);
    }
    rusk_pool_run(pool, encode_task, &job, N_TASKS);
    for (size_t i = 0; i < N_TASKS; i++) {
        CHECK_EQ(job.status[i], RUSK_OK);
        CHECK_EQ(job.data[i].len_bytes, b.data.len_bytes);
        CHECK_MEM(job.data[i].data, b.data.data, b.data.len_bytes);
        rusk_strbuf_finish(&job.data[i]);
    }
    rusk_pool_destroy(pool);
    codec_block_finish(&b, codec);
    codec_case_finish(&c);
}

TEST(threads_give_the_same_bytes) {
    for_each(check_threads);
}

TEST_MAIN(CASE(worked_example_a16), CASE(worked_example_a16r), CASE(worked_example_a16x2),
          CASE(round_trips), CASE(pieces), CASE(guard_pages), CASE(truncation), CASE(random_damage),
          CASE(table_damage), CASE(out_of_memory), CASE(bad_arguments), CASE(every_shape_of_table),
          CASE(tables_that_do_not_fit), CASE(a_symbol_of_minus_128_is_refused),
          CASE(reciprocals_and_slots_are_exact), CASE(cost_is_near_the_entropy),
          CASE(threads_give_the_same_bytes))
