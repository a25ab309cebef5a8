#include "support/tiny_vocab.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "support/test.h"

enum { N_TOKENS = 480, N_BYTES = 256, N_MERGES = 200, N_WORDS = 600, MAX_SYMBOLS = 8192 };

static const char CHATML[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}";
static const char GEMMA[] =
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\\n' + "
    "message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<start_of_turn>model\\n' }}{% endif %}";

typedef struct pair {
    uint32_t left, right;
} pair;

/* Words of one to three syllables, a few of them very frequent; now and then a stop. */
static rusk_text make_corpus(rusk_arena *arena, rusk_rng *rng) {
    static const char *const ONSET[] = {"t", "s", "m", "k", "r", "th", "b", "pl", "n", "d"};
    static const char *const NUCLEUS[] = {"a", "e", "i", "o", "u", "ea"};
    static const char *const CODA[] = {"", "", "n", "r", "st", "ng"};
    static char words[60][16];
    static char text[MAX_SYMBOLS];
    size_t len = 0;
    for (size_t w = 0; w < RUSK_COUNT(words); w++) {
        words[w][0] = '\0';
        for (uint64_t n = 1 + rusk_rng_below(rng, 3); n > 0; n--) {
            size_t at = strlen(words[w]);
            (void)snprintf(words[w] + at, sizeof words[w] - at, "%s%s%s",
                           ONSET[rusk_rng_below(rng, RUSK_COUNT(ONSET))],
                           NUCLEUS[rusk_rng_below(rng, RUSK_COUNT(NUCLEUS))],
                           CODA[rusk_rng_below(rng, RUSK_COUNT(CODA))]);
        }
    }
    for (int i = 0; i < N_WORDS && len < sizeof text - 32; i++) {
        uint64_t most = 1 + rusk_rng_below(rng, RUSK_COUNT(words));
        const char *stop = rusk_rng_below(rng, 9) == 0 ? "." : "";
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s", i > 0 ? " " : "",
                                words[rusk_rng_below(rng, most)], stop);
    }
    rusk_text out = {rusk_arena_text(arena, text, len), len};
    CHECK(out.data != NULL);
    return out;
}

/* Merges the most frequent neighbours (the smaller pair where two are as frequent) that do not
 * reach over the start of a word; a merge's new symbol is first_new, first_new + 1, ... */
static size_t train(const rusk_text *corpus, uint32_t (*symbol_of)(uint8_t), uint32_t first_new,
                    pair *merges) {
    static uint32_t symbols[MAX_SYMBOLS];
    static bool starts[MAX_SYMBOLS];
    static uint16_t counts[N_TOKENS][N_TOKENS];
    size_t n = corpus->len_bytes, n_merges = 0;
    for (size_t i = 0; i < n; i++) {
        symbols[i] = symbol_of((uint8_t)corpus->data[i]);
        starts[i] = corpus->data[i] == ' ';
    }
    for (; n_merges < N_MERGES && first_new + n_merges < N_TOKENS; n_merges++) {
        pair best = {0, 0};
        unsigned most = 1;
        memset(counts, 0, sizeof counts);
        for (size_t i = 0; i + 1 < n; i++) {
            if (!starts[i + 1]) {
                counts[symbols[i]][symbols[i + 1]]++;
            }
        }
        for (uint32_t a = 0; a < N_TOKENS; a++) {
            for (uint32_t b = 0; b < N_TOKENS; b++) {
                if (counts[a][b] > most) {
                    most = counts[a][b];
                    best = (pair){a, b};
                }
            }
        }
        if (most == 1) {
            break;
        }
        size_t kept = 0;
        for (size_t i = 0; i < n; i++, kept++) {
            bool joins = i + 1 < n && !starts[i + 1] && symbols[i] == best.left &&
                         symbols[i + 1] == best.right;
            starts[kept] = starts[i];
            symbols[kept] = joins ? first_new + (uint32_t)n_merges : symbols[i];
            i += joins ? 1 : 0;
        }
        n = kept;
        merges[n_merges] = best;
    }
    return n_merges;
}

/* --- metadata ------------------------------------------------------------------------------- */

typedef struct maker {
    rusk_arena *arena;
    tiny_vocab *v;
    rusk_text *tokens;
    uint8_t *types;
    float scores[N_TOKENS];
    uint32_t n;
} maker;

static void *get(rusk_arena *arena, size_t n, size_t size) {
    void *p = rusk_arena_get(arena, n, size);
    CHECK(p != NULL);
    return p;
}

static rusk_text text_of(rusk_arena *arena, const char *data, size_t len_bytes) {
    rusk_text t = {rusk_arena_text(arena, data, len_bytes), len_bytes};
    CHECK(t.data != NULL);
    return t;
}

static void begin(maker *m, rusk_arena *arena, tiny_vocab *out, rusk_rng *rng) {
    memset(out, 0, sizeof *out);
    memset(m, 0, sizeof *m);
    m->arena = arena;
    m->v = out;
    m->tokens = get(arena, N_TOKENS, sizeof *m->tokens);
    m->types = get(arena, N_TOKENS, 1);
    rusk_text *corpus = get(arena, 1, sizeof *corpus);
    *corpus = make_corpus(arena, rng);
    out->corpus = corpus;
}

static uint32_t add(maker *m, const char *text, size_t len_bytes, int type, float score) {
    CHECK(m->n < N_TOKENS);
    m->tokens[m->n] = text_of(m->arena, text, len_bytes);
    m->types[m->n] = (uint8_t)type;
    m->scores[m->n] = score;
    return m->n++;
}

static uint32_t add_text(maker *m, const char *text, int type, float score) {
    return add(m, text, strlen(text), type, score);
}

static void add_joined(maker *m, pair p, float score) {
    char text[256];
    rusk_text a = m->tokens[p.left], b = m->tokens[p.right];
    CHECK(a.len_bytes + b.len_bytes <= sizeof text);
    memcpy(text, a.data, a.len_bytes);
    memcpy(text + a.len_bytes, b.data, b.len_bytes);
    add(m, text, a.len_bytes + b.len_bytes, 1, score);
}

static rusk_meta *meta(maker *m, const char *key, rusk_meta_type type) {
    CHECK(m->v->n_meta < TINY_VOCAB_METAS);
    rusk_meta *e = &m->v->meta[m->v->n_meta++];
    e->key = key;
    e->type = type;
    return e;
}

static void meta_text(maker *m, const char *key, const char *text) {
    meta(m, key, RUSK_META_STRING)->value.text = text_of(m->arena, text, strlen(text));
}

static void meta_number(maker *m, const char *key, rusk_meta_type type, uint32_t value) {
    meta(m, key, type)->value.u = value;
}

static void meta_array(maker *m, const char *key, rusk_meta_type elem, size_t n,
                       const uint8_t *elements, const rusk_text *texts) {
    rusk_meta *e = meta(m, key, RUSK_META_ARRAY);
    e->elem_type = elem;
    e->n = n;
    e->elements = elements;
    e->texts = texts;
}

static void finish(maker *m, const char *model, const char *pre) {
    while (m->n < N_TOKENS) {
        char text[32];
        (void)snprintf(text, sizeof text, "[PAD%u]", m->n);
        add_text(m, text, 5, -1000.0F);
    }
    uint8_t *types = get(m->arena, N_TOKENS, 4);
    for (size_t i = 0; i < N_TOKENS; i++) {
        rusk_store_u32(types + 4 * i, m->types[i]);
    }
    m->v->n_tokens = N_TOKENS;
    m->v->tokens = m->tokens;
    m->v->types = m->types;
    meta_text(m, "tokenizer.ggml.model", model);
    meta_text(m, "tokenizer.ggml.pre", pre);
    meta_array(m, "tokenizer.ggml.tokens", RUSK_META_STRING, N_TOKENS, NULL, m->tokens);
    meta_array(m, "tokenizer.ggml.token_type", RUSK_META_I32, N_TOKENS, types, NULL);
}

/* --- byte-level BPE -------------------------------------------------------------------------- */

/* The character that stands for a byte: itself where printable, else 256, 257, ... in order. */
static uint32_t mapped_char(uint8_t byte) {
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte) {
            return printable ? b : next;
        }
        next += printable ? 0 : 1;
    }
    return 0;
}

static uint32_t bpe_symbol(uint8_t byte) {
    return 3U + byte;
}

void tiny_vocab_bpe(rusk_arena *arena, uint64_t seed, const char *pre, tiny_vocab *out) {
    rusk_rng rng = rusk_rng_seed(seed);
    static maker m;
    static pair merges[N_MERGES];
    begin(&m, arena, out, &rng);
    add_text(&m, "<|endoftext|>", 3, 0);
    out->bos = (int32_t)add_text(&m, "<|im_start|>", 3, 0);
    out->eos = out->eot = (int32_t)add_text(&m, "<|im_end|>", 3, 0);
    for (unsigned b = 0; b < N_BYTES; b++) {
        uint32_t c = mapped_char((uint8_t)b);
        char utf8[2] = {(char)(0xC0U | c >> 6), (char)(0x80U | (c & 0x3FU))};
        char ascii = (char)c;
        add(&m, c < 128 ? &ascii : utf8, c < 128 ? 1 : 2, 1, 0);
    }
    size_t n_merges = train(out->corpus, bpe_symbol, m.n, merges);
    rusk_text *lines = get(arena, n_merges, sizeof *lines);
    for (size_t i = 0; i < n_merges; i++) {
        char line[256];
        int n = snprintf(line, sizeof line, "%s %s", m.tokens[merges[i].left].data,
                         m.tokens[merges[i].right].data);
        lines[i] = text_of(arena, line, (size_t)n);
        add_joined(&m, merges[i], 0);
    }
    add_text(&m, "<tool>", 4, 0);
    finish(&m, "gpt2", pre);
    meta_array(&m, "tokenizer.ggml.merges", RUSK_META_STRING, n_merges, NULL, lines);
    meta_number(&m, "tokenizer.ggml.bos_token_id", RUSK_META_U32, 1);
    meta_number(&m, "tokenizer.ggml.eos_token_id", RUSK_META_U32, 2);
    meta_number(&m, "tokenizer.ggml.unknown_token_id", RUSK_META_U32, 0);
    meta_number(&m, "tokenizer.ggml.padding_token_id", RUSK_META_U32, 2);
    meta_number(&m, "tokenizer.ggml.add_bos_token", RUSK_META_BOOL, 0);
    meta_text(&m, "tokenizer.chat_template", CHATML);
}

/* --- SentencePiece-style --------------------------------------------------------------------- */

enum { SPM_FIRST_CHAR = 6 + N_BYTES };

/* Space, the stop and the letters come right after the byte tokens. */
static uint32_t spm_symbol(uint8_t byte) {
    return byte == ' '   ? SPM_FIRST_CHAR
           : byte == '.' ? SPM_FIRST_CHAR + 1
                         : (uint32_t)SPM_FIRST_CHAR + 2 + byte - 'a';
}

void tiny_vocab_spm(rusk_arena *arena, uint64_t seed, bool add_space_prefix, tiny_vocab *out) {
    rusk_rng rng = rusk_rng_seed(seed);
    static maker m;
    static pair merges[N_MERGES];
    begin(&m, arena, out, &rng);
    add_text(&m, "<pad>", 3, -1000.0F);
    out->eos = (int32_t)add_text(&m, "<eos>", 3, -1000.0F);
    out->bos = (int32_t)add_text(&m, "<bos>", 3, -1000.0F);
    add_text(&m, "<unk>", 2, -1000.0F);
    add_text(&m, "<start_of_turn>", 3, -1000.0F);
    out->eot = (int32_t)add_text(&m, "<end_of_turn>", 3, -1000.0F);
    for (unsigned b = 0; b < N_BYTES; b++) {
        char text[8];
        (void)snprintf(text, sizeof text, "<0x%02X>", b);
        add_text(&m, text, 6, -1000.0F);
    }
    add_text(&m, "\xE2\x96\x81", 1, -500.0F);
    add_text(&m, ".", 1, -501.0F);
    for (char c = 'a'; c <= 'z'; c++) {
        add(&m, &c, 1, 1, -502.0F - (float)(c - 'a'));
    }
    size_t n_merges = train(out->corpus, spm_symbol, m.n, merges);
    n_merges = RUSK_MIN(n_merges, (size_t)(N_TOKENS - 16) - m.n);
    for (size_t i = 0; i < n_merges; i++) {
        add_joined(&m, merges[i], -(float)i);
    }
    add_text(&m, "\xC3\xA9", 1, -600.0F);     /* U+00E9 */
    add_text(&m, "\xE4\xB8\x96", 1, -601.0F); /* U+4E16 */
    add_text(&m, "\n\n", 4, -1000.0F);
    finish(&m, "llama", "default");
    uint8_t *scores = get(arena, N_TOKENS, 4);
    for (size_t i = 0; i < N_TOKENS; i++) {
        rusk_store_f32(scores + 4 * i, m.scores[i]);
    }
    meta_array(&m, "tokenizer.ggml.scores", RUSK_META_F32, N_TOKENS, scores, NULL);
    meta_number(&m, "tokenizer.ggml.bos_token_id", RUSK_META_U32, 2);
    meta_number(&m, "tokenizer.ggml.eos_token_id", RUSK_META_U32, 1);
    meta_number(&m, "tokenizer.ggml.unknown_token_id", RUSK_META_U32, 3);
    meta_number(&m, "tokenizer.ggml.padding_token_id", RUSK_META_U32, 0);
    meta_number(&m, "tokenizer.ggml.add_bos_token", RUSK_META_BOOL, 1);
    meta_number(&m, "tokenizer.ggml.add_space_prefix", RUSK_META_BOOL, add_space_prefix ? 1 : 0);
    meta_text(&m, "tokenizer.chat_template", GEMMA);
}
