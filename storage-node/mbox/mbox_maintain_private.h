/* mbox_maintain_private.h: what the maintenance steps share. */
#ifndef MAIL_MBOX_MAINTAIN_PRIVATE_H
#define MAIL_MBOX_MAINTAIN_PRIVATE_H

#include "mbox_work_private.h"

/* Ends a step: ERR_NOT_FOUND is the end of what there is. Frees the work, and the result after an
 * error, which is returned. */
struct err mbox_maintain_finish(struct mbox_work *work, struct err err);

#endif
