/* a16_avx512.c - a step of 64 lanes in one register a plane, up to four streams at a time.
 *
 * A step hangs by the ones before it: low byte -> bucket -> entry -> product -> which lanes are low
 * -> bytes spread over them. That takes some 47 cycles on Zen 5 where the instructions of one
 * stream take 8, so four independent streams run together and their symbols (fields, escapes) are
 * made in the same loop, in cycles that would be idle. Two streams give 10e9 weights a second, four
 * 18e9, eight no more than 20e9 (single, one low bit). */
#include "codec/a16.h"

#if defined(__x86_64__)

#include "base/assert.h"
#include "codec/fields.h"
#include "codec/fields_x86.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) AVX512
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

enum { MOST_ROWS = 4, ANY_WIDTH = -1 };

typedef struct lanes {
    __m512i high, low;
    const uint8_t *next;
} lanes;

INLINE __m512i table(const void *entries) {
    return _mm512_broadcast_i32x4(_mm_load_si128(entries));
}

INLINE unsigned count(__mmask64 mask) {
    return (unsigned)__builtin_popcountll(mask);
}

/* The entries of one step. Where it is not a whole one, only the active lanes take part. */
INLINE __m512i step(lanes *x, const rusk_a16_class *c, bool steep, bool whole, __mmask64 active) {
    const __m512i low4 = _mm512_set1_epi8(15), one = _mm512_set1_epi8(1);
    __m512i bucket = _mm512_and_si512(_mm512_srli_epi16(x->low, 4), low4);
    __m512i offset = _mm512_and_si512(x->low, low4), high, low;
    /* signed: last is -1 where the bucket's own entry has no slot in it */
    __mmask64 second = _mm512_cmpgt_epi8_mask(offset, _mm512_shuffle_epi8(table(c->last), bucket));
    __m512i entry = _mm512_mask_shuffle_epi8(bucket, second, table(c->alias), bucket);
    __m512i back = _mm512_shuffle_epi8(table(c->back), bucket);
    __m512i rank = _mm512_mask_sub_epi8(offset, second, x->low, back);
    __m512i freq = _mm512_shuffle_epi8(table(c->freq), entry);
    if (steep) {
        const __m512i byte = _mm512_set1_epi16(255);
        const __mmask64 odd_bytes = 0xAAAAAAAAAAAAAAAAU;
        __m512i even =
            _mm512_mullo_epi16(_mm512_and_si512(x->high, byte), _mm512_and_si512(freq, byte));
        __m512i odd = _mm512_mullo_epi16(_mm512_srli_epi16(x->high, 8), _mm512_srli_epi16(freq, 8));
        even = _mm512_add_epi16(even, _mm512_and_si512(rank, byte));
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(rank, 8));
        high = _mm512_mask_mov_epi8(_mm512_srli_epi16(even, 8), odd_bytes, odd);
        low = _mm512_mask_mov_epi8(even, odd_bytes, _mm512_slli_epi16(odd, 8));
    } else {
        /* high * freq + 1 * rank; freq and rank are below 128, as the signed operand asks for */
        const __m512i even = _mm512_setr_epi64(
            0x0E0C0A0806040200, 0x4E4C4A4846444240, 0x1E1C1A1816141210, 0x5E5C5A5856545250,
            0x2E2C2A2826242220, 0x6E6C6A6866646260, 0x3E3C3A3836343230, 0x7E7C7A7876747270);
        __m512i a = _mm512_maddubs_epi16(_mm512_unpacklo_epi8(x->high, one),
                                         _mm512_unpacklo_epi8(freq, rank));
        __m512i b = _mm512_maddubs_epi16(_mm512_unpackhi_epi8(x->high, one),
                                         _mm512_unpackhi_epi8(freq, rank));
        low = _mm512_permutex2var_epi8(a, even, b);
        high = _mm512_permutex2var_epi8(a, _mm512_add_epi8(even, one), b);
    }
    __mmask64 wanting = _mm512_testn_epi8_mask(high, high);
    if (!whole) {
        wanting &= active;
    }
    high = _mm512_mask_mov_epi8(high, wanting, low);
    low = _mm512_mask_expand_epi8(low, wanting, _mm512_loadu_si512(x->next));
    x->next += count(wanting);
    x->high = whole ? high : _mm512_mask_mov_epi8(x->high, active, high);
    x->low = whole ? low : _mm512_mask_mov_epi8(x->low, active, low);
    return entry;
}

INLINE __m512i fields(unsigned width, const uint8_t *group) {
    switch (width) {
    case 0:
        return _mm512_setzero_si512();
    case 1:
        return rusk_fields_group_avx512(group, 1);
    case 2:
        return rusk_fields_group_avx512(group, 2);
    case 3:
        return rusk_fields_group_avx512(group, 3);
    case 4:
        return rusk_fields_group_avx512(group, 4);
    case 5:
        return rusk_fields_group_avx512(group, 5);
    default:
        return rusk_fields_group_avx512(group, 6);
    }
}

/* --- rows ------------------------------------------------------------------------------------- */

/* A row while it is decoded. */
typedef struct cursor {
    __m512i sign;   /* pair: the field's top bit */
    __m512i marked; /* the entry that escapes, or one that never comes */
    lanes x;
    const uint8_t *escape, *escape_end, *fields;
    const rusk_a16_class *cls;
    int8_t *out;
} cursor;

/* At column t, a whole number of steps from the start. */
INLINE cursor cursor_at(const rusk_a16_row *r, size_t t) {
    const rusk_a16_stream *s = r->stream;
    const rusk_a16_class *c = r->cls;
    return (cursor){
        .x = {_mm512_load_si512(s->high), _mm512_load_si512(s->low), s->next},
        .escape = s->escape,
        .escape_end = s->escape_end,
        .fields = c->width > 0 ? r->fields + rusk_field_bytes(t, c->width) : NULL,
        .cls = c,
        .sign = _mm512_set1_epi8((char)(1U << c->low_bits)),
        .marked = _mm512_set1_epi8(c->escape ? RUSK_A16_ESCAPE : -1),
        .out = r->out,
    };
}

INLINE void leave(const cursor *k, rusk_a16_stream *s) {
    _mm512_store_si512(s->high, k->x.high);
    _mm512_store_si512(s->low, k->x.low);
    s->next = k->x.next;
    s->escape = k->escape;
}

INLINE __m512i next_fields(cursor *k, int width) {
    unsigned w = width == ANY_WIDTH ? k->cls->width : (unsigned)width;
    __m512i v = fields(w, k->fields);
    k->fields += w > 0 ? (size_t)8 * w : 0;
    return v;
}

/* A pair's field is a signed number. */
INLINE __m512i extended(const cursor *k, int width, __m512i field) {
    static const int8_t SIGNED[4][16]
        __attribute__((aligned(16))) = {{0}, {0, -1}, {0, 1, -2, -1}, {0, 1, 2, 3, -4, -3, -2, -1}};
    if (width == ANY_WIDTH) {
        return _mm512_sub_epi8(_mm512_xor_si512(field, k->sign), k->sign);
    }
    return _mm512_shuffle_epi8(table(SIGNED[width]), field);
}

/* Symbols of the zones and fields of weights; a pair's sign turns its zone round. */
INLINE __m512i join(const cursor *k, bool pair, int width, __m512i zone, __m512i field) {
    return pair ? _mm512_xor_si512(zone, extended(k, width, field)) : _mm512_add_epi8(zone, field);
}

INLINE __m512i zones(const cursor *k, unsigned weight, __m512i entry) {
    return _mm512_shuffle_epi8(table(k->cls->value[weight]), entry);
}

/* The next escape bytes to the lanes of a mask, v elsewhere. Loads no further than 64 bytes past
 * their end, wherever damaged bytes led. */
INLINE __m512i escaped(cursor *k, __m512i v, __mmask64 which) {
    const uint8_t *from = RUSK_MIN(k->escape, k->escape_end);
    k->escape += count(which);
    return _mm512_mask_expand_epi8(v, which, _mm512_loadu_si512(from));
}

/* A step waits for its bytes, and streams are too many and too short for the processor's own
 * look-ahead: without this, decoding from L2 takes 1.3 times as long (Zen 5). */
INLINE void ask_ahead(const cursor *k) {
    enum { AHEAD = 256 };
    _mm_prefetch((const char *)k->x.next + AHEAD, _MM_HINT_T0);
    _mm_prefetch((const char *)k->fields + AHEAD, _MM_HINT_T0);
}

/* The lower halves of both, one after the other. */
INLINE __m512i join_halves(__m512i a, __m512i b) {
    return _mm512_inserti64x4(a, _mm512_castsi512_si256(b), 1);
}

INLINE void whole_step(cursor *k, bool pair, bool steep, int width, size_t t) {
    ask_ahead(k);
    __m512i entry = step(&k->x, k->cls, steep, true, 0);
    __mmask64 which = _mm512_cmpeq_epi8_mask(entry, k->marked);
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        if (i == 1 && !pair) {
            break;
        }
        __m512i v = join(k, pair, width, zones(k, i, entry), next_fields(k, width));
        _mm512_storeu_si512(k->out + t + (size_t)64 * i, escaped(k, v, which));
    }
}

INLINE __mmask64 first(size_t n) {
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

/* Columns of a group of 64 out of the first n_lanes of both weights, which stand one after the
 * other: those from column 64 * group on. */
INLINE __m512i columns(__m512i weight0, __m512i weight1, size_t n_lanes, unsigned group) {
    const __m512i iota = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __mmask64 second = group == 0 ? ~first(n_lanes) : ~(__mmask64)0;
    __m512i skip = _mm512_set1_epi8((char)(64 - n_lanes + 64 * group));
    __m512i from = _mm512_mask_add_epi8(iota, second, iota, skip);
    return _mm512_permutex2var_epi8(weight0, from, weight1);
}

/* The n columns from t on, less than a step, whose entries are these. */
INLINE void last_symbols(cursor *k, bool pair, __m512i entry, size_t t, size_t n) {
    size_t n_lanes = pair ? (n + 1) / 2 : n;
    __mmask64 which = _mm512_mask_cmpeq_epi8_mask(first(n_lanes), entry, k->marked);
    __m512i zone[2] = {zones(k, 0, entry), zones(k, 1, entry)}, byte[2];
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        if (i == 1 && !pair) {
            break;
        }
        byte[i] = escaped(k, _mm512_setzero_si512(), which);
    }
    if (!pair) {
        __m512i v = join(k, false, ANY_WIDTH, zone[0], next_fields(k, ANY_WIDTH));
        _mm512_mask_storeu_epi8(k->out + t, first(n), _mm512_mask_mov_epi8(v, which, byte[0]));
        return;
    }
    for (unsigned group = 0; 64 * group < n; group++) {
        __mmask64 here =
            group == 0 ? which | (n_lanes < 64 ? which << n_lanes : 0) : which >> (64 - n_lanes);
        __m512i v = columns(zone[0], zone[1], n_lanes, group);
        v = join(k, true, ANY_WIDTH, v, next_fields(k, ANY_WIDTH));
        v = _mm512_mask_mov_epi8(v, here, columns(byte[0], byte[1], n_lanes, group));
        _mm512_mask_storeu_epi8(k->out + t + (size_t)64 * group, first(n - 64 * group), v);
    }
}

/* 64 columns of pairs on the lower 32 lanes, from t on: what is left of rows whose width is an odd
 * multiple of 64, as many are. */
INLINE void half_step(cursor *k, bool steep, int width, size_t t) {
    const __mmask64 lower = 0xFFFFFFFFU;
    __m512i entry = step(&k->x, k->cls, steep, false, lower);
    __mmask64 which = _mm512_mask_cmpeq_epi8_mask(lower, entry, k->marked);
    __m512i zone = join_halves(zones(k, 0, entry), zones(k, 1, entry));
    __m512i v = join(k, true, width, zone, next_fields(k, width));
    __m512i byte = escaped(k, _mm512_setzero_si512(), which);
    byte = join_halves(byte, escaped(k, byte, which));
    v = _mm512_mask_mov_epi8(v, which | which << 32, byte);
    _mm512_storeu_si512(k->out + t, v);
}

/* Whole and half steps of n rows. Returns the columns done: less than there are steps for only
 * where bytes ran out. */
INLINE size_t whole_steps(const rusk_a16_row *rows, int n, bool pair, bool steep, int width,
                          size_t n_cols) {
    const size_t stride = pair ? 128 : 64;
    cursor k[MOST_ROWS];
    size_t t = 0;
    bool over = false;
    UNROLL
    for (int i = 0; i < n; i++) {
        k[i] = cursor_at(&rows[i], 0);
    }
    for (; t + stride <= n_cols && !over; t += stride) {
        UNROLL
        for (int i = 0; i < n; i++) {
            whole_step(&k[i], pair, steep, width, t);
            over |= k[i].x.next > rows[i].stream->end;
        }
    }
    if (pair && n_cols - t == 64 && !over) {
        UNROLL
        for (int i = 0; i < n; i++) {
            half_step(&k[i], steep, width, t);
        }
        t += 64;
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        leave(&k[i], rows[i].stream);
    }
    return over ? 0 : t;
}

/* The columns from t on, less than a step, of n rows. */
INLINE void last_steps(const rusk_a16_row *rows, int n, bool pair, size_t t, size_t n_cols) {
    __mmask64 active = first(pair ? (n_cols - t + 1) / 2 : n_cols - t);
    cursor k[MOST_ROWS];
    __m512i entry[MOST_ROWS];
    UNROLL
    for (int i = 0; i < n; i++) {
        k[i] = cursor_at(&rows[i], t);
        entry[i] = step(&k[i].x, k[i].cls, true, false, active);
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        last_symbols(&k[i], pair, entry[i], t, n_cols - t);
        leave(&k[i], rows[i].stream);
    }
}

/* Rows of one width have code of their own where widths are common, rows of several share one. */
INLINE size_t most_pairs(const rusk_a16_row *rows, int n, bool steep, int width, size_t n_cols) {
    switch (steep ? ANY_WIDTH : width) {
    case 1:
        return whole_steps(rows, n, true, false, 1, n_cols);
    case 2:
        return whole_steps(rows, n, true, false, 2, n_cols);
    case 3:
        return whole_steps(rows, n, true, false, 3, n_cols);
    default:
        return whole_steps(rows, n, true, true, ANY_WIDTH, n_cols);
    }
}

INLINE size_t most_singles(const rusk_a16_row *rows, int n, bool steep, int width, size_t n_cols) {
    if (steep) {
        return width == 0 ? whole_steps(rows, n, false, true, 0, n_cols)
                          : whole_steps(rows, n, false, true, ANY_WIDTH, n_cols);
    }
    switch (width) {
    case 0:
        return whole_steps(rows, n, false, false, 0, n_cols);
    case 1:
        return whole_steps(rows, n, false, false, 1, n_cols);
    case 2:
        return whole_steps(rows, n, false, false, 2, n_cols);
    default:
        return whole_steps(rows, n, false, false, ANY_WIDTH, n_cols);
    }
}

INLINE void all_columns(const rusk_a16_row *rows, int n, int width, size_t n_cols) {
    const bool pair = rows[0].cls->pair;
    bool steep = false;
    for (int i = 0; i < n; i++) {
        steep = steep || rows[i].cls->steep;
        width = rows[i].cls->width == width ? width : ANY_WIDTH;
    }
    size_t t = pair ? most_pairs(rows, n, steep, width, n_cols)
                    : most_singles(rows, n, steep, width, n_cols);
    if (n_cols - t < (pair ? 128 : 64) && t < n_cols) {
        if (pair) {
            last_steps(rows, n, true, t, n_cols);
        } else {
            last_steps(rows, n, false, t, n_cols);
        }
    }
}

AVX512 void rusk_a16_rows_avx512(const rusk_a16_row *rows, unsigned n, size_t n_cols) {
    for (; n >= 4; n -= 4, rows += 4) {
        all_columns(rows, 4, rows[0].cls->width, n_cols);
    }
    for (; n >= 2; n -= 2, rows += 2) {
        all_columns(rows, 2, rows[0].cls->width, n_cols);
    }
    if (n > 0) {
        all_columns(rows, 1, ANY_WIDTH, n_cols);
    }
}

#endif
