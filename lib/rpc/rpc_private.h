/* rpc_private.h: what client and server share: a link, and a lane for each call on it. */
#ifndef MAIL_RPC_PRIVATE_H
#define MAIL_RPC_PRIVATE_H

#include "conn.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "rpc.h"
#include "rpc_frame.h"
#include "rpc_self.h"
#include "timer.h"

struct arena;
struct crew;
struct rpc_link;

enum {
    RPC_DATA_HIGH_BYTES = RPC_CREDIT_BYTES / 2, /* of data waiting in a lane; then put says false */
    RPC_DATA_LOW_BYTES = RPC_CREDIT_BYTES / 4,  /* then `ready` */
    RPC_ARENA_MAX_BYTES = 32 * 1024 * 1024,     /* of a message unpacked, and of a handler's work */
    RPC_POOL_MAX = 64,                          /* calls kept for reuse */
};

/* The credit of a request's body, which the server's budget bounds. */
#define RPC_DATA_UNLIMITED UINT32_MAX

/* Something to be sent in a lane: frames of one kind. */
struct rpc_out {
    struct rpc_out *next;
    struct rpc_frame frame; /* of its first frame; method, sizes and so on */
    bool begun;
    bool last;              /* its last frame is flagged LAST */
    struct body *body;      /* NULL: the bytes are here */
    uint64_t at, end;
    char bytes[];
};

/* The sending half of a call. First in struct rpc_call and struct rpc_serving. */
struct rpc_lane {
    struct rpc_link *link;    /* NULL: there is none (yet, or any more) */
    struct list turn;         /* in link->ready while it has something that may be sent */
    struct rpc_out *first, *last;
    uint64_t waiting_bytes;   /* in the list; `data_bytes` of it are DATA */
    uint64_t data_bytes;
    uint32_t call;            /* id on the link; 0: none */
    uint32_t credit;          /* DATA bytes that may be sent */
};

/* Who stands behind a link. */
struct rpc_link_user {
    void (*hello)(struct rpc_link *link, const struct rpc_frame *frame);
    void (*goaway)(struct rpc_link *link, const struct rpc_frame *frame);
    /* A frame of a call, or a piece of one. `lane` is NULL when the call is not open here. */
    void (*frame)(struct rpc_link *link, struct rpc_lane *lane, const struct rpc_frame *frame);
    /* A lane has sent something that had to wait. May end the lane. */
    void (*sent)(struct rpc_lane *lane);
    /* The transport stands (and TLS, when there is some). */
    void (*ready)(struct rpc_link *link);
    /* The connection is gone; the owner takes its lanes out and calls rpc_link_free. */
    void (*closed)(struct rpc_link *link, struct err why);
};

struct rpc_link {
    struct conn *conn; /* NULL once it is gone */
    struct loop *loop;
    struct rpc_self *self;
    struct endpoint peer;
    const struct rpc_link_user *calls;
    void *holder;      /* struct rpc_client or rpc_server; NULL once that is gone */
    struct list link;  /* in the owner's list of links */
    struct rpc_decoder decoder;
    struct list ready; /* lanes, in turn */
    struct later pump;
    struct rpc_lane **lanes; /* by the low bits of the call's id; `lanes_size` is a power of two */
    uint32_t lanes_size, lanes_count, next_slot, generation;
    uint64_t messages_bytes; /* held for messages that are not whole yet */
    struct timer timer;      /* until hello; then for PING */
    uint64_t ping_ms;
    unsigned endless;        /* calls open without a deadline */
    bool said_hello, heard, ping_waits, leaving;
    bool told;    /* its refusal was told to the program */
    bool by_peer; /* it is the other end that refuses */
    bool stranger; /* of a server: it has not said hello yet */
    enum rpc_role peer_role;
    uint32_t peer_incarnation;
    struct err why;          /* given to closed() when we end it for a reason of our own */
};

struct rpc_link_options {
    struct rpc_self *self;
    uint64_t ping_ms; /* 0: RPC_PING_MS */
};

/* The link's side of a connection; the owner sets `conn` and `peer` right after. */
extern const struct conn_user rpc_link_conn_user;
struct rpc_link *rpc_link_new(struct loop *loop, const struct rpc_link_user *calls, void *holder,
                              const struct rpc_link_options *options);
void rpc_link_free(struct rpc_link *link);
/* Breaks it; closed() follows with `why`. */
void rpc_link_break(struct rpc_link *link, struct err why);
/* The connection has room again. */
void rpc_link_drained(struct rpc_link *link);
void rpc_link_break_late(void *link);

/* A frame without a lane: HELLO, CREDIT, CANCEL, GOAWAY. */
void rpc_link_say(struct rpc_link *link, const struct rpc_frame *frame);
/* rpc_hello.c. Says who we are; whether we talk to who says this (`by_server`: the hello is a
 * server's), ERR_DENIED: why not. Then the link knows its role and its incarnation. */
void rpc_hello_say(struct rpc_link *link, uint16_t low, uint16_t high);
MUST_USE struct err rpc_hello_check(struct rpc_link *link, const struct rpc_frame *hello,
                                    bool by_server);
/* Our incarnation has changed since. */
bool rpc_link_is_stale(const struct rpc_link *link);
/* Tells the program of a link that is refused. */
void rpc_link_tell(const struct rpc_link *link, struct err err, struct span reason, bool by_peer);

/* rpc_self.c. A reference, or NULL when there is none. */
struct tls_context *rpc_self_tls(struct rpc_self *self, bool client);
bool rpc_self_same_incarnation(const struct rpc_self *self, uint32_t incarnation);
/* The threads that look names up. */
MUST_USE struct err rpc_self_names(struct rpc_self *self, struct crew **ret);
void rpc_self_refused(const struct rpc_self *self, const struct rpc_refusal *refusal);

/* One call more or less that has no deadline. */
void rpc_link_endless(struct rpc_link *link, int change);

/* Gives the lane an id of our choice, or the peer's. BUSY; EXISTS: the peer's is in use. */
MUST_USE struct err rpc_lane_open(struct rpc_link *link, struct rpc_lane *lane, uint32_t call);
/* Takes it out of its link and drops what waits. */
void rpc_lane_close(struct rpc_lane *lane);
void rpc_lane_init(struct rpc_lane *lane, uint32_t credit);
void rpc_lane_drop(struct rpc_lane *lane);
/* Sends in the lane's order: at once when nothing waits, else in turn with the others. For a
 * message or END `bytes` follow the head; ERR_NOMEM. */
MUST_USE struct err rpc_lane_put(struct rpc_lane *lane, const struct rpc_frame *frame,
                                 struct span bytes);
MUST_USE struct err rpc_lane_put_body(struct rpc_lane *lane, const struct rpc_frame *frame,
                                      struct body *body, uint64_t at, uint64_t len);
void rpc_lane_credit(struct rpc_lane *lane, uint32_t credit);
/* What waits may now be sent: after it was put while there was no link. */
void rpc_lane_ready(struct rpc_lane *lane);

/* A message that comes in pieces. */
struct rpc_message {
    char *bytes; /* NULL: none under way */
    uint32_t len, size;
};

/* `*whole` is set when the message is complete: it lies in the frame or in `message`, until
 * rpc_message_free. ERR_SYNTAX: the pieces do not add up; ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err rpc_message_take(struct rpc_link *link, struct rpc_message *message,
                                     const struct rpc_frame *frame, struct span *whole,
                                     bool *is_whole);
void rpc_message_free(struct rpc_link *link, struct rpc_message *message);

#endif
