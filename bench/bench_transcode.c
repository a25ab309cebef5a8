/* bench_transcode.c - a packed model's symbols in every codec: sizes, and the file itself.
 *
 *     bench_transcode MODEL.rusk                    a JSON line a codec: bits a weight
 *     bench_transcode MODEL.rusk CODEC OUT.rusk     the same symbols in another codec
 *
 * Fields: entropy_bits: of the symbols, by class, outliers clipped; coded_bits: blocks, with their
 * 12 bytes in the index, and tables; overhead: coded_bits / entropy_bits - 1, patches included. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "codec/codec.h"
#include "format/container.h"

enum { INDEX_BYTES = 12 };

static void need(rusk_status status, const rusk_error *err) {
    if (status != RUSK_OK) {
        (void)fprintf(stderr, "bench_transcode: %s\n", err->message);
        exit(1);
    }
}

static void *room(size_t n) {
    void *p = malloc(n);
    if (p == NULL) {
        (void)fprintf(stderr, "bench_transcode: no memory\n");
        exit(1);
    }
    return p;
}

/* A tensor decoded: symbols, outliers by block, counts. */
typedef struct plain {
    const rusk_container_tensor *t;
    uint32_t n_rows, n_cols;
    uint64_t n_blocks;
    int8_t *symbols;
    rusk_patch *patches; /* of block b from start[b] on */
    size_t *start;
    rusk_hist *hist;
} plain;

static rusk_block_shape shape_of(const plain *p, uint64_t block) {
    uint32_t row = (uint32_t)(block * p->t->block_rows);
    return (rusk_block_shape){.n_rows = RUSK_MIN(p->t->block_rows, p->n_rows - row),
                              .n_cols = p->n_cols,
                              .row_classes = p->t->row_classes + row};
}

static plain decode(const rusk_source *s, size_t tensor) {
    plain p = {.t = rusk_container_get_tensor(s, tensor),
               .n_rows = (uint32_t)s->tensors[tensor].n_rows,
               .n_cols = (uint32_t)s->tensors[tensor].n_cols,
               .n_blocks = rusk_container_n_blocks(s, tensor)};
    rusk_error err;
    const rusk_codec *codec = rusk_codec_find(p.t->codec);
    rusk_codec_tables *tables;
    size_t n = (size_t)p.n_rows * p.n_cols, n_patches = 0;
    p.symbols = room(n);
    p.patches = room(n * sizeof *p.patches);
    p.start = room((p.n_blocks + 1) * sizeof *p.start);
    p.hist = room(sizeof *p.hist);
    rusk_hist_clear(p.hist);
    need(codec->open_tables(&tables, s->alloc, p.t->tables, p.t->tables_bytes, &err), &err);
    for (uint64_t b = 0; b < p.n_blocks; b++) {
        rusk_block_shape shape = shape_of(&p, b);
        size_t len = rusk_container_block_bytes(s, tensor, b), got;
        uint8_t *data = room(len + RUSK_BLOCK_OVERREAD);
        int8_t *out = p.symbols + b * p.t->block_rows * p.n_cols;
        need(rusk_container_read_block(s, tensor, b, data, &err), &err);
        need(rusk_block_decode(codec, tables, &shape, data, len, out, p.n_cols,
                               p.patches + n_patches, &got, &err),
             &err);
        p.start[b] = n_patches;
        n_patches += got;
        for (size_t r = 0; r < shape.n_rows; r++) {
            rusk_hist_add(p.hist, shape.row_classes[r], out + r * p.n_cols, p.n_cols);
        }
        free(data);
    }
    p.start[p.n_blocks] = n_patches;
    codec->close_tables(tables);
    return p;
}

static void plain_free(plain *p) {
    free(p->symbols);
    free(p->patches);
    free(p->start);
    free(p->hist);
}

/* Codes a tensor; writes it where there is a writer. Returns its bytes. */
static double encode(const plain *p, const rusk_codec *codec, rusk_alloc *alloc,
                     rusk_container_writer *writer) {
    rusk_strbuf blob, data;
    rusk_codec_tables *tables;
    rusk_error err;
    rusk_strbuf_init(&blob, alloc, RUSK_MEM_TABLES);
    rusk_strbuf_init(&data, alloc, RUSK_MEM_SCRATCH);
    need(codec->build_tables(p->hist, &blob, &err), &err);
    need(codec->open_tables(&tables, alloc, (const uint8_t *)blob.data, blob.len_bytes, &err),
         &err);
    rusk_container_tensor t = *p->t;
    t.codec = codec->name;
    t.tables = (const uint8_t *)blob.data;
    t.tables_bytes = blob.len_bytes;
    if (writer != NULL) {
        need(rusk_container_writer_begin_tensor(writer, &t, &err), &err);
    }
    double bytes = (double)blob.len_bytes;
    for (uint64_t b = 0; b < p->n_blocks; b++) {
        rusk_block_shape shape = shape_of(p, b);
        rusk_strbuf_clear(&data);
        need(rusk_block_encode(codec, tables, &shape, p->symbols + b * p->t->block_rows * p->n_cols,
                               p->patches + p->start[b], p->start[b + 1] - p->start[b], &data,
                               &err),
             &err);
        bytes += (double)data.len_bytes + INDEX_BYTES;
        if (writer != NULL) {
            need(rusk_container_writer_block(writer, data.data, data.len_bytes, &err), &err);
        }
    }
    codec->close_tables(tables);
    rusk_strbuf_finish(&blob);
    rusk_strbuf_finish(&data);
    return bytes;
}

static void copy_vector(const rusk_source *s, size_t tensor, rusk_container_writer *writer) {
    size_t n = (size_t)(s->tensors[tensor].n_rows * s->tensors[tensor].n_cols * sizeof(float));
    rusk_error err;
    void *values = room(n);
    need(s->ops->read_rows(s, tensor, 0, s->tensors[tensor].n_rows, values, &err), &err);
    need(rusk_container_writer_begin_tensor(writer, rusk_container_get_tensor(s, tensor), &err),
         &err);
    need(rusk_container_writer_block(writer, values, n, &err), &err);
    need(rusk_container_writer_end_tensor(writer, &err), &err);
    free(values);
}

/* Into `only` and a file, or into all codecs. */
static void transcode(const rusk_source *s, const rusk_codec *only, rusk_container_writer *writer) {
    double bytes[16] = {0}, entropy = 0, n_weights = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        if (s->tensors[i].dtype->dtype != RUSK_DTYPE_SYM8) {
            if (writer != NULL) {
                copy_vector(s, i, writer);
            }
            continue;
        }
        rusk_error err;
        plain p = decode(s, i);
        entropy += rusk_hist_bits(p.hist);
        n_weights += (double)p.n_rows * p.n_cols;
        for (size_t c = 0; c < RUSK_MIN(rusk_codec_count(), RUSK_COUNT(bytes)); c++) {
            const rusk_codec *codec = rusk_codec_at(c);
            bytes[c] += only == NULL || codec == only ? encode(&p, codec, s->alloc, writer) : 0;
        }
        if (writer != NULL) {
            need(rusk_container_writer_end_tensor(writer, &err), &err);
        }
        plain_free(&p);
    }
    for (size_t c = 0; c < RUSK_MIN(rusk_codec_count(), RUSK_COUNT(bytes)); c++) {
        if (bytes[c] > 0) {
            printf("{\"what\": \"transcode\", \"codec\": \"%s\", \"entropy_bits\": %.4f, "
                   "\"coded_bits\": %.4f, \"overhead\": %.5f, \"bytes\": %.0f}\n",
                   rusk_codec_at(c)->name, entropy / n_weights, 8 * bytes[c] / n_weights,
                   8 * bytes[c] / entropy - 1, bytes[c]);
        }
    }
}

int main(int argc, char **argv) {
    const rusk_codec *codec = argc == 4 ? rusk_codec_find(argv[2]) : NULL;
    rusk_container_writer *writer = NULL;
    rusk_alloc alloc;
    rusk_source *s;
    rusk_error err;
    if ((argc != 2 && argc != 4) || (argc == 4 && codec == NULL)) {
        (void)fprintf(stderr, "usage: bench_transcode MODEL.rusk [CODEC OUT.rusk]\n");
        return 2;
    }
    rusk_alloc_init(&alloc, NULL);
    need(rusk_container_open(&s, &alloc, argv[1], &err), &err);
    if (codec != NULL) {
        need(rusk_container_writer_create(&writer, &alloc, argv[3], &err), &err);
        need(rusk_container_writer_head(writer, rusk_container_get_provenance(s), s, &err), &err);
        for (int i = 0; i < 2; i++) {
            const char *tag = i == 0 ? "TOKN" : "CHAT";
            size_t len = 0;
            const uint8_t *bytes = rusk_container_get_section(s, tag, &len);
            if (bytes != NULL) {
                need(rusk_container_writer_section(writer, tag, bytes, len, &err), &err);
            }
        }
    }
    transcode(s, codec, writer);
    if (writer != NULL) {
        uint64_t file_bytes;
        need(rusk_container_writer_commit(writer, &file_bytes, &err), &err);
        printf("{\"what\": \"transcoded\", \"codec\": \"%s\", \"file_bytes\": %llu}\n", codec->name,
               (unsigned long long)file_bytes);
    }
    rusk_source_close(s);
    return 0;
}
