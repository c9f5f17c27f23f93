/* mbox_dying_private.h: taking a deleted mailbox's messages away, some at a time. */
#ifndef MAIL_MBOX_DYING_PRIVATE_H
#define MAIL_MBOX_DYING_PRIVATE_H

#include "mbox_cmd_private.h"

enum { MBOX_DYING_STEP = 10000 }; /* messages */

/* Removes up to MBOX_DYING_STEP messages of a box that is DYING. With the last one the MAILBOX row
 * goes, else the mark for mbox_sweep stands. */
struct err mbox_dying_step(struct mbox_work *work, struct mbox_box *box);

/* The mark's key. */
void mbox_dying_key(const struct kv_owner *owner, uint32_t mailbox, struct kv_key *key);

#endif
