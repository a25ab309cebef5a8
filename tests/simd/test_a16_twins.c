/* The a16 family's vector decoders against the plain one: same symbols, states and pointers on any
 * states and bytes, for 1 to 4 rows of different classes at once. */
#include "base/cpu.h"
#include "codec/a16.h"
#include "codec/fields.h"
#include "support/codec_cases.h"
#include "support/test.h"

enum { MOST_ROWS = 4, MOST_COLS = 700, MOST_BYTES = 2 * MOST_COLS };

/* All that this processor runs. */
static size_t find_variants(rusk_a16_rows variants[3]) {
    static const uint32_t MASKS[] = {RUSK_CPU_AVX2, RUSK_CPU_VBMI, RUSK_CPU_NEON};
    size_t n = 0;
    for (size_t i = 0; i < RUSK_COUNT(MASKS); i++) {
        rusk_a16_rows rows = rusk_a16_rows_for(rusk_cpu_features() & MASKS[i]);
        if (rows != rusk_a16_rows_ref) {
            variants[n++] = rows;
        }
    }
    return n;
}

/* One row's surroundings; every buffer ends at a page that must not be touched. */
typedef struct bench {
    uint8_t *code, *escape, *fields; /* ends of the readable bytes */
    int8_t *out[2];
} bench;

static uint8_t *random_bytes(rusk_rng *rng, size_t n) {
    uint8_t *p = test_guarded(n, true);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rusk_rng_u64(rng);
    }
    return p + n;
}

static void bench_init(bench *b, rusk_rng *rng) {
    b->code = random_bytes(rng, MOST_BYTES + RUSK_CODEC_OVERREAD) - RUSK_CODEC_OVERREAD;
    b->escape = random_bytes(rng, MOST_BYTES + RUSK_CODEC_OVERREAD) - RUSK_CODEC_OVERREAD;
    b->fields = random_bytes(rng, rusk_field_bytes(MOST_COLS, RUSK_FIELD_MAX_WIDTH));
    for (size_t i = 0; i < 2; i++) {
        b->out[i] = (int8_t *)test_guarded(MOST_COLS, true) + MOST_COLS;
    }
}

/* A stream of n_code and n_escape bytes in random states. */
static rusk_a16_stream random_stream(const bench *b, rusk_rng *rng, size_t n_code,
                                     size_t n_escape) {
    rusk_a16_stream s = {.next = b->code - n_code,
                         .end = b->code,
                         .escape = b->escape - n_escape,
                         .escape_end = b->escape};
    for (size_t i = 0; i < RUSK_A16_LANES; i++) {
        s.high[i] = (uint8_t)(1 + rusk_rng_below(rng, 255));
        s.low[i] = (uint8_t)rusk_rng_u64(rng);
    }
    return s;
}

static bool ran_out(const rusk_a16_stream *s) {
    return s->next > s->end || s->escape > s->escape_end;
}

static void compare(const rusk_a16_tables *t, rusk_a16_rows fast, const bench *benches,
                    rusk_rng *rng, bool enough) {
    static rusk_a16_stream streams[2][MOST_ROWS];
    rusk_a16_row rows[2][MOST_ROWS];
    unsigned n = 1 + (unsigned)rusk_rng_below(rng, MOST_ROWS);
    size_t n_cols = 1 + (size_t)rusk_rng_below(rng, MOST_COLS);
    bool same_class = rusk_rng_below(rng, 2) == 0, any_ran_out[2] = {false, false};
    const rusk_a16_class *c = NULL;
    for (unsigned i = 0; i < n; i++) {
        const bench *b = &benches[i];
        size_t n_bytes = enough ? 2 * n_cols : (size_t)rusk_rng_below(rng, n_cols);
        while (c == NULL || (!same_class && rusk_rng_below(rng, 2) == 0)) {
            c = t->at[rusk_rng_below(rng, RUSK_CODEC_CLASSES)];
        }
        streams[0][i] = streams[1][i] =
            random_stream(b, rng, RUSK_MIN(n_bytes, (size_t)MOST_BYTES),
                          enough ? 2 * n_cols : (size_t)rusk_rng_below(rng, n_cols));
        for (size_t k = 0; k < 2; k++) {
            rows[k][i] = (rusk_a16_row){.stream = &streams[k][i],
                                        .cls = c,
                                        .fields = b->fields - rusk_field_bytes(n_cols, c->width),
                                        .out = b->out[k] - n_cols};
            memset(rows[k][i].out, 0x55, n_cols);
        }
    }
    rusk_a16_rows_ref(rows[0], n, n_cols);
    fast(rows[1], n, n_cols);
    for (unsigned i = 0; i < n; i++) {
        any_ran_out[0] = any_ran_out[0] || ran_out(&streams[0][i]);
        any_ran_out[1] = any_ran_out[1] || ran_out(&streams[1][i]);
    }
    CHECK_EQ(any_ran_out[1], any_ran_out[0]);
    CHECK(!enough || !any_ran_out[0]);
    for (unsigned i = 0; i < n && !any_ran_out[0]; i++) {
        CHECK_MEM(rows[1][i].out, rows[0][i].out, n_cols);
        CHECK_MEM(streams[1][i].high, streams[0][i].high, RUSK_A16_LANES);
        CHECK_MEM(streams[1][i].low, streams[0][i].low, RUSK_A16_LANES);
        CHECK(streams[1][i].next == streams[0][i].next);
        CHECK(streams[1][i].escape == streams[0][i].escape);
    }
}

/* Tables of all shapes: codec_case_init draws Gaussian, heavy-tailed, constant, flat and two-sided
 * rows in up to 16 classes. */
static void check_all(bool enough) {
    static const char *const NAMES[] = {"a16", "a16r", "a16x2"};
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_a16_rows variants[3];
    size_t n_variants = find_variants(variants);
    bench benches[MOST_ROWS];
    if (n_variants == 0) {
        test_skip("this processor has no faster variant than the plain one");
    }
    for (size_t i = 0; i < MOST_ROWS; i++) {
        bench_init(&benches[i], &rng);
    }
    for (int repeat = 0; repeat < 20; repeat++) {
        for (size_t i = 0; i < RUSK_COUNT(NAMES); i++) {
            const rusk_codec *codec = rusk_codec_find(NAMES[i]);
            codec_case c;
            codec_block b;
            codec_case_init(&c, &rng, 64, 96);
            codec_block_init(&b, codec, &c);
            for (int k = 0; k < 200; k++) {
                compare(rusk_a16_of(b.tables), variants[k % (int)n_variants], benches, &rng,
                        enough);
            }
            codec_block_finish(&b, codec);
            codec_case_finish(&c);
        }
    }
}

TEST(any_bytes_same_symbols) {
    check_all(true);
}

TEST(running_out_is_told) {
    check_all(false);
}

TEST_MAIN(CASE(any_bytes_same_symbols), CASE(running_out_is_told))
