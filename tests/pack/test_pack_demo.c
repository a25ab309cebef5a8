/* The demo model at 4.5 bits: size, rate, memory and quality, as the work on packing must hold
 * them. Skipped where the model or the text is not there. */
#include <stdlib.h>

#include "support/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum { CHUNK_TOKENS = 256, N_CHUNKS = 2, TEXT_OFFSET = 647835, TEXT_BYTES = 6000 };

static rusk_error g_err;

static const char *packed(rusk_pack_report *report) {
    if (SANITIZED) {
        test_skip("a minute under sanitizers, which tests/pack/test_pack.c already satisfies");
    }
    const char *source = test_demo_model(), *out = test_path("demo.rusk");
    rusk_pack_options o;
    rusk_pack_options_default(&o);
    o.bits = 4.5;
    CHECK_OK(rusk_pack(source, out, &o, report, &g_err), &g_err);
    return out;
}

TEST(size_rate_and_memory) {
    rusk_pack_report r;
    packed(&r);
    CHECK_EQ(r.n_parameters, 134515008);
    CHECK(r.bits_per_weight <= 4.5 && r.bits_per_weight >= 4.5 * 0.995);
    CHECK(r.coded_bits <= 1.02 * r.entropy_bits);
    CHECK(r.side_bits < 0.08);
    CHECK(r.bytes_peak < 60 * 1000 * 1000);
}

TEST(quality) {
    rusk_pack_report r;
    size_t len;
    const char *path = packed(&r);
    uint8_t *text = test_read_file(test_shared_data("wiki.test.raw"), &len);
    CHECK(len > TEXT_OFFSET + TEXT_BYTES);
    rusk_model *model, *reference;
    rusk_model_options mo;
    rusk_model_options_default(&mo);
    CHECK_OK(rusk_model_open(&model, path, &mo, &g_err), &g_err);
    CHECK_OK(rusk_model_open(&reference, test_demo_model(), &mo, &g_err), &g_err);
    rusk_eval_options eo;
    rusk_eval_options_default(&eo);
    eo.chunk_tokens = CHUNK_TOKENS;
    eo.n_chunks = N_CHUNKS;
    rusk_eval_result result;
    CHECK_OK(rusk_eval(model, reference, (const char *)text + TEXT_OFFSET, TEXT_BYTES, &eo, &result,
                       &g_err),
             &g_err);
    CHECK(result.kl_mean < 0.15);
    CHECK(result.same_top > 0.75);
    rusk_model_close(model);
    rusk_model_close(reference);
    free(text);
}

TEST_MAIN(CASE(size_rate_and_memory), CASE(quality))
