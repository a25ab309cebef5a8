/* weights_blocks.c - what every form of a coded tensor needs of its blocks. */
#include "base/assert.h"
#include "format/container.h"
#include "runtime/weights_tensor.h"

rusk_block_shape rusk_weights_block_shape(const rusk_weights_tensor *t, uint32_t block) {
    uint32_t row0 = block * t->block_rows;
    return (rusk_block_shape){.n_rows = RUSK_MIN(t->block_rows, t->n_rows - row0),
                              .n_cols = t->n_cols,
                              .row_classes = t->row_classes + row0};
}

rusk_status rusk_weights_fail_block(rusk_error *err, const rusk_weights_tensor *t, uint32_t block,
                                    rusk_status status, const rusk_error *inner) {
    if (t->source == NULL) {
        return rusk_fail(err, status, RUSK_NO_OFFSET, "tensor '%.100s', block %u as %s: %.300s",
                         t->name, block, t->codec->name, inner->message);
    }
    uint64_t offset = rusk_container_block_offset(t->source, t->index, block);
    offset += inner->offset == RUSK_NO_OFFSET ? 0 : inner->offset;
    return rusk_fail(err, status, offset, "tensor '%.100s', block %u, byte %llu: %.300s", t->name,
                     block, (unsigned long long)offset, inner->message);
}

rusk_status rusk_weights_count_patches(const rusk_weights_tensor *t, uint32_t block, size_t *n,
                                       rusk_error *err) {
    rusk_block_shape shape = rusk_weights_block_shape(t, block);
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    rusk_status status = rusk_block_patch_count(t->blocks[block].data, t->blocks[block].len_bytes,
                                                &shape, n, &inner);
    return status == RUSK_OK ? RUSK_OK : rusk_weights_fail_block(err, t, block, status, &inner);
}

rusk_status rusk_weights_decode_block(const rusk_weights_tensor *t, uint32_t block, int8_t *out,
                                      size_t stride, rusk_patch *patches, size_t *n_patches,
                                      rusk_error *inner) {
    rusk_block_shape shape = rusk_weights_block_shape(t, block);
    return rusk_block_decode(t->codec, t->tables, &shape, t->blocks[block].data,
                             t->blocks[block].len_bytes, out, stride, patches, n_patches, inner);
}

/* --- all blocks in the pool ------------------------------------------------------------------ */

typedef struct worker_failure {
    uint32_t block; /* the worker's first that failed; UINT32_MAX: none */
    rusk_status status;
    rusk_error inner;
} worker_failure;

typedef struct blocks_job {
    rusk_weights_block_task task;
    void *arg;
    worker_failure *failures; /* one a worker */
} blocks_job;

static void run_block(void *arg, size_t index, unsigned worker) {
    const blocks_job *job = arg;
    worker_failure *f = &job->failures[worker];
    if (f->block != UINT32_MAX) {
        return; /* a worker's blocks ascend: what comes now cannot be the first */
    }
    rusk_error inner = {.offset = RUSK_NO_OFFSET};
    rusk_status status = job->task(job->arg, (uint32_t)index, worker, &inner);
    if (status != RUSK_OK) {
        *f = (worker_failure){.block = (uint32_t)index, .status = status, .inner = inner};
    }
}

rusk_status rusk_weights_each_block(const rusk_weights_tensor *t, rusk_pool *pool,
                                    rusk_weights_block_task task, void *arg, rusk_arena *scratch,
                                    rusk_error *err) {
    const unsigned n_workers = rusk_pool_size(pool);
    blocks_job job = {.task = task, .arg = arg};
    job.failures = rusk_arena_get(scratch, n_workers, sizeof *job.failures);
    if (job.failures == NULL) {
        return rusk_fail_memory(err, n_workers * sizeof *job.failures, t->name);
    }
    for (unsigned i = 0; i < n_workers; i++) {
        job.failures[i].block = UINT32_MAX;
    }
    rusk_pool_run(pool, run_block, &job, t->n_blocks);
    const worker_failure *first = &job.failures[0];
    for (unsigned i = 1; i < n_workers; i++) {
        if (job.failures[i].block < first->block) {
            first = &job.failures[i];
        }
    }
    return first->block == UINT32_MAX
               ? RUSK_OK
               : rusk_weights_fail_block(err, t, first->block, first->status, &first->inner);
}

/* --- sizes ----------------------------------------------------------------------------------- */

size_t rusk_weights_warm_bytes(const rusk_weights_tensor *t) {
    return t->bytes_total + t->n_blocks * sizeof *t->blocks;
}

size_t rusk_weights_hot_bytes(const rusk_weights_tensor *t) {
    const uint32_t part_rows =
        rusk_weights_tile_rows(t->n_rows, t->stride, RUSK_WEIGHTS_TILE_BYTES);
    const size_t n_tiles = (t->n_rows + (size_t)part_rows - 1) / part_rows;
    return (size_t)t->n_rows * t->stride + t->n_patches * sizeof *t->patches +
           (n_tiles + 1) * sizeof *t->tile_patches;
}

uint32_t rusk_weights_tile_rows(uint32_t n_rows, uint32_t stride, size_t bytes) {
    size_t rows = RUSK_MAX(bytes / stride & ~(size_t)3, (size_t)4);
    rows = RUSK_MIN(rows, (size_t)RUSK_TILE_MAX_ROWS);
    return (uint32_t)RUSK_MIN(rows, (size_t)n_rows);
}
