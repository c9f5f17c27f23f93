/* mbox_fetch.h: reads that stream: Fetch, QueueBody, Changes. Cursors see the rows as they were
 * when they were opened. */
#ifndef MAIL_MBOX_FETCH_H
#define MAIL_MBOX_FETCH_H

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
struct mail_record;
struct mbox_context;
struct mbox_fetch;
struct mbox_index;
struct mbox_view;
struct store_changes_reply;
struct store_changes_request;
struct store_fetch_request;

/* ---- bodies: the chunk rows of one, in order */

struct mbox_body_cursor {
    struct kv_iter *iter;
    uint64_t rest; /* bytes to come */
    uint32_t chunk;
    size_t prefix_len;
    char prefix[32];
};

/* The stored body of an email of the account, of `bytes` (MESSAGE row). */
MUST_USE struct err mbox_body_open(struct kv_reader *rows, const struct kv_owner *owner,
                                   uint64_t email, uint64_t bytes, struct mbox_body_cursor *ret);
/* The stored body of a queue entry; `*bytes` is how long it is. ERR_NOT_FOUND, ERR_SYNTAX. */
MUST_USE struct err mbox_queue_body_open(const struct mbox_context *context, uint32_t slot,
                                         struct span id, struct mbox_body_cursor *ret,
                                         uint64_t *bytes);
/* The next piece, valid until the next call. ERR_NOT_FOUND at the end; ERR_CORRUPT when there is
 * less than `bytes`. */
MUST_USE struct err mbox_body_next(struct mbox_body_cursor *cursor, struct span *piece);
void mbox_body_close(struct mbox_body_cursor *cursor);

/* ---- Fetch */

/* `*highestmodseq` is as of no later than the records. For items 0 a view of the index does the
 * same cheaper (mbox_index.h). ERR_NOT_FOUND: no such mailbox. `request->uids` lives as long. */
MUST_USE struct err mbox_fetch_open(const struct mbox_context *context,
                                    const struct store_fetch_request *request,
                                    struct mbox_fetch **ret, uint64_t *highestmodseq);

/* The next record; spans die at the next call with the cursor. With FETCH_BODY `record->body.len`
 * is the length of the whole body and `record->body.ptr` means nothing: its bytes are `*piece` and
 * those of mbox_fetch_piece until that says ERR_NOT_FOUND (skipping them is allowed). A body that
 * is one row is one piece. ERR_NOT_FOUND at the end. */
MUST_USE struct err mbox_fetch_next(struct mbox_fetch *fetch, struct mail_record *record,
                                    struct span *piece);
MUST_USE struct err mbox_fetch_piece(struct mbox_fetch *fetch, struct span *piece);
void mbox_fetch_close(struct mbox_fetch *fetch); /* takes NULL */

/* ---- Changes */

/* Fills the reply, whose texts lie in `arena`, and opens the view that has its data:
 * mbox_view_records() with `all` and the request's `since`. When the mailbox is gone the reply says
 * so and the view is empty. Close the view in any case after ERR_OK. */
MUST_USE struct err mbox_changes(const struct mbox_context *context, struct mbox_index *index,
                                 const struct store_changes_request *request, struct arena *arena,
                                 struct store_changes_reply *reply, struct mbox_view *view);

#ifdef __cplusplus
}
#endif
#endif
