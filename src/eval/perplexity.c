/* perplexity.c - the judge, as llama.cpp's perplexity tool counts, so that figures can stand side
 * by side.
 *
 * The text is tokenized whole and cut into chunks of n tokens. Each chunk is one sequence from
 * position 0; logits at positions n/2 .. n-2 predict the tokens after them: n - 1 - n/2 scored
 * predictions. Where the model asks for BOS, it takes the place of a chunk's first token. */
#include "eval/perplexity.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/order.h"
#include "eval/metrics.h"

/* Logits of this many positions are held at once, of each model: 64 x 256 Ki tokens x 4 bytes are
 * 67 MB. */
enum { BATCH = 64 };

typedef struct scored_row {
    const float *q, *p; /* p NULL: no reference */
    int32_t next;
    double nll, ref_nll, kl;
    bool same_top;
} scored_row;

typedef struct judge {
    rusk_alloc *alloc;
    rusk_context *ctx, *ref;
    uint32_t n_chunk, n_vocab;
    int32_t bos; /* -1: none */
    int32_t *tokens;
    size_t n_tokens;
    rusk_mean nll, ref_nll, kl, same_top;
    float *kls; /* of each scored prediction */
    size_t n_kls;
    uint32_t *order; /* of kls by size, at the end */
    scored_row rows[BATCH];
} judge;

static void score_row(void *arg, size_t index, unsigned worker) {
    judge *j = arg;
    scored_row *row = &j->rows[index];
    (void)worker;
    row->nll = rusk_log_sum_exp(row->q, j->n_vocab) - (double)row->q[row->next];
    if (row->p != NULL) {
        row->ref_nll = rusk_log_sum_exp(row->p, j->n_vocab) - (double)row->p[row->next];
        row->kl = rusk_kl_divergence(row->p, row->q, j->n_vocab);
        row->same_top = rusk_argmax(row->p, j->n_vocab) == rusk_argmax(row->q, j->n_vocab);
    }
}

/* Sums in order of position, so that the figures do not depend on threads. */
static void add_rows(judge *j, size_t n) {
    rusk_pool_run(j->ctx->pool, score_row, j, n);
    for (size_t i = 0; i < n; i++) {
        const scored_row *row = &j->rows[i];
        rusk_mean_add(&j->nll, row->nll);
        if (row->p != NULL) {
            rusk_mean_add(&j->ref_nll, row->ref_nll);
            rusk_mean_add(&j->kl, row->kl);
            rusk_mean_add(&j->same_top, row->same_top ? 1 : 0);
            j->kls[j->n_kls++] = (float)row->kl;
        }
    }
}

static rusk_status judge_chunk(judge *j, uint32_t chunk, rusk_error *err) {
    const int32_t *tokens = j->tokens + (size_t)chunk * j->n_chunk;
    uint32_t first = j->n_chunk / 2;
    RUSK_TRY(rusk_kv_resize(j->ctx->kv, 0, 0, err));
    if (j->ref != NULL) {
        RUSK_TRY(rusk_kv_resize(j->ref->kv, 0, 0, err));
    }
    for (uint32_t start = 0; start + 1 < j->n_chunk; start += BATCH) {
        rusk_batch_item items[BATCH];
        uint32_t n = RUSK_MIN(j->n_chunk - 1 - start, (uint32_t)BATCH);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t p = start + i;
            items[i] = (rusk_batch_item){.token = p == 0 && j->bos >= 0 ? j->bos : tokens[p],
                                         .position = (int32_t)p,
                                         .wants_logits = p >= first};
        }
        RUSK_TRY(rusk_context_decode(j->ctx, items, n, err));
        if (j->ref != NULL) {
            RUSK_TRY(rusk_context_decode(j->ref, items, n, err));
        }
        size_t n_rows = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (items[i].wants_logits) {
                j->rows[n_rows++] =
                    (scored_row){.q = rusk_context_logits(j->ctx, i),
                                 .p = j->ref != NULL ? rusk_context_logits(j->ref, i) : NULL,
                                 .next = tokens[start + i + 1]};
            }
        }
        add_rows(j, n_rows);
    }
    return RUSK_OK;
}

static bool same_vocabulary(const rusk_vocab *a, const rusk_vocab *b) {
    if (a->n_tokens != b->n_tokens) {
        return false;
    }
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        if (a->tokens[i].len_bytes != b->tokens[i].len_bytes ||
            memcmp(a->tokens[i].data, b->tokens[i].data, a->tokens[i].len_bytes) != 0) {
            return false;
        }
    }
    return true;
}

static rusk_status check(const rusk_model *model, const rusk_model *reference,
                         const rusk_eval_options *o, rusk_error *err) {
    if (o->chunk_tokens < 4 || o->chunk_tokens > 1U << 20) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected chunks of 4 to 1048576 tokens, found %u", o->chunk_tokens);
    }
    if (model->vocab_only || (reference != NULL && reference->vocab_only)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected models with weights, found one opened with vocab_only");
    }
    if (reference != NULL && (reference->desc.n_vocab != model->desc.n_vocab ||
                              !same_vocabulary(rusk_tokenizer_vocab(model->tokenizer),
                                               rusk_tokenizer_vocab(reference->tokenizer)))) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a reference with the same vocabulary, found %u and %u tokens%s",
                         model->desc.n_vocab, reference->desc.n_vocab,
                         reference->desc.n_vocab == model->desc.n_vocab ? ", spelled differently"
                                                                        : "");
    }
    return RUSK_OK;
}

static rusk_status open_context(rusk_context **out, rusk_model *model, const rusk_eval_options *o,
                                rusk_activations activations, rusk_error *err) {
    rusk_context_options options = {.struct_size = sizeof options,
                                    .n_ctx = o->chunk_tokens,
                                    .n_batch = BATCH,
                                    .n_seq_max = 1,
                                    .n_logits = RUSK_MIN(o->chunk_tokens, (uint32_t)BATCH),
                                    .n_threads = o->n_threads,
                                    .activations = activations,
                                    .cpu_mask = UINT32_MAX};
    return rusk_context_open(out, model, &options, err);
}

static rusk_status tokenize(judge *j, const rusk_model *model, const char *text, size_t len_bytes,
                            rusk_error *err) {
    /* a token is at least a byte of text, but for BOS, EOS and a SentencePiece space prefix */
    size_t cap = len_bytes + 8;
    j->tokens = rusk_alloc_get(j->alloc, RUSK_MEM_SCRATCH, cap * sizeof *j->tokens);
    if (j->tokens == NULL) {
        return rusk_fail_memory(err, cap * sizeof *j->tokens, "the text's tokens");
    }
    return rusk_tokenizer_encode(model->tokenizer, text, len_bytes, RUSK_TOKENIZE_ADD_SPECIAL,
                                 j->tokens, cap, &j->n_tokens, err);
}

static int ascending(const void *items, uint32_t a, uint32_t b) {
    const float *values = items;
    return (values[a] > values[b]) - (values[a] < values[b]);
}

static double kl_quantile(const judge *j, double f) {
    return rusk_quantile(j->kls, j->order, j->n_kls, f);
}

static void fill_result(judge *j, uint32_t n_chunks, rusk_eval_result *r) {
    *r = (rusk_eval_result){.n_tokens = j->nll.n, .n_chunks = n_chunks};
    r->perplexity = exp(rusk_mean_value(&j->nll));
    r->perplexity_se = r->perplexity * rusk_mean_se(&j->nll);
    r->has_reference = j->ref != NULL;
    if (!r->has_reference) {
        return;
    }
    r->ref_perplexity = exp(rusk_mean_value(&j->ref_nll));
    r->ref_perplexity_se = r->ref_perplexity * rusk_mean_se(&j->ref_nll);
    r->kl_mean = rusk_mean_value(&j->kl);
    r->kl_se = rusk_mean_se(&j->kl);
    r->same_top = rusk_mean_value(&j->same_top);
    r->same_top_se = rusk_mean_se(&j->same_top);
    rusk_order(j->order, j->n_kls, ascending, j->kls);
    r->kl_median = kl_quantile(j, 0.5);
    r->kl_p90 = kl_quantile(j, 0.9);
    r->kl_p99 = kl_quantile(j, 0.99);
    r->kl_max = kl_quantile(j, 1);
}

static rusk_status judge_text(judge *j, const rusk_eval_options *o, rusk_eval_result *result,
                              rusk_error *err) {
    size_t n_chunks = j->n_tokens / j->n_chunk;
    if (n_chunks == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a text of at least one chunk of %u tokens, found %zu tokens",
                         j->n_chunk, j->n_tokens);
    }
    if (o->n_chunks != 0) {
        n_chunks = RUSK_MIN(n_chunks, (size_t)o->n_chunks);
    }
    j->kls = rusk_alloc_zero(j->alloc, RUSK_MEM_SCRATCH, n_chunks * j->n_chunk, sizeof *j->kls);
    j->order = rusk_alloc_zero(j->alloc, RUSK_MEM_SCRATCH, n_chunks * j->n_chunk, sizeof *j->order);
    if (j->kls == NULL || j->order == NULL) {
        return rusk_fail_memory(err, n_chunks * j->n_chunk * sizeof *j->kls, "the divergences");
    }
    for (uint32_t chunk = 0; chunk < n_chunks; chunk++) {
        if (o->progress != NULL && !o->progress(o->user, "eval", chunk, n_chunks)) {
            return rusk_fail(err, RUSK_CANCELLED, RUSK_NO_OFFSET, "cancelled after %u chunks",
                             chunk);
        }
        RUSK_TRY(judge_chunk(j, chunk, err));
        if (o->on_chunk != NULL) {
            o->on_chunk(o->user, chunk, exp(rusk_mean_value(&j->nll)));
        }
    }
    if (o->progress != NULL) {
        (void)o->progress(o->user, "eval", n_chunks, n_chunks);
    }
    fill_result(j, (uint32_t)n_chunks, result);
    return RUSK_OK;
}

rusk_status rusk_perplexity_run(rusk_model *model, rusk_model *reference, const char *text,
                                size_t len_bytes, const rusk_eval_options *options,
                                rusk_eval_result *result, rusk_error *err) {
    RUSK_TRY(check(model, reference, options, err));
    const rusk_vocab *vocab = rusk_tokenizer_vocab(model->tokenizer);
    judge *j = rusk_alloc_zero(&model->alloc, RUSK_MEM_SCRATCH, 1, sizeof *j);
    if (j == NULL) {
        return rusk_fail_memory(err, sizeof *j, "the evaluation");
    }
    j->alloc = &model->alloc;
    j->n_chunk = options->chunk_tokens;
    j->n_vocab = model->desc.n_vocab;
    j->bos = vocab->add_bos ? vocab->bos : -1;
    rusk_status status = tokenize(j, model, text, len_bytes, err);
    if (status == RUSK_OK) {
        status = open_context(&j->ctx, model, options, options->activations, err);
    }
    if (status == RUSK_OK && reference != NULL) {
        const bool same = options->reference_activations == RUSK_ACTIVATIONS_SAME;
        status = open_context(&j->ref, reference, options,
                              same ? options->activations : options->reference_activations, err);
    }
    if (status == RUSK_OK) {
        status = judge_text(j, options, result, err);
    }
    rusk_context_close(j->ref);
    rusk_context_close(j->ctx);
    rusk_alloc_put(j->alloc, j->order);
    rusk_alloc_put(j->alloc, j->kls);
    rusk_alloc_put(j->alloc, j->tokens);
    rusk_alloc_put(j->alloc, j);
    return status;
}
