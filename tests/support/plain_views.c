#include "support/plain_views.h"

#include <string.h>

#include "base/assert.h"
#include "model/arch.h"

/* --- weights -------------------------------------------------------------------------------- */

static rusk_weights_cut cut(void *self, uint32_t slot) {
    const plain_weights *w = self;
    const uint32_t n_rows = (uint32_t)w->slots[slot].tensor->n_rows;
    return (rusk_weights_cut){.n_parts = (n_rows + w->rows_per_part - 1) / w->rows_per_part,
                              .together = w->together};
}

static rusk_status open_parts(void *self, uint32_t slot, uint32_t part, uint32_t n_parts,
                              unsigned worker, rusk_error *err) {
    plain_weights *w = self;
    const plain_slot *s = &w->slots[slot];
    RUSK_ASSERT(worker < w->n_workers && s->tensor != NULL);
    RUSK_ASSERT(n_parts >= 1 && n_parts <= w->together);
    if (slot == w->fail_slot && part + n_parts > w->fail_index) {
        const uint32_t index = RUSK_MAX(part, w->fail_index);
        w->n_failures++;
        return rusk_fail(err, RUSK_DAMAGED, index, "part %u of '%s': expected a whole one", index,
                         s->tensor->name);
    }
    plain_walk *walk = &w->walks[worker];
    *walk = (plain_walk){.slot = s, .n_parts = n_parts};
    for (uint32_t i = 0; i < n_parts; i++) {
        walk->row[i] = (part + i) * w->rows_per_part;
        walk->end[i] = RUSK_MIN(walk->row[i] + w->rows_per_part, (uint32_t)s->tensor->n_rows);
    }
    return RUSK_OK;
}

static void codes_tile(const plain_slot *s, uint32_t row, rusk_tile *tile) {
    const size_t n_cols = s->tensor->n_cols, n_groups = n_cols / s->group;
    tile->kind = s->group == 32 ? RUSK_TILE_G32 : RUSK_TILE_G16;
    tile->data = s->codes + row * n_cols;
    tile->stride_bytes = n_cols;
    tile->d = s->d + row * n_groups;
    tile->m = s->m + row * n_groups;
    tile->group_stride = n_groups;
}

/* Two parts take turns, half a part each time. */
static rusk_status next(void *self, unsigned worker, rusk_tile *out, uint32_t *row,
                        rusk_error *err) {
    const plain_weights *w = self;
    plain_walk *walk = &w->walks[worker];
    const plain_slot *s = walk->slot;
    (void)err;
    *out = (rusk_tile){.n_cols = (uint32_t)s->tensor->n_cols};
    uint32_t i = walk->turn++ % walk->n_parts;
    if (walk->row[i] == walk->end[i]) {
        i = walk->n_parts - 1 - i;
    }
    *row = walk->row[i];
    out->n_rows = walk->end[i] - *row;
    if (walk->n_parts > 1) {
        out->n_rows = RUSK_MIN(out->n_rows, (w->rows_per_part + 1) / 2);
    }
    walk->row[i] += out->n_rows;
    if (s->codes != NULL) {
        codes_tile(s, *row, out);
    } else {
        out->kind = RUSK_TILE_F32;
        out->data = s->values + *row * s->tensor->n_cols;
        out->stride_bytes = s->tensor->n_cols * sizeof(float);
    }
    return RUSK_OK;
}

static rusk_status row(void *self, uint32_t slot, uint32_t index, unsigned worker, float *out,
                       rusk_error *err) {
    const plain_weights *w = self;
    const plain_slot *s = &w->slots[slot];
    (void)err;
    RUSK_ASSERT(worker < w->n_workers && index < s->tensor->n_rows);
    memcpy(out, s->values + index * s->tensor->n_cols, s->tensor->n_cols * sizeof *out);
    return RUSK_OK;
}

static const float *vector(void *self, uint32_t slot) {
    return ((const plain_weights *)self)->slots[slot].values;
}

static float *scratch(void *self, unsigned worker) {
    return ((const plain_weights *)self)->scratch[worker];
}

static rusk_status load_codes(plain_weights *w, plain_slot *s, const uint8_t *bytes,
                              rusk_error *err) {
    const rusk_source_tensor *t = s->tensor;
    const size_t n = t->n_rows * t->n_cols, n_groups = n / t->dtype->group;
    s->group = t->dtype->group;
    s->codes = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, n);
    s->d = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, n_groups * sizeof *s->d);
    s->m = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, n_groups * sizeof *s->m);
    if (s->codes == NULL || s->d == NULL || s->m == NULL) {
        return rusk_fail_memory(err, n, "codes");
    }
    t->dtype->unpack(bytes, n, s->codes, s->d, s->m);
    return RUSK_OK;
}

static rusk_status load(plain_weights *w, uint32_t slot, const rusk_source *source, size_t tensor,
                        plain_form form, rusk_error *err) {
    plain_slot *s = &w->slots[slot];
    const rusk_source_tensor *t = &source->tensors[tensor];
    const size_t n = t->n_rows * t->n_cols;
    s->tensor = t;
    s->values = rusk_alloc_get(w->alloc, RUSK_MEM_WEIGHTS, n * sizeof *s->values);
    uint8_t *bytes = rusk_alloc_get(w->alloc, RUSK_MEM_SCRATCH, t->bytes);
    rusk_status status =
        s->values == NULL || bytes == NULL
            ? rusk_fail_memory(err, n * sizeof *s->values, "weights")
            : rusk_source_read_f32(source, tensor, 0, t->n_rows, s->values, bytes, err);
    const rusk_role role = (rusk_role)(slot % RUSK_ROLES);
    if (status == RUSK_OK && form == PLAIN_CODES && t->dtype->unpack != NULL &&
        rusk_role_is_matrix(role)) {
        status = load_codes(w, s, bytes, err);
    }
    rusk_alloc_put(w->alloc, bytes);
    return status;
}

static rusk_status load_all(plain_weights *w, const rusk_source *source, plain_form form,
                            rusk_error *err) {
    int32_t *map = rusk_alloc_get(w->alloc, RUSK_MEM_METADATA, w->n_slots * sizeof *map);
    if (map == NULL) {
        return rusk_fail_memory(err, w->n_slots * sizeof *map, "slots");
    }
    rusk_status status = rusk_model_map(w->desc, source, map, err);
    size_t largest = 0;
    for (uint32_t slot = 0; status == RUSK_OK && slot < w->n_slots; slot++) {
        if (map[slot] >= 0) {
            status = load(w, slot, source, (size_t)map[slot], form, err);
            largest = RUSK_MAX(largest, (size_t)source->tensors[map[slot]].n_cols);
        }
    }
    rusk_alloc_put(w->alloc, map);
    for (unsigned i = 0; status == RUSK_OK && i < w->n_workers; i++) {
        const size_t size = largest * w->rows_per_part * sizeof(float);
        w->scratch[i] = rusk_alloc_get(w->alloc, RUSK_MEM_SCRATCH, size);
        if (w->scratch[i] == NULL) {
            status = rusk_fail_memory(err, size, "scratch");
        }
    }
    return status;
}

rusk_status plain_weights_open(plain_weights *w, rusk_alloc *alloc, const rusk_model_desc *desc,
                               const rusk_source *source, plain_form form, uint32_t rows_per_part,
                               uint32_t together, unsigned n_workers, rusk_error *err) {
    RUSK_ASSERT(rows_per_part > 0 && rows_per_part <= RUSK_TILE_MAX_ROWS);
    memset(w, 0, sizeof *w);
    w->view = (rusk_weights_view){.self = w,
                                  .cut = cut,
                                  .open = open_parts,
                                  .next = next,
                                  .row = row,
                                  .vector = vector,
                                  .scratch = scratch};
    w->alloc = alloc;
    w->desc = desc;
    w->n_slots = rusk_desc_n_slots(desc);
    w->rows_per_part = rows_per_part;
    w->together = together;
    w->n_workers = n_workers;
    w->fail_slot = UINT32_MAX;
    w->slots = rusk_alloc_zero(alloc, RUSK_MEM_WEIGHTS, w->n_slots, sizeof *w->slots);
    w->scratch = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, n_workers, sizeof *w->scratch);
    w->walks = rusk_alloc_zero(alloc, RUSK_MEM_SCRATCH, n_workers, sizeof *w->walks);
    if (w->slots == NULL || w->scratch == NULL || w->walks == NULL) {
        return rusk_fail_memory(err, w->n_slots * sizeof *w->slots, "slots");
    }
    return load_all(w, source, form, err);
}

void plain_weights_close(plain_weights *w) {
    for (uint32_t slot = 0; w->slots != NULL && slot < w->n_slots; slot++) {
        rusk_alloc_put(w->alloc, w->slots[slot].values);
        rusk_alloc_put(w->alloc, w->slots[slot].codes);
        rusk_alloc_put(w->alloc, w->slots[slot].d);
        rusk_alloc_put(w->alloc, w->slots[slot].m);
    }
    for (unsigned i = 0; w->scratch != NULL && i < w->n_workers; i++) {
        rusk_alloc_put(w->alloc, w->scratch[i]);
    }
    rusk_alloc_put(w->alloc, w->slots);
    rusk_alloc_put(w->alloc, w->scratch);
    rusk_alloc_put(w->alloc, w->walks);
}

/* --- cache ---------------------------------------------------------------------------------- */

static void page(void *self, uint32_t layer, uint32_t sequence, uint32_t index, uint16_t **k,
                 uint16_t **v) {
    const plain_kv *kv = self;
    RUSK_ASSERT(sequence < kv->n_sequences && index < kv->pages_per_sequence);
    size_t at =
        ((layer * kv->n_sequences + sequence) * kv->pages_per_sequence + index) * kv->page_halves;
    *k = kv->k + at;
    *v = kv->v + at;
}

rusk_status plain_kv_open(plain_kv *kv, rusk_alloc *alloc, const rusk_model_desc *desc,
                          uint32_t n_sequences, uint32_t n_ctx, uint32_t page_positions,
                          rusk_error *err) {
    *kv = (plain_kv){.view = {.self = kv, .page_positions = page_positions, .page = page},
                     .alloc = alloc,
                     .page_halves = (size_t)page_positions * desc->n_kv_heads * desc->head_dim,
                     .pages_per_sequence = (n_ctx + page_positions - 1) / page_positions,
                     .n_sequences = n_sequences};
    const size_t n = desc->n_layers * kv->n_sequences * kv->pages_per_sequence * kv->page_halves;
    kv->k = rusk_alloc_zero(alloc, RUSK_MEM_KV, n, sizeof *kv->k);
    kv->v = rusk_alloc_zero(alloc, RUSK_MEM_KV, n, sizeof *kv->v);
    if (kv->k == NULL || kv->v == NULL) {
        return rusk_fail_memory(err, n * sizeof *kv->k, "the cache");
    }
    return RUSK_OK;
}

void plain_kv_close(plain_kv *kv) {
    rusk_alloc_put(kv->alloc, kv->k);
    rusk_alloc_put(kv->alloc, kv->v);
}
