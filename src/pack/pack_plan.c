/* pack_plan.c - what is packed how: tensors in execution order, their blocks, and all the memory of
 * the job. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io.h"
#include "pack/pack_job.h"
#include "text/tokenizer.h"

rusk_status rusk_pack_progress(pack_job *job, const char *stage, uint64_t done, uint64_t total,
                               rusk_error *err) {
    const rusk_pack_options *o = job->options;
    if (o->progress != NULL && !o->progress(o->user, stage, done, total)) {
        return rusk_fail(err, RUSK_CANCELLED, RUSK_NO_OFFSET, "packing '%.200s' was cancelled",
                         job->source_path);
    }
    return RUSK_OK;
}

static void *arena_get(pack_job *job, size_t n, size_t size, rusk_error *err) {
    void *p = rusk_arena_get(&job->arena, n, size);
    if (p == NULL) {
        (void)rusk_fail_memory(err, n * size, "packing");
    }
    return p;
}

/* A tensor's roles as the container writes them: two where it is tied. */
static void set_roles(pack_tensor *t, const rusk_model_desc *desc, rusk_role role) {
    bool tied = role == RUSK_ROLE_OUTPUT_HEAD && desc->tied_head;
    snprintf(t->roles, sizeof t->roles, "%s%s%s",
             tied ? rusk_role_text(RUSK_ROLE_TOKEN_EMBEDDING) : "", tied ? "," : "",
             rusk_role_text(role));
}

static rusk_status plan_tensor(pack_job *job, pack_tensor *t, uint32_t slot, size_t index,
                               rusk_error *err) {
    rusk_role role = (rusk_role)(slot % RUSK_ROLES);
    const rusk_source_tensor *s = &job->source->tensors[index];
    t->index = index;
    t->source = s;
    t->coded = rusk_role_is_matrix(role);
    set_roles(t, &job->desc, role);
    job->n_parameters += s->n_rows * s->n_cols;
    if (s->n_rows > UINT32_MAX / 2 || s->n_cols > UINT32_MAX / 2) {
        return rusk_fail(err, RUSK_LIMIT, s->offset, "tensor '%.100s': too large", s->name);
    }
    t->n_rows = (uint32_t)s->n_rows;
    t->n_cols = (uint32_t)s->n_cols;
    if (!t->coded) {
        return RUSK_OK;
    }
    t->allocation = rusk_allocate_find(t->roles);
    t->importance = rusk_allocate_importance(t->allocation, (float)job->desc.n_heads /
                                                                (float)job->desc.n_kv_heads);
    t->block_rows = rusk_codec_block_rows(t->n_rows, t->n_cols);
    t->n_blocks = (t->n_rows + t->block_rows - 1) / t->block_rows;
    job->n_coded += (uint64_t)t->n_rows * t->n_cols;
    job->n_rows += t->n_rows;
    job->n_blocks += t->n_blocks;
    t->rate = arena_get(job, 1, sizeof *t->rate, err);
    t->stats = arena_get(job, t->n_rows, sizeof *t->stats, err);
    t->scales = arena_get(job, t->n_rows, sizeof *t->scales, err);
    t->classes = arena_get(job, t->n_rows, sizeof *t->classes, err);
    return t->rate != NULL && t->stats != NULL && t->scales != NULL && t->classes != NULL
               ? RUSK_OK
               : RUSK_NO_MEMORY;
}

static rusk_status plan_tensors(pack_job *job, rusk_error *err) {
    uint32_t n_slots = rusk_desc_n_slots(&job->desc);
    int32_t *map = arena_get(job, n_slots, sizeof *map, err);
    uint32_t *order = arena_get(job, n_slots, sizeof *order, err);
    if (map == NULL || order == NULL) {
        return RUSK_NO_MEMORY;
    }
    RUSK_TRY(rusk_model_map(&job->desc, job->source, map, err));
    size_t n = rusk_model_order(&job->desc, map, order);
    job->tensors = arena_get(job, n, sizeof *job->tensors, err);
    if (job->tensors == NULL) {
        return RUSK_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        rusk_strbuf_init(&job->tensors[i].table, &job->alloc, RUSK_MEM_TABLES);
    }
    job->n_tensors = n;
    for (size_t i = 0; i < n; i++) {
        RUSK_TRY(plan_tensor(job, &job->tensors[i], order[i], (size_t)map[order[i]], err));
    }
    return RUSK_OK;
}

static rusk_status make_workers(pack_job *job, rusk_error *err) {
    size_t weights = 1, rows = 1, stored = 1;
    for (size_t i = 0; i < job->n_tensors; i++) {
        const pack_tensor *t = &job->tensors[i];
        size_t n = t->coded ? t->block_rows : t->n_rows;
        rows = RUSK_MAX(rows, n);
        weights = RUSK_MAX(weights, n * t->n_cols);
        stored = RUSK_MAX(stored, n * (size_t)rusk_source_row_bytes(t->source));
    }
    RUSK_TRY(rusk_pool_create(&job->pool, &job->alloc, job->options->n_threads, err));
    job->n_workers = rusk_pool_size(job->pool);
    job->workers = arena_get(job, job->n_workers, sizeof *job->workers, err);
    if (job->workers == NULL) {
        return RUSK_NO_MEMORY;
    }
    for (unsigned i = 0; i < job->n_workers; i++) {
        pack_worker *w = &job->workers[i];
        w->rows = arena_get(job, weights, sizeof *w->rows, err);
        w->stored = arena_get(job, stored, 1, err);
        w->symbols = arena_get(job, weights, sizeof *w->symbols, err);
        w->patches = arena_get(job, weights, sizeof *w->patches, err);
        w->row_weights = arena_get(job, rows, sizeof *w->row_weights, err);
        w->unit_scales = arena_get(job, rows, sizeof *w->unit_scales, err);
        if (w->rows == NULL || w->stored == NULL || w->symbols == NULL || w->patches == NULL ||
            w->row_weights == NULL || w->unit_scales == NULL) {
            return RUSK_NO_MEMORY;
        }
    }
    job->n_slots = (size_t)job->n_workers * 4;
    job->slots = arena_get(job, job->n_slots, sizeof *job->slots, err);
    job->hist = arena_get(job, 1, sizeof *job->hist, err);
    job->counts = arena_get(job, 1, sizeof *job->counts, err);
    if (job->slots == NULL || job->hist == NULL || job->counts == NULL) {
        job->n_slots = 0;
        return RUSK_NO_MEMORY;
    }
    for (size_t i = 0; i < job->n_slots; i++) {
        rusk_strbuf_init(&job->slots[i].coded, &job->alloc, RUSK_MEM_SCRATCH);
    }
    return RUSK_OK;
}

static rusk_status read_texts(pack_job *job, rusk_error *err) {
    rusk_tokenizer *tokenizer;
    RUSK_TRY(rusk_tokenizer_from_source(&tokenizer, &job->alloc, job->source, err));
    rusk_status status = rusk_tokenizer_to_bytes(tokenizer, &job->tokenizer, err);
    rusk_tokenizer_destroy(tokenizer);
    RUSK_TRY(status);
    return rusk_source_text(job->source, "tokenizer.chat_template", &job->chat_template, err);
}

void rusk_pack_options_text(const pack_job *job, uint64_t size_bytes, double bits, char *text,
                            size_t cap_bytes) {
    char target[48];
    if (size_bytes > 0) {
        snprintf(target, sizeof target, "--size %llu", (unsigned long long)size_bytes);
    } else {
        snprintf(target, sizeof target, "--bits %g", bits);
    }
    snprintf(text, cap_bytes, "%s --quantizer %s --codec %s", target, job->quantizer->name,
             job->codec->name);
}

static rusk_status set_target(pack_job *job, rusk_error *err) {
    const rusk_pack_options *o = job->options;
    double bits = o->bits == 0 && o->size_bytes == 0 ? RUSK_PACK_DEFAULT_BITS : o->bits;
    if (!(bits >= 0) || !isfinite(bits)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "bits per weight: expected a positive number, found %g", bits);
    }
    if (bits > 0 && o->size_bytes > 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected bits per weight or a size as target, found both");
    }
    double bytes = bits * (double)job->n_parameters / 8;
    job->target_bytes = o->size_bytes > 0 ? o->size_bytes
                        : bytes < 0x1p62  ? (uint64_t)bytes
                                          : (uint64_t)1 << 62;
    rusk_pack_options_text(job, o->size_bytes, bits, job->options_text, sizeof job->options_text);
    return RUSK_OK;
}

static rusk_status find_parts(pack_job *job, rusk_error *err) {
    const char *quantizer = job->options->quantizer != NULL ? job->options->quantizer : "uniform";
    const char *codec = job->options->codec != NULL ? job->options->codec : "rans";
    char known[128] = "";
    job->quantizer = rusk_quantizer_find(quantizer);
    if (job->quantizer == NULL) {
        for (size_t i = 0; i < rusk_quantizer_count(); i++) {
            size_t n = strlen(known);
            snprintf(known + n, sizeof known - n, " %s", rusk_quantizer_at(i)->name);
        }
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "quantizer: expected one of%s, found '%.32s'", known, quantizer);
    }
    job->codec = rusk_codec_find(codec);
    if (job->codec == NULL) {
        for (size_t i = 0; i < rusk_codec_count(); i++) {
            size_t n = strlen(known);
            snprintf(known + n, sizeof known - n, " %s", rusk_codec_at(i)->name);
        }
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "codec: expected one of%s, found '%.32s'", known, codec);
    }
    return RUSK_OK;
}

rusk_status rusk_pack_job_open(pack_job *job, rusk_error *err) {
    RUSK_TRY(find_parts(job, err));
    RUSK_TRY(rusk_source_open(&job->source, &job->alloc, job->source_path, err));
    if (strcmp(job->source->format, "rusk") == 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "'%.200s': expected an unpacked model, found a .rusk file",
                         job->source_path);
    }
    if (rusk_same_file(job->source_path, job->out_path)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "'%.200s': expected another file as output, found the source",
                         job->out_path);
    }
    RUSK_TRY(rusk_model_describe(&job->desc, job->source, err));
    RUSK_TRY(plan_tensors(job, err));
    RUSK_TRY(set_target(job, err));
    /* an output that cannot be written shows before the work, not after it */
    RUSK_TRY(rusk_container_writer_create(&job->writer, &job->alloc, job->out_path, err));
    RUSK_TRY(read_texts(job, err));
    return make_workers(job, err);
}

void rusk_pack_job_finish(pack_job *job) {
    rusk_container_writer_discard(job->writer);
    for (size_t i = 0; i < job->n_slots; i++) {
        rusk_strbuf_finish(&job->slots[i].coded);
    }
    for (size_t i = 0; i < job->n_tensors; i++) {
        rusk_strbuf_finish(&job->tensors[i].table);
    }
    rusk_strbuf_finish(&job->tokenizer);
    rusk_pool_destroy(job->pool);
    rusk_source_close(job->source);
    rusk_arena_finish(&job->arena);
}
