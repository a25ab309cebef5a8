/* container_index.h - an open .rusk file: what container_read.c (file, sections, blocks) and
 * container_index.c (TNSR, BLKS, TBLS, SIDE) share. */
#ifndef RUSK_FORMAT_CONTAINER_INDEX_H
#define RUSK_FORMAT_CONTAINER_INDEX_H

#include "base/io.h"
#include "format/container_layout.h"

typedef struct rusk_container_section {
    char tag[5];
    bool critical;
    uint64_t offset, len_bytes, hash;
    uint8_t *data; /* NULL: not loaded (DATA, unknown ones) */
} rusk_container_section;

typedef struct rusk_container_extent {
    uint64_t offset;      /* in the file */
    uint32_t block_bytes; /* fill excluded */
    uint64_t first_block; /* of the file's blocks */
    uint64_t first_byte;  /* bytes of all blocks before */
} rusk_container_extent;

/* What the public entry of a tensor does not say. */
typedef struct rusk_container_rows {
    uint64_t first_block, n_blocks; /* of the file's; F32: n_blocks is 1, but in SIDE */
    float scale_unit;
    uint32_t table;       /* 0: none, else 1 + index */
    const uint8_t *f32;   /* F32: the elements, little-endian */
    uint64_t side_offset; /* in SIDE */
} rusk_container_rows;

typedef struct rusk_container {
    rusk_source source; /* first: a rusk_source * is this */
    rusk_alloc *alloc;
    rusk_input in;
    rusk_arena arena;
    rusk_container_section sections[RUSK_CONTAINER_MAX_SECTIONS];
    size_t n_sections;
    rusk_provenance provenance;

    rusk_container_tensor *tensors;
    rusk_container_rows *rows;
    rusk_source_tensor *source_tensors;
    size_t n_tensors;

    rusk_container_extent *extents;
    size_t n_extents;
    const uint8_t *blocks; /* n_blocks entries of BLKS, as stored */
    uint64_t n_blocks;

    uint8_t *vectors;  /* of all F32 tensors, then the classes of all SYM8 tensors, one a byte */
    float *row_scales; /* of all SYM8 tensors */
} rusk_container;

/* A section by tag, NULL where absent. */
rusk_container_section *rusk_container_find(rusk_container *c, const char *tag);

/* The extent that holds a block of the file (its end, n_blocks: the last one); NULL without any. */
const rusk_container_extent *rusk_container_extent_of(const rusk_container *c, uint64_t block);
/* Offset of a block in its extent. */
uint32_t rusk_container_block_start(const rusk_container *c, uint64_t block);

/* Reads tensors, extents, tables and side information from the loaded sections, and validates them
 * against each other. After it the section SIDE is not needed any more. */
rusk_status rusk_container_read_index(rusk_container *c, rusk_error *err);

#endif
