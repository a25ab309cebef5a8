/* engine.h - a model opened to run: source, tokenizer, description, weights. */
#ifndef RUSK_RUNTIME_ENGINE_H
#define RUSK_RUNTIME_ENGINE_H

#include "model/arch.h"
#include "runtime/weights.h"
#include "text/tokenizer.h"

/* The public handle. Immutable once open. */
struct rusk_model {
    rusk_alloc alloc;
    rusk_source *source;
    rusk_tokenizer *tokenizer;
    rusk_text chat_template; /* data NULL: none */
    bool vocab_only;
    /* not with vocab_only: */
    rusk_model_desc desc;
    int32_t *map; /* slot -> tensor of the source */
    rusk_weights *weights;
    uint64_t n_parameters;
};

/* The contracts of rusk_model_open and rusk_model_close. */
rusk_status rusk_engine_open(rusk_model **out, const char *path, const rusk_model_options *options,
                             rusk_error *err);
void rusk_engine_close(rusk_model *model);

/* The tokenizer of a source, whatever its format. */
rusk_status rusk_engine_tokenizer(rusk_tokenizer **out, rusk_alloc *alloc,
                                  const rusk_source *source, rusk_error *err);
/* The chat template of a source; data NULL where it has none. */
rusk_status rusk_engine_chat_template(const rusk_source *source, rusk_text *text, rusk_error *err);
/* Elements of all tensors; a tied tensor counts once. */
uint64_t rusk_engine_count_parameters(const rusk_source *source);

#endif
