/* bench_codec.c - size and speed of each codec, one thread; JSON lines.
 *
 *     bench_codec                 discretized Gaussians of 2 to 6 bits, 1024 x 576, one class
 *     bench_codec FILE.npy ...    int8 matrices of symbols, rows classed by their deviation
 *     --cpu NAME                  ref, avx2, avx512, neon: use no more than that (first argument)
 *
 * Fields: source; codec; bits: order-0 entropy by class; coded_bits: blocks; table_bits: the blob;
 * overhead: (coded + table) / bits - 1; decode_gw_s and encode_gw_s: 1e9 symbols a second, blocks
 * decoded two at a time, tables made before; tables_ms: counts to an opened table; from_rans_gw_s:
 * transcoding, rans to this codec, tables made before. The best repeat counts. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "support/symbols.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what, const char *why) {
    (void)fprintf(stderr, "bench_codec: %s: %s\n", what, why);
    exit(1);
}

/* Decodes blocks first .. first + n - 1 (n = 1 or 2, of one height), one after the other in out. */
static void decode(const test_coded *c, size_t first, unsigned n, int8_t *out,
                   rusk_patch *const *patches) {
    rusk_block_decoder decoder[2], *decoders[2] = {&decoder[0], &decoder[1]};
    rusk_block_shape shape;
    rusk_error err;
    for (unsigned i = 0; i < n; i++) {
        size_t len_bytes;
        const uint8_t *data = test_coded_block(c, first + i, &len_bytes);
        shape = test_coded_shape(c, first + i);
        if (rusk_block_begin(&decoder[i], c->codec, c->tables, &shape, data, len_bytes, &err) !=
            RUSK_OK) {
            fail(c->codec->name, err.message);
        }
    }
    int8_t *rows[2] = {out, out + (size_t)shape.n_rows * shape.n_cols};
    size_t n_patches[2];
    unsigned failed;
    if (rusk_block_rows(decoders, n, shape.n_rows, rows, shape.n_cols, patches, n_patches, &failed,
                        &err) != RUSK_OK) {
        fail(c->codec->name, err.message);
    }
}

typedef struct timing {
    const test_coded *from; /* what to decode; NULL: nothing */
    test_coded *to;         /* what to encode; NULL: nothing */
    int8_t *out;
    rusk_patch *patches[2];
} timing;

static void one_pass(const timing *t) {
    const test_coded *c = t->from;
    for (size_t b = 0; c != NULL && b < c->n_blocks;) {
        const unsigned n =
            b + 1 < c->n_blocks && test_coded_shape(c, b + 1).n_rows == c->block_rows ? 2 : 1;
        decode(c, b, n, t->out + b * c->block_rows * c->symbols->n_cols, t->patches);
        b += n;
    }
    if (t->to != NULL) {
        test_coded_encode(t->to);
    }
}

/* 1e9 symbols a second, the best of about 0.3 seconds of passes. */
static double rate(const timing *t, const test_symbols *s) {
    double best = INFINITY, start = now();
    for (unsigned pass = 0; pass < 3 || now() - start < 0.3; pass++) {
        double began = now();
        one_pass(t);
        best = fmin(best, now() - began);
    }
    return 1e-9 * (double)s->n_rows * s->n_cols / best;
}

static double tables_ms(const rusk_codec *codec, const test_symbols *s) {
    double best = INFINITY;
    for (unsigned pass = 0; pass < 3; pass++) {
        rusk_alloc alloc;
        rusk_strbuf blob;
        rusk_codec_tables *tables;
        rusk_error err;
        rusk_alloc_init(&alloc, NULL);
        rusk_strbuf_init(&blob, &alloc, RUSK_MEM_METADATA);
        double began = now();
        if (codec->build_tables(s->hist, &blob, &err) != RUSK_OK ||
            codec->open_tables(&tables, &alloc, (const uint8_t *)blob.data, blob.len_bytes, &err) !=
                RUSK_OK) {
            fail(codec->name, err.message);
        }
        best = fmin(best, now() - began);
        codec->close_tables(tables);
        rusk_strbuf_finish(&blob);
    }
    return best * 1e3;
}

static void report(const test_symbols *s, const rusk_codec *codec, const test_coded *rans,
                   const char *cpu) {
    const size_t n = (size_t)s->n_rows * s->n_cols;
    test_coded c;
    test_coded_make(&c, codec, s, 0);
    const size_t most = 2 * (size_t)c.block_rows * s->n_cols;
    timing t = {.out = malloc(n), .patches = {malloc(most * sizeof(rusk_patch)), NULL}};
    if (t.out == NULL || t.patches[0] == NULL) {
        fail("memory", "none left");
    }
    t.patches[1] = t.patches[0] + most / 2;
    t.from = &c;
    one_pass(&t);
    if (memcmp(t.out, s->symbols, n) != 0) {
        fail(codec->name, "decoded symbols differ");
    }
    double decode_rate = rate(&t, s);
    t.from = NULL;
    t.to = &c;
    double encode_rate = rate(&t, s);
    t.from = rans;
    double transcode_rate = rate(&t, s);
    double bits = test_symbols_bits(s), coded = 8 * (double)c.offsets[c.n_blocks] / (double)n;
    double table = 8 * (double)c.blob.len_bytes / (double)n;
    printf("{\"what\": \"codec\", \"source\": \"%s\", \"codec\": \"%s\", \"cpu\": \"%s\", "
           "\"bits\": %.4f, \"coded_bits\": %.4f, \"table_bits\": %.4f, \"overhead\": %.5f, "
           "\"decode_gw_s\": %.3f, \"encode_gw_s\": %.3f, \"from_rans_gw_s\": %.3f, "
           "\"tables_ms\": %.2f}\n",
           s->name, codec->name, cpu, bits, coded, table, (coded + table) / bits - 1, decode_rate,
           encode_rate, transcode_rate, tables_ms(codec, s));
    (void)fflush(stdout);
    free(t.out);
    free(t.patches[0]);
    test_coded_free(&c);
}

static void report_all(const test_symbols *s, const char *cpu) {
    test_coded rans;
    test_coded_make(&rans, rusk_codec_find("rans"), s, 0);
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        report(s, rusk_codec_at(i), &rans, cpu);
    }
    test_coded_free(&rans);
}

int main(int argc, char **argv) {
    const char *cpu = "best";
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--cpu") == 0) {
        cpu = argv[2];
        first = 3;
        if (test_symbols_restrict(cpu) != 1) {
            fail(cpu, "expected ref, avx2, avx512, neon or best, and a processor that has it");
        }
    }
    for (int i = first; i < argc; i++) {
        test_symbols s = test_symbols_load(argv[i]);
        report_all(&s, cpu);
        test_symbols_free(&s);
    }
    for (double bits = 2; argc == first && bits <= 6; bits += 0.5) {
        test_symbols s = test_symbols_gaussian(1024, 576, bits, 1, TEST_MID_TREAD);
        report_all(&s, cpu);
        test_symbols_free(&s);
    }
    return 0;
}
