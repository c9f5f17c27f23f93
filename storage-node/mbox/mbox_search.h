/* mbox_search.h: SEARCH (RFC 3501 6.4.4). The tree of store.proto is put in order of cost: what the
 * index answers first, then MESSAGE rows, then FACTS rows, message content last; a row is read only
 * for messages for which all cheaper keys have not decided yet. */
#ifndef MAIL_MBOX_SEARCH_H
#define MAIL_MBOX_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_owner;
struct kv_reader;
struct mbox_context;
struct mbox_index;
struct store_search_reply;
struct store_search_request;
struct uid_set;

enum { MBOX_SEARCH_KEYS_MAX = 1000, MBOX_SEARCH_DEPTH_MAX = 32 };

/* A message whose content is looked at; its stored body is read with mbox_body_open(). */
struct mbox_search_mail {
    struct kv_reader *rows;
    const struct kv_owner *owner;
    uint32_t uid, size, stored_bytes;
    uint64_t email;
    struct span facts; /* facts.h; valid during the call */
};

enum mbox_search_part {
    MBOX_SEARCH_FIELD,  /* every header field of that name: its value */
    MBOX_SEARCH_HEADER, /* the whole header */
    MBOX_SEARCH_BODY,   /* the text parts, their transfer encoding and charset decoded */
};

/* Takes a piece of text in UTF-8; true: found, no more is needed. A match across two pieces is not
 * seen, so a piece is a field's value, or a whole part as far as that is possible. */
struct mbox_search_sink {
    bool (*take)(struct mbox_search_sink *sink, struct span text);
};

/* What the shell does with mail for us (lib/mime). */
struct mbox_search_calls {
    /* A field's value with its encoded words (RFC 2047) decoded to UTF-8, in the arena. */
    struct err (*decode)(void *holder, struct span value, struct arena *arena, struct span *ret);
    /* Gives text of a message to the sink until that has enough. ERR_NOT_FOUND counts as no text;
     * other errors end the search (ERR_CANCELLED when nobody waits any more). */
    struct err (*content)(void *holder, const struct mbox_search_mail *mail,
                          enum mbox_search_part part, struct span name,
                          struct mbox_search_sink *sink);
};

struct mbox_searcher {
    const struct mbox_search_calls *calls;
    void *holder;
};

/* Adds the UIDs that match to `*matches` (empty, initialised) and fills the reply. `index` may be
 * NULL. ERR_SYNTAX, ERR_TOO_BIG: the tree; ERR_NOT_FOUND: the mailbox. */
MUST_USE struct err mbox_search(const struct mbox_context *context, struct mbox_index *index,
                                const struct store_search_request *request,
                                const struct mbox_searcher *searcher, struct uid_set *matches,
                                struct store_search_reply *reply);

#ifdef __cplusplus
}
#endif
#endif
