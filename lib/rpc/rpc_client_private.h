/* rpc_client_private.h: shared by rpc_client.c (links), rpc_connect.c (how they come about) and
 * rpc_call.c (calls). */
#ifndef MAIL_RPC_CLIENT_PRIVATE_H
#define MAIL_RPC_CLIENT_PRIVATE_H

#include "arena.h"
#include "rpc_private.h"

/* Where a call is. */
enum rpc_call_state {
    RPC_CALL_WAITING, /* for a link; it is in client->waiting */
    RPC_CALL_OPEN,    /* on a link */
    RPC_CALL_OVER,    /* done() was called; on a link whose END is still to come */
};

struct rpc_call {
    struct rpc_lane lane; /* first */
    struct rpc_client *client; /* NULL when it is over and the client is gone */
    struct list link;     /* in client->waiting, or client->open; alone when it is over */
    const struct proto_method *method;
    const struct rpc_call_user *user;
    void *holder;
    struct timer deadline;
    struct later cancel;
    struct rpc_message message;
    uint64_t deadline_ms; /* clock of the loop; 0: none */
    uint32_t granted;     /* DATA bytes that the server may still send */
    uint32_t taken;       /* given back by rpc_call_took(), not yet told */
    uint8_t state;
};

enum { RPC_REASON_BYTES = 128 };

struct rpc_client {
    struct loop *loop;
    struct rpc_self *self;
    struct rpc_link *link; /* that takes new calls; NULL: none. Its hello may be to come */
    struct list links;     /* all, with those that are being left */
    struct list waiting, open;
    unsigned waiting_count;
    struct timer backoff; /* and while a name is looked up: until when */
    uint64_t backoff_ms;
    struct lookup *lookup; /* NULL: no name is being looked up */
    unsigned attempts;     /* that found addresses: each takes the next one */
    enum err_code refusal; /* of the last attempt; OK: it was not refused */
    char reason[RPC_REASON_BYTES];
    struct later connect;
    struct arena scratch; /* to pack and unpack; empty between calls */
    unsigned inside;      /* callbacks under way; the memory stays until they return */
    bool freed;
    struct list pool;
    unsigned pool_count;
    char *address;
    uint64_t connect_ms, ping_ms;
    uint32_t peer_roles;
    uint16_t version_low, version_high;
};

/* Around every callback: it may free the client, whose memory then stays until it returns. */
void rpc_client_enter(struct rpc_client *client);
void rpc_client_exit(struct rpc_client *client);
/* Sees to it that there will be a link for who waits. */
void rpc_client_want(struct rpc_client *client);
/* Closes a link that is being left when no call is open on it. */
void rpc_client_link_check(struct rpc_link *link);
/* Takes no more calls there. */
void rpc_client_leave(struct rpc_client *client);
/* Ends the calls that wait now. The callbacks may start others and free the client. */
void rpc_client_fail_waiting(struct rpc_client *client, struct err err);
extern const struct rpc_link_user rpc_client_link_user;

/* rpc_connect.c. No link came of an attempt: who waits hears of it, the next attempt waits. */
void rpc_client_failed(struct rpc_client *client, struct err why);
/* One end refused the other: kept for rpc_client_refusal(), and told if it is news. */
void rpc_client_refused(struct rpc_client *client, struct rpc_link *link, struct err err,
                        struct span reason);

/* Gives the call that waits a number on the link, and its turn; or ends it. */
void rpc_call_attach(struct rpc_call *call, struct rpc_link *link);
/* Tells the user, once. On a link the call stays until END comes, unless it came or the link is
 * gone (`leaves`): its number must not be used before. */
void rpc_call_end(struct rpc_call *call, struct err err, struct span info, bool leaves);
/* Off its link; it is then nobody's. */
void rpc_call_leave(struct rpc_call *call);
void rpc_call_free(struct rpc_call *call);
void rpc_call_on_frame(struct rpc_link *link, struct rpc_lane *lane, const struct rpc_frame *frame);

#endif
