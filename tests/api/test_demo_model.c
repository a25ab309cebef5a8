/* The demo model against llama.cpp's figures: perplexity, and greedy text. Skipped where the model
 * or the vectors are not here. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const char *vectors_path, *text_path;

static json_t *vectors(void) {
    vectors_path = test_shared_data("vectors/smollm2-q4_1.json");
    json_error_t error;
    json_t *root = json_load_file(vectors_path, 0, &error);
    CHECK(root != NULL);
    return root;
}

static rusk_model *demo(void) {
    rusk_model *model;
    rusk_error err;
    CHECK_OK(rusk_model_open(&model, test_demo_model(), NULL, &err), &err);
    return model;
}

static json_t *running;
static double worst_chunk;

static void check_chunk(void *user, uint32_t chunk, double perplexity) {
    (void)user;
    double expected = json_real_value(json_array_get(running, chunk));
    worst_chunk = fmax(worst_chunk, fabs(perplexity / expected - 1));
}

TEST(perplexity_agrees_with_llama_cpp) {
    if (SANITIZED) {
        test_skip("minutes under sanitizers; greedy_text_agrees_with_llama_cpp takes that path");
    }
    json_t *root = vectors();
    json_t *perplexity = json_object_get(root, "perplexity");
    running = json_object_get(perplexity, "running_estimate_after_chunk");
    size_t len;
    text_path = test_shared_data("wiki.test.raw");
    rusk_model *model = demo();
    uint8_t *text = test_read_file(text_path, &len);
    rusk_eval_options o;
    rusk_eval_result r;
    rusk_error err;
    rusk_eval_options_default(&o);
    o.n_chunks = (uint32_t)json_array_size(running);
    o.on_chunk = check_chunk;
    CHECK_OK(rusk_eval(model, NULL, (const char *)text + 647835, len - 647835, &o, &r, &err), &err);
    double expected = json_real_value(json_object_get(perplexity, "final"));
    printf("        perplexity %.4f, llama.cpp %.4f; a chunk differs by at most %.2f %%\n",
           r.perplexity, expected, 100 * worst_chunk);
    CHECK_NEAR(r.perplexity / expected, 1, 0.005);
    CHECK(worst_chunk < 0.01);
    free(text);
    json_decref(root);
    rusk_model_close(model);
}

/* Two engines that round activations to int8 differ by this much in a logit: the last bit of a sum
 * flips a rounding, and each flip is as large as the rounding itself. See docs/decisions/0005. */
#define NOISE 0.25F

/* Follows llama.cpp's text token by token; where our best is another, its own must be close. */
static void check_greedy(rusk_model *model, const char *prompt, const char *expected) {
    enum { CAP = 256 };
    rusk_error err;
    rusk_context *ctx;
    int32_t ids[CAP], all[CAP];
    size_t n, n_all;
    char text[2048];
    int len = snprintf(text, sizeof text, "%s%s", prompt, expected);
    while (len > 0 &&
           text[len - 1] == '\n') { /* the tool that made the vectors ends its output so */
        len--;
    }
    CHECK_OK(rusk_tokenize(model, prompt, strlen(prompt), 0, ids, CAP, &n, &err), &err);
    CHECK_OK(rusk_tokenize(model, text, (size_t)len, 0, all, CAP, &n_all, &err), &err);
    CHECK_MEM(ids, all, n * sizeof ids[0]);
    CHECK_OK(rusk_context_create(&ctx, model, NULL, &err), &err);
    rusk_model_info info;
    rusk_model_get_info(model, &info);
    size_t same = 0;
    for (size_t p = 0; p + 1 < n_all; p++) {
        rusk_batch_item item = {.token = all[p], .position = (int32_t)p, .wants_logits = true};
        CHECK_OK(rusk_decode(ctx, &item, 1, &err), &err);
        if (p + 1 < n) {
            continue;
        }
        const float *logits = rusk_logits(ctx, 0);
        uint32_t best = 0;
        for (uint32_t i = 1; i < info.n_vocab; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        if ((int32_t)best != all[p + 1]) {
            printf("        '%s': %zu tokens the same, then theirs is %.4f below ours\n", prompt,
                   same, (double)(logits[best] - logits[all[p + 1]]));
            CHECK(logits[best] - logits[all[p + 1]] < NOISE);
            break;
        }
        same++;
    }
    rusk_context_destroy(ctx);
}

TEST(greedy_text_agrees_with_llama_cpp) {
    json_t *root = vectors();
    rusk_model *model = demo();
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "greedy"), i, entry) {
        check_greedy(model, json_string_value(json_object_get(entry, "prompt")),
                     json_string_value(json_object_get(entry, "greedy_40_tokens")));
    }
    json_decref(root);
    rusk_model_close(model);
}

TEST_MAIN(CASE(perplexity_agrees_with_llama_cpp), CASE(greedy_text_agrees_with_llama_cpp))
