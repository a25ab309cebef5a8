/* weights_load.c - reads weights into memory and decides each tensor's tier. */
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "format/container.h"
#include "model/arch.h"
#include "runtime/weights_tensor.h"

/* A tile of unpacked or decoded codes should stay in half of a 48 KB L1 cache. */
enum { TILE_BYTES = 24 * 1024 };

static uint32_t tile_rows_for(uint32_t n_rows, uint32_t stride) {
    uint32_t rows = TILE_BYTES / stride;
    rows = RUSK_MAX(rows & ~3U, 4U);
    rows = RUSK_MIN(rows, (uint32_t)RUSK_TILE_MAX_ROWS);
    return RUSK_MIN(rows, n_rows);
}

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
    t->tile_rows = tile_rows_for(t->n_rows, t->stride);
    t->bytes_total = t->row_bytes * t->n_rows;
    t->bytes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, t->bytes_total);
    if (t->bytes == NULL) {
        return rusk_fail_memory(err, t->bytes_total, st->name);
    }
    w->usage.stored_bytes += t->bytes_total;
    return w->source->ops->read_rows(w->source, index, 0, st->n_rows, t->bytes, err);
}

/* --- coded tensors --------------------------------------------------------------------------- */

rusk_block_shape rusk_weights_block_shape(const rusk_weights_tensor *t, uint32_t block) {
    uint32_t row0 = block * t->block_rows;
    return (rusk_block_shape){.n_rows = RUSK_MIN(t->block_rows, t->n_rows - row0),
                              .n_cols = t->n_cols,
                              .row_classes = t->row_classes + row0};
}

rusk_status rusk_weights_fail_block(rusk_error *err, const rusk_weights_tensor *t, uint32_t block,
                                    rusk_status status, const rusk_error *inner) {
    return rusk_fail(err, status, inner->offset, "tensor '%.100s', block %u: %.300s", t->name,
                     block, inner->message);
}

static rusk_status prepare_coded(rusk_weights *w, rusk_weights_tensor *t, size_t index,
                                 rusk_error *err) {
    const rusk_container_tensor *ct = rusk_container_get_tensor(w->source, index);
    t->row_scales = ct->row_scales;
    t->row_classes = ct->row_classes;
    t->symbol_offset = ct->symbol_offset;
    t->block_rows = ct->block_rows;
    t->n_blocks = (uint32_t)rusk_container_n_blocks(w->source, index);
    t->codec = rusk_codec_find(ct->codec);
    if (t->codec == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "tensor '%s': codec '%s' is not known to this version", t->name,
                         ct->codec);
    }
    return t->codec->open_tables(&t->tables, w->alloc, ct->tables, ct->tables_bytes, err);
}

static rusk_status count_patches(const rusk_weights_tensor *t, uint32_t block, size_t *n,
                                 rusk_error *err) {
    rusk_block_shape shape = rusk_weights_block_shape(t, block);
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    rusk_status status = rusk_block_patch_count(t->blocks[block].data, t->blocks[block].len_bytes,
                                                &shape, n, &inner);
    return status == RUSK_OK ? RUSK_OK : rusk_weights_fail_block(err, t, block, status, &inner);
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
        RUSK_TRY(count_patches(t, b, &n, err));
        t->block_patches_max = RUSK_MAX(t->block_patches_max, n);
    }
    return RUSK_OK;
}

typedef struct worker_failure {
    uint32_t block; /* the worker's first that failed; UINT32_MAX: none */
    rusk_status status;
    rusk_error inner;
} worker_failure;

typedef struct decode_job {
    const rusk_weights_tensor *t;
    uint8_t *codes;
    rusk_patch *patches;      /* positions relative to their block */
    size_t *first;            /* of each block in patches; one more at the end */
    size_t *found;            /* outliers a block gave: at most its stored patches */
    worker_failure *failures; /* one a worker */
} decode_job;

static void decode_block(void *arg, size_t index, unsigned worker) {
    decode_job *job = arg;
    const rusk_weights_tensor *t = job->t;
    uint32_t b = (uint32_t)index;
    rusk_block_shape shape = rusk_weights_block_shape(t, b);
    uint8_t *out = job->codes + (size_t)b * t->block_rows * t->stride;
    for (uint32_t r = 0; r < shape.n_rows; r++) {
        memset(out + (size_t)r * t->stride + t->n_cols, 0, t->stride - t->n_cols);
    }
    size_t n_patches = 0;
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    rusk_status status = rusk_block_decode(t->codec, t->tables, &shape, t->blocks[b].data,
                                           t->blocks[b].len_bytes, (int8_t *)out, t->stride,
                                           job->patches + job->first[b], &n_patches, &inner);
    job->found[b] = n_patches;
    worker_failure *f = &job->failures[worker];
    if (status != RUSK_OK && b < f->block) {
        *f = (worker_failure){.block = b, .status = status, .inner = inner};
    }
}

static rusk_status decode_all(decode_job *job, rusk_pool *pool, rusk_error *err) {
    for (unsigned i = 0; i < rusk_pool_size(pool); i++) {
        job->failures[i].block = UINT32_MAX;
    }
    rusk_pool_run(pool, decode_block, job, job->t->n_blocks);
    const worker_failure *first = &job->failures[0];
    for (unsigned i = 1; i < rusk_pool_size(pool); i++) {
        if (job->failures[i].block < first->block) {
            first = &job->failures[i];
        }
    }
    if (first->block != UINT32_MAX) {
        return rusk_weights_fail_block(err, job->t, first->block, first->status, &first->inner);
    }
    return RUSK_OK;
}

/* Room was made for all stored patches; those that decoding has applied leave gaps. */
static void close_gaps(decode_job *job) {
    size_t n = 0;
    for (uint32_t b = 0; b < job->t->n_blocks; b++) {
        memmove(job->patches + n, job->patches + job->first[b], job->found[b] * sizeof(rusk_patch));
        job->first[b] = n;
        n += job->found[b];
    }
    job->first[job->t->n_blocks] = n;
}

/* Patches of blocks become patches of tiles: the same list, positions counted from another row. */
static rusk_status retile_patches(rusk_weights *w, rusk_weights_tensor *t, const size_t *first,
                                  rusk_error *err) {
    uint32_t n_tiles = (t->n_rows + t->tile_rows - 1) / t->tile_rows;
    t->tile_patches = rusk_alloc_zero(w->alloc, RUSK_MEM_WEIGHTS, n_tiles + 1, sizeof(size_t));
    if (t->tile_patches == NULL) {
        return rusk_fail_memory(err, n_tiles * sizeof(size_t), "patches");
    }
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        for (size_t i = first[b]; i < first[b + 1]; i++) {
            uint32_t row = b * t->block_rows + t->patches[i].position / t->n_cols;
            uint32_t tile = row / t->tile_rows;
            t->patches[i].position =
                (row - tile * t->tile_rows) * t->n_cols + t->patches[i].position % t->n_cols;
            t->tile_patches[tile + 1] = i + 1;
        }
    }
    for (uint32_t i = 1; i <= n_tiles; i++) { /* tiles without patches */
        t->tile_patches[i] = RUSK_MAX(t->tile_patches[i], t->tile_patches[i - 1]);
    }
    return RUSK_OK;
}

/* Decodes a tensor whose blocks are in memory, and drops the blocks. */
static rusk_status make_hot(rusk_weights *w, rusk_weights_tensor *t, rusk_arena *scratch,
                            rusk_pool *pool, rusk_error *err) {
    size_t codes_bytes = (size_t)t->n_rows * t->stride;
    decode_job job = {.t = t};
    job.first = rusk_arena_get(scratch, (size_t)t->n_blocks + 1, sizeof *job.first);
    job.found = rusk_arena_get(scratch, t->n_blocks, sizeof *job.found);
    job.failures = rusk_arena_get(scratch, rusk_pool_size(pool), sizeof *job.failures);
    if (job.first == NULL || job.found == NULL || job.failures == NULL) {
        return rusk_fail_memory(err, t->n_blocks * sizeof *job.first, "decoding");
    }
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        size_t n = 0;
        RUSK_TRY(count_patches(t, b, &n, err));
        job.first[b + 1] = job.first[b] + n;
    }
    t->patches =
        rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, job.first[t->n_blocks] * sizeof(rusk_patch));
    job.patches = t->patches;
    job.codes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, codes_bytes);
    rusk_status status = t->patches == NULL || job.codes == NULL
                             ? rusk_fail_memory(err, codes_bytes, t->name)
                             : decode_all(&job, pool, err);
    if (status != RUSK_OK) {
        rusk_alloc_put(w->alloc, job.codes);
        return status;
    }
    close_gaps(&job);
    rusk_alloc_put(w->alloc, t->bytes);
    rusk_alloc_put(w->alloc, t->blocks);
    t->codec->close_tables(t->tables); /* some 17 KB a class: only warm tensors need them */
    t->tables = NULL;
    t->blocks = NULL;
    t->bytes = job.codes;
    t->bytes_total = codes_bytes;
    t->tier = RUSK_TIER_HOT;
    t->tile_rows = tile_rows_for(t->n_rows, t->stride);
    w->usage.hot_bytes += codes_bytes;
    return retile_patches(w, t, job.first, err);
}

static rusk_status load_coded(rusk_weights *w, rusk_weights_tensor *t, size_t index, bool hot,
                              rusk_pool *pool, rusk_error *err) {
    t->tier = RUSK_TIER_WARM;
    RUSK_TRY(prepare_coded(w, t, index, err));
    if (!hot &&
        t->block_rows > RUSK_TILE_MAX_ROWS) { /* decoding it all the same may take any size */
        return rusk_fail(
            err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
            "tensor '%.100s': expected blocks of at most %d rows, since its %llu bytes "
            "decoded pass what weights may take, found %u",
            t->name, RUSK_TILE_MAX_ROWS, (unsigned long long)t->stride * t->n_rows, t->block_rows);
    }
    RUSK_TRY(read_blocks(w, t, index, err));
    if (hot) {
        rusk_arena scratch;
        rusk_arena_init(&scratch, w->alloc, RUSK_MEM_SCRATCH);
        rusk_status status = make_hot(w, t, &scratch, pool, err);
        rusk_arena_finish(&scratch);
        return status;
    }
    t->tile_rows = RUSK_MIN(t->block_rows, t->n_rows);
    w->usage.warm_bytes += t->bytes_total;
    return RUSK_OK;
}

/* --- the whole model ------------------------------------------------------------------------- */

/* Share f of the coded weights that fits decoded. Hot bytes h replace coded bytes c, so
 * sum(c) + f * sum(h - c) = budget. */
static double hot_share(const rusk_weights *w, const size_t *indices, uint64_t budget_bytes) {
    double coded = 0, hot = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const rusk_source_tensor *st = &w->source->tensors[indices[i]];
        if (st->dtype->dtype == RUSK_DTYPE_SYM8) {
            coded += (double)st->bytes;
            hot += (double)w->tensors[i].stride * (double)st->n_rows;
        }
    }
    if (hot <= (double)budget_bytes) {
        return 1;
    }
    return coded < (double)budget_bytes ? ((double)budget_bytes - coded) / (hot - coded) : 0;
}

static rusk_status load_all(rusk_weights *w, const size_t *indices, const bool *is_vector,
                            uint64_t budget_bytes, rusk_pool *pool, rusk_error *err) {
    for (size_t i = 0; i < w->n_tensors; i++) {
        RUSK_TRY(init_tensor(&w->tensors[i], &w->source->tensors[indices[i]], err));
    }
    double share = hot_share(w, indices, budget_bytes);
    double owed = 0; /* bytes that should be hot by now and are not: spreads hot tensors evenly */
    for (size_t i = 0; i < w->n_tensors; i++) {
        rusk_weights_tensor *t = &w->tensors[i];
        double bytes = (double)t->stride * t->n_rows;
        if (is_vector[i]) {
            RUSK_TRY(load_vector(w, t, indices[i], err));
        } else if (t->dtype->dtype == RUSK_DTYPE_SYM8) {
            owed += share * bytes;
            bool hot = share >= 1 || owed >= bytes;
            owed -= hot ? bytes : 0;
            RUSK_TRY(load_coded(w, t, indices[i], hot, pool, err));
        } else {
            RUSK_TRY(load_stored(w, t, indices[i], err));
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
        size_t codes = (size_t)t->tile_rows * t->stride;
        w->floats_max = RUSK_MAX(w->floats_max, (size_t)t->tile_rows * t->n_cols);
        if (t->tier == RUSK_TIER_WARM) {
            w->codes_bytes_max = RUSK_MAX(w->codes_bytes_max, codes);
            w->patches_max = RUSK_MAX(w->patches_max, t->block_patches_max);
        } else if (t->tier == RUSK_TIER_STORED && t->dtype->group > 0) {
            size_t groups = (size_t)t->tile_rows * (t->n_cols / t->dtype->group);
            w->codes_bytes_max = RUSK_MAX(w->codes_bytes_max, codes);
            w->groups_max = RUSK_MAX(w->groups_max, groups);
        }
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
                              uint64_t budget_bytes, rusk_pool *pool, rusk_error *err) {
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
        status = load_all(w, indices, is_vector, budget_bytes, pool, err);
        if (status == RUSK_OK) {
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
