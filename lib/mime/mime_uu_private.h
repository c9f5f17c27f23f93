/* mime_uu_private.h: uuencoded files in a text (POSIX uuencode, the historical algorithm). */
#ifndef MAIL_MIME_UU_PRIVATE_H
#define MAIL_MIME_UU_PRIVATE_H

#include <stdbool.h>

#include "span.h"

struct buf;

/* Finds the next "begin" SP mode SP name line that a line of data follows; `*text` then begins with
 * that data. False: there is none, `*text` is empty. */
bool mime_uu_begin(struct span *text, struct span *name);

/* Decodes lines off the front of `*text` while `out` has room for one (45 bytes). False: that was
 * its last piece; `*text` is behind the file. */
bool mime_uu_decode(struct span *text, struct buf *out);

#endif
