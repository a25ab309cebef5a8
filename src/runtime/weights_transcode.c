/* weights_transcode.c - a tensor's symbols from one codec to another, block by block: nothing is
 * lost, and every new block is decoded again and compared before the old ones go.
 *
 * Two passes, since a codec's tables want all symbols counted first. Both decode, so that what is
 * held besides the blocks is a block a worker, however large the tensor. */
#include <string.h>

#include "base/assert.h"
#include "format/container.h"
#include "runtime/weights_tensor.h"

typedef struct transcoder {
    rusk_hist hist;
    int8_t *symbols, *again; /* of a block */
    rusk_patch *patches;     /* of a block */
    rusk_strbuf out;
} transcoder;

typedef struct transcode_job {
    rusk_weights *w;
    const rusk_weights_tensor *t;
    const rusk_codec *codec;
    rusk_codec_tables *tables;
    transcoder *workers;
    rusk_weights_block *blocks; /* coded anew, each an allocation */
} transcode_job;

static rusk_status decode(const transcode_job *job, uint32_t block, unsigned worker,
                          size_t *n_patches, rusk_error *inner) {
    transcoder *s = &job->workers[worker];
    return rusk_weights_decode_block(job->t, block, s->symbols, job->t->n_cols, s->patches,
                                     n_patches, inner);
}

static rusk_status count_block(void *arg, uint32_t block, unsigned worker, rusk_error *inner) {
    const transcode_job *job = arg;
    transcoder *s = &job->workers[worker];
    const rusk_block_shape shape = rusk_weights_block_shape(job->t, block);
    size_t n_patches;
    RUSK_TRY(decode(job, block, worker, &n_patches, inner));
    for (uint32_t r = 0; r < shape.n_rows; r++) {
        rusk_hist_add(&s->hist, shape.row_classes[r], s->symbols + (size_t)r * shape.n_cols,
                      shape.n_cols);
    }
    return RUSK_OK;
}

/* Decodes what was just written and compares it with what it came from. */
static rusk_status verify(const transcode_job *job, transcoder *s, const rusk_block_shape *shape,
                          size_t len_bytes, size_t n_patches, rusk_error *inner) {
    const uint8_t *data = (const uint8_t *)s->out.data;
    size_t n_stored = 0, n_again = 0;
    RUSK_TRY(rusk_block_patch_count(data, len_bytes, shape, &n_stored, inner));
    rusk_patch *patches =
        rusk_alloc_zero(job->w->alloc, RUSK_MEM_SCRATCH, n_stored, sizeof *patches);
    if (patches == NULL) {
        return rusk_fail_memory(inner, n_stored * sizeof *patches, "patches");
    }
    rusk_status status = rusk_block_decode(job->codec, job->tables, shape, data, len_bytes,
                                           s->again, shape->n_cols, patches, &n_again, inner);
    if (status == RUSK_OK &&
        (n_again != n_patches || memcmp(patches, s->patches, n_again * sizeof *patches) != 0 ||
         memcmp(s->again, s->symbols, (size_t)shape->n_rows * shape->n_cols) != 0)) {
        status = rusk_fail(inner, RUSK_INTERNAL, RUSK_NO_OFFSET,
                           "expected the symbols back that were coded by %s, found others",
                           job->codec->name);
    }
    rusk_alloc_put(job->w->alloc, patches);
    return status;
}

static rusk_status code_block(void *arg, uint32_t block, unsigned worker, rusk_error *inner) {
    const transcode_job *job = arg;
    transcoder *s = &job->workers[worker];
    const rusk_block_shape shape = rusk_weights_block_shape(job->t, block);
    static const uint8_t OVERREAD[RUSK_BLOCK_OVERREAD];
    size_t n_patches;
    RUSK_TRY(decode(job, block, worker, &n_patches, inner));
    rusk_strbuf_clear(&s->out);
    RUSK_TRY(rusk_block_encode(job->codec, job->tables, &shape, s->symbols, s->patches, n_patches,
                               &s->out, inner));
    const size_t len = s->out.len_bytes;
    rusk_strbuf_add(&s->out, OVERREAD, sizeof OVERREAD);
    uint8_t *copy = rusk_alloc_get(job->w->alloc, RUSK_MEM_SCRATCH, len);
    if (s->out.failed || copy == NULL) {
        rusk_alloc_put(job->w->alloc, copy);
        return rusk_fail_memory(inner, len, "a block");
    }
    memcpy(copy, s->out.data, len);
    job->blocks[block] = (rusk_weights_block){.data = copy, .len_bytes = len};
    return verify(job, s, &shape, len, n_patches, inner);
}

static rusk_status open_workers(transcode_job *job, unsigned n_workers, rusk_arena *arena,
                                rusk_error *err) {
    const rusk_weights_tensor *t = job->t;
    const size_t n_symbols = (size_t)t->block_rows * t->n_cols;
    job->workers = rusk_arena_get(arena, n_workers, sizeof *job->workers);
    job->blocks = rusk_arena_get(arena, t->n_blocks, sizeof *job->blocks);
    bool ok = job->workers != NULL && job->blocks != NULL;
    for (unsigned i = 0; ok && i < n_workers; i++) {
        transcoder *s = &job->workers[i];
        s->symbols = rusk_arena_get(arena, n_symbols, 1);
        s->again = rusk_arena_get(arena, n_symbols, 1);
        s->patches = rusk_arena_get(arena, t->block_patches_max, sizeof *s->patches);
        rusk_strbuf_init(&s->out, job->w->alloc, RUSK_MEM_SCRATCH);
        ok = s->symbols != NULL && s->again != NULL && s->patches != NULL;
    }
    return ok ? RUSK_OK : rusk_fail_memory(err, 2 * n_symbols, t->name);
}

static rusk_status make_tables(transcode_job *job, unsigned n_workers, rusk_error *err) {
    rusk_strbuf blob;
    rusk_hist *all = &job->workers[0].hist;
    for (unsigned i = 1; i < n_workers; i++) {
        for (size_t c = 0; c < RUSK_CODEC_CLASSES; c++) {
            for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
                all->count[c][s] += job->workers[i].hist.count[c][s];
            }
        }
    }
    rusk_strbuf_init(&blob, job->w->alloc, RUSK_MEM_TABLES);
    rusk_status status = job->codec->build_tables(all, &blob, err);
    if (status == RUSK_OK && blob.failed) {
        status = rusk_fail_memory(err, blob.len_bytes, "code tables");
    }
    if (status == RUSK_OK) {
        status = job->codec->open_tables(&job->tables, job->w->alloc, (const uint8_t *)blob.data,
                                         blob.len_bytes, err);
    }
    rusk_strbuf_finish(&blob);
    return status;
}

/* Puts the new blocks one after the other, in place of the old ones. */
static rusk_status replace_blocks(transcode_job *job, rusk_weights_tensor *t, rusk_error *err) {
    size_t total = RUSK_BLOCK_OVERREAD, n_patches = 0, most = 0;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        const rusk_block_shape shape = rusk_weights_block_shape(t, b);
        size_t n = 0;
        RUSK_TRY(
            rusk_block_patch_count(job->blocks[b].data, job->blocks[b].len_bytes, &shape, &n, err));
        n_patches += n;
        most = RUSK_MAX(most, n);
        total += job->blocks[b].len_bytes;
    }
    uint8_t *bytes = rusk_alloc_get(job->w->alloc, RUSK_MEM_WEIGHTS, total);
    if (bytes == NULL) {
        return rusk_fail_memory(err, total, t->name);
    }
    uint8_t *p = bytes;
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        const size_t len = job->blocks[b].len_bytes;
        memcpy(p, job->blocks[b].data, len);
        t->blocks[b] = (rusk_weights_block){.data = p, .len_bytes = len};
        p += len;
    }
    memset(p, 0, RUSK_BLOCK_OVERREAD);
    rusk_alloc_put(job->w->alloc, t->bytes);
    t->codec->close_tables(t->tables);
    t->bytes = bytes;
    t->bytes_total = total;
    t->codec = job->codec;
    t->tables = job->tables;
    t->source = NULL;
    t->n_patches = n_patches;
    t->block_patches_max = most;
    job->tables = NULL;
    return RUSK_OK;
}

static rusk_status run(transcode_job *job, rusk_weights_tensor *t, rusk_pool *pool,
                       rusk_arena *arena, rusk_error *err) {
    const unsigned n_workers = rusk_pool_size(pool);
    RUSK_TRY(open_workers(job, n_workers, arena, err));
    RUSK_TRY(rusk_weights_each_block(t, pool, count_block, job, arena, err));
    RUSK_TRY(make_tables(job, n_workers, err));
    RUSK_TRY(rusk_weights_each_block(t, pool, code_block, job, arena, err));
    return replace_blocks(job, t, err);
}

rusk_status rusk_weights_transcode(rusk_weights *w, rusk_weights_tensor *t, const rusk_codec *codec,
                                   rusk_pool *pool, rusk_error *err) {
    transcode_job job = {.w = w, .t = t, .codec = codec};
    rusk_arena arena;
    rusk_arena_init(&arena, w->alloc, RUSK_MEM_SCRATCH);
    rusk_status status = run(&job, t, pool, &arena, err);
    for (uint32_t b = 0; job.blocks != NULL && b < t->n_blocks; b++) {
        rusk_alloc_put(w->alloc, (void *)(uintptr_t)job.blocks[b].data);
    }
    for (unsigned i = 0; job.workers != NULL && i < rusk_pool_size(pool); i++) {
        if (job.workers[i].out.alloc != NULL) {
            rusk_strbuf_finish(&job.workers[i].out);
        }
    }
    if (job.tables != NULL) {
        codec->close_tables(job.tables);
    }
    rusk_arena_finish(&arena);
    return status;
}
