/* login_base64.h: base64 as SASL exchanges use it (RFC 4648 section 4): padded, no white space. */
#ifndef MAIL_LOGIN_BASE64_H
#define MAIL_LOGIN_BASE64_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

/* Appends the decoded bytes, 3 for each 4 digits. ERR_SYNTAX: a byte that is no digit, wrong
 * padding, or bits set that no byte holds; ERR_TOO_BIG: no room. Then `out` is as before. */
MUST_USE struct err login_base64_decode(struct span text, struct buf *out);

void login_base64_encode(struct span bytes, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
