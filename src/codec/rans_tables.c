/* rans_tables.c - frequency tables of the rans codec: to a blob and back.
 *
 * A class's frequencies fall from thousands at the centre to ones in the tails, smoothly on a
 * logarithmic scale: so a frequency is written as the change of its bit length against its
 * predecessor's, in unary, and its bits below the leading one. About 40 bytes a class where plain
 * bytes take 50 to 210 (measured on quantized SmolLM2). */
#include "codec/rans.h"

#include "base/assert.h"
#include "base/cpu.h"

/* Bit length that the first frequency is compared with, and the longest. */
enum { FIRST_LENGTH = 1, MOST_LENGTH = RUSK_FREQ_BITS };

/* --- writing -------------------------------------------------------------------------------- */

typedef struct bit_writer {
    rusk_strbuf *out;
    uint32_t bits;
    unsigned n_bits;
} bit_writer;

static void put_bits(bit_writer *w, uint32_t value, unsigned n) {
    w->bits |= value << w->n_bits;
    w->n_bits += n;
    while (w->n_bits >= 8) {
        rusk_strbuf_add_u8(w->out, (uint8_t)w->bits);
        w->bits >>= 8;
        w->n_bits -= 8;
    }
}

static int bit_length(uint32_t v) {
    return v == 0 ? 0 : 32 - __builtin_clz(v);
}

static void write_class(rusk_strbuf *blob, const uint16_t freq[RUSK_CODEC_ALPHABET]) {
    bit_writer w = {.out = blob};
    unsigned first = 0, last = RUSK_CODEC_ALPHABET - 1;
    int before = FIRST_LENGTH;
    while (freq[first] == 0) {
        first++;
    }
    while (freq[last] == 0) {
        last--;
    }
    rusk_strbuf_add_u8(blob, (uint8_t)first);
    rusk_strbuf_add_u8(blob, (uint8_t)last);
    for (unsigned s = first; s <= last; s++) {
        int length = bit_length(freq[s]), change = length - before;
        unsigned ones = (unsigned)(change > 0 ? 2 * change - 1 : -2 * change);
        put_bits(&w, ((uint32_t)1 << ones) - 1, ones + 1);
        if (length > 1) {
            unsigned n = (unsigned)length - 1;
            put_bits(&w, freq[s] & (((uint32_t)1 << n) - 1), n);
        }
        before = length;
    }
    put_bits(&w, 0, (8 - w.n_bits) % 8);
}

rusk_status rusk_rans_build_tables(const rusk_hist *hist, rusk_strbuf *blob, rusk_error *err) {
    uint16_t freq[RUSK_CODEC_CLASSES][RUSK_CODEC_ALPHABET];
    unsigned mask = 0;
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if (hist->count[c][0] > 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "class %u: expected symbols -127 to 127, found -128", c);
        }
        bool any = false;
        for (size_t s = 0; s < RUSK_CODEC_ALPHABET && !any; s++) {
            any = hist->count[c][s] > 0;
        }
        if (any) {
            mask |= 1U << c;
            (void)rusk_freq_choose(hist->count[c], freq[c]);
        }
    }
    rusk_strbuf_add_u16(blob, (uint16_t)mask);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if ((mask >> c & 1) != 0) {
            write_class(blob, freq[c]);
        }
    }
    return blob->failed ? rusk_fail_memory(err, 64, "rans table blob") : RUSK_OK;
}

/* --- reading -------------------------------------------------------------------------------- */

typedef struct bit_reader {
    rusk_reader *in;
    uint32_t bits;
    unsigned n_bits;
} bit_reader;

static uint32_t get_bits(bit_reader *r, unsigned n) {
    while (r->n_bits < n) {
        r->bits |= (uint32_t)rusk_reader_u8(r->in) << r->n_bits;
        r->n_bits += 8;
    }
    uint32_t value = r->bits & (((uint32_t)1 << n) - 1);
    r->bits >>= n;
    r->n_bits -= n;
    return value;
}

/* Next frequency; *length is the last one's bit length and becomes this one's. 2^13 where the
 * length leaves 0 .. 12. */
static uint32_t get_frequency(bit_reader *r, int *length) {
    int ones = 0;
    while (ones <= 2 * MOST_LENGTH && get_bits(r, 1) == 1) {
        ones++;
    }
    *length += ones % 2 == 1 ? (ones + 1) / 2 : -(ones / 2);
    if (*length < 0 || *length > MOST_LENGTH) {
        return 2 * RUSK_FREQ_SUM;
    }
    unsigned n = (unsigned)RUSK_MAX(*length - 1, 0);
    return *length == 0 ? 0 : (uint32_t)1 << n | get_bits(r, n);
}

static rusk_status read_class(rusk_reader *in, unsigned class_index,
                              uint16_t freq[RUSK_CODEC_ALPHABET], rusk_error *err) {
    bit_reader r = {.in = in};
    unsigned first = rusk_reader_u8(in), last = rusk_reader_u8(in);
    uint32_t sum = 0;
    int length = FIRST_LENGTH;
    memset(freq, 0, RUSK_CODEC_ALPHABET * sizeof freq[0]);
    if (!rusk_reader_ok(in) || first == 0 || first >= last) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "rans table, class %u: expected a range of symbol indexes, found %u to %u",
                         class_index, first, last);
    }
    for (unsigned s = first; s <= last && sum <= RUSK_FREQ_SUM; s++) {
        uint32_t f = get_frequency(&r, &length);
        if (f >= RUSK_FREQ_SUM) {
            return rusk_fail(
                err, RUSK_FORMAT, in->pos,
                "rans table, class %u, symbol index %u: expected a frequency below %d, "
                "found bit length %d",
                class_index, s, RUSK_FREQ_SUM, length);
        }
        freq[s] = (uint16_t)f;
        sum += f;
    }
    if (!rusk_reader_ok(in) || sum != RUSK_FREQ_SUM || freq[first] == 0 || freq[last] == 0 ||
        r.bits != 0) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "rans table, class %u: expected frequencies that sum to %d with both ends "
                         "used and zero padding, found sum %u%s",
                         class_index, RUSK_FREQ_SUM, sum,
                         rusk_reader_ok(in) ? "" : ", table cut short");
    }
    return RUSK_OK;
}

static void fill_class(rusk_rans_class *c, const uint16_t freq[RUSK_CODEC_ALPHABET]) {
    uint32_t start = 0;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        c->freq[s] = freq[s];
        c->start[s] = (uint16_t)(start % RUSK_FREQ_SUM);
        for (uint32_t i = 0; i < freq[s]; i++) {
            c->slots[start + i] = i << 20 | (uint32_t)freq[s] << 8 | (uint8_t)(s + 128);
        }
        start += freq[s];
    }
    RUSK_ASSERT(start == RUSK_FREQ_SUM);
    rusk_fold_map(freq, c->fold);
}

rusk_status rusk_rans_open_tables(rusk_codec_tables **out, rusk_alloc *alloc, const uint8_t *blob,
                                  size_t len_bytes, rusk_error *err) {
    rusk_reader in = rusk_reader_over(blob, len_bytes);
    unsigned mask = rusk_reader_u16(&in), n_classes = 0;
    *out = NULL;
    if (!rusk_reader_ok(&in)) {
        return rusk_fail(err, RUSK_FORMAT, 0,
                         "rans table: expected a 2-byte class mask, found %zu bytes", len_bytes);
    }
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        n_classes += mask >> c & 1;
    }
    size_t head =
        (sizeof(rusk_rans_tables) + RUSK_ALLOC_ALIGN - 1) / RUSK_ALLOC_ALIGN * RUSK_ALLOC_ALIGN;
    size_t size = head + n_classes * sizeof(rusk_rans_class);
    rusk_rans_tables *t = rusk_alloc_get(alloc, RUSK_MEM_TABLES, size);
    if (t == NULL) {
        return rusk_fail_memory(err, size, "rans tables");
    }
    *t = (rusk_rans_tables){.alloc = alloc, .steps = rusk_rans_steps_for(rusk_cpu_features())};
    rusk_rans_class *next = (rusk_rans_class *)((char *)t + head);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        uint16_t freq[RUSK_CODEC_ALPHABET];
        if ((mask >> c & 1) == 0) {
            continue;
        }
        rusk_status status = read_class(&in, c, freq, err);
        if (status != RUSK_OK) {
            rusk_alloc_put(alloc, t);
            return status;
        }
        fill_class(next, freq);
        t->at[c] = next++;
    }
    if (rusk_reader_left(&in) > 0) {
        rusk_alloc_put(alloc, t);
        return rusk_fail(err, RUSK_FORMAT, in.pos,
                         "rans table: expected its end here, found %zu bytes more",
                         len_bytes - in.pos);
    }
    *out = (rusk_codec_tables *)t;
    return RUSK_OK;
}
