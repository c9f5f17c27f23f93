/* imap_match.h: does a mailbox name match a pattern of LIST (RFC 3501 6.3.8). Pure. */
#ifndef MAIL_IMAP_MATCH_H
#define MAIL_IMAP_MATCH_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IMAP_PATTERN_MAX_BYTES = 2048 };

/* Both in UTF-8. "*" stands for any text, "%" for any without '/'. A first component INBOX of
 * `name` matches in any case. A pattern over IMAP_PATTERN_MAX_BYTES matches nothing. */
bool imap_match(struct span pattern, struct span name);

#ifdef __cplusplus
}
#endif
#endif
