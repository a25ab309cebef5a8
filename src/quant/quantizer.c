/* quantizer.c - the registry: one line a quantizer. */
#include "quant/quantizer.h"

#include <string.h>

#include "base/assert.h"

static const rusk_quantizer *const QUANTIZERS[] = {
    &rusk_quantizer_uniform,
};

size_t rusk_quantizer_count(void) {
    return RUSK_COUNT(QUANTIZERS);
}

const rusk_quantizer *rusk_quantizer_at(size_t index) {
    return index < RUSK_COUNT(QUANTIZERS) ? QUANTIZERS[index] : NULL;
}

const rusk_quantizer *rusk_quantizer_find(const char *name) {
    for (size_t i = 0; i < RUSK_COUNT(QUANTIZERS); i++) {
        if (strcmp(QUANTIZERS[i]->name, name) == 0) {
            return QUANTIZERS[i];
        }
    }
    return NULL;
}
