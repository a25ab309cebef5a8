/* tiny_vocab.h - small vocabularies made from a seed, as metadata entries of a GGUF.
 *
 * A seed gives a text of invented words; byte pairs are merged by frequency over it, as a real
 * vocabulary is made. The same seed gives the same vocabulary on every machine. */
#ifndef RUSK_TEST_TINY_VOCAB_H
#define RUSK_TEST_TINY_VOCAB_H

#include "base/arena.h"
#include "format/source.h"

enum { TINY_VOCAB_METAS = 16 };

typedef struct tiny_vocab {
    size_t n_meta; /* tokenizer.ggml.* and tokenizer.chat_template, in a fixed order */
    rusk_meta meta[TINY_VOCAB_METAS];
    uint32_t n_tokens; /* rows that the embedding of a model with this vocabulary has */
    int32_t bos, eos, eot;
    const rusk_text *tokens;
    const uint8_t *types;
    const rusk_text *corpus; /* the text that it was made from: good input for a test */
} tiny_vocab;

/* Byte-level BPE ("gpt2") of 480 tokens: 0 <|endoftext|>, 1 <|im_start|> (bos), 2 <|im_end|> (eos,
 * eot), 3 .. 258 the bytes, up to 200 merges, <tool> (user-defined), the rest unused ([PAD n]).
 * Template: ChatML. `pre` is tokenizer.ggml.pre ("smollm"). Memory is the arena's; the case fails
 * where there is none. */
void tiny_vocab_bpe(rusk_arena *arena, uint64_t seed, const char *pre, tiny_vocab *out);

/* SentencePiece-style ("llama") of 480 tokens: 0 <pad>, 1 <eos>, 2 <bos>, 3 <unk> (unknown),
 * 4 <start_of_turn>, 5 <end_of_turn> (eot), 6 .. 261 <0x00> .. <0xFF>, characters and pieces with
 * scores, "\n\n" (user-defined), the rest unused. add_bos is true, add_space_prefix as given.
 * Template: Gemma's. */
void tiny_vocab_spm(rusk_arena *arena, uint64_t seed, bool add_space_prefix, tiny_vocab *out);

#endif
