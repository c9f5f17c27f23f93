/* mime_bytes_private.h: looking through many bytes at once. */
#ifndef MAIL_MIME_BYTES_PRIVATE_H
#define MAIL_MIME_BYTES_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

/* How many LFs. */
uint32_t mime_count_lines(struct span s);

/* Whether there is a byte of 0x80 and above, or NUL. */
bool mime_has_8bit(struct span s);

#endif
