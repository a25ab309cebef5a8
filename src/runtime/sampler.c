#include "runtime/sampler.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

typedef struct candidate {
    float logit;
    int32_t token;
} candidate;

struct rusk_sampler {
    rusk_alloc alloc;
    rusk_sampler_options options;
    rusk_rng rng;
    uint32_t n_vocab;
    candidate *candidates; /* n_vocab */
    double *weights;       /* n_vocab: exp(logit - max) of the sorted candidates */
    int32_t *recent;       /* ring of the last repeat_last_n tokens */
    uint32_t n_recent, next_recent;
};

static rusk_status check(const rusk_sampler_options *o, rusk_error *err) {
    if (!isfinite(o->temperature) || !(o->top_p >= 0 && o->top_p <= 1) ||
        !(o->min_p >= 0 && o->min_p <= 1) || !(o->repeat_penalty > 0) ||
        !isfinite(o->repeat_penalty)) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a finite temperature, top-p and min-p in 0..1, a repeat penalty "
                         "above 0; found %g, %g, %g, %g",
                         (double)o->temperature, (double)o->top_p, (double)o->min_p,
                         (double)o->repeat_penalty);
    }
    if (o->repeat_last_n > 1U << 20) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected at most 1048576 tokens to penalize, found %u", o->repeat_last_n);
    }
    return RUSK_OK;
}

rusk_status rusk_sample_create(rusk_sampler **out, const rusk_allocator *backend, uint32_t n_vocab,
                               const rusk_sampler_options *options, rusk_error *err) {
    *out = NULL;
    RUSK_TRY(check(options, err));
    rusk_sampler *s = backend->alloc(backend->user, sizeof *s);
    if (s == NULL) {
        return rusk_fail_memory(err, sizeof *s, "a sampler");
    }
    *s = (rusk_sampler){
        .options = *options, .rng = rusk_rng_seed(options->seed), .n_vocab = n_vocab};
    rusk_alloc_init(&s->alloc, backend);
    s->candidates = rusk_alloc_zero(&s->alloc, RUSK_MEM_SCRATCH, n_vocab, sizeof(candidate));
    s->weights = rusk_alloc_zero(&s->alloc, RUSK_MEM_SCRATCH, n_vocab, sizeof(double));
    s->recent =
        rusk_alloc_zero(&s->alloc, RUSK_MEM_SCRATCH, options->repeat_last_n, sizeof(int32_t));
    if (s->candidates == NULL || s->weights == NULL || s->recent == NULL) {
        rusk_sample_destroy(s);
        return rusk_fail_memory(err, n_vocab * sizeof(candidate), "a sampler");
    }
    *out = s;
    return RUSK_OK;
}

void rusk_sample_destroy(rusk_sampler *s) {
    if (s == NULL) {
        return;
    }
    rusk_alloc_put(&s->alloc, s->candidates);
    rusk_alloc_put(&s->alloc, s->weights);
    rusk_alloc_put(&s->alloc, s->recent);
    s->alloc.backend.free(s->alloc.backend.user, s);
}

void rusk_sample_accept(rusk_sampler *s, int32_t token) {
    uint32_t cap = s->options.repeat_last_n;
    if (cap == 0 || token < 0 || (uint32_t)token >= s->n_vocab) {
        return;
    }
    s->recent[s->next_recent] = token;
    s->next_recent = (s->next_recent + 1) % cap;
    s->n_recent = RUSK_MIN(s->n_recent + 1, cap);
}

/* Each recent token once, however often it stands there. candidates[i].token == i still. */
static void penalize(rusk_sampler *s, const float *logits) {
    float penalty = s->options.repeat_penalty;
    if (penalty == 1.0F) {
        return;
    }
    for (uint32_t i = 0; i < s->n_recent; i++) {
        int32_t token = s->recent[i];
        float logit = logits[token];
        s->candidates[token].logit = logit > 0 ? logit / penalty : logit * penalty;
    }
}

/* Larger logit first, then smaller token: a total order, so that results do not depend on the sort.
 * NaN counts as the smallest. */
static bool before(const candidate *a, const candidate *b) {
    float x = isnan(a->logit) ? -INFINITY : a->logit;
    float y = isnan(b->logit) ? -INFINITY : b->logit;
    return x != y ? x > y : a->token < b->token;
}

static void swap(candidate *a, candidate *b) {
    candidate t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(candidate *heap, size_t n, size_t i) {
    for (;;) {
        size_t last = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
            last = before(&heap[last], &heap[child]) ? child : last;
        }
        if (last == i) {
            return;
        }
        swap(&heap[i], &heap[last]);
        i = last;
    }
}

/* Moves the k best to the front, sorted: a heap of the k best seen, its worst on top, which is then
 * taken apart from the top. In place: qsort would call malloc for more than a page of them. */
static void keep_best(candidate *c, size_t n, size_t k) {
    for (size_t i = k / 2; i-- > 0;) {
        sift_down(c, k, i);
    }
    for (size_t i = k; i < n; i++) {
        if (before(&c[i], &c[0])) {
            c[0] = c[i];
            sift_down(c, k, 0);
        }
    }
    for (size_t end = k; end-- > 1;) {
        swap(&c[0], &c[end]);
        sift_down(c, end, 0);
    }
}

/* How many of the n sorted candidates top-p and min-p leave; their weights exp(logit - max) are
 * filled. */
static size_t truncate(rusk_sampler *s, size_t n) {
    double sum = 0, max = (double)s->candidates[0].logit;
    for (size_t i = 0; i < n; i++) {
        double w = exp((double)s->candidates[i].logit - max);
        s->weights[i] = isnan(w) ? 0 : w;
        sum += s->weights[i];
    }
    size_t keep = n;
    if (s->options.top_p < 1) {
        double reached = 0;
        for (keep = 0; keep < n; keep++) {
            reached += s->weights[keep];
            if (reached >= (double)s->options.top_p * sum) {
                keep++;
                break;
            }
        }
        keep = RUSK_MAX(RUSK_MIN(keep, n), (size_t)1);
    }
    while (keep > 1 && s->weights[keep - 1] < (double)s->options.min_p) {
        keep--; /* weights are relative to the best one, which is 1 */
    }
    return keep;
}

static int32_t draw(rusk_sampler *s, size_t n) {
    double sum = 0, max = (double)s->candidates[0].logit;
    for (size_t i = 0; i < n; i++) {
        double w = exp(((double)s->candidates[i].logit - max) / (double)s->options.temperature);
        s->weights[i] = isnan(w) ? 0 : w;
        sum += s->weights[i];
    }
    double u = rusk_rng_double(&s->rng) * sum;
    for (size_t i = 0; i < n; i++) {
        u -= s->weights[i];
        if (u < 0) {
            return s->candidates[i].token;
        }
    }
    return s->candidates[0].token;
}

int32_t rusk_sample_choose(rusk_sampler *s, const float *logits) {
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        s->candidates[i] = (candidate){.logit = logits[i], .token = (int32_t)i};
    }
    penalize(s, logits);
    if (s->options.temperature <= 0) {
        keep_best(s->candidates, s->n_vocab, 1);
        return s->candidates[0].token;
    }
    size_t k = s->options.top_k != 0 ? RUSK_MIN(s->options.top_k, s->n_vocab) : s->n_vocab;
    keep_best(s->candidates, s->n_vocab, k);
    return draw(s, truncate(s, k));
}
