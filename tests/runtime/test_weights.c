/* A tensor whose one block is taller than a tile: it can be decoded at load or not be used at all,
 * so it must fit the bytes that weights may take, however small its file is. */
#include "runtime/weights.h"

#include "format/container.h"
#include "model/arch.h"
#include "support/test.h"

enum { ROWS = RUSK_TILE_MAX_ROWS + 88, COLS = 64 };

/* A file of the embedding alone, all rows in one block. */
static const char *write_tall(rusk_alloc *alloc) {
    static int8_t symbols[ROWS * COLS];
    static uint8_t classes[ROWS];
    static float scales[ROWS];
    static rusk_hist hist;
    const rusk_codec *codec = rusk_codec_find("rans");
    const rusk_block_shape shape = {.n_rows = ROWS, .n_cols = COLS, .row_classes = classes};
    const rusk_provenance p = {.tool = "test", .options = ""};
    const char *path = test_path("tall.rusk");
    rusk_codec_tables *tables;
    rusk_container_writer *w;
    rusk_strbuf blob, block;
    rusk_error err;
    for (size_t i = 0; i < ROWS * COLS; i++) {
        symbols[i] = (int8_t)(i * i % 5);
        scales[i / COLS] = 0.25F;
    }
    rusk_hist_clear(&hist);
    rusk_hist_add(&hist, 0, symbols, sizeof symbols);
    rusk_strbuf_init(&blob, alloc, RUSK_MEM_TABLES);
    rusk_strbuf_init(&block, alloc, RUSK_MEM_SCRATCH);
    CHECK_OK(codec->build_tables(&hist, &blob, &err), &err);
    CHECK_OK(codec->open_tables(&tables, alloc, (uint8_t *)blob.data, blob.len_bytes, &err), &err);
    CHECK_OK(rusk_block_encode(codec, tables, &shape, symbols, NULL, 0, &block, &err), &err);
    codec->close_tables(tables);
    const rusk_container_tensor t = {.name = "token_embd.weight",
                                     .roles = "token_embedding",
                                     .n_dims = 2,
                                     .shape = {ROWS, COLS},
                                     .dtype = RUSK_DTYPE_SYM8,
                                     .source_dtype = RUSK_DTYPE_F32,
                                     .codec = codec->name,
                                     .quantizer = "uniform",
                                     .block_rows = ROWS,
                                     .row_scales = scales,
                                     .row_classes = classes,
                                     .tables = (uint8_t *)blob.data,
                                     .tables_bytes = blob.len_bytes};
    CHECK_OK(rusk_container_writer_create(&w, alloc, path, &err), &err);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    CHECK_OK(rusk_container_writer_block(w, block.data, block.len_bytes, &err), &err);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    CHECK_OK(rusk_container_writer_head(w, &p, NULL, &err), &err);
    CHECK_OK(rusk_container_writer_commit(w, NULL, &err), &err);
    rusk_strbuf_finish(&block);
    rusk_strbuf_finish(&blob);
    return path;
}

TEST(a_tall_block_is_decoded_where_it_fits) {
    const rusk_model_desc desc = {.n_layers = 1};
    int32_t map[RUSK_ROLES];
    rusk_alloc alloc;
    rusk_source *source;
    rusk_pool *pool;
    rusk_weights *w;
    rusk_weights_reader *reader;
    rusk_error err;
    float row[COLS];
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(rusk_container_open(&source, &alloc, write_tall(&alloc), &err), &err);
    CHECK_OK(rusk_pool_create(&pool, &alloc, 2, &err), &err);
    for (int i = 0; i < RUSK_ROLES; i++) {
        map[i] = i == RUSK_ROLE_TOKEN_EMBEDDING ? 0 : -1;
    }
    CHECK_OK(rusk_weights_load(&w, &alloc, source, &desc, map, ROWS * COLS, pool, &err), &err);
    CHECK_OK(rusk_weights_reader_create(&reader, &alloc, w, 1, &err), &err);
    const rusk_weights_view view = rusk_weights_reader_view(reader);
    CHECK_OK(view.row(view.self, RUSK_ROLE_TOKEN_EMBEDDING, ROWS - 1, 0, row, &err), &err);
    for (size_t c = 0, i = (ROWS - 1) * COLS; c < COLS; c++, i++) {
        CHECK_NEAR((double)row[c], 0.25 * (double)(i * i % 5), 0);
    }
    rusk_weights_reader_destroy(reader);
    rusk_weights_destroy(w);
    CHECK_FAILS(rusk_weights_load(&w, &alloc, source, &desc, map, ROWS * COLS - 1, pool, &err),
                RUSK_UNSUPPORTED, &err, "blocks of at most 512 rows");
    CHECK(w == NULL);
    rusk_pool_destroy(pool);
    rusk_source_close(source);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST_MAIN(CASE(a_tall_block_is_decoded_where_it_fits))
