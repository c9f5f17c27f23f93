/* envelope.h: what SORT and THREAD want of the envelope in a facts row (facts.h). Pure. */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;

/* NIL is the empty span. */
struct envelope {
    struct span subject, in_reply_to, message_id;
    struct span from, to, cc; /* addr-mailbox of the first address (RFC 5256, BASE.6.4.SORT) */
};

/* Spans point into `text` or, where there were escapes, into the arena. ERR_CORRUPT: that is no
 * envelope (RFC 3501 section 9); ERR_NOMEM. */
MUST_USE struct err envelope_read(struct span text, struct arena *arena, struct envelope *ret);

#ifdef __cplusplus
}
#endif
#endif
