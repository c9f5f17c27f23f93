/* mbox_pattern.h: is a text in another, whatever the case (RFC 3501 6.4.4). The comparison is close
 * to i;unicode-casemap (RFC 5051): simple case folding, without decomposition.
 *
 * The pattern is folded once. An ASCII pattern is looked for in folded bytes without decoding. */
#ifndef MAIL_MBOX_PATTERN_H
#define MAIL_MBOX_PATTERN_H

#include <stdbool.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MBOX_PATTERN_MAX_BYTES = 1024 };

struct mbox_pattern {
    struct span folded; /* in the arena it was made with */
    bool ascii;
};

/* `text` is UTF-8; bytes that are not stand for themselves. ERR_TOO_BIG, ERR_NOMEM. */
MUST_USE struct err mbox_pattern_make(struct span text, struct arena *arena,
                                      struct mbox_pattern *ret);

/* True when the pattern is in `text`. With `unfold` the line ends of a folded header field do not
 * count (RFC 5322 2.2.3). The empty pattern is in every text. */
bool mbox_pattern_in(const struct mbox_pattern *pattern, struct span text, bool unfold);

#ifdef __cplusplus
}
#endif
#endif
