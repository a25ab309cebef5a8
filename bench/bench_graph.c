/* bench_graph.c - speed of the forward pass: prefill and single-token decode of a model file, JSON
 * lines on stdout.
 *
 *     bench_graph MODEL [--threads N] [--prompt N] [--tokens N] [--f32] [--mask N] [--codec NAME]
 *
 * Weights come from runtime/ as in a real run, the cache is a plain one. Prefill wants the logits
 * of its last token; decode continues from there. Best of three. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "model/arch.h"
#include "model/graph.h"
#include "runtime/weights.h"
#include "support/plain_views.h"

enum { REPEATS = 3, MAX_PROMPT = 4096, PAGE_POSITIONS = 256 };

typedef struct options {
    const char *path, *codec; /* codec NULL: everything decoded */
    uint32_t n_prompt, n_tokens, mask;
    unsigned n_threads;
    bool f32;
} options;

typedef struct engine {
    rusk_alloc alloc;
    rusk_source *source;
    rusk_model_desc desc;
    int32_t *map;
    rusk_pool *pool;
    rusk_kernels kernels;
    rusk_weights *weights;
    rusk_weights_reader *reader;
    plain_kv kv;
    rusk_graph *graph;
    float *logits;
} engine;

/* Processor time counts besides the clock's, since a busy machine stretches only the latter. */
typedef struct stopwatch {
    double wall, cpu;
} stopwatch;

static double read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static stopwatch now(void) {
    return (stopwatch){read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

static void keep_best(stopwatch *best, stopwatch start) {
    const stopwatch end = now();
    best->wall = RUSK_MIN(best->wall, end.wall - start.wall);
    best->cpu = RUSK_MIN(best->cpu, end.cpu - start.cpu);
}

static rusk_status start(engine *e, const options *o, rusk_error *err) {
    const uint32_t n_ctx = o->n_prompt + o->n_tokens;
    rusk_alloc *a = &e->alloc;
    rusk_alloc_init(a, NULL);
    rusk_kernels_init(&e->kernels, o->mask);
    RUSK_TRY(rusk_source_open(&e->source, a, o->path, err));
    RUSK_TRY(rusk_model_describe(&e->desc, e->source, err));
    e->map = rusk_alloc_zero(a, RUSK_MEM_METADATA, rusk_desc_n_slots(&e->desc), sizeof *e->map);
    e->logits = rusk_alloc_zero(a, RUSK_MEM_ACTIVATION, e->desc.n_vocab, sizeof *e->logits);
    if (e->map == NULL || e->logits == NULL) {
        return rusk_fail_memory(err, 0, "the benchmark");
    }
    RUSK_TRY(rusk_model_map(&e->desc, e->source, e->map, err));
    RUSK_TRY(rusk_pool_create(&e->pool, a, o->n_threads, err));
    const rusk_weights_options weights = {.codec =
                                              o->codec != NULL ? rusk_codec_find(o->codec) : NULL,
                                          .budget_bytes = o->codec != NULL ? 0 : UINT64_MAX};
    if (o->codec != NULL && weights.codec == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "expected a codec of this library, found '%s'", o->codec);
    }
    RUSK_TRY(
        rusk_weights_load(&e->weights, a, e->source, &e->desc, e->map, &weights, e->pool, err));
    RUSK_TRY(rusk_weights_reader_create(&e->reader, a, e->weights, rusk_pool_size(e->pool), err));
    RUSK_TRY(plain_kv_open(&e->kv, a, &e->desc, 1, n_ctx, PAGE_POSITIONS, err));
    return rusk_graph_create(&e->graph, a, &e->desc, &e->kernels, e->pool, o->n_prompt, n_ctx,
                             o->f32, err);
}

static void stop(engine *e) {
    rusk_graph_destroy(e->graph);
    plain_kv_close(&e->kv);
    rusk_weights_reader_destroy(e->reader);
    rusk_weights_destroy(e->weights);
    rusk_pool_destroy(e->pool);
    rusk_source_close(e->source);
    rusk_alloc_put(&e->alloc, e->map);
    rusk_alloc_put(&e->alloc, e->logits);
}

static rusk_status measure(engine *e, const options *o, stopwatch *prefill, stopwatch *decode,
                           rusk_error *err) {
    static rusk_graph_item items[MAX_PROMPT];
    const rusk_weights_view weights = rusk_weights_reader_view(e->reader);
    for (uint32_t i = 0; i < o->n_prompt; i++) {
        items[i] = (rusk_graph_item){.token = (i * 7919 + 11) % e->desc.n_vocab, .position = i};
    }
    items[o->n_prompt - 1].logits = e->logits;
    stopwatch t = now();
    RUSK_TRY(rusk_graph_run(e->graph, &weights, &e->kv.view, items, o->n_prompt, err));
    keep_best(prefill, t);
    t = now();
    for (uint32_t i = 0; i < o->n_tokens; i++) {
        const rusk_graph_item item = {.token = (i * 104729 + 3) % e->desc.n_vocab,
                                      .position = o->n_prompt + i,
                                      .logits = e->logits};
        RUSK_TRY(rusk_graph_run(e->graph, &weights, &e->kv.view, &item, 1, err));
    }
    keep_best(decode, t);
    return RUSK_OK;
}

static bool parse(options *o, int argc, char **argv) {
    *o = (options){.n_prompt = 512, .n_tokens = 64, .mask = UINT32_MAX};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            o->path = argv[i];
        } else if (strcmp(argv[i], "--f32") == 0) {
            o->f32 = true;
        } else if (i + 1 == argc) {
            return false;
        } else if (strcmp(argv[i], "--codec") == 0) {
            o->codec = argv[++i];
        } else {
            const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 0);
            if (strcmp(argv[i], "--threads") == 0) {
                o->n_threads = value;
            } else if (strcmp(argv[i], "--prompt") == 0) {
                o->n_prompt = value;
            } else if (strcmp(argv[i], "--tokens") == 0) {
                o->n_tokens = value;
            } else if (strcmp(argv[i], "--mask") == 0) {
                o->mask = value;
            } else {
                return false;
            }
            i++;
        }
    }
    return o->path != NULL && o->n_prompt > 0 && o->n_prompt <= MAX_PROMPT;
}

int main(int argc, char **argv) {
    static engine e;
    options o;
    rusk_error err;
    stopwatch prefill = {1e9, 1e9}, decode = {1e9, 1e9};
    if (!parse(&o, argc, argv)) {
        (void)fputs("usage: bench_graph MODEL [--threads N] [--prompt N] [--tokens N] [--f32] "
                    "[--mask N] [--codec NAME]\n",
                    stderr);
        return 2;
    }
    rusk_status status = start(&e, &o, &err);
    for (int i = 0; status == RUSK_OK && i < REPEATS; i++) {
        status = measure(&e, &o, &prefill, &decode, &err);
    }
    if (status != RUSK_OK) {
        (void)fprintf(stderr, "bench_graph: %s\n", err.message);
        return 1;
    }
    rusk_weights_usage u;
    rusk_weights_get_usage(e.weights, &u);
    printf("{\"bench\": \"graph\", \"kernels\": \"%s\", \"threads\": %u, \"prompt\": %u, "
           "\"hot_bytes\": %llu, \"warm_bytes\": %llu, "
           "\"prefill_tok_s\": %.1f, \"decode_tok_s\": %.1f, \"prefill_cpu_ms_per_token\": %.3f, "
           "\"decode_cpu_ms_per_token\": %.3f}\n",
           e.kernels.name, rusk_pool_size(e.pool), o.n_prompt, (unsigned long long)u.hot_bytes,
           (unsigned long long)u.warm_bytes, o.n_prompt / prefill.wall, o.n_tokens / decode.wall,
           1e3 * prefill.cpu / o.n_prompt, 1e3 * decode.cpu / o.n_tokens);
    stop(&e);
    return 0;
}
