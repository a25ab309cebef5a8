/* Every codec's blocks of every width from 1 to three steps and one, sound and damaged: the bytes
 * that may be read end at a page that nobody may touch, and so do those that may be written. */
#include <stdlib.h>

#include "base/bytes.h"
#include "codec/codec.h"
#include "support/codec_cases.h"
#include "support/test.h"

enum {
    STEP = 128, /* columns of a16x2's, the longest */
    MOST_COLS = 3 * STEP + 1,
    MOST_ROWS = 3,
    DATA_BYTES = 1 << 16,
};

typedef struct page_edge {
    uint8_t *data_end;
    int8_t *out_end;
    rusk_patch *patches_end;
} page_edge;

static void *guarded_end(size_t size) {
    return (char *)test_guarded(size, true) + size;
}

static rusk_status decode(const page_edge *edge, const rusk_codec *codec, const codec_block *b,
                          const rusk_block_shape *shape, const uint8_t *block, size_t len,
                          rusk_error *err) {
    size_t n_patches, n_most;
    uint8_t *data = edge->data_end - RUSK_CODEC_OVERREAD - len;
    int8_t *out = edge->out_end - (size_t)shape->n_rows * shape->n_cols;
    memcpy(data, block, len);
    RUSK_TRY(rusk_block_patch_count(data, len, shape, &n_most, err));
    return rusk_block_decode(codec, b->tables, shape, data, len, out, shape->n_cols,
                             edge->patches_end - n_most, &n_patches, err);
}

static void try_shape(const page_edge *edge, const rusk_codec *codec, rusk_rng *rng,
                      uint32_t n_rows, uint32_t n_cols) {
    codec_case c;
    codec_block b;
    rusk_error err = {.message = ""};
    codec_case_init(&c, rng, n_rows, n_cols);
    codec_block_init(&b, codec, &c);
    const size_t n = (size_t)n_rows * n_cols, len = b.data.len_bytes;
    uint8_t *broken = malloc(len);
    CHECK(len + RUSK_CODEC_OVERREAD <= DATA_BYTES);
    memset(edge->data_end - RUSK_CODEC_OVERREAD, 0xFF, RUSK_CODEC_OVERREAD);
    CHECK_OK(decode(edge, codec, &b, &c.shape, (const uint8_t *)b.data.data, len, &err), &err);
    CHECK_MEM(edge->out_end - n, c.symbols, n);
    for (int repeat = 0; repeat < 4; repeat++) {
        memcpy(broken, b.data.data, len);
        broken[rusk_rng_below(rng, len)] = (uint8_t)rusk_rng_u64(rng);
        broken[rusk_rng_below(rng, len)] ^= 0x80;
        size_t cut = repeat < 2 ? len : (size_t)rusk_rng_below(rng, len);
        rusk_status s = decode(edge, codec, &b, &c.shape, broken, cut, &err);
        CHECK(s == RUSK_OK || s == RUSK_FORMAT);
    }
    free(broken);
    codec_block_finish(&b, codec);
    codec_case_finish(&c);
}

TEST(every_width_against_a_page) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    const page_edge edge = {.data_end = guarded_end(DATA_BYTES),
                            .out_end = guarded_end((size_t)MOST_ROWS * MOST_COLS),
                            .patches_end = guarded_end(sizeof(rusk_patch) * MOST_ROWS * MOST_COLS)};
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        for (uint32_t n_cols = 1; n_cols <= MOST_COLS; n_cols++) {
            uint32_t n_rows = 1 + n_cols % MOST_ROWS;
            try_shape(&edge, rusk_codec_at(i), &rng, n_rows, n_cols);
        }
    }
}

TEST_MAIN(CASE(every_width_against_a_page))
