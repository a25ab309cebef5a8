#include "quant/classes.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/fp.h"

enum {
    FRACTION_BITS = 6, /* 64 steps an octave */
    OCTAVE_LEAST = 127 - 16,
    OCTAVES = 32,
    N_KEYS = OCTAVES << FRACTION_BITS
};

/* Exponent and leading mantissa bits of a float: a logarithm, linear inside an octave, that is the
 * same on every machine. */
static unsigned key_of(float mean_abs, float scale) {
    float ratio = scale > 0 ? mean_abs / scale : 0;
    uint32_t key = rusk_f32_bits(ratio) >> (23 - FRACTION_BITS);
    uint32_t least = (uint32_t)OCTAVE_LEAST << FRACTION_BITS;
    return key < least ? 0 : RUSK_MIN(key - least, (uint32_t)N_KEYS - 1);
}

void rusk_classes_bins(const rusk_row_stats *rows, const float *row_scales, uint64_t n_rows,
                       uint8_t *bins) {
    uint64_t n_of_key[N_KEYS] = {0};
    uint8_t bin_of_key[N_KEYS];
    for (uint64_t r = 0; r < n_rows; r++) {
        n_of_key[key_of(rows[r].mean_abs, row_scales[r])]++;
    }
    uint64_t before = 0;
    for (unsigned k = 0; k < N_KEYS; k++) {
        /* by the middle row of a key, so that a crowded one does not drag its neighbours along */
        uint64_t middle = before + n_of_key[k] / 2;
        bin_of_key[k] = (uint8_t)RUSK_MIN((double)middle / (double)n_rows * RUSK_CLASS_BINS,
                                          RUSK_CLASS_BINS - 1);
        before += n_of_key[k];
    }
    for (uint64_t r = 0; r < n_rows; r++) {
        bins[r] = bin_of_key[key_of(rows[r].mean_abs, row_scales[r])];
    }
}

void rusk_classes_count(rusk_bin_counts *counts, unsigned bin, const int8_t *symbols, size_t n) {
    /* Two tables: runs of one symbol need not wait for their own last increment. */
    uint32_t even[RUSK_CODEC_ALPHABET] = {0}, odd[RUSK_CODEC_ALPHABET] = {0};
    while (n > 0) {
        size_t part = RUSK_MIN(n, (size_t)1 << 30);
        size_t i = 0;
        for (; i + 2 <= part; i += 2) {
            even[symbols[i] + 128]++;
            odd[symbols[i + 1] + 128]++;
        }
        if (i < part) {
            even[symbols[i] + 128]++;
        }
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
            counts->count[bin][s] += (uint64_t)even[s] + odd[s];
        }
        memset(even, 0, sizeof even);
        memset(odd, 0, sizeof odd);
        symbols += part;
        n -= part;
    }
}

static double cost_of(const uint64_t *count, double table_bits) {
    double total = 0, sum = 0, used = 0;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        if (count[s] > 0) {
            double c = (double)count[s];
            total += c;
            sum += c * log2(c);
            used++;
        }
    }
    return total > 0 ? total * log2(total) - sum + used * table_bits : 0;
}

unsigned rusk_classes_merge(const rusk_bin_counts *counts, double table_bits,
                            uint8_t class_of_bin[RUSK_CLASS_BINS]) {
    enum { N = RUSK_CLASS_BINS, K = RUSK_CODEC_CLASSES };
    double cost[N][N];     /* of bins i .. j as one class */
    double best[K][N + 1]; /* of the first j bins in k + 1 classes */
    uint8_t from[K][N + 1];
    for (unsigned i = 0; i < N; i++) {
        uint64_t merged[RUSK_CODEC_ALPHABET] = {0};
        for (unsigned j = i; j < N; j++) {
            for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
                merged[s] += counts->count[j][s];
            }
            cost[i][j] = cost_of(merged, table_bits);
        }
    }
    for (unsigned k = 0; k < K; k++) {
        best[k][0] = 0;
        from[k][0] = 0;
        for (unsigned j = 1; j <= N; j++) {
            best[k][j] = cost[0][j - 1];
            from[k][j] = 0;
            for (unsigned i = 1; k > 0 && i < j; i++) {
                double c = best[k - 1][i] + cost[i][j - 1];
                if (c < best[k][j]) {
                    best[k][j] = c;
                    from[k][j] = (uint8_t)i;
                }
            }
        }
    }
    unsigned starts[K + 1], n = 0; /* first bin of each class, last class first */
    for (unsigned j = N, k = K - 1; j > 0; j = starts[n - 1], k -= k > 0) {
        starts[n++] = from[k][j];
    }
    for (unsigned b = 0, c = 0; b < N; b++) {
        c += c + 1 < n && b == starts[n - 2 - c];
        class_of_bin[b] = (uint8_t)c;
    }
    return n;
}
