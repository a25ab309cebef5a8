/* codec_speed.h - how fast each codec gives symbols back on this machine. */
#ifndef RUSK_EVAL_CODEC_SPEED_H
#define RUSK_EVAL_CODEC_SPEED_H

#include "base/alloc.h"

/* The contract of rusk_bench_codecs (rusk.h). */
rusk_status rusk_codec_speed(double bits, rusk_bench_codec *out, size_t cap, size_t *n,
                             rusk_error *err);

#endif
