/* a16_ref.c - the a16 family's decoder in plain C: the definition that the others are held to. */
#include "base/assert.h"
#include "codec/a16.h"
#include "codec/fields.h"

/* The entries of a step of n lanes, and their states after it. Whose bucket's entry it is, and
 * whether a lane takes a byte, is as good as random: masks instead of branches. */
static void take_entries(rusk_a16_stream *s, const rusk_a16_class *c, size_t n, uint8_t *entries) {
    const uint8_t *next = s->next;
    for (size_t j = 0; j < n; j++) {
        unsigned slot = s->low[j], bucket = slot >> 4;
        unsigned own = 0U - ((int)(slot & 15) <= (int8_t)c->last[bucket]); /* a mask */
        unsigned entry = (bucket & own) | (c->alias[bucket] & ~own);
        unsigned first = (slot & 0xF0 & own) | (c->back[bucket] & ~own);
        unsigned x = c->freq[entry] * (unsigned)s->high[j] + ((slot - first) & 0xFF);
        unsigned takes = x < RUSK_A16_LOW;
        x = x << 8 * takes | (*next & (0U - takes));
        next += takes;
        s->high[j] = (uint8_t)(x >> 8);
        s->low[j] = (uint8_t)x;
        entries[j] = (uint8_t)entry;
    }
    s->next = next;
}

static bool ran_out(const rusk_a16_stream *s) {
    return s->next > s->end || s->escape > s->escape_end;
}

static bool any_escape(const rusk_a16_class *c, const uint8_t *entries, size_t n) {
    unsigned any = 0;
    for (size_t j = 0; j < n; j++) {
        any |= entries[j] == RUSK_A16_ESCAPE;
    }
    return c->escape && any != 0;
}

/* A step takes at most 64 code bytes and 64 escape bytes: as many as are readable past the end. */
static void row_of_singles(const rusk_a16_row *row, size_t n_cols) {
    const rusk_a16_class *c = row->cls;
    rusk_a16_stream *s = row->stream;
    for (size_t at = 0; at < n_cols && !ran_out(s); at += RUSK_A16_LANES) {
        uint8_t low[RUSK_FIELD_GROUP], entries[RUSK_A16_LANES];
        size_t n = RUSK_MIN(n_cols - at, (size_t)RUSK_A16_LANES);
        rusk_fields_get_ref(row->fields + rusk_field_bytes(at, c->width), 1, c->width, 0, low);
        take_entries(s, c, n, entries);
        for (size_t j = 0; j < n; j++) {
            row->out[at + j] = (int8_t)(c->value[0][entries[j]] + low[j]);
        }
        for (size_t j = any_escape(c, entries, n) ? 0 : n; j < n; j++) {
            if (entries[j] == RUSK_A16_ESCAPE) {
                row->out[at + j] = (int8_t)*s->escape++;
            }
        }
    }
}

/* The first or the second weights of a step's n entries. Where n_cols is odd, the last second one
 * is absent, but may be escaped. */
static void weights_of(const rusk_a16_class *c, const uint8_t *entries, unsigned which, size_t n,
                       size_t n_present, const uint8_t *low, rusk_a16_stream *s, int8_t *out) {
    int sign = 1 << c->low_bits;
    for (size_t j = 0; j < n_present; j++) {
        int field = (low[j] ^ sign) - sign; /* sign extended */
        out[j] = (int8_t)(c->value[which][entries[j]] ^ field);
    }
    for (size_t j = any_escape(c, entries, n) ? 0 : n; j < n; j++) {
        if (entries[j] == RUSK_A16_ESCAPE) {
            int8_t weight = (int8_t)*s->escape++;
            if (j < n_present) {
                out[j] = weight;
            }
        }
    }
}

static void row_of_pairs(const rusk_a16_row *row, size_t n_cols) {
    enum { STEP = 2 * RUSK_A16_LANES };
    const rusk_a16_class *c = row->cls;
    rusk_a16_stream *s = row->stream;
    for (size_t at = 0; at < n_cols && !ran_out(s); at += STEP) {
        uint8_t low[STEP] = {0}, entries[RUSK_A16_LANES] = {0};
        size_t n_here = RUSK_MIN(n_cols - at, (size_t)STEP), n = (n_here + 1) / 2;
        rusk_fields_get_ref(row->fields + rusk_field_bytes(at, c->width), rusk_field_groups(n_here),
                            c->width, 0, low);
        take_entries(s, c, n, entries);
        weights_of(c, entries, 0, n, n, low, s, row->out + at);
        if (!ran_out(s)) {
            weights_of(c, entries, 1, n, n_here - n, low + n, s, row->out + at + n);
        }
    }
}

void rusk_a16_rows_ref(const rusk_a16_row *rows, unsigned n, size_t n_cols) {
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].cls->pair) {
            row_of_pairs(&rows[i], n_cols);
        } else {
            row_of_singles(&rows[i], n_cols);
        }
    }
}
