#include "pack/export.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/fp.h"
#include "format/gguf.h"

typedef struct exporter {
    rusk_model *model;
    rusk_gguf_writer *writer;
    rusk_weights_reader *reader;
    rusk_weights_view view;
    uint32_t *slot_of; /* tensor of the source -> slot, UINT32_MAX: not used by the model */
    float *row;
    uint8_t *bytes;
    rusk_progress progress;
    void *user;
    uint64_t done, total; /* weights */
} exporter;

static rusk_dtype type_for(const rusk_source_tensor *t) {
    return t->n_dims == 1 ? RUSK_DTYPE_F32 : RUSK_DTYPE_F16;
}

static bool holds_key(const rusk_meta *metas, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(metas[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* The source's metadata, then the tokenizer's, then what describes this very file. */
static rusk_status write_metadata(exporter *e, rusk_arena *arena, rusk_error *err) {
    const rusk_source *source = e->model->source;
    rusk_meta *tokens = NULL;
    size_t n_tokens = 0;
    RUSK_TRY(rusk_tokenizer_to_meta(e->model->tokenizer, arena, &tokens, &n_tokens, err));
    rusk_meta own[2] = {{.key = "general.file_type", .type = RUSK_META_U32, .value.u = 1}};
    size_t n_own = 1;
    if (e->model->chat_template.data != NULL) {
        own[n_own++] = (rusk_meta){.key = "tokenizer.chat_template",
                                   .type = RUSK_META_STRING,
                                   .value.text = e->model->chat_template};
    }
    for (size_t i = 0; i < source->n_meta; i++) {
        const char *key = source->meta[i].key;
        bool stale = strcmp(key, "general.quantization_version") == 0 ||
                     strcmp(key, "general.alignment") == 0;
        if (!stale && !holds_key(tokens, n_tokens, key) && !holds_key(own, n_own, key)) {
            RUSK_TRY(rusk_gguf_writer_meta(e->writer, &source->meta[i], err));
        }
    }
    for (size_t i = 0; i < n_tokens; i++) {
        RUSK_TRY(rusk_gguf_writer_meta(e->writer, &tokens[i], err));
    }
    for (size_t i = 0; i < n_own; i++) {
        RUSK_TRY(rusk_gguf_writer_meta(e->writer, &own[i], err));
    }
    return RUSK_OK;
}

static rusk_status declare_tensors(exporter *e, rusk_error *err) {
    const rusk_source *source = e->model->source;
    for (size_t i = 0; i < source->n_tensors; i++) {
        const rusk_source_tensor *t = &source->tensors[i];
        RUSK_TRY(
            rusk_gguf_writer_tensor(e->writer, t->name, t->n_dims, t->shape, type_for(t), err));
        e->total += t->n_rows * t->n_cols;
    }
    return rusk_gguf_writer_begin_data(e->writer, err);
}

static rusk_status read_row(exporter *e, size_t tensor, uint64_t row, rusk_error *err) {
    const rusk_source *source = e->model->source;
    const rusk_source_tensor *t = &source->tensors[tensor];
    if (t->dtype->dtype != RUSK_DTYPE_SYM8) {
        return rusk_source_read_f32(source, tensor, row, 1, e->row, e->bytes, err);
    }
    if (e->slot_of[tensor] == UINT32_MAX) {
        return rusk_fail(err, RUSK_UNSUPPORTED, t->offset,
                         "tensor '%s': the model does not use it, so it cannot be decoded",
                         t->name);
    }
    return e->view.row(e->view.self, e->slot_of[tensor], (uint32_t)row, 0, e->row, err);
}

static rusk_status write_row(exporter *e, const rusk_source_tensor *t, uint64_t row,
                             rusk_error *err) {
    bool f32 = type_for(t) == RUSK_DTYPE_F32;
    for (uint64_t c = 0; c < t->n_cols; c++) {
        if (f32) {
            rusk_store_f32(e->bytes + c * 4, e->row[c]);
            continue;
        }
        uint16_t half = rusk_f16_from_f32(e->row[c]);
        if (isinf(rusk_f32_from_f16(half)) && !isinf(e->row[c])) {
            return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                             "tensor '%s', row %llu, column %llu: expected a weight that F16 can "
                             "hold, found %g",
                             t->name, (unsigned long long)row, (unsigned long long)c,
                             (double)e->row[c]);
        }
        rusk_store_u16(e->bytes + c * 2, half);
    }
    return rusk_gguf_writer_write(e->writer, e->bytes, (size_t)t->n_cols * (f32 ? 4 : 2), err);
}

static rusk_status write_tensor(exporter *e, size_t tensor, rusk_error *err) {
    const rusk_source_tensor *t = &e->model->source->tensors[tensor];
    for (uint64_t row = 0; row < t->n_rows; row++) {
        if (row % 256 == 0 && e->progress != NULL &&
            !e->progress(e->user, "export", e->done, e->total)) {
            return rusk_fail(err, RUSK_CANCELLED, RUSK_NO_OFFSET, "cancelled in tensor '%s'",
                             t->name);
        }
        RUSK_TRY(read_row(e, tensor, row, err));
        RUSK_TRY(write_row(e, t, row, err));
        e->done += t->n_cols;
    }
    return RUSK_OK;
}

static rusk_status prepare(exporter *e, rusk_arena *arena, rusk_error *err) {
    rusk_model *model = e->model;
    const rusk_source *source = model->source;
    uint64_t widest = 1;
    for (size_t i = 0; i < source->n_tensors; i++) {
        widest = RUSK_MAX(widest, source->tensors[i].n_cols);
    }
    e->slot_of = rusk_arena_get(arena, source->n_tensors, sizeof *e->slot_of);
    e->row = rusk_arena_get(arena, (size_t)widest, sizeof *e->row);
    e->bytes = rusk_arena_get(arena, (size_t)widest, sizeof(float));
    if (e->slot_of == NULL || e->row == NULL || e->bytes == NULL) {
        return rusk_fail_memory(err, (size_t)widest * sizeof(float), "a row");
    }
    memset(e->slot_of, 0xFF, source->n_tensors * sizeof *e->slot_of);
    for (uint32_t slot = 0; slot < rusk_desc_n_slots(&model->desc); slot++) {
        if (model->map[slot] >= 0) {
            e->slot_of[model->map[slot]] = slot;
        }
    }
    RUSK_TRY(rusk_weights_reader_create(&e->reader, &model->alloc, model->weights, 1, err));
    e->view = rusk_weights_reader_view(e->reader);
    return RUSK_OK;
}

static rusk_status write_all(exporter *e, rusk_arena *arena, rusk_error *err) {
    RUSK_TRY(write_metadata(e, arena, err));
    RUSK_TRY(declare_tensors(e, err));
    for (size_t i = 0; i < e->model->source->n_tensors; i++) {
        RUSK_TRY(write_tensor(e, i, err));
    }
    if (e->progress != NULL) {
        (void)e->progress(e->user, "export", e->total, e->total);
    }
    return RUSK_OK;
}

rusk_status rusk_export_run(rusk_model *model, const char *path, rusk_progress progress, void *user,
                            rusk_error *err) {
    if (model->vocab_only) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a model with weights, found one opened with vocab_only");
    }
    exporter e = {.model = model, .progress = progress, .user = user};
    rusk_arena arena;
    rusk_arena_init(&arena, &model->alloc, RUSK_MEM_SCRATCH);
    rusk_status status = prepare(&e, &arena, err);
    if (status == RUSK_OK) {
        status = rusk_gguf_writer_create(&e.writer, &model->alloc, path, err);
    }
    if (status == RUSK_OK) {
        status = write_all(&e, &arena, err);
        if (status == RUSK_OK) {
            status = rusk_gguf_writer_commit(e.writer, err);
        } else {
            rusk_gguf_writer_discard(e.writer);
        }
    }
    rusk_weights_reader_destroy(e.reader);
    rusk_arena_finish(&arena);
    return status;
}
