/* Damaged .rusk files of every codec through the public interface: a byte changed anywhere is told,
 * or does not matter. Where it lies in a block the message names tensor, block and offset. Where
 * the checksums were made right again nothing crashes, and what a decoder finds wrong names the
 * block. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "format/container.h"
#include "support/repair.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { N_LOGITS = 64, SWEEP_STEP = 211 };

typedef struct tiny_file {
    const char *path, *broken; /* the sound file, and where damaged ones go */
    uint8_t *data, *copy;
    size_t len_bytes;
    float logits[N_LOGITS];
} tiny_file;

static rusk_status run(const char *path, float logits[N_LOGITS], rusk_error *err) {
    rusk_model_options mo;
    rusk_context_options co;
    rusk_model *model;
    rusk_context *ctx;
    rusk_batch_item item = {.token = 5, .wants_logits = true};
    rusk_model_options_default(&mo);
    rusk_context_options_default(&co);
    mo.n_threads = co.n_threads = 1;
    mo.weights_bytes = 20000; /* some tensors decoded at load, some at use */
    co.n_ctx = 8;
    RUSK_TRY(rusk_model_open(&model, path, &mo, err));
    rusk_status status = rusk_context_create(&ctx, model, &co, err);
    if (status == RUSK_OK) {
        status = rusk_decode(ctx, &item, 1, err);
        if (status == RUSK_OK) {
            memcpy(logits, rusk_logits(ctx, 0), N_LOGITS * sizeof *logits);
        }
        rusk_context_destroy(ctx);
    }
    rusk_model_close(model);
    return status;
}

static void make_file(tiny_file *f, const char *codec) {
    tiny_options o;
    rusk_pack_options po;
    rusk_alloc alloc;
    rusk_error err;
    const char *gguf = test_path("tiny.gguf");
    rusk_alloc_init(&alloc, NULL);
    tiny_options_default(&o, "llama");
    o.type = "F32";
    o.n_layers = 1;
    o.n_embd = 32;
    o.n_heads = 2;
    o.n_kv_heads = 1;
    o.head_dim = 16;
    o.n_ff = 32;
    rusk_pack_options_default(&po);
    po.bits = 16;
    po.n_threads = 1;
    po.codec = codec;
    f->path = test_path("tiny.rusk");
    f->broken = test_path("broken.rusk");
    CHECK_OK(tiny_model_write(gguf, &o, &alloc, &err), &err);
    CHECK_OK(rusk_pack(gguf, f->path, &po, NULL, &err), &err);
    CHECK_OK(run(f->path, f->logits, &err), &err);
    f->data = test_read_file(f->path, &f->len_bytes);
    f->copy = malloc(f->len_bytes);
}

static void finish_file(tiny_file *f) {
    free(f->data);
    free(f->copy);
}

/* Runs the file with one byte changed. */
static rusk_status run_damaged(tiny_file *f, size_t at, bool repair, float logits[N_LOGITS],
                               rusk_error *err) {
    memcpy(f->copy, f->data, f->len_bytes);
    f->copy[at] ^= (uint8_t)(1U << at % 8);
    size_t len = repair ? test_repair_container(f->copy, f->len_bytes) : f->len_bytes;
    test_write_file(f->broken, f->copy, len);
    err->message[0] = '\0';
    return run(f->broken, logits, err);
}

/* --- anywhere --------------------------------------------------------------------------------- */

static void sweep(const char *codec) {
    tiny_file f;
    size_t n_told = 0, n = 0;
    make_file(&f, codec);
    for (size_t at = test_seed() % SWEEP_STEP; at < f.len_bytes; at += SWEEP_STEP, n++) {
        float logits[N_LOGITS];
        rusk_error err;
        if (run_damaged(&f, at, false, logits, &err) == RUSK_OK) {
            CHECK_MEM(logits, f.logits, sizeof logits);
        } else {
            CHECK(err.message[0] != '\0');
            n_told++;
        }
        rusk_status repaired = run_damaged(&f, at, true, logits, &err);
        CHECK(repaired == RUSK_OK || err.message[0] != '\0');
    }
    CHECK(n_told * 2 > n); /* padding does not matter; most of a file does */
    finish_file(&f);
}

/* --- in a block ------------------------------------------------------------------------------- */

/* The message names the tensor and the block. */
static void check_named(const rusk_error *err, const char *tensor, uint64_t block) {
    char text[64];
    (void)snprintf(text, sizeof text, "block %llu", (unsigned long long)block);
    if (strstr(err->message, tensor) == NULL || strstr(err->message, text) == NULL) {
        test_fail(__FILE__, __LINE__, "expected tensor '%s', %s in \"%s\"", tensor, text,
                  err->message);
    }
}

static void try_block(tiny_file *f, const char *tensor, uint64_t block, size_t start, size_t len) {
    const size_t places[] = {start, start + len / 2, start + len - 1};
    for (size_t i = 0; i < RUSK_COUNT(places); i++) {
        float logits[N_LOGITS];
        rusk_error err;
        CHECK_EQ(run_damaged(f, places[i], false, logits, &err), RUSK_DAMAGED);
        check_named(&err, tensor, block);
        CHECK(strstr(err.message, "offset") != NULL);
        rusk_status s = run_damaged(f, places[i], true, logits, &err);
        CHECK(s == RUSK_OK || s == RUSK_FORMAT);
        if (s == RUSK_FORMAT) {
            check_named(&err, tensor, block);
        }
    }
}

static void every_block(const char *codec) {
    tiny_file f;
    rusk_alloc alloc;
    rusk_error err;
    rusk_source *source;
    size_t n_coded = 0;
    make_file(&f, codec);
    rusk_alloc_init(&alloc, NULL);
    CHECK_OK(rusk_container_open(&source, &alloc, f.path, &err), &err);
    for (size_t t = 0; t < source->n_tensors; t++) {
        const char *name = source->tensors[t].name;
        for (uint64_t b = 0; b < rusk_container_n_blocks(source, t); b++) {
            if (strcmp(source->tensors[t].codec, codec) == 0) {
                try_block(&f, name, b, (size_t)rusk_container_block_offset(source, t, b),
                          rusk_container_block_bytes(source, t, b));
                n_coded++;
            }
        }
    }
    CHECK(n_coded >= 8);
    rusk_source_close(source);
    CHECK_EQ(alloc.bytes_total, 0);
    finish_file(&f);
}

TEST(a_byte_changed_anywhere_is_told_or_does_not_matter) {
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        sweep(rusk_codec_at(i)->name);
    }
}

TEST(a_damaged_block_is_named) {
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        every_block(rusk_codec_at(i)->name);
    }
}

TEST_MAIN(CASE(a_byte_changed_anywhere_is_told_or_does_not_matter), CASE(a_damaged_block_is_named))
