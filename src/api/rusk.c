/* rusk.c - the public functions: arguments are checked here, the work is done in the rooms
 * below. */
#include "rusk.h"

#include <string.h>

#include "base/assert.h"
#include "eval/codec_speed.h"
#include "eval/inspect.h"
#include "eval/perplexity.h"
#include "pack/export.h"
#include "pack/pack.h"
#include "runtime/sampler.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define VERSION  TEXT(RUSK_VERSION_MAJOR) "." TEXT(RUSK_VERSION_MINOR) "." TEXT(RUSK_VERSION_PATCH)

const char *rusk_version(void) {
    return VERSION;
}

static rusk_status missing(rusk_error *err, const char *what) {
    return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET, "expected %s, found NULL", what);
}

/* A caller compiled against an older header has a shorter struct: what it does not know keeps its
 * default. `own` holds the defaults; `given` may be NULL. */
static rusk_status take_options(void *own, size_t own_bytes, const void *given, rusk_error *err) {
    size_t given_bytes = own_bytes;
    if (given == NULL) {
        return RUSK_OK;
    }
    memcpy(&given_bytes, given, sizeof given_bytes);
    if (given_bytes < sizeof given_bytes || given_bytes > 65536) {
        return rusk_fail(
            err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
            "expected options made by an *_options_default function, found struct_size "
            "%zu",
            given_bytes);
    }
    memcpy(own, given, RUSK_MIN(given_bytes, own_bytes));
    return RUSK_OK;
}

/* --- files ------------------------------------------------------------------------------------ */

struct rusk_file {
    rusk_alloc alloc;
    rusk_source *source;
};

rusk_status rusk_file_open(rusk_file **out, const char *path, const rusk_allocator *allocator,
                           rusk_error *err) {
    if (out == NULL || path == NULL) {
        return missing(err, "a place for the file and a path");
    }
    *out = NULL;
    rusk_alloc alloc;
    rusk_alloc_init(&alloc, allocator);
    rusk_file *file = alloc.backend.alloc(alloc.backend.user, sizeof *file);
    if (file == NULL) {
        return rusk_fail_memory(err, sizeof *file, "a file");
    }
    rusk_alloc_init(&file->alloc, allocator);
    rusk_status status = rusk_source_open(&file->source, &file->alloc, path, err);
    if (status != RUSK_OK) {
        file->alloc.backend.free(file->alloc.backend.user, file);
        return status;
    }
    *out = file;
    return RUSK_OK;
}

void rusk_file_close(rusk_file *file) {
    if (file != NULL) {
        rusk_source_close(file->source);
        file->alloc.backend.free(file->alloc.backend.user, file);
    }
}

static const char *meta_text(const rusk_source *source, const char *key) {
    rusk_text text = {.data = NULL};
    return rusk_source_text(source, key, &text, NULL) == RUSK_OK && text.data != NULL ? text.data
                                                                                      : "";
}

void rusk_file_get_info(const rusk_file *file, rusk_file_info *info) {
    const rusk_source *s = file->source;
    uint64_t n = rusk_engine_count_parameters(s);
    *info = (rusk_file_info){.path = s->path,
                             .format = s->format,
                             .format_version = s->format_version,
                             .architecture = meta_text(s, "general.architecture"),
                             .file_bytes = s->file_bytes,
                             .n_parameters = n,
                             .bits_per_weight = n > 0 ? 8 * (double)s->file_bytes / (double)n : 0,
                             .n_tensors = s->n_tensors,
                             .n_metadata = s->n_meta};
}

static rusk_status check_index(size_t index, size_t n, const char *what, rusk_error *err) {
    if (index >= n) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a %s index below %zu, found %zu", what, n, index);
    }
    return RUSK_OK;
}

rusk_status rusk_file_get_tensor(const rusk_file *file, size_t index, rusk_tensor_info *info,
                                 rusk_error *err) {
    RUSK_TRY(check_index(index, file->source->n_tensors, "tensor", err));
    const rusk_source_tensor *t = &file->source->tensors[index];
    double n = (double)t->n_rows * (double)t->n_cols;
    *info = (rusk_tensor_info){.name = t->name,
                               .role = t->role,
                               .n_dims = t->n_dims,
                               .type = t->dtype->name,
                               .codec = t->codec,
                               .bytes = t->bytes,
                               .bits_per_weight = n > 0 ? 8 * (double)t->bytes / n : 0};
    memcpy(info->shape, t->shape, sizeof info->shape);
    return RUSK_OK;
}

rusk_status rusk_file_get_metadata(const rusk_file *file, size_t index, const char **key, char *buf,
                                   size_t cap_bytes, rusk_error *err) {
    RUSK_TRY(check_index(index, file->source->n_meta, "metadata", err));
    *key = file->source->meta[index].key;
    rusk_meta_print(&file->source->meta[index], buf, cap_bytes);
    return RUSK_OK;
}

rusk_status rusk_file_tensor_entropy(const rusk_file *file, size_t index, double *bits,
                                     rusk_error *err) {
    rusk_tensor_coding coding;
    RUSK_TRY(check_index(index, file->source->n_tensors, "tensor", err));
    RUSK_TRY(rusk_inspect_coding(file->source, index, &coding, err));
    *bits = coding.entropy_bits;
    return RUSK_OK;
}

rusk_status rusk_file_tensor_coding(const rusk_file *file, size_t index, rusk_tensor_coding *coding,
                                    rusk_error *err) {
    RUSK_TRY(check_index(index, file->source->n_tensors, "tensor", err));
    return rusk_inspect_coding(file->source, index, coding, err);
}

/* --- models ----------------------------------------------------------------------------------- */

const char *rusk_codec_name(size_t index) {
    const rusk_codec *codec = rusk_codec_at(index);
    return codec != NULL ? codec->name : NULL;
}

void rusk_model_options_default(rusk_model_options *options) {
    *options = (rusk_model_options){.struct_size = sizeof *options};
}

rusk_status rusk_model_open(rusk_model **out, const char *path, const rusk_model_options *options,
                            rusk_error *err) {
    if (out == NULL || path == NULL) {
        return missing(err, "a place for the model and a path");
    }
    *out = NULL;
    rusk_model_options o;
    rusk_model_options_default(&o);
    RUSK_TRY(take_options(&o, sizeof o, options, err));
    return rusk_engine_open(out, path, &o, err);
}

void rusk_model_close(rusk_model *model) {
    rusk_engine_close(model);
}

void rusk_model_get_info(const rusk_model *model, rusk_model_info *info) {
    const rusk_model_desc *d = &model->desc;
    rusk_weights_usage usage = {0};
    if (model->weights != NULL) {
        rusk_weights_get_usage(model->weights, &usage);
    }
    *info = (rusk_model_info){.architecture = meta_text(model->source, "general.architecture"),
                              .name = meta_text(model->source, "general.name"),
                              .n_layers = d->n_layers,
                              .n_embd = d->n_embd,
                              .n_heads = d->n_heads,
                              .n_kv_heads = d->n_kv_heads,
                              .n_vocab = model->vocab_only
                                             ? rusk_tokenizer_vocab(model->tokenizer)->n_tokens
                                             : d->n_vocab,
                              .n_ctx_train = d->n_ctx_train,
                              .n_parameters = model->n_parameters,
                              .file_bytes = model->source->file_bytes,
                              .weights_bytes = usage.stored_bytes + usage.hot_bytes +
                                               usage.warm_bytes + usage.vector_bytes,
                              .weights_stored_bytes = usage.stored_bytes,
                              .weights_hot_bytes = usage.hot_bytes,
                              .weights_warm_bytes = usage.warm_bytes,
                              .weights_vector_bytes = usage.vector_bytes,
                              .weights_codec = usage.codec != NULL ? usage.codec : "",
                              .has_chat_template = model->chat_template.data != NULL};
}

void rusk_model_get_memory(const rusk_model *model, rusk_memory_usage *usage) {
    rusk_alloc_usage(&model->alloc, usage);
}

rusk_status rusk_model_export_gguf(rusk_model *model, const char *path, rusk_progress progress,
                                   void *user, rusk_error *err) {
    if (model == NULL || path == NULL) {
        return missing(err, "a model and a path");
    }
    return rusk_export_run(model, path, progress, user, err);
}

/* --- text ------------------------------------------------------------------------------------- */

rusk_status rusk_tokenize(const rusk_model *model, const char *text, size_t len_bytes,
                          uint32_t flags, int32_t *ids, size_t cap, size_t *n, rusk_error *err) {
    if (model == NULL || n == NULL || (text == NULL && len_bytes > 0) || (ids == NULL && cap > 0)) {
        return missing(err, "a model, a text, a place for ids and for their number");
    }
    return rusk_tokenizer_encode(model->tokenizer, text, len_bytes, flags, ids, cap, n, err);
}

const char *rusk_token_text(const rusk_model *model, int32_t id, bool special, size_t *len_bytes) {
    return rusk_tokenizer_text(model->tokenizer, id, special, len_bytes);
}

bool rusk_token_is_end(const rusk_model *model, int32_t id) {
    return rusk_tokenizer_is_end(model->tokenizer, id);
}

int32_t rusk_token_bos(const rusk_model *model) {
    const rusk_vocab *vocab = rusk_tokenizer_vocab(model->tokenizer);
    return vocab->add_bos ? vocab->bos : RUSK_TOKEN_NONE;
}

rusk_status rusk_detokenizer_push(rusk_detokenizer *d, const rusk_model *model, int32_t id,
                                  char *buf, size_t cap_bytes, size_t *len_bytes, rusk_error *err) {
    return rusk_tokenizer_push(model->tokenizer, d, id, buf, cap_bytes, len_bytes, err);
}

void rusk_detokenizer_init(rusk_detokenizer *d) {
    *d = (rusk_detokenizer){.n_pending = 0};
}

size_t rusk_detokenizer_flush(rusk_detokenizer *d, char buf[RUSK_DETOKENIZER_CAP]) {
    return rusk_tokenizer_flush(d, buf);
}

rusk_status rusk_chat_format(const rusk_model *model, const rusk_chat_message *messages,
                             size_t n_messages, bool add_assistant, char *buf, size_t cap_bytes,
                             size_t *len_bytes, rusk_error *err) {
    if (model == NULL || messages == NULL || len_bytes == NULL) {
        return missing(err, "a model, messages and a place for the length");
    }
    *len_bytes = 0;
    if (model->chat_template.data == NULL) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "expected a model with a chat template, found none in '%s'",
                         model->source->path);
    }
    rusk_alloc alloc; /* an own one: the model's counters are for what it holds */
    rusk_strbuf out;
    rusk_alloc_init(&alloc, &model->alloc.backend);
    rusk_strbuf_init(&out, &alloc, RUSK_MEM_SCRATCH);
    rusk_status status = rusk_chat_layout(model->chat_template.data, model->chat_template.len_bytes,
                                          messages, n_messages, add_assistant, &out, err);
    if (status == RUSK_OK && out.failed) {
        status = rusk_fail_memory(err, out.len_bytes, "the conversation");
    }
    if (status == RUSK_OK) {
        *len_bytes = out.len_bytes;
        if (out.len_bytes > cap_bytes) {
            status = rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                               "expected room for %zu bytes of text, found %zu", out.len_bytes,
                               cap_bytes);
        } else if (out.len_bytes > 0) {
            memcpy(buf, out.data, out.len_bytes);
        }
    }
    rusk_strbuf_finish(&out);
    return status;
}

/* --- contexts --------------------------------------------------------------------------------- */

void rusk_context_options_default(rusk_context_options *options) {
    *options = (rusk_context_options){.struct_size = sizeof *options,
                                      .n_batch = 512,
                                      .n_seq_max = 1,
                                      .activations = RUSK_ACTIVATIONS_INT8,
                                      .cpu_mask = UINT32_MAX};
}

rusk_status rusk_context_create(rusk_context **out, rusk_model *model,
                                const rusk_context_options *options, rusk_error *err) {
    if (out == NULL || model == NULL) {
        return missing(err, "a place for the context and a model");
    }
    *out = NULL;
    rusk_context_options o;
    rusk_context_options_default(&o);
    RUSK_TRY(take_options(&o, sizeof o, options, err));
    return rusk_context_open(out, model, &o, err);
}

void rusk_context_destroy(rusk_context *ctx) {
    rusk_context_close(ctx);
}

rusk_status rusk_decode(rusk_context *ctx, const rusk_batch_item *items, size_t n,
                        rusk_error *err) {
    if (ctx == NULL || (items == NULL && n > 0)) {
        return missing(err, "a context and a batch");
    }
    return rusk_context_decode(ctx, items, n, err);
}

const float *rusk_logits(const rusk_context *ctx, size_t index) {
    return rusk_context_logits(ctx, index);
}

rusk_status rusk_kv_truncate(rusk_context *ctx, int32_t sequence, int32_t p0, rusk_error *err) {
    if (ctx == NULL) {
        return missing(err, "a context");
    }
    if (sequence < 0 || (uint32_t)sequence >= ctx->n_seq_max || p0 < 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a sequence in 0..%u and a position >= 0, found %d and %d",
                         ctx->n_seq_max - 1, sequence, p0);
    }
    uint32_t length = rusk_kv_size(ctx->kv, (uint32_t)sequence);
    return rusk_kv_resize(ctx->kv, (uint32_t)sequence, RUSK_MIN(length, (uint32_t)p0), err);
}

uint32_t rusk_kv_length(const rusk_context *ctx, int32_t sequence) {
    bool valid = sequence >= 0 && (uint32_t)sequence < ctx->n_seq_max;
    return valid ? rusk_kv_size(ctx->kv, (uint32_t)sequence) : 0;
}

uint32_t rusk_context_size(const rusk_context *ctx) {
    return ctx->n_ctx;
}

void rusk_context_get_stats(const rusk_context *ctx, rusk_stats *stats) {
    *stats = ctx->stats;
}

void rusk_context_set_profile(rusk_context *ctx, rusk_profile *profile) {
    rusk_graph_set_profile(ctx->graph, profile);
}

/* --- sampling --------------------------------------------------------------------------------- */

void rusk_sampler_options_default(rusk_sampler_options *options) {
    *options = (rusk_sampler_options){.struct_size = sizeof *options,
                                      .temperature = 0.8F,
                                      .top_k = 40,
                                      .top_p = 0.95F,
                                      .min_p = 0.05F,
                                      .repeat_penalty = 1,
                                      .repeat_last_n = 64};
}

rusk_status rusk_sampler_create(rusk_sampler **out, const rusk_model *model,
                                const rusk_sampler_options *options, rusk_error *err) {
    if (out == NULL || model == NULL) {
        return missing(err, "a place for the sampler and a model");
    }
    *out = NULL;
    rusk_sampler_options o;
    rusk_sampler_options_default(&o);
    RUSK_TRY(take_options(&o, sizeof o, options, err));
    rusk_model_info info;
    rusk_model_get_info(model, &info);
    return rusk_sample_create(out, &model->alloc.backend, info.n_vocab, &o, err);
}

void rusk_sampler_destroy(rusk_sampler *sampler) {
    rusk_sample_destroy(sampler);
}

int32_t rusk_sampler_sample(rusk_sampler *sampler, const float *logits) {
    return rusk_sample_choose(sampler, logits);
}

void rusk_sampler_accept(rusk_sampler *sampler, int32_t token) {
    rusk_sample_accept(sampler, token);
}

/* --- packing and judging ---------------------------------------------------------------------- */

void rusk_pack_options_default(rusk_pack_options *options) {
    *options = (rusk_pack_options){.struct_size = sizeof *options};
}

rusk_status rusk_pack(const char *source_path, const char *out_path,
                      const rusk_pack_options *options, rusk_pack_report *report, rusk_error *err) {
    if (source_path == NULL || out_path == NULL) {
        return missing(err, "a path to read and one to write");
    }
    rusk_pack_options o;
    rusk_pack_report unused;
    rusk_pack_options_default(&o);
    RUSK_TRY(take_options(&o, sizeof o, options, err));
    return rusk_pack_run(source_path, out_path, &o, report != NULL ? report : &unused, err);
}

void rusk_eval_options_default(rusk_eval_options *options) {
    *options = (rusk_eval_options){.struct_size = sizeof *options,
                                   .chunk_tokens = 512,
                                   .reference_activations = RUSK_ACTIVATIONS_SAME};
}

rusk_status rusk_eval(rusk_model *model, rusk_model *reference, const char *text, size_t len_bytes,
                      const rusk_eval_options *options, rusk_eval_result *result, rusk_error *err) {
    if (model == NULL || result == NULL || (text == NULL && len_bytes > 0)) {
        return missing(err, "a model, a text and a place for the result");
    }
    rusk_eval_options o;
    rusk_eval_options_default(&o);
    RUSK_TRY(take_options(&o, sizeof o, options, err));
    return rusk_perplexity_run(model, reference, text, len_bytes, &o, result, err);
}

rusk_status rusk_bench_codecs(double bits, rusk_bench_codec *out, size_t cap, size_t *n,
                              rusk_error *err) {
    if (n == NULL || (out == NULL && cap > 0)) {
        return missing(err, "a place for the results and their number");
    }
    return rusk_codec_speed(bits, out, cap, n, err);
}
