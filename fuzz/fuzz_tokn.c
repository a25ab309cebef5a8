/* fuzz_tokn.c - reading a TOKN section, and using what was read.
 *
 * The input is a header (92 bytes), a byte, and the body: with an odd byte the body is deflated
 * here and its length set, so that mutations reach the code behind zlib; else it is taken as it
 * is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "support/tiny_tokenizer.h"
#include "text/tokn.h"

enum { MEMORY_LIMIT = 256 << 20, MAX_INPUT = 1 << 20 };

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* What was accepted must be usable and must come back when written. */
static void use(rusk_alloc *alloc, rusk_tokenizer *t) {
    static int32_t ids[256];
    rusk_strbuf bytes;
    rusk_tokenizer *back;
    size_t n, len;
    (void)rusk_tokenizer_encode(t, "ab <tool>\xFF\n 12", 15, RUSK_TOKENIZE_PARSE_SPECIAL, ids, 256,
                                &n, NULL);
    for (int32_t id = 0; rusk_tokenizer_text(t, id, true, &len) != NULL; id += 17) {
    }
    rusk_strbuf_init(&bytes, alloc, RUSK_MEM_SCRATCH);
    rusk_status status = rusk_tokenizer_to_bytes(t, &bytes, NULL);
    require(status == RUSK_OK || status == RUSK_NO_MEMORY, "cannot be written");
    if (status == RUSK_OK) {
        status = rusk_tokenizer_from_bytes(&back, alloc, (const uint8_t *)bytes.data,
                                           bytes.len_bytes, NULL);
        require(status == RUSK_OK || status == RUSK_NO_MEMORY, "cannot be read again");
        rusk_tokenizer_destroy(back);
    }
    rusk_strbuf_finish(&bytes);
}

static size_t pack(const uint8_t *data, size_t len, uint8_t *out, size_t cap) {
    size_t header = RUSK_TOKN_HEADER_BYTES;
    memcpy(out, data, header);
    if (data[header] % 2 == 0) {
        memcpy(out + header, data + header + 1, len - header - 1);
        return len - 1;
    }
    uLongf packed = cap - header;
    require(compress2(out + header, &packed, data + header + 1, len - header - 1, 1) == Z_OK,
            "no room to deflate");
    rusk_store_u32(out + 88, (uint32_t)(len - header - 1));
    return header + packed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes) {
    static uint8_t section[MAX_INPUT + 4096];
    rusk_alloc alloc;
    rusk_tokenizer *t;
    if (len_bytes <= RUSK_TOKN_HEADER_BYTES || len_bytes > MAX_INPUT) {
        return 0;
    }
    size_t n = pack(data, len_bytes, section, sizeof section);
    rusk_alloc_init(&alloc, NULL);
    alloc.limit_bytes = MEMORY_LIMIT;
    if (rusk_tokenizer_from_bytes(&t, &alloc, section, n, NULL) == RUSK_OK) {
        use(&alloc, t);
    }
    rusk_tokenizer_destroy(t);
    require(alloc.bytes_total == 0, "a leak");
    return 0;
}

size_t fuzz_seed_count(void) {
    return 4;
}

/* Tiny vocabularies of both kinds, deflated and to be deflated. */
static size_t make_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    rusk_alloc alloc;
    rusk_strbuf bytes;
    size_t n = RUSK_TOKN_HEADER_BYTES + 1;
    rusk_alloc_init(&alloc, NULL);
    rusk_tokenizer *t = index % 2 == 0 ? tiny_tokenizer_bpe(&alloc, 1, "default")
                                       : tiny_tokenizer_spm(&alloc, 1, true);
    rusk_strbuf_init(&bytes, &alloc, RUSK_MEM_SCRATCH);
    require(rusk_tokenizer_to_bytes(t, &bytes, NULL) == RUSK_OK && bytes.len_bytes < cap_bytes,
            "no seed");
    const uint8_t *data = (const uint8_t *)bytes.data;
    memcpy(buf, data, n - 1);
    buf[n - 1] = (uint8_t)(index / 2);
    if (index / 2 == 0) {
        memcpy(buf + n, data + n - 1, bytes.len_bytes - (n - 1));
        n = bytes.len_bytes + 1;
    } else {
        uLongf body = cap_bytes - n;
        require(uncompress(buf + n, &body, data + n - 1, bytes.len_bytes - (n - 1)) == Z_OK,
                "no seed");
        n += body;
    }
    rusk_strbuf_finish(&bytes);
    rusk_tokenizer_destroy(t);
    return n;
}

size_t fuzz_seed(size_t index, uint8_t *buf, size_t cap_bytes) {
    static uint8_t seeds[4][16384];
    static size_t lengths[4];
    if (lengths[index] == 0) {
        lengths[index] = make_seed(index, seeds[index], sizeof seeds[index]);
    }
    require(lengths[index] <= cap_bytes, "no room for a seed");
    memcpy(buf, seeds[index], lengths[index]);
    return lengths[index];
}

size_t fuzz_repair(rusk_rng *rng, uint8_t *buf, size_t len_bytes) {
    (void)rng;
    (void)buf;
    return len_bytes;
}
