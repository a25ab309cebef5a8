/* inspect.h - what a tensor's stored symbols would cost an ideal coder. */
#ifndef RUSK_EVAL_INSPECT_H
#define RUSK_EVAL_INSPECT_H

#include "format/source.h"

/* The contract of rusk_file_tensor_entropy (rusk.h). Symbols of a .rusk tensor count in their row
 * classes, as the codec codes them. */
rusk_status rusk_inspect_entropy(const rusk_source *source, size_t tensor, double *bits,
                                 rusk_error *err);

#endif
