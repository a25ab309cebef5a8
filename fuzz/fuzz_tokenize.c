/* fuzz_tokenize.c - arbitrary bytes as text, to tokens and back.
 *
 * The first byte chooses vocabulary and flags. Byte-level BPE must give the very bytes back; what
 * the detokenizer writes must be valid UTF-8, and the text itself where that is valid. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "support/tiny_tokenizer.h"
#include "text/utf8.h"

enum { N_KINDS = 7, MAX_TEXT = 1 << 16 };

static rusk_alloc alloc;
static rusk_tokenizer *tokenizers[N_KINDS];
static int32_t ids[MAX_TEXT + 2];
static char out[3 * MAX_TEXT + 64];

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static const rusk_tokenizer *tokenizer(unsigned kind) {
    static const char *const PRES[] = {"smollm", "gpt-2", "qwen2", "llama-bpe", "default"};
    if (tokenizers[0] == NULL) {
        rusk_alloc_init(&alloc, NULL);
        for (unsigned k = 0; k < N_KINDS; k++) {
            tokenizers[k] = k < 5 ? tiny_tokenizer_bpe(&alloc, k, PRES[k])
                                  : tiny_tokenizer_spm(&alloc, k, k == 6);
        }
    }
    return tokenizers[kind];
}

static bool is_utf8(const char *text, size_t len_bytes) {
    for (size_t at = 0, len; at < len_bytes; at += len) {
        len = rusk_utf8_char((const uint8_t *)text + at, len_bytes - at);
        if (len == 0) {
            return false;
        }
    }
    return true;
}

static void check_bytes(const rusk_tokenizer *t, size_t n, const uint8_t *text, size_t len) {
    size_t at = 0, n_piece;
    for (size_t i = 0; i < n; i++) {
        const char *piece = rusk_tokenizer_text(t, ids[i], true, &n_piece);
        require(piece != NULL && n_piece <= len - at && memcmp(text + at, piece, n_piece) == 0,
                "other bytes come back");
        at += n_piece;
    }
    require(at == len, "fewer bytes come back");
}

static void check_stream(const rusk_tokenizer *t, size_t n) {
    rusk_detokenizer d = {.n_pending = 0};
    size_t used = 0, len;
    for (size_t i = 0; i < n; i++) {
        require(rusk_tokenizer_push(t, &d, ids[i], out + used, sizeof out - used, &len, NULL) ==
                    RUSK_OK,
                "a token cannot be pushed");
        require(is_utf8(out + used, len), "a piece is not UTF-8");
        used += len;
    }
    used += rusk_tokenizer_flush(&d, out + used);
    require(is_utf8(out, used), "the text is not UTF-8");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    if (len_bytes < 1 || len_bytes > MAX_TEXT) {
        return 0;
    }
    unsigned kind = data[0] % N_KINDS;
    uint32_t flags = data[0] / N_KINDS % 2 * RUSK_TOKENIZE_PARSE_SPECIAL;
    const rusk_tokenizer *t = tokenizer(kind);
    size_t n, again;
    uint64_t held = alloc.bytes_total;
    require(rusk_tokenizer_encode(t, (const char *)data + 1, len_bytes - 1, flags, ids,
                                  MAX_TEXT + 2, &n, NULL) == RUSK_OK,
            "text cannot be encoded");
    (void)rusk_tokenizer_encode(t, (const char *)data + 1, len_bytes - 1, flags, NULL, 0, &again,
                                NULL);
    require(n == again, "another number of tokens");
    require(alloc.bytes_total == held, "a leak");
    if (kind < 5) {
        check_bytes(t, n, data + 1, len_bytes - 1);
    }
    check_stream(t, n);
    return 0;
}

size_t fuzz_seed_count(void) {
    return (size_t)4 * N_KINDS;
}

size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static const char *const TEXTS[] = {
        "<|im_start|>user\nIt's 1999, we'LL see.\r\n\r\n  <|im_end|>\n",
        "a\t\t b   c\n\n\n <tool><tool><start_of_turn>\xE4\xB8\x96 \xC3\xA9\xF0\x9F\x99\x82",
        "\xFF\xFE\xC3(\xE2\x96\x81 \xE2\x96\xED\xA0\x80 123456 $x^2+y_1",
        "tatatatatatatatatatatatatatatata........        ."};
    const char *text = TEXTS[index % 4];
    (void)cap_bytes;
    buf[0] = (uint8_t)(index / 4 + (index % 2) * N_KINDS);
    memcpy(buf + 1, text, strlen(text));
    return 1 + strlen(text);
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    (void)rng;
    (void)buf;
    return len_bytes;
}
