/* mime_charset_private.h: bytes of any charset of mail as UTF-8, by ICU where it is none of the few
 * that nearly all mail is in. */
#ifndef MAIL_MIME_CHARSET_PRIVATE_H
#define MAIL_MIME_CHARSET_PRIVATE_H

#include "header.h"
#include "span.h"

enum { MIME_CHARSET_MAX_BYTES = 64, MIME_UTF8_GROWTH = 3 };

extern const struct header_charsets mime_charsets;

/* Appends at most MIME_UTF8_GROWTH bytes for each. What the charset does not have becomes U+FFFD.
 * ASCII, Latin-1 and charsets that nobody knows are read as what they are in mail: UTF-8 when it
 * is valid, else Windows-1252, which has Latin-1 in it. */
void mime_to_utf8(struct span charset, struct span bytes, struct buf *out);

/* Appends `text`, which is UTF-8, in the charset, with "?" for what that does not have. False, with
 * `out` as it was: ICU does not know the charset, or there is no room. At most 64 KiB. */
bool mime_from_utf8(struct span charset, struct span text, struct buf *out);

/* The charset in the parameters of a Content-Type; "us-ascii" when there is none. */
struct span mime_charset_of(struct span params, char store[MIME_CHARSET_MAX_BYTES]);

#endif
