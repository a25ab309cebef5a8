/* pack.c - the order of things: open, hash, measure, search, commit, report. */
#include "pack/pack.h"

#include <string.h>

#include "base/clock.h"
#include "pack/pack_job.h"

static void fill_report(const pack_job *job, uint64_t file_bytes, rusk_pack_report *report) {
    double entropy = 0, coded = 8.0 * (double)job->coded_bytes;
    for (size_t i = 0; i < job->n_tensors; i++) {
        entropy += job->tensors[i].entropy_bits;
    }
    double n_coded = job->n_coded > 0 ? (double)job->n_coded : 1;
    double n_all = (double)job->n_parameters;
    report->source_bytes = job->source->file_bytes;
    report->file_bytes = file_bytes;
    report->n_parameters = job->n_parameters;
    report->bits_per_weight = 8.0 * (double)file_bytes / n_all;
    report->entropy_bits = entropy / n_coded;
    report->coded_bits = coded / n_coded;
    report->side_bits = (8.0 * (double)file_bytes - coded) / n_all;
    report->tokenizer_bytes = job->tokenizer.len_bytes;
}

static rusk_status pack(pack_job *job, uint64_t *file_bytes, rusk_error *err) {
    RUSK_TRY(rusk_pack_job_open(job, err));
    RUSK_TRY(rusk_pack_hash(job, err));
    RUSK_TRY(rusk_pack_measure(job, err));
    RUSK_TRY(rusk_pack_search(job, err));
    rusk_container_writer *writer = job->writer;
    job->writer = NULL; /* commit destroys it in any case */
    return rusk_container_writer_commit(writer, file_bytes, err);
}

rusk_status rusk_pack_run(const char *source_path, const char *out_path,
                          const rusk_pack_options *options, rusk_pack_report *report,
                          rusk_error *err) {
    double start = rusk_clock_seconds();
    pack_job job;
    memset(&job, 0, sizeof job);
    rusk_alloc_init(&job.alloc, options->allocator);
    rusk_arena_init(&job.arena, &job.alloc, RUSK_MEM_SCRATCH);
    rusk_strbuf_init(&job.tokenizer, &job.alloc, RUSK_MEM_TOKENIZER);
    job.options = options;
    job.source_path = source_path;
    job.out_path = out_path;
    uint64_t file_bytes = 0;
    rusk_status status = pack(&job, &file_bytes, err);
    if (status == RUSK_OK && report != NULL) {
        rusk_memory_usage usage;
        rusk_alloc_usage(&job.alloc, &usage);
        fill_report(&job, file_bytes, report);
        report->seconds = rusk_clock_seconds() - start;
        report->bytes_peak = usage.bytes_peak;
    }
    rusk_pack_job_finish(&job);
    return status;
}
