#include "eval/inspect.h"

#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "codec/codec.h"
#include "format/container.h"

/* A row is the least that is read at once; longer ones than the second are no row of a model. */
enum { PIECE_BYTES = 1 << 20, MOST_ROW_BYTES = 1 << 28 };

/* The codes of rows, or, for float types, byte k of each element in class k: their sum is bits an
 * element. */
static void count_rows(const rusk_source_tensor *t, const uint8_t *rows, uint64_t n_rows,
                       int8_t *codes, float *groups, rusk_hist *hist) {
    size_t n = (size_t)(n_rows * t->n_cols);
    if (t->dtype->group > 0) {
        t->dtype->unpack(rows, n, codes, groups, groups + n / t->dtype->group);
        for (size_t i = 0; i < n; i++) {
            hist->count[0][(uint8_t)codes[i]]++;
        }
        return;
    }
    uint32_t width = t->dtype->block_bytes;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t b = 0; b < width; b++) {
            hist->count[b][rows[i * width + b]]++;
        }
    }
}

static rusk_status count_stored(const rusk_source *source, size_t tensor, rusk_arena *arena,
                                rusk_hist *hist, rusk_error *err) {
    const rusk_source_tensor *t = &source->tensors[tensor];
    uint64_t row_bytes = rusk_source_row_bytes(t);
    if (row_bytes > MOST_ROW_BYTES) {
        return rusk_fail(err, RUSK_LIMIT, t->offset,
                         "tensor '%.100s': expected rows of at most %d bytes, found %llu", t->name,
                         MOST_ROW_BYTES, (unsigned long long)row_bytes);
    }
    uint64_t piece = RUSK_MAX(PIECE_BYTES / row_bytes, (uint64_t)1);
    piece = RUSK_MIN(piece, t->n_rows);
    size_t n = (size_t)(piece * t->n_cols);
    size_t n_groups = t->dtype->group > 0 ? n / t->dtype->group : 0;
    uint8_t *rows = rusk_arena_get(arena, (size_t)piece, (size_t)row_bytes);
    int8_t *codes = rusk_arena_get(arena, n, 1);
    float *groups = rusk_arena_get(arena, n_groups, 2 * sizeof(float));
    if (rows == NULL || codes == NULL || groups == NULL) {
        return rusk_fail_memory(err, n, "rows of a tensor");
    }
    for (uint64_t row = 0; row < t->n_rows; row += piece) {
        uint64_t n_rows = RUSK_MIN(piece, t->n_rows - row);
        RUSK_TRY(source->ops->read_rows(source, tensor, row, n_rows, rows, err));
        count_rows(t, rows, n_rows, codes, groups, hist);
    }
    return RUSK_OK;
}

static rusk_status count_block(const rusk_container_tensor *t, const rusk_codec *codec,
                               const rusk_codec_tables *tables, const rusk_block_shape *shape,
                               const uint8_t *data, size_t len, rusk_arena *arena, rusk_hist *hist,
                               rusk_error *err) {
    size_t n_patches = 0;
    RUSK_TRY(rusk_block_patch_count(data, len, shape, &n_patches, err));
    int8_t *codes = rusk_arena_get(arena, shape->n_rows, shape->n_cols);
    rusk_patch *patches = rusk_arena_get(arena, n_patches, sizeof *patches);
    if (codes == NULL || patches == NULL) {
        return rusk_fail_memory(err, (size_t)shape->n_rows * shape->n_cols, t->name);
    }
    RUSK_TRY(rusk_block_decode(codec, tables, shape, data, len, codes, shape->n_cols, patches,
                               &n_patches, err));
    for (uint32_t r = 0; r < shape->n_rows; r++) {
        rusk_hist_add(hist, shape->row_classes[r], codes + (size_t)r * shape->n_cols,
                      shape->n_cols);
    }
    return RUSK_OK;
}

static rusk_status count_blocks(const rusk_source *source, size_t tensor, const rusk_codec *codec,
                                const rusk_codec_tables *tables, rusk_hist *hist, rusk_error *err) {
    const rusk_container_tensor *t = rusk_container_get_tensor(source, tensor);
    const rusk_source_tensor *st = &source->tensors[tensor];
    rusk_status status = RUSK_OK;
    for (uint64_t b = 0; status == RUSK_OK && b < rusk_container_n_blocks(source, tensor); b++) {
        rusk_arena arena; /* one block's memory */
        rusk_arena_init(&arena, source->alloc, RUSK_MEM_SCRATCH);
        uint64_t row0 = b * t->block_rows;
        size_t len = rusk_container_block_bytes(source, tensor, b);
        rusk_block_shape shape = {
            .n_rows = (uint32_t)RUSK_MIN((uint64_t)t->block_rows, st->n_rows - row0),
            .n_cols = (uint32_t)st->n_cols,
            .row_classes = t->row_classes + row0};
        uint8_t *data = rusk_arena_get(&arena, len + RUSK_BLOCK_OVERREAD, 1);
        status = data == NULL ? rusk_fail_memory(err, len, t->name)
                              : rusk_container_read_block(source, tensor, b, data, err);
        if (status == RUSK_OK) {
            status = count_block(t, codec, tables, &shape, data, len, &arena, hist, err);
        }
        rusk_arena_finish(&arena);
    }
    return status;
}

static rusk_status count_coded(const rusk_source *source, size_t tensor, rusk_hist *hist,
                               rusk_error *err) {
    const rusk_container_tensor *t = rusk_container_get_tensor(source, tensor);
    const rusk_codec *codec = rusk_codec_find(t->codec);
    if (codec == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "tensor '%s': codec '%s' is not known to this version", t->name, t->codec);
    }
    rusk_codec_tables *tables;
    RUSK_TRY(codec->open_tables(&tables, source->alloc, t->tables, t->tables_bytes, err));
    rusk_status status = count_blocks(source, tensor, codec, tables, hist, err);
    codec->close_tables(tables);
    return status;
}

rusk_status rusk_inspect_entropy(const rusk_source *source, size_t tensor, double *bits,
                                 rusk_error *err) {
    const rusk_source_tensor *t = &source->tensors[tensor];
    rusk_arena arena;
    rusk_arena_init(&arena, source->alloc, RUSK_MEM_SCRATCH);
    rusk_hist *hist = rusk_arena_get(&arena, 1, sizeof *hist);
    rusk_status status;
    if (hist == NULL) {
        status = rusk_fail_memory(err, sizeof *hist, "a histogram");
    } else if (t->dtype->dtype == RUSK_DTYPE_SYM8) {
        status = count_coded(source, tensor, hist, err);
    } else {
        status = count_stored(source, tensor, &arena, hist, err);
    }
    if (status == RUSK_OK) {
        *bits = rusk_hist_bits(hist) / ((double)t->n_rows * (double)t->n_cols);
    }
    rusk_arena_finish(&arena);
    return status;
}
