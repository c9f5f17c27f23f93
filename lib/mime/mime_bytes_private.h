/* mime_bytes_private.h: looking through many bytes at once. */
#ifndef MAIL_MIME_BYTES_PRIVATE_H
#define MAIL_MIME_BYTES_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

/* The bytes from one offset to another. */
static inline struct span mime_slice(struct span s, size_t from, size_t to)
{
    return span_head(span_skip(s, from), to - from);
}

/* How many LFs. */
uint32_t mime_count_lines(struct span s);

/* Whether there is a byte of 0x80 and above, or NUL. */
bool mime_has_8bit(struct span s);

#endif
