/* Weights from a file to tiles: whatever tier a tensor lives in, by whatever codec, and however its
 * parts are taken, the same codes, patches and scales come out, each row once. */
#include "runtime/weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/container.h"
#include "model/arch.h"
#include "support/test.h"

enum { SLOT = RUSK_ROLE_TOKEN_EMBEDDING, CLASSES = 3, NO_BLOCK = -1 };

/* A tensor, and what is wrong with its blocks `bad`: their bytes are not what the codec wrote. */
typedef struct matrix {
    uint32_t n_rows, n_cols, block_rows;
    const char *codec;
    int bad[2];
    int32_t *values; /* symbols with outliers */
    uint8_t *classes;
    float *scales;
} matrix;

static rusk_alloc alloc;
static rusk_error err;

static uint32_t n_blocks(const matrix *m) {
    return (m->n_rows + m->block_rows - 1) / m->block_rows;
}

static matrix make(uint32_t n_rows, uint32_t n_cols, uint32_t block_rows, const char *codec) {
    const size_t n = (size_t)n_rows * n_cols;
    rusk_rng rng = rusk_rng_seed(test_seed());
    matrix m = {.n_rows = n_rows,
                .n_cols = n_cols,
                .block_rows = block_rows,
                .codec = codec,
                .bad = {NO_BLOCK, NO_BLOCK},
                .values = malloc(n * sizeof(int32_t)),
                .classes = malloc(n_rows),
                .scales = malloc(n_rows * sizeof(float))};
    for (uint32_t r = 0; r < n_rows; r++) {
        m.classes[r] = (uint8_t)rusk_rng_below(&rng, CLASSES);
        m.scales[r] = 0.25F * (float)(1 + r % 3);
        for (uint32_t c = 0; c < n_cols; c++) {
            const bool outlier = rusk_rng_below(&rng, 200) == 0;
            m.values[(size_t)r * n_cols + c] =
                (int32_t)(rusk_rng_normal(&rng) * (outlier ? 300 : 1 << (2 * m.classes[r])));
        }
    }
    return m;
}

static void drop(matrix *m) {
    free(m->values);
    free(m->classes);
    free(m->scales);
}

static int8_t symbol_of(int32_t value) {
    return (int8_t)(value > 127 ? 127 : value < -127 ? -127 : value);
}

static void write_blocks(const matrix *m, const rusk_codec *codec, rusk_codec_tables *tables,
                         rusk_container_writer *w) {
    const size_t n = (size_t)m->block_rows * m->n_cols;
    int8_t *symbols = malloc(n);
    rusk_patch *patches = malloc(n * sizeof *patches);
    for (uint32_t b = 0; b < n_blocks(m); b++) {
        const uint32_t row0 = b * m->block_rows;
        const rusk_block_shape shape = {.n_rows = RUSK_MIN(m->block_rows, m->n_rows - row0),
                                        .n_cols = m->n_cols,
                                        .row_classes = m->classes + row0};
        const int32_t *values = m->values + (size_t)row0 * m->n_cols;
        size_t n_patches = 0;
        for (uint32_t i = 0; i < shape.n_rows * shape.n_cols; i++) {
            symbols[i] = symbol_of(values[i]);
            if (symbols[i] != values[i]) {
                patches[n_patches++] = (rusk_patch){i, values[i] - symbols[i]};
            }
        }
        rusk_strbuf block;
        rusk_strbuf_init(&block, &alloc, RUSK_MEM_SCRATCH);
        CHECK_OK(
            rusk_block_encode(codec, tables, &shape, symbols, patches, n_patches, &block, &err),
            &err);
        /* too short: known to be so at the start of the block, or at its end */
        const bool bad = (int)b == m->bad[0] || (int)b == m->bad[1];
        CHECK_OK(rusk_container_writer_block(w, block.data, block.len_bytes - bad, &err), &err);
        rusk_strbuf_finish(&block);
    }
    free(symbols);
    free(patches);
}

/* A file of the embedding alone. */
static const char *write_file(const matrix *m) {
    static rusk_hist hist;
    const rusk_codec *codec = rusk_codec_find(m->codec);
    const rusk_provenance p = {.tool = "test", .options = ""};
    const char *path = test_path("weights.rusk");
    rusk_codec_tables *tables;
    rusk_container_writer *w;
    rusk_strbuf blob;
    rusk_hist_clear(&hist);
    for (size_t i = 0; i < (size_t)m->n_rows * m->n_cols; i++) {
        const int8_t symbol = symbol_of(m->values[i]);
        rusk_hist_add(&hist, m->classes[i / m->n_cols], &symbol, 1);
    }
    rusk_strbuf_init(&blob, &alloc, RUSK_MEM_TABLES);
    CHECK_OK(codec->build_tables(&hist, &blob, &err), &err);
    CHECK_OK(codec->open_tables(&tables, &alloc, (uint8_t *)blob.data, blob.len_bytes, &err), &err);
    const rusk_container_tensor t = {.name = "token_embd.weight",
                                     .roles = "token_embedding",
                                     .n_dims = 2,
                                     .shape = {m->n_rows, m->n_cols},
                                     .dtype = RUSK_DTYPE_SYM8,
                                     .source_dtype = RUSK_DTYPE_F32,
                                     .codec = codec->name,
                                     .quantizer = "uniform",
                                     .block_rows = m->block_rows,
                                     .row_scales = m->scales,
                                     .row_classes = m->classes,
                                     .tables = (uint8_t *)blob.data,
                                     .tables_bytes = blob.len_bytes};
    CHECK_OK(rusk_container_writer_create(&w, &alloc, path, &err), &err);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    write_blocks(m, codec, tables, w);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    CHECK_OK(rusk_container_writer_head(w, &p, NULL, &err), &err);
    CHECK_OK(rusk_container_writer_commit(w, NULL, &err), &err);
    codec->close_tables(tables);
    rusk_strbuf_finish(&blob);
    return path;
}

/* --- loaded ---------------------------------------------------------------------------------- */

typedef struct loaded {
    rusk_source *source;
    rusk_pool *pool;
    rusk_weights *weights;
    rusk_weights_reader *reader;
    rusk_weights_view view;
} loaded;

static rusk_status load(loaded *l, rusk_alloc *a, const char *path, const char *codec,
                        uint64_t budget_bytes, unsigned n_threads) {
    const rusk_model_desc desc = {.n_layers = 1};
    const rusk_weights_options options = {.codec = codec != NULL ? rusk_codec_find(codec) : NULL,
                                          .budget_bytes = budget_bytes};
    int32_t map[RUSK_ROLES];
    *l = (loaded){0};
    for (int i = 0; i < RUSK_ROLES; i++) {
        map[i] = i == SLOT ? 0 : -1;
    }
    RUSK_TRY(rusk_container_open(&l->source, a, path, &err));
    RUSK_TRY(rusk_pool_create(&l->pool, a, n_threads, &err));
    RUSK_TRY(rusk_weights_load(&l->weights, a, l->source, &desc, map, &options, l->pool, &err));
    RUSK_TRY(rusk_weights_reader_create(&l->reader, a, l->weights, 1, &err));
    l->view = rusk_weights_reader_view(l->reader);
    return RUSK_OK;
}

static void unload(loaded *l) {
    rusk_weights_reader_destroy(l->reader);
    rusk_weights_destroy(l->weights);
    rusk_pool_destroy(l->pool);
    rusk_source_close(l->source);
}

/* Walks through n parts and adds how often each row came to `seen`. */
static rusk_status walk(const loaded *l, const matrix *m, uint32_t part, uint32_t n,
                        uint8_t *seen) {
    const rusk_weights_view *v = &l->view;
    rusk_tile tile;
    uint32_t row;
    RUSK_TRY(v->open(v->self, SLOT, part, n, 0, &err));
    for (;;) {
        RUSK_TRY(v->next(v->self, 0, &tile, &row, &err));
        CHECK_EQ(tile.n_cols, m->n_cols);
        if (tile.n_rows == 0) {
            return RUSK_OK;
        }
        CHECK(tile.kind == RUSK_TILE_I8 && tile.n_rows <= RUSK_TILE_MAX_ROWS);
        CHECK(tile.stride_bytes % RUSK_GROUP == 0 && tile.offset == 0);
        size_t next_patch = 0;
        for (uint32_t r = 0; r < tile.n_rows; r++) {
            const int8_t *codes = (const int8_t *)tile.data + r * tile.stride_bytes;
            CHECK(tile.row_scale[r] == m->scales[row + r]);
            for (uint32_t c = 0; c < m->n_cols; c++) {
                const int32_t value = m->values[(size_t)(row + r) * m->n_cols + c];
                CHECK_EQ(codes[c], symbol_of(value));
                if (codes[c] != value) {
                    CHECK(next_patch < tile.n_patches);
                    CHECK_EQ(tile.patches[next_patch].position, r * m->n_cols + c);
                    CHECK_EQ(tile.patches[next_patch++].delta, value - codes[c]);
                }
            }
            for (size_t c = m->n_cols; c < tile.stride_bytes; c++) {
                CHECK_EQ(codes[c], 0);
            }
            seen[row + r]++;
        }
        CHECK_EQ(next_patch, tile.n_patches);
    }
}

static void check_rows(const loaded *l, const matrix *m, uint32_t step) {
    float *out = malloc(m->n_cols * sizeof *out);
    for (uint32_t r = 0; r < m->n_rows; r += step) {
        CHECK_OK(l->view.row(l->view.self, SLOT, r, 0, out, &err), &err);
        for (uint32_t c = 0; c < m->n_cols; c++) {
            const int32_t value = m->values[(size_t)r * m->n_cols + c];
            CHECK_NEAR((double)out[c], (double)((float)value * m->scales[r]), 0);
        }
    }
    free(out);
}

/* One by one, then in pairs from the first and from the second part on. */
static void check_all(const loaded *l, const matrix *m) {
    const rusk_weights_cut cut = l->view.cut(l->view.self, SLOT);
    uint8_t *seen = calloc(m->n_rows, 1);
    for (uint32_t part = 0; part < cut.n_parts; part++) {
        CHECK_OK(walk(l, m, part, 1, seen), &err);
    }
    for (uint32_t r = 0; r < m->n_rows; r++) {
        CHECK_EQ(seen[r], 1);
    }
    for (uint32_t from = 0; cut.together == 2 && from < 2; from++) {
        memset(seen, 0, m->n_rows);
        for (uint32_t part = from; part + 2 <= cut.n_parts; part += 2) {
            CHECK_OK(walk(l, m, part, 2, seen), &err);
        }
        for (uint32_t r = 0; r < m->n_rows; r++) {
            const uint32_t part = r / m->block_rows;
            CHECK_EQ(seen[r], part >= from && (part - from) / 2 * 2 + from + 2 <= cut.n_parts);
        }
    }
    free(seen);
    check_rows(l, m, m->n_rows / 40 + 1);
}

/* --- cases ----------------------------------------------------------------------------------- */

/* Blocks of one row, of fewer rows than a piece, of many pieces, and taller than any tile. */
static const struct {
    uint32_t n_rows, n_cols, block_rows;
} SHAPES[] = {{7, 33, 1}, {64, 576, 13}, {150, 64, 150}, {1300, 70, 650}, {9, 7000, 4}, {1, 5, 1}};

TEST(every_codec_and_tier_gives_the_same_tiles_and_rows) {
    for (size_t s = 0; s < RUSK_COUNT(SHAPES); s++) {
        for (size_t from = 0; from < rusk_codec_count(); from++) {
            matrix m = make(SHAPES[s].n_rows, SHAPES[s].n_cols, SHAPES[s].block_rows,
                            rusk_codec_at(from)->name);
            rusk_alloc_init(&alloc, NULL);
            const char *path = write_file(&m);
            for (size_t to = 0; to <= rusk_codec_count(); to++) {
                const rusk_codec *codec = rusk_codec_at(to);
                loaded l;
                CHECK_OK(load(&l, &alloc, path, codec != NULL ? codec->name : NULL,
                              codec != NULL ? 0 : UINT64_MAX, 1 + (unsigned)to % 3),
                         &err);
                const rusk_weights_cut cut = l.view.cut(l.view.self, SLOT);
                CHECK_EQ(cut.together, codec != NULL && codec->in_pairs ? 2 : 1);
                rusk_weights_usage u;
                rusk_weights_get_usage(l.weights, &u);
                CHECK_EQ(u.hot_bytes > 0, codec == NULL);
                CHECK_EQ(u.warm_bytes > 0, codec != NULL);
                CHECK_EQ(u.hot_bytes + u.warm_bytes + u.stored_bytes + u.vector_bytes,
                         l.weights != NULL ? u.hot_bytes + u.warm_bytes : 0);
                check_all(&l, &m);
                unload(&l);
                CHECK_EQ(alloc.bytes_total, 0);
            }
            drop(&m);
        }
    }
}

TEST(a_budget_is_kept_to_the_byte) {
    matrix m = make(200, 100, 20, "rans");
    loaded l;
    rusk_weights_usage u;
    rusk_alloc_init(&alloc, NULL);
    const char *path = write_file(&m);
    CHECK_OK(load(&l, &alloc, path, NULL, UINT64_MAX, 1), &err);
    rusk_weights_get_usage(l.weights, &u);
    const uint64_t hot = u.hot_bytes;
    unload(&l);
    CHECK_OK(load(&l, &alloc, path, NULL, 0, 1), &err);
    rusk_weights_get_usage(l.weights, &u);
    CHECK(u.warm_bytes < hot && u.hot_bytes == 0);
    unload(&l);
    /* patches that decoding will apply are counted until it has: the last bytes may stay unused */
    for (uint64_t budget = hot - 8; budget <= hot + 40000; budget = budget * 2 - hot + 16) {
        CHECK_OK(load(&l, &alloc, path, NULL, budget, 1), &err);
        rusk_weights_get_usage(l.weights, &u);
        CHECK(u.hot_bytes == 0 || u.hot_bytes == hot);
        CHECK(u.hot_bytes + u.warm_bytes <= budget);
        unload(&l);
    }
    drop(&m);
}

/* Damage that checksums do not show: the file was written so. */
TEST(of_damaged_blocks_the_first_is_named_with_its_place) {
    for (size_t k = 0; k < rusk_codec_count(); k++) {
        matrix m = make(60, 64, 10, rusk_codec_at(k)->name);
        m.bad[0] = 2;
        m.bad[1] = 3;
        loaded l;
        uint8_t seen[60] = {0};
        char place[64];
        float row[64];
        rusk_alloc_init(&alloc, NULL);
        const char *path = write_file(&m);
        CHECK_OK(load(&l, &alloc, path, NULL, 0, 2), &err);
        const uint64_t at[2] = {rusk_container_block_offset(l.source, 0, 2),
                                rusk_container_block_offset(l.source, 0, 3)};
        static const struct {
            uint32_t part, n, bad;
        } WALKS[] = {{2, 1, 0}, {3, 1, 1}, {1, 2, 0}, {2, 2, 0}, {3, 2, 1}};
        for (size_t i = 0; i < RUSK_COUNT(WALKS); i++) {
            (void)snprintf(place, sizeof place, "tensor 'token_embd.weight', block %u, byte ",
                           2 + WALKS[i].bad);
            CHECK_FAILS(walk(&l, &m, WALKS[i].part, WALKS[i].n, seen), RUSK_FORMAT, &err, place);
            CHECK(err.offset >= at[WALKS[i].bad] && err.offset <= at[WALKS[i].bad] + 10 * 64);
        }
        CHECK_OK(walk(&l, &m, 0, 2, seen), &err);
        CHECK_OK(walk(&l, &m, 4, 2, seen), &err);
        CHECK_FAILS(l.view.row(l.view.self, SLOT, 29, 0, row, &err), RUSK_FORMAT, &err, "block 2");
        unload(&l);
        /* decoding or transcoding it all: refused, and nothing is left */
        for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
            CHECK_FAILS(load(&l, &alloc, path, NULL, UINT64_MAX, n_threads), RUSK_FORMAT, &err,
                        "block 2, byte");
            CHECK(l.weights == NULL);
            unload(&l);
            const rusk_codec *other = rusk_codec_at(k == 0 ? 1 : 0);
            CHECK_FAILS(load(&l, &alloc, path, other->name, 0, n_threads), RUSK_FORMAT, &err,
                        "block 2, byte");
            CHECK(l.weights == NULL);
            unload(&l);
        }
        CHECK_EQ(alloc.bytes_total, 0);
        drop(&m);
    }
}

TEST(no_memory_at_each_request_leaves_nothing) {
    matrix m = make(40, 40, 9, "rans");
    rusk_alloc_init(&alloc, NULL);
    const char *path = write_file(&m);
    for (size_t to = 0; to <= rusk_codec_count(); to++) {
        const rusk_codec *codec = rusk_codec_at(to);
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            test_failing_alloc f;
            rusk_alloc a;
            loaded l;
            test_failing_alloc_init(&f, n);
            rusk_alloc_init(&a, &f.allocator);
            rusk_status status = load(&l, &a, path, codec != NULL ? codec->name : NULL,
                                      codec != NULL ? 0 : UINT64_MAX, 1);
            done = status == RUSK_OK;
            if (!done) {
                CHECK_EQ(status, RUSK_NO_MEMORY);
            }
            unload(&l);
            CHECK_EQ(f.n_live, 0);
        }
    }
    drop(&m);
}

TEST_MAIN(CASE(every_codec_and_tier_gives_the_same_tiles_and_rows),
          CASE(a_budget_is_kept_to_the_byte),
          CASE(of_damaged_blocks_the_first_is_named_with_its_place),
          CASE(no_memory_at_each_request_leaves_nothing))
