/* registry.h - the codecs that codec.c lists. */
#ifndef RUSK_CODEC_REGISTRY_H
#define RUSK_CODEC_REGISTRY_H

#include "codec/codec.h"

extern const rusk_codec rusk_codec_raw;
extern const rusk_codec rusk_codec_rans;
extern const rusk_codec rusk_codec_a16;
extern const rusk_codec rusk_codec_a16r;
extern const rusk_codec rusk_codec_a16x2;

#endif
