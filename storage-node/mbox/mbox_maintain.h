/* mbox_maintain.h: what nobody asks for and must be done: old operations, bodies that a crash left
 * without an owner, messages of deleted mailboxes, old changes. Logged like commands, since all
 * copies of a shard must lose the same rows (REPLICATION 6.5).
 *
 * Each call is one bounded step: it fills a result like mbox_change (without a reply; no batches
 * when there was nothing to do) and sets result->more when it should be called again. */
#ifndef MAIL_MBOX_MAINTAIN_H
#define MAIL_MBOX_MAINTAIN_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mbox_context;
struct mbox_result;

/* Forgets operations whose id was made before `before_ms`; those of a courier's deliveries a day
 * later than they were done. */
MUST_USE struct err mbox_trim_operations(const struct mbox_context *context, uint64_t before_ms,
                                         struct mbox_result *result);

/* Forgets transactions that need not be known again any more, and intakes that have told nothing
 * since all of theirs were forgotten. */
MUST_USE struct err mbox_trim_transactions(const struct mbox_context *context,
                                           struct mbox_result *result);

/* Removes chunk rows that were written ahead before `before_ms` and never got their message. */
MUST_USE struct err mbox_trim_bodies(const struct mbox_context *context, uint64_t before_ms,
                                     struct mbox_result *result);

/* Goes on with a mailbox that was deleted with more messages than one command takes. */
MUST_USE struct err mbox_sweep(const struct mbox_context *context, struct mbox_result *result);

/* Takes back messages of a COPY that was cut off by a crash or a full disk: the mailbox is as it
 * was before, but for UIDs that are not used again. Before anything else when a shard begins to
 * serve. */
MUST_USE struct err mbox_undo_copies(const struct mbox_context *context,
                                     struct mbox_result *result);

/* Forgets an account's changes made before `before_ms`, and those beyond the newest `rows`. The
 * number is also kept to by itself (MBOX_CHANGES_KEPT). */
struct mbox_trim_changes {
    uint32_t tenant;
    uint64_t account;
    uint64_t before_ms;
    uint64_t rows;
};
MUST_USE struct err mbox_trim_changes(const struct mbox_context *context,
                                      const struct mbox_trim_changes *trim,
                                      struct mbox_result *result);

/* The same for the next accounts of the shard behind `*at`, which begins as zeros and moves on:
 * some dozens of accounts, and some thousands of rows. */
struct mbox_trim_at {
    uint16_t slot;
    uint32_t tenant;
    uint64_t account;
};
MUST_USE struct err mbox_trim_tombstones(const struct mbox_context *context, uint64_t before_ms,
                                         struct mbox_trim_at *at, struct mbox_result *result);

#ifdef __cplusplus
}
#endif
#endif
