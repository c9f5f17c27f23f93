/* mime_replace.h: takes a part out of a message and puts a notice in its place. */
#ifndef MAIL_MIME_REPLACE_H
#define MAIL_MIME_REPLACE_H

#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The message with the part `number` ("2", "1.3", as IMAP and mime_parts.h number them) become
 * text/plain with `notice` (UTF-8, CRLF lines); of its header the Content- fields go, everything
 * else is byte for byte as it was. `*ret` is malloc'd, the caller's. ERR_NOT_FOUND: no such part
 * (the message itself, when it is a multipart, has no number); ERR_NOMEM, ERR_TOO_BIG (4 GiB). */
MUST_USE struct err mime_replace_part(struct span message, struct span number, struct span notice,
                                      char **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
