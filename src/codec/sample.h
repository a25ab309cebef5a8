/* sample.h - symbols to measure codecs on: a Gaussian rounded to integers, seeded. */
#ifndef RUSK_CODEC_SAMPLE_H
#define RUSK_CODEC_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* Standard deviation (in steps) at which a Gaussian rounded to integers has this entropy in bits a
 * symbol; bits is clamped to 0.01 .. 7. */
double rusk_sample_sigma(double bits);

/* n symbols of that deviation, clipped to -127..127. The same seed gives the same symbols. */
void rusk_sample_gaussian(int8_t *symbols, size_t n, double sigma, uint64_t seed);

#endif
