/* fuzz_container.c - opening a .rusk file, and reading all that its index promises. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/container.h"
#include "fuzz.h"
#include "support/repair.h"
#include "support/tiny_container.h"

enum { MEMORY_LIMIT = 64 << 20, READ_LIMIT = 8 << 20 };

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* The file under test has a path, but no disk. */
static const char *memory_file(const uint8_t *data, size_t len) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len,
            "no memory file");
    return path;
}

/* A block is good only where its bytes have the checksum that stands in the file. */
static void check_block(const rusk_source *s, size_t tensor, uint64_t block, const uint8_t *file,
                        size_t file_bytes, size_t *budget) {
    size_t len = rusk_container_block_bytes(s, tensor, block);
    uint64_t offset = rusk_container_block_offset(s, tensor, block);
    const uint8_t *out;
    require(offset <= file_bytes && len <= file_bytes - offset, "a block outside the file");
    if (len > *budget) {
        return;
    }
    *budget -= len;
    uint8_t *buf = malloc(rusk_container_span_bytes(s, tensor, block, 1));
    rusk_status status = rusk_container_read_span(s, tensor, block, 1, buf, &out, NULL);
    require(status == RUSK_OK || status == RUSK_DAMAGED, "neither read nor damaged");
    require(status != RUSK_OK || memcmp(out, file + offset, len) == 0, "other bytes");
    free(buf);
}

static void check_tensor(const rusk_source *s, size_t i, const uint8_t *file, size_t file_bytes,
                         size_t *budget) {
    const rusk_container_tensor *t = rusk_container_get_tensor(s, i);
    const rusk_source_tensor *st = &s->tensors[i];
    uint64_t n = rusk_container_n_blocks(s, i), table_sum = 0;
    require(strlen(t->name) > 0 && strlen(t->codec) <= 15, "texts");
    if (t->dtype == RUSK_DTYPE_SYM8) {
        require(n == (st->n_rows + t->block_rows - 1) / t->block_rows, "number of blocks");
        for (uint64_t r = 0; r < st->n_rows; r++) {
            require(t->row_scales[r] - t->row_scales[r] == 0, "a scale that is not finite");
            require(t->row_classes[r] < 16, "a class beyond 15");
        }
        for (size_t k = 0; k < t->tables_bytes; k++) {
            table_sum += t->tables[k];
        }
        require(table_sum <= 255 * (uint64_t)t->tables_bytes, "a table");
    }
    for (uint64_t b = 0; b < n && b < 1000; b++) {
        check_block(s, i, b, file, file_bytes, budget);
    }
    size_t span = rusk_container_span_bytes(s, i, 0, n);
    if (n <= 1000 && span <= *budget) {
        const uint8_t *out[1000];
        uint8_t *buf = malloc(span);
        *budget -= span;
        (void)rusk_container_read_span(s, i, 0, n, buf, out, NULL);
        free(buf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_source *s;
    rusk_alloc_init(&alloc, NULL);
    alloc.limit_bytes = MEMORY_LIMIT;
    err.message[0] = '\0';
    if (rusk_container_open(&s, &alloc, memory_file(data, len_bytes), &err) == RUSK_OK) {
        size_t budget = READ_LIMIT, n;
        for (size_t i = 0; i < s->n_tensors; i++) {
            check_tensor(s, i, data, len_bytes, &budget);
        }
        for (size_t i = 0; i < s->n_meta; i++) {
            char text[100];
            rusk_meta_print(&s->meta[i], text, sizeof text);
        }
        (void)rusk_container_get_section(s, "TOKN", &n);
        rusk_source_close(s);
    } else {
        require(s == NULL && err.message[0] != '\0', "a failure without a message");
    }
    require(atomic_load(&alloc.bytes_total) == 0, "a leak");
    return 0;
}

/* The last one has a second extent: its blocks are large, and mostly zero bytes would do too. */
static const test_container_plan PLANS[] = {
    {.seed = 1, .n_tensors = 0, .most_rows = 1},
    {.seed = 2, .n_tensors = 3, .most_rows = 5, .most_bytes = 10},
    {.seed = 3, .n_tensors = 6, .most_rows = 20, .most_bytes = 40, .texts = true},
    {.seed = 4, .n_tensors = 4, .most_rows = 8, .most_bytes = 60000},
};

size_t fuzz_seed_count(void) {
    return sizeof PLANS / sizeof PLANS[0];
}

size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static uint8_t *made[sizeof PLANS / sizeof PLANS[0]];
    static size_t len[sizeof PLANS / sizeof PLANS[0]];
    if (made[index] == NULL) {
        char path[64];
        uint64_t bytes = 0;
        rusk_alloc alloc;
        rusk_alloc_init(&alloc, NULL);
        (void)snprintf(path, sizeof path, "/tmp/rusk-fuzz-%ld.rusk", (long)getpid());
        require(test_container_write(&alloc, path, &PLANS[index], &bytes, NULL) == RUSK_OK,
                "cannot write a seed");
        FILE *f = fopen(path, "rb");
        made[index] = malloc(bytes);
        require(f != NULL && fread(made[index], 1, bytes, f) == bytes, "cannot read a seed");
        len[index] = bytes;
        fclose(f);
        (void)remove(path);
    }
    require(len[index] <= cap_bytes, "a seed too large");
    memcpy(buf, made[index], len[index]);
    return len[index];
}

/* Most bytes are gap or DATA: some more mutations go to the sections behind. */
static void mutate_sections(rusk_rng *rng, uint8_t *buf, size_t len) {
    uint64_t table = len >= 64 ? rusk_load_u64(buf + 16) : len;
    if (table >= len) {
        return;
    }
    size_t sections = len - table > 32 ? (size_t)rusk_load_u64(buf + table + 8) : 0;
    sections = sections < len && sections >= 64 ? sections : 64;
    if (len - table > 64 && memcmp(buf + table, "DATA", 4) == 0) {
        sections = (size_t)rusk_load_u64(buf + table + 32 + 8);
    }
    for (uint64_t i = rusk_rng_below(rng, 4); i > 0 && sections < len; i--) {
        size_t at = sections + (size_t)rusk_rng_below(rng, len - sections);
        uint8_t v = (uint8_t)rusk_rng_u64(rng);
        buf[at] = rusk_rng_below(rng, 2) == 0 ? v : (uint8_t)(buf[at] ^ (1U << (v & 7)));
    }
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    mutate_sections(rng, buf, len_bytes);
    if (rusk_rng_below(rng, 2) == 0) {
        return test_repair_container(buf, len_bytes);
    }
    return len_bytes;
}
