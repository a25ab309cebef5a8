/* weights_tensor.h - one tensor in memory, and a worker's place in it. Inside the room: filled by
 * weights_load.c, weights_hot.c and weights_transcode.c, handed out by weights_view.c and
 * weights_warm.c. */
#ifndef RUSK_RUNTIME_WEIGHTS_TENSOR_H
#define RUSK_RUNTIME_WEIGHTS_TENSOR_H

#include "base/arena.h"
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
    uint32_t stride;    /* bytes of an int8 row: n_cols rounded up to 32 */
    uint32_t part_rows; /* rows of a part: a tile (stored, hot) or a block (warm) */
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
    const rusk_source *source; /* where the blocks come from; NULL: transcoded */
    size_t index;              /* in the source */
    uint32_t block_rows, n_blocks;
    rusk_weights_block *blocks;                  /* warm */
    const struct rusk_weights_tensor *next_warm; /* warm: needed after it; the last one's: first */
    size_t n_patches;                            /* warm: of all blocks, of both kinds */
    size_t block_patches_max;                    /* warm */
    rusk_patch *patches;  /* hot: of all tiles, positions relative to their tile */
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
    size_t codes_bytes_max; /* int8 tiles */
    size_t groups_max;      /* d, m of a tile */
    size_t floats_max;      /* expanded tile */
    size_t patches_max;     /* of a block */
};

/* --- blocks: weights_blocks.c */

/* Shape of a coded block; the last one of a tensor may be shorter. */
rusk_block_shape rusk_weights_block_shape(const rusk_weights_tensor *t, uint32_t block);
/* Puts tensor, block and place in the file before a codec's message. */
rusk_status rusk_weights_fail_block(rusk_error *err, const rusk_weights_tensor *t, uint32_t block,
                                    rusk_status status, const rusk_error *inner);
rusk_status rusk_weights_count_patches(const rusk_weights_tensor *t, uint32_t block, size_t *n,
                                       rusk_error *err);
/* All of a block, as rusk_block_decode; the error is the codec's, without tensor and block. */
rusk_status rusk_weights_decode_block(const rusk_weights_tensor *t, uint32_t block, int8_t *out,
                                      size_t stride, rusk_patch *patches, size_t *n_patches,
                                      rusk_error *inner);
/* Runs task(arg, block, worker, err) for each block of a tensor in the pool. Where some fail, the
 * first of them is reported, as rusk_weights_fail_block does. */
typedef rusk_status (*rusk_weights_block_task)(void *arg, uint32_t block, unsigned worker,
                                               rusk_error *inner);
rusk_status rusk_weights_each_block(const rusk_weights_tensor *t, rusk_pool *pool,
                                    rusk_weights_block_task task, void *arg, rusk_arena *scratch,
                                    rusk_error *err);
/* What a warm tensor's blocks take, and what they will at most take decoded. */
size_t rusk_weights_warm_bytes(const rusk_weights_tensor *t);
size_t rusk_weights_hot_bytes(const rusk_weights_tensor *t);

/* --- changing the form of a warm tensor; what it was before is released. NO_MEMORY, FORMAT */

/* Decodes all blocks: weights_hot.c. */
rusk_status rusk_weights_make_hot(rusk_weights *w, rusk_weights_tensor *t, rusk_pool *pool,
                                  rusk_error *err);
/* Codes all blocks by another codec: weights_transcode.c. */
rusk_status rusk_weights_transcode(rusk_weights *w, rusk_weights_tensor *t, const rusk_codec *codec,
                                   rusk_pool *pool, rusk_error *err);

/* --- walking through a tensor */

/* Rows of a tile whose codes should stay in the first-level cache: as many as `bytes` hold, a
 * multiple of 4 and at least 4, where there are as many. Kernels multiply 4 rows at once, and
 * codecs code a block's rows in two streams, so with fewer rows of a wide matrix some chains stand
 * still: of 4096 columns, a16r gives 8.4 billion weights a second by 1 row, 13.2 by 2 and 14.2 by
 * 4, and those of 11008 lose less by leaving that cache (bench_gemv --cols 4096 --bits 3.9). */
uint32_t rusk_weights_tile_rows(uint32_t n_rows, uint32_t stride, size_t bytes);

/* A block being decoded, and where it goes. */
typedef struct rusk_weights_walk {
    rusk_block_decoder decoder;
    uint32_t block, row, end; /* rows of the matrix: first of the last piece, end of the block */
    uint32_t n_rows;          /* of the last piece; 0: given already, or none yet */
    int8_t *codes;
    rusk_patch *patches;
    size_t n_patches;
} rusk_weights_walk;

/* A worker's scratch, and what it has open. */
typedef struct rusk_weights_worker {
    int8_t *codes;
    float *d, *m;
    float *floats;
    rusk_patch *patches; /* of two blocks */
    size_t patches_max;
    const rusk_weights_tensor *t;
    uint32_t part, n_parts, piece_rows;
    uint32_t blocks_ahead;    /* warm: from a block to the one that this worker takes next */
    bool given;               /* stored, hot */
    rusk_weights_walk *walks; /* warm: two */
} rusk_weights_worker;

/* weights_warm.c: open, next and row of the view for a warm tensor. */
rusk_status rusk_weights_warm_open(rusk_weights_worker *s, rusk_error *err);
rusk_status rusk_weights_warm_next(rusk_weights_worker *s, rusk_tile *tile, uint32_t *row,
                                   rusk_error *err);
/* A tile whose last row is `row`. */
rusk_status rusk_weights_warm_row(rusk_weights_worker *s, uint32_t row, rusk_tile *tile,
                                  rusk_error *err);
/* Bytes of codes and rows of a piece that a warm tensor asks of a worker's scratch. */
void rusk_weights_warm_scratch(const rusk_weights_tensor *t, size_t *codes_bytes, size_t *n_rows);

#endif
