/* codec_cases.h - what every codec is held to; test_raw.c, test_rans.c and the twins call these. */
#ifndef RUSK_TEST_CODEC_CASES_H
#define RUSK_TEST_CODEC_CASES_H

#include "base/rng.h"
#include "base/strbuf.h"
#include "codec/codec.h"

/* A tensor's piece with symbols, classes, outliers. */
typedef struct codec_case {
    rusk_block_shape shape;
    uint8_t *classes;
    int8_t *symbols;
    rusk_patch *patches;
    size_t n_patches;
    rusk_hist hist;
} codec_case;

/* Random symbols of a random kind (Gaussian, heavy tails, constant, uniform) in random classes. */
void codec_case_init(codec_case *c, rusk_rng *rng, uint32_t n_rows, uint32_t n_cols);
void codec_case_finish(codec_case *c);

/* Number of shapes, and the ith: 1x1, widths around 32 and 64, tall, wide ... */
size_t codec_case_n_shapes(void);
void codec_case_shape(size_t i, uint32_t *n_rows, uint32_t *n_cols);

/* Opened tables and the stored block of a case. */
typedef struct codec_block {
    rusk_alloc alloc;
    rusk_strbuf blob, data;
    rusk_codec_tables *tables;
} codec_block;
void codec_block_init(codec_block *b, const rusk_codec *codec, const codec_case *c);
void codec_block_finish(codec_block *b, const rusk_codec *codec);

void codec_check_round_trips(const rusk_codec *codec);
/* Rows in pieces of any height, of one block and of two at once, are those of the whole block. */
void codec_check_pieces(const rusk_codec *codec);
void codec_check_guard_pages(const rusk_codec *codec);
void codec_check_truncation(const rusk_codec *codec);
void codec_check_damage(const rusk_codec *codec);
void codec_check_table_damage(const rusk_codec *codec);
void codec_check_out_of_memory(const rusk_codec *codec);
/* n_stored: patches in the block's list, of both kinds. */
void codec_check_golden(const rusk_codec *codec, const uint8_t *blob, size_t blob_bytes,
                        const uint8_t *block, size_t block_bytes, size_t n_stored);
void codec_check_bad_arguments(const rusk_codec *codec);

#endif
