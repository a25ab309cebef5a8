#include "quant/allocate.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* Measured on one 135M llama (docs/decisions/0120), rounded; keys and values before sharing. */
static const rusk_allocation TABLE[] = {
    /* role, step, rank exponent, rank offset, shared */
    {"token_embedding,output_head", 1.25F, 0.75F, 500, false},
    {"token_embedding", 1.25F, 0.75F, 500, false},
    {"output_head", 1.25F, 0.75F, 500, false},
    {"attn_q", 1.25F, 0, 0, false},
    {"attn_k", 1.25F, 0, 0, true},
    {"attn_v", 0.6F, 0, 0, true},
    {"attn_output", 1.15F, 0, 0, false},
    {"ffn_gate", 1.45F, 0, 0, false},
    {"ffn_up", 1.1F, 0, 0, false},
    {"ffn_down", 0.8F, 0, 0, false},
    {"", 1, 0, 0, false},
};

const rusk_allocation *rusk_allocate_find(const char *role) {
    size_t i = 0;
    while (i + 1 < RUSK_COUNT(TABLE) && strcmp(TABLE[i].role, role) != 0) {
        i++;
    }
    return &TABLE[i];
}

float rusk_allocate_importance(const rusk_allocation *a, float sharing) {
    return (a->shared ? sharing : 1.0F) / (a->step * a->step);
}

bool rusk_allocate_row_weights(const rusk_allocation *a, uint64_t n_total, uint64_t row0, size_t n,
                               float *weights) {
    if (a->rank_exponent == 0) {
        return false;
    }
    /* mean of ln(id + offset) over ids 0 .. n_total: the integral of ln, whose primitive is
     * x ln x - x */
    double x0 = a->rank_offset, x1 = x0 + (double)n_total;
    double mean = ((x1 * log(x1) - x1) - (x0 * log(x0) - x0)) / (double)n_total;
    for (size_t i = 0; i < n; i++) {
        double id = (double)(row0 + i) + 0.5;
        weights[i] = (float)exp(a->rank_exponent * (mean - log(id + x0)));
    }
    return true;
}
