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
    /* Called before a part is ended that is not the last: keeps the operation as PARTIAL. */
    struct err (*keep)(struct mbox_work *work, struct mbox_transfer *transfer, void *holder);
    void *holder;
};

void mbox_transfer_init(struct mbox_transfer *transfer);
void mbox_transfer_free(struct mbox_transfer *transfer);

/* Carries on from `resume_uid` to the end. ERR_QUOTA for a copy that does not fit. */
struct err mbox_transfer_run(struct mbox_work *work, struct mbox_transfer *transfer);

#endif
