/* pretokenize.c - words by PCRE2 (docs/decisions/0007-pcre2.md).
 *
 * The expressions are the published ones of the tokenizers, written so that none can backtrack
 * over more than one character: whatever the text, a pass takes linear time. "Space" is spelled out
 * (the White_Space property), because \s would count U+180E too. The ranges after a property are
 * characters that Unicode 15.0 and 15.1 added, which a PCRE2 of Unicode 14 (10.40 to 10.42) does
 * not know and llama.cpp does. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenize.h"

#include <pcre2.h>
#include <string.h>

#include "base/assert.h"

#define WS                                                                                         \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define WS_CRLF /* all of them but \r and \n */                                                    \
    "\\t\\x0B\\x0C "                                                                               \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define L /* letters */                                                                            \
    "\\p{L}\\x{1123F}-\\x{11240}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}"    \
    "\\x{13441}-\\x{13446}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}"          \
    "\\x{1E4D0}-\\x{1E4EB}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define N     /* numbers */ "\\p{N}\\x{11F50}-\\x{11F59}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}"
#define P     "\\p{P}\\x{11B00}-\\x{11B09}\\x{11F43}-\\x{11F4F}" /* punctuation */
#define OTHER "[^" WS L N "]" /* neither space nor letter nor number */
/* White space up to the last one before a word, or all of it at the end. */
#define SPACES "[" WS "]+(?![^" WS "])|[" WS "]+"
#define LINES  "(?:[" WS_CRLF "]*+[\\r\\n])++" /* white space that ends in a line break */

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?[" L "]++| ?[" N "]++| ?" OTHER "++|" SPACES
#define LLAMA3(digits)                                                                             \
    "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\\r\\n" L N "]?[" L "]++|" digits     \
    "| ?" OTHER "++[\\r\\n]*+|" LINES "|" SPACES

enum { MAX_PASSES = 4, MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 65536 };
enum kind { KIND_GPT2, KIND_SMOLLM, KIND_QWEN2, KIND_LLAMA3, KIND_DEFAULT };

static const char *const PASSES[][MAX_PASSES] = {
    [KIND_GPT2] = {GPT2},
    [KIND_SMOLLM] = {"[" N "]", GPT2},
    [KIND_QWEN2] = {LLAMA3("[" N "]")},
    [KIND_LLAMA3] = {LLAMA3("[" N "]{1,3}+")},
    [KIND_DEFAULT] = {"[" P "$+<=>^~|]++", GPT2, "[" N "]++", "[0-9]{3}"},
};

/* The first name of a kind is its own; others are models whose expressions are the same. */
static const rusk_pre_info NAMES[] = {
    {"gpt-2", KIND_GPT2, false, false},
    {"phi-2", KIND_GPT2, false, false},
    {"mpt", KIND_GPT2, false, false},
    {"olmo", KIND_GPT2, false, false},
    {"jais", KIND_GPT2, false, false},
    {"exaone4", KIND_GPT2, false, false},
    {"smollm", KIND_SMOLLM, false, false},
    {"starcoder", KIND_SMOLLM, false, false},
    {"refact", KIND_SMOLLM, false, false},
    {"command-r", KIND_SMOLLM, false, false},
    {"codeshell", KIND_SMOLLM, false, false},
    {"exaone", KIND_SMOLLM, false, false},
    {"minerva-7b", KIND_SMOLLM, false, false},
    {"qwen2", KIND_QWEN2, false, false},
    {"deepseek-r1-qwen", KIND_QWEN2, false, false},
    {"stablelm2", KIND_QWEN2, false, false},
    {"hunyuan", KIND_QWEN2, false, false},
    {"megrez", KIND_QWEN2, false, false},
    {"llama-bpe", KIND_LLAMA3, true, true},
    {"llama3", KIND_LLAMA3, true, true},
    {"llama-v3", KIND_LLAMA3, true, true},
    {"falcon3", KIND_LLAMA3, true, true},
    {"pixtral", KIND_LLAMA3, true, true},
    {"dbrx", KIND_LLAMA3, false, false},
    {"smaug-bpe", KIND_LLAMA3, false, false},
    {"default", KIND_DEFAULT, false, false},
};

struct rusk_splitter {
    rusk_alloc *alloc;
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_code *codes[MAX_PASSES];
    unsigned n_passes;
};

const rusk_pre_info *rusk_pre_find(const char *name) {
    for (size_t i = 0; i < RUSK_COUNT(NAMES); i++) {
        if (strcmp(NAMES[i].name, name) == 0) {
            return &NAMES[i];
        }
    }
    return NULL;
}

static void *memory_get(PCRE2_SIZE size, void *alloc) {
    return rusk_alloc_get(alloc, RUSK_MEM_TOKENIZER, size);
}

static void memory_put(void *ptr, void *alloc) {
    rusk_alloc_put(alloc, ptr);
}

static rusk_status compile(rusk_splitter *s, const char *pattern, rusk_error *err) {
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(s->memory);
    if (context == NULL) {
        return rusk_fail_memory(err, sizeof(void *), "the pre-tokenizer");
    }
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &code, &at, context);
    pcre2_compile_context_free(context);
    if (compiled == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
        return rusk_fail_memory(err, strlen(pattern), "the pre-tokenizer");
    }
    if (compiled == NULL) {
        return rusk_fail(err, RUSK_INTERNAL, RUSK_NO_OFFSET,
                         "pre-tokenizer: PCRE2 reports error %d at %zu of '%s'", code, at, pattern);
    }
    s->codes[s->n_passes++] = compiled;
    return RUSK_OK;
}

static rusk_status prepare(rusk_splitter *s, const rusk_pre_info *pre, rusk_error *err) {
    s->memory = pcre2_general_context_create(memory_get, memory_put, s->alloc);
    s->limits = s->memory != NULL ? pcre2_match_context_create(s->memory) : NULL;
    if (s->limits == NULL) {
        return rusk_fail_memory(err, sizeof(void *), "the pre-tokenizer");
    }
    (void)pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(s->limits, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
    for (unsigned i = 0; i < MAX_PASSES && PASSES[pre->kind][i] != NULL; i++) {
        RUSK_TRY(compile(s, PASSES[pre->kind][i], err));
    }
    return RUSK_OK;
}

rusk_status rusk_splitter_create(rusk_splitter **out, rusk_alloc *alloc, const rusk_pre_info *pre,
                                 rusk_error *err) {
    *out = NULL;
    rusk_splitter *s = rusk_alloc_zero(alloc, RUSK_MEM_TOKENIZER, 1, sizeof *s);
    if (s == NULL) {
        return rusk_fail_memory(err, sizeof *s, "the pre-tokenizer");
    }
    s->alloc = alloc;
    rusk_status status = prepare(s, pre, err);
    if (status != RUSK_OK) {
        rusk_splitter_destroy(s);
        return status;
    }
    *out = s;
    return RUSK_OK;
}

void rusk_splitter_destroy(rusk_splitter *s) {
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < s->n_passes; i++) {
        pcre2_code_free(s->codes[i]);
    }
    pcre2_match_context_free(s->limits);
    pcre2_general_context_free(s->memory);
    rusk_alloc_put(s->alloc, s);
}

typedef struct run {
    const rusk_splitter *s;
    const uint8_t *text;
    pcre2_match_data *match;
    rusk_word_fn word;
    void *arg;
    rusk_error *err;
} run;

static rusk_status match_failed(const run *r, int code) {
    if (code == PCRE2_ERROR_NOMEMORY) {
        return rusk_fail_memory(r->err, 0, "matching words");
    }
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT ||
        code == PCRE2_ERROR_HEAPLIMIT) {
        return rusk_fail(r->err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "pre-tokenizer: the text takes too long to split (PCRE2 error %d)", code);
    }
    return rusk_fail(r->err, RUSK_INTERNAL, RUSK_NO_OFFSET, "pre-tokenizer: PCRE2 error %d", code);
}

/* Pass `pass` over text[at .. end-1]; recursion is MAX_PASSES deep. */
static rusk_status split(const run *r, unsigned pass, size_t at, size_t end) {
    if (at == end) {
        return RUSK_OK;
    }
    if (pass == r->s->n_passes) {
        return r->word(r->arg, at, end - at);
    }
    size_t start = at;
    while (at < end) {
        int n = pcre2_match(r->s->codes[pass], r->text + start, end - start, at - start,
                            PCRE2_NO_UTF_CHECK, r->match, r->s->limits);
        if (n == PCRE2_ERROR_NOMATCH) {
            break;
        }
        if (n < 0) {
            return match_failed(r, n);
        }
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(r->match);
        size_t first = start + found[0], last = start + found[1];
        if (last == first) {
            break;
        }
        RUSK_TRY(split(r, pass + 1, at, first));
        RUSK_TRY(split(r, pass + 1, first, last));
        at = last;
    }
    return split(r, pass + 1, at, end);
}

rusk_status rusk_splitter_run(const rusk_splitter *s, const uint8_t *text, size_t len_bytes,
                              rusk_word_fn word, void *arg, rusk_error *err) {
    run r = {.s = s, .text = text, .word = word, .arg = arg, .err = err};
    r.match = pcre2_match_data_create(1, s->memory);
    if (r.match == NULL) {
        return rusk_fail_memory(err, sizeof(void *), "matching words");
    }
    rusk_status status = split(&r, 0, 0, len_bytes);
    pcre2_match_data_free(r.match);
    return status;
}
