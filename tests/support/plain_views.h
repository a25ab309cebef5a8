/* plain_views.h - the simplest weights and cache a forward pass can have: everything resident, in
 * one tier. Test doubles for the model room; the real ones live in runtime/. */
#ifndef RUSK_TEST_PLAIN_VIEWS_H
#define RUSK_TEST_PLAIN_VIEWS_H

#include "format/source.h"
#include "model/views.h"

/* How matrices are held. */
typedef enum plain_form {
    PLAIN_F32,  /* as f32, whatever the source holds */
    PLAIN_CODES /* block types as int8 codes with d and m per group; float types as f32 */
} plain_form;

typedef struct plain_slot {
    const rusk_source_tensor *tensor; /* NULL: the model has none */
    float *values;                    /* f32 form */
    int8_t *codes;                    /* codes form, with d and m, group columns each */
    float *d, *m;
    uint32_t group;
} plain_slot;

/* What a worker has open. */
typedef struct plain_walk {
    const plain_slot *slot;
    uint32_t n_parts, turn, row[2], end[2];
} plain_walk;

typedef struct plain_weights {
    rusk_weights_view view;
    rusk_alloc *alloc;
    const rusk_model_desc *desc;
    plain_slot *slots;
    uint32_t n_slots, rows_per_part, together;
    unsigned n_workers;
    float **scratch;
    plain_walk *walks;
    /* Parts fail_index and later of matrix fail_slot are DAMAGED, naming their index; n_failures
     * says how often. fail_slot UINT32_MAX: none. */
    uint32_t fail_slot, fail_index;
    _Atomic uint32_t n_failures;
} plain_weights;

/* The source may be closed afterwards; desc must stay. Close after a failure, too. */
rusk_status plain_weights_open(plain_weights *w, rusk_alloc *alloc, const rusk_model_desc *desc,
                               const rusk_source *source, plain_form form, uint32_t rows_per_part,
                               uint32_t together, unsigned n_workers, rusk_error *err);
void plain_weights_close(plain_weights *w);

typedef struct plain_kv {
    rusk_kv_view view;
    rusk_alloc *alloc;
    uint16_t *k, *v; /* layer, sequence, position */
    size_t page_halves, pages_per_sequence, n_sequences;
} plain_kv;

rusk_status plain_kv_open(plain_kv *kv, rusk_alloc *alloc, const rusk_model_desc *desc,
                          uint32_t n_sequences, uint32_t n_ctx, uint32_t page_positions,
                          rusk_error *err);
void plain_kv_close(plain_kv *kv);

#endif
