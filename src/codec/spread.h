/* spread.h - which byte or word each of eight lanes takes where some lanes take one, in ascending
 * order. For files of one instruction set; inside the room. */
#ifndef RUSK_CODEC_SPREAD_H
#define RUSK_CODEC_SPREAD_H

#include <stdint.h>

/* RUSK_SPREAD[m][j]: how many lanes below j are in pattern m, so the index of what lane j takes. */
#define RUSK_RANK(m, j) __builtin_popcount((m) & ((1U << (j)) - 1U))
#define RUSK_SPREAD_1(m)                                                                           \
    {                                                                                              \
        RUSK_RANK(m, 0), RUSK_RANK(m, 1), RUSK_RANK(m, 2), RUSK_RANK(m, 3), RUSK_RANK(m, 4),       \
            RUSK_RANK(m, 5), RUSK_RANK(m, 6), RUSK_RANK(m, 7)                                      \
    }
#define RUSK_SPREAD_4(m)                                                                           \
    RUSK_SPREAD_1(m), RUSK_SPREAD_1((m) + 1U), RUSK_SPREAD_1((m) + 2U), RUSK_SPREAD_1((m) + 3U)
#define RUSK_SPREAD_16(m)                                                                          \
    RUSK_SPREAD_4(m), RUSK_SPREAD_4((m) + 4U), RUSK_SPREAD_4((m) + 8U), RUSK_SPREAD_4((m) + 12U)
#define RUSK_SPREAD_64(m)                                                                          \
    RUSK_SPREAD_16(m), RUSK_SPREAD_16((m) + 16U), RUSK_SPREAD_16((m) + 32U),                       \
        RUSK_SPREAD_16((m) + 48U)
static const uint8_t RUSK_SPREAD[256][8] = {RUSK_SPREAD_64(0U), RUSK_SPREAD_64(64U),
                                            RUSK_SPREAD_64(128U), RUSK_SPREAD_64(192U)};

#endif
