/* arch.h - the seam `rusk_arch`: what an architecture's metadata and tensor names mean. */
#ifndef RUSK_MODEL_ARCH_H
#define RUSK_MODEL_ARCH_H

#include "format/source.h"
#include "model/desc.h"

typedef struct rusk_arch {
    const char *name; /* general.architecture */
    /* Fills what the generic reader (arch.c: widths, heads, eps, rope base, context) left at
     * defaults. */
    rusk_status (*describe)(const rusk_source *source, rusk_model_desc *desc, rusk_error *err);
} rusk_arch;

/* The table: one line an architecture. NULL where unknown. */
const rusk_arch *rusk_arch_find(const char *name, size_t len_bytes);

/* Reads, checks (every dimension positive, bounded, consistent: heads divide, products do not
 * overflow) and returns the description; desc->architecture is a constant string. UNSUPPORTED names
 * the architecture found and those known. */
rusk_status rusk_model_describe(rusk_model_desc *desc, const rusk_source *source, rusk_error *err);

/* Expected shape of a role, rows x columns (a vector is 1 x n). */
void rusk_role_shape(const rusk_model_desc *desc, rusk_role role, uint64_t *n_rows,
                     uint64_t *n_cols);
const char *rusk_role_text(rusk_role role);
bool rusk_role_is_matrix(rusk_role role);
bool rusk_role_is_global(rusk_role role);
/* Name of the tensor with this role and layer in a source ("blk.3.ffn_up.weight"), into buf. */
void rusk_role_name(rusk_role role, uint32_t layer, char buf[96]);

/* Tensor index in the source of every slot (rusk_desc_slot), -1 where the model has none; map holds
 * rusk_desc_n_slots entries. A required tensor that is missing or has another shape: FORMAT with
 * expected and found. A tied head maps to the embedding's tensor. */
rusk_status rusk_model_map(const rusk_model_desc *desc, const rusk_source *source, int32_t *map,
                           rusk_error *err);

/* Slots in execution order (embedding lookup is skipped where tied: the tensor stands where the
 * head executes), one entry a tensor of the source: used by packing. order holds rusk_desc_n_slots
 * entries. */
size_t rusk_model_order(const rusk_model_desc *desc, const int32_t *map, uint32_t *order);

#endif
