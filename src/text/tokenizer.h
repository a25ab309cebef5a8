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

typedef struct rusk_merge {
    uint32_t left, right;
} rusk_merge;

typedef struct rusk_vocab {
    const char *model; /* "gpt2" or "llama" */
    const char *pre; /* pre-tokenizer of gpt2: "smollm", "gpt-2", "qwen2", "llama-bpe", "default" */
    uint32_t n_tokens;
    const rusk_text *tokens; /* as GGUF writes them: gpt2 in mapped characters, llama with U+2581 */
    const float *scores;     /* llama; NULL where absent */
    const uint8_t *types;    /* rusk_token_type; never NULL */
    uint32_t n_merges;       /* gpt2, in rank order */
    const rusk_merge *merges;
    int32_t bos, eos, eot, unknown, padding; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
} rusk_vocab;

typedef struct rusk_tokenizer rusk_tokenizer;

/* From tokenizer.ggml.* of a source. UNSUPPORTED (model or pre-tokenizer, named), FORMAT. */
rusk_status rusk_tokenizer_from_source(rusk_tokenizer **out, rusk_alloc *alloc,
                                       const rusk_source *source, rusk_error *err);
/* From a TOKN section (docs/format/tokn.md), and to one. Everything is validated. */
rusk_status rusk_tokenizer_from_bytes(rusk_tokenizer **out, rusk_alloc *alloc, const uint8_t *data,
                                      size_t len_bytes, rusk_error *err);
rusk_status rusk_tokenizer_to_bytes(const rusk_tokenizer *t, rusk_strbuf *out, rusk_error *err);
void rusk_tokenizer_destroy(rusk_tokenizer *t);

const rusk_vocab *rusk_tokenizer_vocab(const rusk_tokenizer *t);

/* The contracts of rusk_tokenize, rusk_token_text, rusk_token_is_end (rusk.h). Thread-safe. */
rusk_status rusk_tokenizer_encode(const rusk_tokenizer *t, const char *text, size_t len_bytes,
                                  uint32_t flags, int32_t *ids, size_t cap, size_t *n,
                                  rusk_error *err);
const char *rusk_tokenizer_text(const rusk_tokenizer *t, int32_t id, bool special,
                                size_t *len_bytes);
bool rusk_tokenizer_is_end(const rusk_tokenizer *t, int32_t id);

/* detokenizer.c: as rusk_detokenizer_push and _flush. */
rusk_status rusk_tokenizer_push(const rusk_tokenizer *t, rusk_detokenizer *d, int32_t id, char *buf,
                                size_t cap_bytes, size_t *len_bytes, rusk_error *err);

/* chat.c: lays out messages in the format of `chat_template` (the source's Jinja text; ChatML and
 * Gemma are recognized by their markers). */
rusk_status rusk_chat_layout(const char *chat_template, size_t template_bytes,
                             const rusk_chat_message *messages, size_t n_messages,
                             bool add_assistant, rusk_strbuf *out, rusk_error *err);

#endif
