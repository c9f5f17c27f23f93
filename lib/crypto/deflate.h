/* deflate.h: raw DEFLATE (RFC 1951), one stream each way, a piece at a time (IMAP COMPRESS, RFC
 * 4978). Memory is bounded whatever comes: about 40 KiB to read, and 64 KiB to write only while
 * something was written since deflate_rest(). */
#ifndef MAIL_DEFLATE_H
#define MAIL_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Into less room zlib writes the same mark again and again. */
enum { DEFLATE_ROOM_MIN_BYTES = 16 };

struct deflate;

/* ERR_NOMEM */
MUST_USE struct err deflate_new(struct deflate **ret);
void deflate_free(struct deflate *stream); /* takes NULL */

/* Packs from the front of `*in`, which what was packed is taken off, into `to`; `*len` is its room,
 * at least DEFLATE_ROOM_MIN_BYTES, then how much came. At the end of `*in` all of it is made
 * readable for the peer. Call again until `*more` is false. ERR_NOMEM. */
MUST_USE struct err deflate_pack(struct deflate *stream, struct span *in, char *to, size_t *len,
                                 bool *more);

/* Gives back what packing holds. The next piece begins without what was sent before it to refer to,
 * which the peer does not notice. */
void deflate_rest(struct deflate *stream);

/* Unpacks from the front of `*in`, which what was read is taken off, into `to`; `*len` is its room,
 * then how much came. Neither moves when more input is needed. ERR_SYNTAX: no DEFLATE, or bytes
 * behind its end; ERR_NOMEM. */
MUST_USE struct err deflate_unpack(struct deflate *stream, struct span *in, char *to,
                                   size_t *len);

#ifdef __cplusplus
}
#endif
#endif
