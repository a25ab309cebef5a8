/* fuzz_model.c - hostile model files through everything: open, one token, one choice.
 *
 * Seeds are tiny models of every architecture, as GGUF and packed by every codec. In half of the
 * mutations of a .rusk file the checksums are recomputed, so that they reach the code behind. In
 * the other half a stronger property holds and is checked: a file that opens and runs gives the
 * very logits of its seed, because a block whose checksum is wrong is never accepted. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "rusk.h"
#include "support/repair.h"
#include "support/test.h"
#include "support/tiny_model.h"

/* A tiny model needs under 4 MB; a hostile header must not get more than this. */
enum { MEMORY_CAP = 64 << 20, MAX_SEEDS = 16, N_LOGITS = 64 };

typedef struct seed_file {
    uint8_t *data;
    size_t len_bytes;
    bool packed;
    float logits[N_LOGITS]; /* the first ones, of the unharmed file */
} seed_file;

static seed_file seeds[MAX_SEEDS];
static size_t n_seeds;
static const seed_file *unrepaired; /* seed of the present input where nothing was recomputed */
static size_t in_use;

static void *capped_get(void *user, size_t size) {
    (void)user;
    if (size > MEMORY_CAP - in_use) {
        return NULL;
    }
    size_t *p = malloc(size + 16);
    if (p != NULL) {
        in_use += size;
        *p = size;
        p += 16 / sizeof *p;
    }
    return p;
}

static void capped_put(void *user, void *ptr) {
    (void)user;
    if (ptr != NULL) {
        size_t *p = (size_t *)ptr - 16 / sizeof *p;
        in_use -= *p;
        free(p);
    }
}

static const rusk_allocator CAPPED = {.alloc = capped_get, .free = capped_put};

static void die(const char *what, const char *message) {
    fprintf(stderr, "fuzz_model: %s: %s\n", what, message);
    abort();
}

/* Runs one token; false where the file is refused somewhere on the way. */
static bool run_model(const char *path, const char *codec, float logits[N_LOGITS]) {
    rusk_model *model;
    rusk_context *ctx = NULL;
    rusk_model_options mo;
    rusk_context_options co;
    rusk_model_options_default(&mo);
    rusk_context_options_default(&co);
    mo.allocator = &CAPPED;
    mo.n_threads = co.n_threads = 1;
    mo.weights_bytes = 20000; /* some tensors decoded at load, some at use */
    mo.codec = codec;
    memset(logits, 0, N_LOGITS * sizeof *logits);
    co.n_ctx = 8;
    co.n_batch = 2;
    rusk_error err;
    if (rusk_model_open(&model, path, &mo, &err) != RUSK_OK) {
        return false;
    }
    bool ok = rusk_context_create(&ctx, model, &co, &err) == RUSK_OK;
    rusk_batch_item item = {.token = 5, .wants_logits = true};
    ok = ok && rusk_decode(ctx, &item, 1, &err) == RUSK_OK;
    if (ok) {
        rusk_model_info info;
        rusk_model_get_info(model, &info);
        memcpy(logits, rusk_logits(ctx, 0),
               RUSK_MIN(info.n_vocab, (uint32_t)N_LOGITS) * sizeof(float));
    }
    int32_t ids[16];
    size_t n = 0;
    (void)rusk_tokenize(model, "Hi <|im_end|> \xE2\x82\xAC", 18, RUSK_TOKENIZE_PARSE_SPECIAL, ids,
                        16, &n, NULL);
    rusk_context_destroy(ctx);
    rusk_model_close(model);
    if (in_use != 0) {
        die("memory", "a failed open leaked");
    }
    return ok;
}

/* The input as a file that no disk sees. */
static const char *as_file(const uint8_t *data, size_t len_bytes) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("rusk-fuzz", 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, len_bytes, 0) != (ssize_t)len_bytes) {
        die("cannot hold the input in memory", path);
    }
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    static const char *const CODECS[] = {"raw", "rans", "a16", "a16r", "a16x2"};
    float logits[N_LOGITS], transcoded[N_LOGITS];
    const char *path = as_file(data, len_bytes);
    bool ok = run_model(path, NULL, logits);
    if (ok && unrepaired != NULL && memcmp(logits, unrepaired->logits, sizeof logits) != 0) {
        die("a damaged file was accepted", path);
    }
    /* by another codec in memory: the same, or refused where a block nobody asked for is bad */
    if (ok && run_model(path, CODECS[len_bytes % RUSK_COUNT(CODECS)], transcoded)) {
        for (size_t i = 0; i < N_LOGITS; i++) {
            if (!(isnan(logits[i]) && isnan(transcoded[i])) &&
                memcmp(&logits[i], &transcoded[i], sizeof logits[i]) != 0) {
                die("transcoded weights differ", path);
            }
        }
    }
    rusk_file *file;
    if (rusk_file_open(&file, path, &CAPPED, NULL) == RUSK_OK) {
        rusk_file_info info;
        double bits;
        rusk_file_get_info(file, &info);
        for (size_t i = 0; i < info.n_tensors && i < 4; i++) {
            (void)rusk_file_tensor_entropy(file, i, &bits, NULL);
        }
        rusk_file_close(file);
    }
    if (in_use != 0) {
        die("memory", "a file leaked");
    }
    return 0;
}

static void add_seed(const char *path, bool packed) {
    seed_file *s = &seeds[n_seeds];
    s->data = test_read_file(path, &s->len_bytes);
    s->packed = packed;
    if (!run_model(path, NULL, s->logits)) {
        die("a seed does not run", path);
    }
    n_seeds++;
}

static void make_seeds(void) {
    static const struct {
        const char *arch, *tokenizer, *type, *codec;
    } KINDS[] = {{"llama", "bpe", "Q4_0", "rans"},
                 {"qwen2", "bpe", "F32", "a16r"},
                 {"gemma3", "spm", "F16", "raw"},
                 {"llama", "bpe", "F32", "a16"},
                 {"qwen2", "bpe", "F16", "a16x2"}};
    rusk_alloc alloc;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    for (size_t i = 0; i < RUSK_COUNT(KINDS); i++) {
        tiny_options o;
        rusk_pack_options po;
        const char *gguf = test_path("seed.gguf"), *packed = test_path("seed.rusk");
        tiny_options_default(&o, KINDS[i].arch);
        o.tokenizer = KINDS[i].tokenizer;
        o.type = KINDS[i].type;
        o.n_layers = 2;
        o.n_embd = 32;
        o.n_heads = 2;
        o.n_kv_heads = 1;
        o.head_dim = 16;
        o.n_ff = 32;
        rusk_pack_options_default(&po);
        po.bits = 16;
        po.codec = KINDS[i].codec;
        po.n_threads = 1;
        if (tiny_model_write(gguf, &o, &alloc, &err) != RUSK_OK ||
            rusk_pack(gguf, packed, &po, NULL, &err) != RUSK_OK) {
            die("cannot make a seed", err.message);
        }
        add_seed(gguf, false);
        add_seed(packed, true);
    }
}

size_t fuzz_seed_count(void) {
    if (n_seeds == 0) {
        make_seeds();
    }
    return n_seeds;
}

size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    const seed_file *s = &seeds[index];
    unrepaired = s->packed ? s : NULL;
    size_t len = RUSK_MIN(s->len_bytes, cap_bytes);
    memcpy(buf, s->data, len);
    return len;
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    if (unrepaired != NULL && rusk_rng_below(rng, 2) == 0) {
        unrepaired = NULL;
        return test_repair_container(buf, len_bytes);
    }
    return len_bytes;
}
