/* test_container_files.c - whole .rusk files, codecs included: what is coded, stored, read and
 * decoded comes back. With "--write DIR" it leaves the file and the expected values there, for
 * test_refdecode.py. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "format/container.h"
#include "support/test.h"
#include "support/tiny_container.h"

enum { MAX_SYMBOLS = 400 * 576, MAX_ROWS = 5000, MAX_PATCHES = 64 };

/* Shapes with one row, one column, few columns, ragged last blocks, more than one extent. */
static const struct shape {
    uint32_t n_dims;
    uint64_t dims[3];
    uint32_t block_rows; /* 0: the codec's choice */
    double sigma;
    float symbol_offset;
} SHAPES[] = {
    {2, {1, 1}, 0, 1, 0},       {2, {1, 577}, 0, 3, 0.5F},   {2, {5000, 1}, 7, 2, 0},
    {2, {37, 31}, 5, 0.3, 0},   {3, {2, 35, 64}, 16, 20, 0}, {2, {400, 576}, 0, 4, 0.5F},
    {2, {400, 576}, 96, 60, 0}, {2, {64, 33}, 64, 0, 0},
};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

static rusk_error err;

typedef struct matrix {
    uint32_t n_rows, n_cols, block_rows;
    int8_t symbols[MAX_SYMBOLS];
    uint8_t classes[MAX_ROWS];
    float scales[MAX_ROWS];
    rusk_patch outliers[MAX_PATCHES]; /* by position in the tensor */
    size_t n_outliers;
    int32_t truth[MAX_SYMBOLS];
} matrix;

static void fill(matrix *m, size_t index) {
    const struct shape *s = &SHAPES[index];
    rusk_rng rng = rusk_rng_seed(100 + index);
    m->n_cols = (uint32_t)s->dims[s->n_dims - 1];
    m->n_rows = (uint32_t)(s->n_dims == 3 ? s->dims[0] * s->dims[1] : s->dims[0]);
    m->block_rows =
        s->block_rows != 0 ? s->block_rows : rusk_codec_block_rows(m->n_rows, m->n_cols);
    for (uint32_t r = 0; r < m->n_rows; r++) {
        m->classes[r] = (uint8_t)(rusk_rng_below(&rng, 3) * 7);
        m->scales[r] = (float)(0.01 + 0.001 * rusk_rng_normal(&rng)) * (r % 5 == 4 ? -1 : 1);
        double sigma = s->sigma * (1 + m->classes[r] / 10.0);
        for (uint32_t c = 0; c < m->n_cols; c++) {
            double v = rusk_rng_normal(&rng) * sigma;
            v = v < -127 ? -127 : v > 127 ? 127 : v;
            m->symbols[(size_t)r * m->n_cols + c] = (int8_t)v;
        }
    }
    rusk_container_round_scales(m->scales, m->n_rows);
    size_t n = (size_t)m->n_rows * m->n_cols;
    for (size_t i = 0; i < n; i++) {
        m->truth[i] = m->symbols[i];
    }
    m->n_outliers = 0;
    for (size_t i = 0; i < n && m->n_outliers < MAX_PATCHES;
         i += 1 + rusk_rng_below(&rng, n / 9 + 1)) {
        int32_t delta = (int32_t)rusk_rng_below(&rng, 100000) + 1;
        m->symbols[i] = i % 2 == 0 ? 127 : -127;
        m->outliers[m->n_outliers++] =
            (rusk_patch){.position = (uint32_t)i, .delta = i % 2 == 0 ? delta : -delta};
        m->truth[i] = m->symbols[i] + m->outliers[m->n_outliers - 1].delta;
    }
}

static void write_blocks(rusk_container_writer *w, rusk_alloc *alloc, const rusk_codec *codec,
                         const rusk_codec_tables *tables, const matrix *m) {
    size_t used = 0;
    for (uint32_t row = 0; row < m->n_rows; row += m->block_rows) {
        uint32_t rows = RUSK_MIN(m->block_rows, m->n_rows - row);
        size_t base = (size_t)row * m->n_cols, end = base + (size_t)rows * m->n_cols, n = 0;
        rusk_patch patches[MAX_PATCHES];
        for (; used < m->n_outliers && m->outliers[used].position < end; used++) {
            patches[n] = m->outliers[used];
            patches[n++].position -= (uint32_t)base;
        }
        rusk_block_shape shape = {rows, m->n_cols, m->classes + row};
        rusk_strbuf block;
        rusk_strbuf_init(&block, alloc, RUSK_MEM_SCRATCH);
        CHECK_OK(
            rusk_block_encode(codec, tables, &shape, m->symbols + base, patches, n, &block, &err),
            &err);
        CHECK_OK(rusk_container_writer_block(w, block.data, block.len_bytes, &err), &err);
        rusk_strbuf_finish(&block);
    }
}

static const char *name_of(const rusk_codec *codec, size_t shape) {
    static char name[64];
    (void)snprintf(name, sizeof name, "%s.%zu.weight", codec->name, shape);
    return name;
}

static void write_matrix(rusk_container_writer *w, rusk_alloc *alloc, const rusk_codec *codec,
                         size_t index, const matrix *m) {
    static rusk_hist hist;
    rusk_strbuf blob;
    rusk_codec_tables *tables;
    rusk_hist_clear(&hist);
    for (uint32_t r = 0; r < m->n_rows; r++) {
        rusk_hist_add(&hist, m->classes[r], m->symbols + (size_t)r * m->n_cols, m->n_cols);
    }
    rusk_strbuf_init(&blob, alloc, RUSK_MEM_TABLES);
    CHECK_OK(codec->build_tables(&hist, &blob, &err), &err);
    CHECK_OK(codec->open_tables(&tables, alloc, (const uint8_t *)blob.data, blob.len_bytes, &err),
             &err);
    rusk_container_tensor t = {.name = name_of(codec, index),
                               .roles = "ffn_up",
                               .n_dims = SHAPES[index].n_dims,
                               .dtype = RUSK_DTYPE_SYM8,
                               .source_dtype = RUSK_DTYPE_BF16,
                               .codec = codec->name,
                               .quantizer = "uniform",
                               .symbol_offset = SHAPES[index].symbol_offset,
                               .block_rows = m->block_rows,
                               .row_scales = m->scales,
                               .row_classes = m->classes,
                               .tables = (const uint8_t *)blob.data,
                               .tables_bytes = blob.len_bytes};
    memcpy(t.shape, SHAPES[index].dims, sizeof SHAPES[index].dims);
    CHECK_OK(rusk_container_writer_begin_tensor(w, &t, &err), &err);
    write_blocks(w, alloc, codec, tables, m);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    codec->close_tables(tables);
    rusk_strbuf_finish(&blob);
}

static void write_file(rusk_alloc *alloc, const char *path, matrix *m) {
    rusk_container_writer *w;
    CHECK_OK(rusk_container_writer_create(&w, alloc, path, &err), &err);
    for (size_t c = 0; c < rusk_codec_count(); c++) {
        for (size_t i = 0; i < N_SHAPES; i++) {
            fill(m, i);
            write_matrix(w, alloc, rusk_codec_at(c), i, m);
        }
    }
    const float vector[3] = {1.5F, -2.0F, 1e-20F};
    rusk_container_tensor v = {.name = "norm",
                               .roles = "output_norm",
                               .n_dims = 1,
                               .shape = {3},
                               .dtype = RUSK_DTYPE_F32,
                               .source_dtype = RUSK_DTYPE_F32,
                               .codec = "none",
                               .quantizer = ""};
    CHECK_OK(rusk_container_writer_begin_tensor(w, &v, &err), &err);
    CHECK_OK(rusk_container_writer_block(w, vector, sizeof vector, &err), &err);
    CHECK_OK(rusk_container_writer_end_tensor(w, &err), &err);
    CHECK_OK(
        rusk_container_writer_head(w, &TEST_CONTAINER_PROVENANCE, &TEST_CONTAINER_SOURCE, &err),
        &err);
    CHECK_OK(rusk_container_writer_commit(w, NULL, &err), &err);
}

static void check_block(const rusk_source *s, rusk_alloc *alloc, size_t tensor, uint64_t b,
                        const rusk_codec_tables *tables, const matrix *m) {
    const rusk_container_tensor *t = rusk_container_get_tensor(s, tensor);
    uint32_t row = (uint32_t)b * t->block_rows, rows = RUSK_MIN(t->block_rows, m->n_rows - row);
    rusk_block_shape shape = {rows, m->n_cols, t->row_classes + row};
    size_t len = rusk_container_block_bytes(s, tensor, b), n = (size_t)rows * m->n_cols, n_patches;
    uint8_t *data = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, len + RUSK_BLOCK_OVERREAD);
    int8_t *out = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, n);
    CHECK_OK(rusk_container_read_block(s, tensor, b, data, &err), &err);
    CHECK_OK(rusk_block_patch_count(data, len, &shape, &n_patches, &err), &err);
    rusk_patch *patches = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, n_patches * sizeof *patches);
    CHECK_OK(rusk_block_decode(rusk_codec_find(t->codec), tables, &shape, data, len, out, m->n_cols,
                               patches, &n_patches, &err),
             &err);
    const int32_t *truth = m->truth + (size_t)row * m->n_cols;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t value = out[i];
        if (used < n_patches && patches[used].position == i) {
            value += patches[used++].delta;
        }
        CHECK_EQ(value, truth[i]);
    }
    CHECK_EQ(used, n_patches);
    rusk_alloc_put(alloc, data);
    rusk_alloc_put(alloc, out);
    rusk_alloc_put(alloc, patches);
}

static void check_file(rusk_alloc *alloc, const char *path, matrix *m) {
    rusk_source *s;
    CHECK_OK(rusk_source_open(&s, alloc, path, &err), &err);
    CHECK_EQ(s->n_tensors, rusk_codec_count() * N_SHAPES + 1);
    for (size_t i = 0; i + 1 < s->n_tensors; i++) {
        const rusk_container_tensor *t = rusk_container_get_tensor(s, i);
        const rusk_codec *codec = rusk_codec_find(t->codec);
        rusk_codec_tables *tables;
        fill(m, i % N_SHAPES);
        CHECK_MEM(t->row_scales, m->scales, m->n_rows * sizeof(float));
        CHECK_MEM(t->row_classes, m->classes, m->n_rows);
        CHECK_OK(codec->open_tables(&tables, alloc, t->tables, t->tables_bytes, &err), &err);
        for (uint64_t b = 0; b < rusk_container_n_blocks(s, i); b++) {
            check_block(s, alloc, i, b, tables, m);
        }
        codec->close_tables(tables);
    }
    rusk_source_close(s);
}

static matrix big;

TEST(what_was_coded_comes_back) {
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    const char *path = test_path("codecs.rusk");
    write_file(&alloc, path, &big);
    CHECK_EQ(alloc.bytes_total, 0);
    check_file(&alloc, path, &big);
    CHECK_EQ(alloc.bytes_total, 0);
}

/* DIR/codecs.rusk, and for each shape i DIR/i.truth: the values before offset and scale as int32,
 * followed by the scales as f32, native order. */
static const char *directory;

TEST(leave_files) {
    char path[512];
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, NULL);
    (void)snprintf(path, sizeof path, "%s/codecs.rusk", directory);
    write_file(&alloc, path, &big);
    for (size_t i = 0; i < N_SHAPES; i++) {
        fill(&big, i);
        (void)snprintf(path, sizeof path, "%s/%zu.truth", directory, i);
        size_t n = (size_t)big.n_rows * big.n_cols;
        uint8_t *both = malloc(4 * (n + big.n_rows));
        memcpy(both, big.truth, 4 * n);
        memcpy(both + 4 * n, big.scales, 4 * (size_t)big.n_rows);
        test_write_file(path, both, 4 * (n + big.n_rows));
        free(both);
    }
}

int main(int argc, char **argv) {
    static const test_case CHECKS[] = {CASE(what_was_coded_comes_back)},
                           WRITES[] = {CASE(leave_files)};
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        directory = argv[2];
        return test_main(WRITES, 1, 1, argv);
    }
    return test_main(CHECKS, 1, argc, argv);
}
