/* dump_logits.c - runs tokens through the forward pass with everything resident (test doubles of
 * weights and cache) and writes the logits of every position as raw f32, little-endian. The oracle
 * test compares them with an independent implementation.
 *
 *     dump_logits MODEL.gguf --tokens 1,2,3 [--int8] [--batch N] [--threads N] -o logits.bin */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/arch.h"
#include "model/graph.h"
#include "support/plain_views.h"

enum { MAX_TOKENS = 4096, ROWS_PER_TILE = 24, PAGE_POSITIONS = 16 };

typedef struct job {
    const char *model, *out;
    uint32_t tokens[MAX_TOKENS];
    uint32_t n_tokens, n_batch;
    unsigned n_threads;
    bool int8;
} job;

static bool parse(job *j, int argc, char **argv) {
    *j = (job){.n_batch = MAX_TOKENS, .n_threads = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--int8") == 0) {
            j->int8 = true;
        } else if (argv[i][0] != '-') {
            j->model = argv[i];
        } else if (i + 1 == argc) {
            return false;
        } else if (strcmp(argv[i], "--batch") == 0) {
            j->n_batch = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--threads") == 0) {
            j->n_threads = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "-o") == 0) {
            j->out = argv[++i];
        } else if (strcmp(argv[i], "--tokens") == 0) {
            for (char *p = argv[++i]; *p != '\0' && j->n_tokens < MAX_TOKENS; p += *p == ',') {
                char *end;
                j->tokens[j->n_tokens++] = (uint32_t)strtoul(p, &end, 10);
                if (end == p) {
                    return false;
                }
                p = end;
            }
        } else {
            return false;
        }
    }
    return j->model != NULL && j->out != NULL && j->n_tokens > 0 && j->n_batch > 0;
}

typedef struct engine {
    rusk_alloc alloc;
    rusk_source *source;
    rusk_model_desc desc;
    rusk_kernels kernels;
    rusk_pool *pool;
    plain_weights weights;
    plain_kv kv;
    rusk_graph *graph;
    float *logits;
} engine;

static rusk_status start(engine *e, const job *j, rusk_error *err) {
    rusk_alloc_init(&e->alloc, NULL);
    RUSK_TRY(rusk_source_open(&e->source, &e->alloc, j->model, err));
    RUSK_TRY(rusk_model_describe(&e->desc, e->source, err));
    rusk_kernels_init(&e->kernels, UINT32_MAX);
    RUSK_TRY(rusk_pool_create(&e->pool, &e->alloc, j->n_threads, err));
    RUSK_TRY(plain_weights_open(&e->weights, &e->alloc, &e->desc, e->source,
                                j->int8 ? PLAIN_CODES : PLAIN_F32, ROWS_PER_TILE, 1,
                                rusk_pool_size(e->pool), err));
    RUSK_TRY(plain_kv_open(&e->kv, &e->alloc, &e->desc, 1, j->n_tokens, PAGE_POSITIONS, err));
    RUSK_TRY(rusk_graph_create(&e->graph, &e->alloc, &e->desc, &e->kernels, e->pool,
                               RUSK_MIN(j->n_batch, j->n_tokens), j->n_tokens, !j->int8, err));
    e->logits = rusk_alloc_zero(&e->alloc, RUSK_MEM_ACTIVATION, j->n_tokens,
                                e->desc.n_vocab * sizeof(float));
    return e->logits != NULL ? RUSK_OK : rusk_fail_memory(err, 0, "logits");
}

static rusk_status run(engine *e, const job *j, rusk_error *err) {
    static rusk_graph_item items[MAX_TOKENS];
    for (uint32_t i = 0; i < j->n_tokens; i++) {
        items[i] = (rusk_graph_item){.token = j->tokens[i],
                                     .position = i,
                                     .logits = e->logits + (size_t)i * e->desc.n_vocab};
    }
    for (uint32_t i = 0; i < j->n_tokens; i += j->n_batch) {
        RUSK_TRY(rusk_graph_run(e->graph, &e->weights.view, &e->kv.view, items + i,
                                RUSK_MIN(j->n_batch, j->n_tokens - i), err));
    }
    return RUSK_OK;
}

int main(int argc, char **argv) {
    static job j;
    static engine e;
    rusk_error err;
    if (!parse(&j, argc, argv)) {
        (void)fputs("usage: dump_logits MODEL.gguf --tokens 1,2,3 [--int8] [--batch N] "
                    "[--threads N] -o FILE\n",
                    stderr);
        return 2;
    }
    if (start(&e, &j, &err) != RUSK_OK || run(&e, &j, &err) != RUSK_OK) {
        (void)fprintf(stderr, "dump_logits: %s\n", err.message);
        return 1;
    }
    const size_t n = (size_t)j.n_tokens * e.desc.n_vocab;
    FILE *f = fopen(j.out, "wb");
    if (f == NULL || fwrite(e.logits, sizeof *e.logits, n, f) != n || fclose(f) != 0) {
        (void)fprintf(stderr, "dump_logits: cannot write %s\n", j.out);
        return 1;
    }
    rusk_graph_destroy(e.graph);
    plain_weights_close(&e.weights);
    plain_kv_close(&e.kv);
    rusk_alloc_put(&e.alloc, e.logits);
    rusk_pool_destroy(e.pool);
    rusk_source_close(e.source);
    return e.alloc.bytes_total == 0 ? 0 : 1;
}
