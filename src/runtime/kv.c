#include "runtime/kv.h"

#include "base/assert.h"
#include "base/checked.h"

typedef struct sequence {
    uint32_t length;
    uint32_t *pages; /* physical page of each 64 positions */
} sequence;

struct rusk_kv {
    rusk_alloc *alloc;
    uint32_t n_ctx, n_sequences, n_pages, pages_per_sequence;
    uint32_t total;
    size_t row_halves;  /* n_kv_heads * head_dim */
    size_t page_halves; /* all layers, K and V */
    uint16_t *data;
    uint32_t *free_pages; /* a stack */
    uint32_t n_free;
    uint32_t *page_tables;
    sequence *sequences;
};

static uint32_t pages_for(uint32_t positions) {
    return positions / RUSK_KV_PAGE_POSITIONS + (positions % RUSK_KV_PAGE_POSITIONS != 0);
}

/* Every sequence but one can waste most of a page. */
static bool measure(rusk_kv *kv, const rusk_model_desc *desc, size_t *bytes) {
    uint64_t pages = (uint64_t)pages_for(kv->n_ctx) + kv->n_sequences - 1;
    uint64_t halves, total;
    kv->pages_per_sequence = pages_for(kv->n_ctx);
    kv->row_halves = (size_t)desc->n_kv_heads * desc->head_dim;
    if (!rusk_mul_u64(kv->row_halves, (uint64_t)2 * RUSK_KV_PAGE_POSITIONS, &halves) ||
        !rusk_mul_u64(halves, desc->n_layers, &halves) || !rusk_mul_u64(halves, pages, &total) ||
        total > SIZE_MAX / 4 || pages > UINT32_MAX) {
        return false;
    }
    kv->page_halves = (size_t)halves;
    kv->n_pages = (uint32_t)pages;
    *bytes = (size_t)total * sizeof(uint16_t);
    return true;
}

rusk_status rusk_kv_create(rusk_kv **out, rusk_alloc *alloc, const rusk_model_desc *desc,
                           uint32_t n_ctx, uint32_t n_sequences, rusk_error *err) {
    *out = NULL;
    size_t bytes = 0;
    rusk_kv *kv = rusk_alloc_zero(alloc, RUSK_MEM_KV, 1, sizeof *kv);
    if (kv == NULL) {
        return rusk_fail_memory(err, sizeof *kv, "the KV cache");
    }
    *kv = (rusk_kv){.alloc = alloc, .n_ctx = n_ctx, .n_sequences = n_sequences};
    if (!measure(kv, desc, &bytes)) {
        rusk_kv_destroy(kv);
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "a KV cache of %u positions in %u sequences is too large to address",
                         n_ctx, n_sequences);
    }
    kv->data = rusk_alloc_get(alloc, RUSK_MEM_KV, bytes);
    kv->free_pages = rusk_alloc_zero(alloc, RUSK_MEM_KV, kv->n_pages, sizeof(uint32_t));
    kv->page_tables = rusk_alloc_zero(
        alloc, RUSK_MEM_KV, (size_t)kv->pages_per_sequence * n_sequences, sizeof(uint32_t));
    kv->sequences = rusk_alloc_zero(alloc, RUSK_MEM_KV, n_sequences, sizeof(sequence));
    if (kv->data == NULL || kv->free_pages == NULL || kv->page_tables == NULL ||
        kv->sequences == NULL) {
        rusk_kv_destroy(kv);
        return rusk_fail_memory(err, bytes, "the KV cache (a smaller context needs less)");
    }
    for (uint32_t i = 0; i < kv->n_pages; i++) {
        kv->free_pages[i] = kv->n_pages - 1 - i; /* page 0 goes first: memory is touched in order */
    }
    kv->n_free = kv->n_pages;
    for (uint32_t s = 0; s < n_sequences; s++) {
        kv->sequences[s].pages = kv->page_tables + (size_t)s * kv->pages_per_sequence;
    }
    *out = kv;
    return RUSK_OK;
}

void rusk_kv_destroy(rusk_kv *kv) {
    if (kv == NULL) {
        return;
    }
    rusk_alloc_put(kv->alloc, kv->data);
    rusk_alloc_put(kv->alloc, kv->free_pages);
    rusk_alloc_put(kv->alloc, kv->page_tables);
    rusk_alloc_put(kv->alloc, kv->sequences);
    rusk_alloc_put(kv->alloc, kv);
}

uint32_t rusk_kv_size(const rusk_kv *kv, uint32_t s) {
    return kv->sequences[s].length;
}

uint32_t rusk_kv_total(const rusk_kv *kv) {
    return kv->total;
}

rusk_status rusk_kv_resize(rusk_kv *kv, uint32_t s, uint32_t length, rusk_error *err) {
    RUSK_ASSERT(s < kv->n_sequences);
    sequence *seq = &kv->sequences[s];
    uint64_t total = (uint64_t)kv->total - seq->length + length;
    if (total > kv->n_ctx) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "the context is full: it holds %u positions, %llu are needed", kv->n_ctx,
                         (unsigned long long)total);
    }
    uint32_t have = pages_for(seq->length), want = pages_for(length);
    for (; have < want; have++) {
        RUSK_ASSERT(kv->n_free > 0); /* n_ctx positions always find pages: see measure() */
        seq->pages[have] = kv->free_pages[--kv->n_free];
    }
    for (; have > want; have--) {
        kv->free_pages[kv->n_free++] = seq->pages[have - 1];
    }
    seq->length = length;
    kv->total = (uint32_t)total;
    return RUSK_OK;
}

static void view_page(void *self, uint32_t layer, uint32_t s, uint32_t page, uint16_t **k,
                      uint16_t **v) {
    rusk_kv *kv = self;
    size_t half_layer = kv->row_halves * RUSK_KV_PAGE_POSITIONS;
    uint16_t *base = kv->data + kv->sequences[s].pages[page] * kv->page_halves;
    *k = base + (size_t)layer * 2 * half_layer;
    *v = *k + half_layer;
}

rusk_kv_view rusk_kv_get_view(rusk_kv *kv) {
    return (rusk_kv_view){.self = kv, .page_positions = RUSK_KV_PAGE_POSITIONS, .page = view_page};
}
