#include "support/tiny_container.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const uint8_t SHORTS[] = {1, 0, 0xFF, 0xFF, 0x34, 0x12};
static const rusk_text WORDS[] = {{"alpha", 5}, {"", 0}, {"a\0b", 3}};

static const rusk_meta META[] = {
    {.key = "general.architecture", .type = RUSK_META_STRING, .value.text = {"llama", 5}},
    {.key = "u8", .type = RUSK_META_U8, .value.u = 200},
    {.key = "i8", .type = RUSK_META_I8, .value.i = -100},
    {.key = "u16", .type = RUSK_META_U16, .value.u = 60000},
    {.key = "i16", .type = RUSK_META_I16, .value.i = -30000},
    {.key = "u32", .type = RUSK_META_U32, .value.u = 4000000000U},
    {.key = "i32", .type = RUSK_META_I32, .value.i = -2000000000},
    {.key = "f32", .type = RUSK_META_F32, .value.f = -1.5},
    {.key = "bool", .type = RUSK_META_BOOL, .value.u = 1},
    {.key = "tokenizer.ggml.tokens",
     .type = RUSK_META_ARRAY,
     .elem_type = RUSK_META_STRING,
     .n = 3,
     .texts = WORDS},
    {.key = "words",
     .type = RUSK_META_ARRAY,
     .elem_type = RUSK_META_STRING,
     .n = 3,
     .texts = WORDS},
    {.key = "shorts",
     .type = RUSK_META_ARRAY,
     .elem_type = RUSK_META_I16,
     .n = 3,
     .elements = SHORTS},
    {.key = "none", .type = RUSK_META_ARRAY, .elem_type = RUSK_META_F64, .n = 0},
    {.key = "u64", .type = RUSK_META_U64, .value.u = UINT64_MAX},
    {.key = "i64", .type = RUSK_META_I64, .value.i = INT64_MIN},
    {.key = "f64", .type = RUSK_META_F64, .value.f = 0.1},
    {.key = "tokenizer.chat_template", .type = RUSK_META_STRING, .value.text = {"{{ x }}", 7}},
};

const rusk_source TEST_CONTAINER_SOURCE = {.n_meta = RUSK_COUNT(META), .meta = META};
const rusk_provenance TEST_CONTAINER_PROVENANCE = {.source_bytes = 12345,
                                                   .source_hash = "0123456789abcdef",
                                                   .tool = "rusk test",
                                                   .options = "--bits 4.5"};

static rusk_rng rng_of(const test_container_plan *plan, size_t i, uint64_t b) {
    return rusk_rng_seed(plan->seed * 1000003 + i * 7919 + b);
}

rusk_container_tensor test_container_tensor(const test_container_plan *plan, size_t i) {
    static char name[32];
    static float scales[TEST_CONTAINER_MAX_ROWS];
    static uint8_t classes[TEST_CONTAINER_MAX_ROWS], tables[64];
    rusk_rng rng = rng_of(plan, i, UINT32_MAX);
    (void)snprintf(name, sizeof name, "blk.%zu.weight", i);
    uint32_t rows = 1 + (uint32_t)rusk_rng_below(&rng, plan->most_rows);
    uint32_t cols = 1 + (uint32_t)rusk_rng_below(&rng, 40);
    if (i % 3 == 2) {
        return (rusk_container_tensor){.name = name,
                                       .roles = "attn_norm",
                                       .n_dims = 1,
                                       .shape = {rows},
                                       .dtype = RUSK_DTYPE_F32,
                                       .source_dtype = RUSK_DTYPE_F32,
                                       .codec = "none",
                                       .quantizer = ""};
    }
    for (uint32_t r = 0; r < rows; r++) {
        scales[r] = (float)(rusk_rng_normal(&rng) * 0.01);
        classes[r] = (uint8_t)rusk_rng_below(&rng, 16);
    }
    rusk_container_round_scales(scales, rows);
    memset(tables, (int)(i % 4), sizeof tables); /* so that some tensors share one */
    return (rusk_container_tensor){.name = name,
                                   .roles = i == 0 ? "token_embedding,output_head" : "ffn_down",
                                   .n_dims = 2,
                                   .shape = {rows, cols},
                                   .dtype = RUSK_DTYPE_SYM8,
                                   .source_dtype = RUSK_DTYPE_Q4_1,
                                   .codec = "raw",
                                   .quantizer = "uniform",
                                   .symbol_offset = i % 2 == 0 ? 0.0F : 0.5F,
                                   .block_rows = 1 + (uint32_t)rusk_rng_below(&rng, rows),
                                   .row_scales = scales,
                                   .row_classes = classes,
                                   .tables = tables,
                                   .tables_bytes = i % 4 * 16};
}

uint64_t test_container_n_blocks(const rusk_container_tensor *t) {
    return t->dtype == RUSK_DTYPE_F32 ? 1 : (t->shape[0] + t->block_rows - 1) / t->block_rows;
}

size_t test_container_block(const test_container_plan *plan, size_t i, uint64_t b, uint8_t *buf) {
    rusk_rng rng = rng_of(plan, i, b);
    rusk_container_tensor t = test_container_tensor(plan, i);
    size_t len = (size_t)rusk_rng_below(&rng, plan->most_bytes + 1);
    if (t.dtype == RUSK_DTYPE_F32) {
        len = (size_t)t.shape[0] * 4;
    }
    for (size_t k = 0; k < len; k++) {
        buf[k] = (uint8_t)rusk_rng_u64(&rng);
    }
    return len;
}

static rusk_status write_all(rusk_container_writer *w, const test_container_plan *plan,
                             rusk_error *err) {
    static uint8_t buf[TEST_CONTAINER_MAX_BLOCK];
    const rusk_source *source = plan->texts ? &TEST_CONTAINER_SOURCE : NULL;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        rusk_container_tensor t = test_container_tensor(plan, i);
        RUSK_TRY(rusk_container_writer_begin_tensor(w, &t, err));
        uint64_t n = test_container_n_blocks(&t);
        for (uint64_t b = 0; b < n; b++) {
            size_t len = test_container_block(plan, i, b, buf);
            RUSK_TRY(rusk_container_writer_block(w, buf, len, err));
        }
        RUSK_TRY(rusk_container_writer_end_tensor(w, err));
    }
    RUSK_TRY(rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, source, err));
    if (plan->texts) {
        RUSK_TRY(rusk_container_writer_section(w, "TOKN", "tokens", 6, err));
        RUSK_TRY(rusk_container_writer_section(w, "CHAT", "template", 8, err));
    }
    return RUSK_OK;
}

rusk_status test_container_write(rusk_alloc *alloc, const char *path,
                                 const test_container_plan *plan, uint64_t *bytes,
                                 rusk_error *err) {
    rusk_container_writer *w;
    RUSK_TRY(rusk_container_writer_create(&w, alloc, path, err));
    rusk_status status = write_all(w, plan, err);
    if (status != RUSK_OK) {
        rusk_container_writer_discard(w);
        return status;
    }
    uint64_t predicted = rusk_container_writer_bytes(w);
    RUSK_TRY(rusk_container_writer_commit(w, bytes, err));
    return predicted == *bytes
               ? RUSK_OK
               : rusk_fail(err, RUSK_INTERNAL, RUSK_NO_OFFSET, "predicted %llu bytes, found %llu",
                           (unsigned long long)predicted, (unsigned long long)*bytes);
}
