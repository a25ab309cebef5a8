#include "eval/inspect.h"

#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "codec/codec.h"
#include "format/container_layout.h"

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

/* A coded tensor on its way through the pass. */
typedef struct coded_tensor {
    const rusk_source *source;
    size_t tensor;
    const rusk_container_tensor *t;
    const rusk_codec *codec;
    rusk_codec_tables *tables;
    rusk_hist *hist;
    rusk_tensor_coding *coding;
} coded_tensor;

static rusk_status count_block(const coded_tensor *c, const rusk_block_shape *shape,
                               const uint8_t *data, size_t len, rusk_arena *arena,
                               rusk_error *err) {
    rusk_block_decoder decoder, *d = &decoder;
    int8_t *codes = rusk_arena_get(arena, shape->n_rows, shape->n_cols);
    size_t n_patches = 0;
    unsigned failed;
    RUSK_TRY(rusk_block_patch_count(data, len, shape, &n_patches, err));
    rusk_patch *patches = rusk_arena_get(arena, n_patches, sizeof *patches);
    if (codes == NULL || patches == NULL) {
        return rusk_fail_memory(err, (size_t)shape->n_rows * shape->n_cols, c->t->name);
    }
    RUSK_TRY(rusk_block_begin(d, c->codec, c->tables, shape, data, len, err));
    const size_t list_bytes = (size_t)(d->decoder.data - data);
    RUSK_TRY(rusk_block_rows(&d, 1, shape->n_rows, &codes, shape->n_cols, &patches, &n_patches,
                             &failed, err));
    for (uint32_t r = 0; r < shape->n_rows; r++) {
        rusk_hist_add(c->hist, shape->row_classes[r], codes + (size_t)r * shape->n_cols,
                      shape->n_cols);
    }
    c->coding->patch_bytes += list_bytes;
    c->coding->payload_bytes += len - list_bytes;
    /* block_bits takes an empty patch list in, which is a byte */
    c->coding->state_bytes += c->codec->block_bits(shape) / 8 - 1;
    return RUSK_OK;
}

static rusk_status count_blocks(const coded_tensor *c, rusk_error *err) {
    const rusk_container_tensor *t = c->t;
    const rusk_source_tensor *st = &c->source->tensors[c->tensor];
    rusk_status status = RUSK_OK;
    for (uint64_t b = 0; status == RUSK_OK && b < c->coding->n_blocks; b++) {
        rusk_arena arena; /* one block's memory */
        rusk_arena_init(&arena, c->source->alloc, RUSK_MEM_SCRATCH);
        uint64_t row0 = b * t->block_rows;
        size_t len = rusk_container_block_bytes(c->source, c->tensor, b);
        rusk_block_shape shape = {
            .n_rows = (uint32_t)RUSK_MIN((uint64_t)t->block_rows, st->n_rows - row0),
            .n_cols = (uint32_t)st->n_cols,
            .row_classes = t->row_classes + row0};
        uint8_t *data = rusk_arena_get(&arena, len + RUSK_BLOCK_OVERREAD, 1);
        status = data == NULL ? rusk_fail_memory(err, len, t->name)
                              : rusk_container_read_block(c->source, c->tensor, b, data, err);
        if (status == RUSK_OK) {
            status = count_block(c, &shape, data, len, &arena, err);
        }
        rusk_arena_finish(&arena);
    }
    return status;
}

/* Bytes between the tensor's blocks, and behind the last one of them up to the next tensor's. */
static uint64_t count_padding(const rusk_source *source, size_t tensor, uint64_t n_blocks) {
    uint64_t end = rusk_container_block_offset(source, tensor, 0), padding = 0;
    for (uint64_t b = 0; b < n_blocks; b++) {
        const uint64_t start = rusk_container_block_offset(source, tensor, b);
        padding += start - end;
        end = start + rusk_container_block_bytes(source, tensor, b);
    }
    for (size_t i = tensor + 1; i < source->n_tensors; i++) {
        if (source->tensors[i].dtype->dtype == RUSK_DTYPE_SYM8) {
            return padding + rusk_container_block_offset(source, i, 0) - end;
        }
    }
    return padding + rusk_extent_room(end) - end; /* extents start on pages */
}

static void add_up(const coded_tensor *c) {
    rusk_tensor_coding *coding = c->coding;
    const rusk_source_tensor *st = &c->source->tensors[c->tensor];
    const uint64_t blocks = coding->payload_bytes + coding->patch_bytes;
    const uint64_t scale_bytes = 2 * st->n_rows;
    coding->class_bytes = (st->n_rows + 1) / 2;
    coding->index_bytes = coding->n_blocks * RUSK_BLOCK_ENTRY_BYTES;
    coding->padding_bytes = count_padding(c->source, c->tensor, coding->n_blocks);
    /* what the index counts for the tensor, and nothing else is in it */
    coding->table_bytes =
        st->bytes - blocks - scale_bytes - coding->class_bytes - coding->index_bytes;
    coding->coded_bytes = st->bytes - scale_bytes + coding->padding_bytes;
}

static rusk_status count_coded(const rusk_source *source, size_t tensor, rusk_hist *hist,
                               rusk_tensor_coding *coding, rusk_error *err) {
    coded_tensor c = {.source = source,
                      .tensor = tensor,
                      .t = rusk_container_get_tensor(source, tensor),
                      .hist = hist,
                      .coding = coding};
    c.codec = rusk_codec_find(c.t->codec);
    if (c.codec == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "tensor '%s': codec '%s' is not known to this version", c.t->name,
                         c.t->codec);
    }
    coding->n_blocks = rusk_container_n_blocks(source, tensor);
    RUSK_TRY(c.codec->open_tables(&c.tables, source->alloc, c.t->tables, c.t->tables_bytes, err));
    rusk_status status = count_blocks(&c, err);
    c.codec->close_tables(c.tables);
    if (status == RUSK_OK) {
        add_up(&c);
    }
    return status;
}

rusk_status rusk_inspect_coding(const rusk_source *source, size_t tensor,
                                rusk_tensor_coding *coding, rusk_error *err) {
    const rusk_source_tensor *t = &source->tensors[tensor];
    rusk_arena arena;
    rusk_arena_init(&arena, source->alloc, RUSK_MEM_SCRATCH);
    rusk_hist *hist = rusk_arena_get(&arena, 1, sizeof *hist);
    rusk_status status;
    *coding = (rusk_tensor_coding){.n_blocks = 0};
    if (hist == NULL) {
        status = rusk_fail_memory(err, sizeof *hist, "a histogram");
    } else if (t->dtype->dtype == RUSK_DTYPE_SYM8) {
        status = count_coded(source, tensor, hist, coding, err);
    } else {
        status = count_stored(source, tensor, &arena, hist, err);
    }
    if (status == RUSK_OK) {
        const double bits = rusk_hist_bits(hist);
        coding->entropy_bits = bits / ((double)t->n_rows * (double)t->n_cols);
        if (bits > 0 && coding->n_blocks > 0) {
            coding->overhead = 8 * (double)coding->coded_bytes / bits - 1;
        }
    }
    rusk_arena_finish(&arena);
    return status;
}
