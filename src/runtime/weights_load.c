/* weights_load.c - reads weights into memory and decides each tensor's tier. */
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "format/container.h"
#include "model/arch.h"
#include "runtime/weights_tensor.h"

static rusk_status init_tensor(rusk_weights_tensor *t, const rusk_source_tensor *st,
                               rusk_error *err) {
    if (st->n_rows > UINT32_MAX || st->n_cols > UINT32_MAX - RUSK_GROUP) {
        return rusk_fail(err, RUSK_UNSUPPORTED, st->offset,
                         "tensor '%s': expected at most 2^32 rows and columns, found %llu x %llu",
                         st->name, (unsigned long long)st->n_rows, (unsigned long long)st->n_cols);
    }
    t->name = st->name;
    t->dtype = st->dtype;
    t->n_rows = (uint32_t)st->n_rows;
    t->n_cols = (uint32_t)st->n_cols;
    t->stride = (t->n_cols + RUSK_GROUP - 1) / RUSK_GROUP * RUSK_GROUP;
    return RUSK_OK;
}

/* --- vectors and stored tensors -------------------------------------------------------------- */

static rusk_status load_vector(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                               rusk_error *err) {
    const rusk_source_tensor *st = &w->source->tensors[index];
    if (st->dtype->dtype == RUSK_DTYPE_SYM8) {
        return rusk_fail(err, RUSK_FORMAT, st->offset,
                         "tensor '%s': expected floats for a vector, found coded symbols",
                         st->name);
    }
    t->tier = RUSK_TIER_VECTOR;
    t->bytes_total = (size_t)t->n_rows * t->n_cols * sizeof(float);
    t->bytes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, t->bytes_total);
    size_t stored_bytes = (size_t)(rusk_source_row_bytes(st) * st->n_rows);
    void *scratch = rusk_alloc_get(w->alloc, RUSK_MEM_SCRATCH, stored_bytes);
    rusk_status status = RUSK_OK;
    if (t->bytes == NULL || scratch == NULL) {
        status = rusk_fail_memory(err, t->bytes_total, st->name);
    } else {
        status = rusk_source_read_f32(w->source, index, 0, st->n_rows, (float *)(void *)t->bytes,
                                      scratch, err);
    }
    rusk_alloc_put(w->alloc, scratch);
    w->usage.vector_bytes += t->bytes_total;
    return status;
}

static rusk_status load_stored(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                               rusk_error *err) {
    const rusk_source_tensor *st = &w->source->tensors[index];
    t->tier = RUSK_TIER_STORED;
    t->row_bytes = (size_t)rusk_source_row_bytes(st);
    t->part_rows = rusk_weights_tile_rows(t->n_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES);
    t->bytes_total = t->row_bytes * t->n_rows;
    t->bytes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, t->bytes_total);
    if (t->bytes == NULL) {
        return rusk_fail_memory(err, t->bytes_total, st->name);
    }
    w->usage.stored_bytes += t->bytes_total;
    return w->source->ops->read_rows(w->source, index, 0, st->n_rows, t->bytes, err);
}

/* --- coded tensors --------------------------------------------------------------------------- */

static rusk_status prepare_coded(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                                 rusk_error *err) {
    const rusk_container_tensor *ct = rusk_container_get_tensor(w->source, index);
    t->tier = RUSK_TIER_WARM;
    t->source = w->source;
    t->index = index;
    t->row_scales = ct->row_scales;
    t->row_classes = ct->row_classes;
    t->symbol_offset = ct->symbol_offset;
    t->block_rows = RUSK_MIN(ct->block_rows, t->n_rows);
    t->part_rows = t->block_rows;
    t->n_blocks = (uint32_t)rusk_container_n_blocks(w->source, index);
    t->codec = rusk_codec_find(ct->codec);
    if (t->codec == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "tensor '%s': codec '%s' is not known to this version", t->name,
                         ct->codec);
    }
    return t->codec->open_tables(&t->tables, w->alloc, ct->tables, ct->tables_bytes, err);
}

/* Reads all blocks of a tensor, one after the other, with room for over-read behind the last. */
static rusk_status read_blocks(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                               rusk_error *err) {
    size_t total = RUSK_BLOCK_OVERREAD;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        total += rusk_container_block_bytes(w->source, index, b);
    }
    t->blocks = rusk_alloc_zero(w->alloc, RUSK_MEM_WEIGHTS, t->n_blocks, sizeof *t->blocks);
    t->bytes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, total);
    if (t->blocks == NULL || t->bytes == NULL) {
        return rusk_fail_memory(err, total, t->name);
    }
    t->bytes_total = total;
    uint8_t *p = t->bytes;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        /* the zeroed over-read is overwritten by the next block: it only has to be readable */
        RUSK_TRY(rusk_container_read_block(w->source, index, b, p, err));
        size_t len = rusk_container_block_bytes(w->source, index, b);
        t->blocks[b] = (rusk_weights_block){.data = p, .len_bytes = len};
        p += len;
    }
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        size_t n = 0;
        RUSK_TRY(rusk_weights_count_patches(t, b, &n, err));
        t->n_patches += n;
        t->block_patches_max = RUSK_MAX(t->block_patches_max, n);
    }
    return RUSK_OK;
}

static rusk_status load_coded(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                              const rusk_codec *codec, rusk_pool *pool, rusk_error *err) {
    RUSK_TRY(prepare_coded(w, t, index, err));
    RUSK_TRY(read_blocks(w, t, index, err));
    return codec == NULL || codec == t->codec ? RUSK_OK
                                              : rusk_weights_transcode(w, t, codec, pool, err);
}

/* --- the whole model ------------------------------------------------------------------------- */

static rusk_status load_all(rusk_weights *w, const size_t *indices, const bool *is_vector,
                            const rusk_codec *codec, rusk_pool *pool, rusk_error *err) {
    for (size_t i = 0; i < w->n_tensors; i++) {
        RUSK_TRY(init_tensor(&w->tensors[i], &w->source->tensors[indices[i]], err));
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        rusk_weights_tensor *t = &w->tensors[i];
        if (is_vector[i]) {
            RUSK_TRY(load_vector(w, t, indices[i], err));
        } else if (t->dtype->dtype == RUSK_DTYPE_SYM8) {
            RUSK_TRY(load_coded(w, t, indices[i], codec, pool, err));
            w->usage.warm_bytes += rusk_weights_warm_bytes(t);
        } else {
            RUSK_TRY(load_stored(w, t, indices[i], err));
        }
    }
    return RUSK_OK;
}

/* Bytes that decoding a warm tensor adds; below zero where it is smaller decoded. */
static double decoding_adds(const rusk_weights_tensor *t) {
    return (double)rusk_weights_hot_bytes(t) - (double)rusk_weights_warm_bytes(t);
}

static rusk_status heat(rusk_weights *w, rusk_weights_tensor *t, rusk_pool *pool, rusk_error *err) {
    w->usage.warm_bytes -= rusk_weights_warm_bytes(t);
    RUSK_TRY(rusk_weights_make_hot(w, t, pool, err));
    w->usage.hot_bytes += rusk_weights_hot_bytes(t);
    return RUSK_OK;
}

/* Bytes of the budget that are left beside what is in memory now. */
static double bytes_left(const rusk_weights *w, uint64_t budget_bytes) {
    const rusk_weights_usage *u = &w->usage;
    return (double)budget_bytes - (double)(u->stored_bytes + u->vector_bytes) -
           (double)u->warm_bytes;
}

/* What decoding all warm tensors would add. */
static double decoding_adds_in_all(const rusk_weights *w) {
    double all = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const rusk_weights_tensor *t = &w->tensors[i];
        all += t->tier == RUSK_TIER_WARM ? RUSK_MAX(decoding_adds(t), 0.0) : 0;
    }
    return all;
}

/* Where not all will be decoded: no tensor stays in a codec for storage. */
static rusk_status leave_storage(rusk_weights *w, const rusk_codec *codec, rusk_pool *pool,
                                 rusk_error *err) {
    for (size_t i = 0; i < w->n_tensors; i++) {
        rusk_weights_tensor *t = &w->tensors[i];
        if (t->tier == RUSK_TIER_WARM && t->codec->for_storage) {
            w->usage.warm_bytes -= rusk_weights_warm_bytes(t);
            RUSK_TRY(rusk_weights_transcode(w, t, codec, pool, err));
            w->usage.warm_bytes += rusk_weights_warm_bytes(t);
        }
    }
    return RUSK_OK;
}

/* Decodes as many tensors as the budget allows. Where not all fit, each tensor is owed the same
 * share of the bytes that it would add, and is decoded when it and those before it that were not
 * are owed all of them: what is decoded is spread evenly over the layers. */
static rusk_status heat_some(rusk_weights *w, const rusk_weights_options *options, rusk_pool *pool,
                             rusk_error *err) {
    if (options->instead_of_storage != NULL &&
        decoding_adds_in_all(w) > bytes_left(w, options->budget_bytes)) {
        RUSK_TRY(leave_storage(w, options->instead_of_storage, pool, err));
    }
    double left = bytes_left(w, options->budget_bytes), all = decoding_adds_in_all(w), owed = 0;
    const double share = all <= left ? 1 : RUSK_MAX(left, 0.0) / all;
    for (size_t i = 0; i < w->n_tensors; i++) {
        rusk_weights_tensor *t = &w->tensors[i];
        if (t->tier != RUSK_TIER_WARM) {
            continue;
        }
        const double adds = decoding_adds(t);
        owed += share * RUSK_MAX(adds, 0.0);
        if (share >= 1 || (adds <= owed && adds <= left)) {
            owed -= adds;
            left -= adds;
            RUSK_TRY(heat(w, t, pool, err));
        } else {
            w->usage.codec = t->codec->name;
        }
    }
    return RUSK_OK;
}

static void measure_scratch(rusk_weights *w) {
    for (size_t i = 0; i < w->n_tensors; i++) {
        const rusk_weights_tensor *t = &w->tensors[i];
        if (t->tier == RUSK_TIER_VECTOR) {
            continue;
        }
        size_t codes = 0, n_rows = t->part_rows;
        if (t->tier == RUSK_TIER_WARM) {
            rusk_weights_warm_scratch(t, &codes, &n_rows);
            w->patches_max = RUSK_MAX(w->patches_max, t->block_patches_max);
        } else if (t->tier == RUSK_TIER_STORED && t->dtype->group > 0) {
            codes = n_rows * t->stride;
            w->groups_max = RUSK_MAX(w->groups_max, n_rows * (t->n_cols / t->dtype->group));
        }
        w->codes_bytes_max = RUSK_MAX(w->codes_bytes_max, codes);
        w->floats_max = RUSK_MAX(w->floats_max, n_rows * t->n_cols);
    }
}

/* A ring of the warm tensors in the order of their slots, which is that of a pass. */
static void link_warm(rusk_weights *w) {
    rusk_weights_tensor *next = NULL, *last = NULL;
    for (size_t i = w->n_tensors; i-- > 0;) {
        rusk_weights_tensor *t = &w->tensors[i];
        if (t->tier == RUSK_TIER_WARM) {
            t->next_warm = next;
            next = t;
            last = last == NULL ? t : last;
        }
    }
    if (last != NULL) {
        last->next_warm = next;
    }
}

/* Gives each tensor of the map one place; a tied tensor is met twice and loaded once. */
static void place_tensors(rusk_weights *w, const int32_t *map, size_t *indices, bool *is_vector,
                          int32_t *place) {
    for (size_t i = 0; i < w->source->n_tensors; i++) {
        place[i] = -1;
    }
    for (uint32_t slot = 0; slot < w->n_slots; slot++) {
        int32_t index = map[slot];
        w->slot_tensor[slot] = -1;
        if (index < 0) {
            continue;
        }
        if (place[index] < 0) {
            place[index] = (int32_t)w->n_tensors;
            indices[w->n_tensors] = (size_t)index;
            is_vector[w->n_tensors] = !rusk_role_is_matrix((rusk_role)(slot % RUSK_ROLES));
            w->n_tensors++;
        }
        w->slot_tensor[slot] = place[index];
    }
}

rusk_status rusk_weights_load(rusk_weights **out, rusk_alloc *alloc, const rusk_source *source,
                              const rusk_model_desc *desc, const int32_t *map,
                              const rusk_weights_options *options, rusk_pool *pool,
                              rusk_error *err) {
    *out = NULL;
    rusk_weights *w = rusk_alloc_zero(alloc, RUSK_MEM_WEIGHTS, 1, sizeof *w);
    if (w == NULL) {
        return rusk_fail_memory(err, sizeof *w, "the weights");
    }
    w->alloc = alloc;
    w->source = source;
    w->n_slots = rusk_desc_n_slots(desc);
    w->slot_tensor = rusk_alloc_zero(alloc, RUSK_MEM_WEIGHTS, w->n_slots, sizeof *w->slot_tensor);
    w->tensors = rusk_alloc_zero(alloc, RUSK_MEM_WEIGHTS, source->n_tensors, sizeof *w->tensors);
    rusk_arena arena;
    rusk_arena_init(&arena, alloc, RUSK_MEM_SCRATCH);
    size_t *indices = rusk_arena_get(&arena, source->n_tensors, sizeof *indices);
    bool *is_vector = rusk_arena_get(&arena, source->n_tensors, sizeof *is_vector);
    int32_t *place = rusk_arena_get(&arena, source->n_tensors, sizeof *place);
    rusk_status status;
    if (w->slot_tensor == NULL || w->tensors == NULL || indices == NULL || is_vector == NULL ||
        place == NULL) {
        (void)rusk_fail_memory(err, source->n_tensors * sizeof *w->tensors, "the tensor table");
        status = RUSK_NO_MEMORY;
    } else {
        place_tensors(w, map, indices, is_vector, place);
        status = load_all(w, indices, is_vector, options->codec, pool, err);
        if (status == RUSK_OK) {
            status = heat_some(w, options, pool, err);
        }
        if (status == RUSK_OK) {
            link_warm(w);
            measure_scratch(w);
        }
    }
    rusk_arena_finish(&arena);
    if (status != RUSK_OK) {
        rusk_weights_destroy(w);
        return status;
    }
    *out = w;
    return RUSK_OK;
}

void rusk_weights_destroy(rusk_weights *w) {
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; w->tensors != NULL && i < w->n_tensors; i++) {
        rusk_weights_tensor *t = &w->tensors[i];
        if (t->tables != NULL) {
            t->codec->close_tables(t->tables);
        }
        rusk_alloc_put(w->alloc, t->bytes);
        rusk_alloc_put(w->alloc, t->blocks);
        rusk_alloc_put(w->alloc, t->patches);
        rusk_alloc_put(w->alloc, t->tile_patches);
    }
    rusk_alloc_put(w->alloc, w->tensors);
    rusk_alloc_put(w->alloc, w->slot_tensor);
    rusk_alloc_put(w->alloc, w);
}

void rusk_weights_get_usage(const rusk_weights *w, rusk_weights_usage *usage) {
    *usage = w->usage;
}
