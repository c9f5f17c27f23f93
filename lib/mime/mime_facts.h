/* mime_facts.h: the facts row of a message (facts.h in lib/format), computed once at delivery. */
#ifndef MAIL_MIME_FACTS_H
#define MAIL_MIME_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mime_facts_out {
    char *row;         /* malloc'd, the caller's; at most FACTS_MAX_BYTES */
    size_t row_len;
    unsigned received; /* Received fields: hops */
    uint64_t thread_id; /* see mime_thread_id() */
};

/* Any bytes are a message: what is malformed is described as mime_tree_private.h says. Thread-safe;
 * some microseconds for a small message, so not for a loop's thread when it is large. ERR_NOMEM,
 * ERR_TOO_BIG (4 GiB); `*ret` is untouched then. */
MUST_USE struct err mime_facts(struct span message, struct mime_facts_out *ret);

/* The thread of a message: a hash of the identifier of its first message, which is the first one in
 * References, else in In-Reply-To, else its own Message-ID (RFC 5322 3.6.4); the values are as in
 * the header. 0 when there is none of them: the message is a thread of its own. Persisted: the same
 * on all nodes and in all versions. */
uint64_t mime_thread_id(struct span references, struct span in_reply_to, struct span message_id);

#ifdef __cplusplus
}
#endif
#endif
