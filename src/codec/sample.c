#include "codec/sample.h"

#include <math.h>

#include "base/rng.h"

/* Entropy of round(sigma * N(0,1)), in bits; 40 sigma and 300 steps are all there is. */
static double entropy_of(double sigma) {
    double bits = 0, scale = 1 / (sigma * sqrt(2.0));
    for (int k = 0; k <= 300; k++) {
        double p = 0.5 * (erfc((k - 0.5) * scale) - erfc((k + 0.5) * scale));
        if (p > 0) {
            bits -= (k == 0 ? 1 : 2) * p * log2(p);
        }
    }
    return bits;
}

double rusk_sample_sigma(double bits) {
    double low = 0.05, high = 40;
    bits = fmin(fmax(bits, 0.01), 7);
    for (int i = 0; i < 60; i++) {
        double middle = sqrt(low * high);
        if (entropy_of(middle) < bits) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void rusk_sample_gaussian(int8_t *symbols, size_t n, double sigma, uint64_t seed) {
    rusk_rng rng = rusk_rng_seed(seed);
    for (size_t i = 0; i < n; i++) {
        double v = rint(sigma * rusk_rng_normal(&rng));
        symbols[i] = (int8_t)fmin(fmax(v, -127), 127);
    }
}
