/* symbols.h - matrices of symbols to measure codecs on, and their coded blocks. Benchmarks only:
 * what goes wrong ends the program with a message. */
#ifndef RUSK_SYMBOLS_H
#define RUSK_SYMBOLS_H

#include "codec/codec.h"

typedef struct test_symbols {
    char name[64];
    uint32_t n_rows, n_cols;
    int8_t *symbols; /* n_rows x n_cols */
    uint8_t *classes;
    rusk_hist *hist;
} test_symbols;

typedef enum test_grid {
    TEST_MID_TREAD, /* zero is a level: round(x / step) */
    TEST_MID_RISE   /* none is: floor(x / step), the value is half a step above */
} test_grid;

/* Rows of `n_widths` (1..16) deviations, a quarter octave apart, in seeded order; class 0 is the
 * widest. A row of middling width has about `bits` of entropy. */
test_symbols test_symbols_gaussian(uint32_t n_rows, uint32_t n_cols, double bits, unsigned n_widths,
                                   test_grid grid);
/* An int8 matrix of NumPy (.npy, C order). Rows of about the same deviation, to a quarter of an
 * octave, share a class; all below the 15 widest share the last. */
test_symbols test_symbols_load(const char *path);
void test_symbols_free(test_symbols *s);
/* Entropy in bits a symbol, given the row's class. */
double test_symbols_bits(const test_symbols *s);

/* From now on codecs and kernels may use what `cpu` says: ref, avx2, avx512, neon, best. 1; 0 where
 * the processor has less, -1 where the name is unknown. */
int test_symbols_restrict(const char *cpu);

/* Blocks of a matrix as pack makes them, one after the other in `data`, readable beyond its end. */
typedef struct test_coded {
    const rusk_codec *codec;
    const test_symbols *symbols;
    rusk_alloc alloc;
    rusk_strbuf blob, data;
    rusk_codec_tables *tables;
    uint32_t block_rows;
    size_t n_blocks;
    size_t *offsets; /* n_blocks + 1 */
} test_coded;

/* Counts, tables and blocks of block_rows rows; 0: as pack chooses. */
void test_coded_make(test_coded *c, const rusk_codec *codec, const test_symbols *s,
                     uint32_t block_rows);
void test_coded_free(test_coded *c);
/* Encodes all blocks again. */
void test_coded_encode(test_coded *c);
rusk_block_shape test_coded_shape(const test_coded *c, size_t block);
const uint8_t *test_coded_block(const test_coded *c, size_t block, size_t *len_bytes);
/* Bits a symbol of blocks (patch lists included) and table blob; with `stored` also what a
 * container adds: 4 bits of class a row, 12 bytes of offset and checksum a block. */
double test_coded_bits(const test_coded *c, bool stored);

#endif
