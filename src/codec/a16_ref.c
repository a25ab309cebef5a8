/* a16_ref.c - the a16 family's decoder in plain C: the definition that the others are held to. */
#include "base/assert.h"
#include "codec/a16.h"
#include "codec/fields.h"

/* The entry of a lane's state, and the state after it. */
static unsigned advance(rusk_a16_stream *s, const rusk_a16_class *c, size_t lane) {
    unsigned slot = s->low[lane], bucket = slot >> 4, offset = slot & 15;
    bool own = (int)offset <= (int8_t)c->last[bucket];
    unsigned entry = own ? bucket : c->alias[bucket];
    unsigned rank = own ? offset : (slot - c->back[bucket]) & 0xFF;
    unsigned x = c->freq[entry] * (unsigned)s->high[lane] + rank;
    if (x < RUSK_A16_LOW) {
        x = x << 8 | *s->next++;
    }
    s->high[lane] = (uint8_t)(x >> 8);
    s->low[lane] = (uint8_t)x;
    return entry;
}

static bool ran_out(const rusk_a16_stream *s) {
    return s->next > s->end || s->escape > s->escape_end;
}

static bool is_escape(const rusk_a16_class *c, unsigned entry) {
    return c->escape && entry == RUSK_A16_ESCAPE;
}

/* A step takes at most 64 code bytes and 64 escape bytes: as many as are readable past the end. */
static void row_of_singles(const rusk_a16_row *row, size_t n_cols) {
    const rusk_a16_class *c = row->cls;
    rusk_a16_stream *s = row->stream;
    for (size_t at = 0; at < n_cols && !ran_out(s); at += RUSK_A16_LANES) {
        uint8_t low[RUSK_FIELD_GROUP];
        size_t n = RUSK_MIN(n_cols - at, (size_t)RUSK_A16_LANES);
        rusk_fields_get_ref(row->fields + rusk_field_bytes(at, c->width), 1, c->width, 0, low);
        for (size_t j = 0; j < n; j++) {
            unsigned entry = advance(s, c, j);
            row->out[at + j] =
                is_escape(c, entry) ? (int8_t)*s->escape++ : (int8_t)(c->value[0][entry] + low[j]);
        }
    }
}

/* Weights of all lanes' entries: the first ones, or the second ones, of which the last lane's may
 * be absent. */
static void weights_of(const rusk_a16_class *c, const uint8_t *entries, unsigned which, size_t n,
                       size_t n_present, const uint8_t *low, rusk_a16_stream *s, int8_t *out) {
    for (size_t j = 0; j < n; j++) {
        unsigned sign = 1U << c->low_bits;
        int field = (int)(low[j] ^ sign) - (int)sign; /* sign extended */
        int8_t weight = (int8_t)(c->value[which][entries[j]] ^ field);
        if (is_escape(c, entries[j])) {
            weight = (int8_t)*s->escape++;
        }
        if (j < n_present) {
            out[j] = weight;
        }
    }
}

static void row_of_pairs(const rusk_a16_row *row, size_t n_cols) {
    enum { STEP = 2 * RUSK_A16_LANES };
    const rusk_a16_class *c = row->cls;
    rusk_a16_stream *s = row->stream;
    for (size_t at = 0; at < n_cols && !ran_out(s); at += STEP) {
        uint8_t low[STEP] = {0}, entries[RUSK_A16_LANES];
        size_t n_here = RUSK_MIN(n_cols - at, (size_t)STEP), n = (n_here + 1) / 2;
        rusk_fields_get_ref(row->fields + rusk_field_bytes(at, c->width), rusk_field_groups(n_here),
                            c->width, 0, low);
        for (size_t j = 0; j < n; j++) {
            entries[j] = (uint8_t)advance(s, c, j);
        }
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
