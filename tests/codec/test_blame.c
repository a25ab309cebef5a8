/* Two blocks decoded side by side, one of them damaged: the error is that block's and no other's,
 * and says what it says where the block is decoded alone. */
#include <stdlib.h>

#include "base/bytes.h"
#include "codec/codec.h"
#include "support/codec_cases.h"
#include "support/test.h"

typedef struct pair {
    const rusk_codec *codec;
    const codec_case *c;
    codec_block b;
    uint8_t *sound, *broken; /* payloads, the over-read behind them */
    size_t len;              /* of both */
    int8_t *out[2];
} pair;

static uint8_t *padded(const uint8_t *payload, size_t len) {
    uint8_t *p = malloc(len + RUSK_CODEC_OVERREAD);
    memcpy(p, payload, len);
    memset(p + len, 0xA7, RUSK_CODEC_OVERREAD);
    return p;
}

static void damage(rusk_rng *rng, uint8_t *data, size_t len) {
    for (size_t i = 0, n = 1 + (size_t)rusk_rng_below(rng, 3); i < n; i++) {
        data[rusk_rng_below(rng, len)] ^= (uint8_t)(1 + rusk_rng_below(rng, 255));
    }
}

/* Payload `first` and, where it is not NULL, `second` beside it, `step` rows a call. */
static rusk_status decode(const pair *p, const uint8_t *first, const uint8_t *second, uint32_t step,
                          unsigned *failed, rusk_error *err) {
    static rusk_decoder decoders[2];
    rusk_decoder *const d[2] = {&decoders[0], &decoders[1]};
    const uint8_t *const data[2] = {first, second};
    const rusk_block_shape *shape = &p->c->shape;
    unsigned n = second != NULL ? 2 : 1;
    for (*failed = 0; *failed < n; (*failed)++) {
        RUSK_TRY(p->codec->begin(d[*failed], p->b.tables, shape, data[*failed], p->len, err));
    }
    for (uint32_t r = 0; r < shape->n_rows; r += step) {
        int8_t *const out[2] = {p->out[0] + (size_t)r * shape->n_cols,
                                p->out[1] + (size_t)r * shape->n_cols};
        RUSK_TRY(p->codec->rows(d, n, RUSK_MIN(step, shape->n_rows - r), out, shape->n_cols, failed,
                                err));
    }
    return RUSK_OK;
}

static void compare(const pair *p, uint32_t step) {
    rusk_error alone = {.message = ""}, beside = {.message = ""};
    unsigned failed;
    rusk_status expected = decode(p, p->broken, NULL, step, &failed, &alone);
    for (unsigned at = 0; at < 2; at++) {
        const uint8_t *first = at == 0 ? p->broken : p->sound;
        const uint8_t *second = at == 0 ? p->sound : p->broken;
        CHECK_EQ(decode(p, first, second, step, &failed, &beside), expected);
        if (expected != RUSK_OK) {
            CHECK_EQ(failed, at);
            CHECK_STR(beside.message, alone.message);
            CHECK_EQ(beside.offset, alone.offset);
        }
    }
}

static void try_codec(const rusk_codec *codec, rusk_rng *rng) {
    enum { N_ROWS = 6, N_COLS = 300 };
    codec_case c;
    pair p = {.codec = codec, .c = &c};
    codec_case_init(&c, rng, N_ROWS, N_COLS);
    for (size_t k = 0; k < (size_t)N_ROWS * N_COLS; k++) { /* no folding: no patches */
        c.hist.count[c.classes[k / N_COLS]][c.symbols[k] + 128] += (size_t)N_ROWS * N_COLS;
    }
    c.n_patches = 0;
    codec_block_init(&p.b, codec, &c);
    if (p.b.data.data[0] == 0) { /* an empty list; else a codec of few symbols folded some */
        const uint8_t *payload = (const uint8_t *)p.b.data.data + 1;
        p.len = p.b.data.len_bytes - 1;
        p.sound = padded(payload, p.len);
        p.out[0] = malloc((size_t)N_ROWS * N_COLS);
        p.out[1] = malloc((size_t)N_ROWS * N_COLS);
        for (int repeat = 0; repeat < 100; repeat++) {
            p.broken = padded(payload, p.len);
            damage(rng, p.broken, p.len);
            compare(&p, 1 + (uint32_t)rusk_rng_below(rng, N_ROWS));
            free(p.broken);
        }
        free(p.sound);
        free(p.out[0]);
        free(p.out[1]);
    }
    codec_block_finish(&p.b, codec);
    codec_case_finish(&c);
}

TEST(the_damaged_block_is_named) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        for (int repeat = 0; repeat < 12; repeat++) {
            try_codec(rusk_codec_at(i), &rng);
        }
    }
}

TEST_MAIN(CASE(the_damaged_block_is_named))
