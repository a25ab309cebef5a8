/* weights.h - where a model's weights live, and how they are handed out: the only module that knows
 * the difference between the tiers.
 *
 *   stored   bytes as the GGUF has them; float types are used in place, quantized types are
 *            unpacked tile by tile into a worker's scratch (codes stay in the L1 cache)
 *   hot      symbols of a .rusk tensor, decoded once at load: a byte a weight
 *   warm     coded blocks of a .rusk tensor, decoded a few rows at a time into a worker's scratch
 *            each time they are used
 *
 * All give the same bits: a tile is the same codes, scales and patches, wherever they come from. */
#ifndef RUSK_RUNTIME_WEIGHTS_H
#define RUSK_RUNTIME_WEIGHTS_H

#include "base/threads.h"
#include "codec/codec.h"
#include "format/source.h"
#include "model/views.h"

typedef struct rusk_weights rusk_weights;

/* Codes of a tile or piece should stay in half of a 48 KB first-level cache. */
#define RUSK_WEIGHTS_TILE_BYTES ((size_t)24 * 1024)

typedef struct rusk_weights_usage {
    uint64_t stored_bytes, hot_bytes, warm_bytes, vector_bytes;
    const char *codec; /* of the last warm tensor; NULL: none is warm */
} rusk_weights_usage;

typedef struct rusk_weights_options {
    const rusk_codec *codec; /* of warm tensors; NULL: as the file has them */
    /* Of warm tensors whose file has them in a codec for storage; NULL: that one. */
    const rusk_codec *instead_of_storage;
    /* Bytes that weights should take. Tensors of a .rusk file are hot as far as this allows, spread
     * evenly over the execution order; the others are warm even where that is more. */
    uint64_t budget_bytes;
} rusk_weights_options;

/* Reads every tensor that `map` (rusk_model_map) names, verifying checksums. The source must
 * outlive the weights. Decoding and transcoding are spread over the pool. */
rusk_status rusk_weights_load(rusk_weights **out, rusk_alloc *alloc, const rusk_source *source,
                              const rusk_model_desc *desc, const int32_t *map,
                              const rusk_weights_options *options, rusk_pool *pool,
                              rusk_error *err);
void rusk_weights_destroy(rusk_weights *weights);
void rusk_weights_get_usage(const rusk_weights *weights, rusk_weights_usage *usage);

/* A reader is a context's access: scratch for each worker of its pool. */
typedef struct rusk_weights_reader rusk_weights_reader;
rusk_status rusk_weights_reader_create(rusk_weights_reader **out, rusk_alloc *alloc,
                                       const rusk_weights *weights, unsigned n_workers,
                                       rusk_error *err);
void rusk_weights_reader_destroy(rusk_weights_reader *reader);
/* The functions of the view with the reader as self. */
rusk_weights_view rusk_weights_reader_view(rusk_weights_reader *reader);

#endif
