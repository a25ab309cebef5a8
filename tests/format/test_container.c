/* test_container.c - .rusk files: contract of writer and reader, round trips, layout. Hostile files
 * are in test_container_hostile.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/fp.h"
#include "base/threads.h"
#include "format/container.h"
#include "support/test.h"
#include "support/tiny_container.h"

enum { PAGE = 4096, LEAST_EXTENT = 262144 };

static rusk_alloc alloc;
static rusk_error err;

static const char *write_plan(const test_container_plan *plan, const char *name) {
    uint64_t bytes;
    const char *path = test_path(name);
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(test_container_write(&alloc, path, plan, &bytes, &err), &err);
    CHECK_EQ(alloc.bytes_total, 0);
    return path;
}

static rusk_source *open_plan(const test_container_plan *plan, const char *name) {
    rusk_source *s;
    CHECK_OK(rusk_container_open(&s, &alloc, write_plan(plan, name), &err), &err);
    return s;
}

static void close_source(rusk_source *s) {
    rusk_source_close(s);
    CHECK_EQ(alloc.bytes_total, 0);
}

/* --- round trips --- */

static void check_tensor(const rusk_source *s, const test_container_plan *plan, size_t i) {
    rusk_container_tensor t = test_container_tensor(plan, i);
    const rusk_container_tensor *got = rusk_container_get_tensor(s, i);
    const rusk_source_tensor *st = &s->tensors[i];
    CHECK_STR(got->name, t.name);
    CHECK_STR(got->roles, t.roles);
    CHECK_STR(got->codec, t.codec);
    CHECK_STR(got->quantizer, t.quantizer);
    CHECK_EQ(got->n_dims, t.n_dims);
    CHECK_MEM(got->shape, t.shape, sizeof t.shape);
    CHECK_EQ(got->dtype, t.dtype);
    CHECK_EQ(got->source_dtype, t.source_dtype);
    CHECK_STR(st->name, t.name);
    CHECK_STR(st->role, t.roles);
    CHECK_STR(st->codec, t.codec);
    CHECK_EQ(st->dtype->dtype, t.dtype);
    CHECK_EQ(st->offset, rusk_container_block_offset(s, i, 0));
    if (t.dtype == RUSK_DTYPE_SYM8) {
        CHECK_EQ(st->n_rows, t.shape[0]);
        CHECK_EQ(st->n_cols, t.shape[1]);
        CHECK(got->symbol_offset == t.symbol_offset);
        CHECK_EQ(got->block_rows, t.block_rows);
        CHECK_MEM(got->row_scales, t.row_scales, t.shape[0] * sizeof(float));
        CHECK_MEM(got->row_classes, t.row_classes, t.shape[0]);
        CHECK_EQ(got->tables_bytes, t.tables_bytes);
        CHECK(t.tables_bytes == 0 || memcmp(got->tables, t.tables, t.tables_bytes) == 0);
    }
}

static void check_blocks(const rusk_source *s, const test_container_plan *plan, size_t i) {
    static uint8_t expected[TEST_CONTAINER_MAX_BLOCK];
    static uint8_t got[TEST_CONTAINER_MAX_BLOCK + RUSK_BLOCK_OVERREAD];
    static const uint8_t ZEROS[RUSK_BLOCK_OVERREAD];
    rusk_container_tensor t = test_container_tensor(plan, i);
    uint64_t n = test_container_n_blocks(&t);
    CHECK_EQ(rusk_container_n_blocks(s, i), n);
    for (uint64_t b = 0; b < n; b++) {
        size_t len = test_container_block(plan, i, b, expected);
        CHECK_EQ(rusk_container_block_bytes(s, i, b), len);
        memset(got, 0xEE, sizeof got);
        CHECK_OK(rusk_container_read_block(s, i, b, got, &err), &err);
        CHECK_MEM(got, expected, len);
        CHECK_MEM(got + len, ZEROS, sizeof ZEROS);
        CHECK_EQ(rusk_container_span_bytes(s, i, b, 1), len + RUSK_BLOCK_OVERREAD);
    }
}

static void check_span(const rusk_source *s, const test_container_plan *plan, size_t i,
                       uint64_t block0, uint64_t n) {
    static uint8_t expected[TEST_CONTAINER_MAX_BLOCK];
    const uint8_t *out[TEST_CONTAINER_MAX_ROWS];
    size_t bytes = rusk_container_span_bytes(s, i, block0, n);
    uint8_t *buf = test_guarded(bytes, true);
    CHECK_OK(rusk_container_read_span(s, i, block0, n, buf, out, &err), &err);
    for (uint64_t b = 0; b < n; b++) {
        size_t len = test_container_block(plan, i, block0 + b, expected);
        CHECK_MEM(out[b], expected, len);
        CHECK(out[b] + len + RUSK_BLOCK_OVERREAD <= buf + bytes);
    }
}

static void check_all(const test_container_plan *plan, const char *name) {
    rusk_source *s = open_plan(plan, name);
    CHECK_EQ(s->n_tensors, plan->n_tensors);
    rusk_rng rng = rusk_rng_seed(plan->seed);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        check_tensor(s, plan, i);
        check_blocks(s, plan, i);
        uint64_t n = rusk_container_n_blocks(s, i);
        check_span(s, plan, i, 0, n);
        uint64_t block0 = rusk_rng_below(&rng, n);
        check_span(s, plan, i, block0, rusk_rng_below(&rng, n - block0 + 1));
    }
    close_source(s);
}

TEST(random_tensors_come_back) {
    for (uint64_t round = 0; round < 12; round++) {
        test_container_plan plan = {.seed = test_seed() + round,
                                    .n_tensors = 7,
                                    .most_rows = round % 3 == 0 ? 1 : 60,
                                    .most_bytes = round % 2 == 0 ? 900 : 0,
                                    .texts = round % 2 == 1};
        check_all(&plan, "random.rusk");
    }
}

TEST(many_extents_come_back) {
    test_container_plan plan = {
        .seed = test_seed(), .n_tensors = 9, .most_rows = 40, .most_bytes = 70000};
    check_all(&plan, "extents.rusk");
    plan.n_tensors = 2;
    plan.most_bytes = TEST_CONTAINER_MAX_BLOCK; /* larger than the least extent */
    check_all(&plan, "large-blocks.rusk");
}

TEST(empty_model_is_a_file) {
    test_container_plan plan = {.n_tensors = 0};
    rusk_source *s = open_plan(&plan, "empty.rusk");
    size_t len;
    CHECK_EQ(s->n_tensors, 0);
    CHECK_EQ(s->n_meta, 0);
    CHECK_STR(s->format, "rusk");
    CHECK_EQ(s->format_version, 1);
    CHECK(rusk_container_get_section(s, "TOKN", &len) == NULL);
    CHECK_EQ(len, 0);
    CHECK(s->file_bytes < 200);
    close_source(s);
}

TEST(metadata_comes_back_without_what_other_sections_replace) {
    test_container_plan plan = {.texts = true};
    rusk_source *s = open_plan(&plan, "meta.rusk");
    const rusk_source *from = &TEST_CONTAINER_SOURCE;
    CHECK_EQ(s->n_meta, from->n_meta - 2);
    for (size_t i = 0, k = 0; i < from->n_meta; i++) {
        const rusk_meta *a = &from->meta[i];
        if (strncmp(a->key, "tokenizer.", 10) == 0) {
            continue;
        }
        const rusk_meta *b = &s->meta[k++];
        CHECK_STR(b->key, a->key);
        CHECK_EQ(b->type, a->type);
        CHECK_EQ(b->n, a->n);
        if (a->type == RUSK_META_STRING) {
            CHECK_EQ(b->value.text.len_bytes, a->value.text.len_bytes);
            CHECK_STR(b->value.text.data, a->value.text.data);
        } else if (a->type != RUSK_META_ARRAY) {
            CHECK_MEM(&b->value, &a->value, sizeof a->value.u);
        } else if (a->elem_type == RUSK_META_STRING) {
            for (size_t e = 0; e < a->n; e++) {
                CHECK_EQ(b->texts[e].len_bytes, a->texts[e].len_bytes);
                CHECK_MEM(b->texts[e].data, a->texts[e].data, a->texts[e].len_bytes + 1);
            }
        } else {
            CHECK_EQ(b->elem_type, a->elem_type);
            CHECK(a->n == 0 || memcmp(b->elements, a->elements, a->n * 2) == 0);
        }
    }
    const rusk_provenance *p = rusk_container_get_provenance(s);
    CHECK_EQ(p->source_bytes, 12345);
    CHECK_MEM(p->source_hash, "0123456789abcdef", 16);
    CHECK_STR(p->tool, "rusk test");
    CHECK_STR(p->options, "--bits 4.5");
    size_t len;
    CHECK_MEM(rusk_container_get_section(s, "TOKN", &len), "tokens", 6);
    CHECK_EQ(len, 6);
    CHECK_MEM(rusk_container_get_section(s, "CHAT", &len), "template", 8);
    CHECK_EQ(len, 8);
    close_source(s);
}

TEST(vectors_are_read_by_rows) {
    test_container_plan plan = {.seed = 5, .n_tensors = 3, .most_rows = 50, .most_bytes = 90};
    rusk_source *s = open_plan(&plan, "vectors.rusk");
    uint8_t expected[4 * TEST_CONTAINER_MAX_ROWS], got[4 * TEST_CONTAINER_MAX_ROWS];
    size_t len = test_container_block(&plan, 2, 0, expected);
    CHECK_EQ(s->tensors[2].bytes, len);
    CHECK_EQ(s->tensors[2].n_rows, 1);
    CHECK_OK(s->ops->read_rows(s, 2, 0, 1, got, &err), &err);
    CHECK_MEM(got, expected, len);
    CHECK_FAILS(s->ops->read_rows(s, 0, 0, 1, got, &err), RUSK_INVALID_ARGUMENT, &err,
                "symbols behind a codec");
    close_source(s);
}

TEST(a_source_is_opened_by_its_magic) {
    test_container_plan plan = {.n_tensors = 3, .most_rows = 9, .most_bytes = 9};
    rusk_source *s;
    CHECK_OK(rusk_source_open(&s, &alloc, write_plan(&plan, "any-name.gguf"), &err), &err);
    CHECK_STR(s->format, "rusk");
    CHECK_EQ(rusk_source_find(s, "blk.1.weight"), 1);
    close_source(s);
}

/* --- layout --- */

/* An independent look at BLKS: extents of a written file obey the writer's rules. */
TEST(extents_stand_on_pages_and_are_long_enough) {
    test_container_plan plan = {
        .seed = test_seed(), .n_tensors = 24, .most_rows = 90, .most_bytes = 20000};
    size_t len;
    uint8_t *file = test_read_file(write_plan(&plan, "layout.rusk"), &len);
    uint64_t table = rusk_load_u64(file + 16), blocks = 0, total = 0, lost = 0, least = PAGE;
    const uint8_t *blks = NULL;
    for (uint64_t at = table; at < len; at += 32) {
        blks = memcmp(file + at, "BLKS", 4) == 0 ? file + rusk_load_u64(file + at + 8) : blks;
    }
    CHECK(blks != NULL);
    uint32_t n = rusk_load_u32(blks);
    CHECK(n >= 4);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = blks + 8 + 16 * i;
        uint64_t offset = rusk_load_u64(e), bytes = rusk_load_u32(e + 8);
        CHECK_EQ(offset, least);
        least = offset + (bytes + 64 + PAGE - 1) / PAGE * PAGE;
        CHECK(i + 1 == n || bytes >= LEAST_EXTENT);
        for (uint64_t z = offset + bytes; z < least; z++) {
            CHECK_EQ(file[z], 0);
        }
        blocks += rusk_load_u32(e + 12);
        total += bytes;
        lost += least - offset - bytes;
    }
    CHECK_EQ(blocks, rusk_load_u32(blks + 4));
    CHECK(lost < total / 200);
    free(file);
}

TEST(the_same_input_gives_the_same_bytes) {
    test_container_plan plan = {
        .seed = 9, .n_tensors = 6, .most_rows = 20, .most_bytes = 30000, .texts = true};
    size_t len_a, len_b;
    uint8_t *a = test_read_file(write_plan(&plan, "a.rusk"), &len_a);
    uint8_t *b = test_read_file(write_plan(&plan, "b.rusk"), &len_b);
    CHECK_EQ(len_a, len_b);
    CHECK_MEM(a, b, len_a);
    free(a);
    free(b);
}

TEST(equal_tables_are_stored_once) {
    test_container_plan plan = {.n_tensors = 14, .most_rows = 1}; /* 1 and 13 have one table */
    rusk_source *s = open_plan(&plan, "tables.rusk");
    CHECK_EQ(rusk_container_get_tensor(s, 1)->tables_bytes, 16);
    CHECK(rusk_container_get_tensor(s, 1)->tables == rusk_container_get_tensor(s, 13)->tables);
    CHECK_EQ(s->tensors[1].bytes, s->tensors[13].bytes + 16);
    close_source(s);
}

/* The hex dumps of the specification: lines "OFFSET: bytes" inside a block that starts with
 * ```hex NAME; what no line gives is zero. Returns the length, one past the last byte given. */
static size_t read_example(const char *name, uint8_t *out, size_t cap) {
    size_t doc_len, len = 0;
    char fence[64];
    char *doc = (char *)test_read_file("docs/format/container.md", &doc_len);
    (void)snprintf(fence, sizeof fence, "```hex %s\n", name);
    char *line = strstr(doc, fence);
    CHECK(line != NULL);
    memset(out, 0, cap);
    for (line = strchr(line, '\n') + 1; strncmp(line, "```", 3) != 0;
         line = strchr(line, '\n') + 1) {
        char *p;
        size_t at = strtoul(line, &p, 16);
        CHECK(*p == ':');
        for (p++; p[0] == ' ' && p[1] != ' ' && p[1] != '\n'; p += 3) {
            CHECK(at < cap);
            out[at++] = (uint8_t)strtoul((char[]){p[1], p[2], 0}, NULL, 16);
        }
        len = RUSK_MAX(len, at);
    }
    free(doc);
    return len;
}

static void write_example(rusk_container_writer *w) {
    const float scales[3] = {0.5F, -0.25F, 1.0F}, vector[2] = {1.0F, -2.0F};
    const uint8_t classes[3] = {0, 1, 0};
    rusk_meta meta = {
        .key = "general.architecture", .type = RUSK_META_STRING, .value.text = {"llama", 5}};
    rusk_source source = {.n_meta = 1, .meta = &meta};
    rusk_provenance p = {.source_bytes = 1000, .tool = "rusk", .options = ""};
    rusk_container_tensor t = {.name = "a",
                               .roles = "attn_q",
                               .n_dims = 2,
                               .shape = {3, 4},
                               .dtype = RUSK_DTYPE_SYM8,
                               .source_dtype = RUSK_DTYPE_F16,
                               .codec = "example",
                               .quantizer = "uniform",
                               .symbol_offset = 0.5F,
                               .block_rows = 2,
                               .row_scales = scales,
                               .row_classes = classes,
                               .tables = (const uint8_t *)"TAB",
                               .tables_bytes = 3};
    rusk_container_tensor v = {.name = "n",
                               .roles = "attn_norm",
                               .n_dims = 1,
                               .shape = {2},
                               .dtype = RUSK_DTYPE_F32,
                               .source_dtype = RUSK_DTYPE_F32,
                               .codec = "none",
                               .quantizer = ""};
    CHECK_OK(rusk_container_writer_head(w, &p, &source, &err), &err);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    CHECK_OK(rusk_container_writer_block(w, "AAAAA", 5, &err), &err);
    CHECK_OK(rusk_container_writer_block(w, "BBB", 3, &err), &err);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &v, &err), &err);
    CHECK_OK(rusk_container_writer_block(w, vector, sizeof vector, &err), &err);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
}

/* Golden: these bytes mean this model, for ever. */
TEST(the_examples_of_the_specification) {
    static uint8_t example[16384];
    static const char *const NAMES[] = {"minimal", "matrix"};
    rusk_alloc_init(&alloc, NULL);
    for (size_t i = 0; i < 2; i++) {
        size_t len, example_len = read_example(NAMES[i], example, sizeof example);
        rusk_container_writer *w;
        const char *path = test_path("example.rusk");
        CHECK_OK(rusk_container_writer_create(&w, &alloc, path, &err), &err);
        if (i == 1) {
            write_example(w);
        } else {
            rusk_provenance p = {.tool = "rusk", .options = ""};
            CHECK_OK(rusk_container_writer_head(w, &p, NULL, &err), &err);
        }
        CHECK_OK(rusk_container_writer_commit(w, NULL, &err), &err);
        uint8_t *file = test_read_file(path, &len);
        CHECK_EQ(len, example_len);
        CHECK_MEM(file, example, len);
        free(file);
    }
    rusk_source *s;
    CHECK_OK(rusk_container_open(&s, &alloc, test_path("example.rusk"), &err), &err);
    const rusk_container_tensor *t = rusk_container_get_tensor(s, 0);
    CHECK(t->row_scales[0] == 0.5F && t->row_scales[1] == -0.25F && t->row_scales[2] == 1.0F);
    CHECK_MEM(t->tables, "TAB", 3);
    close_source(s);
}

/* --- scales --- */

TEST(rounded_scales_are_near_and_stay) {
    rusk_rng rng = rusk_rng_seed(test_seed());
    float scales[64], once[64];
    for (int round = 0; round < 2000; round++) {
        int range = round % 40; /* octaves from the largest to the least */
        int top = (int)rusk_rng_below(&rng, 230) - 112;
        float largest = 0;
        for (size_t i = 0; i < RUSK_COUNT(scales); i++) {
            double octave = top - rusk_rng_double(&rng) * range;
            uint32_t bits =
                (uint32_t)(127 + octave) << 23 | (uint32_t)rusk_rng_below(&rng, 1 << 23);
            scales[i] = rusk_f32_from_bits(octave < -126 ? 0 : bits | (uint32_t)(i & 1) << 31);
            largest = RUSK_MAX(largest, scales[i] < 0 ? -scales[i] : scales[i]);
        }
        memcpy(once, scales, sizeof once);
        rusk_container_round_scales(once, RUSK_COUNT(once));
        for (size_t i = 0; i < RUSK_COUNT(scales); i++) {
            double size = scales[i] < 0 ? -(double)scales[i] : (double)scales[i];
            if (size >= (double)largest * 0x1p-28) {
                CHECK_NEAR((double)once[i], (double)scales[i], size * 0x1p-11);
            }
        }
        memcpy(scales, once, sizeof once);
        rusk_container_round_scales(scales, RUSK_COUNT(scales));
        CHECK_MEM(scales, once, sizeof once);
    }
}

TEST(scales_at_the_edges) {
    float zeros[2] = {0.0F, -0.0F}, small[2] = {0x1p-149F, 0x1p-120F}, halfway[1] = {2047.75F};
    rusk_container_round_scales(zeros, 2);
    CHECK(zeros[0] == 0 && zeros[1] == 0);
    rusk_container_round_scales(small, 2);
    CHECK(small[1] == 0x1p-120F);
    rusk_container_round_scales(halfway, 1);
    CHECK(halfway[0] == 2048.0F);
    rusk_container_round_scales(NULL, 0);
}

/* --- writer misuse --- */

static rusk_container_writer *new_writer(void) {
    rusk_container_writer *w;
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(rusk_container_writer_create(&w, &alloc, test_path("misuse.rusk"), &err), &err);
    return w;
}

static const test_container_plan SMALL = {
    .seed = 3, .n_tensors = 3, .most_rows = 9, .most_bytes = 30};

/* Changes one thing of a good tensor and expects its refusal. */
#define CHECK_REFUSED(w, change, expected, text)                                                   \
    do {                                                                                           \
        rusk_container_tensor t = test_container_tensor(&SMALL, 0);                                \
        change;                                                                                    \
        CHECK_FAILS(rusk_container_writer_begin_tensor(w, &t, &err), expected, &err, text);        \
    } while (0)

TEST(bad_tensors_are_refused_and_change_nothing) {
    rusk_container_writer *w = new_writer();
    uint64_t before = rusk_container_writer_bytes(w);
    float bad[TEST_CONTAINER_MAX_ROWS] = {0};
    uint8_t classes[TEST_CONTAINER_MAX_ROWS] = {0};
    CHECK_REFUSED(w, t.name = "", RUSK_INVALID_ARGUMENT, "1 to 65535 bytes, found 0");
    CHECK_REFUSED(w, t.roles = "a,,b", RUSK_INVALID_ARGUMENT, "roles");
    CHECK_REFUSED(w, t.roles = "A", RUSK_INVALID_ARGUMENT, "roles");
    CHECK_REFUSED(w, t.codec = "none", RUSK_INVALID_ARGUMENT, "codec's name");
    CHECK_REFUSED(w, t.codec = "", RUSK_INVALID_ARGUMENT, "codec's name");
    CHECK_REFUSED(w, t.codec = "sixteen-bytes-xx", RUSK_INVALID_ARGUMENT, "codec's name");
    CHECK_REFUSED(w, t.quantizer = "no spaces", RUSK_INVALID_ARGUMENT, "quantizer");
    CHECK_REFUSED(w, t.n_dims = 0, RUSK_INVALID_ARGUMENT, "1 to 4 dimensions, found 0");
    CHECK_REFUSED(w, t.n_dims = 5, RUSK_INVALID_ARGUMENT, "1 to 4 dimensions, found 5");
    CHECK_REFUSED(w, t.shape[0] = 0, RUSK_INVALID_ARGUMENT, "rows, found none");
    CHECK_REFUSED(w, t.shape[0] = 1ULL << 40, RUSK_INVALID_ARGUMENT, "rows, found more");
    CHECK_REFUSED(w, t.shape[1] = 0, RUSK_INVALID_ARGUMENT, "columns, found 0");
    CHECK_REFUSED(w, t.shape[1] = (1 << 24) + 1, RUSK_INVALID_ARGUMENT, "columns");
    CHECK_REFUSED(w, (t.shape[1] = 1 << 24, t.shape[0] = 2, t.block_rows = 2),
                  RUSK_INVALID_ARGUMENT, "blocks of 1 to 16777216 symbols");
    CHECK_REFUSED(w, t.block_rows = 0, RUSK_INVALID_ARGUMENT, "blocks of 1");
    CHECK_REFUSED(w, t.dtype = RUSK_DTYPE_F16, RUSK_INVALID_ARGUMENT, "F32 or SYM8");
    CHECK_REFUSED(w, t.source_dtype = (rusk_dtype)77, RUSK_INVALID_ARGUMENT, "source type 77");
    CHECK_REFUSED(w, t.symbol_offset = 1.5F, RUSK_INVALID_ARGUMENT, "from -1 to 1");
    CHECK_REFUSED(w, t.symbol_offset = rusk_f32_from_bits(0x7FC00000), RUSK_INVALID_ARGUMENT,
                  "from -1 to 1");
    bad[0] = rusk_f32_from_bits(0x7FC00000);
    CHECK_REFUSED(w, t.row_scales = bad, RUSK_INVALID_ARGUMENT, "row 0: expected a finite scale");
    bad[0] = rusk_f32_from_bits(0xFF800000);
    CHECK_REFUSED(w, t.row_scales = bad, RUSK_INVALID_ARGUMENT, "row 0: expected a finite scale");
    bad[0] = rusk_f32_from_bits(0x7F7FFFFF); /* rounds up to infinity */
    CHECK_REFUSED(w, t.row_scales = bad, RUSK_INVALID_ARGUMENT, "row 0: expected a finite scale");
    classes[0] = 16;
    CHECK_REFUSED(w, t.row_classes = classes, RUSK_INVALID_ARGUMENT, "class of 0 to 15, found 16");
    CHECK_REFUSED(w, t.tables_bytes = 1 << 30, RUSK_LIMIT, "code table");
    CHECK_EQ(rusk_container_writer_bytes(w), before);
    rusk_container_writer_discard(w);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(calls_out_of_order_are_refused) {
    rusk_container_writer *w = new_writer();
    rusk_container_tensor t = test_container_tensor(&SMALL, 2);
    uint8_t block[4 * TEST_CONTAINER_MAX_ROWS] = {0};
    size_t bytes = (size_t)t.shape[0] * 4;
    CHECK_FAILS(rusk_container_writer_block(w, block, 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "a block beyond the 0 expected");
    CHECK_FAILS(rusk_container_writer_end_tensor(w, &err), RUSK_INVALID_ARGUMENT, &err,
                "none begun");
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    CHECK_FAILS(rusk_container_writer_begin_tensor(w, &t, &err), RUSK_INVALID_ARGUMENT, &err,
                "has not ended yet");
    CHECK_FAILS(rusk_container_writer_end_tensor(w, &err), RUSK_INVALID_ARGUMENT, &err,
                "expected 1 blocks, found 0");
    CHECK_FAILS(rusk_container_writer_block(w, block, bytes - 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "bytes of F32");
    CHECK_OK(rusk_container_writer_block(w, block, bytes, &err), &err);
    CHECK_FAILS(rusk_container_writer_block(w, block, bytes, &err), RUSK_INVALID_ARGUMENT, &err,
                "a block beyond the 1 expected");
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    CHECK_FAILS(rusk_container_writer_begin_tensor(w, &t, &err), RUSK_INVALID_ARGUMENT, &err,
                "was written already");
    CHECK_OK(rusk_container_writer_section(w, "TOKN", "x", 1, &err), &err);
    CHECK_FAILS(rusk_container_writer_section(w, "TOKN", "x", 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "section TOKN is there already");
    CHECK_FAILS(rusk_container_writer_section(w, "SIDE", "x", 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "or the writer's own");
    CHECK_OK(rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, NULL, &err), &err);
    CHECK_FAILS(rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, NULL, &err),
                RUSK_INVALID_ARGUMENT, &err, "HEAD was written already");
    CHECK_OK(rusk_container_writer_commit(w, NULL, &err), &err);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST(an_unfinished_file_is_not_committed) {
    rusk_container_tensor t = test_container_tensor(&SMALL, 0);
    (void)remove(test_path("misuse.rusk"));
    rusk_container_writer *w = new_writer();
    size_t files = test_count_files();
    CHECK_FAILS(rusk_container_writer_commit(w, NULL, &err), RUSK_INVALID_ARGUMENT, &err,
                "without HEAD");
    CHECK_EQ(test_count_files(), files - 1);
    w = new_writer();
    CHECK_OK(rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, NULL, &err), &err);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    CHECK_FAILS(rusk_container_writer_commit(w, NULL, &err), RUSK_INVALID_ARGUMENT, &err,
                "inside a tensor");
    CHECK_EQ(test_count_files(), files - 1);
    CHECK_EQ(alloc.bytes_total, 0);
    rusk_container_writer_discard(NULL);
}

TEST(twin_metadata_keys_are_refused) {
    rusk_container_writer *w = new_writer();
    rusk_meta twins[] = {{.key = "b", .type = RUSK_META_U8},
                         {.key = "a", .type = RUSK_META_U8},
                         {.key = "b", .type = RUSK_META_U8}};
    rusk_source source = {.n_meta = 3, .meta = twins};
    CHECK_FAILS(rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, &source, &err),
                RUSK_INVALID_ARGUMENT, &err, "'b' stands twice");
    rusk_container_writer_discard(w);
}

/* --- reading by many threads --- */

typedef struct read_job {
    const rusk_source *source;
    const test_container_plan *plan;
    uint8_t *expected[8], *got[4];
    _Atomic int failures;
} read_job;

static void read_task(void *arg, size_t index, unsigned worker) {
    read_job *j = arg;
    size_t block = index % rusk_container_n_blocks(j->source, 0) % 8;
    rusk_status status = rusk_container_read_block(j->source, 0, block, j->got[worker], NULL);
    size_t len = rusk_container_block_bytes(j->source, 0, block);
    j->failures += status != RUSK_OK || memcmp(j->got[worker], j->expected[block], len) != 0;
}

TEST(blocks_are_read_by_many_threads) {
    test_container_plan plan = {.seed = 8, .n_tensors = 1, .most_rows = 90, .most_bytes = 20000};
    rusk_source *s = open_plan(&plan, "threads.rusk");
    rusk_pool *pool;
    read_job job = {.source = s, .plan = &plan};
    for (size_t b = 0; b < 8; b++) {
        job.expected[b] = malloc(TEST_CONTAINER_MAX_BLOCK);
        (void)test_container_block(&plan, 0, b, job.expected[b]);
    }
    for (size_t i = 0; i < 4; i++) {
        job.got[i] = malloc(20000 + RUSK_BLOCK_OVERREAD);
    }
    CHECK_OK(rusk_pool_create(&pool, &alloc, 4, &err), &err);
    rusk_pool_run(pool, read_task, &job, 500);
    rusk_pool_destroy(pool);
    for (size_t i = 0; i < 8; i++) {
        free(job.expected[i]);
        free(i < 4 ? job.got[i] : NULL);
    }
    CHECK_EQ(job.failures, 0);
    close_source(s);
}

TEST_MAIN(CASE(random_tensors_come_back), CASE(many_extents_come_back), CASE(empty_model_is_a_file),
          CASE(metadata_comes_back_without_what_other_sections_replace),
          CASE(vectors_are_read_by_rows), CASE(a_source_is_opened_by_its_magic),
          CASE(extents_stand_on_pages_and_are_long_enough),
          CASE(the_same_input_gives_the_same_bytes), CASE(equal_tables_are_stored_once),
          CASE(the_examples_of_the_specification), CASE(rounded_scales_are_near_and_stay),
          CASE(scales_at_the_edges), CASE(bad_tensors_are_refused_and_change_nothing),
          CASE(calls_out_of_order_are_refused), CASE(an_unfinished_file_is_not_committed),
          CASE(twin_metadata_keys_are_refused), CASE(blocks_are_read_by_many_threads))
