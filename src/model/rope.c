/* rope.c - rotary position embedding (Su et al., 2021).
 *
 * Pair i of a head turns by  position * scale * base^(-2i / dims) / factor[i]. Angles are computed
 * in double, since a float loses the fraction of a turn at large positions; once per item, not per
 * layer. */
#include <math.h>

#include "model/graph_impl.h"

static void fill_steps(double *steps, uint32_t dims, double base, double scale) {
    for (uint32_t i = 0; i < dims / 2; i++) {
        steps[i] = scale * pow(base, -2.0 * i / dims);
    }
}

void rusk_graph_rope_init(rusk_graph *g) {
    const rusk_model_desc *d = &g->desc;
    fill_steps(g->rope_step[ROPE_GLOBAL], d->rope_dims, (double)d->rope_base,
               (double)d->rope_scale);
    fill_steps(g->rope_step[ROPE_LOCAL], d->rope_dims, (double)d->rope_base_local,
               (double)d->rope_scale_local);
}

void rusk_graph_rope_turn(rusk_graph *g, uint32_t row) {
    const rusk_model_desc *d = &g->desc;
    const uint32_t half = d->rope_dims / 2;
    const double position = g->items[g->row_item[row]].position;
    const float *factors = NULL;
    if (rusk_desc_has(d, RUSK_ROLE_ROPE_FREQS)) {
        factors = g->weights->vector(g->weights->self, rusk_desc_slot(RUSK_ROLE_ROPE_FREQS, 0));
    }
    for (int kind = 0; kind < (d->window > 0 ? ROPE_KINDS : 1); kind++) {
        float *turn = g->rope_turn[kind] + (size_t)row * 2 * half;
        for (uint32_t i = 0; i < half; i++) {
            double angle = position * g->rope_step[kind][i];
            if (factors != NULL) {
                angle /= (double)factors[i];
            }
            turn[i] = (float)cos(angle);
            turn[half + i] = (float)sin(angle);
        }
    }
}

void rusk_graph_rope(const rusk_graph *g, uint32_t layer, uint32_t row, float *heads,
                     uint32_t n_heads) {
    const rusk_model_desc *d = &g->desc;
    const uint32_t half = d->rope_dims / 2;
    const int kind = rusk_desc_windowed(d, layer) ? ROPE_LOCAL : ROPE_GLOBAL;
    const float *turn = g->rope_turn[kind] + (size_t)row * 2 * half;
    for (uint32_t head = 0; head < n_heads; head++, heads += d->head_dim) {
        if (d->rope == RUSK_ROPE_PAIRS) {
            g->kernels->rotate_pairs(heads, turn, half);
        } else {
            g->kernels->rotate_halves(heads, turn, half);
        }
    }
}
