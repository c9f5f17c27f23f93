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
};

/* Any bytes are a message: what is malformed is described as mime_tree_private.h says. Thread-safe;
 * some microseconds for a small message, so not for a loop's thread when it is large. ERR_NOMEM,
 * ERR_TOO_BIG (4 GiB); `*ret` is untouched then. */
MUST_USE struct err mime_facts(struct span message, struct mime_facts_out *ret);

#ifdef __cplusplus
}
#endif
#endif
