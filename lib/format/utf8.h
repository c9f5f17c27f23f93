/* utf8.h: UTF-8 (RFC 3629): taking apart, checking, writing. Pure. */
#ifndef MAIL_UTF8_H
#define MAIL_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { UTF8_MAX_BYTES = 4, UTF8_REPLACEMENT = 0xfffd };

/* The character at the front of `in`: how many bytes it has, and its number in `*ret`; 0, with
 * `*ret` untouched, when there is none (overlong forms, surrogates, above U+10FFFF, cut short). */
size_t utf8_take(struct span in, uint32_t *ret);

bool utf8_is_valid(struct span s);

/* Appends a character; a number that is none becomes U+FFFD. */
void utf8_put(struct buf *out, uint32_t character);

/* Appends `s` with U+FFFD for each byte that is in no character: at most 3 * s.len bytes. */
void utf8_put_clean(struct buf *out, struct span s);

/* The longest head of at most `max_bytes` that does not end within a character of valid text. */
struct span utf8_head(struct span s, size_t max_bytes);

#ifdef __cplusplus
}
#endif
#endif
