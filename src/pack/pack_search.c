/* pack_search.c - the finest step whose file stays within the target.
 *
 * The dial is an integer d: step = step_min * 2^(d / 2048), so that the choice is not a matter of
 * the last bits of a logarithm. Three prices of a dial, each dearer and better than the one before:
 *
 *     estimate   from the histograms of pass "measure"; reads nothing
 *     count      exact symbols, classes and tables (pass "count")
 *     code       the file (pass "code")
 *
 * What a better price says over the worse one is carried over to the next dial tried, so two counts
 * and one coding are the rule. Known bounds (too large at `over`, fits at `fits`) close in on
 * another as in a bisection, which ends the search in any case. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "pack/pack_job.h"

enum {
    DIALS_PER_OCTAVE = 2048, /* 0.0005 bits a weight */
    TABLE_BYTES = 100,       /* of a tensor, before it is counted */
    INDEX_BYTES = 64,        /* of a tensor's entry in TNSR, its name included */
    BLOCK_INDEX_BYTES = 12,  /* of a block's entry in BLKS */
    EXTENT_BYTES = 430000,   /* usual length, for their number */
    EXTENT_COST = 16 + 950,  /* entry in BLKS, usual fill */
    PAGE_BYTES = 4096        /* before the first extent */
};

/* Parts of the target: the search aims at the first, codes what is counted above the second, and
 * keeps what is coded above the third (below it, it tries once more). */
static const double AIM = 0.9997, GOOD_ENOUGH = 0.9985, ACCEPT = 0.997;

enum { TRIES = 6 }; /* then any count that fits will do: tiny models change by leaps */

typedef struct search {
    pack_job *job;
    int dial_max;
    int over, fits;                       /* -1 .. dial_max + 1: nothing known */
    double beyond_estimate, beyond_count; /* what the next better price said beyond these */
    uint64_t base_bytes;                  /* of a file without tensors */
    double block_bits;                    /* that blocks cost besides their symbols */
} search;

static float step_of(const search *s, int dial) {
    double step = (double)s->job->quantizer->step_min * exp2((double)dial / DIALS_PER_OCTAVE);
    return (float)fmin(step, (double)s->job->quantizer->step_max);
}

static double block_bits(const pack_job *job) {
    double bits = 0;
    for (size_t i = 0; i < job->n_tensors; i++) {
        const pack_tensor *t = &job->tensors[i];
        rusk_block_shape shape = {.n_rows = t->block_rows, .n_cols = t->n_cols};
        bits += t->coded ? t->n_blocks * job->codec->block_bits(&shape) : 0;
    }
    return bits;
}

/* Bytes of everything but coded blocks and their tables. */
static double side_bytes(const search *s) {
    double bytes = (double)s->base_bytes + PAGE_BYTES;
    for (size_t i = 0; i < s->job->n_tensors; i++) {
        const pack_tensor *t = &s->job->tensors[i];
        bytes += INDEX_BYTES;
        bytes += t->coded ? 2.5 * t->n_rows : 4.0 * t->n_rows * t->n_cols;
    }
    return bytes;
}

static double file_bytes(const search *s, double coded_bits, double table_bytes) {
    double data = (coded_bits + s->block_bits) / 8;
    double index = BLOCK_INDEX_BYTES * (double)s->job->n_blocks;
    return side_bytes(s) + table_bytes + index + data + data / EXTENT_BYTES * EXTENT_COST;
}

static double estimate(const search *s, int dial) {
    double bits = 0;
    for (size_t i = 0; i < s->job->n_tensors; i++) {
        const pack_tensor *t = &s->job->tensors[i];
        bits += t->coded ? rusk_rate_bits(t->rate, (double)step_of(s, dial)) : 0;
    }
    return file_bytes(s, bits, TABLE_BYTES * (double)s->job->n_tensors);
}

static double counted(const search *s) {
    double bits = 0, tables = 0;
    for (size_t i = 0; i < s->job->n_tensors; i++) {
        const pack_tensor *t = &s->job->tensors[i];
        bits += t->cost_bits + RUSK_PATCH_COST_BITS * (double)t->n_patches;
        tables += (double)t->table.len_bytes + 4;
    }
    return file_bytes(s, bits, tables);
}

/* The finest dial between the bounds that the estimate, corrected, holds for within the aim. */
static int propose(const search *s) {
    int low = s->over + 1, high = RUSK_MIN(s->fits, s->dial_max);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (estimate(s, middle) + s->beyond_estimate <= AIM * (double)s->job->target_bytes) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* HEAD, TOKN and CHAT into a fresh writer. */
static rusk_status begin_file(pack_job *job, rusk_error *err) {
    if (job->writer == NULL) {
        RUSK_TRY(rusk_container_writer_create(&job->writer, &job->alloc, job->out_path, err));
    }
    rusk_provenance p = {.source_bytes = job->source->file_bytes,
                         .tool = RUSK_PACK_TOOL,
                         .options = job->options_text};
    for (size_t i = 0; i < sizeof p.source_hash; i++) {
        p.source_hash[i] = job->source_hash[i];
    }
    RUSK_TRY(rusk_container_writer_head(job->writer, &p, job->source, err));
    RUSK_TRY(rusk_container_writer_section(job->writer, "TOKN", job->tokenizer.data,
                                           job->tokenizer.len_bytes, err));
    if (job->chat_template.data != NULL && job->chat_template.len_bytes > 0) {
        RUSK_TRY(rusk_container_writer_section(job->writer, "CHAT", job->chat_template.data,
                                               job->chat_template.len_bytes, err));
    }
    return RUSK_OK;
}

/* `least` bytes were written under this job's options, whose text is part of the file: with a size
 * of that many bytes the text, and so the file, is this much longer. */
static uint64_t least_size(const pack_job *job, uint64_t least) {
    char text[sizeof job->options_text];
    rusk_pack_options_text(job, least, 0, text, sizeof text);
    uint64_t more = least + strlen(text) - strlen(job->options_text);
    rusk_pack_options_text(job, more, 0, text, sizeof text); /* a digit may have come */
    return least + strlen(text) - strlen(job->options_text);
}

static rusk_status fail_impossible(const pack_job *job, uint64_t least, rusk_error *err) {
    uint64_t size = least_size(job, least);
    double bits = 8.0 * (double)size / (double)job->n_parameters;
    return rusk_fail(err, RUSK_IMPOSSIBLE, RUSK_NO_OFFSET,
                     "'%.200s': expected a target of at least %llu bytes (%.4f bits per weight), "
                     "found %llu bytes",
                     job->source_path, (unsigned long long)size, ceil(bits * 1e4) / 1e4,
                     (unsigned long long)job->target_bytes);
}

/* Counts dials until one is worth coding: it fills the target well, or nothing finer fits. */
static rusk_status choose(search *s, int *dial, double *predicted, rusk_error *err) {
    double target = (double)s->job->target_bytes;
    for (int try = 0;; try++) {
        /* late in the search bisect, so that it ends whatever the estimate thinks */
        int high = RUSK_MIN(s->fits, s->dial_max);
        *dial = try < TRIES ? propose(s) : s->over + 1 + (high - s->over - 1) / 2;
        RUSK_TRY(rusk_pack_count(s->job, step_of(s, *dial), err));
        *predicted = counted(s) + s->beyond_count;
        s->beyond_estimate = *predicted - estimate(s, *dial);
        bool fits = *predicted <= target;
        bool good = *predicted >= GOOD_ENOUGH * target || try >= TRIES;
        bool last = *dial == s->over + 1 || *dial == s->fits; /* nothing finer, or known to fit */
        if (*dial == s->dial_max || (fits && (good || last))) {
            return RUSK_OK;
        }
        if (fits) {
            s->fits = *dial;
        } else {
            s->over = *dial;
        }
    }
}

rusk_status rusk_pack_search(pack_job *job, rusk_error *err) {
    double octaves = log2((double)job->quantizer->step_max / (double)job->quantizer->step_min);
    search s = {.job = job, .dial_max = (int)lround(octaves * DIALS_PER_OCTAVE), .over = -1};
    s.fits = s.dial_max + 1;
    s.block_bits = block_bits(job);
    for (bool again = false;; again = true) {
        RUSK_TRY(begin_file(job, err));
        s.base_bytes = rusk_container_writer_bytes(job->writer);
        int dial;
        double predicted;
        RUSK_TRY(choose(&s, &dial, &predicted, err));
        RUSK_TRY(rusk_pack_code(job, err));
        uint64_t total = rusk_container_writer_bytes(job->writer);
        bool fits = total <= job->target_bytes;
        bool good = (double)total >= ACCEPT * (double)job->target_bytes;
        if (fits && (good || again || dial == s.over + 1)) {
            return RUSK_OK;
        }
        if (!fits && dial == s.dial_max) {
            return fail_impossible(job, total, err);
        }
        s.beyond_count += (double)total - predicted;
        s.beyond_estimate += (double)total - predicted;
        s.fits = fits ? dial : s.dial_max + 1; /* what a count held for fitting may not fit */
        s.over = fits ? -1 : RUSK_MAX(s.over, dial);
        rusk_container_writer_discard(job->writer);
        job->writer = NULL;
    }
}
