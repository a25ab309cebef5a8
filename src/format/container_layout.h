/* container_layout.h - numbers of docs/format/container.md that writer and reader share. */
#ifndef RUSK_FORMAT_CONTAINER_LAYOUT_H
#define RUSK_FORMAT_CONTAINER_LAYOUT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/strbuf.h"
#include "format/container.h"

#define RUSK_CONTAINER_MAGIC_BYTES "RUSK\r\n\x1a\n" /* 8 bytes */

enum {
    RUSK_SUPERBLOCK_BYTES = 64,
    RUSK_SUPERBLOCK_HASH_AT = 56, /* hash of what stands before it */
    RUSK_SECTION_ENTRY_BYTES = 32,
    RUSK_SECTION_CRITICAL = 1,
    RUSK_EXTENT_ENTRY_BYTES = 16,
    RUSK_BLOCK_ENTRY_BYTES = 12,
    RUSK_BLKS_HEADER_BYTES = 8,
    RUSK_PAGE_BYTES = 4096,
    RUSK_EXTENT_LEAST_BYTES = 256 * 1024, /* a writer ends no extent before */
    RUSK_EXTENT_MOST_BYTES = 512 * 1024,  /* and ends it at the latest behind */
    RUSK_EXTENT_GOOD_FILL = 512           /* between the two where so few bytes are lost */
};

/* Limits (container.md, section 2). */
#define RUSK_CONTAINER_MAX_SECTIONS      64U
#define RUSK_CONTAINER_MAX_HEAD          (1U << 24)
#define RUSK_CONTAINER_MAX_TNSR          (1U << 25)
#define RUSK_CONTAINER_MAX_BLKS          (1U << 28)
#define RUSK_CONTAINER_MAX_TBLS          (1U << 26)
#define RUSK_CONTAINER_MAX_SIDE          (1U << 28)
#define RUSK_CONTAINER_MAX_TOKN          (1U << 26)
#define RUSK_CONTAINER_MAX_CHAT          (1U << 20)
#define RUSK_CONTAINER_MAX_META          65536U
#define RUSK_CONTAINER_MAX_KEY           65535U
#define RUSK_CONTAINER_MAX_NOTE          4095U
#define RUSK_CONTAINER_MAX_ROLES         127U
#define RUSK_CONTAINER_MAX_CODEC         15U
#define RUSK_CONTAINER_MAX_QUANTIZER     31U
#define RUSK_CONTAINER_MAX_EXTRA         65535U
#define RUSK_CONTAINER_MAX_TENSORS       65536U
#define RUSK_CONTAINER_MAX_COLS          (1U << 24)
#define RUSK_CONTAINER_MAX_ROWS          (1U << 31)
#define RUSK_CONTAINER_MAX_BLOCK_SYMBOLS (1U << 24)
#define RUSK_CONTAINER_MAX_EXTENT        (1U << 27)

/* Page-aligned end of an extent's room: blocks, over-read zeros, fill. */
static inline uint64_t rusk_extent_room(uint64_t block_bytes) {
    return (block_bytes + RUSK_BLOCK_OVERREAD + RUSK_PAGE_BYTES - 1) &
           ~(uint64_t)(RUSK_PAGE_BYTES - 1);
}

/* Checks what an entry of TNSR says of a tensor (texts, shape, block_rows; not the arrays) and sets
 * rows and columns. The message names the tensor; `status` is that of a violation. */
rusk_status rusk_container_check_tensor(const rusk_container_tensor *t, rusk_status status,
                                        uint64_t offset, uint64_t *n_rows, uint64_t *n_cols,
                                        rusk_error *err);
/* Bytes of a tensor in SIDE. */
uint64_t rusk_container_side_bytes(rusk_dtype dtype, uint64_t n_rows, uint64_t n_cols);

/* Power of two that row scales are stored in units of (container.md, section 8). */
float rusk_container_scale_unit(const float *row_scales, size_t n_rows);

/* `status` where a name stands twice ("tensor 'x' stands twice"); n log n whatever the names. */
rusk_status rusk_container_check_unique(rusk_alloc *alloc, const char **names, size_t n,
                                        rusk_status status, const char *what, rusk_error *err);

/* A bounded reader that knows where in the file it stands, for messages. */
typedef struct rusk_section_reader {
    rusk_reader in;
    uint64_t offset; /* of the section */
    const char *tag;
} rusk_section_reader;

/* text(max_bytes) of container.md; the result points into the section. `word` refuses NUL inside.
 */
rusk_status rusk_section_text(rusk_section_reader *r, size_t max_bytes, bool word, const char *what,
                              rusk_text *out, rusk_error *err);
rusk_status rusk_section_fail(const rusk_section_reader *r, rusk_error *err, const char *what);
/* FORMAT where the reader is bad (the section ended early) or bytes are left. */
rusk_status rusk_section_end(const rusk_section_reader *r, rusk_error *err);
void rusk_section_add_text(rusk_strbuf *s, const char *text, size_t len_bytes);

/* HEAD. Writing skips the keys that other sections replace. Texts of the result of reading point
 * into the section, which must live as long; the arrays come from the arena. */
rusk_status rusk_container_write_head(rusk_strbuf *out, const rusk_provenance *p,
                                      const rusk_source *source, rusk_error *err);
rusk_status rusk_container_read_head(rusk_section_reader *r, rusk_arena *arena, rusk_provenance *p,
                                     rusk_meta **meta, size_t *n_meta, rusk_error *err);

#endif
