/* mbox_utf8_private.h: UTF-8 (RFC 3629) in names and in text that is searched. */
#ifndef MAIL_MBOX_UTF8_PRIVATE_H
#define MAIL_MBOX_UTF8_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

enum { UTF8_MAX_BYTES = 4 };

/* The length of the character at the front and its value; 0 for what is none (also surrogates and
 * what could be shorter). `s` is not empty. */
static inline size_t utf8_take(struct span s, uint32_t *value)
{
    static const uint32_t least[UTF8_MAX_BYTES + 1] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = (unsigned char)s.ptr[0];
    size_t len = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf8 ? 4
               : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc0 && first < 0xe0 ? 2 : 0;
    if (len == 0 || len > s.len) return 0;
    uint32_t read = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)s.ptr[i];
        if ((next & 0xc0) != 0x80) return 0;
        read = read << 6 | (next & 0x3f);
    }
    if (read < least[len] || read > 0x10ffff || (read >= 0xd800 && read <= 0xdfff)) return 0;
    *value = read;
    return len;
}

/* Writes a character of Unicode; `to` has UTF8_MAX_BYTES. */
static inline size_t utf8_put(uint32_t value, char *to)
{
    size_t len = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    static const unsigned char marks[UTF8_MAX_BYTES + 1] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = len; i-- > 1; value >>= 6) to[i] = (char)(0x80 | (value & 0x3f));
    to[0] = (char)(marks[len] | value);
    return len;
}

#endif
