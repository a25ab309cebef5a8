/* codec.c - the registry: a codec is one file and one line here. */
#include "codec/codec.h"

#include <string.h>

#include "base/assert.h"
#include "codec/registry.h"

static const rusk_codec *const CODECS[] = {&rusk_codec_raw, &rusk_codec_rans, &rusk_codec_a16,
                                           &rusk_codec_a16r, &rusk_codec_a16x2};

size_t rusk_codec_count(void) {
    return RUSK_COUNT(CODECS);
}

const rusk_codec *rusk_codec_at(size_t index) {
    return index < RUSK_COUNT(CODECS) ? CODECS[index] : NULL;
}

const rusk_codec *rusk_codec_find(const char *name) {
    for (size_t i = 0; i < RUSK_COUNT(CODECS); i++) {
        if (strcmp(CODECS[i]->name, name) == 0) {
            return CODECS[i];
        }
    }
    return NULL;
}

uint32_t rusk_codec_block_rows(uint32_t n_rows, uint32_t n_cols) {
    enum { SMALL = 1 << 16, LARGE = 1 << 18, SHARES = 64 };
    if (n_rows == 0 || n_cols == 0) {
        return n_rows;
    }
    uint64_t symbols = (uint64_t)n_rows * n_cols / SHARES;
    symbols = RUSK_MIN(RUSK_MAX(symbols, (uint64_t)SMALL), (uint64_t)LARGE);
    uint64_t most = n_cols < symbols ? symbols / n_cols : 1;
    uint64_t n_blocks = (n_rows + most - 1) / most;
    return (uint32_t)((n_rows + n_blocks - 1) / n_blocks);
}

rusk_status rusk_decoder_init(rusk_decoder *d, const rusk_codec_tables *tables,
                              const rusk_block_shape *shape, const uint8_t *data, size_t len_bytes,
                              rusk_error *err) {
    if (shape->n_rows == 0 || shape->n_cols == 0) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "block: expected at least one row and column, found %u x %u",
                         shape->n_rows, shape->n_cols);
    }
    d->tables = tables;
    d->shape = *shape;
    d->data = data;
    d->len_bytes = len_bytes;
    d->next_row = 0;
    d->ahead = NULL;
    d->ahead_row_bytes = 0;
    return RUSK_OK;
}
