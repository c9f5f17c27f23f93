/* rpc_client.h: the calling side. Include rpc.h. */
#ifndef MAIL_RPC_CLIENT_H
#define MAIL_RPC_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "rpc.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;
struct body;
struct loop;
struct proto_method;
struct rpc_self;

struct rpc_client; /* one peer; connects when first needed and again after a break */
struct rpc_call;

struct rpc_client_options {
    const char *address;        /* "unix:/path", "ip:port", "[ip6]:port" or "name:port"; copied */
    struct rpc_self *self;      /* outlives it; with certificates for all but unix sockets */
    uint32_t peer_roles;        /* bits that the server's role must be one of; 0: any */
    uint64_t connect_ms;        /* to connect and say hello; 0: 2000. As long to find a name */
    uint64_t ping_ms;           /* 0: RPC_PING_MS */
    uint8_t versions[2];        /* lowest and highest spoken; {0,0}: RPC_VERSION only */
};

/* Whether a text is an address to call: "unix:/path", "ip:port", "name:port". */
bool rpc_client_address_fits(const char *address);

/* ERR_SYNTAX: the address is none; ERR_NOMEM. */
MUST_USE struct err rpc_client_new(struct loop *loop, const struct rpc_client_options *options,
                                   struct rpc_client **ret);
/* Ends every open call: done() comes with CANCELLED before this returns, and nothing after it. May
 * be called from within a callback. Takes NULL. */
void rpc_client_free(struct rpc_client *client);

/* Why the last attempt to connect came to nothing, if one end refused the other: DENIED (role,
 * certificate, cluster, incarnation), UNSUPPORTED (no common version) or SYNTAX (it speaks
 * otherwise); then `*ret` is the reason in words, until the next turn. Else OK. */
enum err_code rpc_client_refusal(const struct rpc_client *client, struct span *ret);

/* What the caller hears of its call; on the loop, never inside rpc_call_start(). */
struct rpc_call_user {
    /* Raw data of the reply, in order with the messages. The bytes count against the credit until
     * rpc_call_took(). `bytes` dies on return. NULL: whatever comes is dropped. */
    void (*data)(void *holder, struct rpc_call *call, struct span bytes);
    /* A reply, unpacked: a struct of the method's reply type in an arena that dies on return. */
    void (*reply)(void *holder, struct rpc_call *call, const void *reply);
    /* Once, last. `info` is the server's text or redirect ("moved to" address), dies on return. */
    void (*done)(void *holder, struct rpc_call *call, struct err err, struct span info);
};

struct rpc_call_options {
    uint64_t deadline_ms;   /* from now; travels with the call. 0: none (streams only) */
    struct body *body;      /* sealed; beside the request. A reference is taken. NULL: none */
    uint8_t trace_id[16];   /* zero: none */
};

/* Starts a call. `request` (a struct of method->request) is packed before this returns. On an error
 * nothing is called back: BUSY (too many calls), TOO_BIG, NOMEM. When the peer can't be reached
 * `done` says UNREACHABLE (DENIED: one end refuses the other, `info` says why; UNSUPPORTED: no
 * common version), as when the connection broke before the whole request had left; after that,
 * UNKNOWN. */
MUST_USE struct err rpc_call_start(struct rpc_client *client, const struct proto_method *method,
                                   const void *request, const struct rpc_call_options *options,
                                   const struct rpc_call_user *user, void *holder,
                                   struct rpc_call **ret);

/* Gives `count` bytes of data credit back, from inside data() or later. Until done(). */
void rpc_call_took(struct rpc_call *call, size_t count);

/* Gives the call up: the peer is told, done() comes with CANCELLED on a later turn. */
void rpc_call_cancel(struct rpc_call *call);

#ifdef __cplusplus
}
#endif
#endif
