#include "codec/codec.h"
#include "codec/sample.h"
#include "support/codec_cases.h"
#include "support/test.h"

static const rusk_codec *rans(void) {
    return rusk_codec_find("rans");
}

TEST(round_trips) {
    codec_check_round_trips(rans());
}

TEST(pieces) {
    codec_check_pieces(rans());
}

TEST(guard_pages) {
    codec_check_guard_pages(rans());
}

TEST(truncation) {
    codec_check_truncation(rans());
}

TEST(random_damage) {
    codec_check_damage(rans());
}

TEST(table_damage) {
    codec_check_table_damage(rans());
}

TEST(out_of_memory) {
    codec_check_out_of_memory(rans());
}

TEST(bad_arguments) {
    codec_check_bad_arguments(rans());
}

/* One class, Gaussian, blocks as tall as advised: coded size within 0.5 % of the entropy from 3
 * bits on, and cost_bits and block_bits tell it to 0.06 %. */
TEST(cost_is_near_the_entropy) {
    enum { N_COLS = 576, MOST_ROWS = 128 };
    static int8_t symbols[MOST_ROWS * N_COLS];
    static const uint8_t CLASSES[MOST_ROWS];
    uint32_t n_rows = rusk_codec_block_rows(1536, N_COLS);
    CHECK(n_rows >= 96 && n_rows <= MOST_ROWS);
    size_t n = (size_t)n_rows * N_COLS;
    for (int half_bits = 4; half_bits <= 13; half_bits++) {
        double bits = 0.5 * half_bits;
        codec_case c = {.shape = {.n_rows = n_rows, .n_cols = N_COLS, .row_classes = CLASSES},
                        .symbols = symbols};
        codec_block b;
        rusk_sample_gaussian(symbols, n, rusk_sample_sigma(bits), test_seed());
        rusk_hist_clear(&c.hist);
        rusk_hist_add(&c.hist, 0, symbols, n);
        codec_block_init(&b, rans(), &c);
        double entropy = rusk_hist_bits(&c.hist), coded = 8.0 * (double)b.data.len_bytes;
        CHECK(coded < entropy * (bits < 3 ? 1.008 : 1.005));
        CHECK_NEAR(coded, rans()->cost_bits(&c.hist) + rans()->block_bits(&c.shape),
                   0.0006 * coded);
        codec_block_finish(&b, rans());
    }
}

/* Pinned for ever: the bytes stand in docs/format/codecs.md. */
TEST(worked_example) {
    static const uint8_t BLOB[] = {0x05, 0x00, 0x7F, 0x81, 0xFF, 0xFF, 0xCD, 0x3C, 0xCD,
                                   0xBC, 0x99, 0x7C, 0x83, 0xDF, 0x3F, 0xE5, 0x50, 0xBA,
                                   0xDB, 0x71, 0x93, 0xBD, 0xA2, 0xA7, 0x00};
    static const uint8_t BLOCK[] = {0x02, 0x05, 0x90, 0x03, 0x02, 0x0C, 0x17, 0x00, 0x11,
                                    0x00, 0x01, 0x00, 0x45, 0x00, 0x01, 0x00, 0x0D, 0x1C,
                                    0xF8, 0x30, 0xCA, 0x2B, 0x7F, 0x6D, 0xAE, 0xD8};
    codec_check_golden(rans(), BLOB, sizeof BLOB, BLOCK, sizeof BLOCK, 2);
}

TEST_MAIN(CASE(worked_example), CASE(round_trips), CASE(pieces), CASE(guard_pages),
          CASE(truncation), CASE(random_damage), CASE(table_damage), CASE(out_of_memory),
          CASE(bad_arguments), CASE(cost_is_near_the_entropy))
