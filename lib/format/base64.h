/* base64.h: base64 as MIME uses it (RFC 2045 6.8, RFC 2047 4.1), and strictly, as SASL exchanges do
 * (RFC 4648 section 4). Pure. */
#ifndef MAIL_BASE64_H
#define MAIL_BASE64_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { BASE64_LINE_CHARACTERS = 76 };

/* Appends the digits, with padding, without line ends: 4 for each 3 bytes begun. */
void base64_encode(struct buf *out, struct span bytes);

/* The same in lines of 76 digits, each with CRLF. */
void base64_encode_lines(struct buf *out, struct span bytes);

/* Bits that are still to become a byte; all 0 at the start. */
struct base64_state {
    uint32_t bits;
    unsigned have;
};

/* Appends what `*text` says, as far as `out` has room, and takes that off the front of `*text`; it
 * is empty when all is done. As tolerant as mail is: bytes that are no digits are passed over (RFC
 * 2045), after padding a new quantum begins (parts put together from several), and bits that make
 * no whole byte at the end are dropped. */
void base64_decode_some(struct base64_state *state, struct buf *out, struct span *text);

/* All of it: at most 3 bytes for each 4 of `text`. */
void base64_decode(struct buf *out, struct span text);

/* Only what base64_encode() writes: appends 3 bytes for each 4 digits. ERR_SYNTAX: a byte that is
 * no digit, wrong padding, or bits set that no byte holds; ERR_TOO_BIG: no room. Then `out` is as
 * before. */
MUST_USE struct err base64_decode_strict(struct buf *out, struct span text);

#ifdef __cplusplus
}
#endif
#endif
