/* pack_job.h - what the files of this room share: a job, its tensors, its workers.
 *
 * A pack is a few passes over the source. Each pass reads every coded tensor block by block (a
 * block is some whole rows, the unit that the container stores), so that memory does not grow with
 * a tensor; blocks of a tensor run on all threads, and what they add up are integers, so that
 * nothing depends on how many threads there are.
 *
 *     measure   row statistics, and a histogram that prices every step        once
 *     count     symbols at one step, classes, code tables, exact cost         for each step tried
 *     code      symbols again, coded and written                              nearly always once */
#ifndef RUSK_PACK_PACK_JOB_H
#define RUSK_PACK_PACK_JOB_H

#include "base/arena.h"
#include "base/threads.h"
#include "format/container.h"
#include "model/arch.h"
#include "quant/allocate.h"
#include "quant/classes.h"
#include "quant/quantizer.h"
#include "quant/rate.h"

#define RUSK_PACK_DEFAULT_BITS 4.5
#define RUSK_PACK_TEXT_(x)     #x
#define RUSK_PACK_TEXT(x)      RUSK_PACK_TEXT_(x)
#define RUSK_PACK_TOOL                                                                             \
    "rusk " RUSK_PACK_TEXT(RUSK_VERSION_MAJOR) "." RUSK_PACK_TEXT(                                 \
        RUSK_VERSION_MINOR) "." RUSK_PACK_TEXT(RUSK_VERSION_PATCH)

/* What a symbol takes in a code table, about: for the choice of classes only. */
#define RUSK_PACK_TABLE_BITS 12.0

typedef struct pack_tensor {
    size_t index; /* in the source */
    const rusk_source_tensor *source;
    char roles[64];
    bool coded; /* else a vector, stored as F32 */
    const rusk_allocation *allocation;
    float importance;
    float mean_rms; /* geometric mean over a sample of its rows */
    uint32_t n_rows, n_cols, block_rows, n_blocks;
    /* coded only: */
    rusk_rate_hist *rate;
    rusk_row_stats *stats; /* n_rows, as the next two */
    float *scales;
    uint8_t *classes;    /* bins while counting */
    rusk_strbuf table;   /* code table blob */
    double entropy_bits; /* of its symbols, by class */
    double cost_bits;    /* that coding them is expected to take */
    uint64_t n_patches;
} pack_tensor;

typedef struct pack_worker {
    float *rows;
    void *stored;
    int8_t *symbols;
    rusk_patch *patches;
    float *row_weights;
    float *unit_scales;
    rusk_rate_hist rate;
    rusk_bin_counts counts;
    uint64_t n_patches;
} pack_worker;

/* A block on its way through a pass. */
typedef struct pack_slot {
    rusk_status status;
    rusk_error err;
    rusk_strbuf coded;
} pack_slot;

typedef struct pack_job {
    rusk_alloc alloc;
    rusk_arena arena;
    const rusk_pack_options *options;
    const char *source_path, *out_path;
    const rusk_quantizer *quantizer;
    const rusk_codec *codec;

    rusk_source *source;
    rusk_model_desc desc;
    pack_tensor *tensors; /* in execution order */
    size_t n_tensors;
    uint64_t n_parameters, n_coded, n_rows, n_blocks;
    uint64_t target_bytes;

    uint8_t source_hash[16];
    char options_text[96];
    rusk_strbuf tokenizer;
    rusk_text chat_template;
    rusk_container_writer *writer;

    rusk_pool *pool;
    pack_worker *workers;
    unsigned n_workers;
    pack_slot *slots;
    size_t n_slots;
    rusk_hist *hist;           /* of the tensor being counted */
    rusk_bin_counts *counts;   /* its merged bins */
    rusk_codec_tables *tables; /* of the tensor being coded */

    uint64_t progress_done;
    uint64_t coded_bytes; /* blocks, their index entries and tables, of the last code pass */
} pack_job;

/* pack_plan.c: opens the source, decides what becomes of each tensor, allocates everything that the
 * passes need. finish frees it all; a job of zeros is fine. */
rusk_status rusk_pack_job_open(pack_job *job, rusk_error *err);
void rusk_pack_job_finish(pack_job *job);

/* What provenance says of the options: the size where it is not 0, else the bits. */
void rusk_pack_options_text(const pack_job *job, uint64_t size_bytes, double bits, char *text,
                            size_t cap_bytes);

/* CANCELLED where the caller says so. */
rusk_status rusk_pack_progress(pack_job *job, const char *stage, uint64_t done, uint64_t total,
                               rusk_error *err);

/* pack_passes.c. `step` is the dial. */
rusk_status rusk_pack_hash(pack_job *job, rusk_error *err);
rusk_status rusk_pack_measure(pack_job *job, rusk_error *err);
rusk_status rusk_pack_count(pack_job *job, float step, rusk_error *err);
/* After rusk_pack_count: writes all tensors to job->writer. */
rusk_status rusk_pack_code(pack_job *job, rusk_error *err);

/* pack_search.c: the dial as an integer, and the search for the finest one that fits. On success
 * job->writer holds a complete file that has not been committed, within the target. */
rusk_status rusk_pack_search(pack_job *job, rusk_error *err);

#endif
