/* kernels.h - the arithmetic of a forward pass: one table of functions, filled with plain C and
 * upgraded by what the processor can do.
 *
 * Every function has one defined order of operations, so that all instruction sets give the same
 * bits, and so do GEMV and GEMM, any batch split, and any number of threads. Everywhere: multiply,
 * then add, never fused; n lanes are summed in a fixed tree: j with j + n/2, n halving. A NaN is a
 * NaN: its sign and payload are not defined.
 *
 *   int8 products   columns go in groups of 32 (the last one zero-padded). Quad j of 8 in group g
 *                   sums w*q over its columns 4j..4j+3 in int32 (exact); as f32, times the group's
 *                   factor, it is added to lane 8 * (g % 2) + j of 16.
 *                     I8   factor = scale[g].
 *                          y = (tree + offset * S) * row_scale, S being the tree of 16 lanes where
 *                          lane j sums sum16[j], sum16[16 + j], ...; no S where offset is 0. Then
 *                          each patch of the row, in order, adds
 *                          (f32(delta) * f32(q) * scale[g]) * row_scale.
 *                     G32  factor = d[g] * scale[g].
 *                          Lane j of 16 more sums m[g] * (sum16[2g] + sum16[2g + 1]) over
 *                          g = j, 16 + j, ...; y = tree of (lanes + lanes more).
 *                     G16  factor = d[2g] * scale[g] for quads 0..3, d[2g + 1] * scale[g] for
 *                          4..7. Lane j of 16 more sums m[i] * sum16[i] over i = j, 16 + j, ...;
 *                          y as G32.
 *   float products  lane j of 32 sums w*x over columns j, 32 + j, 64 + j, ... ; y = tree. */
#ifndef RUSK_KERNEL_KERNELS_H
#define RUSK_KERNEL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "codec/codec.h"

#define RUSK_GROUP 32 /* columns that share an activation scale */

/* Rows of a weight matrix as a kernel wants them. */
typedef enum rusk_tile_kind {
    RUSK_TILE_F32,
    RUSK_TILE_F16,
    RUSK_TILE_BF16,
    RUSK_TILE_I8,  /* value = (code + offset) * row_scale[row] */
    RUSK_TILE_G32, /* value = code * d[group] + m[group], groups of 32 columns */
    RUSK_TILE_G16, /* the same, groups of 16 */
    RUSK_TILE_KINDS
} rusk_tile_kind;

typedef struct rusk_tile {
    rusk_tile_kind kind;
    uint32_t n_rows, n_cols;
    const void *data; /* row r starts at data + r * stride_bytes, aligned for its element type. int8
                         kinds: any codes; columns n_cols up to the next multiple of 32 are readable
                         and zero */
    size_t stride_bytes;
    const float *row_scale;    /* I8 */
    float offset;              /* I8: 0 or 0.5 */
    const float *d, *m;        /* G32, G16: row r at d + r * group_stride; every group of the padded
                                  columns: ceil(n_cols / 32) of them for G32, twice that for G16 */
    size_t group_stride;       /* floats; at least that number */
    const rusk_patch *patches; /* I8: corrections, position = row in tile * n_cols + column,
                                  strictly ascending */
    size_t n_patches;
} rusk_tile;

/* A batch of activation rows, prepared once and shared by all products that read it. */
typedef struct rusk_acts {
    uint32_t n_rows, n_cols; /* rows of the batch (tokens) */
    uint32_t n_groups;       /* ceil(n_cols / 32) */
    const float *x;          /* n_rows x n_cols, stride n_cols */
    int8_t *q;               /* n_rows x n_groups * 32, zero-padded; NULL: float activations */
    float *scale;            /* n_rows x n_groups: x ~ q * scale */
    float *sum16;            /* n_rows x n_groups * 2: scale * (sum of q over each 16 columns) */
} rusk_acts;

typedef struct rusk_kernels {
    const char *name; /* "ref", "avx2", ... */

    /* Symmetric int8: scale = max|x| / 127 in the group, q = x / scale rounded to nearest even,
     * clipped to +-127. All q are 0 where scale is 0, infinite or NaN: a group that holds an
     * infinity or NaN makes every product with it NaN. Writes one row of rusk_acts: ceil(n/32)*32
     * codes, scales, sum16. */
    void (*quantize)(const float *x, size_t n, int8_t *q, float *scale, float *sum16);

    /* y[b * y_stride + r] = row r of the tile times activation row b, for all rows of both. int8
     * kinds need acts->q; float kinds read acts->x. */
    void (*matmul[RUSK_TILE_KINDS])(const rusk_tile *w, const rusk_acts *x, float *y,
                                    size_t y_stride);
    /* int8 kinds to f32 rows (row stride n_cols), patches applied:
     * (f32(code + delta) + offset) * row_scale, f32(code) * d + m. */
    void (*expand)(const rusk_tile *w, float *out);

    /* Attention of n_x queries to a run of n_rows positions, whose keys or values, n halves (a
     * multiple of 8), stand at h + i * stride. dots: out[j][i] = x[j] times row i, in the order of
     * float products. mix: y[j] += a[j][i] * row i, element-wise, i ascending. What is computed for
     * a query does not depend on the others. */
    void (*dots_f32_f16)(const float *const *x, size_t n_x, const uint16_t *h, size_t stride,
                         size_t n_rows, float *const *out, size_t n);
    void (*mix_f16)(const float *const *a, size_t n_x, const uint16_t *h, size_t stride,
                    size_t n_rows, float *const *y, size_t n);
    void (*to_f16)(const float *x, uint16_t *h, size_t n); /* nearest even; any n */

    /* RMS norm (Zhang and Sennrich, 2019): out = x * r * gain, r = 1 / sqrt(mean(x^2) + eps). Sum
     * of squares in 32 float lanes as above. out may be x. */
    void (*rms_norm)(const float *x, const float *gain, size_t n, float eps, float *out);
    /* out = act(gate) * up : SiLU x / (1 + exp(-x)), or GELU by tanh (Hendrycks and Gimpel, 2016),
     * which is x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). exp is rusk_exp_ref of
     * kernel_parts.h. out may be gate or up. */
    void (*silu_mul)(const float *gate, const float *up, size_t n, float *out);
    void (*gelu_mul)(const float *gate, const float *up, size_t n, float *out);
    /* In place: exp(x - max) * (1 / sum), lane j of 16 sums columns j, 16 + j, ... */
    void (*softmax)(float *x, size_t n);
    void (*add)(float *y, const float *x, size_t n); /* y += x */
    /* Rotates n pairs (a, b) by angles whose cosines are turn[i] and sines turn[n + i], in place:
     * a c - b s, a s + b c. Pair i is x[i], x[n + i] of rotate_halves, x[2i], x[2i + 1] of
     * rotate_pairs. */
    void (*rotate_halves)(float *x, const float *turn, size_t n);
    void (*rotate_pairs)(float *x, const float *turn, size_t n);
} rusk_kernels;

/* Plain C, then upgraded by each feature in `cpu_mask` that the processor has (base/cpu.h). */
void rusk_kernels_init(rusk_kernels *k, uint32_t cpu_mask);

/* y = tile * acts as `kernels` does it: integer path where acts->q is there and the tile is int8;
 * else float (int8 tiles are expanded to f32 in `scratch`, which holds n_rows * n_cols floats;
 * unused otherwise). */
void rusk_matmul(const rusk_kernels *k, const rusk_tile *w, const rusk_acts *x, float *y,
                 size_t y_stride, float *scratch);

#endif
