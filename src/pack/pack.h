/* pack.h - model in, container out: the pipeline behind rusk_pack. */
#ifndef RUSK_PACK_PACK_H
#define RUSK_PACK_PACK_H

#include "base/status.h"

/* The contract of rusk_pack (rusk.h). options complete (struct_size is not looked at); report may
 * be NULL. Beyond what stands there:
 *   - `bits` is a bound like `size_bytes`: the file is the largest that stays within it, usually by
 *     less than 0.2 %. One that even the finest step does not fill gives the file of that step.
 *   - Progress stages, each once or, where the search asks for it, more often: "hash" (bytes of the
 *     source), "measure", "count", "code" (weights).
 *   - Memory stays below about 2 MB for each thread, 20 bytes for each row of the model, 32 KB
 *     for each matrix and the tokenizer, whatever the size of a tensor.
 *   - Also INVALID_ARGUMENT: no positive target, two targets, an unknown quantizer or codec (known
 *     ones are named), the source as output; UNSUPPORTED: a source that is packed already. */
rusk_status rusk_pack_run(const char *source_path, const char *out_path,
                          const rusk_pack_options *options, rusk_pack_report *report,
                          rusk_error *err);

#endif
