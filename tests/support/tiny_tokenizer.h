/* tiny_tokenizer.h - tokenizers for tests, without a file. */
#ifndef RUSK_TEST_TINY_TOKENIZER_H
#define RUSK_TEST_TINY_TOKENIZER_H

#include "support/tiny_vocab.h"
#include "text/tokenizer.h"

/* A source that holds nothing but these entries. */
rusk_source tiny_source(rusk_alloc *alloc, const rusk_meta *meta, size_t n);

/* A tokenizer of tiny_vocab_bpe (pre given) or tiny_vocab_spm (pre NULL); the case fails where it
 * cannot be made. */
rusk_tokenizer *tiny_tokenizer_bpe(rusk_alloc *alloc, uint64_t seed, const char *pre);
rusk_tokenizer *tiny_tokenizer_spm(rusk_alloc *alloc, uint64_t seed, bool add_space_prefix);

/* A vocabulary written by hand: tokens one after another, each "T:TEXT" with T its type's number;
 * ids of bos and so on stay at their defaults. merges: "left right"; scores may be NULL. */
typedef struct hand_vocab {
    const char *model, *pre;
    const char *const *tokens;
    size_t n_tokens;
    const char *const *merges;
    size_t n_merges;
    const float *scores;
} hand_vocab;
/* Entries for it, up to TINY_VOCAB_METAS. Returns how many. */
size_t hand_vocab_meta(const hand_vocab *v, rusk_arena *arena, rusk_meta *meta);

#endif
