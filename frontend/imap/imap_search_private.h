/* imap_search_private.h: SEARCH between its parser and its steps. */
#ifndef MAIL_IMAP_SEARCH_PRIVATE_H
#define MAIL_IMAP_SEARCH_PRIVATE_H

#include "imap_private.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IMAP_SEARCH_KEYS_MAX = 1000, IMAP_SEARCH_DEPTH_MAX = 32 }; /* = store.proto */

struct imap_search {
    bool bare_charset; /* SORT and THREAD: the charset without the word CHARSET, and never left out
                        */
    size_t args_at;    /* where it begins */
    struct store_search_key *keys;
    size_t count;
    bool resolved;     /* sets become UIDs: the view is there */
    bool needs_view;
    bool numbers;      /* sequence numbers are among the keys: no EXPUNGE meanwhile */
    bool modseq;       /* asked for: the reply has the highest one */
    bool bad_charset;
};

/* [CHARSET x] and the keys, from the cursor to the end. Goes over it twice: to find faults before
 * anything is asked, and again with `resolved`. ERR_SYNTAX, ERR_TOO_BIG, ERR_NOMEM. */
MUST_USE struct err imap_search_parse(struct imap_session *session, struct imap_search *search);

/* Steps of SEARCH, SORT and THREAD: the view, if it is needed; the keys once more with it. */
enum imap_step imap_search_view(struct imap_session *session, const struct imap_search *search);
enum imap_step imap_search_resolve(struct imap_session *session, struct imap_search *search);
void imap_search_bad_charset(struct imap_session *session);

#ifdef __cplusplus
}
#endif
#endif
