/* kernels_dotprod.c - int8 products of aarch64 with SDOT (ARMv8.2): a quad in one instruction. */
#include "kernel/kernel_parts.h"

/* clang before 16 has no target attribute for this; there the NEON products stay. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)

#include "base/assert.h"
#include "kernel/neon_parts.h"

#define TARGET   __attribute__((target("arch=armv8.2-a+dotprod")))
#define NAMED(x) x##_dotprod

TARGET static inline float32x4_t quads_dotprod(int8x16_t w, int8x16_t q) {
    return vcvtq_f32_s32(vdotq_s32(vdupq_n_s32(0), w, q));
}

#include "kernel/neon_products.inc"

void rusk_kernels_use_dotprod(rusk_kernels *k) {
    k->name = "dotprod";
    k->matmul[RUSK_TILE_I8] = matmul_i8_dotprod;
    k->matmul[RUSK_TILE_G32] = matmul_g32_dotprod;
    k->matmul[RUSK_TILE_G16] = matmul_g16_dotprod;
}

#else

void rusk_kernels_use_dotprod(rusk_kernels *k) {
    (void)k;
}

#endif
