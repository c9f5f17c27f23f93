/* mbox_queue.h: what waits in the queue of a shard, and when.
 *
 * A row lies in the queue at its slot; QUEUE_DUE orders the rows of a slot by the time at which
 * somebody should look at them: the entry's due_ms, or the end of its lease when that is later. */
#ifndef MAIL_MBOX_QUEUE_H
#define MAIL_MBOX_QUEUE_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mbox_context;

enum {
    MBOX_QUEUE_ID_BYTES = 16,
    MBOX_LEASE_ENTRIES_MAX = 100,
    MBOX_LEASE_BYTES = 1024 * 1024, /* of entries in an answer; one entry may be more */
    MBOX_LEASE_MS_MAX = 24 * 3600 * 1000,
    MBOX_PUT_LEASE_MS_MAX = 60 * 1000, /* that QueuePut gives */
    MBOX_QUEUE_OWNER_MAX_BYTES = 255,
    MBOX_QUEUE_ENTRY_MAX_BYTES = 4 * 1024 * 1024,
    MBOX_SLOTS = 16384,
};

/* For each slot a time before which nothing is due there, so that a look at the queue touches the
 * few slots that matter and not all. 0 (as made by mbox_due_init): nothing is known. It belongs to
 * the thread that prepares commands, which notes each batch it adds to the log. */
struct mbox_due {
    uint64_t not_before_ms[MBOX_SLOTS]; /* UINT64_MAX: nothing waits */
};

void mbox_due_init(struct mbox_due *due);
void mbox_due_note(struct mbox_due *due, struct span batch);

/* When somebody should next look at the shard's queue; 0: nothing waits. */
MUST_USE struct err mbox_queue_next_due(const struct mbox_context *context, uint64_t *due_ms);

#ifdef __cplusplus
}
#endif
#endif
