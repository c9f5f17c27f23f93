/* utf7.h: mailbox names of IMAP, modified UTF-7 (RFC 3501 5.1.3), to and from UTF-8. Pure. */
#ifndef MAIL_UTF7_H
#define MAIL_UTF7_H

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Most bytes that come out of one byte that goes in: "&AAE-" for U+0001. */
enum { UTF7_GROWTH = 5 };

/* Appends the name in UTF-8. ERR_SYNTAX: no such encoding (8-bit or control bytes, base64 without
 * an end or with bits left over, half a surrogate pair, what has to stand as itself in base64);
 * ERR_TOO_BIG: `out` is full. What was appended by then is of no use. */
MUST_USE struct err utf7_decode(struct span utf7, struct buf *out);

/* Appends the name in modified UTF-7. ERR_SYNTAX: `utf8` is not UTF-8; ERR_TOO_BIG. */
MUST_USE struct err utf7_encode(struct span utf8, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
