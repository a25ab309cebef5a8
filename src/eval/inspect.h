/* inspect.h - what a tensor's stored symbols would cost an ideal coder, and what they do cost. */
#ifndef RUSK_EVAL_INSPECT_H
#define RUSK_EVAL_INSPECT_H

#include "format/source.h"

/* The contract of rusk_file_tensor_coding (rusk.h). Symbols of a .rusk tensor count in their row
 * classes, as the codec codes them. */
rusk_status rusk_inspect_coding(const rusk_source *source, size_t tensor,
                                rusk_tensor_coding *coding, rusk_error *err);

#endif
