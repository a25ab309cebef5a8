#include "codec/codec.h"
#include "support/codec_cases.h"
#include "support/test.h"

static const rusk_codec *raw(void) {
    return rusk_codec_find("raw");
}

TEST(round_trips) {
    codec_check_round_trips(raw());
}

TEST(pieces) {
    codec_check_pieces(raw());
}

TEST(guard_pages) {
    codec_check_guard_pages(raw());
}

TEST(truncation) {
    codec_check_truncation(raw());
}

TEST(random_damage) {
    codec_check_damage(raw());
}

TEST(table_damage) {
    codec_check_table_damage(raw());
}

TEST(out_of_memory) {
    codec_check_out_of_memory(raw());
}

TEST(bad_arguments) {
    codec_check_bad_arguments(raw());
}

/* Pinned for ever: the bytes stand in docs/format/codecs.md. */
TEST(worked_example) {
    static const uint8_t BLOB[] = {0x05, 0x00, 0x02, 0x7E, 0x03, 0x7C};
    static const uint8_t BLOCK[] = {0x02, 0x05, 0x90, 0x03, 0x02, 0x0C, 0x02, 0x01, 0x02, 0x03,
                                    0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                    0x00, 0x00, 0x03, 0x02, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00,
                                    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
                                    0x01, 0x01, 0x01, 0x00, 0x00, 0x00};
    codec_check_golden(raw(), BLOB, sizeof BLOB, BLOCK, sizeof BLOCK, 2);
}

TEST_MAIN(CASE(worked_example), CASE(round_trips), CASE(pieces), CASE(guard_pages),
          CASE(truncation), CASE(random_damage), CASE(table_damage), CASE(out_of_memory),
          CASE(bad_arguments))
