/* store_serve_locks.h: the locks of MailboxLock (store.proto). Pure: the time is an argument.
 *
 * A lock is memory of the node that leads the mailbox's slot, and nothing of it is logged: with a
 * lease of bounded time it outlives neither its owner's frontend nor this node. When the leader is
 * lost, its locks are forgotten; the owner's next renewal takes the lock at the new leader, if
 * nobody else has come first. So for the time of a failover two sessions may both believe that they
 * have the mailbox: POP3 can bear that, since each keeps its own numbering, and what one deletes is
 * simply gone for the other. A leader that has lost its slots and gets them back within a lease may
 * still know a lock that another leader gave away meanwhile; its lease runs out like any other. */
#ifndef MAIL_STORE_SERVE_LOCKS_H
#define MAIL_STORE_SERVE_LOCKS_H

#include <stdint.h>

#include "err.h"
#include "list.h"
#include "map.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STORE_LOCKS_MAX = 200000, /* about 150 bytes each */
    STORE_LOCK_OWNER_BYTES = 16,
    STORE_LOCK_LEASE_MIN_MS = 1000,
    STORE_LOCK_LEASE_MAX_MS = 10 * 60 * 1000,
};

struct serve_locks {
    struct map map;
    struct list by_age; /* the one taken or renewed last stands last */
};

struct serve_lock_name {
    uint32_t tenant, mailbox;
    uint64_t account;
};

void serve_locks_init(struct serve_locks *locks, size_t count_max);
void serve_locks_free(struct serve_locks *locks);

/* Takes the lock for `owner`, or renews it; `*lease_ms` is cut to the bounds above. ERR_CONFLICT:
 * another owner has it and its lease has not run out; ERR_BUSY: too many are held; ERR_SYNTAX: no
 * owner, or no mailbox; ERR_NOMEM. */
MUST_USE struct err serve_locks_take(struct serve_locks *locks, const struct serve_lock_name *name,
                                     struct span owner, uint64_t now_ms, uint64_t *lease_ms);

/* Gives it back if it is `owner`'s. */
void serve_locks_release(struct serve_locks *locks, const struct serve_lock_name *name,
                         struct span owner);

#ifdef __cplusplus
}
#endif
#endif
