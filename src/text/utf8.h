/* utf8.h - the shape of UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing past U+10FFFF).
 */
#ifndef RUSK_TEXT_UTF8_H
#define RUSK_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

typedef enum rusk_utf8_state { RUSK_UTF8_BAD, RUSK_UTF8_PART, RUSK_UTF8_WHOLE } rusk_utf8_state;

/* Are n (1 .. 4) bytes one whole character, the beginning of one, or neither? */
static inline rusk_utf8_state rusk_utf8_check(const uint8_t *p, size_t n) {
    uint8_t lead = p[0];
    size_t need = lead < 0x80   ? 1
                  : lead < 0xC2 ? 0
                  : lead < 0xE0 ? 2
                  : lead < 0xF0 ? 3
                  : lead < 0xF5 ? 4
                                : 0;
    if (need == 0 || n > need) {
        return RUSK_UTF8_BAD;
    }
    if (n > 1) {
        uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (p[1] < least || p[1] > most) {
            return RUSK_UTF8_BAD;
        }
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return RUSK_UTF8_BAD;
        }
    }
    return n == need ? RUSK_UTF8_WHOLE : RUSK_UTF8_PART;
}

/* Length of the character at p (n > 0 bytes are left), 0 where the bytes are not one. */
static inline size_t rusk_utf8_char(const uint8_t *p, size_t n) {
    if (p[0] < 0x80) {
        return 1;
    }
    for (size_t len = 2; len <= 4 && len <= n; len++) {
        rusk_utf8_state s = rusk_utf8_check(p, len);
        if (s != RUSK_UTF8_PART) {
            return s == RUSK_UTF8_WHOLE ? len : 0;
        }
    }
    return 0;
}

/* Code point of the whole character of len bytes at p. */
static inline uint32_t rusk_utf8_decode(const uint8_t *p, size_t len) {
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (p[i] & 0x3FU);
    }
    return c;
}

#define RUSK_UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

#endif
