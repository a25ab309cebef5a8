/* kv.h - the KV cache: f16 rows in fixed pages, addressed by sequence and position.
 *
 *     sequence s, position p  ->  table[s][p / 64]  ->  physical page  ->  row p % 64
 *     a page:  layer 0: K 64 rows, V 64 rows | layer 1: ... |
 *     a row:   n_kv_heads * head_dim halves
 *
 * All pages are one allocation made at the start; the system gives memory to those that are used. A
 * sequence takes pages as it grows and gives them back when it is cut. */
#ifndef RUSK_RUNTIME_KV_H
#define RUSK_RUNTIME_KV_H

#include "base/alloc.h"
#include "model/views.h"

#define RUSK_KV_PAGE_POSITIONS 64

typedef struct rusk_kv rusk_kv;

/* Room for n_ctx positions over all sequences (each may waste part of its last page: room for that
 * is added). NO_MEMORY, LIMIT where the size overflows. */
rusk_status rusk_kv_create(rusk_kv **out, rusk_alloc *alloc, const rusk_model_desc *desc,
                           uint32_t n_ctx, uint32_t n_sequences, rusk_error *err);
void rusk_kv_destroy(rusk_kv *kv);

uint32_t rusk_kv_size(const rusk_kv *kv, uint32_t sequence); /* positions held */
uint32_t rusk_kv_total(const rusk_kv *kv);                   /* of all sequences */
/* Makes a sequence `length` positions long, taking pages (contents unspecified) or giving them
 * back. LIMIT where all sequences together would exceed n_ctx: nothing is changed. */
rusk_status rusk_kv_resize(rusk_kv *kv, uint32_t sequence, uint32_t length, rusk_error *err);

rusk_kv_view rusk_kv_get_view(rusk_kv *kv);

#endif
