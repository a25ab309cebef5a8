/* export.h - a model's weights, dequantized, as an F16 GGUF that any engine runs. */
#ifndef RUSK_PACK_EXPORT_H
#define RUSK_PACK_EXPORT_H

#include "runtime/engine.h"

/* The contract of rusk_model_export_gguf (rusk.h). Vectors are written as F32, matrices as F16; a
 * weight that F16 cannot hold is UNSUPPORTED. */
rusk_status rusk_export_run(rusk_model *model, const char *path, rusk_progress progress, void *user,
                            rusk_error *err);

#endif
