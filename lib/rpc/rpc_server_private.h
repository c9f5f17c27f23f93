/* rpc_server_private.h: shared by rpc_server.c (links) and rpc_serving.c (calls). */
#ifndef MAIL_RPC_SERVER_PRIVATE_H
#define MAIL_RPC_SERVER_PRIVATE_H

#include "arena.h"
#include "rpc_private.h"

/* As many as err.h has codes, whose numbers have no gap. */
enum {
    RPC_CODES = 0
#define X(code, number, class_, text) +1
    ERR_TABLE(X)
#undef X
};

/* Where a serving is. */
enum rpc_serving_state {
    RPC_SERVING_COMING, /* message or body are not whole */
    RPC_SERVING_OPEN,   /* the handler has it */
    RPC_SERVING_OVER,   /* rpc_finish() was called; what it said is still being sent */
};

struct rpc_serving {
    struct rpc_lane lane; /* first */
    struct rpc_server *server;
    struct list link; /* in server->servings or server->pool */
    const struct proto_method *method;
    const struct rpc_service_row *row;
    struct arena arena;
    void *request;
    struct body *body;
    struct rpc_message message;
    uint64_t body_left_bytes;
    uint64_t deadline_ms;
    struct timer deadline;
    uint8_t trace_id[RPC_TRACE_BYTES];
    void (*on_cancel)(void *holder);
    void *cancel_holder;
    void (*on_ready)(void *holder);
    void *ready_holder;
    struct later giving_up;
    enum rpc_role role;
    uint8_t state;
    bool cancelled, was_full;
    bool failed; /* what was put could not be kept: cancelled on the next turn */
};

/* A method and its row, by number, and how its calls have ended. */
struct rpc_entry {
    const struct proto_method *method;
    const struct rpc_service_row *row;
    void *holder;
    uint64_t ended[RPC_CODES];
};

struct rpc_server {
    struct loop *loop;
    struct listener *listeners[RPC_LISTENERS_MAX];
    unsigned listeners_count;
    struct rpc_server_options options;
    struct rpc_entry *entries; /* entries_count */
    uint32_t entries_count;
    struct list strangers; /* links that have not said hello, the oldest first */
    struct list links, servings, pool;
    unsigned strangers_count, links_count, servings_count, pool_count;
    unsigned open_count; /* servings that a handler has */
    uint64_t refused[RPC_CODES]; /* calls that no handler saw */
    uint16_t version_low, version_high;
    bool draining, closing;
};

/* The one end of a server: when it is closed and nothing of it is left. */
void rpc_server_end(struct rpc_server *server);
/* Closes a link that is being left when no call is open on it. */
void rpc_server_link_check(struct rpc_link *link);
void rpc_serving_free(struct rpc_serving *serving);
/* The caller does not want it any more. */
void rpc_serving_cancel(struct rpc_serving *serving, enum err_code code);
void rpc_serving_on_sent(struct rpc_lane *lane);
void rpc_serving_on_frame(struct rpc_link *link, struct rpc_lane *lane,
                          const struct rpc_frame *frame);

#endif
