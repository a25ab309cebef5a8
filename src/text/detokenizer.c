/* detokenizer.c - tokens to text, whole characters at a time.
 *
 * A token may end within a character, so up to three bytes wait for the next one. A byte that does
 * not continue what waits turns that into one U+FFFD (Unicode 3.9, "maximal subpart") and starts
 * anew. */
#include <string.h>

#include "text/tokenizer_impl.h"
#include "text/utf8.h"

typedef struct sink {
    char *buf; /* NULL: only counts */
    size_t n;
} sink;

static void put(sink *s, const void *data, size_t len_bytes) {
    if (s->buf != NULL) {
        memcpy(s->buf + s->n, data, len_bytes);
    }
    s->n += len_bytes;
}

static void feed(rusk_detokenizer *d, uint8_t byte, sink *out) {
    d->pending[d->n_pending++] = byte;
    rusk_utf8_state state = rusk_utf8_check(d->pending, d->n_pending);
    if (state == RUSK_UTF8_BAD) {
        put(out, RUSK_UTF8_REPLACEMENT, 3);
        bool alone = d->n_pending == 1;
        d->n_pending = 0;
        if (!alone) { /* it was the byte that did not fit; it may start a character itself */
            feed(d, byte, out);
        }
    } else if (state == RUSK_UTF8_WHOLE) {
        put(out, d->pending, d->n_pending);
        d->n_pending = 0;
    }
}

static void feed_all(rusk_detokenizer *d, const char *text, size_t len_bytes, sink *out) {
    for (size_t i = 0; i < len_bytes; i++) {
        feed(d, (uint8_t)text[i], out);
    }
}

rusk_status rusk_tokenizer_push(const rusk_tokenizer *t, rusk_detokenizer *d, int32_t id, char *buf,
                                size_t cap_bytes, size_t *len_bytes, rusk_error *err) {
    size_t n;
    const char *text = rusk_tokenizer_text(t, id, false, &n);
    *len_bytes = 0;
    if (text == NULL) {
        return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                         "token: expected an id below %u, found %d", t->vocab.n_tokens, id);
    }
    if (n == 0) {
        return RUSK_OK;
    }
    rusk_detokenizer after = *d, trial = *d;
    if (!d->any && !t->is_bpe && t->vocab.add_space_prefix && text[0] == ' ') {
        text++;
        n--;
    }
    sink count = {NULL, 0}, out = {buf, 0};
    feed_all(&trial, text, n, &count);
    if (count.n > cap_bytes) {
        return rusk_fail(err, RUSK_LIMIT, RUSK_NO_OFFSET,
                         "token %d: expected room for %zu bytes, found %zu", id, count.n,
                         cap_bytes);
    }
    feed_all(&after, text, n, &out);
    after.any = true;
    *d = after;
    *len_bytes = out.n;
    return RUSK_OK;
}

size_t rusk_tokenizer_flush(rusk_detokenizer *d, char buf[RUSK_DETOKENIZER_CAP]) {
    if (d->n_pending == 0) {
        return 0;
    }
    d->n_pending = 0;
    memcpy(buf, RUSK_UTF8_REPLACEMENT, 3);
    return 3;
}
