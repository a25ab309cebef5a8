/* weights_hot.c - decoding a coded tensor once and for all: a byte a weight, and its outliers as
 * patches of tiles. */
#include <string.h>

#include "base/assert.h"
#include "runtime/weights_tensor.h"

typedef struct decode_job {
    const rusk_weights_tensor *t;
    uint8_t *codes;
    rusk_patch *patches; /* positions relative to their block */
    size_t *first;       /* of each block in patches; one more at the end */
    size_t *found;       /* outliers a block gave: at most its stored patches */
} decode_job;

static rusk_status decode_block(void *arg, uint32_t block, unsigned worker, rusk_error *inner) {
    (void)worker;
    const decode_job *job = arg;
    const rusk_weights_tensor *t = job->t;
    const uint32_t n_rows = rusk_weights_block_shape(t, block).n_rows;
    uint8_t *out = job->codes + (size_t)block * t->block_rows * t->stride;
    for (uint32_t r = 0; t->stride > t->n_cols && r < n_rows; r++) {
        memset(out + (size_t)r * t->stride + t->n_cols, 0, t->stride - t->n_cols);
    }
    return rusk_weights_decode_block(t, block, (int8_t *)out, t->stride,
                                     job->patches + job->first[block], &job->found[block], inner);
}

static rusk_status count_all(const rusk_weights_tensor *t, decode_job *job, rusk_error *err) {
    job->first[0] = 0;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        size_t n = 0;
        RUSK_TRY(rusk_weights_count_patches(t, b, &n, err));
        job->first[b + 1] = job->first[b] + n;
    }
    return RUSK_OK;
}

/* Patches of blocks become patches of tiles: the same list, positions counted from another row,
 * without the gaps that patches applied to symbols have left. */
static void retile_patches(rusk_weights_tensor *t, const decode_job *job) {
    const uint32_t n_tiles = (t->n_rows + t->part_rows - 1) / t->part_rows;
    size_t n = 0;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        for (size_t i = 0; i < job->found[b]; i++) {
            const rusk_patch *p = &job->patches[job->first[b] + i];
            const uint32_t row = b * t->block_rows + p->position / t->n_cols;
            const uint32_t tile = row / t->part_rows;
            t->patches[n++] = (rusk_patch){.position = (row - tile * t->part_rows) * t->n_cols +
                                                       p->position % t->n_cols,
                                           .delta = p->delta};
            t->tile_patches[tile + 1] = n;
        }
    }
    for (uint32_t i = 1; i <= n_tiles; i++) { /* tiles without patches */
        t->tile_patches[i] = RUSK_MAX(t->tile_patches[i], t->tile_patches[i - 1]);
    }
}

static rusk_status keep_patches(rusk_weights *w, rusk_weights_tensor *t, const decode_job *job,
                                rusk_error *err) {
    const size_t n_tiles = (t->n_rows + (size_t)t->part_rows - 1) / t->part_rows;
    size_t n = 0;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        n += job->found[b];
    }
    t->tile_patches = rusk_alloc_zero(w->alloc, RUSK_MEM_WEIGHTS, n_tiles + 1, sizeof(size_t));
    t->patches = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, n * sizeof *t->patches);
    if (t->tile_patches == NULL || t->patches == NULL) {
        return rusk_fail_memory(err, n * sizeof *t->patches, "patches");
    }
    t->n_patches = n;
    retile_patches(t, job);
    return RUSK_OK;
}

static rusk_status decode_all(rusk_weights *w, rusk_weights_tensor *t, decode_job *job,
                              rusk_arena *scratch, rusk_pool *pool, rusk_error *err) {
    job->first = rusk_arena_get(scratch, (size_t)t->n_blocks + 1, sizeof *job->first);
    job->found = rusk_arena_get(scratch, t->n_blocks, sizeof *job->found);
    job->patches = rusk_arena_get(scratch, t->n_patches, sizeof *job->patches);
    job->codes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, (size_t)t->n_rows * t->stride);
    if (job->first == NULL || job->found == NULL || job->patches == NULL || job->codes == NULL) {
        return rusk_fail_memory(err, (size_t)t->n_rows * t->stride, t->name);
    }
    RUSK_TRY(count_all(t, job, err));
    RUSK_TRY(rusk_weights_each_block(t, pool, decode_block, job, scratch, err));
    t->part_rows = rusk_weights_tile_rows(t->n_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES);
    return keep_patches(w, t, job, err);
}

rusk_status rusk_weights_make_hot(rusk_weights *w, rusk_weights_tensor *t, rusk_pool *pool,
                                  rusk_error *err) {
    decode_job job = {.t = t};
    rusk_arena scratch;
    rusk_arena_init(&scratch, w->alloc, RUSK_MEM_SCRATCH);
    rusk_status status = decode_all(w, t, &job, &scratch, pool, err);
    rusk_arena_finish(&scratch);
    if (status != RUSK_OK) {
        rusk_alloc_put(w->alloc, job.codes);
        return status;
    }
    rusk_alloc_put(w->alloc, t->bytes);
    rusk_alloc_put(w->alloc, t->blocks);
    t->codec->close_tables(t->tables); /* some 17 KB a class: only warm tensors need them */
    t->tables = NULL;
    t->blocks = NULL;
    t->bytes = job.codes;
    t->bytes_total = (size_t)t->n_rows * t->stride;
    t->tier = RUSK_TIER_HOT;
    return RUSK_OK;
}
