/* mime_footer.h: puts a text below a message, as a domain's footer.
 *
 * Where: the text that a reader takes for the message. That is the message itself when it is
 * text/plain or text/html; each text of a multipart/alternative; the first part of a
 * multipart/related; of a multipart/mixed, and of any multipart that is not known, the first part
 * that has such a text. Files and messages within are none.
 *
 * Left alone, whole: what is signed or encrypted (multipart/signed, multipart/encrypted,
 * application/pkcs7-mime, PGP's lines in a text), reports (multipart/report), what is in a transfer
 * encoding or charset that can't be added to, texts of more than MIME_FOOTER_TEXT_MAX_BYTES, and a
 * message that would no longer have the same parts.
 *
 * How: in the part's own charset and transfer encoding. A part in ASCII becomes UTF-8 for a footer
 * that needs it, and quoted-printable where the footer would bring in 8-bit bytes or long lines;
 * what another charset does not have becomes "?". In HTML it stands before the end of the body, and
 * is ASCII with character references. Everything else is byte for byte as it was, and of the part
 * that is changed every decoded byte. A part that ends with the footer already gets no second one.
 *
 * Pure. To be run before anything is signed. */
#ifndef MAIL_MIME_FOOTER_H
#define MAIL_MIME_FOOTER_H

#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MIME_FOOTER_MAX_BYTES = 8 * 1024,              /* of a footer; longer ones are left out */
    MIME_FOOTER_TEXT_MAX_BYTES = 16 * 1024 * 1024, /* of a text with one */
    MIME_FOOTER_PARTS_MAX = 16,                    /* texts of a message that get one */
};

/* UTF-8, with LF or CRLF between lines. */
struct mime_footer {
    struct span text; /* for text/plain; empty: those stay as they are */
    struct span html; /* for text/html; empty: made of `text` */
};

/* `*ret` is malloc'd, the caller's; NULL: the message stays as it is. ERR_NOMEM; ERR_TOO_BIG (4
 * GiB). */
MUST_USE struct err mime_footer_add(struct span message, const struct mime_footer *footer,
                                    char **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
