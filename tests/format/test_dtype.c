/* Every stored type against blocks worked out by hand from the drawings in dtype_*.c, and random
 * blocks against fixed hashes (test_gguf_python.py holds the same blocks against another decoder).
 */
#include "format/dtype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/fp.h"
#include "base/hash.h"
#include "format/gguf.h"
#include "support/test.h"

static rusk_alloc memory;
static rusk_error err;

/* Bytes to set in a block of zeros, and the values of columns first .. first + n - 1; later lines
 * win over earlier ones. */
typedef struct byte_at {
    unsigned at;
    uint8_t value;
} byte_at;
typedef struct expected {
    unsigned first, n;
    float value;
} expected;

static void check_block(rusk_dtype dtype, const byte_at *bytes, size_t n_bytes,
                        const expected *values, size_t n_values) {
    const rusk_dtype_info *info = rusk_dtype_find((uint32_t)dtype);
    uint8_t block[256] = {0};
    float want[256] = {0}, got[256];
    for (size_t i = 0; i < n_bytes; i++) {
        CHECK(bytes[i].at < info->block_bytes);
        block[bytes[i].at] = bytes[i].value;
    }
    for (size_t i = 0; i < n_values; i++) {
        for (unsigned c = 0; c < values[i].n; c++) {
            want[values[i].first + c] = values[i].value;
        }
    }
    rusk_dtype_to_f32(info, block, info->block_elements, got);
    for (uint32_t c = 0; c < info->block_elements; c++) {
        if (!(got[c] == want[c])) {
            test_fail(__FILE__, __LINE__, "%s column %u is %g, expected %g", info->name, c,
                      (double)got[c], (double)want[c]);
        }
    }
}

#define GOLDEN(type)                                                                               \
    check_block(RUSK_DTYPE_##type, bytes, RUSK_COUNT(bytes), values, RUSK_COUNT(values))

TEST(golden_q4_0) { /* d = 0.5 */
    static const byte_at bytes[] = {{1, 0x38}, {2, 0x1F}, {17, 0xA3}};
    static const expected values[] = {
        {0, 32, -4.0F}, {0, 1, 3.5F}, {16, 1, -3.5F}, {15, 1, -2.5F}, {31, 1, 1.0F}};
    GOLDEN(Q4_0);
}

TEST(golden_q4_1) { /* d = 0.5, m = -1 */
    static const byte_at bytes[] = {{1, 0x38}, {3, 0xBC}, {4, 0x1F}, {19, 0xA3}};
    static const expected values[] = {
        {0, 32, -1.0F}, {0, 1, 6.5F}, {16, 1, -0.5F}, {15, 1, 0.5F}, {31, 1, 4.0F}};
    GOLDEN(Q4_1);
}

TEST(golden_q5_0) { /* d = 0.5; fifth bits of columns 0, 17, 31 */
    static const byte_at bytes[] = {{1, 0x38}, {2, 0x01}, {4, 0x02},
                                    {5, 0x80}, {6, 0x2F}, {21, 0xF0}};
    static const expected values[] = {
        {0, 32, -8.0F}, {0, 1, 7.5F}, {16, 1, -7.0F}, {17, 1, 0.0F}, {31, 1, 7.5F}};
    GOLDEN(Q5_0);
}

TEST(golden_q5_1) { /* d = 0.5, m = -1; fifth bits of columns 0, 17, 31 */
    static const byte_at bytes[] = {{1, 0x38}, {3, 0xBC}, {4, 0x01}, {6, 0x02},
                                    {7, 0x80}, {8, 0x2F}, {23, 0xF0}};
    static const expected values[] = {
        {0, 32, -1.0F}, {0, 1, 14.5F}, {16, 1, 0.0F}, {17, 1, 7.0F}, {31, 1, 14.5F}};
    GOLDEN(Q5_1);
}

TEST(golden_q8_0) { /* d = 0.25 */
    static const byte_at bytes[] = {{1, 0x34}, {2, 0x7F}, {3, 0x80}, {33, 0xFF}};
    static const expected values[] = {{0, 1, 31.75F}, {1, 1, -32.0F}, {31, 1, -0.25F}};
    GOLDEN(Q8_0);
}

TEST(golden_q2_k) { /* d = 1, dmin = 0.5; groups 0, 1, 2, 4, 6, 8, 15 have scales */
    static const byte_at bytes[] = {{81, 0x3C}, {83, 0x38}, {0, 0x01}, {1, 0x23},  {2, 0x05},
                                    {4, 0x07},  {6, 0x02},  {8, 0x01}, {15, 0x0F}, {16, 0xE6},
                                    {33, 0x03}, {48, 0x01}, {79, 0x40}};
    static const expected values[] = {{0, 1, 2.0F},   {16, 16, -1.0F}, {17, 1, 8.0F},
                                      {32, 1, 5.0F},  {64, 1, 14.0F},  {96, 1, 6.0F},
                                      {128, 1, 1.0F}, {255, 1, 15.0F}};
    GOLDEN(Q2_K);
}

TEST(golden_q3_k) { /* d = 1; scales of groups 0, 1, 5, 8, 13, 15 are 1, 16, 3, 2, -16, 4 */
    static const byte_at bytes[] = {{109, 0x3C}, {104, 0xAA}, {105, 0x6B}, {106, 0xAA}, {107, 0xAA},
                                    {96, 0x21},  {101, 0x03}, {103, 0x40}, {0, 0x11},   {16, 0x40},
                                    {32, 0x02},  {48, 0x10},  {95, 0xC0}};
    static const expected values[] = {{0, 16, -4.0F},    {0, 1, 2.0F},     {16, 16, -64.0F},
                                      {80, 16, -12.0F},  {80, 1, -9.0F},   {128, 16, -8.0F},
                                      {128, 1, 0.0F},    {208, 16, 64.0F}, {208, 1, 0.0F},
                                      {240, 16, -16.0F}, {255, 1, -4.0F}};
    GOLDEN(Q3_K);
}

/* d = 1, dmin = 0.5; s: group 0 1, 3 63, 4 37; t: group 0 2, 4 19, 7 63 */
#define SCALES_45_K                                                                                \
    {1, 0x3C}, {3, 0x38}, {4, 0x81}, {7, 0x3F}, {8, 0x42}, {11, 0xC0}, {12, 0x35}, {               \
        15, 0xF0                                                                                   \
    }
#define MINIMA_45_K                                                                                \
    {0, 32, -1.0F}, {128, 32, -9.5F}, {                                                            \
        224, 32, -31.5F                                                                            \
    }

TEST(golden_q4_k) {
    static const byte_at bytes[] = {SCALES_45_K, {16, 0x07}, {79, 0xA0}, {80, 0x0F}};
    static const expected values[] = {
        MINIMA_45_K, {0, 1, 6.0F}, {127, 1, 630.0F}, {128, 1, 545.5F}};
    GOLDEN(Q4_K);
}

TEST(golden_q5_k) { /* fifth bits of columns 0, 127, 128 */
    static const byte_at bytes[] = {SCALES_45_K, {16, 0x11},  {47, 0x08},
                                    {48, 0x07},  {111, 0xA0}, {112, 0x0F}};
    static const expected values[] = {
        MINIMA_45_K, {0, 1, 22.0F}, {127, 1, 1638.0F}, {128, 1, 1137.5F}};
    GOLDEN(Q5_K);
}

TEST(golden_q6_k) { /* d = 1; scales of groups 0, 2, 4, 6, 8, 15 are 1, -2, 3, 4, 1, -128 */
    static const byte_at bytes[] = {{209, 0x3C}, {192, 0x01}, {194, 0xFE}, {196, 0x03},
                                    {198, 0x04}, {200, 0x01}, {207, 0x80}, {0, 0x5A},
                                    {32, 0x21},  {128, 0x39}, {127, 0xF0}, {191, 0xC0}};
    static const expected values[] = {{0, 16, -32.0F},    {0, 1, -6.0F},     {32, 16, 64.0F},
                                      {32, 1, -2.0F},     {64, 16, -96.0F},  {64, 1, 63.0F},
                                      {96, 16, -128.0F},  {96, 1, -120.0F},  {128, 16, -32.0F},
                                      {240, 16, 4096.0F}, {255, 1, -3968.0F}};
    GOLDEN(Q6_K);
}

TEST(golden_iq4_nl) { /* d = 2; indices 0 .. 15, then 15 .. 0 */
    static const byte_at bytes[] = {{1, 0x40},  {2, 0xF0},  {3, 0xE1},  {4, 0xD2},  {5, 0xC3},
                                    {6, 0xB4},  {7, 0xA5},  {8, 0x96},  {9, 0x87},  {10, 0x78},
                                    {11, 0x69}, {12, 0x5A}, {13, 0x4B}, {14, 0x3C}, {15, 0x2D},
                                    {16, 0x1E}, {17, 0x0F}};
    static const expected values[] = {
        {0, 1, -254.0F},  {1, 1, -208.0F}, {2, 1, -166.0F}, {3, 1, -130.0F},  {4, 1, -98.0F},
        {5, 1, -70.0F},   {6, 1, -44.0F},  {7, 1, -20.0F},  {8, 1, 2.0F},     {9, 1, 26.0F},
        {10, 1, 50.0F},   {11, 1, 76.0F},  {12, 1, 106.0F}, {13, 1, 138.0F},  {14, 1, 178.0F},
        {15, 1, 226.0F},  {16, 1, 226.0F}, {17, 1, 178.0F}, {18, 1, 138.0F},  {19, 1, 106.0F},
        {20, 1, 76.0F},   {21, 1, 50.0F},  {22, 1, 26.0F},  {23, 1, 2.0F},    {24, 1, -20.0F},
        {25, 1, -44.0F},  {26, 1, -70.0F}, {27, 1, -98.0F}, {28, 1, -130.0F}, {29, 1, -166.0F},
        {30, 1, -208.0F}, {31, 1, -254.0F}};
    GOLDEN(IQ4_NL);
}

TEST(golden_iq4_xs) { /* d = 1; scales of groups 0, 1, 6, 7 are 1, 2, -17, 16 */
    static const byte_at bytes[] = {{1, 0x3C}, {2, 0xAA}, {3, 0xCA},  {4, 0x21},
                                    {7, 0x0F}, {8, 0xF1}, {135, 0x80}};
    static const expected values[] = {{0, 32, -127.0F},    {32, 32, -254.0F}, {192, 32, 2159.0F},
                                      {224, 32, -2032.0F}, {0, 1, -104.0F},   {16, 1, 113.0F},
                                      {255, 1, 16.0F}};
    GOLDEN(IQ4_XS);
}

TEST(golden_float_types) {
    static const uint8_t BYTES[] = {0x00, 0x00, 0x80, 0xBF, 0x01, 0x00, 0x00, 0x80};
    float out[4];
    rusk_dtype_to_f32(rusk_dtype_find(RUSK_DTYPE_F32), BYTES, 2, out);
    CHECK(out[0] == -1.0F && out[1] == -0x1p-149F);
    rusk_dtype_to_f32(rusk_dtype_find(RUSK_DTYPE_F16), BYTES, 4, out);
    CHECK(out[0] == 0.0F && out[1] == -1.875F && out[2] == 0x1p-24F);
    CHECK(out[3] == 0.0F && signbit(out[3]));
    rusk_dtype_to_f32(rusk_dtype_find(RUSK_DTYPE_BF16), BYTES, 4, out);
    CHECK(out[0] == 0.0F && out[1] == -1.0F && out[2] == 0x1p-133F);
    CHECK(out[3] == 0.0F && signbit(out[3]));
}

TEST(every_half_converts) {
    const rusk_dtype_info *f16 = rusk_dtype_find(RUSK_DTYPE_F16);
    for (uint32_t h = 0; h < 65536; h++) {
        uint8_t bytes[2];
        float got;
        int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
        rusk_store_u16(bytes, (uint16_t)h);
        rusk_dtype_to_f32(f16, bytes, 1, &got);
        CHECK_EQ(signbit(got) != 0, h >> 15);
        if (exponent == 31) {
            CHECK(mantissa == 0 ? isinf(got) : isnan(got));
        } else {
            double want =
                exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
            CHECK((double)fabsf(got) == want);
        }
    }
}

/* value = d * code keeps the sign of zero: 0 * -0.5 is -0.0, with m = -0.0 too. */
TEST(zero_keeps_its_sign) {
    uint8_t block[18] = {0x00, 0xB8};
    float out[32];
    memset(block + 2, 0x88, 16);
    rusk_dtype_to_f32(rusk_dtype_find(RUSK_DTYPE_Q4_0), block, 32, out);
    for (size_t i = 0; i < 32; i++) {
        CHECK(out[i] == 0.0F && signbit(out[i]));
    }
}

TEST(names_and_numbers) {
    CHECK_STR(rusk_dtype_find(12)->name, "Q4_K");
    CHECK_EQ(rusk_dtype_find(12)->dtype, RUSK_DTYPE_Q4_K);
    CHECK(rusk_dtype_find(RUSK_DTYPE_F16)->unpack == NULL);
    CHECK(rusk_dtype_find(RUSK_DTYPE_SYM8) != NULL);
    CHECK(rusk_dtype_find(16) == NULL);
    CHECK_STR(rusk_dtype_gguf_name(16), "IQ2_XXS");
    CHECK_STR(rusk_dtype_gguf_name(34), "TQ1_0");
    CHECK_STR(rusk_dtype_gguf_name(39), "MXFP4");
    CHECK_STR(rusk_dtype_gguf_name(30), "BF16");
    CHECK(rusk_dtype_gguf_name(99) == NULL);
    CHECK(rusk_dtype_gguf_name(RUSK_DTYPE_SYM8) == NULL);
    CHECK(rusk_dtype_gguf_name(UINT32_MAX) == NULL);
}

static const uint32_t TYPES[] = {
#define X(name, number, elements, bytes, group) number,
    RUSK_DTYPE_LIST(X)
#undef X
};

/* Random blocks whose f16 scales are finite (bit 14 cleared: below 2 in magnitude). */
static void random_blocks(const rusk_dtype_info *info, uint8_t *out, size_t n, rusk_rng *rng) {
    static const struct {
        rusk_dtype dtype;
        int at[2]; /* of the f16 scales in a block, -1: none */
    } SCALES[] = {
        {RUSK_DTYPE_Q4_0, {0, -1}},   {RUSK_DTYPE_Q4_1, {0, 2}},    {RUSK_DTYPE_Q5_0, {0, -1}},
        {RUSK_DTYPE_Q5_1, {0, 2}},    {RUSK_DTYPE_Q8_0, {0, -1}},   {RUSK_DTYPE_Q2_K, {80, 82}},
        {RUSK_DTYPE_Q3_K, {108, -1}}, {RUSK_DTYPE_Q4_K, {0, 2}},    {RUSK_DTYPE_Q5_K, {0, 2}},
        {RUSK_DTYPE_Q6_K, {208, -1}}, {RUSK_DTYPE_IQ4_NL, {0, -1}}, {RUSK_DTYPE_IQ4_XS, {0, -1}},
        {RUSK_DTYPE_F16, {0, -1}},    {RUSK_DTYPE_BF16, {0, -1}},   {RUSK_DTYPE_F32, {2, -1}},
    };
    size_t len = n / info->block_elements * info->block_bytes;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(rusk_rng_u64(rng) >> 32);
    }
    for (size_t k = 0; k < RUSK_COUNT(SCALES); k++) {
        for (size_t block = 0; SCALES[k].dtype == info->dtype && block < len;
             block += info->block_bytes) {
            for (int i = 0; i < 2; i++) {
                if (SCALES[k].at[i] >= 0) {
                    out[block + (size_t)SCALES[k].at[i] + 1] &= 0xBF;
                }
            }
        }
    }
}

/* Input ends, and results end, right before a page that must not be touched; and any split of a row
 * gives the same. */
TEST(nothing_beyond_the_edge) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    for (size_t k = 0; k < RUSK_COUNT(TYPES); k++) {
        const rusk_dtype_info *info = rusk_dtype_find(TYPES[k]);
        if (info->dtype == RUSK_DTYPE_SYM8) {
            continue;
        }
        size_t step = RUSK_MAX(info->block_elements, 1U);
        for (size_t blocks = 0; blocks <= 20; blocks += blocks < 3 ? 1 : 17) {
            size_t n = blocks * step, len = blocks * info->block_bytes;
            uint8_t *in = test_guarded(len, true);
            float *out = test_guarded(n * sizeof *out, true), split[20 * 256];
            random_blocks(info, in, n, &rng);
            rusk_dtype_to_f32(info, in, n, out);
            for (size_t b = 0; b < blocks; b++) {
                rusk_dtype_to_f32(info, in + b * info->block_bytes, step, split + b * step);
            }
            CHECK_MEM(out, split, n * sizeof *out);
            if (info->unpack != NULL) {
                size_t groups = n / info->group;
                int8_t *codes = test_guarded(n, true);
                float *d = test_guarded(groups * sizeof *d, true);
                float *m = test_guarded(groups * sizeof *m, true);
                info->unpack(in, n, codes, d, m);
                for (size_t i = 0; i < n; i++) {
                    CHECK(d[i / info->group] * (float)codes[i] + m[i / info->group] == out[i]);
                }
            }
        }
    }
}

enum { ROWS = 3, COLUMNS = 512 };

/* What a type's random blocks gave when another decoder agreed on every bit. */
static const struct {
    rusk_dtype dtype;
    uint64_t hash;
} HASHES[] = {
    {RUSK_DTYPE_F32, 0xA2FA8FCEDECC1715U},    {RUSK_DTYPE_F16, 0x05746F52BFC7E323U},
    {RUSK_DTYPE_Q4_0, 0x617CCC0576E968BFU},   {RUSK_DTYPE_Q4_1, 0xF4E20FE3DEC7E996U},
    {RUSK_DTYPE_Q5_0, 0xF229B16C4798D344U},   {RUSK_DTYPE_Q5_1, 0x5F57CF57F41F92CDU},
    {RUSK_DTYPE_Q8_0, 0xEE305D33D58625F6U},   {RUSK_DTYPE_Q2_K, 0x400109F8B7C7476FU},
    {RUSK_DTYPE_Q3_K, 0x6B7E3EC885C2EA45U},   {RUSK_DTYPE_Q4_K, 0xA574BCA11133DDEFU},
    {RUSK_DTYPE_Q5_K, 0x44C058166A055EFEU},   {RUSK_DTYPE_Q6_K, 0x74D54FAD3AB711A8U},
    {RUSK_DTYPE_IQ4_NL, 0xF123D9EFA59E7E3EU}, {RUSK_DTYPE_IQ4_XS, 0x767B85DD58996587U},
    {RUSK_DTYPE_BF16, 0x0688D91C550C716FU},
};

/* Writes a file of every type: tensor "Q4_0" holds blocks, tensor "Q4_0.f32" what they mean. Where
 * RUSK_DTYPE_FILE names a path it is left there, for test_gguf_python.py. */
TEST(random_blocks_of_every_type) {
    const char *path = getenv("RUSK_DTYPE_FILE");
    path = path != NULL ? path : test_path("types.gguf");
    rusk_gguf_writer *w;
    char name[32];
    static uint8_t bytes[ROWS * COLUMNS * 4];
    static float values[ROWS * COLUMNS];
    rusk_alloc_init(&memory, NULL);
    CHECK_OK(rusk_gguf_writer_create(&w, &memory, path, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        rusk_rng rng = rusk_rng_seed(1);
        for (size_t k = 0; k < RUSK_COUNT(TYPES); k++) {
            const rusk_dtype_info *info = rusk_dtype_find(TYPES[k]);
            uint64_t shape[2] = {ROWS, COLUMNS};
            if (info->dtype == RUSK_DTYPE_SYM8) {
                continue;
            }
            (void)snprintf(name, sizeof name, "%s.f32", info->name);
            if (pass == 0) {
                CHECK_OK(rusk_gguf_writer_tensor(w, info->name, 2, shape, info->dtype, &err), &err);
                CHECK_OK(rusk_gguf_writer_tensor(w, name, 2, shape, RUSK_DTYPE_F32, &err), &err);
                continue;
            }
            size_t len = (size_t)ROWS * COLUMNS / info->block_elements * info->block_bytes;
            random_blocks(info, bytes, (size_t)ROWS * COLUMNS, &rng);
            rusk_dtype_to_f32(info, bytes, (size_t)ROWS * COLUMNS, values);
            CHECK_OK(rusk_gguf_writer_write(w, bytes, len, &err), &err);
            CHECK_OK(rusk_gguf_writer_write(w, values, sizeof values, &err), &err);
        }
        if (pass == 0) {
            CHECK_OK(rusk_gguf_writer_begin_data(w, &err), &err);
        }
    }
    CHECK_OK(rusk_gguf_writer_commit(w, &err), &err);

    rusk_source *s;
    CHECK_OK(rusk_source_open(&s, &memory, path, &err), &err);
    for (size_t i = 0; i < s->n_tensors; i += 2) { /* rows through the file give the same */
        static float want[ROWS * COLUMNS];
        CHECK_OK(rusk_source_read_f32(s, i, 0, ROWS, values, bytes, &err), &err);
        CHECK_OK(rusk_source_read_f32(s, i + 1, 0, ROWS, want, bytes, &err), &err);
        CHECK_MEM(values, want, sizeof want);
        uint64_t hash = 0;
        for (size_t k = 0; k < RUSK_COUNT(HASHES); k++) {
            if (HASHES[k].dtype == s->tensors[i].dtype->dtype) {
                hash = HASHES[k].hash;
            }
        }
        uint64_t got = rusk_hash64(want, sizeof want);
        if (got != hash) {
            test_fail(__FILE__, __LINE__, "%s: hash 0x%016llX", s->tensors[i].name,
                      (unsigned long long)got);
        }
    }
    rusk_source_close(s);
    CHECK_EQ(memory.bytes_total, 0);
}

TEST_MAIN(CASE(golden_q4_0), CASE(golden_q4_1), CASE(golden_q5_0), CASE(golden_q5_1),
          CASE(golden_q8_0), CASE(golden_q2_k), CASE(golden_q3_k), CASE(golden_q4_k),
          CASE(golden_q5_k), CASE(golden_q6_k), CASE(golden_iq4_nl), CASE(golden_iq4_xs),
          CASE(golden_float_types), CASE(every_half_converts), CASE(zero_keeps_its_sign),
          CASE(names_and_numbers), CASE(nothing_beyond_the_edge), CASE(random_blocks_of_every_type))
