#define _GNU_SOURCE
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSED, FAILED, SKIPPED };

static jmp_buf leave_case;
static uint64_t seed = 1;
static char temporary[64];
static struct kept { /* strings that live as long as the program, so that leak checkers see them */
    struct kept *next;
    char *text;
} * kept;

static const char *keep(char *text) {
    struct kept *k = malloc(sizeof *k);
    if (k == NULL) {
        abort();
    }
    *k = (struct kept){.next = kept, .text = text};
    kept = k;
    return text;
}

static void remove_temporary(void) {
    if (temporary[0] != '\0') {
        char command[128];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", temporary);
        if (system(command) != 0) {
            fprintf(stderr, "could not remove %s\n", temporary);
        }
    }
}

static bool wanted(const char *name, int argc, char **argv) {
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            i++;
            continue;
        }
        any = true;
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return !any;
}

int test_main(const test_case *cases, size_t n, int argc, char **argv) {
    volatile size_t count[3] = {0, 0, 0};
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        }
    }
    atexit(remove_temporary);
    for (volatile size_t i = 0; i < n; i++) {
        if (!wanted(cases[i].name, argc, argv)) {
            continue;
        }
        int outcome = setjmp(leave_case);
        if (outcome == 0) {
            cases[i].run();
            printf("passed  %s\n", cases[i].name);
        }
        (void)fflush(stdout);
        count[outcome]++;
    }
    printf("%zu passed, %zu failed, %zu skipped (seed %llu)\n", count[PASSED], count[FAILED],
           count[SKIPPED], (unsigned long long)seed);
    if (count[FAILED] > 0) {
        return 1;
    }
    return count[PASSED] == 0 && count[SKIPPED] > 0 ? 77 : 0;
}

void test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    printf("FAILED  %s:%d: ", file, line);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    longjmp(leave_case, FAILED);
}

void test_skip(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    printf("skipped ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    longjmp(leave_case, SKIPPED);
}

uint64_t test_seed(void) {
    return seed;
}

static void *failing_get(void *user, size_t size) {
    test_failing_alloc *f = user;
    f->n_requests++;
    if (f->n_until_failure != 0 && f->n_requests >= f->n_until_failure) {
        return NULL;
    }
    f->n_live++;
    return malloc(size);
}

static void failing_put(void *user, void *ptr) {
    test_failing_alloc *f = user;
    f->n_live -= ptr != NULL;
    free(ptr);
}

void test_failing_alloc_init(test_failing_alloc *f, uint64_t nth) {
    *f = (test_failing_alloc){.n_until_failure = nth};
    f->allocator = (rusk_allocator){.alloc = failing_get, .free = failing_put, .user = f};
}

void *test_guarded(size_t size, bool at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t span = (size + page - 1) / page * page;
    char *map = mmap(NULL, span + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED ||
        (span > 0 && mprotect(map + page, span, PROT_READ | PROT_WRITE) != 0)) {
        test_fail(__FILE__, __LINE__, "no memory for a guarded buffer of %zu bytes", size);
    }
    return at_end ? map + page + span - size : map + page;
}

const char *test_path(const char *name) {
    if (temporary[0] == '\0') {
        const char *base = getenv("TMPDIR");
        (void)snprintf(temporary, sizeof temporary, "%s/rusk-test-XXXXXX",
                       base != NULL && strlen(base) < 40 ? base : "/tmp");
        if (mkdtemp(temporary) == NULL) {
            temporary[0] = '\0';
            test_fail(__FILE__, __LINE__, "cannot make a temporary directory");
        }
    }
    char *path = NULL;
    if (asprintf(&path, "%s/%s", temporary, name) < 0) {
        abort();
    }
    return keep(path);
}

void test_write_file(const char *path, const void *data, size_t len_bytes) {
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, len_bytes, f) != len_bytes || fclose(f) != 0) {
        test_fail(__FILE__, __LINE__, "cannot write %s", path);
    }
}

uint8_t *test_read_file(const char *path, size_t *len_bytes) {
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (f == NULL || fstat(fileno(f), &st) != 0) {
        test_fail(__FILE__, __LINE__, "cannot open %s", path);
    }
    uint8_t *data = malloc((size_t)st.st_size + 1);
    if (data == NULL || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
        test_fail(__FILE__, __LINE__, "cannot read %s", path);
    }
    fclose(f);
    data[st.st_size] = '\0';
    *len_bytes = (size_t)st.st_size;
    return data;
}

bool test_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

size_t test_count_files(void) {
    size_t n = 0;
    (void)test_path("");
    DIR *dir = opendir(temporary);
    if (dir == NULL) {
        test_fail(__FILE__, __LINE__, "cannot list %s", temporary);
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(dir);
    return n;
}

const char *test_shared_data(const char *name) {
    const char *base = getenv("RUSK_SHARED_DATA");
    char *path = NULL;
    if (asprintf(&path, "%s/%s", base != NULL ? base : "../shared/data", name) < 0) {
        abort();
    }
    if (!test_exists(path)) {
        (void)keep(path);
        test_skip("measurement data '%s' is not here (set RUSK_SHARED_DATA)", name);
    }
    return keep(path);
}

const char *test_demo_model(void) {
    static const char NAME[] = "SmolLM2-135M-Instruct.Q4_1.gguf";
    const char *given = getenv("RUSK_DEMO_MODEL");
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n;
    if (given != NULL) {
        n = asprintf(&path, "%s", given);
    } else if (cache != NULL) {
        n = asprintf(&path, "%s/rusk/%s", cache, NAME);
    } else {
        n = asprintf(&path, "%s/.cache/rusk/%s", home != NULL ? home : "", NAME);
    }
    if (n < 0) {
        abort();
    }
    if (!test_exists(path)) {
        (void)keep(path);
        test_skip("the demo model is not here (./demo fetches it; or set RUSK_DEMO_MODEL)");
    }
    return keep(path);
}

uint32_t test_ulp(float a, float b) {
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    int64_t ox = x < 0 ? (int64_t)INT32_MIN - x : x;
    int64_t oy = y < 0 ? (int64_t)INT32_MIN - y : y;
    int64_t d = ox > oy ? ox - oy : oy - ox;
    return d > UINT32_MAX ? UINT32_MAX : (uint32_t)d;
}

double test_relative_norm(const float *a, const float *ref, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)ref[i];
        difference += d * d;
        norm += (double)ref[i] * (double)ref[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}
