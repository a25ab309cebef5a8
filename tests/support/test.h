/* test.h - the test harness: a program is a list of cases; a failed check ends its case.
 *
 *     TEST(round_trip_of_empty_input) {
 *         CHECK_OK(thing_make(&thing, &err), &err);
 *         CHECK_EQ(thing->n, 0);
 *     }
 *     TEST_MAIN(CASE(round_trip_of_empty_input), ...)
 *
 * Arguments: names of cases to run; none runs all. --seed N replays a random test (default 1). Exit
 * status 0 passed, 1 failed, 77 all skipped. One line a case on stdout. */
#ifndef RUSK_TEST_H
#define RUSK_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/rng.h"
#include "rusk.h"

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

int test_main(const test_case *cases, size_t n, int argc, char **argv);
void test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
/* Ends the case as skipped, with the reason (say what is missing). */
void test_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Seed of this run: random tests start from rusk_rng_seed(test_seed()) and print nothing else. */
uint64_t test_seed(void);

/* An allocator whose nth request from now on fails (n = 1: the next one), and all after it. Counts
 * what is out, so that a leak shows: CHECK_EQ(f.n_live, 0). n = 0: never fails. */
typedef struct test_failing_alloc {
    rusk_allocator allocator;
    uint64_t n_until_failure; /* 0: never */
    uint64_t n_requests;
    int64_t n_live;
} test_failing_alloc;
void test_failing_alloc_init(test_failing_alloc *f, uint64_t nth);

/* Memory of `size` bytes that ends (at_end) or starts right at an unmapped page: touching a byte
 * beyond that edge crashes. Unmapped when the program ends. */
void *test_guarded(size_t size, bool at_end);

/* Path of a file that lives in a temporary directory of this program, which is removed at its end.
 * The returned string stays valid. */
const char *test_path(const char *name);
void test_write_file(const char *path, const void *data, size_t len_bytes);
/* Whole file, malloc'ed; the case fails where it cannot be read. */
uint8_t *test_read_file(const char *path, size_t *len_bytes);
bool test_exists(const char *path);
/* Number of entries in the temporary directory: "nothing is left behind". */
size_t test_count_files(void);

/* Path below the shared measurement data (RUSK_SHARED_DATA, else ../shared/data), or a skip with
 * the reason where it is absent. */
const char *test_shared_data(const char *name);
/* Path of the demo model (RUSK_DEMO_MODEL, else the cache that ./demo fills), or a skip. */
const char *test_demo_model(void);

/* Largest distance in units in the last place, and norm of difference over norm of reference. */
uint32_t test_ulp(float a, float b);
double test_relative_norm(const float *a, const float *ref, size_t n);

#define TEST(name) static void name(void)
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            test_fail(__FILE__, __LINE__, "%s", #cond);                                            \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_) {                                                                            \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #a, a_, #b, b_);       \
        }                                                                                          \
    } while (0)
#define CHECK_NEAR(a, b, tolerance)                                                                \
    do {                                                                                           \
        double a_ = (a), b_ = (b), t_ = (tolerance);                                               \
        if (!(a_ - b_ <= t_ && b_ - a_ <= t_)) {                                                   \
            test_fail(__FILE__, __LINE__, "%s is %.9g, expected %.9g within %.3g", #a, a_, b_,     \
                      t_);                                                                         \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *a_ = (a), *b_ = (b);                                                           \
        if (strcmp(a_, b_) != 0) {                                                                 \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a, a_, b_);            \
        }                                                                                          \
    } while (0)
#define CHECK_MEM(a, b, n)                                                                         \
    do {                                                                                           \
        if (memcmp((a), (b), (n)) != 0) {                                                          \
            test_fail(__FILE__, __LINE__, "%s differs from %s", #a, #b);                           \
        }                                                                                          \
    } while (0)
/* A call that must succeed; shows the error's message. */
#define CHECK_OK(call, err)                                                                        \
    do {                                                                                           \
        rusk_status s_ = (call);                                                                   \
        if (s_ != RUSK_OK) {                                                                       \
            test_fail(__FILE__, __LINE__, "%s: %s: %s", #call, rusk_status_text(s_),               \
                      (err)->message);                                                             \
        }                                                                                          \
    } while (0)
/* A call that must fail so, with a message that holds `text`. */
#define CHECK_FAILS(call, expected, err, text)                                                     \
    do {                                                                                           \
        (err)->message[0] = '\0';                                                                  \
        rusk_status s_ = (call);                                                                   \
        if (s_ != (expected) || strstr((err)->message, (text)) == NULL) {                          \
            test_fail(__FILE__, __LINE__, "%s: %s \"%s\", expected %s with \"%s\"", #call,         \
                      rusk_status_text(s_), (err)->message, rusk_status_text(expected), (text));   \
        }                                                                                          \
    } while (0)

#define CASE(name)                                                                                 \
    { #name, name }
#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv) {                                                              \
        static const test_case CASES[] = {__VA_ARGS__};                                            \
        return test_main(CASES, sizeof CASES / sizeof CASES[0], argc, argv);                       \
    }

#endif
