/* weights_view.c - hands out tiles and rows, whatever tier they live in. */
#include "base/assert.h"
#include "runtime/weights_tensor.h"

/* How far ahead of their use stored rows are asked for. */
enum { PREFETCH_BYTES = 8192 };

struct rusk_weights_reader {
    rusk_alloc *alloc;
    const rusk_weights *weights;
    unsigned n_workers;
    rusk_weights_worker *workers;
};

static bool scratch_init(rusk_weights_worker *s, rusk_alloc *alloc, const rusk_weights *w,
                         unsigned n_workers) {
    s->blocks_ahead = 2 * n_workers;
    s->codes = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, w->codes_bytes_max);
    s->d = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, w->groups_max, sizeof(float));
    s->m = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, w->groups_max, sizeof(float));
    s->floats = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, w->floats_max, sizeof(float));
    s->patches = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, w->patches_max, 2 * sizeof(rusk_patch));
    s->patches_max = w->patches_max;
    s->walks = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, 2, sizeof *s->walks);
    return s->codes != NULL && s->d != NULL && s->m != NULL && s->floats != NULL &&
           s->patches != NULL && s->walks != NULL;
}

rusk_status rusk_weights_reader_create(rusk_weights_reader **out, rusk_alloc *alloc,
                                       const rusk_weights *weights, unsigned n_workers,
                                       rusk_error *err) {
    *out = NULL;
    rusk_weights_reader *reader = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, 1, sizeof *reader);
    if (reader == NULL) {
        return rusk_fail_memory(err, sizeof *reader, "a weights reader");
    }
    *reader = (rusk_weights_reader){.alloc = alloc, .weights = weights, .n_workers = n_workers};
    reader->workers = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, n_workers, sizeof *reader->workers);
    bool ok = reader->workers != NULL;
    for (unsigned i = 0; ok && i < n_workers; i++) {
        ok = scratch_init(&reader->workers[i], alloc, weights, n_workers);
    }
    if (!ok) {
        rusk_weights_reader_destroy(reader);
        return rusk_fail_memory(err, weights->floats_max * sizeof(float), "a worker's tile");
    }
    *out = reader;
    return RUSK_OK;
}

void rusk_weights_reader_destroy(rusk_weights_reader *reader) {
    if (reader == NULL) {
        return;
    }
    for (unsigned i = 0; reader->workers != NULL && i < reader->n_workers; i++) {
        rusk_weights_worker *s = &reader->workers[i];
        rusk_alloc_put(reader->alloc, s->codes);
        rusk_alloc_put(reader->alloc, s->d);
        rusk_alloc_put(reader->alloc, s->m);
        rusk_alloc_put(reader->alloc, s->floats);
        rusk_alloc_put(reader->alloc, s->patches);
        rusk_alloc_put(reader->alloc, s->walks);
    }
    rusk_alloc_put(reader->alloc, reader->workers);
    rusk_alloc_put(reader->alloc, reader);
}

static const rusk_weights_tensor *tensor_of(const rusk_weights_reader *reader, uint32_t slot) {
    RUSK_ASSERT(slot < reader->weights->n_slots && reader->weights->slot_tensor[slot] >= 0);
    return &reader->weights->tensors[reader->weights->slot_tensor[slot]];
}

static const float *view_vector(void *self, uint32_t slot) {
    return (const float *)(const void *)tensor_of(self, slot)->bytes;
}

static float *view_scratch(void *self, unsigned worker) {
    rusk_weights_reader *reader = self;
    return reader->workers[worker].floats;
}

static rusk_tile_kind float_kind(rusk_dtype dtype) {
    switch (dtype) {
    case RUSK_DTYPE_F16:
        return RUSK_TILE_F16;
    case RUSK_DTYPE_BF16:
        return RUSK_TILE_BF16;
    default:
        return RUSK_TILE_F32;
    }
}

/* Rows as a GGUF stores them: floats in place, blocks taken apart. */
static void stored_tile(const rusk_weights_tensor *t, uint32_t row0, rusk_weights_worker *s,
                        rusk_tile *tile) {
    const uint8_t *rows = t->bytes + (size_t)row0 * t->row_bytes;
    if (t->dtype->group == 0) {
        tile->kind = float_kind(t->dtype->dtype);
        tile->data = rows;
        tile->stride_bytes = t->row_bytes;
        return;
    }
    /* Row by row, asking for the rows to come: a tile is short, and the processor's own look-ahead
     * starts anew at each. */
    uint32_t n_groups = t->n_cols / t->dtype->group;
    for (uint32_t r = 0; r < tile->n_rows; r++) {
        const uint8_t *row = rows + (size_t)r * t->row_bytes;
        for (size_t b = 0; b < t->row_bytes; b += 64) {
            __builtin_prefetch(row + PREFETCH_BYTES + b);
        }
        t->dtype->unpack(row, t->n_cols, s->codes + (size_t)r * t->n_cols,
                         s->d + (size_t)r * n_groups, s->m + (size_t)r * n_groups);
    }
    tile->kind = t->dtype->group == 32 ? RUSK_TILE_G32 : RUSK_TILE_G16;
    tile->data = s->codes;
    tile->stride_bytes = t->n_cols;
    tile->d = s->d;
    tile->m = s->m;
    tile->group_stride = n_groups;
}

static void hot_tile(const rusk_weights_tensor *t, uint32_t row0, uint32_t index, rusk_tile *tile) {
    tile->kind = RUSK_TILE_I8;
    tile->stride_bytes = t->stride;
    tile->row_scale = t->row_scales + row0;
    tile->offset = t->symbol_offset;
    tile->data = t->bytes + (size_t)row0 * t->stride;
    tile->patches = t->patches + t->tile_patches[index];
    tile->n_patches = t->tile_patches[index + 1] - t->tile_patches[index];
}

static rusk_weights_cut view_cut(void *self, uint32_t slot) {
    const rusk_weights_tensor *t = tensor_of(self, slot);
    return (rusk_weights_cut){
        .n_parts = (uint32_t)(((uint64_t)t->n_rows + t->part_rows - 1) / t->part_rows),
        .together = t->tier == RUSK_TIER_WARM && t->codec->in_pairs ? 2 : 1};
}

static rusk_status view_open(void *self, uint32_t slot, uint32_t part, uint32_t n_parts,
                             unsigned worker, rusk_error *err) {
    const rusk_weights_reader *reader = self;
    rusk_weights_worker *s = &reader->workers[worker];
    s->t = tensor_of(reader, slot);
    s->part = part;
    s->n_parts = n_parts;
    s->given = false;
    return s->t->tier == RUSK_TIER_WARM ? rusk_weights_warm_open(s, err) : RUSK_OK;
}

static rusk_status view_next(void *self, unsigned worker, rusk_tile *tile, uint32_t *row,
                             rusk_error *err) {
    const rusk_weights_reader *reader = self;
    rusk_weights_worker *s = &reader->workers[worker];
    const rusk_weights_tensor *t = s->t;
    if (t->tier == RUSK_TIER_WARM) {
        return rusk_weights_warm_next(s, tile, row, err);
    }
    *tile = (rusk_tile){.n_cols = t->n_cols};
    if (s->given) {
        return RUSK_OK;
    }
    s->given = true;
    *row = s->part * t->part_rows;
    tile->n_rows = RUSK_MIN(t->part_rows, t->n_rows - *row);
    if (t->tier == RUSK_TIER_STORED) {
        stored_tile(t, *row, s, tile);
    } else {
        hot_tile(t, *row, s->part, tile);
    }
    return RUSK_OK;
}

static void symbols_to_f32(const rusk_tile *tile, uint32_t row, float *out) {
    RUSK_ASSERT(tile->kind == RUSK_TILE_I8 && tile->n_cols > 0);
    const int8_t *codes = (const int8_t *)tile->data + (size_t)row * tile->stride_bytes;
    float scale = tile->row_scale[row];
    for (uint32_t c = 0; c < tile->n_cols; c++) {
        out[c] = ((float)codes[c] + tile->offset) * scale;
    }
    for (size_t i = 0; i < tile->n_patches; i++) {
        const rusk_patch *p = &tile->patches[i];
        if (p->position / tile->n_cols == row) {
            uint32_t c = p->position % tile->n_cols;
            out[c] = ((float)codes[c] + (float)p->delta + tile->offset) * scale;
        }
    }
}

static rusk_status view_row(void *self, uint32_t slot, uint32_t row, unsigned worker, float *out,
                            rusk_error *err) {
    const rusk_weights_tensor *t = tensor_of(self, slot);
    RUSK_ASSERT(row < t->n_rows);
    if (t->tier == RUSK_TIER_STORED) {
        rusk_dtype_to_f32(t->dtype, t->bytes + (size_t)row * t->row_bytes, t->n_cols, out);
        return RUSK_OK;
    }
    rusk_weights_reader *reader = self;
    rusk_weights_worker *s = &reader->workers[worker];
    s->t = t;
    rusk_tile tile = {.n_rows = row % t->part_rows + 1, .n_cols = t->n_cols};
    if (t->tier == RUSK_TIER_WARM) {
        RUSK_TRY(rusk_weights_warm_row(s, row, &tile, err));
    } else {
        hot_tile(t, row - row % t->part_rows, row / t->part_rows, &tile);
        s->given = true;
    }
    symbols_to_f32(&tile, tile.n_rows - 1, out);
    return RUSK_OK;
}

rusk_weights_view rusk_weights_reader_view(rusk_weights_reader *reader) {
    return (rusk_weights_view){.self = reader,
                               .cut = view_cut,
                               .open = view_open,
                               .next = view_next,
                               .row = view_row,
                               .vector = view_vector,
                               .scratch = view_scratch};
}
