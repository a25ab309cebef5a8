/* arch.h - the seam `rusk_arch`: what an architecture's metadata and tensor names mean. */
#ifndef RUSK_MODEL_ARCH_H
#define RUSK_MODEL_ARCH_H

#include "format/source.h"
#include "model/desc.h"

/* Limits: a source beyond them is refused, so that a hostile one costs bounded memory. */
#define RUSK_MODEL_MAX_LAYERS   1024U
#define RUSK_MODEL_MAX_HEADS    4096U
#define RUSK_MODEL_MAX_HEAD_DIM 4096U
#define RUSK_MODEL_MAX_WIDTH    (1U << 20) /* n_embd, n_ff, n_heads * head_dim */
#define RUSK_MODEL_MAX_VOCAB    (1U << 24)

typedef struct rusk_arch {
    const char *name; /* general.architecture */
    /* Roles (bit masks) that it has beyond those of every decoder (RUSK_ROLES_COMMON), and those
     * that are used where the source holds them. Any other tensor: UNSUPPORTED, since leaving one
     * out would run another model. */
    uint32_t required, optional;
    rusk_rope_kind rope;
    rusk_act_kind act;
    /* Fills what the generic reader (arch.c: widths, heads, eps, rope, context) left at defaults;
     * NULL: nothing. */
    rusk_status (*describe)(const rusk_source *source, rusk_model_desc *desc, rusk_error *err);
} rusk_arch;

#define RUSK_ROLE_BIT(name) (1U << RUSK_ROLE_##name)
#define RUSK_ROLES_COMMON                                                                          \
    (RUSK_ROLE_BIT(TOKEN_EMBEDDING) | RUSK_ROLE_BIT(OUTPUT_HEAD) | RUSK_ROLE_BIT(OUTPUT_NORM) |    \
     RUSK_ROLE_BIT(ATTN_NORM) | RUSK_ROLE_BIT(ATTN_Q) | RUSK_ROLE_BIT(ATTN_K) |                    \
     RUSK_ROLE_BIT(ATTN_V) | RUSK_ROLE_BIT(ATTN_OUT) | RUSK_ROLE_BIT(FFN_NORM) |                   \
     RUSK_ROLE_BIT(FFN_GATE) | RUSK_ROLE_BIT(FFN_UP) | RUSK_ROLE_BIT(FFN_DOWN))

/* The table (arch_table.c): one line an architecture. NULL where unknown. */
const rusk_arch *rusk_arch_find(const char *name, size_t len_bytes);
size_t rusk_arch_count(void);
const rusk_arch *rusk_arch_at(size_t index);

/* Reads, checks (every dimension positive, bounded, consistent: heads divide, products do not
 * overflow) and returns the description; desc->architecture is a constant string. UNSUPPORTED names
 * the architecture found and those known. */
rusk_status rusk_model_describe(rusk_model_desc *desc, const rusk_source *source, rusk_error *err);

/* "<architecture>.<suffix>" into buf: metadata keys are named so. */
#define RUSK_ARCH_KEY_CAP 128
const char *rusk_arch_key(char buf[RUSK_ARCH_KEY_CAP], const rusk_model_desc *desc,
                          const char *suffix);

/* Expected shape of a role, rows x columns (a vector is 1 x n). */
void rusk_role_shape(const rusk_model_desc *desc, rusk_role role, uint64_t *n_rows,
                     uint64_t *n_cols);
const char *rusk_role_text(rusk_role role);
bool rusk_role_is_matrix(rusk_role role);
bool rusk_role_is_global(rusk_role role);
/* Name of the tensor with this role and layer in a source ("blk.3.ffn_up.weight"), into buf. */
void rusk_role_name(rusk_role role, uint32_t layer, char buf[96]);
/* The reverse: false where the name is no role's. *layer is 0 for globals. */
bool rusk_role_parse(const char *name, rusk_role *role, uint32_t *layer);

/* Tensor index in the source of every slot (rusk_desc_slot), -1 where the model has none; map holds
 * rusk_desc_n_slots entries. A required tensor that is missing or has another shape: FORMAT with
 * expected and found. A tied head maps to the embedding's tensor. */
rusk_status rusk_model_map(const rusk_model_desc *desc, const rusk_source *source, int32_t *map,
                           rusk_error *err);

/* Slots in execution order (embedding lookup is skipped where tied: the tensor stands where the
 * head executes), one entry a tensor of the source: used by packing. Returns their number; order
 * holds rusk_desc_n_slots entries. */
size_t rusk_model_order(const rusk_model_desc *desc, const int32_t *map, uint32_t *order);

#endif
