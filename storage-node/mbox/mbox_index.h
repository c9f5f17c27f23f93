/* mbox_index.h: the leader's bounded cache of what changes in mailboxes: UID, flags and MODSEQ of
 * each message, 20 bytes. Loaded from MESSAGE rows when somebody asks, or begun with the mailbox
 * itself while there is room, kept right by every batch that is applied, thrown out least recently
 * used first.
 *
 * Any thread may use it (a lock inside, held for a batch or a look-up). A view is a picture that no
 * later batch changes. */
#ifndef MAIL_MBOX_INDEX_H
#define MAIL_MBOX_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct kv_owner;
struct kv_reader;
struct mbox_block;
struct mbox_index;

enum { MBOX_INDEX_MAILBOXES_MAX = 200000, MBOX_INDEX_MESSAGE_BYTES = 20 };

/* At most about `bytes_max` of memory, but always the mailbox asked for. NULL: no memory. */
struct mbox_index *mbox_index_new(uint64_t bytes_max);
void mbox_index_free(struct mbox_index *index); /* takes NULL */

/* Takes in a batch. After the store has applied it, in the order of the log: who reads rows after
 * asking the index then misses nothing. Bytes that are no batch are left out. */
void mbox_index_apply(struct mbox_index *index, struct span batch);

/* Forgets everything (the shard is led elsewhere). */
void mbox_index_clear(struct mbox_index *index);

uint64_t mbox_index_bytes(struct mbox_index *index);
/* Views that were found in it, and those that were loaded; since it was made. */
struct mbox_index_stats {
    uint64_t bytes, mailboxes, hits, misses;
};
void mbox_index_stats_get(struct mbox_index *index, struct mbox_index_stats *ret);

/* A mailbox's messages in order of UID. A modseq of 0 marks a place whose message is gone. */
struct mbox_view {
    struct mbox_block *block;
    const uint32_t *uids;
    const uint64_t *flags, *modseqs;
    uint32_t places;   /* in the arrays */
    uint32_t messages; /* of them there */
    uint32_t uidnext;
    uint64_t highestmodseq;
};

/* `index` may be NULL: the view is then loaded for this caller. ERR_NOT_FOUND: no such mailbox;
 * ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
MUST_USE struct err mbox_view_open(struct mbox_index *index, struct kv_reader *rows,
                                   const struct kv_owner *owner, uint32_t mailbox,
                                   struct mbox_view *ret);
void mbox_view_close(struct mbox_view *view);

/* The sequence number of the first unseen message, 0: none. False when the mailbox is not in the
 * cache; nothing is loaded for it. */
bool mbox_index_first_unseen(struct mbox_index *index, const struct kv_owner *owner,
                             uint32_t mailbox, uint32_t *seq);

/* How many are not \Seen, and the sequence number of the first of them (0: none). */
uint32_t mbox_view_unseen(const struct mbox_view *view);
uint32_t mbox_view_first_unseen(const struct mbox_view *view);

/* Writes records of mail_stream.h with items 0 to `out` until it is full: of the messages in `uids`
 * (checked bytes of uid_set.h; `all`: of all) whose MODSEQ is above `since`. `*at` starts as
 * MBOX_VIEW_START. True when there is more to come. */
struct mbox_view_at {
    uint32_t place;
    size_t range;
    uint32_t records; /* written so far */
};
#define MBOX_VIEW_START { 0, 0, 0 }
struct mbox_wanted {
    struct span uids;
    bool all;
    uint64_t since;
};
bool mbox_view_records(const struct mbox_view *view, const struct mbox_wanted *wanted,
                       struct mbox_view_at *at, struct buf *out);

/* Writes the UIDs as ranges of uid_set.h until `out` is full. True when there is more to come. */
bool mbox_view_ranges(const struct mbox_view *view, uint32_t *place, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
