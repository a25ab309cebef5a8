#include "support/tiles.h"

#include <stdlib.h>
#include <string.h>

#include "base/fp.h"

static void *get(size_t n, size_t size) {
    void *p = calloc(n > 0 ? n : 1, size);
    if (p == NULL) {
        abort();
    }
    return p;
}

static void fill_codes(rusk_rng *rng, test_tile *t, int lowest) {
    for (uint32_t r = 0; r < t->tile.n_rows; r++) {
        int8_t *row = (int8_t *)t->data + r * t->tile.stride_bytes;
        for (uint32_t c = 0; c < t->tile.n_cols; c++) {
            row[c] = (int8_t)(lowest + (int)rusk_rng_below(rng, (uint64_t)(128 - lowest)));
        }
    }
}

static void fill_floats(rusk_rng *rng, test_tile *t) {
    for (size_t i = 0; i < (size_t)t->tile.n_rows * t->tile.n_cols; i++) {
        float value = (float)rusk_rng_normal(rng);
        if (t->tile.kind == RUSK_TILE_F32) {
            ((float *)t->data)[i] = value;
        } else if (t->tile.kind == RUSK_TILE_F16) {
            ((uint16_t *)t->data)[i] = rusk_f16_from_f32(value);
        } else {
            ((uint16_t *)t->data)[i] = rusk_bf16_from_f32(value);
        }
    }
}

static float *random_floats(rusk_rng *rng, size_t n, double width) {
    float *p = get(n, sizeof *p);
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)(rusk_rng_normal(rng) * width);
    }
    return p;
}

test_tile test_tile_make(rusk_rng *rng, rusk_tile_kind kind, uint32_t n_rows, uint32_t n_cols,
                         uint32_t n_patches) {
    static const size_t SIZES[] = {[RUSK_TILE_F32] = 4, [RUSK_TILE_F16] = 2, [RUSK_TILE_BF16] = 2};
    test_tile t = {.tile = {.kind = kind, .n_rows = n_rows, .n_cols = n_cols}};
    size_t n_groups = (n_cols + 31) / 32;
    if (kind < RUSK_TILE_I8) {
        t.tile.stride_bytes = SIZES[kind] * n_cols;
        t.tile.data = t.data = get(n_rows, t.tile.stride_bytes);
        fill_floats(rng, &t);
        return t;
    }
    t.tile.stride_bytes = n_groups * 32;
    t.tile.data = t.data = get(n_rows, t.tile.stride_bytes);
    fill_codes(rng, &t, kind == RUSK_TILE_I8 ? -127 : -128);
    if (kind == RUSK_TILE_I8) {
        t.tile.row_scale = t.row_scale = random_floats(rng, n_rows, 0.01);
        t.tile.offset = rusk_rng_below(rng, 2) == 0 ? 0.0F : 0.5F;
        t.tile.patches = t.patches = get(n_patches, sizeof *t.patches);
        uint64_t position = 0, step = (uint64_t)n_rows * n_cols / (n_patches + 1) + 1;
        for (uint32_t i = 0; i < n_patches; i++) {
            position += 1 + rusk_rng_below(rng, step);
            if (position >= (uint64_t)n_rows * n_cols) {
                break;
            }
            t.patches[i] =
                (rusk_patch){(uint32_t)position, (int32_t)rusk_rng_below(rng, 999) - 499};
            t.tile.n_patches++;
        }
    } else {
        t.tile.group_stride = kind == RUSK_TILE_G16 ? n_groups * 2 : n_groups;
        t.tile.d = t.d = random_floats(rng, n_rows * t.tile.group_stride, 0.01);
        t.tile.m = t.m = random_floats(rng, n_rows * t.tile.group_stride, 0.1);
    }
    return t;
}

void test_tile_free(test_tile *t) {
    free(t->data);
    free(t->row_scale);
    free(t->d);
    free(t->m);
    free(t->patches);
}

double test_tile_value(const test_tile *t, uint32_t row, uint32_t col) {
    const rusk_tile *w = &t->tile;
    const char *data = (const char *)t->data + row * w->stride_bytes;
    uint16_t half;
    float value;
    switch (w->kind) {
    case RUSK_TILE_F32:
        memcpy(&value, data + 4 * (size_t)col, sizeof value);
        return (double)value;
    case RUSK_TILE_F16:
        memcpy(&half, data + 2 * (size_t)col, sizeof half);
        return (double)rusk_f32_from_f16(half);
    case RUSK_TILE_BF16:
        memcpy(&half, data + 2 * (size_t)col, sizeof half);
        return (double)rusk_f32_from_bf16(half);
    default:
        break;
    }
    double code = (double)((const int8_t *)data)[col];
    if (w->kind == RUSK_TILE_I8) {
        for (size_t i = 0; i < w->n_patches; i++) {
            code += t->patches[i].position == row * w->n_cols + col ? t->patches[i].delta : 0;
        }
        return (code + (double)w->offset) * (double)t->row_scale[row];
    }
    size_t at = row * w->group_stride + col / (w->kind == RUSK_TILE_G16 ? 16 : 32);
    return code * (double)t->d[at] + (double)t->m[at];
}

test_acts test_acts_make(rusk_rng *rng, const rusk_kernels *k, uint32_t n_rows, uint32_t n_cols,
                         bool ints) {
    uint32_t n_groups = (n_cols + 31) / 32;
    test_acts a = {.acts = {.n_rows = n_rows, .n_cols = n_cols, .n_groups = n_groups}};
    a.acts.x = a.x = random_floats(rng, (size_t)n_rows * n_cols, 1);
    if (ints) {
        a.acts.q = get((size_t)n_rows * n_groups * 32, 1);
        a.acts.scale = get((size_t)n_rows * n_groups, sizeof(float));
        a.acts.sum16 = get((size_t)n_rows * n_groups * 2, sizeof(float));
        for (size_t b = 0; b < n_rows; b++) {
            k->quantize(a.x + b * n_cols, n_cols, a.acts.q + b * n_groups * 32,
                        a.acts.scale + b * n_groups, a.acts.sum16 + b * n_groups * 2);
        }
    }
    return a;
}

void test_acts_free(test_acts *a) {
    free(a->x);
    free(a->acts.q);
    free(a->acts.scale);
    free(a->acts.sum16);
}
