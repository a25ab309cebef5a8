#include "codec/codec.h"
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

TEST_MAIN(CASE(round_trips), CASE(pieces), CASE(guard_pages), CASE(truncation), CASE(random_damage),
          CASE(table_damage), CASE(out_of_memory), CASE(bad_arguments))
