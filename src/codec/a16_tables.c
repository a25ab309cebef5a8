/* a16_tables.c - tables of the a16 family: chosen by exact cost, to a blob, and back.
 *
 * A candidate is a number of low bits, a base and whether there is an escape. For each, frequencies
 * that sum to 256 follow from the counts; rare entries are given up where the mass of 1/256 that
 * each would take costs more than to escape (or fold) its symbols. */
#include <math.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "codec/a16.h"
#include "codec/hist.h"

enum {
    N = RUSK_A16_ENTRIES,
    ESCAPE_BITS = 8,   /* of a weight in the escape stream */
    MOST_GENTLE = 127, /* frequency; a class with a higher one is steep */
    BLOB_CLASS = 2 + N,
    ESCAPE_FLAG = 0x80,
    PAIR_ZONES = 4,
    OUTSIDE = PAIR_ZONES /* in zone[]: a symbol of a pair that only the escape codes */
};

typedef struct choice {
    double bits;
    uint8_t low_bits, base;
    bool escape;
    uint16_t freq[N];
} choice;

/* Finite states cost a part of an entry's bits: 0.24 to 0.33 % for Gaussians of 1.8 bits and more,
 * 0.2 % below, nothing where all frequencies are powers of two (computed: what leaves a coder whose
 * states are distributed as they come to be). */
static const double COARSE_STATES = 1.0027;

/* What a class that is not steep may take more than a steep one: 0.004 bits a weight of SmolLM2's
 * pairs, which AVX-512 decodes a tenth faster. */
static const double GENTLE_PRICE = 1.005;

/* Logarithms of what frequencies can be: those of counts would take most of the time. */
typedef struct logs {
    double of[RUSK_A16_SUM + 1];   /* log2(f) */
    double step[RUSK_A16_SUM + 1]; /* log2((f + 1) / f) */
} logs;

static void logs_init(logs *l) {
    l->of[0] = l->step[0] = 0;
    for (size_t f = 1; f <= RUSK_A16_SUM; f++) {
        l->of[f] = rusk_log2_u64(f);
        l->step[f - 1] = l->of[f] - l->of[f - 1];
    }
    l->step[RUSK_A16_SUM] = 0;
}

/* --- choosing: what both kinds share -------------------------------------------------------- */

static double bits_of(const logs *l, const uint64_t count[N], const uint16_t freq[N]) {
    double bits = 0;
    for (size_t e = 0; e < N; e++) {
        bits += (double)count[e] * (8 - l->of[freq[e]]);
    }
    return bits * COARSE_STATES;
}

/* The same counts with the most frequent entry kept to MOST_GENTLE, where that costs little: steep
 * classes are decoded by a slower product. Returns the bits of what freq is in the end. */
static double flatten(const logs *l, const uint64_t count[N], uint16_t freq[N]) {
    uint64_t others[N];
    uint16_t gentle[N];
    size_t top = 0, n_others = 0;
    const double bits = bits_of(l, count, freq);
    for (size_t e = 1; e < N; e++) {
        top = freq[e] > freq[top] ? e : top;
    }
    for (size_t e = 0; e < N; e++) {
        others[e] = e == top ? 0 : count[e];
        n_others += others[e] > 0;
    }
    if (freq[top] <= MOST_GENTLE || n_others < 3) {
        return bits;
    }
    rusk_freq_fit(others, N, RUSK_A16_SUM - MOST_GENTLE, l->step, gentle);
    gentle[top] = MOST_GENTLE;
    const double gentle_bits = bits_of(l, count, gentle);
    for (size_t e = 0; e < N; e++) {
        if (gentle[e] > MOST_GENTLE || gentle_bits > bits * GENTLE_PRICE) {
            return bits;
        }
    }
    memcpy(freq, gentle, sizeof gentle);
    return gentle_bits;
}

/* Frequencies for these counts and the bits that the entries take. Where only one entry is used,
 * `spare` gets the frequency that it cannot have; infinite where that is the same one. */
static double fit(const logs *l, const uint64_t count[N], size_t spare, uint16_t freq[N]) {
    size_t n_used = 0, only = 0;
    for (size_t e = 0; e < N; e++) {
        n_used += count[e] > 0;
        only = count[e] > 0 ? e : only;
    }
    if (n_used == 1 && only == spare) {
        return INFINITY;
    }
    if (n_used == 1) {
        memset(freq, 0, N * sizeof freq[0]);
        freq[only] = RUSK_A16_SUM - 1;
        freq[spare] = 1;
    } else {
        rusk_freq_fit(count, N, RUSK_A16_SUM, l->step, freq);
    }
    return flatten(l, count, freq);
}

static void keep_cheaper(choice *best, const choice *c) {
    if (c->bits < best->bits) {
        *best = *c;
    }
}

/* Entries 0 .. n-1 in ascending order of count. */
static void sort_entries(const uint64_t *count, size_t n, uint8_t *order) {
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && count[order[k - 1]] > count[i]; k--) {
            order[k] = order[k - 1];
        }
        order[k] = (uint8_t)i;
    }
}

/* --- choosing: singles ---------------------------------------------------------------------- */

typedef struct singles {
    const logs *l;
    uint64_t below[RUSK_CODEC_ALPHABET + 1]; /* symbols of a lower index */
    uint64_t total;
    unsigned first, last, median; /* indexes */
} singles;

static void singles_init(singles *s, const logs *l, const uint64_t count[RUSK_CODEC_ALPHABET]) {
    *s = (singles){.l = l, .first = RUSK_CODEC_ALPHABET};
    for (unsigned i = 0; i < RUSK_CODEC_ALPHABET; i++) {
        s->below[i + 1] = s->below[i] + count[i];
        s->last = count[i] > 0 ? i : s->last;
        s->first = count[i] > 0 && s->first > i ? i : s->first;
    }
    s->total = s->below[RUSK_CODEC_ALPHABET];
    while (s->below[s->median + 1] <= s->total / 2) {
        s->median++;
    }
}

/* Counts of n zones from base; zones that reach beyond the alphabet stay empty. Returns how many
 * symbols lie in them. */
static uint64_t zone_counts(const singles *s, unsigned base, unsigned low_bits, unsigned n,
                            uint64_t count[N]) {
    uint64_t sum = 0;
    for (unsigned e = 0; e < N; e++) {
        unsigned from = base + (e << low_bits), to = from + (1U << low_bits);
        count[e] = e < n && to <= RUSK_CODEC_ALPHABET ? s->below[to] - s->below[from] : 0;
        sum += count[e];
    }
    return sum;
}

/* An entry for the frequency that a lone one leaves: a neighbour that lies within the alphabet. */
static size_t neighbour(const uint64_t count[N], unsigned base, unsigned low_bits) {
    size_t e = 0;
    while (e < N - 1 && count[e] == 0) {
        e++;
    }
    bool up = e + 1 < N && base + ((e + 2) << low_bits) <= RUSK_CODEC_ALPHABET;
    return up ? e + 1 : e > 0 ? e - 1 : e;
}

/* With an escape: gives up the rarest zones, one after the other, as long as that pays. */
static void try_escape(const singles *s, unsigned base, unsigned low_bits, choice *best) {
    choice c = {.low_bits = (uint8_t)low_bits, .base = (uint8_t)base, .escape = true};
    uint64_t count[N];
    uint8_t order[N];
    uint64_t inside = zone_counts(s, base, low_bits, RUSK_A16_ESCAPE, count);
    double last = 0;
    count[RUSK_A16_ESCAPE] = s->total - inside;
    sort_entries(count, RUSK_A16_ESCAPE, order);
    for (size_t i = 0; i <= RUSK_A16_ESCAPE; i++) {
        if (count[RUSK_A16_ESCAPE] > 0 || i == RUSK_A16_ESCAPE) {
            c.bits = fit(s->l, count, RUSK_A16_ESCAPE, c.freq) +
                     (double)(s->total * low_bits + count[RUSK_A16_ESCAPE] * ESCAPE_BITS);
            keep_cheaper(best, &c);
            if (last > 0 && c.bits > last) {
                return;
            }
            last = c.bits;
        }
        if (i < RUSK_A16_ESCAPE) {
            count[RUSK_A16_ESCAPE] += count[order[i]];
            count[order[i]] = 0;
        }
    }
}

/* Without one: what lies outside is folded to the zone next to it, and so are the rarest zones at
 * both ends. */
static void try_fold(const singles *s, unsigned base, unsigned low_bits, choice *best) {
    choice c = {.low_bits = (uint8_t)low_bits, .base = (uint8_t)base};
    uint64_t count[N], n_folded = 0;
    uint64_t inside = zone_counts(s, base, low_bits, N, count);
    unsigned low = 0, high = N - 1;
    double last = 0;
    if (inside == 0) {
        return;
    }
    while (count[low] == 0) {
        low++;
    }
    while (count[high] == 0) {
        high--;
    }
    n_folded = s->total - inside;
    count[low] += s->below[base + (low << low_bits)];
    count[high] += s->total - s->below[base + ((high + 1) << low_bits)];
    for (;;) {
        c.bits = fit(s->l, count, neighbour(count, base, low_bits), c.freq) +
                 (double)(s->total * low_bits + n_folded * RUSK_PATCH_COST_BITS);
        keep_cheaper(best, &c);
        if ((last > 0 && c.bits > last) || low == high) {
            return;
        }
        last = c.bits;
        unsigned rare = count[low] < count[high] ? low++ : high--;
        n_folded += count[rare];
        count[rare < low ? low : high] += count[rare];
        count[rare] = 0;
    }
}

/* A window of zones about the median, moved up by `shift`. */
static void try_window(const singles *s, unsigned low_bits, int shift, choice *best) {
    int width = 1 << low_bits, base = (int)s->median - (N / 2) * width + shift;
    while (base < 0) { /* what lies below has no symbols */
        base += width;
    }
    base = RUSK_MIN(base, RUSK_CODEC_ALPHABET - width);
    try_escape(s, (unsigned)base, low_bits, best);
    try_fold(s, (unsigned)base, low_bits, best);
}

/* Every number of low bits with the window in the middle; then windows up to a zone aside for those
 * that came within 3 %, as moving the window wins less. */
static choice choose_single(const logs *l, const uint64_t count[RUSK_CODEC_ALPHABET],
                            unsigned most_low_bits) {
    singles s;
    choice best = {.bits = INFINITY}, middle[RUSK_A16_MAX_LOW + 1];
    singles_init(&s, l, count);
    for (unsigned r = 0; r <= most_low_bits; r++) {
        middle[r].bits = INFINITY;
        if (best.bits > (double)(s.total * r)) {
            try_window(&s, r, 0, &middle[r]);
            keep_cheaper(&best, &middle[r]);
        }
    }
    double most = best.bits * 1.03;
    for (unsigned r = 0; r <= most_low_bits; r++) {
        int width = 1 << r, stride = RUSK_MAX(width / 8, 1);
        for (int shift = -width; shift <= width && middle[r].bits <= most; shift += stride) {
            try_window(&s, r, shift, &best);
        }
    }
    return best;
}

/* --- choosing: pairs ------------------------------------------------------------------------ */

/* Shares of zones 0 .. 3 and of what is beyond, and of pairs of them, are in units of 2^-20 and
 * 2^-40: a tensor's weights are taken as independent. */
enum { SHARE_BITS = 20 };

typedef struct pairs {
    const logs *l;
    uint64_t total;
    uint64_t share[PAIR_ZONES + 1];
} pairs;

static void pairs_init(pairs *p, const logs *l, const uint64_t count[RUSK_CODEC_ALPHABET],
                       unsigned low_bits) {
    uint64_t zone[PAIR_ZONES + 1] = {0};
    *p = (pairs){.l = l};
    for (unsigned v = 0; v < 128; v++) {
        unsigned z = RUSK_MIN(v >> low_bits, (unsigned)OUTSIDE);
        zone[z] += count[128 + v] + count[127 - v];
    }
    for (unsigned z = 0; z <= OUTSIDE; z++) {
        p->total += zone[z];
    }
    for (unsigned z = 0; z <= OUTSIDE; z++) {
        double share = (double)zone[z] / (double)p->total * (1 << SHARE_BITS);
        p->share[z] = zone[z] > 0 ? RUSK_MAX((uint64_t)share, (uint64_t)1) : 0;
    }
}

static double bits_of_pairs(const pairs *p, const uint64_t count[N], size_t spare,
                            unsigned low_bits, uint16_t freq[N]) {
    double n_pairs = 0.5 * (double)p->total, share = 1 / (double)(1ULL << 2 * SHARE_BITS);
    double bits = fit(p->l, count, spare, freq) * share * n_pairs;
    return bits + (double)(p->total * (low_bits + 1));
}

static void try_pair_escape(const pairs *p, unsigned low_bits, choice *best) {
    choice c = {.low_bits = (uint8_t)low_bits, .escape = true};
    uint64_t count[N];
    uint8_t order[N];
    uint64_t inside = 0, whole = 1ULL << 2 * SHARE_BITS;
    for (unsigned e = 0; e < RUSK_A16_ESCAPE; e++) {
        count[e] = p->share[e % PAIR_ZONES] * p->share[e / PAIR_ZONES];
        inside += count[e];
    }
    count[RUSK_A16_ESCAPE] = RUSK_MAX(inside < whole ? whole - inside : 0, (uint64_t)1);
    sort_entries(count, RUSK_A16_ESCAPE, order);
    for (size_t i = 0; i < RUSK_A16_ESCAPE; i++) {
        double escaped = (double)count[RUSK_A16_ESCAPE] / (double)whole;
        c.bits = bits_of_pairs(p, count, RUSK_A16_ESCAPE, low_bits, c.freq) +
                 escaped * (double)p->total * ESCAPE_BITS;
        keep_cheaper(best, &c);
        count[RUSK_A16_ESCAPE] += count[order[i]];
        count[order[i]] = 0;
    }
}

/* All pairs of zones 0 .. top have an entry, so that a symbol's code does not depend on its
 * partner; what lies beyond is folded. */
static void try_pair_fold(const pairs *p, unsigned low_bits, unsigned top, choice *best) {
    choice c = {.low_bits = (uint8_t)low_bits};
    uint64_t share[PAIR_ZONES] = {0}, count[N] = {0}, folded = 0;
    for (unsigned z = 0; z <= OUTSIDE; z++) {
        share[RUSK_MIN(z, top)] += p->share[z];
        folded += z > top ? p->share[z] : 0;
    }
    for (unsigned i = 0; i <= top; i++) {
        for (unsigned j = 0; j <= top; j++) {
            count[i + PAIR_ZONES * j] = RUSK_MAX(share[i] * share[j], (uint64_t)1);
        }
    }
    double patches = (double)folded / (1 << SHARE_BITS) * (double)p->total;
    c.bits = bits_of_pairs(p, count, 1, low_bits, c.freq) + patches * RUSK_PATCH_COST_BITS;
    keep_cheaper(best, &c);
}

static choice choose_pair(const logs *l, const uint64_t count[RUSK_CODEC_ALPHABET],
                          unsigned most_low_bits) {
    choice best = {.bits = INFINITY};
    pairs p = {.total = 0};
    for (unsigned r = 0; r <= most_low_bits && best.bits > (double)p.total * (r + 1); r++) {
        pairs_init(&p, l, count, r);
        try_pair_escape(&p, r, &best);
        for (unsigned top = 0; top < PAIR_ZONES; top++) {
            try_pair_fold(&p, r, top, &best);
        }
    }
    return best;
}

/* --- writing -------------------------------------------------------------------------------- */

static bool any_count(const uint64_t count[RUSK_CODEC_ALPHABET]) {
    uint64_t any = 0;
    for (size_t s = 0; s < RUSK_CODEC_ALPHABET; s++) {
        any |= count[s];
    }
    return any > 0;
}

static choice choose(const rusk_a16_kind *kind, const logs *l,
                     const uint64_t count[RUSK_CODEC_ALPHABET]) {
    return kind->pair ? choose_pair(l, count, kind->most_low_bits)
                      : choose_single(l, count, kind->most_low_bits);
}

double rusk_a16_cost_bits(const rusk_a16_kind *kind, const rusk_hist *hist) {
    logs l;
    double bits = 0;
    logs_init(&l);
    for (size_t c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if (any_count(hist->count[c])) {
            bits += choose(kind, &l, hist->count[c]).bits;
        }
    }
    return bits;
}

rusk_status rusk_a16_build_tables(const rusk_a16_kind *kind, const rusk_hist *hist,
                                  rusk_strbuf *blob, rusk_error *err) {
    logs l;
    unsigned mask = 0;
    logs_init(&l);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if (hist->count[c][0] > 0) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "class %u: expected symbols -127 to 127, found -128", c);
        }
        mask |= any_count(hist->count[c]) ? 1U << c : 0;
    }
    rusk_strbuf_add_u16(blob, (uint16_t)mask);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if ((mask >> c & 1) == 0) {
            continue;
        }
        choice best = choose(kind, &l, hist->count[c]);
        rusk_strbuf_add_u8(blob, (uint8_t)(best.low_bits | (best.escape ? ESCAPE_FLAG : 0)));
        rusk_strbuf_add_u8(blob, best.base);
        for (size_t e = 0; e < N; e++) {
            rusk_strbuf_add_u8(blob, (uint8_t)best.freq[e]);
        }
    }
    return blob->failed ? rusk_fail_memory(err, BLOB_CLASS, "a16 table blob") : RUSK_OK;
}

/* --- reading -------------------------------------------------------------------------------- */

/* Buckets (Vose's way: the last small one is filled up by the last large one), then ranks. */
static void fill_alias(rusk_a16_class *c) {
    uint8_t rest[N], own[N], small[N], large[N];
    size_t n_small = 0, n_large = 0;
    for (unsigned k = 0; k < N; k++) {
        rest[k] = c->freq[k];
        own[k] = N;
        c->alias[k] = (uint8_t)k;
        *(rest[k] < N ? &small[n_small++] : &large[n_large++]) = (uint8_t)k;
    }
    while (n_small > 0 && n_large > 0) {
        unsigned s = small[--n_small], l = large[n_large - 1];
        own[s] = rest[s];
        c->alias[s] = (uint8_t)l;
        rest[l] = (uint8_t)(rest[l] - (N - rest[s]));
        if (rest[l] < N) {
            n_large--;
            small[n_small++] = (uint8_t)l;
        }
    }
    unsigned rank[N];
    for (unsigned k = 0; k < N; k++) {
        rank[k] = own[k];
        c->last[k] = (uint8_t)(own[k] - 1);
    }
    for (unsigned k = 0; k < N; k++) {
        unsigned entry = c->alias[k], first = rank[entry];
        c->back[k] = (uint8_t)(N * k + own[k] - first);
        rank[entry] += (unsigned)N - own[k];
    }
}

/* What the encoder does with an entry; needs the alias tables. */
static void fill_codes(rusk_a16_class *c) {
    unsigned start = 0;
    for (unsigned e = 0; e < N; e++) {
        unsigned f = c->freq[e];
        c->code[e] = (rusk_a16_code){.reciprocal = f > 0 ? (1U << 24) / f + 1 : 0,
                                     .limit = (uint16_t)(f << 8),
                                     .freq = (uint8_t)f,
                                     .start = (uint8_t)start};
        start += f;
    }
    for (unsigned slot = 0; slot < RUSK_A16_SUM; slot++) {
        unsigned k = slot / N, offset = slot % N;
        bool own = (int)offset <= (int8_t)c->last[k];
        unsigned entry = own ? k : c->alias[k];
        unsigned rank = own ? offset : (slot - c->back[k]) & 0xFF;
        c->slot_of_rank[c->code[entry].start + rank] = (uint8_t)slot;
    }
}

static bool is_zone(const rusk_a16_class *c, unsigned entry) {
    return c->freq[entry] > 0 && !(c->escape && entry == RUSK_A16_ESCAPE);
}

static void fill_singles(rusk_a16_class *c, unsigned base) {
    memset(c->zone, c->escape ? RUSK_A16_ESCAPE : RUSK_A16_NONE, sizeof c->zone);
    for (unsigned e = 0; e < N; e++) {
        unsigned from = base + (e << c->low_bits);
        c->value[0][e] = (int8_t)(is_zone(c, e) ? (int)from - 128 : 0);
        for (unsigned i = 0; is_zone(c, e) && i < 1U << c->low_bits; i++) {
            c->zone[from + i] = (uint8_t)e;
            c->low[from + i] = (uint8_t)i;
        }
    }
    c->edge = base == 0 && is_zone(c, 0);
}

/* Zones 0 .. top have codes with each other; with an escape all have. */
static void fill_pairs(rusk_a16_class *c) {
    unsigned top = 0;
    bool all = true;
    for (unsigned z = 0; z < PAIR_ZONES && all; z++) {
        for (unsigned i = 0; i <= z; i++) {
            all = all && is_zone(c, i + PAIR_ZONES * z) && is_zone(c, z + PAIR_ZONES * i);
        }
        top = all ? z : top;
    }
    for (unsigned e = 0; e < N; e++) {
        unsigned z = e % PAIR_ZONES, z_2 = e / PAIR_ZONES;
        c->value[0][e] = (int8_t)(is_zone(c, e) ? z << c->low_bits : 0);
        c->value[1][e] = (int8_t)(is_zone(c, e) ? z_2 << c->low_bits : 0);
        c->edge = c->edge || (is_zone(c, e) && c->low_bits == RUSK_A16_MAX_LOW_2 &&
                              RUSK_MAX(z, z_2) == PAIR_ZONES - 1);
    }
    for (unsigned i = 0; i < sizeof c->entry_of_zones; i++) {
        unsigned z = i % 8, z_2 = i / 8, e = z + PAIR_ZONES * z_2;
        bool coded = z < PAIR_ZONES && z_2 < PAIR_ZONES && is_zone(c, e);
        c->entry_of_zones[i] = (uint8_t)(coded ? e : RUSK_A16_ESCAPE);
    }
    for (int index = 0; index < RUSK_CODEC_ALPHABET; index++) {
        int q = index - 128, v = q >= 0 ? q : -1 - q;
        unsigned z = RUSK_MIN((unsigned)v >> c->low_bits, (unsigned)OUTSIDE);
        unsigned mask = (2U << c->low_bits) - 1;
        c->zone[index] = (uint8_t)(c->escape || z <= top ? z : RUSK_A16_NONE);
        c->low[index] = (uint8_t)(((unsigned)q ^ (z << c->low_bits)) & mask);
    }
}

static void fill_class(rusk_a16_class *c, unsigned base) {
    uint16_t used[RUSK_CODEC_ALPHABET];
    fill_alias(c);
    fill_codes(c);
    for (unsigned e = 0; e < N; e++) {
        c->steep = c->steep || c->freq[e] > 127;
    }
    c->width = (uint8_t)(c->pair ? c->low_bits + 1 : c->low_bits);
    if (c->pair) {
        fill_pairs(c);
    } else {
        fill_singles(c, base);
    }
    c->zone[0] = RUSK_A16_NONE; /* -128 */
    for (size_t i = 0; i < RUSK_CODEC_ALPHABET; i++) {
        used[i] = c->zone[i] != RUSK_A16_NONE;
    }
    rusk_fold_map(used, c->fold);
}

static rusk_status read_class(rusk_reader *in, const rusk_a16_kind *kind, unsigned class_index,
                              rusk_a16_class *c, rusk_error *err) {
    memset(c, 0, sizeof *c);
    unsigned flags = rusk_reader_u8(in), base = rusk_reader_u8(in), sum = 0, top = 0;
    for (unsigned e = 0; e < N; e++) {
        c->freq[e] = rusk_reader_u8(in);
        sum += c->freq[e];
    }
    c->pair = kind->pair;
    c->escape = (flags & ESCAPE_FLAG) != 0;
    c->low_bits = flags & (ESCAPE_FLAG - 1);
    for (unsigned e = 0; e < N; e++) {
        top = is_zone(c, e) ? e + 1 : top;
    }
    if (!rusk_reader_ok(in) || c->low_bits > kind->most_low_bits || sum != RUSK_A16_SUM ||
        (c->escape && c->freq[RUSK_A16_ESCAPE] == 0)) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "%s table, class %u: expected at most %u low bits and frequencies that "
                         "sum to %d%s, found %u low bits and sum %u%s",
                         kind->name, class_index, kind->most_low_bits, RUSK_A16_SUM,
                         c->escape ? ", that of the escape not 0" : "", c->low_bits, sum,
                         rusk_reader_ok(in) ? "" : ", table cut short");
    }
    if (kind->pair ? base != 0 || (!c->escape && c->freq[0] == 0)
                   : base + (top << c->low_bits) > RUSK_CODEC_ALPHABET) {
        return rusk_fail(err, RUSK_FORMAT, in->pos,
                         "%s table, class %u: expected entries that stand for symbols, found base "
                         "%u, last entry %u of %u low bits",
                         kind->name, class_index, base, top, c->low_bits);
    }
    fill_class(c, base);
    return RUSK_OK;
}

rusk_status rusk_a16_open_tables(const rusk_a16_kind *kind, rusk_codec_tables **out,
                                 rusk_alloc *alloc, const uint8_t *blob, size_t len_bytes,
                                 rusk_error *err) {
    rusk_reader in = rusk_reader_over(blob, len_bytes);
    unsigned mask = rusk_reader_u16(&in), n_classes = 0;
    *out = NULL;
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        n_classes += mask >> c & 1;
    }
    size_t expected = sizeof(uint16_t) + (size_t)n_classes * BLOB_CLASS;
    if (!rusk_reader_ok(&in) || len_bytes != expected) {
        return rusk_fail(err, RUSK_FORMAT, in.pos,
                         "%s table: expected a class mask and %d bytes for each class, found %zu "
                         "bytes",
                         kind->name, BLOB_CLASS, len_bytes);
    }
    size_t head =
        (sizeof(rusk_a16_tables) + RUSK_ALLOC_ALIGN - 1) / RUSK_ALLOC_ALIGN * RUSK_ALLOC_ALIGN;
    size_t size = head + n_classes * sizeof(rusk_a16_class);
    rusk_a16_tables *t = rusk_alloc_get(alloc, RUSK_MEM_TABLES, size);
    if (t == NULL) {
        return rusk_fail_memory(err, size, "a16 tables");
    }
    *t = (rusk_a16_tables){
        .alloc = alloc, .rows = rusk_a16_rows_for(rusk_cpu_features()), .kind = *kind};
    rusk_a16_class *next = (rusk_a16_class *)((char *)t + head);
    for (unsigned c = 0; c < RUSK_CODEC_CLASSES; c++) {
        if ((mask >> c & 1) == 0) {
            continue;
        }
        rusk_status status = read_class(&in, kind, c, next, err);
        if (status != RUSK_OK) {
            rusk_alloc_put(alloc, t);
            return status;
        }
        t->at[c] = next++;
    }
    *out = (rusk_codec_tables *)t;
    return RUSK_OK;
}
