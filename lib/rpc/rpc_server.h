/* rpc_server.h: the serving side. Include rpc.h. */
#ifndef MAIL_RPC_SERVER_H
#define MAIL_RPC_SERVER_H

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
struct body_budget;
struct loop;
struct metrics_text;
struct proto_method;
struct rpc_self;

struct rpc_server;
struct rpc_serving; /* one call that came in */

struct rpc_service_row {
    uint16_t number;     /* of proto_method */
    uint32_t roles;      /* who may call it: RPC_CALLERS_... of rpc_callers.h */
    /* The request is whole (its body too). Leads to exactly one rpc_finish(), now or later. */
    void (*serve)(void *holder, struct rpc_serving *serving);
};

/* The tables (methods, rows), the budget and `self` outlive the server. */
struct rpc_server_options {
    const char *const *addresses; /* addresses_count: "unix:/path" (mode 0600) or "ip:port" */
    unsigned addresses_count;     /* RPC_LISTENERS_MAX at most */
    struct rpc_self *self;        /* with certificates for TCP */
    const struct proto_method *methods;
    unsigned methods_count;
    const struct rpc_service_row *rows; /* rows_count; a method without one is UNSUPPORTED */
    unsigned rows_count;
    void *holder;
    struct body_budget *budget;   /* for request bodies */
    /* After rpc_server_close(), when the last serving has ended: nothing of it is left. Or NULL. */
    void (*closed)(void *holder);
    uint64_t ping_ms;             /* 0: RPC_PING_MS */
    uint64_t hello_ms;            /* for a client to say hello, TLS and all; 0: RPC_HELLO_MS */
    uint8_t versions[2];          /* lowest and highest spoken; {0,0}: RPC_VERSION only */
    bool share_port;              /* SO_REUSEPORT: a server on each loop */
};

/* ERR_DENIED: TCP without certificates; ERR_TOO_BIG: too many addresses; and as listener_open. */
MUST_USE struct err rpc_server_open(struct loop *loop, const struct rpc_server_options *options,
                                    struct rpc_server **ret);
/* Appends how many calls of each method ended how, and how many are open: names are "rpc_...". */
void rpc_server_metrics(const struct rpc_server *server, const struct metrics_text *text);
/* Methods of another .proto beside those that it was opened with; no number stands in both. The
 * tables outlive the server. ERR_NOMEM. */
struct rpc_service {
    const struct proto_method *methods;
    unsigned methods_count;
    const struct rpc_service_row *rows;
    unsigned rows_count;
    void *holder; /* of the rows */
};
MUST_USE struct err rpc_server_serve(struct rpc_server *server, const struct rpc_service *service);
/* One more address. Errors as above. */
MUST_USE struct err rpc_server_listen(struct rpc_server *server, const char *address);
/* The TCP port it listens on, the first one (for port 0); 0: none. */
uint16_t rpc_server_port(const struct rpc_server *server);
/* Takes no new connections and calls; calls under way go on, and each connection is closed after
 * its last one. */
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
 * `ready` (rpc_serving_on_ready) before sending more, so that at most RPC_CREDIT_BYTES + one put
 * wait. */
bool rpc_put_data(struct rpc_serving *serving, struct span bytes);
void rpc_serving_on_ready(struct rpc_serving *serving, void (*run)(void *holder), void *holder);

/* Sends a reply (a struct of the method's reply type): once, or any number of times on a stream. */
void rpc_put_reply(struct rpc_serving *serving, const void *reply);

/* As rpc_put_data, for a run of a sealed body, by reference. */
bool rpc_put_body(struct rpc_serving *serving, struct body *body, uint64_t offset, uint64_t len);

/* Ends the call; `serving` is gone with the return. `info` is sent with an error. */
void rpc_finish(struct rpc_serving *serving, struct err err, struct span info);

#ifdef __cplusplus
}
#endif
#endif
