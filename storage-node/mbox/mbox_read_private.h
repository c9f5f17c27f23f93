/* mbox_read_private.h: mailboxes as readers see them. */
#ifndef MAIL_MBOX_READ_PRIVATE_H
#define MAIL_MBOX_READ_PRIVATE_H

#include "mbox_cmd_private.h"
#include "mbox_read.h"

/* The owner of an account's rows; ERR_MOVED. */
struct err mbox_read_owner(const struct mbox_context *context, uint32_t tenant, uint64_t account,
                           struct kv_owner *ret);

struct err mbox_read_counters(struct kv_reader *rows, const struct kv_owner *owner,
                              struct mbox_counters *ret);

/* The row of a mailbox that can be read, its texts in the arena. ERR_NOT_FOUND (also DYING). */
struct err mbox_read_mailbox(struct kv_reader *rows, const struct kv_owner *owner, uint32_t id,
                             struct arena *arena, struct mbox_mailbox *ret);

/* The first unseen message, from where the row says: its UID and sequence number, or, when no
 * message is unseen, 0 and 0. `index` may be NULL. */
struct mbox_first {
    uint32_t uid, seq;
};
struct err mbox_first_unseen(struct kv_reader *rows, const struct kv_owner *owner, uint32_t id,
                             const struct mbox_mailbox *row, struct mbox_first *ret);

/* mbox_read_list.c. `index` may be NULL. */
struct store_mailbox_list_request;
struct store_mailbox_list_reply;
struct err mbox_read_list(const struct mbox_context *context, struct mbox_index *index,
                          const struct store_mailbox_list_request *request, struct arena *arena,
                          struct store_mailbox_list_reply *reply);

#endif
