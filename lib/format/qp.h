/* qp.h: quoted-printable (RFC 2045 6.7) and the "Q" of encoded words (RFC 2047 4.2). Pure. */
#ifndef MAIL_QP_H
#define MAIL_QP_H

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { QP_LINE_CHARACTERS = 76, QP_GROWTH = 4 };

/* Appends text in lines of at most 76 characters. CRLF stays a line end; a CR or LF alone is
 * encoded, as are "From " and "." at the front of a line. At most QP_GROWTH bytes for each. */
void qp_encode(struct buf *out, struct span text);

/* Appends what `*text` says, as far as `out` has room, and takes that off the front of `*text`; it
 * is empty when all is done. */
void qp_decode_some(struct buf *out, struct span *text);

/* Appends what `text` says: never more bytes than it has. What is no encoding stays as it is. */
void qp_decode(struct buf *out, struct span text);

/* The same for an encoded word: "_" is a space, there are no lines. */
void qp_decode_word(struct buf *out, struct span text);

#ifdef __cplusplus
}
#endif
#endif
