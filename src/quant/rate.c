#include "quant/rate.h"

#include <math.h>

#include "codec/codec.h"

void rusk_rate_add(rusk_rate_hist *hist, const float *row, size_t n, float unit_scale) {
    float factor = unit_scale > 0 ? RUSK_RATE_PER_UNIT / unit_scale : 0;
    if (!isfinite(factor)) { /* a row of subnormals */
        factor = 0;
    }
    for (size_t i = 0; i < n; i++) {
        float bin = fabsf(row[i]) * factor;
        bin = bin < RUSK_RATE_BINS - 1 ? bin : RUSK_RATE_BINS - 1;
        hist->count[(unsigned)bin]++;
    }
}

void rusk_rate_merge(rusk_rate_hist *into, const rusk_rate_hist *from) {
    for (size_t i = 0; i < RUSK_RATE_BINS; i++) {
        into->count[i] += from->count[i];
    }
}

static double information(double count, double total) {
    return count > 0 ? count * log2(total / count) : 0;
}

double rusk_rate_bits(const rusk_rate_hist *hist, double step) {
    double total = 0;
    for (size_t i = 0; i < RUSK_RATE_BINS; i++) {
        total += (double)hist->count[i];
    }
    double bits = 0, mass = 0, signs = total;
    double border = 0.5 * step * RUSK_RATE_PER_UNIT; /* of the present symbol, in bins */
    int symbol = 0;
    for (size_t i = 0; i < RUSK_RATE_BINS; i++) {
        double count = (double)hist->count[i], at = (double)i;
        while (symbol < RUSK_CODEC_MAX_SYMBOL && border < (double)(i + 1)) {
            double part = count * (border - at) / ((double)(i + 1) - at);
            bits += information(mass + part, total);
            signs -= symbol == 0 ? mass + part : 0;
            mass = 0;
            count -= part;
            at = border;
            symbol++;
            border = (symbol + 0.5) * step * RUSK_RATE_PER_UNIT;
        }
        if (symbol == RUSK_CODEC_MAX_SYMBOL && border < (double)(i + 1)) {
            double from = border > at ? border : at;
            bits +=
                RUSK_PATCH_COST_BITS * count * ((double)(i + 1) - from) / ((double)(i + 1) - at);
        }
        mass += count;
    }
    bits += information(mass, total);
    signs -= symbol == 0 ? mass : 0;
    return bits + signs;
}
