#include "base/rng.h"

#include <math.h>

double rusk_rng_normal(rusk_rng *r) {
    double u = 1.0 - rusk_rng_double(r); /* in (0, 1]: the logarithm is finite */
    double v = rusk_rng_double(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
