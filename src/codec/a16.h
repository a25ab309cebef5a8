/* a16.h - what the files of the a16 family share: codecs `a16`, `a16r`, `a16x2`.
 *
 * Range ANS whose tables fit into four 16-byte registers: 16 entries with frequencies that sum to
 * 256, looked up by the alias method (Walker, 1974), states of 16 bits kept as two byte planes,
 * renormalized by bytes. An entry is a zone of 2^r neighbouring symbols, whose r low bits stand
 * beside (fields.h), or a pair of zones (two weights a lane). Layouts: docs/format/codecs.md.
 *
 * A slot is the state's low byte; the 256 slots are 16 buckets of 16:
 *
 *     slot   7 . . . 4 3 . . . 0
 *           | bucket k| offset o|      o <= last[k]:  entry k,        rank o
 *                                      else:          entry alias[k], rank (slot - back[k]) mod 256
 *
 *     state = freq[entry] * (state >> 8) + rank;  below 256: state = state << 8 | next byte */
#ifndef RUSK_CODEC_A16_H
#define RUSK_CODEC_A16_H

#include <stdbool.h>

#include "codec/codec.h"

#define RUSK_A16_LANES     64
#define RUSK_A16_ENTRIES   16
#define RUSK_A16_SUM       256
#define RUSK_A16_ESCAPE    15  /* the entry that stands for "in the escape stream" */
#define RUSK_A16_LOW       256 /* last state, and the lowest */
#define RUSK_A16_MAX_LOW   6   /* most low bits of a single */
#define RUSK_A16_MAX_LOW_2 5   /* of a pair: 4 zones of 32 are all there is */
#define RUSK_A16_NONE      0x80

/* What the encoder needs of an entry: x / freq = x * reciprocal >> 24 for x < 65536. */
typedef struct rusk_a16_code {
    uint32_t reciprocal;
    uint16_t limit; /* freq * 256: a state from here on gives a byte first */
    uint8_t freq;
    uint8_t start; /* of its ranks in slot_of_rank */
} rusk_a16_code;

/* A class, as decoders want it; then what only the encoder reads. */
typedef struct rusk_a16_class {
    _Alignas(16) uint8_t last[16]; /* last rank of the bucket's own entry; 0xFF (-1): it has none */
    uint8_t alias[16], back[16], freq[16];
    int8_t value[2][16]; /* symbol of the entry with low field 0: first, second weight (pair). 0 for
                            the escape entry */
    uint8_t low_bits;    /* r */
    uint8_t width;       /* bits of a weight's field: r; pair: r + 1 */
    bool escape, pair;
    bool steep; /* some frequency > 127 */
    bool edge;  /* damaged bytes can give -128 */

    rusk_a16_code code[RUSK_A16_ENTRIES];
    uint8_t slot_of_rank[RUSK_A16_SUM]; /* by code.start + rank */
    uint8_t zone[RUSK_CODEC_ALPHABET];  /* by index: entry, or zone of a pair; RUSK_A16_NONE */
    uint8_t low[RUSK_CODEC_ALPHABET];   /* by index: its field */
    uint8_t entry_of_zones[40];         /* pair: by first zone + 8 * second */
    int8_t fold[RUSK_CODEC_ALPHABET];
} rusk_a16_class;

/* A stream: 64 lanes that run through every other row of a block. */
typedef struct rusk_a16_stream {
    _Alignas(64) uint8_t high[RUSK_A16_LANES];
    uint8_t low[RUSK_A16_LANES];
    const uint8_t *next, *end;          /* code bytes */
    const uint8_t *escape, *escape_end; /* escape bytes */
} rusk_a16_stream;

/* A row to decode: n_cols symbols to out. */
typedef struct rusk_a16_row {
    rusk_a16_stream *stream;
    const rusk_a16_class *cls;
    const uint8_t *fields; /* of this row: 8 * cls->width * ceil(n_cols / 64) bytes */
    int8_t *out;
} rusk_a16_row;

/* Decodes one row of each of n (1 .. 4) different streams; their classes may differ, all are pairs
 * or none is. Writes nothing but out[0 .. n_cols-1] and the streams.
 *
 * Of each stream 64 bytes past `end` and past `escape_end` are readable; what lies there has no
 * meaning. Any bytes, fields and states of at least 256 are safe. Where the bytes of a stream run
 * out, decoding may stop at any step: then its next > end or its escape > escape_end, which the
 * caller checks, and no row of the call has a meaning any more. An escaped weight is its byte,
 * whatever its field says. All variants give the same symbols, states and pointers where bytes did
 * not run out. */
typedef void (*rusk_a16_rows)(const rusk_a16_row *rows, unsigned n, size_t n_cols);
void rusk_a16_rows_ref(const rusk_a16_row *rows, unsigned n, size_t n_cols);
/* Only where the target is x86-64, and to be called only where the processor has RUSK_CPU_AVX2;
 * RUSK_CPU_VBMI. */
void rusk_a16_rows_avx2(const rusk_a16_row *rows, unsigned n, size_t n_cols);
void rusk_a16_rows_avx512(const rusk_a16_row *rows, unsigned n, size_t n_cols);
/* Only where the target is aarch64. */
void rusk_a16_rows_neon(const rusk_a16_row *rows, unsigned n, size_t n_cols);
/* The fastest for these features (RUSK_CPU_*) among those of this target. */
rusk_a16_rows rusk_a16_rows_for(uint32_t cpu_mask);

/* What tells the three codecs apart. */
typedef struct rusk_a16_kind {
    const char *name;
    uint8_t most_low_bits;
    bool pair;
} rusk_a16_kind;

typedef struct rusk_a16_tables {
    rusk_alloc *alloc;
    rusk_a16_rows rows; /* the fastest this processor runs; tests set others */
    rusk_a16_kind kind;
    const rusk_a16_class *at[RUSK_CODEC_CLASSES]; /* NULL where the class has no table */
} rusk_a16_tables;

static inline const rusk_a16_tables *rusk_a16_of(const rusk_codec_tables *tables) {
    return (const rusk_a16_tables *)tables;
}

/* rusk_codec's functions of these names, by kind. */
rusk_status rusk_a16_build_tables(const rusk_a16_kind *kind, const rusk_hist *hist,
                                  rusk_strbuf *blob, rusk_error *err);
double rusk_a16_cost_bits(const rusk_a16_kind *kind, const rusk_hist *hist);
rusk_status rusk_a16_open_tables(const rusk_a16_kind *kind, rusk_codec_tables **out,
                                 rusk_alloc *alloc, const uint8_t *blob, size_t len_bytes,
                                 rusk_error *err);

#endif
