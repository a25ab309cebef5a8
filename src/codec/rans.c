/* rans.c - 32 interleaved static range ANS coders (Duda, 2013; interleaving: Giesen, 2014), plain.
 *
 * A lane's state is a number x, 2^14 <= x < 2^30. Encoding a symbol of frequency f (of 4096) takes
 * x to about x * 4096 / f: the state grows by the symbol's information. Before it would pass 2^30
 * its low 16 bits go out as a word. Decoding undoes this, last to first, so the encoder runs
 * through the block backwards and its words are reversed at the end.
 *
 *     x' = (x / f) * 4096 + start + x % f       encode;  first, if x >= f * 2^18: a word leaves
 *     x  = f * (x' / 4096) + slot - start       decode;  then, if x < 2^14: a word enters
 *
 * Why 2^14: states near 4096 divide coarsely by f, which costs 0.005 bits a symbol at a bound of
 * 2^12 and 0.0005 at 2^14; each bit more costs a lane one bit at its start, 0.0005 a symbol.
 *
 * Column c of a row belongs to lane c % 32, so 32 neighbours make a step of one vector or two or
 * four; in a step, lanes take words in ascending order. */
#include "codec/rans.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "codec/registry.h"

enum { WORDS_BUFFERED = 256 };

static const rusk_rans_class *class_of_row(const rusk_codec_tables *tables,
                                           const rusk_block_shape *shape, size_t row) {
    unsigned c = shape->row_classes[row];
    return c < RUSK_CODEC_CLASSES ? rusk_rans_of(tables)->at[c] : NULL;
}

static size_t lanes_of(const rusk_block_shape *shape) {
    return RUSK_MIN(shape->n_cols, (uint32_t)RUSK_RANS_LANES);
}

/* --- decoding ------------------------------------------------------------------------------- */

/* Takes a word where the state is low. A missing word is read as zero and leaves `left` negative,
 * so that end() finds it. */
static inline uint32_t refill(rusk_rans_run *run, uint32_t x) {
    if (x >= RUSK_RANS_LOW) {
        return x;
    }
    uint32_t word = run->left >= 2 ? rusk_load_u16(run->next) : 0;
    run->next += run->left >= 2 ? 2 : 0;
    run->left -= 2;
    return x << 16 | word;
}

/* What a rusk_decoder holds. */
typedef struct rans_state {
    rusk_rans_run run;
    rusk_rans_steps steps;
} rans_state;

_Static_assert(sizeof(rans_state) <= RUSK_DECODER_STATE, "a decoder's state holds it");

static rans_state *state_of(rusk_decoder *d) {
    return (rans_state *)(void *)d->state;
}

static rusk_status begin(rusk_decoder *d, const rusk_codec_tables *tables,
                         const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                         rusk_error *err) {
    size_t n_lanes = lanes_of(shape);
    rusk_rans_run *run = &state_of(d)->run;
    RUSK_TRY(rusk_decoder_init(d, tables, shape, data, len_bytes, err));
    state_of(d)->steps = rusk_rans_of(tables)->steps;
    for (size_t r = 0; r < shape->n_rows; r++) {
        if (class_of_row(tables, shape, r) == NULL) {
            return rusk_fail(err, RUSK_FORMAT, 0,
                             "rans block, row %zu: expected a class with a table, found class %u",
                             r, shape->row_classes[r]);
        }
    }
    if (len_bytes % 2 != 0 || len_bytes < 2 * n_lanes) {
        return rusk_fail(err, RUSK_FORMAT, len_bytes,
                         "rans block: expected an even length of at least %zu bytes, found %zu",
                         2 * n_lanes, len_bytes);
    }
    run->next = data + 2 * n_lanes;
    run->left = (int64_t)(len_bytes - 2 * n_lanes);
    for (size_t j = 0; j < RUSK_RANS_LANES; j++) {
        run->state[j] = j < n_lanes ? refill(run, rusk_load_u16(data + 2 * j)) : RUSK_RANS_LOW;
    }
    return RUSK_OK;
}

/* A step of n lanes with all checks. */
static void careful_step(rusk_rans_run *run, const uint32_t *slots, size_t n, int8_t *out) {
    for (size_t j = 0; j < n; j++) {
        uint32_t x = run->state[j], slot = slots[x % RUSK_FREQ_SUM];
        out[j] = (int8_t)(slot & 0xFF);
        x = (slot >> 8 & 0xFFF) * (x >> RUSK_FREQ_BITS) + (slot >> 20);
        run->state[j] = refill(run, x);
    }
}

static rusk_status end(const rusk_rans_run *run, const uint8_t *data, rusk_error *err) {
    if (run->left != 0) {
        return rusk_fail(err, RUSK_FORMAT, (uint64_t)(run->next - data),
                         "rans block: expected %s bytes than there are, found %lld %s",
                         run->left > 0 ? "fewer" : "more", llabs((long long)run->left),
                         run->left > 0 ? "left over" : "missing");
    }
    for (size_t j = 0; j < RUSK_RANS_LANES; j++) {
        if (run->state[j] != RUSK_RANS_LOW) {
            return rusk_fail(err, RUSK_FORMAT, (uint64_t)(run->next - data),
                             "rans block, lane %zu: expected %u as last state, found %u", j,
                             RUSK_RANS_LOW, run->state[j]);
        }
    }
    return RUSK_OK;
}

/* A whole step while words for all lanes are there. Which lanes are low is as good as random, so
 * a branch would be mispredicted all the time: states are below 2^30, and the sign of
 * state - 2^14 makes shift, mask and advance. */
static inline const uint8_t *fast_step(uint32_t state[RUSK_RANS_LANES], const uint32_t *slots,
                                       const uint8_t *next, int8_t *out) {
    for (size_t j = 0; j < RUSK_RANS_LANES; j++) {
        uint32_t x = state[j], slot = slots[x % RUSK_FREQ_SUM];
        out[j] = (int8_t)(slot & 0xFF);
        x = (slot >> 8 & 0xFFF) * (x >> RUSK_FREQ_BITS) + (slot >> 20);
        uint32_t low = (x - RUSK_RANS_LOW) >> 31;
        state[j] = x << 16 * low | (rusk_load_u16(next) & (0 - low));
        next += 2 * low;
    }
    return next;
}

size_t rusk_rans_steps_ref(rusk_rans_run *run, const uint32_t *slots, size_t n_steps, int8_t *out) {
    size_t n = 0;
    for (; n < n_steps && run->left >= 2 * RUSK_RANS_LANES; n++) {
        const uint8_t *next = fast_step(run->state, slots, run->next, out + n * RUSK_RANS_LANES);
        run->left -= next - run->next;
        run->next = next;
    }
    return n;
}

rusk_rans_steps rusk_rans_steps_for(uint32_t cpu_mask) {
#if defined(__x86_64__)
    if ((cpu_mask & RUSK_CPU_AVX2) != 0) {
        return rusk_rans_steps_avx2;
    }
#elif defined(__aarch64__)
    if ((cpu_mask & RUSK_CPU_NEON) != 0) {
        return rusk_rans_steps_neon;
    }
#endif
    (void)cpu_mask;
    return rusk_rans_steps_ref;
}

static rusk_status rows_of(rusk_decoder *d, uint32_t n_rows, int8_t *out, size_t stride,
                           rusk_error *err) {
    rans_state *s = state_of(d);
    size_t n_cols = d->shape.n_cols;
    for (uint32_t r = 0; r < n_rows; r++, out += stride) {
        const rusk_rans_class *cls = class_of_row(d->tables, &d->shape, d->next_row++);
        RUSK_ASSERT(cls != NULL); /* begin has seen to it */
        const uint32_t *slots = cls->slots;
        rusk_decoder_look_ahead(d);
        size_t c = s->steps(&s->run, slots, n_cols / RUSK_RANS_LANES, out) * RUSK_RANS_LANES;
        for (; c < n_cols; c += RUSK_RANS_LANES) {
            careful_step(&s->run, slots, RUSK_MIN(n_cols - c, (size_t)RUSK_RANS_LANES), out + c);
        }
    }
    return d->next_row == d->shape.n_rows ? end(&s->run, d->data, err) : RUSK_OK;
}

static rusk_status rows(rusk_decoder *const *d, unsigned n, uint32_t n_rows, int8_t *const *out,
                        size_t stride, unsigned *failed, rusk_error *err) {
    for (unsigned i = 0; i < n; i++) {
        *failed = i;
        RUSK_TRY(rows_of(d[i], n_rows, out[i], stride, err));
    }
    return RUSK_OK;
}

rusk_status rusk_rans_decode_with(rusk_rans_steps steps, const rusk_codec_tables *tables,
                                  const rusk_block_shape *shape, const uint8_t *data,
                                  size_t len_bytes, int8_t *out, size_t stride, rusk_error *err) {
    rusk_decoder d;
    RUSK_TRY(begin(&d, tables, shape, data, len_bytes, err));
    state_of(&d)->steps = steps;
    return rows_of(&d, shape->n_rows, out, stride, err);
}

/* --- encoding ------------------------------------------------------------------------------- */

/* Words in the order they leave the encoder; the block wants them reversed. */
typedef struct word_sink {
    rusk_strbuf *out;
    uint8_t bytes[2 * WORDS_BUFFERED];
    size_t n_bytes;
} word_sink;

static void flush_words(word_sink *sink) {
    rusk_strbuf_add(sink->out, sink->bytes, sink->n_bytes);
    sink->n_bytes = 0;
}

static void put_word(word_sink *sink, uint32_t x) {
    if (sink->n_bytes == sizeof sink->bytes) {
        flush_words(sink);
    }
    rusk_store_u16(sink->bytes + sink->n_bytes, (uint16_t)x);
    sink->n_bytes += 2;
}

static bool is_full(uint32_t x, uint32_t freq) {
    return x >= freq * (RUSK_RANS_LOW / RUSK_FREQ_SUM << 16);
}

static uint32_t push(uint32_t x, uint32_t freq, uint32_t start) {
    return x / freq * RUSK_FREQ_SUM + start + x % freq;
}

/* Steps in decoding order: row by row, ceil(n_cols / 32) a row. */
static size_t steps_of_row(const rusk_block_shape *shape) {
    return (shape->n_cols + RUSK_RANS_LANES - 1) / RUSK_RANS_LANES;
}

static rusk_status check_symbols(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                                 const int8_t *symbols, rusk_error *err) {
    for (size_t r = 0; r < shape->n_rows; r++) {
        const rusk_rans_class *c = class_of_row(tables, shape, r);
        const int8_t *row = symbols + r * shape->n_cols;
        if (c == NULL) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "row %zu: expected a class with a table, found class %u", r,
                             shape->row_classes[r]);
        }
        for (size_t i = 0; i < shape->n_cols; i++) {
            if (c->freq[row[i] + 128] == 0) {
                return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                                 "row %zu, column %zu: expected a symbol with a code, found %d", r,
                                 i, row[i]);
            }
        }
    }
    return RUSK_OK;
}

/* All steps, last to first. */
static void push_all(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                     const int8_t *symbols, uint32_t state[RUSK_RANS_LANES], word_sink *sink) {
    size_t n_row = steps_of_row(shape);
    for (size_t step = (size_t)shape->n_rows * n_row; step-- > 0;) {
        size_t row = step / n_row, c0 = step % n_row * RUSK_RANS_LANES;
        const rusk_rans_class *c = class_of_row(tables, shape, row);
        const int8_t *from = symbols + row * shape->n_cols + c0;
        for (size_t j = RUSK_MIN(shape->n_cols - c0, (size_t)RUSK_RANS_LANES); j-- > 0;) {
            size_t s = (size_t)(from[j] + 128);
            if (is_full(state[j], c->freq[s])) {
                put_word(sink, state[j]);
                state[j] >>= 16;
            }
            state[j] = push(state[j], c->freq[s], c->start[s]);
        }
    }
}

static void reverse_words(uint8_t *bytes, size_t n_words) {
    for (size_t i = 0, k = n_words; i + 1 < k; i++) {
        k--;
        uint16_t low = rusk_load_u16(bytes + 2 * i);
        rusk_store_u16(bytes + 2 * i, rusk_load_u16(bytes + 2 * k));
        rusk_store_u16(bytes + 2 * k, low);
    }
}

static rusk_status encode(const rusk_codec_tables *tables, const rusk_block_shape *shape,
                          const int8_t *symbols, rusk_strbuf *out, rusk_error *err) {
    uint8_t heads[2 * RUSK_RANS_LANES] = {0};
    uint32_t state[RUSK_RANS_LANES];
    word_sink sink = {.out = out};
    size_t n_lanes = lanes_of(shape), start = out->len_bytes;
    if (shape->n_rows == 0 || shape->n_cols == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at least one row and column, found %u x %u",
                         shape->n_rows, shape->n_cols);
    }
    RUSK_TRY(check_symbols(tables, shape, symbols, err));
    for (size_t j = 0; j < RUSK_RANS_LANES; j++) {
        state[j] = RUSK_RANS_LOW;
    }
    rusk_strbuf_add(out, heads, 2 * n_lanes);
    push_all(tables, shape, symbols, state, &sink);
    for (size_t j = n_lanes; j-- > 0;) {
        if (state[j] > UINT16_MAX) {
            put_word(&sink, state[j]);
            state[j] >>= 16;
        }
        rusk_store_u16(heads + 2 * j, (uint16_t)state[j]);
    }
    flush_words(&sink);
    if (out->failed) {
        return rusk_fail_memory(err, 2 * n_lanes, "coded block");
    }
    uint8_t *block = (uint8_t *)out->data + start;
    memcpy(block, heads, 2 * n_lanes);
    reverse_words(block + 2 * n_lanes, (out->len_bytes - start - 2 * n_lanes) / 2);
    return RUSK_OK;
}

/* --- the codec ------------------------------------------------------------------------------ */

static double cost_bits(const rusk_hist *hist) {
    double bits = 0;
    uint16_t freq[RUSK_CODEC_ALPHABET];
    for (size_t c = 0; c < RUSK_CODEC_CLASSES; c++) {
        bool any = false;
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET && !any; s++) {
            any = hist->count[c][s] > 0;
        }
        bits += any ? rusk_freq_choose(hist->count[c], freq) : 0;
    }
    return bits;
}

/* A lane starts with 14 bits of nothing. It ends, anywhere in 2^14 .. 2^30 by logarithm, 22 bits
 * long in the mean, and is stored in 16 bits below 2^16, else in 32: 30 in the mean. */
static double block_bits(const rusk_block_shape *shape) {
    return 8 + (14 + 30 - 22) * (double)lanes_of(shape);
}

static const int8_t *fold(const rusk_codec_tables *tables, unsigned class_index) {
    const rusk_rans_class *c = rusk_rans_of(tables)->at[class_index];
    return c != NULL ? c->fold : NULL;
}

static void close_tables(rusk_codec_tables *tables) {
    if (tables != NULL) {
        rusk_alloc_put(rusk_rans_of(tables)->alloc, tables);
    }
}

const rusk_codec rusk_codec_rans = {
    .name = "rans",
    .summary = "range ANS, 32 lanes, 12-bit frequencies: within 0.4 % of the entropy",
    .for_storage = true,
    .build_tables = rusk_rans_build_tables,
    .cost_bits = cost_bits,
    .block_bits = block_bits,
    .open_tables = rusk_rans_open_tables,
    .close_tables = close_tables,
    .fold = fold,
    .encode = encode,
    .begin = begin,
    .rows = rows,
};
