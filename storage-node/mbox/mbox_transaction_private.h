/* mbox_transaction_private.h: which message of a client is the same as one before (store.proto,
 * Transaction; ARCHITECTURE section 2). */
#ifndef MAIL_MBOX_TRANSACTION_PRIVATE_H
#define MAIL_MBOX_TRANSACTION_PRIVATE_H

#include "mbox_work_private.h"
#include "store_msg.h"

enum { MBOX_TRANSACTION_KEY_BYTES = 32, MBOX_INTAKE_ID_BYTES = 16 };

struct mbox_transaction {
    const struct store_transaction *now; /* NULL: there is nothing to know again */
    uint16_t slot;
    uint64_t until_ms;
    bool is_kept;
    bool is_repeat;   /* `earlier` was taken before: nothing is to be done */
    struct store_transaction earlier;
    struct kv_key old; /* of the row there is; len 0: none */
};

/* Looks at what is known of the same message. `now` may be NULL. ERR_SYNTAX, ERR_MOVED. */
struct err mbox_transaction_begin(struct mbox_work *work, uint16_t slot,
                                  const struct store_transaction *now,
                                  struct mbox_transaction *ret);

/* Has this part keep it in the place of the earlier one: with the first thing that is done for it,
 * so that a repeat finds what a crash has cut off. */
struct err mbox_transaction_keep(struct mbox_work *work, struct mbox_transaction *transaction);

void mbox_intake_key(struct span intake, struct kv_key *key);

#endif
