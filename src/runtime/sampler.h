/* sampler.h - choosing the next token from logits.
 *
 * The chain, in the order that users of llama.cpp expect: repetition penalty (Keskar et al., 2019),
 * top-k, top-p (Holtzman et al., 2020), min-p (Nguyen et al., 2024), temperature, then a draw. */
#ifndef RUSK_RUNTIME_SAMPLER_H
#define RUSK_RUNTIME_SAMPLER_H

#include "base/alloc.h"
#include "base/rng.h"

/* The contracts of rusk_sampler_* (rusk.h). The backend is copied; a sampler may outlive its model.
 */
rusk_status rusk_sample_create(rusk_sampler **out, const rusk_allocator *backend, uint32_t n_vocab,
                               const rusk_sampler_options *options, rusk_error *err);
void rusk_sample_destroy(rusk_sampler *sampler);
int32_t rusk_sample_choose(rusk_sampler *sampler, const float *logits);
void rusk_sample_accept(rusk_sampler *sampler, int32_t token);

#endif
