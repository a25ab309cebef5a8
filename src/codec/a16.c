/* a16.c - blocks of the a16 family: two streams of 64 lanes, the even rows' and the odd rows'.
 *
 * Layout (docs/format/codecs.md):
 *
 *     states | lengths | code bytes 0 | code bytes 1 | fields | escapes 0 | escapes 1
 *
 * The encoder runs each stream backwards from state 256 and writes its bytes downward, so that
 * nothing needs to be turned around:
 *
 *     x >= 256 f: a byte leaves, x >>= 8;     x = floor(x / f) * 256 + slot of rank x mod f */
#include "codec/a16.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/fields.h"
#include "codec/registry.h"

enum { STREAMS = 2 };

static const rusk_a16_class *class_of_row(const rusk_codec_tables *tables,
                                          const rusk_block_shape *shape, size_t row) {
    unsigned c = shape->row_classes[row];
    return c < RUSK_CODEC_CLASSES ? rusk_a16_of(tables)->at[c] : NULL;
}

/* Entries of a row: steps of 64 lanes, in pairs the last one as short as its columns allow. */
static size_t entries_of_row(bool pair, size_t n_cols) {
    size_t whole = n_cols / (2 * (size_t)RUSK_A16_LANES), rest = n_cols % (2 * RUSK_A16_LANES);
    return pair ? whole * RUSK_A16_LANES + (rest + 1) / 2 : n_cols;
}

static size_t lanes_of(bool pair, const rusk_block_shape *shape) {
    return RUSK_MIN(entries_of_row(pair, shape->n_cols), (size_t)RUSK_A16_LANES);
}

static unsigned streams_of(const rusk_block_shape *shape) {
    return shape->n_rows > 1 ? STREAMS : 1;
}

rusk_a16_rows rusk_a16_rows_for(uint32_t cpu_mask) {
#if defined(__x86_64__)
    if ((cpu_mask & RUSK_CPU_VBMI) != 0) {
        return rusk_a16_rows_avx512;
    }
    if ((cpu_mask & RUSK_CPU_AVX2) != 0) {
        return rusk_a16_rows_avx2;
    }
#elif defined(__aarch64__)
    if ((cpu_mask & RUSK_CPU_NEON) != 0) {
        return rusk_a16_rows_neon;
    }
#endif
    (void)cpu_mask;
    return rusk_a16_rows_ref;
}

/* --- decoding ------------------------------------------------------------------------------- */

typedef struct a16_state {
    rusk_a16_stream stream[STREAMS];
    const uint8_t *fields; /* of the next row */
} a16_state;

RUSK_STATIC_ASSERT(sizeof(a16_state) <= RUSK_DECODER_STATE, "a decoder's memory holds the state");

static a16_state *state_of(rusk_decoder *d) {
    return (a16_state *)d->state;
}

static rusk_status check_classes(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                                 rusk_status status, rusk_error *err) {
    for (size_t r = 0; r < shape->n_rows; r++) {
        if (class_of_row(tables, shape, r) == NULL) {
            return rusk_fail(err, status, status == RUSK_FORMAT ? 0 : RUSK_NO_OFFSET,
                             "%s block, row %zu: expected a class with a table, found class %u",
                             rusk_a16_of(tables)->kind.name, r, shape->row_classes[r]);
        }
    }
    return RUSK_OK;
}

/* First states. Idle lanes stand at the last state from the start. */
static rusk_status read_states(const rusk_decoder *d, rusk_reader *in, unsigned n_streams,
                               rusk_a16_stream *streams, rusk_error *err) {
    const rusk_a16_tables *t = rusk_a16_of(d->tables);
    size_t n_lanes = lanes_of(t->kind.pair, &d->shape);
    for (unsigned i = 0; i < STREAMS; i++) {
        rusk_a16_stream *s = &streams[i];
        memset(s->high, RUSK_A16_LOW >> 8, sizeof s->high);
        memset(s->low, 0, sizeof s->low);
        const uint8_t *states = i < n_streams ? rusk_reader_take(in, 2 * n_lanes) : NULL;
        for (size_t j = 0; states != NULL && j < n_lanes; j++) {
            s->high[j] = states[j];
            s->low[j] = states[n_lanes + j];
            if (s->high[j] == 0) {
                return rusk_fail(err, RUSK_FORMAT, (uint64_t)(states + j - d->data),
                                 "%s block, stream %u, lane %zu: expected a first state of at "
                                 "least %d, found %u",
                                 t->kind.name, i, j, RUSK_A16_LOW, s->low[j]);
            }
        }
    }
    return RUSK_OK;
}

/* Bytes that the fields of all rows take; more than len_bytes where they do not fit that. */
static uint64_t fields_bytes(const rusk_decoder *d) {
    uint64_t total = 0;
    for (size_t r = 0; r < d->shape.n_rows && total <= d->len_bytes; r++) {
        total += rusk_field_bytes(d->shape.n_cols, class_of_row(d->tables, &d->shape, r)->width);
    }
    return total;
}

static rusk_status begin(rusk_decoder *d, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                         rusk_error *err) {
    const char *name = rusk_a16_of(tables)->kind.name;
    RUSK_TRY(rusk_decoder_init(d, tables, shape, data, len_bytes, err));
    RUSK_TRY(check_classes(tables, shape, RUSK_FORMAT, err));
    a16_state *state = state_of(d);
    rusk_reader in = rusk_reader_over(data, len_bytes);
    unsigned n_streams = streams_of(shape);
    RUSK_TRY(read_states(d, &in, n_streams, state->stream, err));
    uint64_t code[STREAMS] = {0}, escapes[STREAMS] = {0}, fields = fields_bytes(d);
    code[0] = rusk_reader_u32(&in);
    if (n_streams == STREAMS) {
        code[1] = rusk_reader_u32(&in);
        escapes[0] = rusk_reader_u32(&in);
    }
    uint64_t known = code[0] + code[1] + escapes[0] + fields, left = rusk_reader_left(&in);
    if (!rusk_reader_ok(&in) || fields > len_bytes || known > left || data == NULL) {
        return rusk_fail(err, RUSK_FORMAT, in.pos,
                         "%s block: expected states, lengths, %llu code bytes, %llu of fields and "
                         "at least %llu of escapes, found %zu bytes",
                         name, (unsigned long long)code[0] + code[1], (unsigned long long)fields,
                         (unsigned long long)escapes[0], len_bytes);
    }
    escapes[n_streams - 1] = left - (known - (n_streams == 1 ? escapes[0] : 0));
    const uint8_t *at = data + in.pos;
    for (unsigned i = 0; i < STREAMS; i++) {
        state->stream[i].next = at;
        state->stream[i].end = at += code[i];
    }
    state->fields = at;
    at += fields;
    const uint64_t n_escapes = escapes[0] + escapes[1];
    const uint8_t *bad = n_escapes > 0 ? memchr(at, 0x80, (size_t)n_escapes) : NULL;
    if (bad != NULL) {
        return rusk_fail(err, RUSK_FORMAT, (uint64_t)(bad - data),
                         "%s block: expected escapes of -127 to 127, found -128", name);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        state->stream[i].escape = at;
        state->stream[i].escape_end = at += escapes[i];
    }
    return RUSK_OK;
}

static rusk_status check_end(rusk_decoder *d, rusk_error *err) {
    const rusk_a16_tables *t = rusk_a16_of(d->tables);
    for (unsigned i = 0; i < STREAMS; i++) {
        const rusk_a16_stream *s = &state_of(d)->stream[i];
        if (s->next != s->end || s->escape != s->escape_end) {
            bool code = s->next != s->end;
            return rusk_fail(err, RUSK_FORMAT, (uint64_t)((code ? s->next : s->escape) - d->data),
                             "%s block, stream %u: expected its end, found %td %s bytes left over",
                             t->kind.name, i, code ? s->end - s->next : s->escape_end - s->escape,
                             code ? "code" : "escape");
        }
        for (size_t j = 0; j < RUSK_A16_LANES; j++) {
            unsigned x = s->high[j] * 256U + s->low[j];
            if (x != RUSK_A16_LOW) {
                return rusk_fail(err, RUSK_FORMAT, (uint64_t)(s->end - d->data),
                                 "%s block, stream %u, lane %zu: expected %d as last state, found "
                                 "%u",
                                 t->kind.name, i, j, RUSK_A16_LOW, x);
            }
        }
    }
    return RUSK_OK;
}

/* Where a stream ran out, the rows of the whole call mean nothing, nor does it matter which one it
 * was: variants stop at different places. */
static rusk_status check_bytes(const rusk_decoder *d, const rusk_a16_row *rows, unsigned n,
                               rusk_error *err) {
    for (unsigned i = 0; i < n; i++) {
        const rusk_a16_stream *s = rows[i].stream;
        if (s->next > s->end || s->escape > s->escape_end) {
            return rusk_fail(err, RUSK_FORMAT, d->len_bytes,
                             "%s block, row %u or the next: expected more code and escape bytes "
                             "than there are",
                             rusk_a16_of(d->tables)->kind.name, d->next_row);
        }
    }
    return RUSK_OK;
}

/* After n rows of a decoder were decoded to `rows`. */
static rusk_status check_rows(rusk_decoder *d, const rusk_a16_row *rows, unsigned n,
                              rusk_error *err) {
    for (unsigned i = 0; i < n; i++) {
        const int8_t *bad = rows[i].cls->edge ? memchr(rows[i].out, 0x80, d->shape.n_cols) : NULL;
        if (bad != NULL) {
            return rusk_fail(err, RUSK_FORMAT, (uint64_t)(rows[i].stream->next - d->data),
                             "%s block, row %u, column %td: expected a symbol of -127 to 127, "
                             "found -128",
                             rusk_a16_of(d->tables)->kind.name, d->next_row + i, bad - rows[i].out);
        }
    }
    d->next_row += n;
    return d->next_row == d->shape.n_rows ? check_end(d, err) : RUSK_OK;
}

/* Fills in the next n rows of a decoder (1 or 2: a row and the next are of different streams). */
static void plan_rows(rusk_decoder *d, unsigned n, int8_t *out, size_t stride, rusk_a16_row *rows) {
    a16_state *state = state_of(d);
    for (unsigned i = 0; i < n; i++) {
        size_t r = d->next_row + i;
        const rusk_a16_class *c = class_of_row(d->tables, &d->shape, r);
        rows[i] = (rusk_a16_row){.stream = &state->stream[r % STREAMS],
                                 .cls = c,
                                 .fields = state->fields,
                                 .out = out + i * stride};
        state->fields += rusk_field_bytes(d->shape.n_cols, c->width);
        rusk_decoder_look_ahead(d);
    }
}

static rusk_status decode_rows(rusk_decoder *const *d, unsigned n, uint32_t n_rows,
                               int8_t *const *out, size_t stride, unsigned *failed,
                               rusk_error *err) {
    enum { MOST_DECODERS = 2 };
    rusk_a16_row rows[MOST_DECODERS * STREAMS];
    for (uint32_t r = 0; r < n_rows; r += STREAMS) {
        unsigned n_here = RUSK_MIN(n_rows - r, (uint32_t)STREAMS);
        for (unsigned i = 0; i < n; i++) {
            plan_rows(d[i], n_here, out[i] + r * stride, stride, rows + i * n_here);
        }
        rusk_a16_of(d[0]->tables)->rows(rows, n * n_here, d[0]->shape.n_cols);
        for (unsigned i = 0; i < n; i++) {
            *failed = i;
            RUSK_TRY(check_bytes(d[i], rows + i * n_here, n_here, err));
        }
        for (unsigned i = 0; i < n; i++) {
            *failed = i;
            RUSK_TRY(check_rows(d[i], rows + i * n_here, n_here, err));
        }
    }
    return RUSK_OK;
}

/* --- encoding ------------------------------------------------------------------------------- */

/* A block on its way: one allocation, cut up. */
typedef struct a16_job {
    const rusk_codec_tables *tables;
    const rusk_block_shape *shape;
    size_t row_entries;
    uint8_t *entries;       /* n_rows x row_entries */
    uint8_t *low;           /* fields of a row, one byte each, and one of an absent column */
    uint8_t *packed;        /* the row's fields */
    uint8_t *code[STREAMS]; /* code bytes grow downward from code_end */
    uint8_t *code_end[STREAMS];
    uint8_t *escape[STREAMS]; /* escapes upward */
    uint8_t *escape_end[STREAMS];
    uint16_t state[STREAMS][RUSK_A16_LANES];
} a16_job;

/* A byte for each entry is the most that coding gives, and one more is written but not kept; an
 * escape is a byte for each weight, present or not. */
static uint8_t *job_memory(a16_job *job, rusk_alloc *alloc, size_t *size) {
    const rusk_block_shape *shape = job->shape;
    bool pair = rusk_a16_of(job->tables)->kind.pair;
    size_t row_weights = pair ? 2 * job->row_entries : job->row_entries;
    size_t half = ((size_t)shape->n_rows + 1) / 2;
    size_t code = half * job->row_entries + 1, escapes = half * row_weights;
    size_t entries = shape->n_rows * job->row_entries;
    size_t packed = rusk_field_bytes(shape->n_cols, RUSK_A16_MAX_LOW);
    *size = entries + row_weights + packed + STREAMS * (code + escapes);
    uint8_t *memory = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, *size);
    if (memory == NULL) {
        return NULL;
    }
    job->entries = memory;
    job->low = job->entries + entries;
    job->packed = job->low + row_weights;
    uint8_t *at = job->packed + packed;
    for (unsigned i = 0; i < STREAMS; i++) {
        job->code[i] = job->code_end[i] = at += code;
        job->escape[i] = job->escape_end[i] = at;
        at += escapes;
        for (size_t j = 0; j < RUSK_A16_LANES; j++) {
            job->state[i][j] = RUSK_A16_LOW;
        }
    }
    return memory;
}

/* Entries of a row of singles; adds its escapes. Returns the disjunction of its entries: has
 * RUSK_A16_NONE where some symbol has no code. */
static unsigned map_singles(const rusk_a16_class *c, const int8_t *symbols, size_t n,
                            uint8_t *entries, uint8_t **escape) {
    unsigned any = 0;
    for (size_t i = 0; i < n; i++) {
        entries[i] = c->zone[(uint8_t)symbols[i] ^ 0x80];
        any |= entries[i];
    }
    if (c->escape) {
        uint8_t *e = *escape;
        for (size_t i = 0; i < n; i++) {
            *e = (uint8_t)symbols[i];
            e += entries[i] == RUSK_A16_ESCAPE;
        }
        *escape = e;
    }
    return any;
}

/* The same of pairs. The last column's partner may be absent, which counts as 0. */
static unsigned map_pairs(const rusk_a16_class *c, const int8_t *symbols, size_t n_cols,
                          uint8_t *entries, uint8_t **escape) {
    unsigned any = 0;
    for (size_t at = 0; at < n_cols; at += 2 * (size_t)RUSK_A16_LANES) {
        size_t n_here = RUSK_MIN(n_cols - at, 2 * (size_t)RUSK_A16_LANES), n = (n_here + 1) / 2;
        const int8_t *first = symbols + at, *second = first + n;
        for (size_t j = 0; j < n; j++) {
            int8_t partner = n + j < n_here ? second[j] : 0;
            unsigned z = c->zone[(uint8_t)first[j] ^ 0x80];
            unsigned z_2 = c->zone[(uint8_t)partner ^ 0x80];
            any |= z | z_2;
            entries[j] = c->entry_of_zones[(z & 7) + 8 * (z_2 & 7)];
        }
        for (size_t j = 0; c->escape && j < n; j++) {
            **escape = (uint8_t)first[j];
            *escape += entries[j] == RUSK_A16_ESCAPE;
        }
        for (size_t j = 0; c->escape && j < n; j++) {
            **escape = n + j < n_here ? (uint8_t)second[j] : 0;
            *escape += entries[j] == RUSK_A16_ESCAPE;
        }
        entries += n;
    }
    return any;
}

static rusk_status map_rows(a16_job *job, const int8_t *symbols, rusk_error *err) {
    size_t n_cols = job->shape->n_cols;
    for (size_t r = 0; r < job->shape->n_rows; r++) {
        const rusk_a16_class *c = class_of_row(job->tables, job->shape, r);
        const int8_t *row = symbols + r * n_cols;
        uint8_t *entries = job->entries + r * job->row_entries;
        uint8_t **escape = &job->escape_end[r % STREAMS];
        unsigned any = c->pair ? map_pairs(c, row, n_cols, entries, escape)
                               : map_singles(c, row, n_cols, entries, escape);
        for (size_t i = 0; (any & RUSK_A16_NONE) != 0 && i < n_cols; i++) {
            if (c->zone[(uint8_t)row[i] ^ 0x80] == RUSK_A16_NONE) {
                return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                                 "row %zu, column %zu: expected a symbol with a code, found %d", r,
                                 i, row[i]);
            }
        }
    }
    return RUSK_OK;
}

/* Entries of a row, last to first. Whether a byte leaves is as good as random, so it is stored in
 * any case and the pointer moves by the comparison. */
static uint8_t *push_row(const rusk_a16_class *c, const uint8_t *entries, size_t n,
                         uint16_t state[RUSK_A16_LANES], uint8_t *out) {
    while (n > 0) {
        size_t n_lanes = (n - 1) % RUSK_A16_LANES + 1;
        n -= n_lanes;
        for (size_t j = n_lanes; j-- > 0;) {
            rusk_a16_code code = c->code[entries[n + j]];
            uint32_t x = state[j];
            unsigned full = x >= code.limit;
            out[-1] = (uint8_t)x;
            out -= full;
            x >>= 8 * full;
            uint32_t quotient = (uint32_t)((uint64_t)x * code.reciprocal >> 24);
            uint32_t rank = x - quotient * code.freq;
            state[j] = (uint16_t)(quotient << 8 | c->slot_of_rank[code.start + rank]);
        }
    }
    return out;
}

static void put_states(const a16_job *job, size_t n_lanes, unsigned stream, rusk_strbuf *out) {
    uint8_t planes[2 * RUSK_A16_LANES];
    for (size_t j = 0; j < n_lanes; j++) {
        planes[j] = (uint8_t)(job->state[stream][j] >> 8);
        planes[n_lanes + j] = (uint8_t)job->state[stream][j];
    }
    rusk_strbuf_add(out, planes, 2 * n_lanes);
}

/* Fields of a row; an escaped entry's are 0. */
static void put_fields(a16_job *job, const int8_t *symbols, size_t row, rusk_strbuf *out) {
    const rusk_a16_class *c = class_of_row(job->tables, job->shape, row);
    const uint8_t *entries = job->entries + row * job->row_entries;
    size_t n_cols = job->shape->n_cols;
    for (size_t i = 0; i < n_cols; i++) {
        job->low[i] = c->low[(uint8_t)symbols[i] ^ 0x80];
    }
    for (size_t e = 0, at = 0; c->pair && c->escape && at < n_cols; at += 128) {
        size_t n = (RUSK_MIN(n_cols - at, (size_t)128) + 1) / 2;
        for (size_t j = 0; j < n; j++, e++) {
            if (entries[e] == RUSK_A16_ESCAPE) {
                job->low[at + j] = job->low[at + n + j] =
                    0; /* one more than n_cols has its place */
            }
        }
    }
    size_t n_bytes = rusk_field_bytes(n_cols, c->width);
    rusk_fields_put(job->low, n_cols, c->width, job->packed);
    rusk_strbuf_add(out, job->packed, n_bytes);
}

static void put_block(a16_job *job, const int8_t *symbols, rusk_strbuf *out) {
    const rusk_block_shape *shape = job->shape;
    unsigned n_streams = streams_of(shape);
    size_t n_lanes = lanes_of(rusk_a16_of(job->tables)->kind.pair, shape);
    for (unsigned i = 0; i < n_streams; i++) {
        put_states(job, n_lanes, i, out);
    }
    for (unsigned i = 0; i < n_streams; i++) {
        rusk_strbuf_add_u32(out, (uint32_t)(job->code_end[i] - job->code[i]));
    }
    if (n_streams == STREAMS) {
        rusk_strbuf_add_u32(out, (uint32_t)(job->escape_end[0] - job->escape[0]));
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        rusk_strbuf_add(out, job->code[i], (size_t)(job->code_end[i] - job->code[i]));
    }
    for (size_t r = 0; r < shape->n_rows; r++) {
        put_fields(job, symbols + r * shape->n_cols, r, out);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        rusk_strbuf_add(out, job->escape[i], (size_t)(job->escape_end[i] - job->escape[i]));
    }
}

static rusk_status encode(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                          const int8_t *symbols, rusk_strbuf *out, rusk_error *err) {
    a16_job job = {.tables = tables, .shape = shape};
    uint64_t n = (uint64_t)shape->n_rows * shape->n_cols;
    size_t size;
    if (n == 0 || n > UINT32_MAX) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected 1 to 2^32 - 1 symbols, found %u x %u", shape->n_rows,
                         shape->n_cols);
    }
    RUSK_TRY(check_classes(tables, shape, RUSK_INVALID_ARGUMENT, err));
    job.row_entries = entries_of_row(rusk_a16_of(tables)->kind.pair, shape->n_cols);
    uint8_t *memory = job_memory(&job, out->alloc, &size);
    if (memory == NULL) {
        return rusk_fail_memory(err, size, "a block's entries");
    }
    rusk_status status = map_rows(&job, symbols, err);
    if (status == RUSK_OK) {
        for (size_t r = shape->n_rows; r-- > 0;) {
            uint8_t **code = &job.code[r % STREAMS];
            *code = push_row(class_of_row(tables, shape, r), job.entries + r * job.row_entries,
                             job.row_entries, job.state[r % STREAMS], *code);
        }
        put_block(&job, symbols, out);
        status = out->failed ? rusk_fail_memory(err, size, "coded block") : RUSK_OK;
    }
    rusk_alloc_put(out->alloc, memory);
    return status;
}

/* --- the codecs ----------------------------------------------------------------------------- */

/* A lane's first state takes 16 bits and ends, anywhere in 2^8 .. 2^16 by logarithm, 12 bits long
 * in the mean, of which it started with 8. */
static double bits_of_block(bool pair, const rusk_block_shape *shape) {
    double n_lanes = (double)(streams_of(shape) * lanes_of(pair, shape));
    return 8 + 32 * (shape->n_rows > 1 ? 3 : 1) + (16 - (12 - 8)) * n_lanes;
}

static const int8_t *fold(const rusk_codec_tables *tables, unsigned class_index) {
    const rusk_a16_class *c = rusk_a16_of(tables)->at[class_index];
    return c != NULL ? c->fold : NULL;
}

static void close_tables(rusk_codec_tables *tables) {
    if (tables != NULL) {
        rusk_alloc_put(rusk_a16_of(tables)->alloc, tables);
    }
}

#define CODEC(id, most_low, is_pair, text)                                                         \
    static const rusk_a16_kind KIND_##id = {#id, most_low, is_pair};                               \
    static rusk_status build_##id(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err) {     \
        return rusk_a16_build_tables(&KIND_##id, hist, blob, err);                                 \
    }                                                                                              \
    static double cost_##id(const rusk_hist *hist) {                                               \
        return rusk_a16_cost_bits(&KIND_##id, hist);                                               \
    }                                                                                              \
    static double block_##id(const rusk_block_shape *shape) {                                      \
        return bits_of_block(is_pair, shape);                                                      \
    }                                                                                              \
    static rusk_status open_##id(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,  \
                                 size_t len_bytes, rusk_error *err) {                              \
        return rusk_a16_open_tables(&KIND_##id, out, alloc, blob, len_bytes, err);                 \
    }                                                                                              \
    const rusk_codec rusk_codec_##id = {                                                           \
        .name = #id,                                                                               \
        .summary = text,                                                                           \
        .in_pairs = true,                                                                          \
        .build_tables = build_##id,                                                                \
        .cost_bits = cost_##id,                                                                    \
        .block_bits = block_##id,                                                                  \
        .open_tables = open_##id,                                                                  \
        .close_tables = close_tables,                                                              \
        .fold = fold,                                                                              \
        .encode = encode,                                                                          \
        .begin = begin,                                                                            \
        .rows = decode_rows,                                                                       \
    }

CODEC(a16, 0, false, "range ANS of 16 symbols in registers, escapes: up to 3.3 bits");
CODEC(a16r, RUSK_A16_MAX_LOW, false, "16 zones by range ANS in registers, low bits as they are");
CODEC(a16x2, RUSK_A16_MAX_LOW_2, true,
      "two weights an entry, 4 zones each, signs and low bits raw");
