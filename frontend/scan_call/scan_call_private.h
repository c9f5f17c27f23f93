/* scan_call_private.h: pool and calls. */
#ifndef MAIL_SCAN_CALL_PRIVATE_H
#define MAIL_SCAN_CALL_PRIVATE_H

#include <stdbool.h>

#include "list.h"
#include "scan_balance.h"
#include "scan_call.h"
#include "timer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_call;
struct rpc_client;

struct scan_pool_peer {
    struct scan_pool *pool;
    unsigned index;
    struct rpc_client *client;
    struct rpc_call *watch;   /* the Capacity stream; NULL: not open */
    struct timer again;
    uint64_t again_ms;
};

struct scan_pool {
    struct loop *loop;
    uint64_t deadline_ms, patience_ms, hedge_ms;
    void (*changed)(void *holder);
    void *holder;
    bool closing;
    struct list calls;
    unsigned calls_count, turn;
    unsigned peers_count;
    struct scan_peer known[SCAN_BALANCE_PEERS_MAX];
    struct scan_pool_peer peers[SCAN_BALANCE_PEERS_MAX];
};

struct scan_attempt {
    struct scan_call *call;
    struct rpc_call *rpc; /* NULL: free */
    unsigned peer;
};

/* Lives until its last attempt has ended, which may be after done(). */
struct scan_call {
    struct list link;       /* in pool->calls until it is over */
    struct scan_pool *pool;
    struct scan_call_request request;
    struct body *body;
    scan_call_done done;
    void *holder;
    struct timer deadline, next; /* next: hedge, or patience when nothing is under way */
    uint64_t started_ms, tried;
    unsigned attempts_count;     /* begun so far */
    bool over, starting;         /* starting: within scan_call_start(), where none ends */
    struct scan_attempt attempts[SCAN_CALL_AT_ONCE_MAX];
};

/* Has every call that lacks a scanner look for one. */
void scan_call_capacity_changed(struct scan_pool *pool);
void scan_call_end_all(struct scan_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
