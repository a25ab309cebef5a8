/* Token ids by llama.cpp (shared measurement data): three real vocabularies, tricky strings and a
 * long text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/test.h"
#include "text/tokenizer.h"

enum { MAX_IDS = 100000 };

static int32_t ids[MAX_IDS];

typedef struct fixture {
    rusk_alloc alloc;
    rusk_source *source;
    rusk_tokenizer *t;
} fixture;

static void open_vocabulary(fixture *f, const char *path) {
    rusk_error err;
    rusk_alloc_init(&f->alloc, NULL);
    CHECK_OK(rusk_source_open(&f->source, &f->alloc, path, &err), &err);
    CHECK_OK(rusk_tokenizer_from_source(&f->t, &f->alloc, f->source, &err), &err);
}

static void close_vocabulary(fixture *f) {
    rusk_source_close(f->source);
    rusk_tokenizer_destroy(f->t);
    CHECK_EQ(f->alloc.bytes_total, 0);
}

static void check_ids(const fixture *f, const char *text, size_t len, uint32_t flags,
                      const json_t *expected) {
    rusk_error err;
    size_t n;
    CHECK_OK(rusk_tokenizer_encode(f->t, text, len, flags, ids, MAX_IDS, &n, &err), &err);
    size_t n_expected = json_array_size(expected);
    for (size_t i = 0; i < n && i < n_expected; i++) {
        long long want = json_integer_value(json_array_get(expected, i));
        if (ids[i] != want) {
            test_fail(__FILE__, __LINE__, "'%.60s': token %zu is %d, expected %lld", text, i,
                      ids[i], want);
        }
    }
    CHECK_EQ(n, n_expected);
}

/* Decoding gives the text back; control tokens as they are written. */
static void check_text(const fixture *f, const char *text, size_t len) {
    rusk_error err;
    size_t n, at = 0;
    CHECK_OK(rusk_tokenizer_encode(f->t, text, len, 0, ids, MAX_IDS, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        size_t piece_bytes;
        const char *piece = rusk_tokenizer_text(f->t, ids[i], true, &piece_bytes);
        CHECK(piece_bytes <= len - at && memcmp(text + at, piece, piece_bytes) == 0);
        at += piece_bytes;
    }
    CHECK_EQ(at, len);
}

/* The long text was read in text mode: the file's line ends are CR LF, the recorded ids have LF. */
static size_t to_line_feeds(uint8_t *text, size_t len_bytes) {
    size_t n = 0;
    for (size_t i = 0; i < len_bytes; i++) {
        if (text[i] != '\r' || i + 1 == len_bytes || text[i + 1] != '\n') {
            text[n++] = text[i];
        }
    }
    return n;
}

/* Bytes of the first n characters. */
static size_t characters(const uint8_t *text, size_t len_bytes, size_t n) {
    size_t at = 0;
    while (at < len_bytes && (n > 0 || (text[at] & 0xC0) == 0x80)) {
        n -= (text[at] & 0xC0) != 0x80 ? 1 : 0;
        at++;
    }
    return at;
}

/* The text that ids spell. */
static size_t spell(const fixture *f, const json_t *expected, char *out, size_t cap) {
    size_t n = 0, i;
    json_t *id;
    json_array_foreach(expected, i, id) {
        size_t len;
        const char *piece = rusk_tokenizer_text(f->t, (int32_t)json_integer_value(id), true, &len);
        CHECK(piece != NULL && len <= cap - n);
        memcpy(out + n, piece, len);
        n += len;
    }
    return n;
}

static bool same_text(const rusk_text *a, const rusk_text *b) {
    return a->len_bytes == b->len_bytes && memcmp(a->data, b->data, a->len_bytes) == 0;
}

/* Through a TOKN section and back: every array is what it was. The tokenizer that was read takes
 * the place of the one that was written. */
static void check_section(fixture *f, size_t most_bytes) {
    rusk_error err;
    rusk_strbuf section;
    rusk_tokenizer *back;
    rusk_strbuf_init(&section, &f->alloc, RUSK_MEM_SCRATCH);
    clock_t start = clock();
    CHECK_OK(rusk_tokenizer_to_bytes(f->t, &section, &err), &err);
    clock_t written = clock();
    CHECK_OK(rusk_tokenizer_from_bytes(&back, &f->alloc, (const uint8_t *)section.data,
                                       section.len_bytes, &err),
             &err);
    printf("    TOKN: %zu bytes, written in %.0f ms, read in %.0f ms\n", section.len_bytes,
           (double)(written - start) * 1e3 / CLOCKS_PER_SEC,
           (double)(clock() - written) * 1e3 / CLOCKS_PER_SEC);
    CHECK(section.len_bytes <= most_bytes);
    rusk_strbuf_finish(&section);
    const rusk_vocab *a = rusk_tokenizer_vocab(f->t), *b = rusk_tokenizer_vocab(back);
    CHECK_EQ(a->n_tokens, b->n_tokens);
    CHECK_EQ(a->n_merges, b->n_merges);
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        CHECK(same_text(&a->tokens[i], &b->tokens[i]));
    }
    CHECK_MEM(a->types, b->types, a->n_tokens);
    CHECK((a->scores != NULL) == (b->scores != NULL));
    if (a->scores != NULL) {
        CHECK_MEM(a->scores, b->scores, a->n_tokens * sizeof *a->scores);
    }
    if (a->n_merges > 0) {
        CHECK_MEM(a->merges, b->merges, a->n_merges * sizeof *a->merges);
    }
    rusk_tokenizer_destroy(f->t);
    f->t = back;
}

/* tokenizer_to_meta gives the arrays that the file had. */
static void check_meta(fixture *f) {
    rusk_error err;
    rusk_arena arena;
    rusk_meta *metas;
    size_t n;
    rusk_arena_init(&arena, &f->alloc, RUSK_MEM_METADATA);
    CHECK_OK(rusk_tokenizer_to_meta(f->t, &arena, &metas, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const rusk_meta *m = &metas[i], *source = rusk_source_meta(f->source, m->key);
        if (source == NULL) {
            continue; /* a default, spelled out */
        }
        CHECK_EQ(m->type, source->type);
        if (m->type != RUSK_META_ARRAY) {
            CHECK(m->type == RUSK_META_STRING ? same_text(&m->value.text, &source->value.text)
                                              : m->value.u == source->value.u);
            continue;
        }
        CHECK_EQ(m->n, source->n);
        CHECK_EQ(m->elem_type, source->elem_type);
        for (size_t k = 0; k < m->n && m->elem_type == RUSK_META_STRING; k++) {
            CHECK(same_text(&m->texts[k], &source->texts[k]));
        }
        if (m->elem_type != RUSK_META_STRING) {
            CHECK_MEM(m->elements, source->elements, 4 * m->n);
        }
    }
    rusk_arena_finish(&arena);
}

/* A case whose ids do not spell its text was recorded from another text. The recorded file has one
 * ("nested": its ids have a line break where the text has a backslash and an n); there the ids are
 * held against the text that they spell. Returns 1 for such a case. */
static int check_case(const fixture *f, const json_t *item) {
    static char spelled[65536];
    const json_t *expected = json_object_get(item, "ids");
    const char *text = json_string_value(json_object_get(item, "text"));
    size_t len = json_string_length(json_object_get(item, "text"));
    size_t n = spell(f, expected, spelled, sizeof spelled);
    bool other = n != len || memcmp(spelled, text, len) != 0;
    if (other) {
        printf("    recorded from another text: '%s'\n", text);
        text = spelled;
        len = n;
    }
    check_ids(f, text, len, 0, expected);
    check_ids(f, text, len, RUSK_TOKENIZE_PARSE_SPECIAL,
              json_object_get(item, "ids_parse_special"));
    check_text(f, text, len);
    return other;
}

static void check_vocabulary(const char *vectors, const char *vocabulary,
                             size_t most_section_bytes) {
    fixture f;
    json_error_t bad;
    json_t *root = json_load_file(test_shared_data(vectors), 0, &bad);
    CHECK(root != NULL);
    size_t n_text, i;
    uint8_t *wiki = test_read_file(test_shared_data("wiki.test.raw"), &n_text);
    open_vocabulary(&f, vocabulary);
    uint64_t held = f.alloc.bytes[RUSK_MEM_TOKENIZER];
    check_section(&f, most_section_bytes);
    check_meta(&f);
    int n_other = 0;
    json_t *item;
    json_array_foreach(json_object_get(root, "cases"), i, item) {
        n_other += check_case(&f, item);
    }
    CHECK_EQ(i, 64);
    CHECK(n_other <= 1);
    const char *text = (const char *)wiki + 647835;
    size_t len = characters(wiki + 647835, to_line_feeds(wiki + 647835, n_text - 647835), 60000);
    clock_t start = clock();
    check_ids(&f, text, len, 0, json_object_get(root, "long_ids"));
    printf("    60,000 characters in %.1f ms; vocabulary takes %.2f MB\n",
           (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC, (double)held / 1e6);
    check_text(&f, text, len);
    close_vocabulary(&f);
    json_decref(root);
    free(wiki);
}

TEST(smollm2) {
    check_vocabulary("vectors/tokens-smollm2.json", test_demo_model(), 200000);
}

TEST(qwen2) {
    check_vocabulary("vectors/tokens-qwen2.json", test_shared_data("vectors/vocab-qwen2.gguf"),
                     600000);
}

TEST(gemma3) {
    check_vocabulary("vectors/tokens-gemma3.json", test_shared_data("vectors/vocab-gemma3.gguf"),
                     1500000);
}

TEST_MAIN(CASE(smollm2), CASE(qwen2), CASE(gemma3))
