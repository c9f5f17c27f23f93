/* route.h: calls to whichever storage node leads a slot.
 *
 * A call finds its node by the map (place), goes there, follows a redirect, and is tried again with
 * the same request (so with the same operation id) until its deadline when the node can't be
 * reached or refuses us, says MOVED or BUSY, or the outcome is not known. Once a byte or a reply of
 * an answer was handed out it is not tried again: done() then says UNKNOWN and the caller decides.
 *
 * Belongs to one loop, like the rpc clients under it. */
#ifndef MAIL_ROUTE_H
#define MAIL_ROUTE_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct loop;
struct place_map;
struct proto_method;
struct route;
struct route_call;
struct rpc_self;

enum {
    ROUTE_RETRY_FIRST_MS = 20, /* doubles with each try */
    ROUTE_RETRY_MAX_MS = 500,
    ROUTE_DEADLINE_MS = 10 * 1000, /* when a call names none */
    ROUTE_NODES_MAX = 256,
};

/* `self` says who calls and outlives the route. `map` is referenced. */
MUST_USE struct err route_new(struct loop *loop, struct place_map *map, struct rpc_self *self,
                              struct route **ret);
/* Every open call hears CANCELLED first. Takes NULL. */
void route_free(struct route *route);

/* New calls and retries use this map from now on. A call that is under way at a node which does not
 * lead its slot any more is asked of the new one, unless its answer has begun; one without deadline
 * ends with UNKNOWN then, if anything came. What waited to be tried again is tried at once. */
void route_set_map(struct route *route, struct place_map *map);
const struct place_map *route_map(const struct route *route);

struct route_call_user {
    /* As in rpc.h, NULL too: what comes is dropped. Data counts against the credit until
     * route_call_took(). */
    void (*data)(void *holder, struct route_call *call, struct span bytes);
    void (*reply)(void *holder, struct route_call *call, const void *reply);
    /* Once, last; `call` is gone when it returns. */
    void (*done)(void *holder, struct route_call *call, struct err err, struct span info);
};

struct route_call_options {
    unsigned slot;        /* decides the node; or ROUTE_SHARD | the number of a shard */
    uint64_t deadline_ms; /* from now; 0: ROUTE_DEADLINE_MS; ROUTE_NO_DEADLINE for streams */
    struct body *body;    /* sealed, beside the request; a reference is taken */
    const uint8_t *trace_id; /* 16 bytes or NULL */
    bool once;            /* is not tried again: for who wants to hear that the node is gone */
};
#define ROUTE_SHARD       0x10000u
#define ROUTE_NO_DEADLINE UINT64_MAX

/* Starts a call. `request` and all it points to live until done(): a retry sends it again. On an
 * error (BUSY, NOMEM) nothing is called back; otherwise nothing is called before this returns. */
MUST_USE struct err route_call_start(struct route *route, const struct proto_method *method,
                                     const void *request, const struct route_call_options *options,
                                     const struct route_call_user *user, void *holder,
                                     struct route_call **ret);

/* Why the node of a shard refuses us or we it, in words, until the next turn; empty: neither. */
struct span route_refusal(const struct route *route, unsigned shard);

void route_call_took(struct route_call *call, size_t count);

/* Gives the call up: done(CANCELLED) comes on a later turn; data() and reply() no more. */
void route_call_cancel(struct route_call *call);

#ifdef __cplusplus
}
#endif
#endif
