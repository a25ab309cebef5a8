/* make_tiny.c - writes a tiny model from a seed as a GGUF file, for tests and for trying things.
 *
 *     make_tiny --arch llama --tokenizer bpe --type F32 --seed 1 -o tiny.gguf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "support/tiny_model.h"

static const char USAGE[] =
    "usage: make_tiny [options] -o FILE.gguf\n"
    "  --arch A            llama (default), qwen2, gemma3\n"
    "  --tokenizer T       bpe, spm\n"
    "  --type T            F32 (default), F16, BF16, Q4_0 ... Q8_0, Q2_K ... Q6_K, IQ4_NL, IQ4_XS\n"
    "  --seed N            default 1\n"
    "  --layers N --embd N --heads N --kv-heads N --head-dim N --ff N\n"
    "  --window N          sliding window of gemma3 (0: none)\n"
    "  --window-pattern N  every Nth layer sees everything (default 6)\n"
    "  --rope-scaling F    linear scaling factor (0: none)\n"
    "  --untied            an output matrix of its own\n"
    "  --biases            biases of q, k, v and output (llama)\n"
    "  --rope-freqs        a tensor of frequency divisors (llama, qwen2)\n";

typedef struct number_option {
    const char *name;
    uint32_t *value;
} number_option;

static bool set_flag(tiny_options *o, const char *arg) {
    if (strcmp(arg, "--untied") == 0) {
        o->untied = true;
    } else if (strcmp(arg, "--biases") == 0) {
        o->biases = true;
    } else if (strcmp(arg, "--rope-freqs") == 0) {
        o->rope_freqs = true;
    } else {
        return false;
    }
    return true;
}

static bool set_value(tiny_options *o, const char **path, const char *arg, const char *value) {
    const number_option numbers[] = {
        {"--layers", &o->n_layers},   {"--embd", &o->n_embd},
        {"--heads", &o->n_heads},     {"--kv-heads", &o->n_kv_heads},
        {"--head-dim", &o->head_dim}, {"--ff", &o->n_ff},
        {"--window", &o->window},     {"--window-pattern", &o->window_pattern},
    };
    for (size_t i = 0; i < RUSK_COUNT(numbers); i++) {
        if (strcmp(arg, numbers[i].name) == 0) {
            *numbers[i].value = (uint32_t)strtoul(value, NULL, 0);
            return true;
        }
    }
    if (strcmp(arg, "--arch") == 0) { /* read before all others */
        return true;
    }
    if (strcmp(arg, "--tokenizer") == 0) {
        o->tokenizer = value;
    } else if (strcmp(arg, "--type") == 0) {
        o->type = value;
    } else if (strcmp(arg, "--seed") == 0) {
        o->seed = strtoull(value, NULL, 0);
    } else if (strcmp(arg, "--rope-scaling") == 0) {
        o->rope_scaling = strtof(value, NULL);
    } else if (strcmp(arg, "-o") == 0) {
        *path = value;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    tiny_options o;
    const char *arch = "llama", *path = NULL;
    for (int i = 1; i + 1 < argc; i++) {
        arch = strcmp(argv[i], "--arch") == 0 ? argv[i + 1] : arch;
    }
    tiny_options_default(&o, arch);
    for (int i = 1; i < argc; i++) {
        if (set_flag(&o, argv[i])) {
            continue;
        }
        if (i + 1 == argc || !set_value(&o, &path, argv[i], argv[i + 1])) {
            (void)fprintf(stderr, "make_tiny: what is '%s'?\n%s", argv[i], USAGE);
            return 2;
        }
        i++;
    }
    if (path == NULL) {
        (void)fputs(USAGE, stderr);
        return 2;
    }
    rusk_alloc alloc;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    if (tiny_model_write(path, &o, &alloc, &err) != RUSK_OK) {
        (void)fprintf(stderr, "make_tiny: %s\n", err.message);
        return 1;
    }
    return 0;
}
