/* imap_search_private.h: SEARCH between its parser and its steps. */
#ifndef MAIL_IMAP_SEARCH_PRIVATE_H
#define MAIL_IMAP_SEARCH_PRIVATE_H

#include "imap_private.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IMAP_SEARCH_KEYS_MAX = 1000, IMAP_SEARCH_DEPTH_MAX = 32 }; /* = store.proto */

struct imap_search {
    struct store_search_key *keys;
    size_t count;
    bool resolved;   /* sets become UIDs: the view is there */
    bool needs_view;
    bool modseq;     /* asked for: the reply has the highest one */
    bool bad_charset;
};

/* [CHARSET x] and the keys, from the cursor to the end. Goes over it twice: to find faults before
 * anything is asked, and again with `resolved`. ERR_SYNTAX, ERR_TOO_BIG, ERR_NOMEM. */
MUST_USE struct err imap_search_parse(struct imap_session *session, struct imap_search *search);

#ifdef __cplusplus
}
#endif
#endif
