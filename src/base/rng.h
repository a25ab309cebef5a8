/* rng.h - seeded randomness: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
 * The sequence is part of the contract: the same seed gives the same choices on every machine. */
#ifndef RUSK_BASE_RNG_H
#define RUSK_BASE_RNG_H

#include <stdint.h>

typedef struct rusk_rng {
    uint64_t s[4];
} rusk_rng;

static inline uint64_t rusk_splitmix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static inline rusk_rng rusk_rng_seed(uint64_t seed) {
    rusk_rng r;
    for (int i = 0; i < 4; i++) {
        r.s[i] = rusk_splitmix64(&seed);
    }
    return r;
}

static inline uint64_t rusk_rotl64(uint64_t x, unsigned n) {
    return x << n | x >> (64 - n);
}

static inline uint64_t rusk_rng_u64(rusk_rng *r) {
    uint64_t result = rusk_rotl64(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rusk_rotl64(r->s[3], 45);
    return result;
}

/* Uniform in [0, 1), 53 bits. */
static inline double rusk_rng_double(rusk_rng *r) {
    return (double)(rusk_rng_u64(r) >> 11) * 0x1p-53;
}

/* Uniform in 0 .. n-1 (n > 0) by multiplication; bias below n / 2^64. */
static inline uint64_t rusk_rng_below(rusk_rng *r, uint64_t n) {
    return (uint64_t)((__extension__(unsigned __int128) rusk_rng_u64(r) * n) >> 64);
}

/* Standard normal (Box-Muller, the cosine half). */
double rusk_rng_normal(rusk_rng *r);

#endif
