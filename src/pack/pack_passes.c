/* pack_passes.c - the passes over the source: hash, measure, count, code. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/io.h"
#include "pack/pack_job.h"

enum { HASH_PIECE = 1 << 20, SAMPLE_ROWS = 64, BLOCK_INDEX_BYTES = 12, TABLE_INDEX_BYTES = 4 };

rusk_status rusk_pack_hash(pack_job *job, rusk_error *err) {
    rusk_input in;
    rusk_hash128 hash;
    rusk_hash128_init(&hash);
    void *buf = rusk_alloc_get(&job->alloc, RUSK_MEM_SCRATCH, HASH_PIECE);
    if (buf == NULL) {
        return rusk_fail_memory(err, HASH_PIECE, "reading the source");
    }
    rusk_status status = rusk_input_open(&in, &job->alloc, job->source_path, err);
    if (status == RUSK_OK) {
        for (uint64_t at = 0; status == RUSK_OK && at < in.size_bytes;) {
            size_t n = (size_t)RUSK_MIN(in.size_bytes - at, (uint64_t)HASH_PIECE);
            status = rusk_input_read(&in, at, buf, n, err);
            if (status == RUSK_OK) {
                rusk_hash128_add(&hash, buf, n);
                at += n;
                status = rusk_pack_progress(job, "hash", at, in.size_bytes, err);
            }
        }
        rusk_input_close(&in);
    }
    rusk_hash128_end(&hash, job->source_hash);
    rusk_alloc_put(&job->alloc, buf);
    return status;
}

/* --- what all passes share --- */

typedef struct block_range {
    uint32_t row0, n_rows;
} block_range;

static block_range range_of(const pack_tensor *t, size_t block) {
    uint32_t row0 = (uint32_t)block * t->block_rows;
    return (block_range){row0, RUSK_MIN(t->block_rows, t->n_rows - row0)};
}

static rusk_quant_stats stats_of(const pack_tensor *t, uint32_t row0, uint32_t n_rows,
                                 float *row_weights) {
    rusk_quant_stats stats = {.importance = t->importance};
    rusk_allocate_rows rows = {.n_total = t->n_rows,
                               .mean_rms = t->mean_rms,
                               .row0 = row0,
                               .n = n_rows,
                               .stats = t->stats + row0};
    if (rusk_allocate_row_weights(t->allocation, &rows, row_weights)) {
        stats.row_weight = row_weights;
    }
    return stats;
}

typedef rusk_status (*block_work)(pack_job *job, pack_tensor *t, block_range range,
                                  pack_worker *worker, pack_slot *slot, rusk_error *err);

typedef struct wave {
    pack_job *job;
    pack_tensor *tensor;
    block_work work;
    size_t first; /* block of slot 0 */
} wave;

static void run_block(void *arg, size_t index, unsigned worker) {
    wave *v = arg;
    pack_slot *slot = &v->job->slots[index];
    pack_worker *w = &v->job->workers[worker];
    block_range range = range_of(v->tensor, v->first + index);
    slot->status = rusk_source_read_f32(v->job->source, v->tensor->index, range.row0, range.n_rows,
                                        w->rows, w->stored, &slot->err);
    if (slot->status == RUSK_OK) {
        slot->status = v->work(v->job, v->tensor, range, w, slot, &slot->err);
    }
}

static rusk_status fail_in(const pack_tensor *t, rusk_status status, const rusk_error *inner,
                           rusk_error *err) {
    return rusk_fail(err, status, inner->offset, "tensor '%.100s': %s", t->source->name,
                     inner->message);
}

/* Writes the blocks of a wave in their order; NULL where a pass writes nothing. */
typedef rusk_status (*wave_end)(pack_job *job, const pack_slot *slots, size_t n, rusk_error *err);

static rusk_status run_tensor(pack_job *job, pack_tensor *t, const char *stage, block_work work,
                              wave_end end, rusk_error *err) {
    for (size_t first = 0; first < t->n_blocks; first += job->n_slots) {
        size_t n = RUSK_MIN(job->n_slots, t->n_blocks - first);
        wave v = {.job = job, .tensor = t, .work = work, .first = first};
        rusk_pool_run(job->pool, run_block, &v, n);
        for (size_t i = 0; i < n; i++) {
            if (job->slots[i].status != RUSK_OK) {
                return rusk_fail(err, job->slots[i].status, job->slots[i].err.offset,
                                 "tensor '%.100s': %s", t->source->name, job->slots[i].err.message);
            }
        }
        if (end != NULL) {
            RUSK_TRY(end(job, job->slots, n, err));
        }
        for (size_t i = 0; i < n; i++) {
            job->progress_done += (uint64_t)range_of(t, first + i).n_rows * t->n_cols;
        }
        RUSK_TRY(rusk_pack_progress(job, stage, job->progress_done, job->n_coded, err));
    }
    return RUSK_OK;
}

static rusk_status begin_stage(pack_job *job, const char *stage, rusk_error *err) {
    job->progress_done = 0;
    return rusk_pack_progress(job, stage, 0, job->n_coded, err);
}

/* --- measure --- */

/* The mean is wanted before the pass: from up to SAMPLE_ROWS rows, evenly spread. */
static rusk_status sample_width(pack_job *job, pack_tensor *t, rusk_error *err) {
    uint32_t n = RUSK_MIN(t->n_rows, (uint32_t)SAMPLE_ROWS), n_used = 0;
    double logs = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = (uint32_t)((uint64_t)i * t->n_rows / n);
        pack_worker *w = &job->workers[0];
        rusk_row_stats stats;
        RUSK_TRY(rusk_source_read_f32(job->source, t->index, row, 1, w->rows, w->stored, err));
        RUSK_TRY(job->quantizer->measure(w->rows, row, 1, t->n_cols, &stats, err));
        if (stats.rms > 0) {
            logs += log((double)stats.rms);
            n_used++;
        }
    }
    t->mean_rms = n_used > 0 ? (float)exp(logs / n_used) : 0;
    return RUSK_OK;
}

static rusk_status measure_block(pack_job *job, pack_tensor *t, block_range range,
                                 pack_worker *worker, pack_slot *slot, rusk_error *err) {
    (void)slot;
    rusk_row_stats *stats = t->stats + range.row0;
    RUSK_TRY(
        job->quantizer->measure(worker->rows, range.row0, range.n_rows, t->n_cols, stats, err));
    rusk_quant_stats q = stats_of(t, range.row0, range.n_rows, worker->row_weights);
    job->quantizer->scales(stats, range.n_rows, 1.0F, &q, worker->unit_scales);
    for (uint32_t r = 0; r < range.n_rows; r++) {
        rusk_rate_add(&worker->rate, worker->rows + (size_t)r * t->n_cols, t->n_cols,
                      worker->unit_scales[r]);
    }
    return RUSK_OK;
}

rusk_status rusk_pack_measure(pack_job *job, rusk_error *err) {
    RUSK_TRY(begin_stage(job, "measure", err));
    for (size_t i = 0; i < job->n_tensors; i++) {
        pack_tensor *t = &job->tensors[i];
        if (!t->coded) {
            continue;
        }
        for (unsigned w = 0; w < job->n_workers; w++) {
            memset(&job->workers[w].rate, 0, sizeof job->workers[w].rate);
        }
        rusk_error inner;
        rusk_status status = sample_width(job, t, &inner);
        if (status != RUSK_OK) {
            return fail_in(t, status, &inner, err);
        }
        RUSK_TRY(run_tensor(job, t, "measure", measure_block, NULL, err));
        for (unsigned w = 0; w < job->n_workers; w++) {
            rusk_rate_merge(t->rate, &job->workers[w].rate);
        }
    }
    return RUSK_OK;
}

/* --- count --- */

static rusk_status quantize_block(pack_job *job, const pack_tensor *t, block_range range,
                                  pack_worker *worker, rusk_quant_out *out, rusk_error *err) {
    *out = (rusk_quant_out){.symbols = worker->symbols,
                            .patches = worker->patches,
                            .cap_patches = (size_t)range.n_rows * t->n_cols};
    rusk_quant_stats q = stats_of(t, range.row0, range.n_rows, worker->row_weights);
    return job->quantizer->quantize(worker->rows, range.n_rows, t->n_cols, t->scales + range.row0,
                                    &q, out, err);
}

static rusk_status count_block(pack_job *job, pack_tensor *t, block_range range,
                               pack_worker *worker, pack_slot *slot, rusk_error *err) {
    (void)slot;
    rusk_quant_out out;
    RUSK_TRY(quantize_block(job, t, range, worker, &out, err));
    for (uint32_t r = 0; r < range.n_rows; r++) {
        rusk_classes_count(&worker->counts, t->classes[range.row0 + r],
                           worker->symbols + (size_t)r * t->n_cols, t->n_cols);
    }
    worker->n_patches += out.n_patches;
    return RUSK_OK;
}

static void set_scales(pack_job *job, pack_tensor *t, float step) {
    for (uint32_t row0 = 0; row0 < t->n_rows; row0 += t->block_rows) {
        uint32_t n = RUSK_MIN(t->block_rows, t->n_rows - row0);
        rusk_quant_stats q = stats_of(t, row0, n, job->workers[0].row_weights);
        job->quantizer->scales(t->stats + row0, n, step, &q, t->scales + row0);
    }
    rusk_container_round_scales(t->scales, t->n_rows);
    rusk_classes_bins(t->stats, t->scales, t->n_rows, t->classes);
}

static rusk_status make_classes(pack_job *job, pack_tensor *t, rusk_error *err) {
    memset(job->counts, 0, sizeof *job->counts);
    t->n_patches = 0;
    for (unsigned w = 0; w < job->n_workers; w++) {
        t->n_patches += job->workers[w].n_patches;
        for (size_t b = 0; b < RUSK_CLASS_BINS; b++) {
            for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
                job->counts->count[b][s] += job->workers[w].counts.count[b][s];
            }
        }
    }
    uint8_t class_of_bin[RUSK_CLASS_BINS];
    (void)rusk_classes_merge(job->counts, RUSK_PACK_TABLE_BITS, class_of_bin);
    rusk_hist_clear(job->hist);
    for (size_t b = 0; b < RUSK_CLASS_BINS; b++) {
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
            job->hist->count[class_of_bin[b]][s] += job->counts->count[b][s];
        }
    }
    for (uint32_t r = 0; r < t->n_rows; r++) {
        t->classes[r] = class_of_bin[t->classes[r]];
    }
    t->entropy_bits = rusk_hist_bits(job->hist);
    t->cost_bits = job->codec->cost_bits(job->hist);
    rusk_strbuf_clear(&t->table);
    return job->codec->build_tables(job->hist, &t->table, err);
}

rusk_status rusk_pack_count(pack_job *job, float step, rusk_error *err) {
    RUSK_TRY(begin_stage(job, "count", err));
    for (size_t i = 0; i < job->n_tensors; i++) {
        pack_tensor *t = &job->tensors[i];
        if (!t->coded) {
            continue;
        }
        set_scales(job, t, step);
        for (unsigned w = 0; w < job->n_workers; w++) {
            memset(&job->workers[w].counts, 0, sizeof job->workers[w].counts);
            job->workers[w].n_patches = 0;
        }
        RUSK_TRY(run_tensor(job, t, "count", count_block, NULL, err));
        RUSK_TRY(make_classes(job, t, err));
    }
    return RUSK_OK;
}

/* --- code --- */

static rusk_status code_block(pack_job *job, pack_tensor *t, block_range range, pack_worker *worker,
                              pack_slot *slot, rusk_error *err) {
    rusk_quant_out out;
    RUSK_TRY(quantize_block(job, t, range, worker, &out, err));
    rusk_block_shape shape = {
        .n_rows = range.n_rows, .n_cols = t->n_cols, .row_classes = t->classes + range.row0};
    rusk_strbuf_clear(&slot->coded);
    return rusk_block_encode(job->codec, job->tables, &shape, worker->symbols, worker->patches,
                             out.n_patches, &slot->coded, err);
}

static rusk_status write_blocks(pack_job *job, const pack_slot *slots, size_t n, rusk_error *err) {
    for (size_t i = 0; i < n; i++) {
        RUSK_TRY(rusk_container_writer_block(job->writer, slots[i].coded.data,
                                             slots[i].coded.len_bytes, err));
        job->coded_bytes += slots[i].coded.len_bytes + BLOCK_INDEX_BYTES;
    }
    return RUSK_OK;
}

static rusk_status begin_tensor(pack_job *job, const pack_tensor *t, rusk_error *err) {
    rusk_container_tensor c = {
        .name = t->source->name,
        .roles = t->roles,
        .n_dims = t->source->n_dims,
        .dtype = t->coded ? RUSK_DTYPE_SYM8 : RUSK_DTYPE_F32,
        .source_dtype = t->source->dtype->dtype,
        .codec = t->coded ? job->codec->name : "none",
        .quantizer = t->coded ? job->quantizer->name : "",
        .symbol_offset = t->coded ? job->quantizer->symbol_offset : 0,
        .block_rows = t->block_rows,
        .row_scales = t->scales,
        .row_classes = t->classes,
        .tables = (const uint8_t *)t->table.data,
        .tables_bytes = t->table.len_bytes,
    };
    memcpy(c.shape, t->source->shape, sizeof c.shape);
    return rusk_container_writer_begin_tensor(job->writer, &c, err);
}

static rusk_status code_tensor(pack_job *job, pack_tensor *t, rusk_error *err) {
    RUSK_TRY(job->codec->open_tables(&job->tables, &job->alloc, (const uint8_t *)t->table.data,
                                     t->table.len_bytes, err));
    rusk_status status = run_tensor(job, t, "code", code_block, write_blocks, err);
    job->codec->close_tables(job->tables);
    job->tables = NULL;
    job->coded_bytes += t->table.len_bytes + TABLE_INDEX_BYTES;
    return status;
}

static rusk_status write_vector(pack_job *job, const pack_tensor *t, rusk_error *err) {
    pack_worker *w = &job->workers[0];
    RUSK_TRY(rusk_source_read_f32(job->source, t->index, 0, t->n_rows, w->rows, w->stored, err));
    size_t n = (size_t)t->n_rows * t->n_cols;
    uint8_t *bytes = (uint8_t *)w->patches; /* a patch is wider than a float */
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(w->rows[i])) {
            return rusk_fail(
                err, RUSK_FORMAT, t->source->offset,
                "tensor '%.100s': row %zu, column %zu: expected a finite value, found %f",
                t->source->name, i / t->n_cols, i % t->n_cols, (double)w->rows[i]);
        }
        rusk_store_f32(bytes + 4 * i, w->rows[i]);
    }
    return rusk_container_writer_block(job->writer, bytes, 4 * n, err);
}

rusk_status rusk_pack_code(pack_job *job, rusk_error *err) {
    RUSK_TRY(begin_stage(job, "code", err));
    job->coded_bytes = 0;
    for (size_t i = 0; i < job->n_tensors; i++) {
        pack_tensor *t = &job->tensors[i];
        RUSK_TRY(begin_tensor(job, t, err));
        RUSK_TRY(t->coded ? code_tensor(job, t, err) : write_vector(job, t, err));
        RUSK_TRY(rusk_container_writer_end_tensor(job->writer, err));
    }
    return RUSK_OK;
}
