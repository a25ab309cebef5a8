/* tokenizer.h - text to token ids and back.
 *
 * Two kinds, both as llama.cpp counts: byte-level BPE ("gpt2": pre-tokenizer splits, bytes mapped
 * to printable characters, merges by rank) and SentencePiece-style ("llama": merges by score over
 * characters, byte fallback). A vocabulary is data (rusk_vocab): it comes from a GGUF's metadata or
 * a container's TOKN section, and goes back to either. */
#ifndef RUSK_TEXT_TOKENIZER_H
#define RUSK_TEXT_TOKENIZER_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "format/source.h"

/* GGUF's token types. */
typedef enum rusk_token_type {
    RUSK_TOKEN_NORMAL = 1,
    RUSK_TOKEN_UNKNOWN = 2,
    RUSK_TOKEN_CONTROL = 3,
    RUSK_TOKEN_USER_DEFINED = 4,
    RUSK_TOKEN_UNUSED = 5,
    RUSK_TOKEN_BYTE = 6
} rusk_token_type;

/* Limits; a vocabulary beyond them is refused, so that a hostile file costs bounded memory. */
#define RUSK_VOCAB_MAX_TOKENS 1048576U   /* tokens; also merges */
#define RUSK_TOKEN_MAX_BYTES  65535U     /* of one token's string */
#define RUSK_VOCAB_MAX_BYTES  67108864U  /* of all strings, each counted with one byte more */
#define RUSK_MERGES_MAX_BYTES 268435456U /* of the strings that all merges make */
#define RUSK_PRE_MAX_BYTES    32U        /* of the pre-tokenizer's name, its NUL included */
#define RUSK_TEXT_MAX_BYTES   268435456U /* of a text to encode */

typedef struct rusk_merge {
    uint32_t left, right;
} rusk_merge;

typedef struct rusk_vocab {
    const char *model; /* "gpt2" or "llama" */
    const char *pre; /* pre-tokenizer of gpt2: "smollm", "gpt-2", "qwen2", "llama-bpe", "default" */
    uint32_t n_tokens;
    /* As GGUF writes them: gpt2 in mapped characters, llama with U+2581. All distinct, except that
     * empty ones (padding) may be many. */
    const rusk_text *tokens;
    const float *scores;  /* llama; NULL where absent */
    const uint8_t *types; /* rusk_token_type; never NULL */
    uint32_t n_merges;    /* gpt2, in rank order */
    const rusk_merge *merges;
    int32_t bos, eos, eot, unknown, padding; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
} rusk_vocab;

typedef struct rusk_tokenizer rusk_tokenizer;

/* From tokenizer.ggml.* of a source, which need not outlive the tokenizer. UNSUPPORTED (model or
 * pre-tokenizer, named), FORMAT, LIMIT. An id that is not in the vocabulary counts as not given. */
rusk_status rusk_tokenizer_from_source(rusk_tokenizer **out, rusk_alloc *alloc,
                                       const rusk_source *source, rusk_error *err);
/* From a TOKN section (docs/format/tokn.md), and to one. Everything is validated. */
rusk_status rusk_tokenizer_from_bytes(rusk_tokenizer **out, rusk_alloc *alloc, const uint8_t *data,
                                      size_t len_bytes, rusk_error *err);
rusk_status rusk_tokenizer_to_bytes(const rusk_tokenizer *t, rusk_strbuf *out, rusk_error *err);
/* The vocabulary as tokenizer.ggml.* entries: model, pre, tokens, scores (where it has them),
 * token_type, merges (gpt2), the ids that are there, add_bos_token, add_eos_token,
 * add_space_prefix. Arrays are exactly the source's. Strings of tokens point into t, all else is in
 * the arena. An exporter leaves out entries whose key the source's own metadata (HEAD) has. */
rusk_status rusk_tokenizer_to_meta(const rusk_tokenizer *t, rusk_arena *arena, rusk_meta **out,
                                   size_t *n, rusk_error *err);
void rusk_tokenizer_destroy(rusk_tokenizer *t);

const rusk_vocab *rusk_tokenizer_vocab(const rusk_tokenizer *t);

/* The contracts of rusk_tokenize, rusk_token_text, rusk_token_is_end (rusk.h). Thread-safe. Time
 * grows as n log n for a text of n bytes whatever it holds. User-defined tokens are found in
 * the text with any flags. A byte that has no token of its own is U+FFFD where the text is not
 * valid UTF-8, is left out where it is (as llama.cpp does, gpt2), and is the unknown token (llama).
 * Errors: LIMIT (ids do not fit; text longer than RUSK_TEXT_MAX_BYTES), NO_MEMORY. */
rusk_status rusk_tokenizer_encode(const rusk_tokenizer *t, const char *text, size_t len_bytes,
                                  uint32_t flags, int32_t *ids, size_t cap, size_t *n,
                                  rusk_error *err);
const char *rusk_tokenizer_text(const rusk_tokenizer *t, int32_t id, bool special,
                                size_t *len_bytes);
bool rusk_tokenizer_is_end(const rusk_tokenizer *t, int32_t id);

/* detokenizer.c: as rusk_detokenizer_push and _flush. Control and unknown tokens give no text. Each
 * longest run of bytes that begins a character but cannot be completed becomes one U+FFFD, so a
 * token of n bytes writes at most 3 * n + 3; cap_bytes is held against what is really needed. */
rusk_status rusk_tokenizer_push(const rusk_tokenizer *t, rusk_detokenizer *d, int32_t id, char *buf,
                                size_t cap_bytes, size_t *len_bytes, rusk_error *err);
size_t rusk_tokenizer_flush(rusk_detokenizer *d, char buf[RUSK_DETOKENIZER_CAP]);

/* chat.c: lays out messages in the format of `chat_template` (the source's Jinja text, which is not
 * run: ChatML and Gemma's turns are recognized by their markers). Where a ChatML template has a
 * system message of its own, that comes first unless messages start with one. Gemma has no system
 * role: such a message goes before the next user message. The beginning-of-sequence token is not
 * part of the layout (RUSK_TOKENIZE_ADD_SPECIAL adds it). Appends to out.
 * UNSUPPORTED (no template, unknown one), INVALID_ARGUMENT (no role, or one that Gemma lacks). */
rusk_status rusk_chat_layout(const char *chat_template, size_t template_bytes,
                             const rusk_chat_message *messages, size_t n_messages,
                             bool add_assistant, rusk_strbuf *out, rusk_error *err);

#endif
