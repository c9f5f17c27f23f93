/* mbox_cmd_private.h: the handlers of mbox_commands.def. Each checks its request, changes rows in
 * `work`, sets the reply and keeps the first answer; mbox_change ends the last part. */
#ifndef MAIL_MBOX_CMD_PRIVATE_H
#define MAIL_MBOX_CMD_PRIVATE_H

#include "mbox_store_private.h"

struct body;

#define MBOX_COMMAND(method, request, name)                                                  \
    struct request;                                                                          \
    struct err mbox_cmd_##name(struct mbox_work *work, const struct request *request_,       \
                               struct body *body);
#include "mbox_commands.def"
#undef MBOX_COMMAND

/* Gives the first answer again: sets the reply of a result without batches. */
static inline void mbox_answer_again(struct mbox_work *work, const struct mbox_done *done)
{
    work->result->reply = done->answer;
    work->result->duplicate = true;
}

/* Keeps `reply`, of `type`, as the first answer of a command that is done, and makes it the
 * result's. It lies in the arena. */
struct err mbox_answer(struct mbox_work *work, uint16_t slot, struct span id, unsigned method,
                       const struct proto_type *type, const void *reply);

/* The same for a reply that points into the request, which may go before the result does. */
struct err mbox_answer_copy(struct mbox_work *work, uint16_t slot, struct span id, unsigned method,
                            const struct proto_type *type, const void *reply);

/* ---- walks over the MESSAGE rows of a mailbox (mbox_walk.c) */

struct mbox_walk {
    struct kv_iter *iter;
    struct kv_key prefix; /* owner, kind, mailbox */
    struct span uids;     /* uid_set; empty with `all` */
    bool all;
    size_t range;         /* of `uids` that the walk is in */
    uint32_t uid;         /* of the row it stands on */
    struct mbox_message message; /* dies with the next move */
};

/* Starts before the first message of `uids` (checked bytes) with a UID above `after`. */
struct err mbox_walk_open(struct kv_reader *rows, const struct kv_owner *owner, uint32_t mailbox,
                          struct span uids, bool all, uint32_t after, struct mbox_walk *ret);
void mbox_walk_close(struct mbox_walk *walk);
/* Moves to the next message of the set. ERR_NOT_FOUND at the end. */
struct err mbox_walk_next(struct mbox_walk *walk);

/* Checks a uid_set of a request. ERR_SYNTAX, ERR_TOO_BIG. */
struct err mbox_uids_check(struct span uids);

#endif
