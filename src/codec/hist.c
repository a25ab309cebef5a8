/* hist.c - histograms, entropy, and frequencies of a given sum.
 *
 * The cost of a table is separable and convex: each symbol with count c and frequency f costs
 * c * log2(sum / f), and one more unit gains c * log2((f + 1) / f), less each time. So moving
 * single units from where the loss is least to where the gain is greatest, until no move pays,
 * ends in the global optimum wherever it starts; proportional rounding starts close to it. */
#include "codec/hist.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

void rusk_hist_clear(rusk_hist *hist) {
    memset(hist, 0, sizeof *hist);
}

void rusk_hist_add(rusk_hist *hist, unsigned class_index, const int8_t *symbols, size_t n) {
    /* Four counters a symbol: runs of one value would otherwise wait for their own store. */
    uint32_t part[4][RUSK_CODEC_ALPHABET];
    uint64_t *count = hist->count[class_index];
    while (n > 0) {
        size_t run = RUSK_MIN(n, (size_t)1 << 30);
        memset(part, 0, sizeof part);
        for (size_t i = 0; i < run; i++) {
            part[i & 3][symbols[i] + 128]++;
        }
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
            count[s] += (uint64_t)part[0][s] + part[1][s] + part[2][s] + part[3][s];
        }
        symbols += run;
        n -= run;
    }
}

/* 2 atanh(s) / ln 2 = log2((1 + s) / (1 - s)) by its series; |s| <= 1/3. */
static double log2_ratio(double s) {
    static const double TWO_OVER_LN2 = 2.8853900817779268;
    double square = s * s, power = s, sum = s;
    for (int k = 3; k < 40; k += 2) {
        power *= square;
        double next = sum + power / k;
        if (next == sum) {
            break;
        }
        sum = next;
    }
    return sum * TWO_OVER_LN2;
}

double rusk_log2_u64(uint64_t n) {
    int exponent = 63 - __builtin_clzll(n);
    double mantissa = (double)n / (double)((uint64_t)1 << exponent); /* 1 .. 2 */
    return exponent + log2_ratio((mantissa - 1) / (mantissa + 1));
}

static uint64_t total_of_n(const uint64_t *count, size_t n) {
    uint64_t total = 0;
    for (size_t s = 0; s < n; s++) {
        total += count[s];
    }
    return total;
}

static uint64_t total_of(const uint64_t count[RUSK_CODEC_ALPHABET]) {
    return total_of_n(count, RUSK_CODEC_ALPHABET);
}

double rusk_hist_bits(const rusk_hist *hist) {
    double bits = 0;
    for (size_t c = 0; c < RUSK_CODEC_CLASSES; c++) {
        uint64_t total = total_of(hist->count[c]);
        double log_total = total > 0 ? rusk_log2_u64(total) : 0;
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
            uint64_t n = hist->count[c][s];
            if (n > 0) {
                bits += (double)n * (log_total - rusk_log2_u64(n));
            }
        }
    }
    return bits;
}

typedef struct balance {
    size_t n;
    const double *step;
    double gain[RUSK_CODEC_ALPHABET]; /* of one unit more; -1 where unused */
    double loss[RUSK_CODEC_ALPHABET]; /* of one unit less; infinite at 1 and where unused */
} balance;

/* Bits that a symbol of this count gains when its frequency grows from f to f + 1. */
static double gain_of(const balance *b, uint64_t count, unsigned f) {
    return (double)count * (b->step != NULL ? b->step[f] : log2_ratio(1.0 / (2.0 * f + 1)));
}

static void weigh(balance *b, const uint64_t *count, const uint16_t *freq, size_t s) {
    b->gain[s] = freq[s] > 0 ? gain_of(b, count[s], freq[s]) : -1;
    b->loss[s] = freq[s] > 1 ? gain_of(b, count[s], freq[s] - 1U) : INFINITY;
}

static size_t most_gained(const balance *b) {
    size_t best = 0;
    for (size_t s = 1; s < b->n; s++) {
        best = b->gain[s] > b->gain[best] ? s : best;
    }
    return best;
}

static size_t least_lost(const balance *b) {
    size_t best = 0;
    for (size_t s = 1; s < b->n; s++) {
        best = b->loss[s] < b->loss[best] ? s : best;
    }
    return best;
}

void rusk_freq_fit(const uint64_t *count, size_t n, unsigned sum, const double *step,
                   uint16_t *freq) {
    balance b = {.n = n, .step = step};
    double total = (double)total_of_n(count, n);
    unsigned now = 0;
    for (size_t s = 0; s < n; s++) {
        double share = (double)count[s] * sum / total;
        freq[s] = count[s] > 0 ? (uint16_t)RUSK_MAX(1, (int)(share + 0.5)) : 0;
        now += freq[s];
        weigh(&b, count, freq, s);
    }
    for (;;) {
        size_t up = most_gained(&b), down = least_lost(&b);
        if (now == sum && !(b.gain[up] > b.loss[down])) {
            break;
        }
        if (now <= sum) {
            freq[up]++;
            now++;
            weigh(&b, count, freq, up);
        } else {
            freq[down]--;
            now--;
            weigh(&b, count, freq, down);
        }
    }
}

void rusk_freq_normalize(const uint64_t count[RUSK_CODEC_ALPHABET],
                         uint16_t freq[RUSK_CODEC_ALPHABET]) {
    size_t n_used = 0, only = 0;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        n_used += count[s] > 0;
        only = count[s] > 0 ? s : only;
    }
    RUSK_ASSERT(n_used > 0);
    if (n_used > 1) {
        rusk_freq_fit(count, RUSK_CODEC_ALPHABET, RUSK_FREQ_SUM, NULL, freq);
        return;
    }
    memset(freq, 0, RUSK_CODEC_ALPHABET * sizeof freq[0]);
    freq[only] = RUSK_FREQ_SUM - 1;
    freq[only < RUSK_CODEC_ALPHABET - 1 ? only + 1 : only - 1] = 1;
}

double rusk_freq_cost(const uint64_t count[RUSK_CODEC_ALPHABET],
                      const uint16_t freq[RUSK_CODEC_ALPHABET]) {
    double bits = 0;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        if (count[s] > 0 && freq[s] > 0) {
            bits += (double)count[s] * (RUSK_FREQ_BITS - rusk_log2_u64(freq[s]));
        }
    }
    return bits;
}

void rusk_fold_map(const uint16_t used[RUSK_CODEC_ALPHABET], int8_t map[RUSK_CODEC_ALPHABET]) {
    for (int i = 0; i < RUSK_CODEC_ALPHABET; i++) {
        int toward = i < 128 ? 1 : -1; /* zero's direction goes first */
        int found = i;
        for (int d = 0; d < RUSK_CODEC_ALPHABET; d++) {
            int near = i + toward * d, far = i - toward * d;
            if (near >= 0 && near < RUSK_CODEC_ALPHABET && used[near] > 0) {
                found = near;
                break;
            }
            if (far >= 0 && far < RUSK_CODEC_ALPHABET && used[far] > 0) {
                found = far;
                break;
            }
        }
        map[i] = (int8_t)(found - 128);
    }
}

/* A symbol of count c that keeps a code costs the others a 4096th, total * log2(4096/4095) bits,
 * and 12 bits a time; folded, each takes a patch and its neighbour's code, at most some 7 bits. */
static uint64_t rare_below(uint64_t total) {
    double room = (double)total * log2_ratio(1.0 / (2 * RUSK_FREQ_SUM - 1));
    return (uint64_t)(room / (RUSK_PATCH_COST_BITS + 7 - RUSK_FREQ_BITS)) + 1;
}

double rusk_freq_choose(const uint64_t count[RUSK_CODEC_ALPHABET],
                        uint16_t freq[RUSK_CODEC_ALPHABET]) {
    uint64_t kept[RUSK_CODEC_ALPHABET], below = rare_below(total_of(count)), n_folded = 0;
    uint16_t used[RUSK_CODEC_ALPHABET], folded_freq[RUSK_CODEC_ALPHABET];
    int8_t map[RUSK_CODEC_ALPHABET];
    rusk_freq_normalize(count, freq);
    double bits = rusk_freq_cost(count, freq);
    memset(kept, 0, sizeof kept);
    bool any = false;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        used[s] = count[s] >= below;
        any = any || used[s] > 0;
        n_folded += used[s] == 0 ? count[s] : 0;
    }
    if (n_folded == 0 || !any) {
        return bits;
    }
    rusk_fold_map(used, map);
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        kept[map[s] + 128] += count[s];
    }
    rusk_freq_normalize(kept, folded_freq);
    double folded_bits =
        rusk_freq_cost(kept, folded_freq) + (double)n_folded * RUSK_PATCH_COST_BITS;
    if (folded_bits < bits) {
        memcpy(freq, folded_freq, sizeof folded_freq);
        bits = folded_bits;
    }
    return bits;
}
