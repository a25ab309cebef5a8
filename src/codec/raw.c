/* raw.c - codes of fixed width, 1 to 8 bits, a width and a lowest symbol per class: rows in order,
 * each packed as fields.h says. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/fields.h"
#include "codec/hist.h"
#include "codec/registry.h"

enum { GROUP = RUSK_FIELD_GROUP, MAX_WIDTH = RUSK_FIELD_MAX_WIDTH, PIECE = 8 * GROUP };

typedef struct raw_tables {
    rusk_alloc *alloc;
    rusk_fields_get get;                /* the fastest this processor runs */
    uint8_t width[RUSK_CODEC_CLASSES];  /* 0: the class has no table */
    uint8_t lowest[RUSK_CODEC_CLASSES]; /* index (symbol + 128) of code 0 */
    int8_t fold[RUSK_CODEC_CLASSES][RUSK_CODEC_ALPHABET];
} raw_tables;

static const raw_tables *raw_of(const rusk_codec_tables *tables) {
    return (const raw_tables *)tables;
}

/* --- tables --------------------------------------------------------------------------------- */

/* A patch's price when a width is chosen. It takes 24 bits, but also 3 ns where a symbol takes
 * 0.015: one in 200 doubles the time. At four times the bits, what is coded grows by 0 to 8 %
 * (Gaussians), up to 18 % where tails are heavy, and decodes 1.3 to 7 times as fast. Who wants
 * fewest bytes takes another codec. */
#define PATCH_PRICE_BITS (4 * RUSK_PATCH_COST_BITS)

typedef struct raw_choice {
    unsigned width, lowest;
    double price, bits; /* symbols and patches: at their price, and as coded */
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
    best.price = (double)total * width + (double)(total - most) * PATCH_PRICE_BITS;
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
        best = width == 1 || c.price < best.price ? c : best;
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
    t->get = rusk_fields_get_for(rusk_cpu_features());
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

/* Every row's class has a table; *n_bytes = what the rows take. */
static rusk_status payload_bytes(const raw_tables *t, const rusk_block_shape *shape,
                                 rusk_status status, uint64_t *n_bytes, rusk_error *err) {
    uint64_t widths = 0;
    for (size_t r = 0; r < shape->n_rows; r++) {
        unsigned c = shape->row_classes[r];
        if (c >= RUSK_CODEC_CLASSES || t->width[c] == 0) {
            return rusk_fail(err, status, status == RUSK_FORMAT ? 0 : RUSK_NO_OFFSET,
                             "raw block, row %zu: expected a class with a table, found class %u", r,
                             c);
        }
        widths += t->width[c];
    }
    *n_bytes = rusk_field_bytes(shape->n_cols, 1) * widths;
    return RUSK_OK;
}

/* Codes a piece of a row and appends it. */
static rusk_status put_piece(const raw_tables *t, unsigned c, const int8_t *symbols, size_t n,
                             size_t row, size_t col, rusk_strbuf *out, rusk_error *err) {
    uint8_t codes[PIECE], bytes[PIECE];
    unsigned lowest = t->lowest[c], most = (1U << t->width[c]) - 1, bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t code = (uint8_t)(((uint8_t)symbols[i] ^ 0x80U) - lowest);
        bad |= (unsigned)(code > most) | (unsigned)(symbols[i] == INT8_MIN);
        codes[i] = code;
    }
    for (size_t i = 0; i < n && bad != 0; i++) {
        if (codes[i] > most || symbols[i] == INT8_MIN) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "row %zu, column %zu: expected a symbol with a code, found %d", row,
                             col + i, symbols[i]);
        }
    }
    rusk_fields_put(codes, n, t->width[c], bytes);
    rusk_strbuf_add(out, bytes, rusk_field_bytes(n, t->width[c]));
    return RUSK_OK;
}

static rusk_status encode(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                          const int8_t *symbols, rusk_strbuf *out, rusk_error *err) {
    const raw_tables *t = raw_of(tables);
    uint64_t n_bytes = 0;
    if (shape->n_rows == 0 || shape->n_cols == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at least one row and column, found %u x %u",
                         shape->n_rows, shape->n_cols);
    }
    RUSK_TRY(payload_bytes(t, shape, RUSK_INVALID_ARGUMENT, &n_bytes, err));
    for (size_t r = 0; r < shape->n_rows; r++, symbols += shape->n_cols) {
        for (size_t c = 0; c < shape->n_cols; c += PIECE) {
            RUSK_TRY(put_piece(t, shape->row_classes[r], symbols + c,
                               RUSK_MIN(shape->n_cols - c, (size_t)PIECE), r, c, out, err));
        }
    }
    return out->failed ? rusk_fail_memory(err, (size_t)n_bytes, "coded block") : RUSK_OK;
}

/* What a rusk_decoder holds. */
typedef struct raw_state {
    const uint8_t *next; /* row to decode next */
} raw_state;

static raw_state *state_of(rusk_decoder *d) {
    return (raw_state *)(void *)d->state;
}

static rusk_status begin(rusk_decoder *d, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                         rusk_error *err) {
    uint64_t need = 0;
    RUSK_TRY(rusk_decoder_init(d, tables, shape, data, len_bytes, err));
    RUSK_TRY(payload_bytes(raw_of(tables), shape, RUSK_FORMAT, &need, err));
    if (need != len_bytes) {
        return rusk_fail(err, RUSK_FORMAT, len_bytes, "raw block: expected %llu bytes, found %zu",
                         (unsigned long long)need, len_bytes);
    }
    state_of(d)->next = data;
    return RUSK_OK;
}

/* Whole groups by fixed trip counts, which compilers turn to vectors. */
static bool has_minus_128(const int8_t *row, size_t n) {
    unsigned found = 0;
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        uint8_t any = 0;
        for (size_t k = 0; k < GROUP; k++) {
            any |= row[i + k] == INT8_MIN;
        }
        found |= any;
    }
    for (; i < n; i++) {
        found |= row[i] == INT8_MIN;
    }
    return found != 0;
}

/* The row's last columns, fewer than a group; false where the fill behind them is not zero. */
static bool get_last(const raw_tables *t, const uint8_t *group, unsigned width, uint8_t add,
                     int8_t *out, size_t n) {
    uint8_t values[GROUP];
    bool zero = true;
    t->get(group, 1, width, add, values);
    memcpy(out, values, n);
    for (size_t i = n; i < GROUP; i++) {
        zero &= values[i] == add;
    }
    return zero;
}

static rusk_status get_row(rusk_decoder *d, size_t row, int8_t *out, rusk_error *err) {
    const raw_tables *t = raw_of(d->tables);
    unsigned c = d->shape.row_classes[row], width = t->width[c];
    size_t n_cols = d->shape.n_cols, whole = n_cols / GROUP;
    const uint8_t *from = state_of(d)->next, *last = from + whole * 8 * width;
    uint8_t add = (uint8_t)(t->lowest[c] + 128U);
    t->get(from, whole, width, add, (uint8_t *)out);
    if (n_cols % GROUP != 0 &&
        !get_last(t, last, width, add, out + whole * GROUP, n_cols % GROUP)) {
        return rusk_fail(err, RUSK_FORMAT, (uint64_t)(last - d->data),
                         "raw block, row %zu: expected zero bits after the last code, found others",
                         row);
    }
    if (width == MAX_WIDTH && has_minus_128(out, n_cols)) {
        return rusk_fail(err, RUSK_FORMAT, (uint64_t)(from - d->data),
                         "raw block, row %zu: expected symbols -127 to 127, found -128", row);
    }
    state_of(d)->next = from + rusk_field_bytes(n_cols, width);
    return RUSK_OK;
}

static rusk_status rows(rusk_decoder *const *d, unsigned n, uint32_t n_rows, int8_t *const *out,
                        size_t stride, unsigned *failed, rusk_error *err) {
    for (unsigned i = 0; i < n; i++) {
        *failed = i;
        for (size_t r = 0; r < n_rows; r++) {
            rusk_decoder_look_ahead(d[i]);
            RUSK_TRY(get_row(d[i], d[i]->next_row++, out[i] + r * stride, err));
        }
    }
    return RUSK_OK;
}

/* An empty patch list, and what fills rows up to whole groups: 4 bits a column, for the shape does
 * not tell the width. */
static double block_bits(const rusk_block_shape *shape) {
    uint64_t fill = rusk_field_groups(shape->n_cols) * GROUP - shape->n_cols;
    return 8 + 4 * (double)fill * shape->n_rows;
}

const rusk_codec rusk_codec_raw = {
    .name = "raw",
    .summary = "1 to 8 bits a symbol, packed: fastest, for flat histograms",
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
