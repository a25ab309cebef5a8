#include "runtime/engine.h"

#include <string.h>

#include "format/container.h"

static bool is_container(const rusk_source *source) {
    return strcmp(source->format, "rusk") == 0;
}

rusk_status rusk_engine_tokenizer(rusk_tokenizer **out, rusk_alloc *alloc,
                                  const rusk_source *source, rusk_error *err) {
    *out = NULL;
    if (!is_container(source)) {
        return rusk_tokenizer_from_source(out, alloc, source, err);
    }
    size_t len = 0;
    const uint8_t *data = rusk_container_get_section(source, "TOKN", &len);
    if (data == NULL) {
        return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                         "'%s': expected a tokenizer (section TOKN), found none", source->path);
    }
    return rusk_tokenizer_from_bytes(out, alloc, data, len, err);
}

rusk_status rusk_engine_chat_template(const rusk_source *source, rusk_text *text, rusk_error *err) {
    if (!is_container(source)) {
        return rusk_source_text(source, "tokenizer.chat_template", text, err);
    }
    text->data = (const char *)rusk_container_get_section(source, "CHAT", &text->len_bytes);
    return RUSK_OK;
}

uint64_t rusk_engine_count_parameters(const rusk_source *source) {
    uint64_t n = 0;
    for (size_t i = 0; i < source->n_tensors; i++) {
        n += source->tensors[i].n_rows * source->tensors[i].n_cols;
    }
    return n;
}

/* 1.3 x the file + 64 MB: room to hold small models decoded, while large ones stay near their size.
 */
static uint64_t default_budget(uint64_t file_bytes) {
    return file_bytes + file_bytes / 10 * 3 + 64000000U;
}

/* The policy for coded tensors: in which form they are held, and how many bytes that may take.
 * "raw" is what is fastest without entropy coding. That is a byte a weight (the hot tier), not the
 * codec's own packed fields: see docs/decisions/0004. */
static rusk_status choose_form(rusk_weights_options *out, const rusk_model_options *options,
                               uint64_t file_bytes, rusk_error *err) {
    *out = (rusk_weights_options){.budget_bytes = options->weights_bytes};
    if (options->codec == NULL) {
        out->instead_of_storage = rusk_codec_find("a16r");
        out->budget_bytes =
            options->weights_bytes != 0 ? options->weights_bytes : default_budget(file_bytes);
    } else if (strcmp(options->codec, "raw") == 0) {
        out->budget_bytes = options->weights_bytes != 0 ? options->weights_bytes : UINT64_MAX;
    } else {
        out->codec = rusk_codec_find(options->codec);
        if (out->codec == NULL) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "expected a codec of this library, found '%.100s'", options->codec);
        }
    }
    return RUSK_OK;
}

static rusk_status load_weights(rusk_model *model, const rusk_model_options *options,
                                rusk_error *err) {
    RUSK_TRY(rusk_model_describe(&model->desc, model->source, err));
    uint32_t n_tokens = rusk_tokenizer_vocab(model->tokenizer)->n_tokens;
    if (n_tokens > model->desc.n_vocab) {
        return rusk_fail(
            err, RUSK_FORMAT, RUSK_NO_OFFSET,
            "'%s': the vocabulary does not match the model: expected at most %u tokens "
            "(rows of the embedding), found %u",
            model->source->path, model->desc.n_vocab, n_tokens);
    }
    model->map = rusk_alloc_zero(&model->alloc, RUSK_MEM_METADATA, rusk_desc_n_slots(&model->desc),
                                 sizeof *model->map);
    if (model->map == NULL) {
        return rusk_fail_memory(err, rusk_desc_n_slots(&model->desc) * sizeof *model->map,
                                "the tensor map");
    }
    RUSK_TRY(rusk_model_map(&model->desc, model->source, model->map, err));
    rusk_weights_options weights;
    RUSK_TRY(choose_form(&weights, options, model->source->file_bytes, err));
    rusk_pool *pool;
    RUSK_TRY(rusk_pool_create(&pool, &model->alloc, options->n_threads, err));
    rusk_status status = rusk_weights_load(&model->weights, &model->alloc, model->source,
                                           &model->desc, model->map, &weights, pool, err);
    rusk_pool_destroy(pool);
    return status;
}

rusk_status rusk_engine_open(rusk_model **out, const char *path, const rusk_model_options *options,
                             rusk_error *err) {
    *out = NULL;
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, options->allocator);
    rusk_model *model = alloc.backend.alloc(alloc.backend.user, sizeof *model);
    if (model == NULL) {
        return rusk_fail_memory(err, sizeof *model, "a model");
    }
    memset(model, 0, sizeof *model);
    rusk_alloc_init(&model->alloc, options->allocator);
    model->vocab_only = options->vocab_only;
    rusk_status status = rusk_source_open(&model->source, &model->alloc, path, err);
    if (status == RUSK_OK) {
        model->n_parameters = rusk_engine_count_parameters(model->source);
        status = rusk_engine_chat_template(model->source, &model->chat_template, err);
    }
    if (status == RUSK_OK) {
        status = rusk_engine_tokenizer(&model->tokenizer, &model->alloc, model->source, err);
    }
    if (status == RUSK_OK && !options->vocab_only) {
        status = load_weights(model, options, err);
    }
    if (status != RUSK_OK) {
        rusk_engine_close(model);
        return status;
    }
    *out = model;
    return RUSK_OK;
}

void rusk_engine_close(rusk_model *model) {
    if (model == NULL) {
        return;
    }
    rusk_weights_destroy(model->weights);
    rusk_alloc_put(&model->alloc, model->map);
    rusk_tokenizer_destroy(model->tokenizer);
    rusk_source_close(model->source);
    model->alloc.backend.free(model->alloc.backend.user, model);
}
