/* The a16 family's vector decoders against the plain one: rows of every length up to three steps,
 * tables of every shape, any states and bytes, every buffer at the edge of a page. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/a16.h"
#include "codec/fields.h"
#include "support/test.h"

enum {
    MOST_ROWS = 4,
    MOST_COLS = 3 * 2 * RUSK_A16_LANES + 1,
    MOST_ENTRIES = MOST_COLS, /* and as many bytes; escapes of pairs: two for each */
    MOST_VARIANTS = 4,
    BLOB_BYTES = 20,
};

static size_t find_variants(rusk_a16_rows *variants) {
    static const uint32_t MASKS[] = {RUSK_CPU_AVX2, RUSK_CPU_VBMI, RUSK_CPU_NEON};
    size_t n = 0;
    for (size_t i = 0; i < RUSK_COUNT(MASKS); i++) {
        rusk_a16_rows rows = rusk_a16_rows_for(rusk_cpu_features() & MASKS[i]);
        bool known = rows == rusk_a16_rows_ref;
        for (size_t v = 0; v < n; v++) {
            known = known || variants[v] == rows;
        }
        if (!known) {
            variants[n++] = rows;
        }
    }
    if (n == 0) {
        test_skip("this processor has no faster variant than the plain one");
    }
    return n;
}

/* --- tables -------------------------------------------------------------------------------- */

/* Frequencies of n entries of 16 that sum to 256, the last one among them where asked. */
static void draw_freq(rusk_rng *rng, unsigned n, bool with_last, uint8_t freq[16]) {
    unsigned left = RUSK_A16_SUM, shape = (unsigned)rusk_rng_below(rng, 4);
    memset(freq, 0, 16);
    if (with_last) {
        uint64_t kind = rusk_rng_below(rng, 4); /* nearly always, now and then, rarely */
        unsigned f = kind == 0 ? 255 : kind == 1 ? 1 + (unsigned)rusk_rng_below(rng, 255) : 3;
        freq[RUSK_A16_ESCAPE] = (uint8_t)f;
        left -= f;
    }
    for (unsigned e = 0; e < n; e++) { /* flat, steep, or any */
        unsigned f = shape == 0   ? left / (n - e)
                     : shape == 1 ? left * 7 / 8
                                  : (unsigned)rusk_rng_below(rng, left + 1);
        f = RUSK_MIN(e + 1 == n ? left : f, 255U);
        freq[e] = (uint8_t)f;
        left -= f;
    }
    freq[0] = (uint8_t)(freq[0] + left); /* the only one of 256, which would not fit */
}

/* One class, through the tables' reader: it makes the alias tables. */
static rusk_codec_tables *draw_class(rusk_rng *rng, rusk_alloc *alloc, bool pair) {
    uint8_t blob[BLOB_BYTES] = {1, 0}; /* a mask of one class, flags, base, frequencies */
    bool escape = rusk_rng_below(rng, 2) == 0;
    unsigned most = pair ? RUSK_A16_MAX_LOW_2 : RUSK_A16_MAX_LOW;
    unsigned low_bits = (unsigned)rusk_rng_below(rng, most + 1);
    unsigned n = RUSK_MIN(16U - escape, pair ? 16U : 256U >> low_bits);
    n = 2 + (unsigned)rusk_rng_below(rng, n - 1);
    blob[2] = (uint8_t)(low_bits | (escape ? 0x80 : 0));
    blob[3] = (uint8_t)(pair ? 0 : rusk_rng_below(rng, 257 - RUSK_MIN(n << low_bits, 256U)) & 0xFF);
    do {
        draw_freq(rng, n, escape, blob + 4);
    } while (pair && blob[4] == 0);
    const rusk_codec *codec = rusk_codec_find(pair ? "a16x2" : "a16r");
    rusk_codec_tables *tables;
    rusk_error err;
    CHECK_OK(codec->open_tables(&tables, alloc, blob, sizeof blob, &err), &err);
    return tables;
}

/* --- rows ---------------------------------------------------------------------------------- */

/* A row's buffers, each ending at a page that nobody may touch. */
typedef struct buffers {
    uint8_t *code_end, *escape_end, *fields_end;
    int8_t *out_end;
} buffers;

static void *guarded_end(size_t size) {
    return (uint8_t *)test_guarded(size, true) + size;
}

static buffers make_buffers(rusk_rng *rng) {
    const size_t past = RUSK_CODEC_OVERREAD, fields = rusk_field_bytes(MOST_COLS, 8);
    buffers b;
    b.code_end = (uint8_t *)guarded_end(MOST_ENTRIES + past) - past;
    b.escape_end = (uint8_t *)guarded_end(2 * MOST_ENTRIES + past) - past;
    b.fields_end = guarded_end(fields);
    b.out_end = guarded_end(MOST_COLS);
    for (size_t i = 0; i < MOST_ENTRIES + past; i++) {
        b.code_end[past - 1 - i] = (uint8_t)rusk_rng_u64(rng);
    }
    for (size_t i = 0; i < 2 * MOST_ENTRIES + past; i++) {
        b.escape_end[past - 1 - i] = (uint8_t)rusk_rng_u64(rng);
    }
    for (size_t i = 0; i < fields; i++) {
        b.fields_end[-1 - (ptrdiff_t)i] = (uint8_t)rusk_rng_u64(rng);
    }
    return b;
}

/* Often as many bytes as a row can take, else fewer, or so few that a step takes more. */
static size_t draw_length(rusk_rng *rng, size_t most) {
    uint64_t kind = rusk_rng_below(rng, 16);
    return kind > 3 ? most : (size_t)rusk_rng_below(rng, kind > 1 ? most + 1 : 70);
}

static void draw_stream(rusk_rng *rng, const buffers *b, rusk_a16_stream *s) {
    bool hungry = rusk_rng_below(rng, 4) == 0;
    for (size_t j = 0; j < RUSK_A16_LANES; j++) {
        s->high[j] = (uint8_t)(hungry ? 1 : 1 + rusk_rng_below(rng, 255));
        s->low[j] = (uint8_t)rusk_rng_u64(rng);
    }
    s->end = b->code_end;
    s->next = s->end - draw_length(rng, MOST_ENTRIES);
    s->escape_end = b->escape_end;
    s->escape = s->escape_end - draw_length(rng, 2 * (size_t)MOST_ENTRIES);
}

static bool ran_out(const rusk_a16_stream *s) {
    return s->next > s->end || s->escape > s->escape_end;
}

static bool any_ran_out(const rusk_a16_stream *s, unsigned n) {
    bool any = false;
    for (unsigned i = 0; i < n; i++) {
        any = any || ran_out(&s[i]);
    }
    return any;
}

/* What came out of a row, beside the plain decoder's. */
static void compare(const rusk_a16_stream *fast, const rusk_a16_stream *plain, const int8_t *out,
                    const int8_t *expected, size_t n_cols) {
    CHECK_EQ(fast->next - plain->next, 0);
    CHECK_EQ(fast->escape - plain->escape, 0);
    CHECK_MEM(fast->high, plain->high, sizeof plain->high);
    CHECK_MEM(fast->low, plain->low, sizeof plain->low);
    CHECK_MEM(out, expected, n_cols);
}

/* n rows of different streams, each of its own class, by the plain decoder and by every other. */
static void try_rows(rusk_rng *rng, const buffers *b, unsigned n, bool pair, size_t n_cols) {
    static int8_t expected[MOST_ROWS][MOST_COLS];
    rusk_a16_stream start[MOST_ROWS], plain[MOST_ROWS], fast[MOST_ROWS];
    rusk_codec_tables *tables[MOST_ROWS];
    rusk_a16_row rows[MOST_ROWS];
    rusk_a16_rows variants[MOST_VARIANTS];
    rusk_alloc alloc;
    size_t n_variants = find_variants(variants);
    rusk_alloc_init(&alloc, NULL);
    for (unsigned i = 0; i < n; i++) {
        tables[i] = draw_class(rng, &alloc, pair);
        draw_stream(rng, &b[i], &start[i]);
        const rusk_a16_class *c = rusk_a16_of(tables[i])->at[0];
        rows[i] = (rusk_a16_row){.stream = &plain[i],
                                 .cls = c,
                                 .fields = b[i].fields_end - rusk_field_bytes(n_cols, c->width),
                                 .out = b[i].out_end - n_cols};
        plain[i] = start[i];
    }
    rusk_a16_rows_ref(rows, n, n_cols);
    for (unsigned i = 0; i < n; i++) {
        memcpy(expected[i], rows[i].out, n_cols);
    }
    for (size_t v = 0; v < n_variants; v++) {
        for (unsigned i = 0; i < n; i++) {
            fast[i] = start[i];
            rows[i].stream = &fast[i];
            memset(rows[i].out, 0x55, n_cols);
        }
        variants[v](rows, n, n_cols);
        CHECK_EQ(any_ran_out(fast, n), any_ran_out(plain, n));
        for (unsigned i = 0; i < n && !any_ran_out(plain, n); i++) {
            compare(&fast[i], &plain[i], rows[i].out, expected[i], n_cols);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        rusk_codec_find("a16")->close_tables(tables[i]);
    }
    CHECK_EQ(alloc.bytes_total, 0);
}

static void try_all_lengths(bool pair) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_a16_rows variants[MOST_VARIANTS];
    buffers b[MOST_ROWS];
    (void)find_variants(variants);
    for (unsigned i = 0; i < MOST_ROWS; i++) {
        b[i] = make_buffers(&rng);
    }
    for (size_t n_cols = 0; n_cols <= MOST_COLS; n_cols++) {
        for (unsigned n = 1; n <= MOST_ROWS; n++) {
            for (int repeat = 0; repeat < 4; repeat++) {
                try_rows(&rng, b, n, pair, n_cols);
            }
        }
    }
}

TEST(singles_of_every_length) {
    try_all_lengths(false);
}

TEST(pairs_of_every_length) {
    try_all_lengths(true);
}

TEST_MAIN(CASE(singles_of_every_length), CASE(pairs_of_every_length))
