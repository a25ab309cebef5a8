#include "quant/allocate.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* Measured on one 135M llama (docs/decisions/0009), rounded; keys and values before sharing. A rank
 * exponent of 1 is Zipf's law: a row's error weighs as its token is frequent. */
static const rusk_allocation TABLE[] = {
    /* role, step, rank exponent, rank offset, width exponent, shared */
    {"token_embedding,output_head", 1.25F, 1, 500, 0, false},
    {"token_embedding", 1.25F, 1, 500, 0, false},
    {"output_head", 1.25F, 1, 500, 0, false},
    {"attn_q", 1.25F, 0, 0, 1, false},
    {"attn_k", 1.25F, 0, 0, 1, true},
    {"attn_v", 0.6F, 0, 0, 1, true},
    {"attn_output", 1.15F, 0, 0, 1, false},
    {"ffn_gate", 1.45F, 0, 0, 1, false},
    {"ffn_up", 1.1F, 0, 0, 1, false},
    {"ffn_down", 0.8F, 0, 0, 1, false},
    {"", 1, 0, 0, 1, false},
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

/* Mean of ln(id + offset) over ids 0 .. n: the integral of ln, whose primitive is x ln x - x. */
static double mean_log_rank(double offset, uint64_t n) {
    double x0 = offset, x1 = offset + (double)n;
    return ((x1 * log(x1) - x1) - (x0 * log(x0) - x0)) / (double)n;
}

bool rusk_allocate_row_weights(const rusk_allocation *a, const rusk_allocate_rows *rows,
                               float *weights) {
    bool by_rank = a->rank_exponent != 0, by_width = a->width_exponent != 0 && rows->mean_rms > 0;
    if (!by_rank && !by_width) {
        return false;
    }
    double mean_rank = by_rank ? mean_log_rank((double)a->rank_offset, rows->n_total) : 0;
    double mean_width = by_width ? log((double)rows->mean_rms) : 0;
    for (size_t i = 0; i < rows->n; i++) {
        double id = (double)(rows->row0 + i) + 0.5, weight = 0;
        if (by_rank) {
            weight += (double)a->rank_exponent * (mean_rank - log(id + (double)a->rank_offset));
        }
        if (by_width && rows->stats[i].rms > 0) {
            weight += (double)a->width_exponent * (log((double)rows->stats[i].rms) - mean_width);
        }
        weights[i] = (float)exp(weight);
    }
    return true;
}
