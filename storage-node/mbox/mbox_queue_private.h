/* mbox_queue_private.h: QUEUE rows as entries of store.proto. */
#ifndef MAIL_MBOX_QUEUE_PRIVATE_H
#define MAIL_MBOX_QUEUE_PRIVATE_H

#include "mbox_cmd_private.h"
#include "mbox_queue.h"
#include "store_msg.h"

struct mbox_queued {
    uint32_t chunks;
    uint64_t stored_bytes;
    struct store_queue_entry entry;
};

void mbox_queue_key(enum kv_kind kind, uint32_t slot, struct span id, struct kv_key *key);

/* ERR_NOT_FOUND; texts lie in the arena. */
struct err mbox_queue_get(struct kv_reader *rows, uint32_t slot, struct span id,
                          struct arena *arena, struct mbox_queued *ret);
struct err mbox_queue_put(struct mbox_work *work, const struct mbox_queued *queued);

/* When somebody should look at the entry. */
uint64_t mbox_queue_wake_ms(const struct store_queue_entry *entry);
void mbox_queue_due_put(struct mbox_work *work, const struct store_queue_entry *entry);
void mbox_queue_due_delete(struct mbox_work *work, const struct store_queue_entry *entry);

/* Sets due_ms to the earliest of the recipients that wait; false when none does. */
bool mbox_queue_set_due(struct store_queue_entry *entry);

struct err mbox_queue_check(const struct store_queue_entry *entry);

/* A walk over QUEUE_DUE rows of the shard that are due at `until_ms`, slot by slot. */
struct mbox_due_walk {
    const struct mbox_context *context;
    struct kv_iter *iter;
    uint64_t until_ms;
    uint32_t slot;
    bool in_slot;
    uint64_t due_ms; /* of the row it stands on */
    char id[MBOX_QUEUE_ID_BYTES];
};
struct err mbox_due_walk_open(const struct mbox_context *context, uint64_t until_ms,
                              struct mbox_due_walk *ret);
void mbox_due_walk_close(struct mbox_due_walk *walk);
/* ERR_NOT_FOUND at the end. */
struct err mbox_due_walk_next(struct mbox_due_walk *walk);

#endif
