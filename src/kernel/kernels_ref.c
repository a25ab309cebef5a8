/* kernels_ref.c - the kernels as plain as kernels.h states them. This file is the documentation;
 * the others are held to its bits by tests/simd/test_kernel_twins.c. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/kernel_parts.h"

static void quantize_ref(const float *x, size_t n, int8_t *q, float *scale, float *sum16) {
    for (size_t g = 0; g * RUSK_GROUP < n; g++, x += RUSK_GROUP, q += RUSK_GROUP) {
        size_t n_here = RUSK_MIN(n - g * RUSK_GROUP, (size_t)RUSK_GROUP);
        uint32_t top = 0; /* bits of |x| order as the values do, NaN above all */
        for (size_t i = 0; i < n_here; i++) {
            top = RUSK_MAX(top, rusk_f32_bits(x[i]) & 0x7FFFFFFFU);
        }
        scale[g] = rusk_f32_from_bits(top) / 127.0F;
        memset(q, 0, RUSK_GROUP);
        if (scale[g] > 0 && scale[g] < INFINITY) {
            for (size_t i = 0; i < n_here; i++) {
                float ratio = rintf(x[i] / scale[g]);
                ratio = ratio > 127.0F ? 127.0F : ratio;
                q[i] = (int8_t)(ratio < -127.0F ? -127.0F : ratio);
            }
        }
        int32_t sum[2] = {0, 0};
        for (size_t i = 0; i < RUSK_GROUP; i++) {
            sum[i / 16] += q[i];
        }
        sum16[2 * g] = scale[g] * (float)sum[0];
        sum16[2 * g + 1] = scale[g] * (float)sum[1];
    }
}

/* The 16 lanes of a row times an activation row. quads_per_factor: 8 where a group has one d, 4
 * where its halves have one each; d NULL: 1. */
static void int8_lanes(const int8_t *w, const float *d, size_t quads_per_factor, const rusk_acts *x,
                       size_t b, float lane[16]) {
    const int8_t *q = x->q + b * x->n_groups * RUSK_GROUP;
    const float *scale = x->scale + b * x->n_groups;
    memset(lane, 0, 16 * sizeof(float));
    for (size_t g = 0; g < x->n_groups; g++) {
        for (size_t j = 0; j < 8; j++) {
            size_t at = g * RUSK_GROUP + 4 * j;
            int32_t sum = w[at] * q[at] + w[at + 1] * q[at + 1] + w[at + 2] * q[at + 2] +
                          w[at + 3] * q[at + 3];
            float factor = scale[g];
            if (d != NULL) {
                factor = d[(g * 8 + j) / quads_per_factor] * scale[g];
            }
            lane[8 * (g % 2) + j] += (float)sum * factor;
        }
    }
}

static void matmul_i8_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        float offset = w->offset != 0 ? w->offset * rusk_sum_of_acts(x, b) : 0;
        for (size_t r = 0; r < w->n_rows; r++) {
            float lane[16];
            int8_lanes(rusk_tile_codes(w, r), NULL, 8, x, b, lane);
            y[b * y_stride + r] = (rusk_tree(lane, 16) + offset) * w->row_scale[r];
        }
    }
    rusk_patch_product(w, x, y, y_stride);
}

static void matmul_g32_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        const float *sum16 = x->sum16 + b * x->n_groups * 2;
        for (size_t r = 0; r < w->n_rows; r++) {
            const float *d = w->d + r * w->group_stride, *m = w->m + r * w->group_stride;
            float lane[16], more[16] = {0};
            int8_lanes(rusk_tile_codes(w, r), d, 8, x, b, lane);
            for (size_t g = 0; g < x->n_groups; g++) {
                more[g % 16] += m[g] * (sum16[2 * g] + sum16[2 * g + 1]);
            }
            for (size_t j = 0; j < 16; j++) {
                lane[j] += more[j];
            }
            y[b * y_stride + r] = rusk_tree(lane, 16);
        }
    }
}

static void matmul_g16_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        const float *sum16 = x->sum16 + b * x->n_groups * 2;
        for (size_t r = 0; r < w->n_rows; r++) {
            const float *d = w->d + r * w->group_stride, *m = w->m + r * w->group_stride;
            float lane[16], more[16] = {0};
            int8_lanes(rusk_tile_codes(w, r), d, 4, x, b, lane);
            for (size_t i = 0; i < (size_t)x->n_groups * 2; i++) {
                more[i % 16] += m[i] * sum16[i];
            }
            for (size_t j = 0; j < 16; j++) {
                lane[j] += more[j];
            }
            y[b * y_stride + r] = rusk_tree(lane, 16);
        }
    }
}

static void matmul_f32_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        for (size_t r = 0; r < w->n_rows; r++) {
            const float *row = (const float *)(const void *)rusk_tile_codes(w, r);
            float lane[32] = {0};
            for (size_t i = 0; i < w->n_cols; i++) {
                lane[i % 32] += row[i] * x->x[b * x->n_cols + i];
            }
            y[b * y_stride + r] = rusk_tree(lane, 32);
        }
    }
}

static void matmul_f16_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        for (size_t r = 0; r < w->n_rows; r++) {
            const uint16_t *row = (const uint16_t *)(const void *)rusk_tile_codes(w, r);
            float lane[32] = {0};
            for (size_t i = 0; i < w->n_cols; i++) {
                lane[i % 32] += rusk_f32_from_f16(row[i]) * x->x[b * x->n_cols + i];
            }
            y[b * y_stride + r] = rusk_tree(lane, 32);
        }
    }
}

static void matmul_bf16_ref(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t b = 0; b < x->n_rows; b++) {
        for (size_t r = 0; r < w->n_rows; r++) {
            const uint16_t *row = (const uint16_t *)(const void *)rusk_tile_codes(w, r);
            float lane[32] = {0};
            for (size_t i = 0; i < w->n_cols; i++) {
                lane[i % 32] += rusk_f32_from_bf16(row[i]) * x->x[b * x->n_cols + i];
            }
            y[b * y_stride + r] = rusk_tree(lane, 32);
        }
    }
}

static void expand_ref(const rusk_tile *w, float *out) {
    size_t group = w->kind == RUSK_TILE_G16 ? 16 : 32;
    for (size_t r = 0; r < w->n_rows; r++, out += w->n_cols) {
        const int8_t *codes = rusk_tile_codes(w, r);
        if (w->kind == RUSK_TILE_I8) {
            for (size_t i = 0; i < w->n_cols; i++) {
                out[i] = ((float)codes[i] + w->offset) * w->row_scale[r];
            }
        } else {
            const float *d = w->d + r * w->group_stride, *m = w->m + r * w->group_stride;
            for (size_t i = 0; i < w->n_cols; i++) {
                out[i] = (float)codes[i] * d[i / group] + m[i / group];
            }
        }
    }
    if (w->kind == RUSK_TILE_I8) {
        rusk_patch_expanded(w, out - (size_t)w->n_rows * w->n_cols);
    }
}

static void dots_f32_f16_ref(const float *const *x, size_t n_x, const uint16_t *h, size_t stride,
                             size_t n_rows, float *const *out, size_t n) {
    for (size_t j = 0; j < n_x; j++) {
        for (size_t r = 0; r < n_rows; r++) {
            float lane[32] = {0};
            for (size_t i = 0; i < n; i++) {
                lane[i % 32] += rusk_f32_from_f16(h[r * stride + i]) * x[j][i];
            }
            out[j][r] = rusk_tree(lane, 32);
        }
    }
}

static void mix_f16_ref(const float *const *a, size_t n_x, const uint16_t *h, size_t stride,
                        size_t n_rows, float *const *y, size_t n) {
    for (size_t j = 0; j < n_x; j++) {
        for (size_t r = 0; r < n_rows; r++) {
            for (size_t i = 0; i < n; i++) {
                y[j][i] += a[j][r] * rusk_f32_from_f16(h[r * stride + i]);
            }
        }
    }
}

static void to_f16_ref(const float *x, uint16_t *h, size_t n) {
    for (size_t i = 0; i < n; i++) {
        h[i] = rusk_f16_from_f32(x[i]);
    }
}

static void rms_norm_ref(const float *x, const float *gain, size_t n, float eps, float *out) {
    float lane[32] = {0};
    for (size_t i = 0; i < n; i++) {
        lane[i % 32] += x[i] * x[i];
    }
    float r = 1.0F / sqrtf(rusk_tree(lane, 32) / (float)n + eps);
    for (size_t i = 0; i < n; i++) {
        out[i] = x[i] * r * gain[i];
    }
}

static void silu_mul_ref(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = rusk_silu_ref(gate[i]) * up[i];
    }
}

static void gelu_mul_ref(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = rusk_gelu_ref(gate[i]) * up[i];
    }
}

static void softmax_ref(float *x, size_t n) {
    float top = -INFINITY, lane[16] = {0};
    for (size_t i = 0; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = rusk_exp_ref(x[i] - top);
        lane[i % 16] += x[i];
    }
    float r = 1.0F / rusk_tree(lane, 16);
    for (size_t i = 0; i < n; i++) {
        x[i] *= r;
    }
}

static void add_ref(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] += x[i];
    }
}

static void rotate_halves_ref(float *x, const float *turn, size_t n) {
    for (size_t i = 0; i < n; i++) {
        rusk_rotate(x + i, x + n + i, turn[i], turn[n + i]);
    }
}

static void rotate_pairs_ref(float *x, const float *turn, size_t n) {
    for (size_t i = 0; i < n; i++) {
        rusk_rotate(x + 2 * i, x + 2 * i + 1, turn[i], turn[n + i]);
    }
}

void rusk_kernels_use_ref(rusk_kernels *k) {
    *k = (rusk_kernels){
        .name = "ref",
        .quantize = quantize_ref,
        .matmul = {[RUSK_TILE_F32] = matmul_f32_ref,
                   [RUSK_TILE_F16] = matmul_f16_ref,
                   [RUSK_TILE_BF16] = matmul_bf16_ref,
                   [RUSK_TILE_I8] = matmul_i8_ref,
                   [RUSK_TILE_G32] = matmul_g32_ref,
                   [RUSK_TILE_G16] = matmul_g16_ref},
        .expand = expand_ref,
        .dots_f32_f16 = dots_f32_f16_ref,
        .mix_f16 = mix_f16_ref,
        .to_f16 = to_f16_ref,
        .rms_norm = rms_norm_ref,
        .silu_mul = silu_mul_ref,
        .gelu_mul = gelu_mul_ref,
        .softmax = softmax_ref,
        .add = add_ref,
        .rotate_halves = rotate_halves_ref,
        .rotate_pairs = rotate_pairs_ref,
    };
}
