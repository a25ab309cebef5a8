/* tokn.h - the numbers of docs/format/tokn.md, shared by its writer and its reader.
 *
 *      0  u32  version (1)            40  char[16]  model, NUL-padded ("gpt2", "llama")
 *      4  u32  n_tokens               56  char[32]  pre-tokenizer, NUL-padded
 *      8  u32  n_merges               88  u32       body_bytes: the body, inflated
 *     12  u32  flags                  92  ...       the body as a zlib stream, to the end
 *     16  i32  bos, eos, eot, unknown, padding (-1: none), 4 bytes reserved (0)
 */
#ifndef RUSK_TEXT_TOKN_H
#define RUSK_TEXT_TOKN_H

#include <zlib.h>

#include "base/alloc.h"

#define RUSK_TOKN_VERSION      1U
#define RUSK_TOKN_HEADER_BYTES 92U
#define RUSK_TOKN_MODEL_BYTES  16U
#define RUSK_TOKN_MAX_BODY     67108864U /* bytes of an inflated body */
/* Deflate makes at most 1032 bytes of one: a body that claims more is refused unread. */
#define RUSK_TOKN_MAX_RATIO 1032U

#define RUSK_TOKN_SCORES       1U
#define RUSK_TOKN_ADD_BOS      2U
#define RUSK_TOKN_ADD_EOS      4U
#define RUSK_TOKN_SPACE_PREFIX 8U

/* zlib's memory comes from the tagged allocator. */
voidpf rusk_tokn_zalloc(voidpf alloc, uInt n, uInt size);
void rusk_tokn_zfree(voidpf alloc, voidpf ptr);

#endif
