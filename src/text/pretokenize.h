/* pretokenize.h - byte-level BPE's first step: text is cut in words, and no merge reaches over a
 * cut.
 *
 * A kind of pre-tokenizer is a list of regular expressions, applied one after another: each cuts
 * every piece that the one before left in its matches and what lies between them (matches do not
 * look beyond their piece). */
#ifndef RUSK_TEXT_PRETOKENIZE_H
#define RUSK_TEXT_PRETOKENIZE_H

#include "base/alloc.h"

typedef struct rusk_splitter rusk_splitter;

typedef struct rusk_pre_info {
    const char *name;   /* as tokenizer.ggml.pre writes it */
    unsigned kind;      /* row of the pattern table */
    bool ignore_merges; /* a word that is a token is taken whole, whatever the merges say */
    bool add_bos;       /* where the metadata does not say */
} rusk_pre_info;

/* NULL where the name is unknown. */
const rusk_pre_info *rusk_pre_find(const char *name);
#define RUSK_PRE_NAMES "default, gpt-2, llama-bpe, qwen2, smollm (or one of their other names)"

/* The compiled form is immutable: any number of threads may split with it. */
rusk_status rusk_splitter_create(rusk_splitter **out, rusk_alloc *alloc, const rusk_pre_info *pre,
                                 rusk_error *err);
void rusk_splitter_destroy(rusk_splitter *s);

/* Calls word() for each word of valid UTF-8 text, in order; a status other than OK ends it. LIMIT
 * where matching takes unreasonably long. */
typedef rusk_status (*rusk_word_fn)(void *arg, size_t at, size_t len_bytes);
rusk_status rusk_splitter_run(const rusk_splitter *s, const uint8_t *text, size_t len_bytes,
                              rusk_word_fn word, void *arg, rusk_error *err);

#endif
