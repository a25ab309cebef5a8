/* kernels.c - which function runs: plain C first, each instruction set replaces what it does
 * better. */
#include "kernel/kernels.h"

#include "base/assert.h"
#include "base/cpu.h"
#include "kernel/kernel_parts.h"

void rusk_kernels_init(rusk_kernels *k, uint32_t cpu_mask) {
    cpu_mask &= rusk_cpu_features();
    rusk_kernels_use_ref(k);
    if ((cpu_mask & RUSK_CPU_AVX2) != 0) {
        rusk_kernels_use_avx2(k);
        if ((cpu_mask & RUSK_CPU_AVX512) != 0) {
            rusk_kernels_use_avx512(k);
        }
    }
    if ((cpu_mask & RUSK_CPU_NEON) != 0) {
        rusk_kernels_use_neon(k);
        if ((cpu_mask & RUSK_CPU_DOTPROD) != 0) {
            rusk_kernels_use_dotprod(k);
        }
    }
}

void rusk_matmul(const rusk_kernels *k, const rusk_tile *w, const rusk_acts *x, float *y,
                 size_t y_stride, float *scratch) {
    RUSK_ASSERT(w->n_cols == x->n_cols);
    bool integer = w->kind >= RUSK_TILE_I8;
    if (!integer || x->q != NULL) {
        k->matmul[w->kind](w, x, y, y_stride);
        return;
    }
    k->expand(w, scratch);
    const rusk_tile expanded = {.kind = RUSK_TILE_F32,
                                .n_rows = w->n_rows,
                                .n_cols = w->n_cols,
                                .data = scratch,
                                .stride_bytes = sizeof(float) * w->n_cols};
    k->matmul[RUSK_TILE_F32](&expanded, x, y, y_stride);
}

float rusk_sum_of_acts(const rusk_acts *x, size_t b) {
    const float *sum16 = x->sum16 + b * x->n_groups * 2;
    float lane[16] = {0};
    for (size_t i = 0; i < (size_t)x->n_groups * 2; i++) {
        lane[i % 16] += sum16[i];
    }
    return rusk_tree(lane, 16);
}

void rusk_patch_product(const rusk_tile *w, const rusk_acts *x, float *y, size_t y_stride) {
    for (size_t i = 0; i < w->n_patches; i++) {
        size_t row = w->patches[i].position / w->n_cols;
        size_t col = w->patches[i].position % w->n_cols;
        float delta = (float)w->patches[i].delta;
        for (size_t b = 0; b < x->n_rows; b++) {
            float q = (float)x->q[b * x->n_groups * RUSK_GROUP + col];
            float scale = x->scale[b * x->n_groups + col / RUSK_GROUP];
            y[b * y_stride + row] += delta * q * scale * w->row_scale[row];
        }
    }
}

void rusk_patch_expanded(const rusk_tile *w, float *out) {
    for (size_t i = 0; i < w->n_patches; i++) {
        size_t position = w->patches[i].position;
        size_t row = position / w->n_cols;
        const int8_t *codes = rusk_tile_codes(w, row);
        int32_t code = codes[position % w->n_cols] + w->patches[i].delta;
        out[position] = ((float)code + w->offset) * w->row_scale[row];
    }
}
