/* admin_call_private.h: the connections of a pool (admin_pool.c). */
#ifndef MAIL_ADMIN_CALL_PRIVATE_H
#define MAIL_ADMIN_CALL_PRIVATE_H

#include "admin_call.h"
#include "timer.h"

struct admin_peer {
    struct rpc_client *client; /* NULL: a free place */
    enum roster_kind kind;
    char address[ROSTER_ADDRESS_MAX_BYTES + 1];
    uint64_t used_ms;          /* loop_now_ms() */
    unsigned open;             /* calls */
};

struct admin_pool {
    struct loop *loop;
    struct rpc_self *self;
    struct timer idle;
    struct admin_peer peers[ADMIN_CALL_PEERS_MAX];
};

/* The connection to a target, made when there is none. ERR_BUSY: all places are in use; ERR_SYNTAX:
 * its address. */
MUST_USE struct err admin_peer_get(struct admin_pool *pool, const struct admin_call_target *target,
                                   struct admin_peer **ret);

#endif
