/* rpc.h: calls between programs: one request, a reply or a stream of them, raw data beside both.
 *
 * A connection carries many calls at once, in frames of at most 64 KiB that are interleaved, so
 * that a large body delays nobody. Frames and their numbers are described in rpc_frame.h. Over TCP
 * it is always mutual TLS, and the peer's certificate names its role; over a unix socket of this
 * machine it is plain, and the role is what the hello says (the socket's directory is the guard).
 *
 * Everything here belongs to one loop: calls are started and answered on the loop's own thread. */
#ifndef MAIL_RPC_H
#define MAIL_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct loop;
struct proto_method;
struct proto_type;
struct arena;

enum {
    RPC_FRAME_MAX_BYTES = 64 * 1024,
    RPC_MESSAGE_MAX_BYTES = 4 * 1024 * 1024,  /* a protobuf message, all frames of it together */
    RPC_BODY_MAX_BYTES = 256 * 1024 * 1024,   /* raw data of one request */
    RPC_CALLS_MAX = 4096,                     /* open on one connection; BUSY beyond */
    RPC_CREDIT_BYTES = 256 * 1024,            /* what a reply may send before the receiver took it */
    RPC_VERSION = 1,
};

/* Bits: who may call. In certificates as text (frontend, storage-node, scanner, router, operator). */
enum rpc_role {
    RPC_ROLE_FRONTEND = 1, RPC_ROLE_STORAGE_NODE = 2, RPC_ROLE_SCANNER = 4, RPC_ROLE_ROUTER = 8,
    RPC_ROLE_OPERATOR = 16,
};

/* ---- the calling side */

struct rpc_client; /* one peer; connects when first needed and again after a break */
struct rpc_call;

struct rpc_client_options {
    const char *address;        /* "unix:/path" or "host:port" */
    enum rpc_role role;         /* ours */
    struct tls_context *tls;    /* for TCP */
    uint64_t connect_ms;        /* to connect and say hello; 0: 2000 */
    uint8_t versions[2];        /* lowest and highest spoken; {0,0}: RPC_VERSION only */
};

MUST_USE struct err rpc_client_new(struct loop *loop, const struct rpc_client_options *options,
                                   struct rpc_client **ret);
/* Ends every open call with CANCELLED, then is gone. Takes NULL. */
void rpc_client_free(struct rpc_client *client);

/* What the caller hears of its call; on the loop, never inside rpc_call_start(). */
struct rpc_call_user {
    /* Raw data of the reply, in order with the messages. The bytes count against the credit until
     * rpc_call_took(). `bytes` dies on return. NULL: there is none to be had. */
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
 * nothing is called back: BUSY (too many calls), NOMEM. When the peer can't be reached `done` says
 * UNREACHABLE; when the connection broke after the request was sent, UNKNOWN. */
MUST_USE struct err rpc_call_start(struct rpc_client *client, const struct proto_method *method,
                                   const void *request, const struct rpc_call_options *options,
                                   const struct rpc_call_user *user, void *holder,
                                   struct rpc_call **ret);

/* Gives `count` bytes of data credit back, from inside data() or later. */
void rpc_call_took(struct rpc_call *call, size_t count);

/* Gives the call up: the peer is told, done() comes with CANCELLED on a later turn. */
void rpc_call_cancel(struct rpc_call *call);

/* ---- the serving side */

struct rpc_server;
struct rpc_serving; /* one call that came in */

struct rpc_service_row {
    uint16_t number;     /* of proto_method */
    uint32_t roles;      /* who may call it */
    /* The request is whole (its body too). Leads to exactly one rpc_finish(), now or later. */
    void (*serve)(void *holder, struct rpc_serving *serving);
};

struct rpc_server_options {
    const char *address;          /* "unix:/path" (mode 0600) or "ip:port" */
    enum rpc_role role;
    struct tls_context *tls;
    const struct proto_method *methods;
    unsigned methods_count;
    const struct rpc_service_row *rows; /* rows_count; a method without one is UNSUPPORTED */
    unsigned rows_count;
    void *holder;
    struct body_budget *budget;   /* for request bodies */
};

MUST_USE struct err rpc_server_open(struct loop *loop, const struct rpc_server_options *options,
                                    struct rpc_server **ret);
/* Takes no new connections and calls; calls under way go on. */
void rpc_server_drain(struct rpc_server *server);
/* Breaks all connections; servings still open hear `cancelled` and finish as ever. */
void rpc_server_close(struct rpc_server *server);

/* The request as a struct of the method's request type; with all it points to until rpc_finish. */
const void *rpc_serving_request(struct rpc_serving *serving);
/* Its body, or NULL. Take a reference to keep it. */
struct body *rpc_serving_body(struct rpc_serving *serving);
const struct proto_method *rpc_serving_method(struct rpc_serving *serving);
/* Until rpc_finish(); for what the handler has to make. */
struct arena *rpc_serving_arena(struct rpc_serving *serving);
/* clock_boot_ms() by which the caller gives up; 0: never. */
uint64_t rpc_serving_deadline(struct rpc_serving *serving);
const uint8_t *rpc_serving_trace_id(struct rpc_serving *serving);
/* The caller's role bit, and whether it is gone or has cancelled. */
enum rpc_role rpc_serving_role(struct rpc_serving *serving);
bool rpc_serving_cancelled(struct rpc_serving *serving);

/* Has `run(holder)` called once when the call is cancelled, its connection breaks, or it times out.
 * Pass NULL to take it back. Not called after rpc_finish. */
void rpc_serving_on_cancel(struct rpc_serving *serving, void (*run)(void *holder), void *holder);

/* Sends raw data. True: there is room for more; false: it was taken all the same, but wait for
 * `ready` (rpc_serving_on_ready) before sending more: at most RPC_CREDIT_BYTES + one put may wait. */
bool rpc_put_data(struct rpc_serving *serving, struct span bytes);
void rpc_serving_on_ready(struct rpc_serving *serving, void (*run)(void *holder), void *holder);

/* Sends a reply (a struct of the method's reply type): once, or any number of times on a stream. */
void rpc_put_reply(struct rpc_serving *serving, const void *reply);

/* Ends the call; `serving` is gone with the return. `info` is sent with an error. */
void rpc_finish(struct rpc_serving *serving, struct err err, struct span info);

#ifdef __cplusplus
}
#endif
#endif
