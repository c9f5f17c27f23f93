/* mbox_sort_private.h: what SORT and THREAD read of each message found. */
#ifndef MAIL_MBOX_SORT_PRIVATE_H
#define MAIL_MBOX_SORT_PRIVATE_H

#include "envelope.h"
#include "facts.h"
#include "mbox_read_private.h"
#include "mbox_search.h"
#include "mbox_sort.h"
#include "store_msg.h"

/* One message; spans die when the next one is given. */
struct mbox_sort_mail {
    uint32_t uid, size;
    uint64_t internaldate_ms;
    int64_t date_ms; /* of its Date field, else internaldate_ms (RFC 5256 2.2) */
    struct facts facts;
    struct envelope envelope;
    struct arena *scratch; /* cleared for each message */
    const struct mbox_searcher *searcher;
};

struct mbox_sort_user {
    void *holder;
    struct err (*count)(void *holder, size_t messages); /* first: how many there will be */
    struct err (*take)(void *holder, const struct mbox_sort_mail *mail);
};

struct mbox_sort_walk {
    const struct mbox_context *context;
    struct mbox_index *index;
    const struct mbox_searcher *searcher;
    uint32_t uid_below; /* 0: all */
    bool facts;         /* facts and envelope are wanted */
};

/* Searches, and gives what was found in order of UID. A message without readable facts has empty
 * ones: sorting says nothing of it, FETCH does. */
struct err mbox_sort_each(const struct mbox_sort_walk *walk,
                          const struct store_search_request *request,
                          const struct mbox_sort_user *user, struct store_search_reply *reply);

/* The base subject (RFC 5256 2.1), folded for comparison, in mail->scratch. */
struct err mbox_sort_subject(const struct mbox_sort_mail *mail, struct span *ret, bool *is_reply);

/* `text` as i;unicode-casemap compares it (RFC 5051), in the arena: then octets are compared. */
struct err mbox_casemap(struct span text, struct arena *arena, struct span *ret);

#endif
