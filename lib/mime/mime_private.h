/* mime_private.h: what the files of this room share. */
#ifndef MAIL_MIME_PRIVATE_H
#define MAIL_MIME_PRIVATE_H

#include <stdbool.h>

#include "span.h"

struct buf;
struct mime_node;
struct mime_tree;

enum {
    MIME_UTF8_GROWTH = 3,         /* bytes of UTF-8 for each byte of another charset, at most */
    MIME_CHARSET_MAX_BYTES = 64,  /* longer names are of none that we know */
    MIME_PREVIEW_CHARACTERS = 200, /* RFC 8970 */
    MIME_PREVIEW_MAX_BYTES = MIME_PREVIEW_CHARACTERS * 4,
};

/* Appends `bytes` of a charset in UTF-8, at most MIME_UTF8_GROWTH for each. False, with `out` as it
 * was: no such charset. A header_to_utf8. */
bool mime_to_utf8(void *user, struct span charset, struct span bytes, struct buf *out);

/* The same, never false: what is not known is taken for UTF-8, what is none of it for U+FFFD. */
void mime_put_utf8(struct span charset, struct span bytes, struct buf *out);

/* Appends the part's bytes without their encoding, as far as they fit: of `raw`, which is of it. */
void mime_decode(const struct mime_node *node, struct span raw, struct buf *out);

/* The part's charset as text in `store`; us-ascii when it says none (RFC 2046 4.1.2). */
struct span mime_charset(const struct mime_node *node, char store[MIME_CHARSET_MAX_BYTES]);

/* Appends the beginning of the first text part, white space folded, markup left out. */
void mime_preview(const struct mime_tree *tree, struct buf *out);

#endif
