#include "format/dtype.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/fp.h"
#include "format/dtype_unpack.h"

/* Float types and symbols have nothing to unpack. */
#define UNPACK_F32    NULL
#define UNPACK_F16    NULL
#define UNPACK_BF16   NULL
#define UNPACK_SYM8   NULL
#define UNPACK_Q4_0   rusk_unpack_q4_0
#define UNPACK_Q4_1   rusk_unpack_q4_1
#define UNPACK_Q5_0   rusk_unpack_q5_0
#define UNPACK_Q5_1   rusk_unpack_q5_1
#define UNPACK_Q8_0   rusk_unpack_q8_0
#define UNPACK_Q2_K   rusk_unpack_q2_k
#define UNPACK_Q3_K   rusk_unpack_q3_k
#define UNPACK_Q4_K   rusk_unpack_q4_k
#define UNPACK_Q5_K   rusk_unpack_q5_k
#define UNPACK_Q6_K   rusk_unpack_q6_k
#define UNPACK_IQ4_NL rusk_unpack_iq4_nl
#define UNPACK_IQ4_XS rusk_unpack_iq4_xs

static const rusk_dtype_info INFOS[] = {
#define X(name, number, elements, bytes, group)                                                    \
    {#name, UNPACK_##name, RUSK_DTYPE_##name, elements, bytes, group},
    RUSK_DTYPE_LIST(X)
#undef X
};

/* GGUF types that exist but are not read: name and number, as in the format's type list. Numbers 4,
 * 5, 31 to 33 and 36 to 38 were taken back by the format. */
#define UNREAD_LIST(X)                                                                             \
    X(Q4_2, 4)                                                                                     \
    X(Q4_3, 5)                                                                                     \
    X(Q8_1, 9)                                                                                     \
    X(Q8_K, 15)                                                                                    \
    X(IQ2_XXS, 16)                                                                                 \
    X(IQ2_XS, 17)                                                                                  \
    X(IQ3_XXS, 18)                                                                                 \
    X(IQ1_S, 19)                                                                                   \
    X(IQ3_S, 21)                                                                                   \
    X(IQ2_S, 22)                                                                                   \
    X(I8, 24)                                                                                      \
    X(I16, 25)                                                                                     \
    X(I32, 26)                                                                                     \
    X(I64, 27)                                                                                     \
    X(F64, 28)                                                                                     \
    X(IQ1_M, 29)                                                                                   \
    X(Q4_0_4_4, 31)                                                                                \
    X(Q4_0_4_8, 32)                                                                                \
    X(Q4_0_8_8, 33)                                                                                \
    X(TQ1_0, 34)                                                                                   \
    X(TQ2_0, 35)                                                                                   \
    X(IQ4_NL_4_4, 36)                                                                              \
    X(IQ4_NL_4_8, 37)                                                                              \
    X(IQ4_NL_8_8, 38)                                                                              \
    X(MXFP4, 39)                                                                                   \
    X(NVFP4, 40)                                                                                   \
    X(Q1_0, 41)

const rusk_dtype_info *rusk_dtype_find(uint32_t number) {
    for (size_t i = 0; i < RUSK_COUNT(INFOS); i++) {
        if ((uint32_t)INFOS[i].dtype == number) {
            return &INFOS[i];
        }
    }
    return NULL;
}

const char *rusk_dtype_gguf_name(uint32_t number) {
    const rusk_dtype_info *info = rusk_dtype_find(number);
    if (info != NULL) {
        return info->dtype != RUSK_DTYPE_SYM8 ? info->name : NULL;
    }
    switch (number) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        UNREAD_LIST(X)
#undef X
    default:
        return NULL;
    }
}

/* Columns unpacked at a time: the largest block, so that the arrays stay in the first cache. */
enum { STEP = 256, LEAST_GROUP = 16 };

/* Not inlined: gcc 12 would unroll it and turn the loop over groups into vector code instead, with
 * strided stores at half the speed. */
static __attribute__((noinline)) void sixteen_to_f32(const int8_t *restrict codes, float d, float m,
                                                     float *restrict out) {
    for (size_t i = 0; i < LEAST_GROUP; i++) {
        out[i] = d * (float)codes[i] + m;
    }
}

void rusk_dtype_to_f32(const rusk_dtype_info *info, const uint8_t *bytes, size_t n, float *out) {
    switch (info->dtype) {
    case RUSK_DTYPE_F32:
        for (size_t i = 0; i < n; i++) {
            out[i] = rusk_load_f32(bytes + 4 * i);
        }
        return;
    case RUSK_DTYPE_F16:
        for (size_t i = 0; i < n; i++) {
            out[i] = rusk_f32_from_f16(rusk_load_u16(bytes + 2 * i));
        }
        return;
    case RUSK_DTYPE_BF16:
        for (size_t i = 0; i < n; i++) {
            out[i] = rusk_f32_from_bf16(rusk_load_u16(bytes + 2 * i));
        }
        return;
    default:
        break;
    }
    RUSK_ASSERT(info->unpack != NULL && n % info->block_elements == 0);
    int8_t codes[STEP];
    float d[STEP / LEAST_GROUP], m[STEP / LEAST_GROUP];
    for (size_t done = 0; done < n; done += STEP) {
        size_t now = RUSK_MIN(n - done, (size_t)STEP);
        info->unpack(bytes + done / info->block_elements * info->block_bytes, now, codes, d, m);
        for (size_t i = 0; i < now; i += LEAST_GROUP) {
            sixteen_to_f32(codes + i, d[i / info->group], m[i / info->group], out + done + i);
        }
    }
}
