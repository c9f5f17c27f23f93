/* mime_text.h: what a message says, in UTF-8, for SEARCH. */
#ifndef MAIL_MIME_TEXT_H
#define MAIL_MIME_TEXT_H

#include <stdbool.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;

enum { MIME_TEXT_PART_MAX_BYTES = 32 * 1024 * 1024 }; /* of one part; the rest is not looked at */

/* Takes a piece of text; true: no more is needed. */
typedef bool mime_text_take(void *holder, struct span text);

/* Every field of that name, decoded (RFC 2047), one after the other. */
MUST_USE struct err mime_text_fields(struct span message, struct span name, mime_text_take *take,
                                     void *holder);
/* The whole header of the message, decoded. */
MUST_USE struct err mime_text_header(struct span message, mime_text_take *take, void *holder);
/* Each text part, and the header of each message within, decoded. */
MUST_USE struct err mime_text_body(struct span message, mime_text_take *take, void *holder);
/* One field's value with its encoded words decoded; in the arena. */
MUST_USE struct err mime_text_decode(struct span value, struct arena *arena, struct span *ret);

#ifdef __cplusplus
}
#endif
#endif
