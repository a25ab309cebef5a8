/* raw.h - what the raw codec's files share. */
#ifndef RUSK_CODEC_RAW_H
#define RUSK_CODEC_RAW_H

#include <stddef.h>
#include <stdint.h>

#define RUSK_RAW_GROUP     64 /* codes a group */
#define RUSK_RAW_MAX_WIDTH 8

/* Groups of 64 codes (width planes of 8 bytes each) to symbols: code + lowest - 128. */
typedef void (*rusk_raw_groups)(const uint8_t *planes, size_t n_groups, unsigned width,
                                unsigned lowest, int8_t *out);
void rusk_raw_groups_ref(const uint8_t *planes, size_t n_groups, unsigned width, unsigned lowest,
                         int8_t *out);
/* Only where the target is x86-64 and the processor has AVX2. */
void rusk_raw_groups_avx2(const uint8_t *planes, size_t n_groups, unsigned width, unsigned lowest,
                          int8_t *out);
/* The fastest for these features (RUSK_CPU_*) among those of this target. */
rusk_raw_groups rusk_raw_groups_for(uint32_t cpu_mask);

#endif
