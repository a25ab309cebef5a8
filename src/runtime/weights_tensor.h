/* weights_tensor.h - one tensor in memory: filled by weights_load.c, handed out by weights_view.c.
 */
#ifndef RUSK_RUNTIME_WEIGHTS_TENSOR_H
#define RUSK_RUNTIME_WEIGHTS_TENSOR_H

#include "runtime/weights.h"

typedef enum rusk_tier {
    RUSK_TIER_VECTOR, /* f32, resident */
    RUSK_TIER_STORED,
    RUSK_TIER_HOT,
    RUSK_TIER_WARM
} rusk_tier;

typedef struct rusk_weights_block {
    const uint8_t *data;
    size_t len_bytes;
} rusk_weights_block;

typedef struct rusk_weights_tensor {
    const char *name;
    rusk_tier tier;
    uint32_t n_rows, n_cols;
    uint32_t stride; /* bytes of an int8 row: n_cols rounded up to 32 */
    uint32_t tile_rows;
    const rusk_dtype_info *dtype;
    size_t row_bytes; /* stored */
    uint8_t *bytes;   /* stored rows, hot codes, or warm blocks; vectors: floats */
    size_t bytes_total;
    /* .rusk tensors */
    const float *row_scales;
    const uint8_t *row_classes;
    float symbol_offset;
    const rusk_codec *codec;
    rusk_codec_tables *tables;
    uint32_t block_rows, n_blocks;
    rusk_weights_block *blocks; /* warm */
    size_t block_patches_max;   /* warm */
    rusk_patch *patches;        /* hot: of all tiles, positions relative to their tile */
    size_t *tile_patches; /* hot: tile i owns patches tile_patches[i] .. tile_patches[i + 1] */
} rusk_weights_tensor;

struct rusk_weights {
    rusk_alloc *alloc;
    const rusk_source *source;
    uint32_t n_slots;
    int32_t *slot_tensor; /* slot -> index in tensors, -1 */
    size_t n_tensors;
    rusk_weights_tensor *tensors;
    rusk_weights_usage usage;
    /* what a worker needs, over all tensors */
    size_t codes_bytes_max; /* int8 tile */
    size_t groups_max;      /* d, m of a tile */
    size_t floats_max;      /* expanded tile */
    size_t patches_max;
};

/* Shape of a coded block; the last one of a tensor may be shorter. */
rusk_block_shape rusk_weights_block_shape(const rusk_weights_tensor *t, uint32_t block);
/* Puts tensor and block before a codec's message. */
rusk_status rusk_weights_fail_block(rusk_error *err, const rusk_weights_tensor *t, uint32_t block,
                                    rusk_status status, const rusk_error *inner);

#endif
