/* mbox_transfer_private.h: messages copied or moved from one mailbox of an account to another. */
#ifndef MAIL_MBOX_TRANSFER_PRIVATE_H
#define MAIL_MBOX_TRANSFER_PRIVATE_H

#include "mbox_cmd_private.h"

struct mbox_transfer {
    struct mbox_box *from, *to;
    struct span uids; /* of `from` */
    bool all, move;
    uint32_t resume_uid;              /* messages up to it are done */
    uint64_t modseq;                  /* of the last part */
    struct uid_set from_uids, to_uids; /* what is done, in the same order */
    /* Of a move, called before a part is ended that is not the last: keeps the operation as
     * PARTIAL. A message is in one mailbox or the other at any time, and a retry moves the rest
     * (RFC 6851 3.3). */
    struct err (*keep)(struct mbox_work *work, struct mbox_transfer *transfer, void *holder);
    void *holder;
    bool is_marked; /* a copy: parts before this one are marked as not complete */
};

void mbox_transfer_init(struct mbox_transfer *transfer);
void mbox_transfer_free(struct mbox_transfer *transfer);

/* Carries on from `resume_uid` to the end. ERR_QUOTA for a copy that does not fit. A copy is there
 * as a whole or not at all (RFC 3501 6.4.7): until its last part is applied a mark says which
 * messages are to be taken back by mbox_undo_copies(). */
struct err mbox_transfer_run(struct mbox_work *work, struct mbox_transfer *transfer);

#endif
