/* raw.c - fixed-width codes as bit planes, 1 to 8 bits, a width and a lowest symbol per class.
 *
 * A class's rows, one after the other without padding, make a sequence of codes, cut in groups of
 * 64; a group of width w is w little-endian 64-bit planes, lowest bit first:
 *
 *     plane 0 | plane 1 | ... plane w-1        bit j of plane b = bit b of code j of the group
 *
 * Planes spread to bytes (or to a vector mask) without shifts that cross bytes, for any width. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/hist.h"
#include "codec/raw.h"
#include "codec/registry.h"

enum { GROUP = RUSK_RAW_GROUP, MAX_WIDTH = RUSK_RAW_MAX_WIDTH };

typedef struct raw_tables {
    rusk_alloc *alloc;
    rusk_raw_groups groups;             /* the fastest this processor runs */
    uint8_t width[RUSK_CODEC_CLASSES];  /* 0: the class has no table */
    uint8_t lowest[RUSK_CODEC_CLASSES]; /* index (symbol + 128) of code 0 */
    int8_t fold[RUSK_CODEC_CLASSES][RUSK_CODEC_ALPHABET];
} raw_tables;

static const raw_tables *raw_of(const rusk_codec_tables *tables) {
    return (const raw_tables *)tables;
}

/* --- tables --------------------------------------------------------------------------------- */

typedef struct raw_choice {
    unsigned width, lowest;
    double bits; /* symbols and patches of what lies outside */
} raw_choice;

/* The window of 2^width indexes that holds most symbols. Index 0 (symbol -128) is never one, but
 * 8 bits span it. */
static raw_choice best_window(const uint64_t *count, uint64_t total, unsigned width) {
    unsigned span = 1U << width, first = width < MAX_WIDTH ? 1 : 0;
    uint64_t inside = 0, most = 0;
    raw_choice best = {.width = width, .lowest = first};
    for (unsigned s = first; s < RUSK_CODEC_ALPHABET; s++) {
        inside += count[s];
        inside -= s >= first + span ? count[s - span] : 0;
        if (s + 1 >= first + span && inside > most) {
            most = inside;
            best.lowest = s + 1 - span;
        }
    }
    best.bits = (double)total * width + (double)(total - most) * RUSK_PATCH_COST_BITS;
    return best;
}

/* Width 0 where the class has no symbols. */
static raw_choice choose(const uint64_t *count) {
    uint64_t total = 0;
    raw_choice best = {0};
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        total += count[s];
    }
    for (unsigned width = 1; width <= MAX_WIDTH && total > 0; width++) {
        raw_choice c = best_window(count, total, width);
        best = width == 1 || c.bits < best.bits ? c : best;
    }
    return best;
}

static rusk_status build_tables(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err) {
    raw_choice choices[RUSK_CODEC_CLASSES];
    unsigned mask = 0;
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if (hist->count[c][0] > 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "class %u: expected symbols -127 to 127, found -128", c);
        }
        choices[c] = choose(hist->count[c]);
        mask |= choices[c].width > 0 ? 1U << c : 0;
    }
    rusk_strbuf_add_u16(blob, (uint16_t)mask);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if ((mask >> c & 1) != 0) {
            rusk_strbuf_add_u8(blob, (uint8_t)choices[c].width);
            rusk_strbuf_add_u8(blob, (uint8_t)choices[c].lowest);
        }
    }
    return blob->failed ? rusk_fail_memory(err, 34, "raw table blob") : RUSK_OK;
}

static double cost_bits(const rusk_hist *hist) {
    double bits = 0;
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        bits += choose(hist->count[c]).bits;
    }
    return bits;
}

static void close_tables(rusk_codec_tables *tables) {
    if (tables != NULL) {
        rusk_alloc_put(raw_of(tables)->alloc, tables);
    }
}

static rusk_status read_tables(raw_tables *t, const uint8_t *blob, size_t len_bytes,
                               rusk_error *err) {
    rusk_reader in = rusk_reader_over(blob, len_bytes);
    unsigned mask = rusk_reader_u16(&in);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        uint16_t used[RUSK_CODEC_ALPHABET] = {0};
        if ((mask >> c & 1) == 0) {
            continue;
        }
        unsigned width = rusk_reader_u8(&in), lowest = rusk_reader_u8(&in);
        if (!rusk_reader_ok(&in) || width < 1 || width > MAX_WIDTH ||
            lowest + (1U << width) > RUSK_CODEC_ALPHABET || (lowest == 0 && width < MAX_WIDTH)) {
            return rusk_fail(
                err, RUSK_FORMAT, in.pos,
                "raw table, class %u: expected width 1 to 8 and a range of symbols, found width "
                "%u from index %u",
                c, width, lowest);
        }
        t->width[c] = (uint8_t)width;
        t->lowest[c] = (uint8_t)lowest;
        for (unsigned i = RUSK_MAX(lowest, 1U); i < lowest + (1U << width); i++) {
            used[i] = 1;
        }
        rusk_fold_map(used, t->fold[c]);
    }
    if (!rusk_reader_ok(&in) || rusk_reader_left(&in) > 0) {
        return rusk_fail(err, RUSK_FORMAT, in.pos,
                         "raw table: expected 2 bytes and 2 a class, found %zu bytes", len_bytes);
    }
    return RUSK_OK;
}

static rusk_status open_tables(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,
                               size_t len_bytes, rusk_error *err) {
    *out = NULL;
    raw_tables *t = rusk_alloc_zero(alloc, RUSK_MEM_TABLES, 1, sizeof *t);
    if (t == NULL) {
        return rusk_fail_memory(err, sizeof *t, "raw tables");
    }
    t->alloc = alloc;
    t->groups = rusk_raw_groups_for(rusk_cpu_features());
    rusk_status status = read_tables(t, blob, len_bytes, err);
    if (status != RUSK_OK) {
        rusk_alloc_put(alloc, t);
        return status;
    }
    *out = (rusk_codec_tables *)t;
    return RUSK_OK;
}

static const int8_t *fold(const rusk_codec_tables *tables, unsigned class_index) {
    return raw_of(tables)->width[class_index] > 0 ? raw_of(tables)->fold[class_index] : NULL;
}

/* --- blocks --------------------------------------------------------------------------------- */

/* Every row's class has a table; n_codes[c] = codes of class c. */
static rusk_status count_codes(const raw_tables *t, const rusk_block_shape *shape,
                               rusk_status status, uint64_t n_codes[RUSK_CODEC_CLASSES],
                               rusk_error *err) {
    memset(n_codes, 0, RUSK_CODEC_CLASSES * sizeof n_codes[0]);
    if (shape->n_rows == 0 || shape->n_cols == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at least one row and column, found %u x %u",
                         shape->n_rows, shape->n_cols);
    }
    for (size_t r = 0; r < shape->n_rows; r++) {
        unsigned c = shape->row_classes[r];
        if (c >= RUSK_CODEC_CLASSES || t->width[c] == 0) {
            return rusk_fail(err, status, status == RUSK_FORMAT ? 0 : RUSK_NO_OFFSET,
                             "raw block, row %zu: expected a class with a table, found class %u", r,
                             c);
        }
        n_codes[c] += shape->n_cols;
    }
    return RUSK_OK;
}

typedef struct plane_writer {
    rusk_strbuf *out;
    uint64_t planes[MAX_WIDTH];
    unsigned width, n;
} plane_writer;

static void flush_group(plane_writer *w) {
    uint8_t bytes[8 * MAX_WIDTH];
    for (unsigned b = 0; b < w->width; b++) {
        rusk_store_u64(bytes + (size_t)8 * b, w->planes[b]);
        w->planes[b] = 0;
    }
    rusk_strbuf_add(w->out, bytes, (size_t)8 * w->width);
    w->n = 0;
}

static void put_code(plane_writer *w, unsigned code) {
    for (unsigned b = 0; b < w->width; b++) {
        w->planes[b] |= (uint64_t)(code >> b & 1) << w->n;
    }
    if (++w->n == GROUP) {
        flush_group(w);
    }
}

static rusk_status encode(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                          const int8_t *symbols, rusk_strbuf *out, rusk_error *err) {
    const raw_tables *t = raw_of(tables);
    uint64_t n_codes[RUSK_CODEC_CLASSES];
    RUSK_TRY(count_codes(t, shape, RUSK_INVALID_ARGUMENT, n_codes, err));
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        plane_writer w = {.out = out, .width = t->width[c]};
        for (size_t r = 0; r < shape->n_rows && n_codes[c] > 0; r++) {
            const int8_t *row = symbols + r * shape->n_cols;
            for (size_t i = 0; i < shape->n_cols && shape->row_classes[r] == c; i++) {
                unsigned index = (unsigned)(row[i] + 128);
                if (t->fold[c][index] != row[i]) {
                    return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                                     "row %zu, column %zu: expected a symbol with a code, found %d",
                                     r, i, row[i]);
                }
                put_code(&w, index - t->lowest[c]);
            }
        }
        if (w.n > 0) {
            flush_group(&w);
        }
    }
    return out->failed ? rusk_fail_memory(err, 64, "coded block") : RUSK_OK;
}

/* Eight bytes of 0 or 1, byte j = bit j. The multiplication copies the byte eight times, the mask
 * keeps one bit of each copy, the addition carries it into the copy's top bit. */
static inline uint64_t spread_bits(uint64_t byte) {
    uint64_t kept = byte * 0x0101010101010101U & 0x8040201008040201U;
    return (kept + 0x7F7F7F7F7F7F7F7FU) >> 7 & 0x0101010101010101U;
}

static void decode_group(const uint8_t *planes, unsigned width, unsigned lowest,
                         int8_t out[GROUP]) {
    for (size_t i = 0; i < GROUP / 8; i++) {
        uint64_t codes = 0;
        for (unsigned b = 0; b < width; b++) {
            codes |= spread_bits(planes[8 * b + i]) << b;
        }
        rusk_store_u64(out + 8 * i, codes);
    }
    for (size_t i = 0; i < GROUP; i++) {
        out[i] = (int8_t)(uint8_t)((uint8_t)out[i] + lowest + 128);
    }
}

void rusk_raw_groups_ref(const uint8_t *planes, size_t n_groups, unsigned width, unsigned lowest,
                         int8_t *out) {
    for (size_t g = 0; g < n_groups; g++) {
        decode_group(planes + g * 8 * width, width, lowest, out + g * GROUP);
    }
}

rusk_raw_groups rusk_raw_groups_for(uint32_t cpu_mask) {
#if defined(__x86_64__)
    if ((cpu_mask & RUSK_CPU_AVX2) != 0) {
        return rusk_raw_groups_avx2;
    }
#endif
    (void)cpu_mask;
    return rusk_raw_groups_ref;
}

typedef struct plane_reader {
    rusk_raw_groups groups;
    const uint8_t *next; /* group to decode next */
    unsigned width, lowest;
    unsigned n_held; /* codes at the end of `held` not yet used */
    int8_t held[GROUP];
} plane_reader;

static void read_codes(plane_reader *p, int8_t *out, size_t n) {
    size_t part = RUSK_MIN(n, (size_t)p->n_held);
    memcpy(out, p->held + GROUP - p->n_held, part);
    p->n_held -= (unsigned)part;
    out += part;
    n -= part;
    size_t n_whole = n / GROUP;
    p->groups(p->next, n_whole, p->width, p->lowest, out);
    p->next += n_whole * 8 * p->width;
    out += n_whole * GROUP;
    n -= n_whole * GROUP;
    if (n > 0) {
        p->groups(p->next, 1, p->width, p->lowest, p->held);
        p->next += (size_t)8 * p->width;
        memcpy(out, p->held, n);
        p->n_held = (unsigned)(GROUP - n);
    }
}

static bool has_minus_128(const int8_t *row, size_t n) {
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found |= row[i] == INT8_MIN;
    }
    return found;
}

/* The bits of a class's last group beyond its codes are zero. */
static bool padding_is_zero(const uint8_t *group, unsigned width, size_t n_used) {
    uint64_t rest = 0;
    for (unsigned b = 0; b < width; b++) {
        rest |= rusk_load_u64(group + (size_t)8 * b);
    }
    return n_used == 0 || rest >> n_used == 0;
}

/* What a rusk_decoder holds: a reader for each class of the block. */
typedef struct raw_state {
    plane_reader readers[RUSK_CODEC_CLASSES];
} raw_state;

_Static_assert(sizeof(raw_state) <= RUSK_DECODER_STATE, "a decoder's state holds it");

static raw_state *state_of(rusk_decoder *d) {
    return (raw_state *)(void *)d->state;
}

static rusk_status begin(rusk_decoder *d, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                         rusk_error *err) {
    const raw_tables *t = raw_of(tables);
    uint64_t n_codes[RUSK_CODEC_CLASSES], need = 0;
    RUSK_TRY(rusk_decoder_init(d, tables, shape, data, len_bytes, err));
    RUSK_TRY(count_codes(t, shape, RUSK_FORMAT, n_codes, err));
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        need += (n_codes[c] + GROUP - 1) / GROUP * 8 * t->width[c];
    }
    if (need != len_bytes) {
        return rusk_fail(err, RUSK_FORMAT, len_bytes, "raw block: expected %llu bytes, found %zu",
                         (unsigned long long)need, len_bytes);
    }
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        plane_reader *p = &state_of(d)->readers[c];
        p->groups = t->groups;
        p->next = data;
        p->width = t->width[c];
        p->lowest = t->lowest[c];
        p->n_held = 0;
        data += (n_codes[c] + GROUP - 1) / GROUP * 8 * t->width[c];
    }
    return RUSK_OK;
}

static rusk_status end(rusk_decoder *d, rusk_error *err) {
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        const plane_reader *p = &state_of(d)->readers[c];
        if (p->n_held > 0 &&
            !padding_is_zero(p->next - (size_t)8 * p->width, p->width, GROUP - p->n_held)) {
            return rusk_fail(
                err, RUSK_FORMAT, (uint64_t)(p->next - d->data),
                "raw block, class %u: expected zero bits after the last code, found others", c);
        }
    }
    return RUSK_OK;
}

static rusk_status rows_of(rusk_decoder *d, uint32_t n_rows, int8_t *out, size_t stride,
                           rusk_error *err) {
    for (uint32_t r = 0; r < n_rows; r++, out += stride) {
        plane_reader *p = &state_of(d)->readers[d->shape.row_classes[d->next_row++]];
        uint64_t off = (uint64_t)(p->next - d->data);
        read_codes(p, out, d->shape.n_cols);
        if (p->width == MAX_WIDTH && has_minus_128(out, d->shape.n_cols)) {
            return rusk_fail(err, RUSK_FORMAT, off,
                             "raw block, row %u: expected symbols -127 to 127, found -128",
                             d->next_row - 1);
        }
    }
    return d->next_row == d->shape.n_rows ? end(d, err) : RUSK_OK;
}

static rusk_status rows(rusk_decoder *const *d, unsigned n, uint32_t n_rows, int8_t *const *out,
                        size_t stride, unsigned *failed, rusk_error *err) {
    for (unsigned i = 0; i < n; i++) {
        *failed = i;
        RUSK_TRY(rows_of(d[i], n_rows, out[i], stride, err));
    }
    return RUSK_OK;
}

/* Half a group of padding a class is all, and only where rows are no multiple of 64. */
static double block_bits(const rusk_block_shape *shape) {
    (void)shape;
    return 8;
}

const rusk_codec rusk_codec_raw = {
    .name = "raw",
    .summary = "bit planes, 1 to 8 bits a symbol: fastest, for flat histograms",
    .build_tables = build_tables,
    .cost_bits = cost_bits,
    .block_bits = block_bits,
    .open_tables = open_tables,
    .close_tables = close_tables,
    .fold = fold,
    .encode = encode,
    .begin = begin,
    .rows = rows,
};
