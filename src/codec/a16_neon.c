/* a16_neon.c - a step of 64 lanes in four registers a plane, two streams at a time, so that one's
 * loads and multiplications fill the other's waiting.
 *
 * There is no instruction that spreads bytes over the lanes that want one. Which lanes do comes as
 * 64 bits into a general register; each eight of them select, from a table, the shuffle of the
 * eight bytes that stand where the lanes before have left off. */
#include "codec/a16.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

#include "codec/fields.h"
#include "codec/fields_neon.h"
#include "codec/spread.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

enum { MOST_ROWS = 2, REGISTERS = RUSK_A16_LANES / 16 };

/* A row while it is decoded. */
typedef struct cursor {
    uint8x16_t high[REGISTERS], low[REGISTERS];
    const uint8_t *next, *end, *escape, *escape_end, *fields;
    const rusk_a16_class *cls;
    int8_t *out;
} cursor;

INLINE cursor cursor_of(const rusk_a16_row *r) {
    const rusk_a16_stream *s = r->stream;
    cursor k = {.next = s->next,
                .end = s->end,
                .escape = s->escape,
                .escape_end = s->escape_end,
                .fields = r->fields,
                .cls = r->cls,
                .out = r->out};
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        k.high[i] = vld1q_u8(s->high + 16 * i);
        k.low[i] = vld1q_u8(s->low + 16 * i);
    }
    return k;
}

INLINE void leave(const cursor *k, rusk_a16_stream *s) {
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        vst1q_u8(s->high + 16 * i, k->high[i]);
        vst1q_u8(s->low + 16 * i, k->low[i]);
    }
    s->next = k->next;
    s->escape = k->escape;
}

INLINE bool ran_out(const cursor *k) {
    return k->next > k->end || k->escape > k->escape_end;
}

/* Bit j says whether lane j's mask is set. */
INLINE uint8x8_t bits_of(const uint8x16_t mask[REGISTERS]) {
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t ab = vpaddq_u8(vandq_u8(mask[0], bit), vandq_u8(mask[1], bit));
    uint8x16_t cd = vpaddq_u8(vandq_u8(mask[2], bit), vandq_u8(mask[3], bit));
    uint8x16_t abcd = vpaddq_u8(ab, cd);
    return vget_low_u8(vpaddq_u8(abcd, abcd));
}

INLINE uint64_t as_u64(uint8x8_t v) {
    return vget_lane_u64(vreinterpret_u64_u8(v), 0);
}

/* Consecutive bytes from k->next on for the lanes of the masks; advances past them. */
INLINE void spread(cursor *k, const uint8x16_t wanting[REGISTERS], uint8x16_t bytes[REGISTERS]) {
    const uint8x16_t halves = vcombine_u8(vdup_n_u8(0), vdup_n_u8(8));
    const uint8x8_t bits = bits_of(wanting);
    const uint64_t pattern = as_u64(bits);
    /* byte i: how many lanes up to 8i + 7 want one */
    const uint64_t up_to = as_u64(vcnt_u8(bits)) * 0x0101010101010101;
    const uint64_t before = up_to << 8;
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        const unsigned a = 16U * (unsigned)i, b = a + 8;
        uint8x16_t rank = vcombine_u8(vld1_u8(RUSK_SPREAD[pattern >> a & 0xFF]),
                                      vld1_u8(RUSK_SPREAD[pattern >> b & 0xFF]));
        uint8x16_t from = vcombine_u8(vld1_u8(k->next + (before >> a & 0xFF)),
                                      vld1_u8(k->next + (before >> b & 0xFF)));
        bytes[i] = vqtbl1q_u8(from, vorrq_u8(rank, halves));
    }
    k->next += up_to >> 56;
}

/* The entries of a step, and the states after it. `active`: the lanes that take part, NULL where
 * all do. */
INLINE void step(cursor *k, const uint8x16_t *active, uint8x16_t entry[REGISTERS]) {
    const rusk_a16_class *c = k->cls;
    const int8x16_t last = vreinterpretq_s8_u8(vld1q_u8(c->last));
    const uint8x16_t alias = vld1q_u8(c->alias), back = vld1q_u8(c->back);
    const uint8x16_t freq = vld1q_u8(c->freq);
    uint8x16_t high[REGISTERS], low[REGISTERS], wanting[REGISTERS], bytes[REGISTERS];
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        uint8x16_t bucket = vshrq_n_u8(k->low[i], 4), offset = vandq_u8(k->low[i], vdupq_n_u8(15));
        /* signed: last is -1 where the bucket's own entry has no slot in it */
        uint8x16_t second = vcgtq_s8(vreinterpretq_s8_u8(offset), vqtbl1q_s8(last, bucket));
        uint8x16_t beyond = vsubq_u8(k->low[i], vqtbl1q_u8(back, bucket));
        uint8x16_t rank = vbslq_u8(second, beyond, offset);
        entry[i] = vbslq_u8(second, vqtbl1q_u8(alias, bucket), bucket);
        uint8x16_t f = vqtbl1q_u8(freq, entry[i]);
        uint16x8_t a =
            vmlal_u8(vmovl_u8(vget_low_u8(rank)), vget_low_u8(k->high[i]), vget_low_u8(f));
        uint16x8_t b = vmlal_high_u8(vmovl_high_u8(rank), k->high[i], f);
        low[i] = vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
        high[i] = vuzp2q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
        wanting[i] = vceqzq_u8(high[i]);
        if (active != NULL) {
            wanting[i] = vandq_u8(wanting[i], active[i]);
        }
    }
    spread(k, wanting, bytes);
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        high[i] = vbslq_u8(wanting[i], low[i], high[i]);
        low[i] = vbslq_u8(wanting[i], bytes[i], low[i]);
        k->high[i] = active != NULL ? vbslq_u8(active[i], high[i], k->high[i]) : high[i];
        k->low[i] = active != NULL ? vbslq_u8(active[i], low[i], k->low[i]) : low[i];
    }
}

/* Lanes whose entry escapes, of a class that has escapes. */
INLINE uint64_t escapes_of(const uint8x16_t entry[REGISTERS]) {
    uint8x16_t mask[REGISTERS];
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        mask[i] = vceqq_u8(entry[i], vdupq_n_u8(RUSK_A16_ESCAPE));
    }
    return as_u64(bits_of(mask));
}

/* The weights of these lanes are the next bytes of the escape stream. */
static void put_escapes(cursor *k, uint64_t lanes, int8_t *weights) {
    for (; lanes != 0; lanes &= lanes - 1) {
        weights[__builtin_ctzll(lanes)] = (int8_t)*k->escape++;
    }
}

INLINE uint8x16x4_t fields(unsigned width, const uint8_t *group) {
    switch (width) {
    case 0:
        return rusk_fields_group_neon(group, 0);
    case 1:
        return rusk_fields_group_neon(group, 1);
    case 2:
        return rusk_fields_group_neon(group, 2);
    case 3:
        return rusk_fields_group_neon(group, 3);
    case 4:
        return rusk_fields_group_neon(group, 4);
    case 5:
        return rusk_fields_group_neon(group, 5);
    default:
        return rusk_fields_group_neon(group, 6);
    }
}

/* Symbols of the zones of 64 weights and the next group of fields. */
INLINE void join(cursor *k, bool pair, const uint8x16_t zone[REGISTERS], int8_t *out) {
    const unsigned width = k->cls->width;
    const uint8x16x4_t field = fields(width, k->fields);
    k->fields += (size_t)8 * width;
    /* of a pair: a signed number, whose sign turns the zone round */
    const uint8x16_t sign = vdupq_n_u8((uint8_t)(1U << k->cls->low_bits));
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        uint8x16_t v = field.val[i];
        v = pair ? veorq_u8(zone[i], vsubq_u8(veorq_u8(v, sign), sign)) : vaddq_u8(zone[i], v);
        vst1q_s8(out + 16 * i, vreinterpretq_s8_u8(v));
    }
}

INLINE void zones_of(const cursor *k, size_t weight, const uint8x16_t entry[REGISTERS],
                     uint8x16_t zone[REGISTERS]) {
    const uint8x16_t value = vreinterpretq_u8_s8(vld1q_s8(k->cls->value[weight]));
    UNROLL
    for (int i = 0; i < REGISTERS; i++) {
        zone[i] = vqtbl1q_u8(value, entry[i]);
    }
}

INLINE void whole_step(cursor *k, bool pair, size_t t) {
    uint8x16_t entry[REGISTERS], zone[REGISTERS];
    int8_t *out = k->out + t;
    step(k, NULL, entry);
    zones_of(k, 0, entry, zone);
    join(k, pair, zone, out);
    if (pair) {
        zones_of(k, 1, entry, zone);
        join(k, pair, zone, out + RUSK_A16_LANES);
    }
    if (k->cls->escape) {
        const uint64_t lanes = escapes_of(entry);
        put_escapes(k, lanes, out);
        if (pair && !ran_out(k)) {
            put_escapes(k, lanes, out + RUSK_A16_LANES);
        }
    }
}

/* The n columns from t on that are less than a step. */
static void last_step(cursor *k, bool pair, size_t t, size_t n) {
    static const uint8_t IOTA[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const size_t n_lanes = pair ? (n + 1) / 2 : n;
    uint8x16_t active[REGISTERS], entry[REGISTERS], zone[REGISTERS];
    uint8_t zones[3 * RUSK_A16_LANES] = {0}; /* the second weights right after the first */
    int8_t weights[2 * RUSK_A16_LANES];
    for (size_t i = 0; i < REGISTERS; i++) {
        const uint8x16_t lane = vaddq_u8(vld1q_u8(IOTA), vdupq_n_u8((uint8_t)(16 * i)));
        active[i] = vcltq_u8(lane, vdupq_n_u8((uint8_t)n_lanes));
    }
    step(k, active, entry);
    for (size_t weight = 0; weight < (pair ? 2 : 1); weight++) {
        zones_of(k, weight, entry, zone);
        for (size_t i = 0; i < REGISTERS; i++) {
            vst1q_u8(zones + weight * n_lanes + 16 * i, zone[i]);
        }
    }
    for (size_t at = 0; at < n; at += RUSK_FIELD_GROUP) {
        for (size_t i = 0; i < REGISTERS; i++) {
            zone[i] = vld1q_u8(zones + at + 16 * i);
        }
        join(k, pair, zone, weights + at);
    }
    if (k->cls->escape) {
        const uint64_t taking_part = n_lanes < 64 ? (1ULL << n_lanes) - 1 : UINT64_MAX;
        const uint64_t lanes = escapes_of(entry) & taking_part;
        put_escapes(k, lanes, weights);
        if (pair && !ran_out(k)) {
            put_escapes(k, lanes, weights + n_lanes);
        }
    }
    memcpy(k->out + t, weights, n);
}

/* Rows side by side, until bytes of one run out. */
INLINE void decode(const rusk_a16_row *rows, int n, bool pair, size_t n_cols) {
    const size_t stride = pair ? 2 * RUSK_A16_LANES : RUSK_A16_LANES;
    cursor k[MOST_ROWS];
    bool over = false;
    size_t t = 0;
    UNROLL
    for (int i = 0; i < n; i++) {
        k[i] = cursor_of(&rows[i]);
    }
    for (; t + stride <= n_cols && !over; t += stride) {
        UNROLL
        for (int i = 0; i < n; i++) {
            whole_step(&k[i], pair, t);
            over |= ran_out(&k[i]);
        }
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        if (t < n_cols && !over) {
            last_step(&k[i], pair, t, n_cols - t);
        }
        leave(&k[i], rows[i].stream);
    }
}

static void decode_2(const rusk_a16_row *rows, size_t n_cols) {
    if (rows[0].cls->pair) {
        decode(rows, 2, true, n_cols);
    } else {
        decode(rows, 2, false, n_cols);
    }
}

static void decode_1(const rusk_a16_row *rows, size_t n_cols) {
    if (rows[0].cls->pair) {
        decode(rows, 1, true, n_cols);
    } else {
        decode(rows, 1, false, n_cols);
    }
}

void rusk_a16_rows_neon(const rusk_a16_row *rows, unsigned n, size_t n_cols) {
    for (; n >= MOST_ROWS; n -= MOST_ROWS, rows += MOST_ROWS) {
        decode_2(rows, n_cols);
    }
    if (n > 0) {
        decode_1(rows, n_cols);
    }
}

#endif
