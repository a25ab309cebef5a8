/* arch_table.c - the architectures we know: one line each. */
#include "model/arch.h"

#include <string.h>

#include "base/assert.h"

extern const rusk_arch rusk_arch_gemma3, rusk_arch_llama, rusk_arch_qwen2;

static const rusk_arch *const TABLE[] = {
    &rusk_arch_gemma3,
    &rusk_arch_llama,
    &rusk_arch_qwen2,
};

size_t rusk_arch_count(void) {
    return RUSK_COUNT(TABLE);
}

const rusk_arch *rusk_arch_at(size_t index) {
    return TABLE[index];
}

const rusk_arch *rusk_arch_find(const char *name, size_t len_bytes) {
    for (size_t i = 0; i < RUSK_COUNT(TABLE); i++) {
        if (strlen(TABLE[i]->name) == len_bytes && memcmp(TABLE[i]->name, name, len_bytes) == 0) {
            return TABLE[i];
        }
    }
    return NULL;
}
