/* mbox_read.h: the reads with one answer: AddressGet, DomainList, AccountGet, MailboxList,
 * MailboxOpen, QueueList, IntakeState. And what is told of a mailbox to others. */
#ifndef MAIL_MBOX_READ_H
#define MAIL_MBOX_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_reader;
struct mbox_context;
struct mbox_index;
struct mbox_result;

/* `request` and `*reply` are the method's structs of store_msg.h; the reply lies in `arena`.
 * `index` may be NULL; what it holds spares walks. Of `context` only rows and slots are used.
 * ERR_NOT_FOUND, ERR_DENIED (a name that can't be selected), ERR_SYNTAX, ERR_MOVED,
 * ERR_UNSUPPORTED: not one of these methods. AddressGet of nobody's address is no error: the reply
 * has version 0; so has IntakeState of an unknown one turn 0. MailboxOpen changes nothing: see
 * mbox_claim. */
MUST_USE struct err mbox_read(const struct mbox_context *context, struct mbox_index *index,
                              unsigned method, const void *request, struct arena *arena,
                              const void **reply);

/* A mailbox is open for writing (MailboxOpen with claim_recent): its messages below `uidnext` are
 * no longer \Recent for others, and what is first unseen is looked up for the next one. Prepared
 * like a change, but nobody waits for it: it is lost at worst. No batch when there is nothing to
 * write. A mailbox that is gone is no error. */
struct mbox_claim {
    uint32_t tenant;
    uint64_t account;
    uint32_t mailbox, uidnext;
};
MUST_USE struct err mbox_claim(const struct mbox_context *context, const struct mbox_claim *claim,
                               struct mbox_result *result);

/* State of a mailbox for Watch. ERR_NOT_FOUND: gone. With mailbox 0: the account's MODSEQ. */
MUST_USE struct err mbox_modseq(const struct mbox_context *context, uint32_t tenant,
                                uint64_t account, uint32_t mailbox, uint64_t *modseq);

#ifdef __cplusplus
}
#endif
#endif
