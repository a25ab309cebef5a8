/* The vector decoders against the plain ones: same symbols, status and message, on sound and on
 * damaged blocks of many shapes. */
#include <stdlib.h>

#include "base/cpu.h"
#include "codec/fields.h"
#include "codec/rans.h"
#include "support/codec_cases.h"
#include "support/test.h"

typedef struct outcome {
    rusk_status status;
    rusk_error err;
    int8_t *out;
} outcome;

static void need_vectors(void) {
    if (rusk_rans_steps_for(rusk_cpu_features()) == rusk_rans_steps_ref) {
        test_skip("this processor has no faster variant than the plain one");
    }
}

static void run(outcome *o, rusk_rans_steps steps, const codec_block *b, const codec_case *c,
                const uint8_t *data, size_t len) {
    size_t n = (size_t)c->shape.n_rows * c->shape.n_cols;
    memset(&o->err, 0, sizeof o->err);
    memset(o->out, 0x55, n);
    o->status = rusk_rans_decode_with(steps, b->tables, &c->shape, data, len, o->out,
                                      c->shape.n_cols, &o->err);
}

/* Decodes payload bytes (no patch list) both ways, data and output at a page's edge. */
static void compare(const codec_block *b, const codec_case *c, const uint8_t *payload, size_t len,
                    uint8_t *data, int8_t *out_a, int8_t *out_b) {
    size_t n = (size_t)c->shape.n_rows * c->shape.n_cols;
    outcome plain = {.out = out_a}, fast = {.out = out_b};
    memcpy(data, payload, len);
    run(&plain, rusk_rans_steps_ref, b, c, data, len);
    run(&fast, rusk_rans_steps_for(rusk_cpu_features()), b, c, data, len);
    CHECK_EQ(fast.status, plain.status);
    CHECK_STR(fast.err.message, plain.err.message);
    CHECK_EQ(fast.err.offset, plain.err.offset);
    CHECK_MEM(fast.out, plain.out, n);
}

static void damage(rusk_rng *rng, uint8_t *data, size_t *len) {
    for (size_t i = 0, n = (size_t)rusk_rng_below(rng, 5); i < n; i++) {
        data[rusk_rng_below(rng, *len)] ^= (uint8_t)(1 + rusk_rng_below(rng, 255));
    }
    if (rusk_rng_below(rng, 3) == 0) {
        *len = 2 * (size_t)rusk_rng_below(rng, *len / 2 + 1);
    }
}

TEST(same_bytes_same_symbols_same_status) {
    const rusk_codec *codec = rusk_codec_find("rans");
    rusk_rng rng = rusk_rng_seed(test_seed());
    need_vectors();
    for (size_t i = 0; i < codec_case_n_shapes(); i++) {
        uint32_t n_rows, n_cols;
        codec_case c;
        codec_block b;
        codec_case_shape(i, &n_rows, &n_cols);
        codec_case_init(&c, &rng, n_rows, n_cols);
        for (size_t k = 0, n = (size_t)n_rows * n_cols; k < n; k++) { /* no folding: no patches */
            c.hist.count[c.classes[k / n_cols]][c.symbols[k] + 128] += n;
        }
        c.n_patches = 0;
        codec_block_init(&b, codec, &c);
        CHECK_EQ(b.data.data[0], 0);
        size_t len = b.data.len_bytes - 1, n = (size_t)n_rows * n_cols;
        uint8_t *data = test_guarded(len + RUSK_CODEC_OVERREAD, true);
        uint8_t *broken = malloc(len);
        int8_t *out_a = test_guarded(n, true), *out_b = test_guarded(n, true);
        const uint8_t *payload = (const uint8_t *)b.data.data + 1;
        compare(&b, &c, payload, len, data, out_a, out_b);
        CHECK_MEM(out_b, c.symbols, n);
        for (int repeat = 0; repeat < 40; repeat++) {
            size_t cut = len;
            memcpy(broken, payload, len);
            damage(&rng, broken, &cut);
            compare(&b, &c, broken, cut, data + len - cut, out_a, out_b);
        }
        free(broken);
        codec_block_finish(&b, codec);
        codec_case_finish(&c);
    }
}

/* Every pattern of lanes that take a word occurs: states and words from a seed, all bytes valid. */
TEST(steps_agree_on_any_state) {
    static rusk_rans_class tables[2];
    rusk_rng rng = rusk_rng_seed(test_seed());
    need_vectors();
    for (uint32_t s = 0; s < RUSK_FREQ_SUM; s++) {
        tables[0].slots[s] = (s & 15) << 20 | 16U << 8 | (s >> 4); /* 256 symbols of 16 */
        tables[1].slots[s] = s == 0 ? 1U << 8 | 7 : (s - 1) << 20 | 4095U << 8 | 200;
    }
    uint8_t *words = test_guarded(4096 + RUSK_CODEC_OVERREAD, true);
    for (size_t i = 0; i < 4096 + RUSK_CODEC_OVERREAD; i++) {
        words[i] = (uint8_t)rusk_rng_u64(&rng);
    }
    for (int repeat = 0; repeat < 2000; repeat++) {
        int8_t out_a[64 * 32], out_b[64 * 32];
        int64_t left = 2 * (int64_t)rusk_rng_below(&rng, 2048) - 100;
        rusk_rans_run a = {.next = words + 4096 - (left > 0 ? left : 0), .left = left}, b;
        const uint32_t *slots = tables[rusk_rng_below(&rng, 2)].slots;
        size_t n_steps = (size_t)rusk_rng_below(&rng, 65);
        for (size_t j = 0; j < RUSK_RANS_LANES; j++) {
            a.state[j] = (uint32_t)rusk_rng_below(&rng, 1U << (10 + rusk_rng_below(&rng, 21)));
        }
        b = a;
        size_t n = rusk_rans_steps_ref(&a, slots, n_steps, out_a);
        CHECK_EQ(rusk_rans_steps_for(rusk_cpu_features())(&b, slots, n_steps, out_b), n);
        CHECK(n <= n_steps);
        CHECK_MEM(out_b, out_a, n * RUSK_RANS_LANES);
        CHECK_MEM(b.state, a.state, sizeof a.state);
        CHECK(b.next == a.next && b.left == a.left);
    }
}

/* All that this processor runs. */
static size_t field_variants(rusk_fields_get variants[3]) {
    static const uint32_t MASKS[] = {RUSK_CPU_AVX2, RUSK_CPU_AVX512, RUSK_CPU_NEON};
    size_t n = 0;
    for (size_t i = 0; i < RUSK_COUNT(MASKS); i++) {
        rusk_fields_get get = rusk_fields_get_for(rusk_cpu_features() & MASKS[i]);
        if (get != rusk_fields_get_ref) {
            variants[n++] = get;
        }
    }
    return n;
}

TEST(fields_agree_for_all_widths) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    rusk_fields_get variants[3];
    size_t n_variants = field_variants(variants);
    if (n_variants == 0) {
        test_skip("this processor has no faster variant than the plain one");
    }
    for (unsigned width = 0; width <= RUSK_FIELD_MAX_WIDTH; width++) {
        for (size_t n = 0; n <= 40; n += n < 5 ? 1 : 7) {
            uint8_t *groups = test_guarded(n * 8 * width, n % 2 == 0);
            uint8_t *out_a = test_guarded(n * RUSK_FIELD_GROUP, n % 2 == 0);
            uint8_t *out_b = test_guarded(n * RUSK_FIELD_GROUP, n % 2 == 0);
            uint8_t add = (uint8_t)rusk_rng_u64(&rng);
            for (size_t i = 0; i < n * 8 * width; i++) {
                groups[i] = (uint8_t)rusk_rng_u64(&rng);
            }
            rusk_fields_get_ref(groups, n, width, add, out_a);
            for (size_t v = 0; v < n_variants; v++) {
                memset(out_b, 0x55, n * RUSK_FIELD_GROUP);
                variants[v](groups, n, width, add, out_b);
                CHECK_MEM(out_b, out_a, n * RUSK_FIELD_GROUP);
            }
        }
    }
}

/* One bit set at a time: each goes to its own column in every variant. */
TEST(fields_agree_on_single_bits) {
    rusk_fields_get variants[3];
    size_t n_variants = field_variants(variants);
    for (unsigned width = 1; width <= RUSK_FIELD_MAX_WIDTH; width++) {
        for (size_t bit = 0; bit < (size_t)RUSK_FIELD_GROUP * width; bit++) {
            uint8_t group[RUSK_FIELD_GROUP] = {0}, out_a[RUSK_FIELD_GROUP], out_b[RUSK_FIELD_GROUP];
            group[bit / 8] = (uint8_t)(1U << bit % 8);
            rusk_fields_get_ref(group, 1, width, 0, out_a);
            for (size_t v = 0; v < n_variants; v++) {
                variants[v](group, 1, width, 0, out_b);
                CHECK_MEM(out_b, out_a, RUSK_FIELD_GROUP);
            }
        }
    }
}

TEST_MAIN(CASE(fields_agree_for_all_widths), CASE(fields_agree_on_single_bits),
          CASE(same_bytes_same_symbols_same_status), CASE(steps_agree_on_any_state))
