/* perplexity.h - perplexity and KL divergence of a model on a text. */
#ifndef RUSK_EVAL_PERPLEXITY_H
#define RUSK_EVAL_PERPLEXITY_H

#include "runtime/context.h"

/* The contract of rusk_eval (rusk.h). */
rusk_status rusk_perplexity_run(rusk_model *model, rusk_model *reference, const char *text,
                                size_t len_bytes, const rusk_eval_options *options,
                                rusk_eval_result *result, rusk_error *err);

#endif
