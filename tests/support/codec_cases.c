#include "support/codec_cases.h"

#include <stdlib.h>

#include "codec/sample.h"
#include "support/test.h"

static const uint32_t SHAPES[][2] = {
    {1, 1},  {1, 2},   {1, 31},  {1, 32},  {1, 33},   {1, 63},   {1, 64},   {1, 65},  {2, 1},
    {7, 1},  {40, 1},  {3, 31},  {3, 32},  {3, 33},   {5, 64},   {5, 100},  {64, 96}, {9, 576},
    {64, 7}, {17, 95}, {16, 97}, {1, 576}, {1, 4096}, {33, 129}, {64, 576},
};

size_t codec_case_n_shapes(void) {
    return RUSK_COUNT(SHAPES);
}

void codec_case_shape(size_t i, uint32_t *n_rows, uint32_t *n_cols) {
    *n_rows = SHAPES[i][0];
    *n_cols = SHAPES[i][1];
}

static int8_t draw(rusk_rng *rng, unsigned kind, double sigma) {
    double v;
    switch (kind) {
    case 0:
    case 1:
        v = sigma * rusk_rng_normal(rng);
        break;
    case 2: /* heavy tails: one in 500 is 20 times as large */
        v = sigma * rusk_rng_normal(rng) * (rusk_rng_below(rng, 500) == 0 ? 20 : 1);
        break;
    case 3:
        return (int8_t)((int)(sigma * 5) - 20); /* all equal */
    case 4:
        return (int8_t)((int)rusk_rng_below(rng, 255) - 127);
    default:
        return rusk_rng_below(rng, 2) == 0 ? -127 : 127;
    }
    v += v < 0 ? -0.5 : 0.5;
    return (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
}

void codec_case_init(codec_case *c, rusk_rng *rng, uint32_t n_rows, uint32_t n_cols) {
    size_t n = (size_t)n_rows * n_cols;
    unsigned n_classes = 1 + (unsigned)rusk_rng_below(rng, 16), kind[16];
    double sigma[16];
    c->classes = malloc(n_rows);
    c->symbols = malloc(n);
    c->patches = malloc(n * sizeof *c->patches);
    c->n_patches = 0;
    rusk_hist_clear(&c->hist);
    for (size_t i = 0; i < 16; i++) {
        kind[i] = (unsigned)rusk_rng_below(rng, 6);
        sigma[i] = 0.2 + 12 * rusk_rng_double(rng);
    }
    for (size_t r = 0; r < n_rows; r++) {
        int8_t *row = c->symbols + r * n_cols;
        unsigned k = (unsigned)rusk_rng_below(rng, n_classes);
        c->classes[r] = (uint8_t)k;
        for (size_t i = 0; i < n_cols; i++) {
            row[i] = draw(rng, kind[k], sigma[k]);
            if ((row[i] == 127 || row[i] == -127) && rusk_rng_below(rng, 2) == 0) {
                int32_t far = (int32_t)rusk_rng_below(
                    rng, rusk_rng_below(rng, 2) ? 100 : RUSK_PATCH_MAX_DELTA - 256);
                c->patches[c->n_patches++] = (rusk_patch){.position = (uint32_t)(r * n_cols + i),
                                                          .delta = row[i] > 0 ? far + 1 : -far - 1};
            }
        }
        rusk_hist_add(&c->hist, k, row, n_cols);
    }
    c->shape = (rusk_block_shape){.n_rows = n_rows, .n_cols = n_cols, .row_classes = c->classes};
}

void codec_case_finish(codec_case *c) {
    free(c->classes);
    free(c->symbols);
    free(c->patches);
}

void codec_block_init(codec_block *b, const rusk_codec *codec, const codec_case *c) {
    rusk_error err;
    rusk_alloc_init(&b->alloc, NULL);
    rusk_strbuf_init(&b->blob, &b->alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&b->data, &b->alloc, RUSK_MEM_WEIGHTS);
    CHECK_OK(codec->build_tables(&c->hist, &b->blob, &err), &err);
    CHECK_OK(codec->open_tables(&b->tables, &b->alloc, (const uint8_t *)b->blob.data,
                                b->blob.len_bytes, &err),
             &err);
    CHECK_OK(rusk_block_encode(codec, b->tables, &c->shape, c->symbols, c->patches, c->n_patches,
                               &b->data, &err),
             &err);
}

void codec_block_finish(codec_block *b, const rusk_codec *codec) {
    codec->close_tables(b->tables);
    rusk_strbuf_finish(&b->blob);
    rusk_strbuf_finish(&b->data);
    CHECK_EQ(b->alloc.bytes_total, 0);
}

/* Decodes from `data` into rows of n_cols + 3 and compares with the case. */
static void check_decodes(const rusk_codec *codec, const codec_block *b, const codec_case *c,
                          const uint8_t *data) {
    size_t stride = c->shape.n_cols + 3, n_patches, n_most;
    int8_t *out = malloc(c->shape.n_rows * stride);
    rusk_patch *patches = malloc(((size_t)c->shape.n_rows * c->shape.n_cols) * sizeof *patches);
    rusk_error err;
    memset(out, 0x55, c->shape.n_rows * stride);
    CHECK_OK(rusk_block_patch_count(data, b->data.len_bytes, &c->shape, &n_most, &err), &err);
    CHECK_OK(rusk_block_decode(codec, b->tables, &c->shape, data, b->data.len_bytes, out, stride,
                               patches, &n_patches, &err),
             &err);
    CHECK(n_patches <= n_most);
    CHECK_EQ(n_patches, c->n_patches);
    size_t p = 0;
    for (size_t r = 0; r < c->shape.n_rows; r++) {
        for (size_t i = 0; i < c->shape.n_cols; i++) {
            size_t at = r * c->shape.n_cols + i;
            int value = (int)out[r * stride + i], expected = (int)c->symbols[at];
            if (p < n_patches && patches[p].position == at) {
                CHECK_EQ(c->patches[p].position, at);
                expected += c->patches[p].delta;
                value += patches[p++].delta;
            }
            CHECK_EQ(value, expected);
        }
        for (size_t i = c->shape.n_cols; i < stride; i++) {
            CHECK_EQ(out[r * stride + i], 0x55); /* left alone */
        }
    }
    CHECK_EQ(p, n_patches);
    free(out);
    free(patches);
}

/* Copy of the block followed by the readable bytes that the contract asks for. */
static uint8_t *padded_copy(const codec_block *b) {
    uint8_t *data = malloc(b->data.len_bytes + RUSK_CODEC_OVERREAD);
    memcpy(data, b->data.data, b->data.len_bytes);
    memset(data + b->data.len_bytes, 0xA7, RUSK_CODEC_OVERREAD);
    return data;
}

void codec_check_round_trips(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (unsigned repeat = 0; repeat < 12; repeat++) {
        for (size_t i = 0; i < codec_case_n_shapes(); i++) {
            uint32_t n_rows, n_cols;
            codec_case c;
            codec_block b, again;
            codec_case_shape(i, &n_rows, &n_cols);
            codec_case_init(&c, &rng, n_rows, n_cols);
            codec_block_init(&b, codec, &c);
            codec_block_init(&again, codec, &c);
            CHECK_EQ(again.data.len_bytes, b.data.len_bytes);
            CHECK_MEM(again.data.data, b.data.data, b.data.len_bytes);
            uint8_t *data = padded_copy(&b);
            check_decodes(codec, &b, &c, data);
            free(data);
            codec_block_finish(&b, codec);
            codec_block_finish(&again, codec);
            codec_case_finish(&c);
        }
    }
}

enum { PIECE_ROWS = 9 };

/* One of two decoders that go in step: the whole block, decoded at once, is what to expect. */
typedef struct pieces {
    rusk_block_decoder d;
    rusk_block_shape shape;
    uint8_t *data;
    size_t len, n_whole, n_seen;
    int8_t *whole, *piece;
    rusk_patch *whole_patches, *patches;
} pieces;

static void pieces_init(pieces *p, const rusk_codec *codec, const codec_block *b,
                        const codec_case *c, uint32_t row0, uint32_t n_rows) {
    size_t n_cols = c->shape.n_cols, n = n_rows * n_cols, n_before = 0, n_patches = 0;
    rusk_strbuf data;
    rusk_alloc alloc;
    rusk_error err;
    rusk_patch *patches = malloc(n * sizeof *patches);
    p->shape = (rusk_block_shape){n_rows, (uint32_t)n_cols, c->classes + row0};
    for (; n_before < c->n_patches && c->patches[n_before].position < row0 * n_cols; n_before++) {
    }
    for (size_t i = n_before; i < c->n_patches; i++) {
        patches[n_patches] = c->patches[i];
        patches[n_patches].position -= (uint32_t)(row0 * n_cols);
        n_patches += patches[n_patches].position < n;
    }
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&data, &alloc, RUSK_MEM_WEIGHTS);
    CHECK_OK(rusk_block_encode(codec, b->tables, &p->shape, c->symbols + row0 * n_cols, patches,
                               n_patches, &data, &err),
             &err);
    p->len = data.len_bytes;
    p->data = malloc(p->len + RUSK_CODEC_OVERREAD);
    memcpy(p->data, data.data, p->len);
    memset(p->data + p->len, 0x5A, RUSK_CODEC_OVERREAD);
    rusk_strbuf_finish(&data);
    p->whole = malloc(n);
    p->piece = malloc(PIECE_ROWS * (n_cols + 3));
    p->whole_patches = patches;
    p->patches = malloc(n * sizeof *patches);
    p->n_seen = 0;
    CHECK_OK(rusk_block_decode(codec, b->tables, &p->shape, p->data, p->len, p->whole, n_cols,
                               p->whole_patches, &p->n_whole, &err),
             &err);
}

static void pieces_finish(pieces *p) {
    free(p->data);
    free(p->whole);
    free(p->piece);
    free(p->whole_patches);
    free(p->patches);
}

static void check_piece(pieces *p, uint32_t n_rows, size_t n_patches) {
    size_t n_cols = p->shape.n_cols, row0 = p->d.decoder.next_row - n_rows;
    for (size_t r = 0; r < n_rows; r++) {
        CHECK_MEM(p->piece + r * (n_cols + 3), p->whole + (row0 + r) * n_cols, n_cols);
        CHECK_EQ(p->piece[r * (n_cols + 3) + n_cols], 0x55);
    }
    for (size_t i = 0; i < n_patches; i++, p->n_seen++) {
        CHECK(p->n_seen < p->n_whole);
        CHECK_EQ(p->patches[i].position + row0 * n_cols, p->whole_patches[p->n_seen].position);
        CHECK_EQ(p->patches[i].delta, p->whole_patches[p->n_seen].delta);
    }
}

static void check_in_pieces(const rusk_codec *codec, const codec_block *b, pieces *p, unsigned n,
                            rusk_rng *rng) {
    rusk_block_decoder *d[2] = {&p[0].d, &p[1].d};
    int8_t *out[2] = {p[0].piece, p[1].piece};
    rusk_patch *patches[2] = {p[0].patches, p[1].patches};
    size_t n_patches[2];
    unsigned failed;
    rusk_error err;
    for (unsigned i = 0; i < n; i++) {
        p[i].n_seen = 0;
        CHECK_OK(
            rusk_block_begin(&p[i].d, codec, b->tables, &p[i].shape, p[i].data, p[i].len, &err),
            &err);
    }
    for (uint32_t left = p->shape.n_rows, rows; left > 0; left -= rows) {
        rows = (uint32_t)rusk_rng_below(rng, PIECE_ROWS + 1);
        rows = RUSK_MIN(left, rows);
        memset(out[0], 0x55, PIECE_ROWS * (p->shape.n_cols + (size_t)3));
        memset(out[1], 0x55, PIECE_ROWS * (p->shape.n_cols + (size_t)3));
        CHECK_OK(rusk_block_rows(d, n, rows, out, p->shape.n_cols + 3, patches, n_patches, &failed,
                                 &err),
                 &err);
        for (unsigned i = 0; i < n; i++) {
            check_piece(&p[i], rows, n_patches[i]);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(p[i].n_seen, p[i].n_whole);
    }
    CHECK_FAILS(rusk_block_rows(d, n, 1, out, p->shape.n_cols, patches, n_patches, &failed, &err),
                RUSK_INVALID_ARGUMENT, &err, "expected at most 0 rows");
}

/* Where the second of two blocks is damaged, the second is named. */
static void check_fault(const rusk_codec *codec, const codec_block *b, pieces *p) {
    rusk_block_decoder *d[2] = {&p[0].d, &p[1].d};
    rusk_patch *patches[2] = {p[0].patches, p[1].patches};
    int8_t *again = malloc((size_t)p[1].shape.n_rows * p[1].shape.n_cols);
    int8_t *out[2] = {p[0].whole, again};
    size_t n_patches[2];
    unsigned failed = 9;
    rusk_error err;
    p[1].data[p[1].len - 1] ^= 0x80;
    CHECK_OK(rusk_block_begin(d[0], codec, b->tables, &p[0].shape, p[0].data, p[0].len, &err),
             &err);
    rusk_status s =
        rusk_block_begin(d[1], codec, b->tables, &p[1].shape, p[1].data, p[1].len, &err);
    CHECK(s == RUSK_OK || s == RUSK_FORMAT);
    if (s == RUSK_OK) { /* the damage did not show at once */
        s = rusk_block_rows(d, 2, p->shape.n_rows, out, p->shape.n_cols, patches, n_patches,
                            &failed, &err);
        CHECK(s == RUSK_OK || (s == RUSK_FORMAT && failed == 1));
    }
    free(again);
}

void codec_check_pieces(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < 2 * codec_case_n_shapes(); i++) {
        uint32_t n_rows, n_cols;
        codec_case c;
        codec_block b;
        pieces p[2];
        codec_case_shape(i / 2, &n_rows, &n_cols);
        codec_case_init(&c, &rng, 2 * n_rows, n_cols);
        codec_block_init(&b, codec, &c);
        pieces_init(&p[0], codec, &b, &c, 0, n_rows);
        pieces_init(&p[1], codec, &b, &c, n_rows, n_rows);
        check_in_pieces(codec, &b, p, 1, &rng);
        check_in_pieces(codec, &b, p, 2, &rng);
        check_fault(codec, &b, p);
        pieces_finish(&p[0]);
        pieces_finish(&p[1]);
        codec_block_finish(&b, codec);
        codec_case_finish(&c);
    }
}

/* The block with its over-read at the end of a page; and at a page's start, output at its end. */
void codec_check_guard_pages(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t i = 0; i < codec_case_n_shapes(); i++) {
        uint32_t n_rows, n_cols;
        codec_case c;
        codec_block b;
        size_t n_patches;
        rusk_error err;
        codec_case_shape(i, &n_rows, &n_cols);
        codec_case_init(&c, &rng, n_rows, n_cols);
        c.n_patches = 0;
        codec_block_init(&b, codec, &c);
        size_t n = (size_t)n_rows * n_cols, len = b.data.len_bytes;
        rusk_patch *patches = malloc(n * sizeof *patches);
        for (int at_end = 0; at_end < 2; at_end++) {
            uint8_t *data = test_guarded(len + RUSK_CODEC_OVERREAD, at_end != 0);
            int8_t *out = test_guarded(n, at_end != 0);
            memcpy(data, b.data.data, len);
            CHECK_OK(rusk_block_decode(codec, b.tables, &c.shape, data, len, out, n_cols, patches,
                                       &n_patches, &err),
                     &err);
            CHECK_MEM(out, c.symbols, n);
        }
        free(patches);
        codec_block_finish(&b, codec);
        codec_case_finish(&c);
    }
}

/* Any end before the last byte either fails or gives symbols of some kind, and touches nothing
 * else; what lies behind the end must not matter. */
void codec_check_truncation(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    codec_case c;
    codec_block b;
    codec_case_init(&c, &rng, 9, 97);
    codec_block_init(&b, codec, &c);
    size_t n = (size_t)9 * 97, len = b.data.len_bytes, n_patches, n_accepted = 0;
    int8_t *out = malloc(n);
    rusk_patch *patches = malloc(n * sizeof *patches);
    for (size_t cut = 0; cut < len; cut++) {
        rusk_error err = {.message = ""};
        uint8_t *data = malloc(cut + RUSK_CODEC_OVERREAD);
        memcpy(data, b.data.data, cut);
        memset(data + cut, 0, RUSK_CODEC_OVERREAD);
        rusk_status s = rusk_block_decode(codec, b.tables, &c.shape, data, cut, out, 97, patches,
                                          &n_patches, &err);
        CHECK(s == RUSK_OK || (s == RUSK_FORMAT && err.message[0] != '\0' && err.offset <= len));
        n_accepted += s == RUSK_OK;
        free(data);
    }
    CHECK(n_accepted * 100 <= len);
    free(out);
    free(patches);
    codec_block_finish(&b, codec);
    codec_case_finish(&c);
}

static void damage(rusk_rng *rng, uint8_t *data, size_t len) {
    size_t n = 1 + (size_t)rusk_rng_below(rng, 4);
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)rusk_rng_below(rng, rusk_rng_below(rng, 2) ? len : RUSK_MIN(len, 70));
        data[at] ^= (uint8_t)(1 + rusk_rng_below(rng, 255));
    }
}

void codec_check_damage(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t repeat = 0; repeat < 1000; repeat++) {
        uint32_t n_rows, n_cols;
        codec_case c;
        codec_block b;
        size_t n_patches = 0;
        codec_case_shape(repeat % (codec_case_n_shapes() - 1), &n_rows, &n_cols);
        codec_case_init(&c, &rng, n_rows, n_cols);
        codec_block_init(&b, codec, &c);
        size_t n = (size_t)n_rows * n_cols;
        uint8_t *data = padded_copy(&b);
        int8_t *out = malloc(n);
        rusk_patch *patches = malloc(n * sizeof *patches);
        rusk_error err = {.message = ""};
        damage(&rng, data, b.data.len_bytes);
        rusk_status s = rusk_block_decode(codec, b.tables, &c.shape, data, b.data.len_bytes, out,
                                          n_cols, patches, &n_patches, &err);
        CHECK(s == RUSK_OK || (s == RUSK_FORMAT && err.message[0] != '\0'));
        for (size_t i = 0; i < n && s == RUSK_OK; i++) {
            CHECK(out[i] != -128);
        }
        for (size_t i = 0; i < n_patches && s == RUSK_OK; i++) {
            CHECK(patches[i].position < n && patches[i].delta != 0);
            CHECK(abs(patches[i].delta) <= 1 << 23);
        }
        free(data);
        free(out);
        free(patches);
        codec_block_finish(&b, codec);
        codec_case_finish(&c);
    }
}

/* Tables cut at every byte are refused; changed ones are refused or decode something safely. */
void codec_check_table_damage(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    codec_case c;
    codec_block b;
    rusk_codec_tables *tables;
    rusk_error err;
    codec_case_init(&c, &rng, 64, 96);
    codec_block_init(&b, codec, &c);
    size_t n = (size_t)64 * 96, n_patches, n_accepted = 0;
    int8_t *out = malloc(n);
    rusk_patch *patches = malloc(n * sizeof *patches);
    uint8_t *data = padded_copy(&b);
    for (size_t cut = 0; cut < b.blob.len_bytes; cut++) {
        uint8_t *blob = malloc(cut + 1); /* exact, so that ASan sees a read beyond */
        memcpy(blob, b.blob.data, cut);
        CHECK_FAILS(codec->open_tables(&tables, &b.alloc, blob, cut, &err), RUSK_FORMAT, &err,
                    "table");
        CHECK(tables == NULL && err.offset <= cut);
        free(blob);
    }
    for (size_t repeat = 0; repeat < 3000; repeat++) {
        uint8_t *blob = malloc(b.blob.len_bytes + 1);
        memcpy(blob, b.blob.data, b.blob.len_bytes);
        damage(&rng, blob, b.blob.len_bytes);
        rusk_status s = codec->open_tables(&tables, &b.alloc, blob, b.blob.len_bytes, &err);
        CHECK(s == RUSK_OK ? tables != NULL : s == RUSK_FORMAT && tables == NULL);
        if (s == RUSK_OK) {
            n_accepted++;
            (void)rusk_block_decode(codec, tables, &c.shape, data, b.data.len_bytes, out, 96,
                                    patches, &n_patches, &err);
            codec->close_tables(tables);
        }
        free(blob);
    }
    CHECK(n_accepted < 3000);
    free(data);
    free(out);
    free(patches);
    codec_block_finish(&b, codec);
    codec_case_finish(&c);
}

/* Table blob, opening and encoding with the nth request failing, until none fails. */
void codec_check_out_of_memory(const rusk_codec *codec) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    codec_case c;
    bool done = false;
    codec_case_init(&c, &rng, 64, 96);
    for (uint64_t nth = 1; !done; nth++) {
        test_failing_alloc f;
        rusk_alloc alloc;
        rusk_strbuf blob, data;
        rusk_codec_tables *tables = NULL;
        rusk_error err;
        CHECK(nth < 100);
        test_failing_alloc_init(&f, nth);
        rusk_alloc_init(&alloc, &f.allocator);
        rusk_strbuf_init(&blob, &alloc, RUSK_MEM_METADATA);
        rusk_strbuf_init(&data, &alloc, RUSK_MEM_WEIGHTS);
        rusk_status s = codec->build_tables(&c.hist, &blob, &err);
        if (s == RUSK_OK) {
            s = codec->open_tables(&tables, &alloc, (const uint8_t *)blob.data, blob.len_bytes,
                                   &err);
        }
        if (s == RUSK_OK) {
            s = rusk_block_encode(codec, tables, &c.shape, c.symbols, c.patches, c.n_patches, &data,
                                  &err);
        }
        done = s == RUSK_OK;
        if (!done) {
            CHECK_EQ(s, RUSK_NO_MEMORY);
            CHECK(strstr(err.message, "out of memory") != NULL);
        }
        codec->close_tables(tables);
        rusk_strbuf_finish(&blob);
        rusk_strbuf_finish(&data);
        CHECK_EQ(f.n_live, 0);
    }
    codec_case_finish(&c);
}

void codec_check_bad_arguments(const rusk_codec *codec) {
    static const int8_t SYMBOLS[4] = {0, 1, 100, 4};
    uint8_t classes[2] = {3, 3};
    rusk_block_shape shape = {.n_rows = 2, .n_cols = 2, .row_classes = classes};
    rusk_alloc alloc;
    rusk_strbuf blob, data;
    rusk_codec_tables *tables;
    rusk_hist hist;
    rusk_error err;
    rusk_decoder d;
    int8_t low = -128;
    size_t n;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&blob, &alloc, RUSK_MEM_METADATA);
    rusk_strbuf_init(&data, &alloc, RUSK_MEM_METADATA);
    rusk_hist_clear(&hist);
    rusk_hist_add(&hist, 3, SYMBOLS, 2);
    rusk_hist_add(&hist, 5, &low, 1);
    CHECK_FAILS(codec->build_tables(&hist, &blob, &err), RUSK_INVALID_ARGUMENT, &err, "-128");
    hist.count[5][0] = 0;
    rusk_strbuf_clear(&blob);
    CHECK_OK(codec->build_tables(&hist, &blob, &err), &err);
    CHECK_OK(codec->open_tables(&tables, &alloc, (const uint8_t *)blob.data, blob.len_bytes, &err),
             &err);
    CHECK_FAILS(codec->encode(tables, &shape, SYMBOLS, &data, &err), RUSK_INVALID_ARGUMENT, &err,
                "row 1, column 0: expected a symbol with a code, found 100");
    rusk_patch twice[2] = {{1, 5}, {1, 5}}, beyond = {4, 1}, zero = {0, 0};
    CHECK_FAILS(rusk_block_encode(codec, tables, &shape, SYMBOLS, twice, 2, &data, &err),
                RUSK_INVALID_ARGUMENT, &err, "patch 1");
    CHECK_FAILS(rusk_block_encode(codec, tables, &shape, SYMBOLS, &beyond, 1, &data, &err),
                RUSK_INVALID_ARGUMENT, &err, "patch 0");
    CHECK_FAILS(rusk_block_encode(codec, tables, &shape, SYMBOLS, &zero, 1, &data, &err),
                RUSK_INVALID_ARGUMENT, &err, "patch 0");
    CHECK(codec->fold(tables, 4) == NULL);
    classes[1] = 4; /* no table */
    CHECK_FAILS(rusk_block_encode(codec, tables, &shape, SYMBOLS, NULL, 0, &data, &err),
                RUSK_INVALID_ARGUMENT, &err, "row 1");
    CHECK_FAILS(codec->encode(tables, &shape, SYMBOLS, &data, &err), RUSK_INVALID_ARGUMENT, &err,
                "class");
    CHECK_FAILS(codec->begin(&d, tables, &shape, (const uint8_t *)"", 0, &err), RUSK_FORMAT, &err,
                "row 1: expected a class with a table, found class 4");
    classes[1] = 200; /* no class */
    CHECK_FAILS(codec->begin(&d, tables, &shape, (const uint8_t *)"", 0, &err), RUSK_FORMAT, &err,
                "row 1: expected a class with a table, found class 200");
    shape.n_rows = 0;
    CHECK_FAILS(codec->begin(&d, tables, &shape, (const uint8_t *)"", 0, &err),
                RUSK_INVALID_ARGUMENT, &err, "0 x 2");
    CHECK_FAILS(codec->encode(tables, &shape, SYMBOLS, &data, &err), RUSK_INVALID_ARGUMENT, &err,
                "0 x 2");
    CHECK_FAILS(rusk_block_patch_count((const uint8_t *)"", 0, &shape, &n, &err), RUSK_FORMAT, &err,
                "patch list");
    codec->close_tables(tables);
    codec->close_tables(NULL);
    rusk_strbuf_finish(&blob);
    rusk_strbuf_finish(&data);
    CHECK_EQ(alloc.bytes_total, 0);
}

/* The worked example of docs/format/codecs.md. */
void codec_check_golden(const rusk_codec *codec, const uint8_t *blob, size_t blob_bytes,
                        const uint8_t *block, size_t block_bytes, size_t n_stored) {
    static const uint8_t CLASSES[2] = {0, 2};
    static const int8_t ENCODED[10] = {0, -1, 0, 1, 0, 3, -2, 0, 9, 1};
    static const int8_t DECODED[10] = {0, -1, 0, 1, 0, 127, -2, 0, 9, 1};
    static const rusk_patch OUTLIER = {5, 200};
    rusk_block_shape shape = {.n_rows = 2, .n_cols = 5, .row_classes = CLASSES};
    uint8_t data[128] = {0};
    int8_t out[10];
    rusk_patch patches[2];
    size_t n_patches;
    rusk_alloc alloc;
    rusk_strbuf again;
    rusk_codec_tables *tables;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&again, &alloc, RUSK_MEM_WEIGHTS);
    CHECK(block_bytes + RUSK_CODEC_OVERREAD <= sizeof data);
    memcpy(data, block, block_bytes);
    CHECK_OK(codec->open_tables(&tables, &alloc, blob, blob_bytes, &err), &err);
    CHECK_OK(rusk_block_patch_count(data, block_bytes, &shape, &n_patches, &err), &err);
    CHECK_EQ(n_patches, n_stored);
    CHECK_OK(rusk_block_decode(codec, tables, &shape, data, block_bytes, out, 5, patches,
                               &n_patches, &err),
             &err);
    CHECK_MEM(out, DECODED, 10);
    CHECK_EQ(n_patches, 1);
    CHECK_EQ(patches[0].position, 5);
    CHECK_EQ(patches[0].delta, 203 - 127);
    CHECK_OK(rusk_block_encode(codec, tables, &shape, ENCODED, &OUTLIER, 1, &again, &err), &err);
    CHECK_EQ(again.len_bytes, block_bytes);
    CHECK_MEM(again.data, block, block_bytes);
    codec->close_tables(tables);
    rusk_strbuf_finish(&again);
}
