/* uniform.c - round to nearest on a mid-tread grid with a step per row.
 *
 *     scale = step * rms / sqrt(importance * row_weight)      but at least tail / 127
 *     symbol = round(value / scale)                           to nearest, ties to even
 *
 * A step in proportion to the row's rms gives every row of a tensor the same rate and the same
 * relative error; measured against a step per tensor and mixtures of both, and against a grid
 * without a zero level, in docs/decisions/0009. Values beyond 127 steps are clipped and patched, so
 * |value - (symbol + delta) * scale| <= scale / 2 for every value within about 2^23 steps. */
#include <math.h>
#include <string.h>

#include "quant/quantizer.h"

/* Adding and subtracting 1.5 * 2^23 rounds a float below 2^22 to an integer, ties to even. */
static const float ROUND_MAGIC = 0x1.8p23F;
static const float ROUND_LIMIT = 0x1p22F;
/* A delta may grow by up to 254 when the codec folds its symbol. */
static const double VALUE_LIMIT = RUSK_PATCH_MAX_DELTA - 512;

static rusk_status not_finite(const float *row, uint64_t number, uint32_t n_cols, rusk_error *err) {
    uint32_t c = 0;
    while (c + 1 < n_cols && isfinite(row[c])) {
        c++;
    }
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                     "row %llu, column %u: expected a finite weight, found %f",
                     (unsigned long long)number, c, (double)row[c]);
}

/* The smallest of the n + 1 largest magnitudes: at most n values are above it. */
static float tail_of(const float *row, uint32_t n_cols, uint32_t n) {
    float top[RUSK_TAIL_MAX + 1] = {0}; /* descending */
    for (uint32_t c = 0; c < n_cols; c++) {
        float v = fabsf(row[c]);
        if (v <= top[n]) {
            continue;
        }
        uint32_t i = n;
        for (; i > 0 && top[i - 1] < v; i--) {
            top[i] = top[i - 1];
        }
        top[i] = v;
    }
    return top[n];
}

static rusk_status measure(const float *rows, uint64_t row0, uint32_t n_rows, uint32_t n_cols,
                           rusk_row_stats *stats, rusk_error *err) {
    uint32_t n_patches = rusk_patches_per_row(n_cols);
    for (uint32_t r = 0; r < n_rows; r++) {
        const float *row = rows + (size_t)r * n_cols;
        double squares[4] = {0}, sums[4] = {0}; /* four chains: the adds need not wait */
        for (uint32_t c = 0; c < n_cols; c++) {
            double v = fabs((double)row[c]);
            squares[c % 4] += v * v;
            sums[c % 4] += v;
        }
        double square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
        double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        if (!isfinite(square)) { /* squares of finite floats cannot overflow a double */
            return not_finite(row, row0 + r, n_cols, err);
        }
        stats[r] = (rusk_row_stats){
            .rms = (float)sqrt(square / n_cols),
            .mean_abs = (float)(sum / n_cols),
            .tail = tail_of(row, n_cols, n_patches),
        };
    }
    return RUSK_OK;
}

static void scales(const rusk_row_stats *rows, uint32_t n_rows, float step,
                   const rusk_quant_stats *stats, float *row_scales) {
    for (uint32_t r = 0; r < n_rows; r++) {
        float weight = stats->importance;
        if (stats->row_weight != NULL) {
            weight *= stats->row_weight[r];
        }
        float scale = step * rows[r].rms / sqrtf(weight);
        float least = rows[r].tail / RUSK_CODEC_MAX_SYMBOL;
        row_scales[r] = scale < least ? least : scale;
    }
}

/* Symbols of a row, clipped; whether any value was beyond them. */
static bool round_row(const float *row, uint32_t n_cols, float scale, int8_t *symbols) {
    float largest = 0;
    for (uint32_t c = 0; c < n_cols; c++) {
        float q = row[c] / scale;
        q = q > ROUND_LIMIT ? ROUND_LIMIT : q;
        q = q < -ROUND_LIMIT ? -ROUND_LIMIT : q;
        q = (q + ROUND_MAGIC) - ROUND_MAGIC;
        float magnitude = fabsf(q);
        largest = magnitude > largest ? magnitude : largest;
        q = q > RUSK_CODEC_MAX_SYMBOL ? RUSK_CODEC_MAX_SYMBOL : q;
        q = q < -RUSK_CODEC_MAX_SYMBOL ? -RUSK_CODEC_MAX_SYMBOL : q;
        symbols[c] = (int8_t)q;
    }
    return largest > RUSK_CODEC_MAX_SYMBOL;
}

static bool patch_row(const float *row, uint32_t n_cols, float scale, uint32_t position,
                      const int8_t *symbols, rusk_quant_out *out) {
    for (uint32_t c = 0; c < n_cols; c++) {
        if (symbols[c] != RUSK_CODEC_MAX_SYMBOL && symbols[c] != -RUSK_CODEC_MAX_SYMBOL) {
            continue;
        }
        double q = (double)row[c] / (double)scale;
        q = q > VALUE_LIMIT ? VALUE_LIMIT : q;
        q = q < -VALUE_LIMIT ? -VALUE_LIMIT : q;
        int32_t delta = (int32_t)nearbyint(q) - symbols[c];
        if (delta == 0) {
            continue;
        }
        if (out->n_patches == out->cap_patches) {
            return false;
        }
        out->patches[out->n_patches++] = (rusk_patch){.position = position + c, .delta = delta};
    }
    return true;
}

static rusk_status quantize(const float *rows, uint32_t n_rows, uint32_t n_cols,
                            const float *row_scales, const rusk_quant_stats *stats,
                            rusk_quant_out *out, rusk_error *err) {
    (void)stats;
    out->n_patches = 0;
    for (uint32_t r = 0; r < n_rows; r++) {
        const float *row = rows + (size_t)r * n_cols;
        int8_t *symbols = out->symbols + (size_t)r * n_cols;
        if (row_scales[r] == 0) {
            memset(symbols, 0, n_cols);
            continue;
        }
        if (round_row(row, n_cols, row_scales[r], symbols) &&
            !patch_row(row, n_cols, row_scales[r], r * n_cols, symbols, out)) {
            return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                             "row %u: more than %zu outliers in one piece", r, out->cap_patches);
        }
    }
    return RUSK_OK;
}

/* step_min: 127 steps reach 4 rms, so that few values of a bell-shaped row need a patch. step_max:
 * beyond it nearly every weight is zero (under 0.3 bits a weight of a Gaussian) and nothing is
 * gained. */
const rusk_quantizer rusk_quantizer_uniform = {
    .name = "uniform",
    .summary = "round to nearest, a step per row in proportion to its rms",
    .step_min = 1.0F / 32,
    .step_max = 4.0F,
    .symbol_offset = 0,
    .measure = measure,
    .scales = scales,
    .quantize = quantize,
};
