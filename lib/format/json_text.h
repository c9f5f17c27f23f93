/* json_text.h: any bytes as a JSON string (RFC 8259 section 7). Pure. */
#ifndef MAIL_JSON_TEXT_H
#define MAIL_JSON_TEXT_H

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

/* Most bytes that come out for one that goes in ("\u0000"), and the two quotes. */
enum { JSON_TEXT_GROWTH = 6, JSON_TEXT_QUOTES_BYTES = 2 };

/* Appends `bytes` with quotes around it. What is no UTF-8 becomes U+FFFD; quotes, backslashes and
 * control characters (DEL, U+2028 and U+2029 too, for readers that take them for line ends) are
 * escaped, so that the string stands on one line. */
void json_text_put(struct buf *out, struct span bytes);

#ifdef __cplusplus
}
#endif
#endif
