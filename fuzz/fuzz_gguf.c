/* fuzz_gguf.c - any bytes as a GGUF: opening, look-ups, printing, and rows of every tensor.
 *
 * Besides not crashing: no memory is left, and no more was taken than a multiple of the input. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "format/gguf.h"

enum {
    MOST_ROW_BYTES = 1 << 20,
    /* An entry of 14 bytes becomes a rusk_meta of 80 and 4 of an order; a tensor of 33 bytes
     * becomes 136 and 8. Names are copied. Chunks of the arena double that at most. */
    BYTES_PER_BYTE = 16,
    BYTES_ALWAYS = 1 << 20
};

static void check(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "fuzz_gguf: %s\n", what);
        abort();
    }
}

static void read_tensors(const rusk_source *s, rusk_alloc *alloc) {
    for (size_t i = 0; i < s->n_tensors; i++) {
        const rusk_source_tensor *t = &s->tensors[i];
        uint64_t row_bytes = rusk_source_row_bytes(t);
        check(rusk_source_find(s, t->name) == (ptrdiff_t)i, "a tensor is not found by its name");
        check(row_bytes * t->n_rows == t->bytes && t->offset + t->bytes <= s->file_bytes,
              "a tensor is not inside the file");
        if (row_bytes > MOST_ROW_BYTES) {
            continue;
        }
        float *out = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, (size_t)t->n_cols * sizeof *out);
        void *scratch = rusk_alloc_get(alloc, RUSK_MEM_SCRATCH, (size_t)row_bytes);
        check(out != NULL && scratch != NULL, "no memory");
        check(rusk_source_read_f32(s, i, 0, 1, out, scratch, NULL) == RUSK_OK &&
                  rusk_source_read_f32(s, i, t->n_rows - 1, 1, out, scratch, NULL) == RUSK_OK,
              "a row cannot be read");
        rusk_alloc_put(alloc, out);
        rusk_alloc_put(alloc, scratch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) { /* a file in memory, so that thousands of inputs a second go through the door */
        fd = memfd_create("fuzz_gguf", 0);
        check(fd >= 0, "no memory file");
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, len_bytes, 0) == (ssize_t)len_bytes,
          "cannot write the input");
    rusk_alloc alloc;
    rusk_source *s;
    rusk_error err = {.status = RUSK_OK};
    rusk_alloc_init(&alloc, NULL);
    rusk_status status = rusk_gguf_open(&s, &alloc, path, &err);
    check(alloc.bytes_peak <= BYTES_ALWAYS + (uint64_t)BYTES_PER_BYTE * len_bytes,
          "more memory than the input is worth");
    check(status == err.status && (status == RUSK_OK || err.message[0] != '\0'),
          "a failure without a message");
    if (status == RUSK_OK) {
        for (size_t i = 0; i < s->n_meta; i++) {
            char text[100];
            rusk_meta_print(&s->meta[i], text, sizeof text);
            check(rusk_source_meta(s, s->meta[i].key) == &s->meta[i], "a key is not found");
        }
        read_tensors(s, &alloc);
    }
    rusk_source_close(s);
    check(alloc.bytes_total == 0, "memory is left");
    return 0;
}

/* Seed 0 has every metadata type, seed 1 every tensor type. */
size_t fuzz_seed_count(void) {
    return 2;
}

static rusk_status write_meta(rusk_gguf_writer *w) {
    static const uint8_t ZEROS[64];
    static const rusk_text TEXTS[] = {{"a", 1}, {"", 0}, {"bcd", 3}};
    char key[32];
    for (uint32_t type = 0; type <= RUSK_META_F64; type++) {
        rusk_meta m = {.key = key, .type = (rusk_meta_type)type};
        if (type == RUSK_META_STRING) {
            m.value.text = TEXTS[2];
        } else if (type == RUSK_META_ARRAY) {
            continue;
        }
        (void)snprintf(key, sizeof key, "key.%u", type);
        RUSK_TRY(rusk_gguf_writer_meta(w, &m, NULL));
        m = (rusk_meta){.key = key,
                        .type = RUSK_META_ARRAY,
                        .elem_type = (rusk_meta_type)type,
                        .n = 3,
                        .elements = ZEROS,
                        .texts = TEXTS};
        (void)snprintf(key, sizeof key, "array.%u", type);
        RUSK_TRY(rusk_gguf_writer_meta(w, &m, NULL));
    }
    return rusk_gguf_writer_begin_data(w, NULL);
}

static rusk_status write_tensors(rusk_gguf_writer *w) {
    static const uint32_t TYPES[] = {
#define X(name, number, elements, bytes, group) number,
        RUSK_DTYPE_LIST(X)
#undef X
    };
    static const uint8_t ZEROS[4096];
    size_t total = 0;
    for (size_t i = 0; i < RUSK_COUNT(TYPES); i++) {
        const rusk_dtype_info *info = rusk_dtype_find(TYPES[i]);
        uint64_t shape[2] = {2, info->block_elements};
        if (info->dtype != RUSK_DTYPE_SYM8) {
            RUSK_TRY(rusk_gguf_writer_tensor(w, info->name, 2, shape, info->dtype, NULL));
            total += 2 * (size_t)info->block_bytes;
        }
    }
    RUSK_TRY(rusk_gguf_writer_begin_data(w, NULL));
    return rusk_gguf_writer_write(w, ZEROS, total, NULL);
}

/* Written once by the library's writer, kept in memory. */
size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static uint8_t *kept[2];
    static size_t len[2];
    if (kept[index] == NULL) {
        char path[] = "/tmp/fuzz-gguf-XXXXXX";
        int fd = mkstemp(path);
        rusk_alloc alloc;
        rusk_gguf_writer *w;
        rusk_alloc_init(&alloc, NULL);
        check(fd >= 0 && rusk_gguf_writer_create(&w, &alloc, path, NULL) == RUSK_OK &&
                  (index == 0 ? write_meta(w) : write_tensors(w)) == RUSK_OK &&
                  rusk_gguf_writer_commit(w, NULL) == RUSK_OK,
              "cannot write a seed");
        close(fd);
        FILE *f = fopen(path, "rb"); /* the rename gave the path a new file */
        kept[index] = malloc(cap_bytes);
        check(f != NULL && kept[index] != NULL, "cannot read a seed");
        len[index] = fread(kept[index], 1, cap_bytes, f);
        fclose(f);
        (void)unlink(path);
    }
    memcpy(buf, kept[index], len[index]);
    return len[index];
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    (void)rng;
    (void)buf;
    return len_bytes;
}
