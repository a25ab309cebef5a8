/* a16_avx2.c - a step of 64 lanes in two registers a plane, two streams at a time: more would not
 * fit in 16 registers, and two are enough to keep the vector units busy.
 *
 * There is no instruction that spreads bytes over the lanes that want one, so the position of each
 * is made by prefix sums within 128 bits: a multiplication within 32, two shuffles beyond. */
#include "codec/a16.h"

#if defined(__x86_64__)

#include <string.h>

#include "codec/fields.h"
#include "codec/fields_x86.h"

#define AVX2   __attribute__((target("avx2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) AVX2
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

enum { MOST_ROWS = 2, ANY_WIDTH = -1 };

typedef struct lanes {
    __m256i high[2], low[2];
    const uint8_t *next;
} lanes;

INLINE __m256i table(const void *entries) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(entries));
}

INLINE __m256i twice(__m128i v) {
    return _mm256_broadcastsi128_si256(v);
}

/* Consecutive bytes from *from on to the lanes of a mask, which advances past them. */
INLINE __m256i spread(const uint8_t **from, __m256i mask) {
    const __m256i past_4 =
        twice(_mm_setr_epi8(-1, -1, -1, -1, 3, 3, 3, 3, -1, -1, -1, -1, 11, 11, 11, 11));
    const __m256i past_8 =
        twice(_mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, 7, 7, 7, 7, 7, 7, 7, 7));
    __m256i ones = _mm256_set1_epi32(0x01010101);
    unsigned bits = (unsigned)_mm256_movemask_epi8(mask);
    const uint8_t *second = *from + __builtin_popcount(bits & 0xFFFF);
    __m256i at = _mm256_and_si256(mask, _mm256_set1_epi8(1));
    __asm__("" : "+x"(ones)); /* or compilers make the multiplication four instructions */
    at = _mm256_mullo_epi32(at, ones);
    at = _mm256_add_epi8(at, _mm256_shuffle_epi8(at, past_4));
    at = _mm256_add_epi8(at, _mm256_shuffle_epi8(at, past_8));
    at = _mm256_add_epi8(at, mask); /* those before, without itself */
    __m256i bytes = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)*from));
    bytes = _mm256_inserti128_si256(bytes, _mm_loadu_si128((const __m128i *)second), 1);
    *from += __builtin_popcount(bits);
    return _mm256_shuffle_epi8(bytes, at);
}

INLINE uint64_t bits_of(const __m256i mask[2]) {
    return (unsigned)_mm256_movemask_epi8(mask[0]) |
           (uint64_t)(unsigned)_mm256_movemask_epi8(mask[1]) << 32;
}

INLINE size_t count(const __m256i mask[2]) {
    return (size_t)__builtin_popcountll(bits_of(mask));
}

/* The entries of 32 lanes of a step, in half h. Where not all take part, `active` says which. */
INLINE __m256i step(lanes *x, int h, const rusk_a16_class *c, bool steep, bool whole,
                    __m256i active) {
    const __m256i low4 = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1);
    __m256i from_high = x->high[h], from_low = x->low[h], high, low;
    __m256i bucket = _mm256_and_si256(_mm256_srli_epi16(from_low, 4), low4);
    __m256i offset = _mm256_and_si256(from_low, low4);
    /* signed: last is -1 where the bucket's own entry has no slot in it */
    __m256i second = _mm256_cmpgt_epi8(offset, _mm256_shuffle_epi8(table(c->last), bucket));
    __m256i alias = _mm256_shuffle_epi8(table(c->alias), bucket);
    __m256i entry = _mm256_blendv_epi8(bucket, alias, second);
    __m256i beyond = _mm256_sub_epi8(from_low, _mm256_shuffle_epi8(table(c->back), bucket));
    __m256i rank = _mm256_blendv_epi8(offset, beyond, second);
    __m256i freq = _mm256_shuffle_epi8(table(c->freq), entry);
    if (steep) {
        const __m256i byte = _mm256_set1_epi16(255), odd_bytes = _mm256_set1_epi16(-256);
        __m256i even =
            _mm256_mullo_epi16(_mm256_and_si256(from_high, byte), _mm256_and_si256(freq, byte));
        __m256i odd =
            _mm256_mullo_epi16(_mm256_srli_epi16(from_high, 8), _mm256_srli_epi16(freq, 8));
        even = _mm256_add_epi16(even, _mm256_and_si256(rank, byte));
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(rank, 8));
        high = _mm256_blendv_epi8(_mm256_srli_epi16(even, 8), odd, odd_bytes);
        low = _mm256_blendv_epi8(even, _mm256_slli_epi16(odd, 8), odd_bytes);
    } else {
        /* high * freq + 1 * rank; freq and rank are below 128, as the signed operand asks for */
        const __m256i apart =
            twice(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
        __m256i a = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(from_high, one),
                                         _mm256_unpacklo_epi8(freq, rank));
        __m256i b = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(from_high, one),
                                         _mm256_unpackhi_epi8(freq, rank));
        a = _mm256_shuffle_epi8(a, apart);
        b = _mm256_shuffle_epi8(b, apart);
        low = _mm256_unpacklo_epi64(a, b);
        high = _mm256_unpackhi_epi64(a, b);
    }
    __m256i wanting = _mm256_cmpeq_epi8(high, _mm256_setzero_si256());
    if (!whole) {
        wanting = _mm256_and_si256(wanting, active);
    }
    high = _mm256_blendv_epi8(high, low, wanting);
    low = _mm256_blendv_epi8(low, spread(&x->next, wanting), wanting);
    x->high[h] = whole ? high : _mm256_blendv_epi8(from_high, high, active);
    x->low[h] = whole ? low : _mm256_blendv_epi8(from_low, low, active);
    return entry;
}

/* Half h of a group. */
INLINE __m256i fields(unsigned width, unsigned h, const uint8_t *group) {
    switch (width) {
    case 0:
        return _mm256_setzero_si256();
    case 1:
        return rusk_fields_half_avx2(group, 1, h);
    case 2:
        return rusk_fields_half_avx2(group, 2, h);
    case 3:
        return rusk_fields_half_avx2(group, 3, h);
    case 4:
        return rusk_fields_half_avx2(group, 4, h);
    case 5:
        return rusk_fields_half_avx2(group, 5, h);
    default:
        return rusk_fields_half_avx2(group, 6, h);
    }
}

/* --- rows ------------------------------------------------------------------------------------- */

/* A row while it is decoded. */
typedef struct cursor {
    lanes x;
    const uint8_t *escape, *escape_end, *fields;
    const rusk_a16_class *cls;
    int8_t marked; /* the entry that escapes, or one that never comes */
    int8_t *out;
} cursor;

/* At column t, a whole number of steps from the start. */
INLINE cursor cursor_at(const rusk_a16_row *r, size_t t) {
    const rusk_a16_stream *s = r->stream;
    cursor k = {
        .x.next = s->next,
        .escape = s->escape,
        .escape_end = s->escape_end,
        .fields = r->cls->width > 0 ? r->fields + rusk_field_bytes(t, r->cls->width) : NULL,
        .cls = r->cls,
        .marked = r->cls->escape ? RUSK_A16_ESCAPE : -1,
        .out = r->out,
    };
    UNROLL
    for (int h = 0; h < 2; h++) {
        k.x.high[h] = _mm256_load_si256((const __m256i *)(s->high + 32 * h));
        k.x.low[h] = _mm256_load_si256((const __m256i *)(s->low + 32 * h));
    }
    return k;
}

INLINE void leave(const cursor *k, rusk_a16_stream *s) {
    UNROLL
    for (int h = 0; h < 2; h++) {
        _mm256_store_si256((__m256i *)(s->high + 32 * h), k->x.high[h]);
        _mm256_store_si256((__m256i *)(s->low + 32 * h), k->x.low[h]);
    }
    s->next = k->x.next;
    s->escape = k->escape;
}

/* Symbols of the zones of 32 weights and their fields: half h of a group. */
INLINE __m256i join(const cursor *k, bool pair, unsigned width, unsigned h, const uint8_t *group,
                    __m256i zone) {
    __m256i field = fields(width, h, group);
    if (pair) {
        /* the field is a signed number: its sign turns the zone round */
        __m256i sign = _mm256_set1_epi8((char)(1U << k->cls->low_bits));
        field = _mm256_sub_epi8(_mm256_xor_si256(field, sign), sign);
        return _mm256_xor_si256(zone, field);
    }
    return width > 0 ? _mm256_add_epi8(zone, field) : zone;
}

INLINE __m256i zones(const cursor *k, int weight, __m256i entry) {
    return _mm256_shuffle_epi8(table(k->cls->value[weight]), entry);
}

/* Whether n more escape bytes are there; where not, the stream is marked as run out. */
INLINE bool has_escapes(cursor *k, size_t n) {
    if ((size_t)(k->escape_end - k->escape) >= n) {
        return true;
    }
    k->escape = k->escape_end + 1;
    return false;
}

INLINE void whole_step(cursor *k, bool pair, bool steep, int width, size_t t) {
    const unsigned w = width == ANY_WIDTH ? k->cls->width : (unsigned)width;
    __m256i entry[2], v[2][2];
    UNROLL
    for (int h = 0; h < 2; h++) {
        entry[h] = step(&k->x, h, k->cls, steep, true, _mm256_setzero_si256());
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !pair) {
            break;
        }
        UNROLL
        for (int h = 0; h < 2; h++) {
            v[i][h] = join(k, pair, w, (unsigned)h, k->fields, zones(k, i, entry[h]));
            _mm256_storeu_si256((__m256i *)(k->out + t + 64 * i + 32 * h), v[i][h]);
        }
        k->fields += w > 0 ? (size_t)8 * w : 0;
    }
    const __m256i marked = _mm256_set1_epi8(k->marked);
    __m256i which[2] = {_mm256_cmpeq_epi8(entry[0], marked), _mm256_cmpeq_epi8(entry[1], marked)};
    /* rare enough that a branch costs less than spreading nothing */
    if (_mm256_movemask_epi8(_mm256_or_si256(which[0], which[1])) != 0 &&
        has_escapes(k, (pair ? 2U : 1U) * count(which))) {
        UNROLL
        for (int i = 0; i < 2; i++) {
            if (i == 1 && !pair) {
                break;
            }
            UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i byte = spread(&k->escape, which[h]);
                byte = _mm256_blendv_epi8(v[i][h], byte, which[h]);
                _mm256_storeu_si256((__m256i *)(k->out + t + 64 * i + 32 * h), byte);
            }
        }
    }
}

/* The n columns from t on that are less than a step. */
INLINE void last_step(cursor *k, bool pair, size_t t, size_t n) {
    const __m256i iota =
        _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    const unsigned width = k->cls->width;
    const size_t n_lanes = pair ? (n + 1) / 2 : n;
    int8_t zone[3 * 64]; /* the second weights after the first */
    __m256i entry[2], found[2];
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i active = _mm256_cmpgt_epi8(_mm256_set1_epi8((char)((int)n_lanes - 32 * h)), iota);
        entry[h] = step(&k->x, h, k->cls, true, false, active);
        found[h] = _mm256_cmpeq_epi8(entry[h], _mm256_set1_epi8(k->marked));
        found[h] = _mm256_and_si256(found[h], active);
        _mm256_storeu_si256((__m256i *)(zone + 32 * h), zones(k, 0, entry[h]));
    }
    UNROLL
    for (int h = 0; h < 2; h++) {
        if (pair) {
            _mm256_storeu_si256((__m256i *)(zone + n_lanes + 32 * h), zones(k, 1, entry[h]));
        }
    }
    for (size_t i = 0; i < n; i += 64) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i *at = (__m256i *)(zone + i + 32 * h);
            _mm256_storeu_si256(
                at, join(k, pair, width, (unsigned)h, k->fields, _mm256_loadu_si256(at)));
        }
        k->fields += width > 0 ? (size_t)8 * width : 0;
    }
    const uint64_t which = bits_of(found);
    const size_t n_weights = pair ? 2 : 1;
    if (!has_escapes(k, n_weights * count(found))) {
        return;
    }
    for (size_t first = 0; first < n_weights * n_lanes; first += n_lanes) {
        for (uint64_t left = which; left != 0; left &= left - 1) {
            zone[first + (size_t)__builtin_ctzll(left)] = (int8_t)*k->escape++;
        }
    }
    memcpy(k->out + t, zone, n);
}

/* Whole steps of n rows. Returns the columns done: less than there are steps for only where bytes
 * ran out. */
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
            over |= k[i].x.next > rows[i].stream->end || k[i].escape > rows[i].stream->escape_end;
        }
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        leave(&k[i], rows[i].stream);
    }
    return over ? 0 : t;
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
        for (int i = 0; i < n; i++) {
            cursor k = cursor_at(&rows[i], t);
            last_step(&k, pair, t, n_cols - t);
            leave(&k, rows[i].stream);
        }
    }
}

AVX2 void rusk_a16_rows_avx2(const rusk_a16_row *rows, unsigned n, size_t n_cols) {
    for (; n >= 2; n -= 2, rows += 2) {
        all_columns(rows, 2, rows[0].cls->width, n_cols);
    }
    if (n > 0) {
        all_columns(rows, 1, ANY_WIDTH, n_cols);
    }
}

#endif
