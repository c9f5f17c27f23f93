/* admin_call.h: the client of admin.proto: the same question to many programs of the cluster at
 * once, each at the address in its row (lib/roster, programs/), which has to show a certificate of
 * the role that the row says.
 *
 * A pool keeps its connections while they are used. Nobody waits for a program that does not answer
 * longer than ADMIN_CALL_WAIT_MS: its answer then says so. */
#ifndef MAIL_ADMIN_CALL_H
#define MAIL_ADMIN_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct admin_call;
struct admin_pool;
struct loop;
struct rpc_self;

enum {
    ADMIN_CALL_TARGETS_MAX = 64,
    ADMIN_CALL_PEERS_MAX = 128, /* connections of a pool; the longest unused makes room */
    ADMIN_CALL_CONNECT_MS = 1000,
    ADMIN_CALL_WAIT_MS = 3000,
    ADMIN_CALL_IDLE_MS = 30000, /* then a connection is closed */
    ADMIN_CALL_REPLY_MAX_BYTES = 320 * 1024,
};

/* `self` outlives the pool. ERR_NOMEM. */
MUST_USE struct err admin_pool_new(struct loop *loop, struct rpc_self *self,
                                   struct admin_pool **ret);
/* When no call is open. Takes NULL. */
void admin_pool_free(struct admin_pool *pool);

struct admin_call_target {
    enum roster_kind kind;
    char address[ROSTER_ADDRESS_MAX_BYTES + 1]; /* empty: it is not asked */
    uint64_t after;                             /* as of log_recent */
};

struct admin_call_ask {
    struct span log; /* its name */
    unsigned lines;  /* as of log_recent */
    const struct admin_call_target *targets;
    size_t count;    /* ADMIN_CALL_TARGETS_MAX at most */
    void (*done)(void *holder);
    void *holder;
};

struct admin_call_answer {
    struct span events; /* as log_recent_put() wrote it */
    const char *why;    /* none came; else NULL */
};

/* Asks all of them; everything is copied. `done` comes once, on a later turn. ERR_TOO_BIG: targets;
 * ERR_NOMEM. */
MUST_USE struct err admin_call_logs(struct admin_pool *pool, const struct admin_call_ask *ask,
                                    struct admin_call **ret);
/* After done; lives until admin_call_free(). */
struct admin_call_answer admin_call_answer(const struct admin_call *call, size_t target);
/* After done. Takes NULL. */
void admin_call_free(struct admin_call *call);

#ifdef __cplusplus
}
#endif
#endif
