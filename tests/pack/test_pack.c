#define _GNU_SOURCE
#include "pack/pack.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/hash.h"
#include "format/container.h"
#include "model/arch.h"
#include "quant/quantizer.h"
#include "support/test.h"
#include "support/tiny_model.h"

static rusk_alloc g_alloc;
static rusk_error g_err;

/* Writes a tiny model once and gives its path. */
static const char *tiny(const char *arch, const char *type, bool untied) {
    char name[64];
    snprintf(name, sizeof name, "%s-%s-%d.gguf", arch, type, untied);
    const char *path = test_path(name);
    if (!test_exists(path)) {
        tiny_options o;
        tiny_options_default(&o, arch);
        o.type = type;
        o.untied = untied;
        rusk_alloc_init(&g_alloc, NULL);
        CHECK_OK(tiny_model_write(path, &o, &g_alloc, &g_err), &g_err);
    }
    return path;
}

static rusk_pack_options options(double bits) {
    return (rusk_pack_options){
        .struct_size = sizeof(rusk_pack_options), .bits = bits, .n_threads = 1};
}

static rusk_pack_report pack_ok(const char *source, const char *out, const rusk_pack_options *o) {
    rusk_pack_report report;
    CHECK_OK(rusk_pack_run(source, out, o, &report, &g_err), &g_err);
    size_t len;
    free(test_read_file(out, &len));
    CHECK_EQ(len, report.file_bytes);
    CHECK_NEAR(report.bits_per_weight, 8.0 * (double)len / (double)report.n_parameters, 1e-9);
    return report;
}

/* --- what comes out --- */

typedef struct unpacked {
    rusk_source *source;
    const rusk_container_tensor *tensor;
    int8_t *symbols;
    rusk_patch *patches;
    size_t n_patches, n_rows, n_cols;
    size_t coded_bytes;
} unpacked;

/* Decodes a whole tensor; patches get positions in it. */
static void decode(unpacked *u, size_t index) {
    const rusk_container_tensor *t = u->tensor;
    const rusk_codec *codec = rusk_codec_find(t->codec);
    rusk_codec_tables *tables;
    size_t n = u->n_rows * u->n_cols;
    u->symbols = malloc(n);
    u->patches = malloc(n * sizeof *u->patches);
    u->n_patches = 0;
    u->coded_bytes = 0;
    CHECK_OK(codec->open_tables(&tables, &g_alloc, t->tables, t->tables_bytes, &g_err), &g_err);
    for (uint64_t b = 0; b < rusk_container_n_blocks(u->source, index); b++) {
        size_t row0 = b * t->block_rows, len = rusk_container_block_bytes(u->source, index, b);
        uint8_t *data = malloc(len + RUSK_BLOCK_OVERREAD);
        rusk_block_shape shape = {.n_rows = (uint32_t)RUSK_MIN(t->block_rows, u->n_rows - row0),
                                  .n_cols = (uint32_t)u->n_cols,
                                  .row_classes = t->row_classes + row0};
        size_t n_patches;
        CHECK_OK(rusk_container_read_block(u->source, index, b, data, &g_err), &g_err);
        CHECK_OK(rusk_block_decode(codec, tables, &shape, data, len, u->symbols + row0 * u->n_cols,
                                   u->n_cols, u->patches + u->n_patches, &n_patches, &g_err),
                 &g_err);
        for (size_t i = 0; i < n_patches; i++) {
            u->patches[u->n_patches++].position += (uint32_t)(row0 * u->n_cols);
        }
        u->coded_bytes += len;
        free(data);
    }
    codec->close_tables(tables);
}

/* Every tensor of the source is there; every weight within half a step of the source's. */
static void check_weights(const char *source_path, const char *packed_path) {
    rusk_source *source, *packed;
    CHECK_OK(rusk_source_open(&source, &g_alloc, source_path, &g_err), &g_err);
    CHECK_OK(rusk_source_open(&packed, &g_alloc, packed_path, &g_err), &g_err);
    CHECK_EQ(packed->n_tensors, source->n_tensors);
    for (size_t i = 0; i < source->n_tensors; i++) {
        const rusk_source_tensor *s = &source->tensors[i];
        ptrdiff_t index = rusk_source_find(packed, s->name);
        CHECK(index >= 0);
        size_t n = (size_t)(s->n_rows * s->n_cols);
        float *weights = malloc(n * sizeof(float));
        void *scratch = malloc((size_t)(s->n_rows * rusk_source_row_bytes(s)));
        CHECK_OK(rusk_source_read_f32(source, i, 0, s->n_rows, weights, scratch, &g_err), &g_err);
        unpacked u = {.source = packed,
                      .tensor = rusk_container_get_tensor(packed, (size_t)index),
                      .n_rows = (size_t)s->n_rows,
                      .n_cols = (size_t)s->n_cols};
        CHECK_EQ(u.tensor->source_dtype, s->dtype->dtype);
        if (u.tensor->dtype == RUSK_DTYPE_F32) {
            float *stored = malloc(n * sizeof(float));
            CHECK_OK(
                rusk_source_read_f32(packed, (size_t)index, 0, s->n_rows, stored, scratch, &g_err),
                &g_err);
            CHECK_MEM(stored, weights, n * sizeof(float));
            free(stored);
        } else {
            decode(&u, (size_t)index);
            for (size_t j = 0, p = 0; j < n; j++) {
                double q = u.symbols[j], scale = (double)u.tensor->row_scales[j / u.n_cols];
                if (p < u.n_patches && u.patches[p].position == j) {
                    q += u.patches[p++].delta;
                }
                CHECK(fabs(q * scale - (double)weights[j]) <= 0.50001 * scale);
            }
            free(u.symbols);
            free(u.patches);
        }
        free(weights);
        free(scratch);
    }
    rusk_source_close(packed);
    rusk_source_close(source);
}

TEST(weights_come_back_within_half_a_step) {
    static const struct {
        const char *arch, *type;
        bool untied;
    } MODELS[] = {{"llama", "F32", false},
                  {"qwen2", "F16", true},
                  {"gemma3", "BF16", false},
                  {"llama", "Q4_1", true},
                  {"qwen2", "Q8_0", false}};
    for (size_t m = 0; m < RUSK_COUNT(MODELS); m++) {
        const char *source = tiny(MODELS[m].arch, MODELS[m].type, MODELS[m].untied);
        const char *out = test_path("weights.rusk");
        rusk_pack_options o = options(9);
        rusk_alloc_init(&g_alloc, NULL);
        pack_ok(source, out, &o);
        check_weights(source, out);
        CHECK_EQ(g_alloc.bytes_total, 0);
    }
}

TEST(both_codecs_and_the_finest_step) {
    const char *source = tiny("llama", "F32", false), *out = test_path("finest.rusk");
    for (size_t c = 0; c < rusk_codec_count(); c++) {
        rusk_pack_options o = options(64);
        o.codec = rusk_codec_at(c)->name;
        rusk_pack_report finest = pack_ok(source, out, &o);
        check_weights(source, out);
        o.bits = 0;
        o.size_bytes = UINT64_MAX;
        rusk_pack_report larger = pack_ok(source, out, &o);
        CHECK_EQ(larger.entropy_bits * 1e6, finest.entropy_bits * 1e6);
    }
}

TEST(roles_texts_and_provenance) {
    const char *source_path = tiny("llama", "F32", false), *out = test_path("head.rusk");
    rusk_pack_options o = options(12);
    rusk_source *s;
    pack_ok(source_path, out, &o);
    CHECK_OK(rusk_source_open(&s, &g_alloc, out, &g_err), &g_err);
    const rusk_container_tensor *last = rusk_container_get_tensor(s, s->n_tensors - 1);
    CHECK_STR(last->roles, "token_embedding,output_head");
    CHECK_STR(last->name, "token_embd.weight");
    CHECK_STR(last->quantizer, "uniform");
    CHECK_STR(rusk_container_get_tensor(s, 0)->roles, "attn_norm");
    const rusk_provenance *p = rusk_container_get_provenance(s);
    CHECK_STR(p->tool, "rusk 0.1.0");
    CHECK_STR(p->options, "--bits 12 --quantizer uniform --codec rans");
    size_t len, n;
    uint8_t *bytes = test_read_file(source_path, &len), digest[16];
    rusk_hash128 h;
    rusk_hash128_init(&h);
    rusk_hash128_add(&h, bytes, len);
    rusk_hash128_end(&h, digest);
    free(bytes);
    CHECK_MEM(p->source_hash, digest, 16);
    CHECK_EQ(p->source_bytes, len);
    CHECK(rusk_container_get_section(s, "TOKN", &n) != NULL && n > 0);
    CHECK(rusk_source_meta(s, "general.architecture") != NULL);
    rusk_source_close(s);
    const char *untied = tiny("llama", "Q4_1", true);
    pack_ok(untied, out, &o);
    CHECK_OK(rusk_source_open(&s, &g_alloc, out, &g_err), &g_err);
    CHECK_STR(rusk_container_get_tensor(s, 0)->roles, "token_embedding");
    CHECK_STR(rusk_container_get_tensor(s, s->n_tensors - 1)->roles, "output_head");
    rusk_source_close(s);
}

TEST(the_report_adds_up) {
    const char *source = tiny("llama", "F32", false), *out = test_path("report.rusk");
    rusk_pack_options o = options(9);
    rusk_pack_report r = pack_ok(source, out, &o);
    rusk_source *s;
    CHECK_OK(rusk_source_open(&s, &g_alloc, out, &g_err), &g_err);
    double coded = 0, parameters = 0, weights = 0, entropy = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const rusk_source_tensor *t = &s->tensors[i];
        unpacked u = {.source = s,
                      .tensor = rusk_container_get_tensor(s, i),
                      .n_rows = (size_t)t->n_rows,
                      .n_cols = (size_t)t->n_cols};
        parameters += (double)(t->n_rows * t->n_cols);
        if (u.tensor->dtype != RUSK_DTYPE_SYM8) {
            continue;
        }
        decode(&u, i);
        static rusk_hist hist;
        rusk_hist_clear(&hist);
        for (size_t row = 0; row < u.n_rows; row++) {
            rusk_hist_add(&hist, u.tensor->row_classes[row], u.symbols + row * u.n_cols, u.n_cols);
        }
        entropy += rusk_hist_bits(&hist);
        coded += 8.0 * (double)(u.coded_bytes + 12 * rusk_container_n_blocks(s, i) +
                                u.tensor->tables_bytes + 4);
        weights += (double)(u.n_rows * u.n_cols);
        free(u.symbols);
        free(u.patches);
    }
    CHECK_NEAR(r.entropy_bits, entropy / weights, 1e-9);
    CHECK_NEAR(r.coded_bits, coded / weights, 1e-9);
    CHECK_NEAR(r.side_bits, (8.0 * (double)r.file_bytes - coded) / parameters, 1e-9);
    CHECK_EQ(r.n_parameters, parameters);
    CHECK_EQ(r.source_bytes, rusk_container_get_provenance(s)->source_bytes);
    CHECK(r.seconds > 0 && r.bytes_peak > 0 && r.tokenizer_bytes > 0);
    rusk_source_close(s);
}

/* --- the dial --- */

TEST(size_is_kept_and_used) {
    const char *source = tiny("qwen2", "F16", true), *out = test_path("size.rusk");
    rusk_pack_options coarse = options(0), fine = options(0);
    fine.size_bytes = UINT64_MAX;
    uint64_t most = pack_ok(source, out, &fine).file_bytes;
    coarse.size_bytes = 1;
    CHECK_FAILS(rusk_pack_run(source, test_path("none.rusk"), &coarse, NULL, &g_err),
                RUSK_IMPOSSIBLE, &g_err, "expected a target of at least ");
    uint64_t least = strtoull(strstr(g_err.message, "at least ") + 9, NULL, 10);
    CHECK(least > 1000 && least < most);
    CHECK(!test_exists(test_path("none.rusk")));
    for (int i = 0; i <= 8; i++) {
        rusk_pack_options o = options(0);
        o.size_bytes = least + (most - least) * (unsigned)i / 8;
        rusk_pack_report r = pack_ok(source, out, &o);
        CHECK(r.file_bytes <= o.size_bytes);
        /* an extent ends on a page, which is much of a tiny file */
        CHECK((double)r.file_bytes + 4096 >= 0.985 * (double)o.size_bytes);
        if (i == 0) {
            continue; /* "--bits 1.2355" is a longer text than "--size 25044", by which it fails */
        }
        o.bits = 8.0 * (double)o.size_bytes / (double)r.n_parameters * (1 + 1e-9);
        o.size_bytes = 0;
        CHECK(pack_ok(source, out, &o).bits_per_weight <= o.bits);
    }
    coarse.size_bytes = least - 1;
    CHECK_FAILS(rusk_pack_run(source, test_path("none.rusk"), &coarse, NULL, &g_err),
                RUSK_IMPOSSIBLE, &g_err, "bits per weight");
}

TEST(bytes_do_not_depend_on_threads) {
    const char *source = tiny("gemma3", "BF16", false);
    size_t len[3];
    uint8_t *bytes[3];
    for (unsigned t = 0; t < 3; t++) {
        char name[32];
        snprintf(name, sizeof name, "threads-%u.rusk", t + 1);
        rusk_pack_options o = options(10);
        o.n_threads = t + 1;
        pack_ok(source, test_path(name), &o);
        bytes[t] = test_read_file(test_path(name), &len[t]);
        CHECK_EQ(len[t], len[0]);
        CHECK_MEM(bytes[t], bytes[0], len[0]);
    }
    for (unsigned t = 0; t < 3; t++) {
        free(bytes[t]);
    }
}

/* --- what goes wrong --- */

TEST(arguments_are_checked) {
    const char *source = tiny("llama", "F32", false), *out = test_path("arguments.rusk");
    static const double BAD[] = {-1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < RUSK_COUNT(BAD); i++) {
        rusk_pack_options o = options(BAD[i]);
        CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                    "bits per weight");
    }
    rusk_pack_options o = options(4);
    o.size_bytes = 1000;
    CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                "found both");
    o = options(4);
    o.codec = "zip";
    CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                "rans");
    o = options(4);
    o.quantizer = "magic";
    CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                "uniform");
    o = options(4);
    o.n_threads = 100000;
    CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                "threads");
    o = options(4);
    CHECK_FAILS(rusk_pack_run(source, source, &o, NULL, &g_err), RUSK_INVALID_ARGUMENT, &g_err,
                "found the source");
    CHECK(!test_exists(out));
}

TEST(paths_are_checked) {
    const char *source = tiny("llama", "F32", false), *out = test_path("paths.rusk");
    rusk_pack_options o = options(9);
    size_t before = test_count_files();
    CHECK_FAILS(rusk_pack_run(test_path("absent.gguf"), out, &o, NULL, &g_err), RUSK_NOT_FOUND,
                &g_err, "absent.gguf");
    CHECK_FAILS(rusk_pack_run(source, test_path("no/such/folder.rusk"), &o, NULL, &g_err),
                RUSK_NOT_FOUND, &g_err, "folder.rusk");
    CHECK_EQ(test_count_files(), before);
    pack_ok(source, out, &o);
    CHECK_FAILS(rusk_pack_run(out, test_path("twice.rusk"), &o, NULL, &g_err), RUSK_UNSUPPORTED,
                &g_err, "found a .rusk file");
    CHECK_EQ(test_count_files(), before + 1);
}

TEST(a_failure_leaves_the_old_file) {
    const char *source = tiny("llama", "F32", false), *out = test_path("old.rusk");
    test_write_file(out, "old", 3);
    size_t before = test_count_files();
    rusk_pack_options o = options(0.001);
    CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_IMPOSSIBLE, &g_err, "at least");
    size_t len;
    uint8_t *bytes = test_read_file(out, &len);
    CHECK_EQ(len, 3);
    CHECK_MEM(bytes, "old", 3);
    free(bytes);
    CHECK_EQ(test_count_files(), before);
}

/* A copy of a tiny F32 model with one float of a tensor replaced. */
static const char *with_value(const char *tensor, size_t index, float value) {
    const char *source = tiny("llama", "F32", false), *path = test_path("value.gguf");
    rusk_source *s;
    size_t len;
    uint8_t *bytes = test_read_file(source, &len);
    rusk_alloc_init(&g_alloc, NULL);
    CHECK_OK(rusk_source_open(&s, &g_alloc, source, &g_err), &g_err);
    ptrdiff_t t = rusk_source_find(s, tensor);
    CHECK(t >= 0);
    memcpy(bytes + s->tensors[t].offset + 4 * index, &value, sizeof value);
    rusk_source_close(s);
    test_write_file(path, bytes, len);
    free(bytes);
    return path;
}

TEST(values_that_are_not_finite_are_named) {
    rusk_source *s;
    rusk_alloc_init(&g_alloc, NULL);
    CHECK_OK(rusk_source_open(&s, &g_alloc, tiny("llama", "F32", false), &g_err), &g_err);
    size_t cols = (size_t)s->tensors[rusk_source_find(s, "blk.1.ffn_up.weight")].n_cols;
    rusk_source_close(s);
    const char *out = test_path("finite.rusk");
    rusk_pack_options o = options(9);
    const char *path = with_value("blk.1.ffn_up.weight", 5 * cols + 7, NAN);
    CHECK_FAILS(rusk_pack_run(path, out, &o, NULL, &g_err), RUSK_FORMAT, &g_err,
                "tensor 'blk.1.ffn_up.weight': row 5, column 7: expected a finite weight");
    path = with_value("blk.0.attn_norm.weight", 3, -INFINITY);
    CHECK_FAILS(rusk_pack_run(path, out, &o, NULL, &g_err), RUSK_FORMAT, &g_err,
                "tensor 'blk.0.attn_norm.weight': row 0, column 3");
    CHECK(!test_exists(out));
    path = with_value("blk.1.ffn_up.weight", 9, 1e30F); /* an outlier is no error */
    pack_ok(path, out, &o);
}

typedef struct canceller {
    unsigned n_calls, stop_at; /* stop_at 0: never */
    bool ok;
    char stage[16];
    uint64_t done, total;
} canceller;

static bool on_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    canceller *c = user;
    if (strcmp(stage, c->stage) == 0 && done >= c->done) {
        c->ok &= total == c->total; /* constant during one stage */
    }
    c->ok &= done <= total;
    snprintf(c->stage, sizeof c->stage, "%s", stage);
    c->done = done;
    c->total = total;
    return ++c->n_calls != c->stop_at;
}

TEST(cancelling_anywhere_leaves_nothing) {
    const char *source = tiny("llama", "Q4_1", true), *out = test_path("cancel.rusk");
    canceller c = {.ok = true};
    rusk_pack_options o = options(9);
    o.progress = on_progress;
    o.user = &c;
    pack_ok(source, out, &o);
    CHECK(c.ok);
    CHECK_STR(c.stage, "code");
    CHECK_EQ(c.done, c.total);
    unsigned n = c.n_calls;
    unlink(out);
    size_t before = test_count_files();
    test_failing_alloc f;
    for (unsigned at = 1; at <= n; at += 1 + at / 12) {
        test_failing_alloc_init(&f, 0);
        c = (canceller){.stop_at = at};
        o.allocator = &f.allocator;
        CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_CANCELLED, &g_err,
                    "cancelled");
        CHECK_EQ(c.n_calls, at);
        CHECK_EQ(f.n_live, 0);
        CHECK_EQ(test_count_files(), before);
    }
}

TEST(no_memory_anywhere_leaves_nothing) {
    const char *source = tiny("llama", "Q4_1", false), *out = test_path("memory.rusk");
    test_failing_alloc f;
    test_failing_alloc_init(&f, 0);
    rusk_pack_options o = options(9);
    o.allocator = &f.allocator;
    pack_ok(source, out, &o);
    CHECK_EQ(f.n_live, 0);
    uint64_t n = f.n_requests;
    unlink(out);
    size_t before = test_count_files();
    for (uint64_t nth = 1; nth <= n; nth += 1 + nth / 40) {
        test_failing_alloc_init(&f, nth);
        CHECK_FAILS(rusk_pack_run(source, out, &o, NULL, &g_err), RUSK_NO_MEMORY, &g_err, "");
        CHECK_EQ(f.n_live, 0);
        CHECK_EQ(test_count_files(), before);
    }
}

TEST(a_full_disk_leaves_nothing) {
    const char *source = tiny("llama", "F32", false), *out = test_path("full.rusk");
    rusk_pack_options o = options(12);
    rusk_pack_report r = pack_ok(source, out, &o);
    unlink(out);
    size_t before = test_count_files();
    struct rlimit old, limit;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* writing beyond the limit then just fails */
    for (int i = 0; i < 8; i++) {
        limit = old;
        limit.rlim_cur = r.file_bytes * (unsigned)i / 8;
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
        rusk_status status = rusk_pack_run(source, out, &o, NULL, &g_err);
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
        CHECK_EQ(status, RUSK_IO);
        CHECK(strstr(g_err.message, "full.rusk") != NULL);
        CHECK_EQ(test_count_files(), before);
    }
}

/* A copy of a tiny model in which a tensor has another name of the same length. */
TEST(a_missing_tensor_is_named) {
    const char *source = tiny("llama", "F32", false), *path = test_path("missing.gguf");
    static const char NAME[] = "blk.1.ffn_up.weight";
    rusk_pack_options o = options(9);
    size_t len, at = 0;
    uint8_t *bytes = test_read_file(source, &len);
    while (at + sizeof NAME < len && memcmp(bytes + at, NAME, sizeof NAME - 1) != 0) {
        at++;
    }
    CHECK(at + sizeof NAME < len);
    bytes[at + 4] = '0'; /* now blk.0 has two of them */
    test_write_file(path, bytes, len);
    free(bytes);
    size_t before = test_count_files();
    CHECK(rusk_pack_run(path, test_path("missing.rusk"), &o, NULL, &g_err) != RUSK_OK);
    CHECK(strstr(g_err.message, "ffn_up.weight") != NULL);
    CHECK_EQ(test_count_files(), before);
}

TEST(a_tensor_of_zeros_is_fine) {
    const char *source = tiny("llama", "F32", false), *path = test_path("zeros.gguf");
    const char *out = test_path("zeros.rusk");
    rusk_pack_options o = options(9);
    rusk_source *s;
    size_t len;
    uint8_t *bytes = test_read_file(source, &len);
    rusk_alloc_init(&g_alloc, NULL);
    CHECK_OK(rusk_source_open(&s, &g_alloc, source, &g_err), &g_err);
    static const char *const NAMES[] = {"blk.0.attn_v.weight", "blk.1.ffn_down.weight"};
    for (size_t i = 0; i < RUSK_COUNT(NAMES); i++) {
        const rusk_source_tensor *t = &s->tensors[rusk_source_find(s, NAMES[i])];
        memset(bytes + t->offset, 0, (size_t)t->bytes);
    }
    rusk_source_close(s);
    test_write_file(path, bytes, len);
    free(bytes);
    for (size_t c = 0; c < rusk_codec_count(); c++) {
        o.codec = rusk_codec_at(c)->name;
        pack_ok(path, out, &o);
        check_weights(path, out);
    }
}

TEST_MAIN(CASE(weights_come_back_within_half_a_step), CASE(both_codecs_and_the_finest_step),
          CASE(roles_texts_and_provenance), CASE(the_report_adds_up), CASE(size_is_kept_and_used),
          CASE(bytes_do_not_depend_on_threads), CASE(arguments_are_checked),
          CASE(paths_are_checked), CASE(a_failure_leaves_the_old_file),
          CASE(values_that_are_not_finite_are_named), CASE(cancelling_anywhere_leaves_nothing),
          CASE(no_memory_anywhere_leaves_nothing), CASE(a_full_disk_leaves_nothing),
          CASE(a_missing_tensor_is_named), CASE(a_tensor_of_zeros_is_fine))
