/* scan_call.h: has a message scanned by one of several scanners.
 *
 * A pool keeps a Capacity stream open to each scanner and sends each message to the one with the
 * least work. When that fails, or gives no verdict, another one is asked; when it is slow, a second
 * one is asked beside it (hedge) and the first verdict counts. One that has a message and says
 * nothing at all for a while is silent: it gets nothing while others are there, until it is heard
 * again. No scanner, no verdict: an error of class temporary, for which SMTP answers 451. It never
 * says "clean" for want of an answer.
 *
 * Which scanners there are may change at any time: one that is none of the pool any more gets
 * nothing new, and its connection is closed when what it has is done.
 *
 * Everything on one loop. */
#ifndef MAIL_SCAN_CALL_H
#define MAIL_SCAN_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct loop;
struct rpc_self;
struct scan_scan_reply;

enum {
    SCAN_CALL_ATTEMPTS_MAX = 8,    /* of one message */
    SCAN_CALL_AT_ONCE_MAX = 2,
    SCAN_CALL_WAITING_MAX = 10000, /* messages in a pool; BUSY beyond */
    SCAN_CALL_AVOID_MS = 200,      /* a scanner that failed or was full gets nothing for so long */
    SCAN_CALL_SILENT_MS = 2500,    /* it says more often than that how busy it is, when it is */
    SCAN_CALL_ADDRESS_MAX_BYTES = 255,
    SCAN_CALL_AGAIN_MIN_MS = 100,  /* between two tries to open a Capacity stream; doubles ... */
    SCAN_CALL_AGAIN_MAX_MS = 5000, /* ... up to this */
};

struct scan_pool_options {
    const char *const *addresses; /* "unix:/path", "ip:port", "name:port"; copied */
    unsigned addresses_count;     /* 0 to SCAN_BALANCE_PEERS_MAX */
    struct rpc_self *self;        /* who asks; outlives the pool */
    uint64_t deadline_ms;         /* of a message, all attempts together; 0: 60,000 */
    uint64_t patience_ms;         /* to wait for a scanner to take it at all; 0: 5,000 */
    uint64_t hedge_ms;            /* before a second one is asked beside the first, unless that is
                                   * silent sooner; 0: never */
    void (*changed)(void *holder); /* scan_pool_ready() has; on the loop. May be NULL */
    void *holder;
};

struct scan_pool;
struct scan_call;

/* Connects in the background. ERR_NOMEM, ERR_SYNTAX: an address is none. */
MUST_USE struct err scan_pool_new(struct loop *loop, const struct scan_pool_options *options,
                                  struct scan_pool **ret);
/* Ends every call with CANCELLED before it returns. Not from within a callback. Takes NULL. */
void scan_pool_free(struct scan_pool *pool);

/* These are the pool's scanners from now on: `count` addresses. Messages under way are not lost.
 * Beyond SCAN_BALANCE_PEERS_MAX, those that leave included, the others are connected as there is
 * room. ERR_SYNTAX: an address is none, ERR_NOMEM; the others are taken all the same. ERR_TOO_BIG:
 * more than SCAN_BALANCE_PEERS_MAX, the first are taken. Not from within a callback. */
MUST_USE struct err scan_pool_set(struct scan_pool *pool, const struct span *addresses,
                                  unsigned count);

/* How many scanners are ready now: for /readyz. */
unsigned scan_pool_ready(const struct scan_pool *pool);
/* How many are connected or tried, those that leave not counted; of them the silent ones. */
unsigned scan_pool_known(const struct scan_pool *pool);
unsigned scan_pool_silent(const struct scan_pool *pool);

/* Why a scanner refuses us or we it, in words, until the next turn; empty: none does. */
struct span scan_pool_refusal(const struct scan_pool *pool);

/* The envelope. All that it points to lives until done(). */
struct scan_call_request {
    struct span sender;
    struct span *recipients;
    size_t recipients_count;
    struct span client_address;
    uint8_t trace_id[16];
};

/* Once, on the loop, not within scan_call_start(). OK: `reply` has a verdict other than NONE, and
 * dies on return. Else `reply` is NULL: TIMEOUT; UNREACHABLE: no scanner gave a verdict;
 * CANCELLED; or SYNTAX, TOO_BIG: a scanner refuses the message for good. */
typedef void (*scan_call_done)(void *holder, struct err err, const struct scan_scan_reply *reply);

/* Has `body` (sealed; a reference is taken) scanned. ERR_BUSY: SCAN_CALL_WAITING_MAX are under way;
 * ERR_NOMEM. Then nothing is called back. */
MUST_USE struct err scan_call_start(struct scan_pool *pool, const struct scan_call_request *request,
                                    struct body *body, scan_call_done done, void *holder,
                                    struct scan_call **ret);

/* Gives it up: done() is not called any more, and `call` is gone. Not after done(). */
void scan_call_cancel(struct scan_call *call);

#ifdef __cplusplus
}
#endif
#endif
