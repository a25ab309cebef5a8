#include "format/halves.h"

#include "base/bytes.h"
#include "base/cpu.h"
#include "base/fp.h"

void rusk_halves_load_ref(const uint8_t *bytes, size_t stride, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = rusk_f32_from_f16(rusk_load_u16(bytes + i * stride));
    }
}

void rusk_halves_load(const uint8_t *bytes, size_t stride, size_t n, float *out) {
#if defined(__x86_64__)
    if ((rusk_cpu_features() & RUSK_CPU_AVX2) != 0) {
        rusk_halves_load_avx2(bytes, stride, n, out);
        return;
    }
#endif
    rusk_halves_load_ref(bytes, stride, n, out);
}
