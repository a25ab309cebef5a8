/* The public interface end to end on tiny models: what rusk.h promises, through rusk.h alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "support/test.h"
#include "support/tiny_model.h"

static const char *tiny_gguf(const char *arch, const char *tokenizer, const char *type) {
    rusk_alloc alloc;
    rusk_error err;
    tiny_options o;
    char name[64];
    rusk_alloc_init(&alloc, NULL);
    tiny_options_default(&o, arch);
    o.tokenizer = tokenizer;
    o.type = type;
    (void)snprintf(name, sizeof name, "%s-%s-%s.gguf", arch, tokenizer, type);
    const char *path = test_path(name);
    CHECK_OK(tiny_model_write(path, &o, &alloc, &err), &err);
    return path;
}

static const char *tiny_rusk(const char *gguf, const char *name, double bits) {
    rusk_error err;
    rusk_pack_options o;
    rusk_pack_options_default(&o);
    o.bits = bits;
    const char *path = test_path(name);
    CHECK_OK(rusk_pack(gguf, path, &o, NULL, &err), &err);
    return path;
}

static rusk_model *open_model(const char *path, uint64_t weights_bytes) {
    rusk_model_options o;
    rusk_model *model;
    rusk_error err;
    rusk_model_options_default(&o);
    o.weights_bytes = weights_bytes;
    CHECK_OK(rusk_model_open(&model, path, &o, &err), &err);
    return model;
}

static rusk_context *open_context(rusk_model *model, uint32_t n_threads, uint32_t cpu_mask,
                                  rusk_activations activations) {
    rusk_context_options o;
    rusk_context *ctx;
    rusk_error err;
    rusk_context_options_default(&o);
    o.n_ctx = 64;
    o.n_threads = n_threads;
    o.cpu_mask = cpu_mask;
    o.activations = activations;
    o.n_seq_max = 2;
    CHECK_OK(rusk_context_create(&ctx, model, &o, &err), &err);
    return ctx;
}

/* Logits after a fixed prompt; malloc'ed. */
static float *run_with(const char *path, uint64_t weights_bytes, uint32_t n_threads,
                       uint32_t cpu_mask, rusk_activations activations, uint32_t *n_vocab) {
    enum { PROMPT = 12 };
    rusk_error err;
    rusk_model *model = open_model(path, weights_bytes);
    rusk_context *ctx = open_context(model, n_threads, cpu_mask, activations);
    rusk_batch_item items[PROMPT];
    for (int i = 0; i < PROMPT; i++) {
        items[i] =
            (rusk_batch_item){.token = 7 * i + 3, .position = i, .wants_logits = i == PROMPT - 1};
    }
    CHECK_OK(rusk_decode(ctx, items, PROMPT, &err), &err);
    CHECK(rusk_logits(ctx, 0) == NULL);
    rusk_model_info info;
    rusk_model_get_info(model, &info);
    float *copy = malloc(info.n_vocab * sizeof(float));
    memcpy(copy, rusk_logits(ctx, PROMPT - 1), info.n_vocab * sizeof(float));
    *n_vocab = info.n_vocab;
    rusk_context_destroy(ctx);
    rusk_model_close(model);
    return copy;
}

static float *run(const char *path, uint64_t weights_bytes, uint32_t n_threads, uint32_t cpu_mask,
                  uint32_t *n_vocab) {
    return run_with(path, weights_bytes, n_threads, cpu_mask, RUSK_ACTIVATIONS_INT8, n_vocab);
}

TEST(tiers_threads_and_instruction_sets_give_the_same_bits) {
    static const char *const TYPES[] = {"F32", "Q4_0"};
    for (size_t t = 0; t < RUSK_COUNT(TYPES); t++) {
        uint32_t n;
        const char *packed = tiny_rusk(tiny_gguf("llama", "bpe", TYPES[t]), "tiers.rusk", 16);
        float *hot = run(packed, 0, 1, UINT32_MAX, &n);
        static const struct {
            uint64_t weights_bytes;
            uint32_t n_threads, cpu_mask;
        } WAYS[] = {
            {1, 1, UINT32_MAX}, {1, 3, UINT32_MAX}, {150000, 2, UINT32_MAX}, {0, 2, 0}, {1, 1, 0}};
        for (size_t i = 0; i < RUSK_COUNT(WAYS); i++) {
            float *other =
                run(packed, WAYS[i].weights_bytes, WAYS[i].n_threads, WAYS[i].cpu_mask, &n);
            CHECK_MEM(other, hot, n * sizeof(float));
            free(other);
        }
        free(hot);
    }
}

/* A model whose matrices are several blocks each, so that threads share them in every way. */
static const char *blocky_rusk(const char *codec) {
    rusk_alloc alloc;
    rusk_error err;
    tiny_options o;
    rusk_pack_options p;
    const char *gguf = test_path("blocky.gguf"), *path = test_path("blocky.rusk");
    rusk_alloc_init(&alloc, NULL);
    tiny_options_default(&o, "llama");
    o.n_layers = 1;
    o.n_embd = 256;
    o.n_heads = 8;
    o.n_kv_heads = 4;
    o.head_dim = 32;
    o.n_ff = 1312;
    CHECK_OK(tiny_model_write(gguf, &o, &alloc, &err), &err);
    rusk_pack_options_default(&p);
    p.bits = 5;
    p.codec = codec;
    CHECK_OK(rusk_pack(gguf, path, &p, NULL, &err), &err);
    return path;
}

typedef struct form {
    const char *codec;
    uint64_t weights_bytes;
    uint32_t n_threads, n_batch, cpu_mask;
} form;

/* Logits after 11 tokens in batches of n_batch; malloc'ed. */
static float *run_form(const char *path, const form *f, rusk_model_info *info) {
    enum { PROMPT = 11 };
    rusk_model_options mo;
    rusk_model *model;
    rusk_error err;
    rusk_model_options_default(&mo);
    mo.codec = f->codec;
    mo.weights_bytes = f->weights_bytes;
    mo.n_threads = f->n_threads;
    CHECK_OK(rusk_model_open(&model, path, &mo, &err), &err);
    rusk_context *ctx = open_context(model, f->n_threads, f->cpu_mask, RUSK_ACTIVATIONS_INT8);
    uint32_t index = 0;
    for (uint32_t at = 0; at < PROMPT; at += f->n_batch) {
        rusk_batch_item items[PROMPT];
        const uint32_t n = RUSK_MIN(f->n_batch, PROMPT - at);
        for (uint32_t i = 0; i < n; i++) {
            items[i] = (rusk_batch_item){.token = (int32_t)(7 * (at + i) + 3),
                                         .position = (int32_t)(at + i),
                                         .wants_logits = i + 1 == n};
        }
        CHECK_OK(rusk_decode(ctx, items, n, &err), &err);
        index = n - 1;
    }
    rusk_model_get_info(model, info);
    float *copy = malloc(info->n_vocab * sizeof(float));
    memcpy(copy, rusk_logits(ctx, index), info->n_vocab * sizeof(float));
    CHECK_EQ(info->weights_bytes, info->weights_stored_bytes + info->weights_hot_bytes +
                                      info->weights_warm_bytes + info->weights_vector_bytes);
    rusk_context_destroy(ctx);
    rusk_model_close(model);
    return copy;
}

TEST(codecs_in_file_and_memory_give_the_same_bits) {
    static const char *const FILES[] = {"rans", "raw"};
    const form plain = {.n_threads = 1, .n_batch = 11, .cpu_mask = UINT32_MAX};
    rusk_model_info info;
    size_t n_codecs = 0;
    while (rusk_codec_name(n_codecs) != NULL) {
        n_codecs++;
    }
    for (size_t i = 0; i < RUSK_COUNT(FILES); i++) {
        const char *path = blocky_rusk(FILES[i]);
        float *first = run_form(path, &plain, &info);
        const uint64_t hot = info.weights_hot_bytes;
        CHECK(hot > 0 && info.weights_warm_bytes == 0);
        CHECK_STR(info.weights_codec, "");
        for (size_t k = 0; k < 2 * n_codecs; k++) {
            const char *name = rusk_codec_name(k / 2);
            const form f = {.codec = name,
                            .weights_bytes = k % 2 * (hot * 5 / 6),
                            .n_threads = 1 + (uint32_t)(k + i) % 3,
                            .n_batch = k % 3 == 0 ? 1 : (k % 3 == 1 ? 4 : 11),
                            .cpu_mask = k == 5 ? 0 : UINT32_MAX};
            float *other = run_form(path, &f, &info);
            CHECK_MEM(other, first, info.n_vocab * sizeof(float));
            free(other);
            if (k % 2 == 0) {
                CHECK_EQ(info.weights_hot_bytes > 0, strcmp(name, "raw") == 0);
                CHECK_STR(info.weights_codec, strcmp(name, "raw") == 0 ? "" : name);
            } else {
                CHECK(info.weights_hot_bytes > 0 && info.weights_warm_bytes > 0);
                CHECK(info.weights_bytes <= f.weights_bytes);
            }
        }
        free(first);
    }
}

TEST(an_unknown_codec_is_named) {
    rusk_error err;
    rusk_model *model;
    rusk_model_options o;
    const char *packed = tiny_rusk(tiny_gguf("llama", "bpe", "F32"), "codec.rusk", 8);
    rusk_model_options_default(&o);
    o.codec = "zip";
    CHECK_FAILS(rusk_model_open(&model, packed, &o, &err), RUSK_INVALID_ARGUMENT, &err, "'zip'");
    CHECK(model == NULL);
    CHECK_STR(rusk_codec_name(0), "raw");
    CHECK(rusk_codec_name(1000) == NULL);
}

TEST(an_exported_model_gives_the_same_logits) {
    static const char *const ARCHS[] = {"llama", "qwen2", "gemma3"};
    for (size_t a = 0; a < RUSK_COUNT(ARCHS); a++) {
        rusk_error err;
        uint32_t n;
        const char *tokenizer = strcmp(ARCHS[a], "gemma3") == 0 ? "spm" : "bpe";
        const char *packed = tiny_rusk(tiny_gguf(ARCHS[a], tokenizer, "F32"), "export.rusk", 16);
        const char *gguf = test_path("export.gguf");
        rusk_model *model = open_model(packed, 0);
        CHECK_OK(rusk_model_export_gguf(model, gguf, NULL, NULL, &err), &err);
        rusk_model_close(model);
        float *before = run_with(packed, 0, 1, UINT32_MAX, RUSK_ACTIVATIONS_F32, &n);
        float *after = run_with(gguf, 0, 1, UINT32_MAX, RUSK_ACTIVATIONS_F32, &n);
        CHECK(test_relative_norm(after, before, n) <
              2e-3); /* F16 rounds a weight by 2^-12 at most */
        free(before);
        free(after);
        /* and the tokenizer came through */
        rusk_model *a_model = open_model(packed, 0), *b_model = open_model(gguf, 0);
        static const char TEXT[] = "Hello, w\xC3\xB6rld! <|im_start|> 123";
        int32_t ids[2][64];
        size_t count[2];
        CHECK_OK(rusk_tokenize(a_model, TEXT, sizeof TEXT - 1, RUSK_TOKENIZE_PARSE_SPECIAL, ids[0],
                               64, &count[0], &err),
                 &err);
        CHECK_OK(rusk_tokenize(b_model, TEXT, sizeof TEXT - 1, RUSK_TOKENIZE_PARSE_SPECIAL, ids[1],
                               64, &count[1], &err),
                 &err);
        CHECK_EQ(count[0], count[1]);
        CHECK_MEM(ids[0], ids[1], count[0] * sizeof ids[0][0]);
        rusk_model_close(a_model);
        rusk_model_close(b_model);
    }
}

TEST(a_batch_that_does_not_fit_changes_nothing) {
    rusk_error err;
    rusk_model *model = open_model(tiny_gguf("llama", "bpe", "F32"), 0);
    rusk_context *ctx = open_context(model, 1, UINT32_MAX, RUSK_ACTIVATIONS_INT8);
    rusk_batch_item item = {.token = 1, .wants_logits = true};
    CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
    rusk_batch_item bad[] = {{.token = 2, .position = 1}, {.token = -1, .position = 2}};
    CHECK_FAILS(rusk_decode(ctx, bad, 2, &err), RUSK_INVALID_ARGUMENT, &err, "found -1");
    bad[1] = (rusk_batch_item){.token = 1, .position = 5};
    CHECK_FAILS(rusk_decode(ctx, bad, 2, &err), RUSK_INVALID_ARGUMENT, &err,
                "expected position 2 of sequence 0, found 5");
    bad[1] = (rusk_batch_item){.token = 1, .sequence = 2};
    CHECK_FAILS(rusk_decode(ctx, bad, 2, &err), RUSK_INVALID_ARGUMENT, &err, "0..1, found 2");
    CHECK_FAILS(rusk_decode(ctx, bad, 0, &err), RUSK_INVALID_ARGUMENT, &err, "1 to 64");
    CHECK_EQ(rusk_kv_length(ctx, 0), 1);
    for (int p = 1; p < 64; p++) {
        item.position = p;
        CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
    }
    item.position = 64;
    CHECK_FAILS(rusk_decode(ctx, &item, 1, &err), RUSK_LIMIT, &err, "holds 64 positions, 65");
    CHECK_OK(rusk_kv_truncate(ctx, 0, 10, &err), &err);
    CHECK_EQ(rusk_kv_length(ctx, 0), 10);
    item.position = 10;
    CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
    CHECK_FAILS(rusk_kv_truncate(ctx, 7, 0, &err), RUSK_INVALID_ARGUMENT, &err, "found 7");
    rusk_context_destroy(ctx);
    rusk_model_close(model);
}

TEST(the_token_loop_allocates_nothing) {
    test_failing_alloc f;
    rusk_model *model;
    rusk_context *ctx;
    rusk_model_options mo;
    rusk_context_options co;
    rusk_sampler *sampler;
    rusk_sampler_options so;
    rusk_error err;
    test_failing_alloc_init(&f, 0);
    rusk_model_options_default(&mo);
    mo.allocator = &f.allocator;
    mo.weights_bytes = 1; /* decoding blocks must not allocate either */
    const char *packed = tiny_rusk(tiny_gguf("gemma3", "spm", "F32"), "loop.rusk", 6);
    CHECK_OK(rusk_model_open(&model, packed, &mo, &err), &err);
    rusk_context_options_default(&co);
    co.n_ctx = 200;
    CHECK_OK(rusk_context_create(&ctx, model, &co, &err), &err);
    rusk_sampler_options_default(&so);
    CHECK_OK(rusk_sampler_create(&sampler, model, &so, &err), &err);
    uint64_t n = f.n_requests;
    int32_t token = 2;
    for (int p = 0; p < 150; p++) {
        rusk_batch_item item = {.token = token, .position = p, .wants_logits = true};
        CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
        token = rusk_sampler_sample(sampler, rusk_logits(ctx, 0));
        rusk_sampler_accept(sampler, token);
    }
    CHECK_EQ(f.n_requests, n);
    rusk_memory_usage usage;
    rusk_model_get_memory(model, &usage);
    CHECK(usage.bytes[RUSK_MEM_KV] > 0 && usage.bytes[RUSK_MEM_WEIGHTS] > 0);
    uint64_t sum = 0;
    for (int tag = 0; tag < RUSK_MEM_TAGS; tag++) {
        sum += usage.bytes[tag];
    }
    CHECK_EQ(sum, usage.bytes_total);
    rusk_sampler_destroy(sampler);
    rusk_context_destroy(ctx);
    rusk_model_close(model);
    CHECK_EQ(f.n_live, 0);
}

/* Every allocation of opening and running fails once: an error each time, and nothing leaks. */
TEST(no_memory_anywhere_is_an_error_and_leaks_nothing) {
    const char *gguf = tiny_gguf("llama", "bpe", "Q4_0");
    const char *packed = tiny_rusk(gguf, "memory.rusk", 6);
    const char *const paths[] = {gguf, packed};
    for (size_t i = 0; i < 2; i++) {
        bool done = false;
        for (uint64_t n = 1; !done; n += n < 200 ? 1 : 37) {
            test_failing_alloc f;
            rusk_model *model;
            rusk_context *ctx = NULL;
            rusk_model_options mo;
            rusk_context_options co;
            rusk_error err;
            test_failing_alloc_init(&f, n);
            rusk_model_options_default(&mo);
            rusk_context_options_default(&co);
            mo.allocator = &f.allocator;
            mo.n_threads = co.n_threads = 1;
            mo.weights_bytes = n % 2 == 0 ? 1 : 0;
            mo.codec = n % 3 == 0 ? "a16r" : NULL;
            co.n_ctx = 16;
            rusk_status status = rusk_model_open(&model, paths[i], &mo, &err);
            if (status == RUSK_OK) {
                status = rusk_context_create(&ctx, model, &co, &err);
                done = status == RUSK_OK;
            }
            if (!done) {
                CHECK_EQ(status, RUSK_NO_MEMORY);
            }
            rusk_context_destroy(ctx);
            rusk_model_close(model);
            CHECK_EQ(f.n_live, 0);
        }
    }
}

TEST(options_of_an_older_caller_keep_defaults) {
    rusk_error err;
    rusk_model *model = open_model(tiny_gguf("llama", "bpe", "F32"), 0);
    rusk_context *ctx;
    rusk_context_options o;
    rusk_context_options_default(&o);
    o.n_ctx = 32;
    o.cpu_mask = 0; /* beyond the struct's size: must not be seen */
    o.n_batch = 9999;
    o.struct_size = offsetof(rusk_context_options, n_batch);
    CHECK_OK(rusk_context_create(&ctx, model, &o, &err), &err);
    CHECK_EQ(rusk_context_size(ctx), 32);
    rusk_context_destroy(ctx);
    o.struct_size = 0;
    CHECK_FAILS(rusk_context_create(&ctx, model, &o, &err), RUSK_INVALID_ARGUMENT, &err,
                "struct_size 0");
    CHECK(ctx == NULL);
    rusk_model_close(model);
}

TEST(missing_arguments_are_errors) {
    rusk_error err;
    rusk_model *model;
    rusk_file *file;
    CHECK_FAILS(rusk_model_open(NULL, "x", NULL, &err), RUSK_INVALID_ARGUMENT, &err, "NULL");
    CHECK_FAILS(rusk_model_open(&model, NULL, NULL, &err), RUSK_INVALID_ARGUMENT, &err, "NULL");
    CHECK_FAILS(rusk_model_open(&model, "/nonexistent/x", NULL, &err), RUSK_NOT_FOUND, &err,
                "/nonexistent/x");
    CHECK(model == NULL);
    CHECK_FAILS(rusk_file_open(&file, "/", NULL, &err), RUSK_IO, &err, "a directory");
    CHECK_FAILS(rusk_pack(NULL, "x", NULL, NULL, &err), RUSK_INVALID_ARGUMENT, &err, "NULL");
    CHECK_FAILS(rusk_decode(NULL, NULL, 0, &err), RUSK_INVALID_ARGUMENT, &err, "NULL");
    rusk_model_close(NULL);
    rusk_context_destroy(NULL);
    rusk_sampler_destroy(NULL);
    rusk_file_close(NULL);
    CHECK_STR(rusk_status_text(RUSK_DAMAGED), "checksum mismatch");
    CHECK_STR(rusk_status_text((rusk_status)99), "unknown status");
    CHECK_STR(rusk_version(), "0.1.0");
}

TEST(a_file_shows_its_tensors_and_entropies) {
    rusk_error err;
    rusk_file *file;
    const char *gguf = tiny_gguf("llama", "bpe", "F16");
    const char *packed = tiny_rusk(gguf, "inspect.rusk", 6);
    CHECK_OK(rusk_file_open(&file, packed, NULL, &err), &err);
    rusk_file_info info;
    rusk_file_get_info(file, &info);
    CHECK_STR(info.format, "rusk");
    CHECK_STR(info.architecture, "llama");
    CHECK(info.n_parameters > 10000 && info.bits_per_weight > 1);
    uint64_t bytes = 0;
    for (size_t i = 0; i < info.n_tensors; i++) {
        rusk_tensor_info t;
        double bits;
        CHECK_OK(rusk_file_get_tensor(file, i, &t, &err), &err);
        CHECK_OK(rusk_file_tensor_entropy(file, i, &bits, &err), &err);
        CHECK(bits >= 0 && bits <= t.bits_per_weight * 1.001 + 8);
        CHECK(strlen(t.role) > 0);
        bytes += t.bytes;
    }
    CHECK(bytes < info.file_bytes);
    rusk_tensor_info t;
    CHECK_FAILS(rusk_file_get_tensor(file, info.n_tensors, &t, &err), RUSK_INVALID_ARGUMENT, &err,
                "below");
    const char *key;
    char text[64];
    for (size_t i = 0; i < info.n_metadata; i++) {
        CHECK_OK(rusk_file_get_metadata(file, i, &key, text, sizeof text, &err), &err);
        CHECK(strlen(text) < sizeof text);
    }
    rusk_file_close(file);
}

/* Bytes of all blocks and of what lies between and behind them. */
static uint64_t check_codings(const rusk_file *file, const char *codec) {
    rusk_error err;
    rusk_file_info info;
    uint64_t data_bytes = 0, table_bytes = 0;
    rusk_file_get_info(file, &info);
    for (size_t i = 0; i < info.n_tensors; i++) {
        static const rusk_tensor_coding NONE;
        rusk_tensor_info t;
        rusk_tensor_coding c;
        double bits;
        CHECK_OK(rusk_file_get_tensor(file, i, &t, &err), &err);
        CHECK_OK(rusk_file_tensor_coding(file, i, &c, &err), &err);
        CHECK_OK(rusk_file_tensor_entropy(file, i, &bits, &err), &err);
        CHECK_NEAR(c.entropy_bits, bits, 0);
        if (strcmp(t.codec, "none") == 0) {
            c.entropy_bits = 0;
            CHECK_MEM(&c, &NONE, sizeof c);
            continue;
        }
        CHECK_STR(t.codec, codec);
        const double weights = (double)t.shape[0] * (double)t.shape[1];
        CHECK(t.n_dims == 2 && c.n_blocks > 0 && c.payload_bytes > 0 && c.patch_bytes > 0);
        CHECK_EQ(c.coded_bytes, c.payload_bytes + c.patch_bytes + c.table_bytes + c.class_bytes +
                                    c.index_bytes + c.padding_bytes);
        CHECK_EQ(c.coded_bytes + 2 * t.shape[0], t.bytes + c.padding_bytes);
        CHECK_EQ(c.class_bytes, (t.shape[0] + 1) / 2);
        CHECK(c.state_bytes >= 0 && c.state_bytes <= (double)c.payload_bytes + 64);
        CHECK_NEAR(c.overhead, 8 * (double)c.coded_bytes / (bits * weights) - 1, 1e-12);
        data_bytes += c.payload_bytes + c.patch_bytes + c.padding_bytes;
        table_bytes += c.table_bytes;
    }
    CHECK(table_bytes > 0 || data_bytes == 0);
    return data_bytes;
}

TEST(what_coding_takes_adds_up_for_every_codec) {
    rusk_error err;
    rusk_file *file;
    rusk_file_info info;
    const char *gguf = tiny_gguf("llama", "bpe", "F16");
    for (size_t i = 0; i < rusk_codec_count(); i++) {
        rusk_pack_options o;
        char name[32];
        rusk_pack_options_default(&o);
        o.bits = 12;
        o.codec = rusk_codec_at(i)->name;
        (void)snprintf(name, sizeof name, "coding-%s.rusk", o.codec);
        const char *path = test_path(name);
        CHECK_OK(rusk_pack(gguf, path, &o, NULL, &err), &err);
        CHECK_OK(rusk_file_open(&file, path, NULL, &err), &err);
        rusk_file_get_info(file, &info);
        const uint64_t data_bytes = check_codings(file, o.codec);
        CHECK(data_bytes > 0 && data_bytes % 4096 == 0 && data_bytes < info.file_bytes);
        rusk_tensor_coding c;
        CHECK_FAILS(rusk_file_tensor_coding(file, info.n_tensors, &c, &err), RUSK_INVALID_ARGUMENT,
                    &err, "below");
        rusk_file_close(file);
    }
    CHECK_OK(rusk_file_open(&file, gguf, NULL, &err), &err);
    CHECK_EQ(check_codings(file, "none"), 0);
    rusk_file_close(file);
}

TEST(eval_of_a_model_against_itself_finds_no_divergence) {
    rusk_error err;
    rusk_eval_options o;
    rusk_eval_result r, again;
    const char *gguf = tiny_gguf("llama", "bpe", "F32");
    rusk_model *model = open_model(gguf, 0), *reference = open_model(gguf, 0);
    char text[4000];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)("abcdefg hij klm nop"[(i * i + i / 7) % 19]);
    }
    rusk_eval_options_default(&o);
    o.chunk_tokens = 64;
    o.n_chunks = 3;
    CHECK_OK(rusk_eval(model, reference, text, sizeof text, &o, &r, &err), &err);
    CHECK_EQ(r.n_chunks, 3);
    CHECK_EQ(r.n_tokens, 3 * 31);
    CHECK(r.perplexity > 1 && r.perplexity < 1e6 && r.perplexity_se > 0);
    CHECK_NEAR(r.kl_mean, 0, 1e-9);
    CHECK_NEAR(r.same_top, 1, 0);
    CHECK_NEAR(r.ref_perplexity, r.perplexity, 0);
    o.n_threads = 3;
    CHECK_OK(rusk_eval(model, NULL, text, sizeof text, &o, &again, &err), &err);
    CHECK_NEAR(again.perplexity, r.perplexity, 0);
    CHECK_FAILS(rusk_eval(model, NULL, text, 10, &o, &again, &err), RUSK_INVALID_ARGUMENT, &err,
                "at least one chunk of 64 tokens");
    rusk_model *other = open_model(tiny_gguf("gemma3", "spm", "F32"), 0);
    CHECK_FAILS(rusk_eval(model, other, text, sizeof text, &o, &again, &err), RUSK_INVALID_ARGUMENT,
                &err, "same vocabulary");
    rusk_model_close(other);
    rusk_model_close(model);
    rusk_model_close(reference);
}

TEST(what_the_reference_computes_with_is_the_callers_choice) {
    rusk_error err;
    rusk_eval_options o;
    rusk_eval_result r, floats;
    rusk_model *model = open_model(tiny_gguf("llama", "bpe", "Q4_0"), 0);
    char text[1000];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)("abcdefg hij klm nop"[(i * i + i / 7) % 19]);
    }
    rusk_eval_options_default(&o);
    o.chunk_tokens = 64;
    o.n_chunks = 2;
    o.reference_activations = RUSK_ACTIVATIONS_F32;
    CHECK_OK(rusk_eval(model, model, text, sizeof text, &o, &r, &err), &err);
    CHECK(r.kl_mean > 0 && r.perplexity != r.ref_perplexity);
    o.activations = RUSK_ACTIVATIONS_F32;
    o.reference_activations = RUSK_ACTIVATIONS_SAME;
    CHECK_OK(rusk_eval(model, model, text, sizeof text, &o, &floats, &err), &err);
    CHECK_NEAR(floats.kl_mean, 0, 1e-9);
    CHECK_NEAR(floats.perplexity, r.ref_perplexity, 0);
    o.struct_size = offsetof(rusk_eval_options, reference_activations); /* an older caller */
    o.reference_activations = RUSK_ACTIVATIONS_INT8;
    CHECK_OK(rusk_eval(model, model, text, sizeof text, &o, &floats, &err), &err);
    CHECK_NEAR(floats.kl_mean, 0, 1e-9);
    o.struct_size = sizeof o;
    o.reference_activations = (rusk_activations)3;
    CHECK_FAILS(rusk_eval(model, model, text, sizeof text, &o, &floats, &err),
                RUSK_INVALID_ARGUMENT, &err, "expected activations");
    rusk_model_close(model);
}

TEST(a_profile_is_of_the_passes) {
    rusk_error err;
    rusk_model *model = open_model(tiny_gguf("llama", "bpe", "Q4_0"), 0);
    rusk_context *ctx = open_context(model, 2, UINT32_MAX, RUSK_ACTIVATIONS_INT8);
    rusk_profile profile = {0};
    rusk_stats stats;
    rusk_context_set_profile(ctx, &profile);
    for (int p = 0; p < 20; p++) {
        rusk_batch_item item = {.token = 5, .position = p, .wants_logits = true};
        CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
    }
    rusk_batch_item wrong = {.token = 5, .position = 3};
    CHECK(rusk_decode(ctx, &wrong, 1, NULL) == RUSK_INVALID_ARGUMENT);
    CHECK_EQ(profile.n_passes, 20);
    CHECK_EQ(profile.n_tokens, 20);
    double sum = 0;
    for (size_t i = 0; i < RUSK_STAGES; i++) {
        sum += profile.seconds[i];
    }
    rusk_context_get_stats(ctx, &stats);
    CHECK(sum > 0 && sum <= stats.decode_seconds + 1e-6);
    rusk_context_destroy(ctx);
    rusk_model_close(model);
}

TEST(codecs_are_measured) {
    rusk_bench_codec out[8];
    size_t n;
    rusk_error err;
    CHECK_OK(rusk_bench_codecs(3.5, out, 8, &n, &err), &err);
    CHECK(n >= 2);
    for (size_t i = 0; i < n; i++) {
        CHECK(out[i].entropy > 3.48 && out[i].entropy < 3.52 && out[i].bits > out[i].entropy);
        CHECK(out[i].decode_gweights_s > 0 && out[i].fused_gweights_s > 0);
    }
    CHECK_FAILS(rusk_bench_codecs(NAN, out, 8, &n, &err), RUSK_INVALID_ARGUMENT, &err, "1 to 7");
}

TEST_MAIN(CASE(tiers_threads_and_instruction_sets_give_the_same_bits),
          CASE(codecs_in_file_and_memory_give_the_same_bits), CASE(an_unknown_codec_is_named),
          CASE(an_exported_model_gives_the_same_logits),
          CASE(a_batch_that_does_not_fit_changes_nothing), CASE(the_token_loop_allocates_nothing),
          CASE(no_memory_anywhere_is_an_error_and_leaks_nothing),
          CASE(options_of_an_older_caller_keep_defaults), CASE(missing_arguments_are_errors),
          CASE(a_file_shows_its_tensors_and_entropies),
          CASE(what_coding_takes_adds_up_for_every_codec),
          CASE(eval_of_a_model_against_itself_finds_no_divergence),
          CASE(what_the_reference_computes_with_is_the_callers_choice),
          CASE(a_profile_is_of_the_passes), CASE(codecs_are_measured))
