/* mbox_sort.h: SORT and THREAD (RFC 5256) out of MESSAGE and FACTS rows; no body is read but for
 * search keys that ask for content. */
#ifndef MAIL_MBOX_SORT_H
#define MAIL_MBOX_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mbox_context;
struct mbox_index;
struct mbox_searcher;
struct store_search_reply;
struct store_sort_request;
struct store_thread_request;

enum {
    MBOX_SORT_CRITERIA_MAX = 16,
    MBOX_SORT_MAX_BYTES = 256 * 1024 * 1024, /* of keys, or of messages and identifiers */
    MBOX_SORT_MESSAGES_MAX = 1000000,
    MBOX_THREAD_NODES_MAX = 2000000,         /* messages, and those that are only named */
    MBOX_THREAD_STEPS_MAX = 50000000,        /* in search of loops */
    MBOX_THREAD_OPEN = 0,                    /* "(" in the answer */
};
#define MBOX_THREAD_CLOSE UINT32_MAX

/* The answer's data. Freed with mbox_order_free(). */
struct mbox_order {
    uint32_t *numbers;
    size_t count;
};
void mbox_order_free(struct mbox_order *order);

/* Those found, in the order asked for: their UIDs. `index` may be NULL. Errors as of mbox_search();
 * ERR_TOO_BIG also past the bounds above, ERR_SYNTAX for criteria that are none. `*ret` is set on
 * ERR_OK only. */
MUST_USE struct err mbox_sort(const struct mbox_context *context, struct mbox_index *index,
                              const struct store_sort_request *request,
                              const struct mbox_searcher *searcher, struct mbox_order *ret,
                              struct store_search_reply *reply);

/* The same as threads: UIDs between MBOX_THREAD_OPEN and _CLOSE. */
MUST_USE struct err mbox_threads(const struct mbox_context *context, struct mbox_index *index,
                                 const struct store_thread_request *request,
                                 const struct mbox_searcher *searcher, struct mbox_order *ret,
                                 struct store_search_reply *reply);

#ifdef __cplusplus
}
#endif
#endif
