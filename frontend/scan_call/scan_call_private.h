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
struct rpc_self;

struct scan_address {
    size_t len;
    char text[SCAN_CALL_ADDRESS_MAX_BYTES + 1]; /* with a NUL */
};

/* A place for a scanner. Its `known` is out when there is none, or one that leaves. */
struct scan_pool_peer {
    struct scan_pool *pool;
    unsigned index;
    struct rpc_client *client; /* NULL: the place is free */
    struct rpc_call *watch;    /* the Capacity stream; NULL: not open */
    struct timer again;        /* to open it; or the end of one that leaves */
    uint64_t again_ms;
    uint64_t heard_ms;         /* loop_now_ms() of its last word or answer */
    struct scan_address address;
};

struct scan_pool {
    struct loop *loop;
    struct rpc_self *self;
    uint64_t deadline_ms, patience_ms, hedge_ms;
    void (*changed)(void *holder);
    void *holder;
    bool closing;
    struct list calls;
    unsigned calls_count, turn;
    unsigned ready_told;
    unsigned wanted_count;
    struct scan_address wanted[SCAN_BALANCE_PEERS_MAX];
    struct scan_peer known[SCAN_BALANCE_PEERS_MAX];
    struct scan_pool_peer peers[SCAN_BALANCE_PEERS_MAX];
};

struct scan_attempt {
    struct scan_call *call;
    struct rpc_call *rpc; /* NULL: free */
    unsigned peer;
    uint64_t begun_ms;
    bool is_given_up;     /* its end is still to come */
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
/* Another scanner has this place now: who tried the one before has not tried this one. */
void scan_call_forget_peer(struct scan_pool *pool, unsigned index);

/* scan_pool.c: it has said something; or nothing for too long; a message of ours there has
 * ended. */
void scan_pool_heard(struct scan_pool *pool, unsigned index);
void scan_pool_is_silent(struct scan_pool *pool, unsigned index);
void scan_pool_one_less(struct scan_pool *pool, unsigned index);
void scan_call_end_all(struct scan_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
