/* roles.c - roles of tensors: names, shapes, and which tensor of a source fills which slot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/arch.h"

enum { SCOPE_G, SCOPE_L, KIND_M, KIND_V };

typedef struct role_info {
    const char *text, *pattern;
    bool is_global, is_matrix;
} role_info;

static const role_info ROLES[RUSK_ROLES] = {
#define X(name, text, pattern, scope, kind)                                                        \
    {text, pattern, SCOPE_##scope == SCOPE_G, KIND_##kind == KIND_M},
    RUSK_ROLE_LIST(X)
#undef X
};

RUSK_STATIC_ASSERT(RUSK_ROLES <= 32, "rusk_model_desc.roles is a mask of 32 bits");

static const char LAYER_PREFIX[] = "blk.";

const char *rusk_role_text(rusk_role role) {
    return ROLES[role].text;
}

bool rusk_role_is_matrix(rusk_role role) {
    return ROLES[role].is_matrix;
}

bool rusk_role_is_global(rusk_role role) {
    return ROLES[role].is_global;
}

/* What follows "blk.%u" in a layer's pattern. */
static const char *suffix(rusk_role role) {
    return strchr(ROLES[role].pattern, '%') + strlen("%u");
}

void rusk_role_name(rusk_role role, uint32_t layer, char buf[96]) {
    if (ROLES[role].is_global) {
        snprintf(buf, 96, "%s", ROLES[role].pattern);
    } else {
        snprintf(buf, 96, "%s%u%s", LAYER_PREFIX, (unsigned)layer, suffix(role));
    }
}

bool rusk_role_parse(const char *name, rusk_role *role, uint32_t *layer) {
    const char *rest = name;
    bool in_layer = strncmp(name, LAYER_PREFIX, strlen(LAYER_PREFIX)) == 0;
    *layer = 0;
    if (in_layer) {
        const char *digits = name + strlen(LAYER_PREFIX);
        size_t n = strspn(digits, "0123456789");
        if (n == 0 || n > 6 || (n > 1 && digits[0] == '0')) {
            return false;
        }
        *layer = (uint32_t)strtoul(digits, NULL, 10);
        rest = digits + n;
    }
    for (int r = 0; r < RUSK_ROLES; r++) {
        const char *expected = in_layer ? (ROLES[r].is_global ? "" : suffix((rusk_role)r))
                                        : (ROLES[r].is_global ? ROLES[r].pattern : "");
        if (expected[0] != '\0' && strcmp(rest, expected) == 0) {
            *role = (rusk_role)r;
            return true;
        }
    }
    return false;
}

void rusk_role_shape(const rusk_model_desc *d, rusk_role role, uint64_t *n_rows, uint64_t *n_cols) {
    const uint64_t q = (uint64_t)d->n_heads * d->head_dim;
    const uint64_t kv = (uint64_t)d->n_kv_heads * d->head_dim;
    uint64_t rows = 1, cols = d->n_embd;
    switch (role) {
    case RUSK_ROLE_TOKEN_EMBEDDING:
    case RUSK_ROLE_OUTPUT_HEAD:
        rows = d->n_vocab;
        break;
    case RUSK_ROLE_ROPE_FREQS:
        cols = d->rope_dims / 2;
        break;
    case RUSK_ROLE_ATTN_Q:
        rows = q;
        break;
    case RUSK_ROLE_ATTN_K:
    case RUSK_ROLE_ATTN_V:
        rows = kv;
        break;
    case RUSK_ROLE_ATTN_Q_BIAS:
        cols = q;
        break;
    case RUSK_ROLE_ATTN_K_BIAS:
    case RUSK_ROLE_ATTN_V_BIAS:
        cols = kv;
        break;
    case RUSK_ROLE_ATTN_Q_NORM:
    case RUSK_ROLE_ATTN_K_NORM:
        cols = d->head_dim;
        break;
    case RUSK_ROLE_ATTN_OUT:
        rows = d->n_embd;
        cols = q;
        break;
    case RUSK_ROLE_FFN_GATE:
    case RUSK_ROLE_FFN_UP:
        rows = d->n_ff;
        break;
    case RUSK_ROLE_FFN_DOWN:
        rows = d->n_embd;
        cols = d->n_ff;
        break;
    case RUSK_ROLE_OUTPUT_NORM:
    case RUSK_ROLE_ATTN_NORM:
    case RUSK_ROLE_ATTN_OUT_BIAS:
    case RUSK_ROLE_ATTN_POST_NORM:
    case RUSK_ROLE_FFN_NORM:
    case RUSK_ROLE_FFN_POST_NORM:
    case RUSK_ROLES:
        break;
    }
    *n_rows = rows;
    *n_cols = cols;
}

static rusk_status check_shape(const rusk_model_desc *d, rusk_role role,
                               const rusk_source_tensor *t, rusk_error *err) {
    uint64_t n_rows, n_cols;
    rusk_role_shape(d, role, &n_rows, &n_cols);
    const uint32_t n_dims = ROLES[role].is_matrix ? 2 : 1;
    if (t->n_dims == n_dims && t->n_rows == n_rows && t->n_cols == n_cols) {
        return RUSK_OK;
    }
    return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                     "tensor '%.128s': expected %u dimension%s of %llu x %llu, found %u of %llu x "
                     "%llu",
                     t->name, n_dims, n_dims == 1 ? "" : "s", (unsigned long long)n_rows,
                     (unsigned long long)n_cols, t->n_dims, (unsigned long long)t->n_rows,
                     (unsigned long long)t->n_cols);
}

static rusk_status check_complete(const rusk_model_desc *d, const int32_t *map, rusk_error *err) {
    for (uint32_t layer = 0; layer < d->n_layers; layer++) {
        for (int r = 0; r < RUSK_ROLES; r++) {
            bool wanted = rusk_desc_has(d, (rusk_role)r) && (layer == 0 || !ROLES[r].is_global);
            if (wanted && map[rusk_desc_slot((rusk_role)r, layer)] < 0) {
                char name[96];
                rusk_role_name((rusk_role)r, layer, name);
                return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                                 "missing tensor '%s' of a %s model with %u layers", name,
                                 d->architecture, d->n_layers);
            }
        }
    }
    return RUSK_OK;
}

rusk_status rusk_model_map(const rusk_model_desc *d, const rusk_source *source, int32_t *map,
                           rusk_error *err) {
    for (uint32_t slot = 0; slot < rusk_desc_n_slots(d); slot++) {
        map[slot] = -1;
    }
    for (size_t i = 0; i < source->n_tensors; i++) {
        const rusk_source_tensor *t = &source->tensors[i];
        rusk_role role;
        uint32_t layer;
        if (!rusk_role_parse(t->name, &role, &layer) || layer >= d->n_layers ||
            !rusk_desc_has(d, role)) {
            continue;
        }
        int32_t *entry = &map[rusk_desc_slot(role, layer)];
        if (*entry >= 0) {
            return rusk_fail(err, RUSK_FORMAT, RUSK_NO_OFFSET,
                             "tensor '%.128s': expected once, found twice", t->name);
        }
        RUSK_TRY(check_shape(d, role, t, err));
        *entry = (int32_t)i;
    }
    if (d->tied_head) {
        map[RUSK_ROLE_OUTPUT_HEAD] = map[RUSK_ROLE_TOKEN_EMBEDDING];
    }
    return check_complete(d, map, err);
}

size_t rusk_model_order(const rusk_model_desc *d, const int32_t *map, uint32_t *order) {
    size_t n = 0;
    if (!d->tied_head) {
        order[n++] = rusk_desc_slot(RUSK_ROLE_TOKEN_EMBEDDING, 0);
    }
    if (rusk_desc_has(d, RUSK_ROLE_ROPE_FREQS)) {
        order[n++] = rusk_desc_slot(RUSK_ROLE_ROPE_FREQS, 0);
    }
    for (uint32_t layer = 0; layer < d->n_layers; layer++) {
        for (int r = 0; r < RUSK_ROLES; r++) { /* the list stands in execution order */
            uint32_t slot = rusk_desc_slot((rusk_role)r, layer);
            if (!ROLES[r].is_global && map[slot] >= 0) {
                order[n++] = slot;
            }
        }
    }
    order[n++] = rusk_desc_slot(RUSK_ROLE_OUTPUT_NORM, 0);
    order[n++] = rusk_desc_slot(RUSK_ROLE_OUTPUT_HEAD, 0);
    return n;
}
