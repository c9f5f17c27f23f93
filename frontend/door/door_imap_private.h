/* door_imap_private.h: the shell of IMAP: the conversation, calls to the store, what APPEND
 * prepares, and compression. */
#ifndef MAIL_DOOR_IMAP_PRIVATE_H
#define MAIL_DOOR_IMAP_PRIVATE_H

#include "arena.h"
#include "door_private.h"
#include "imap_session.h"
#include "route.h"
#include "rpc.h"
#include "store_msg.h"

enum {
    IMAP_OUT_BYTES = 64 * 1024,
    IMAP_CALL_MS = 20 * 1000,
    IMAP_REPLY_ARENA_BYTES = 8 * 1024 * 1024,
    IMAP_WAITING_MAX_BYTES = RPC_CREDIT_BYTES + RPC_FRAME_MAX_BYTES,
    IMAP_PREPARED_MAX = 1000,             /* = AppendMany of store.proto */
    IMAP_PREPARED_ARENA_BYTES = 16 * 1024 * 1024,
    IMAP_PLAIN_BYTES = 16 * 1024,         /* unpacked at a time */
    IMAP_PLAIN_TURN_BYTES = 512 * 1024,   /* unpacked in one turn of the loop */
    IMAP_PLAIN_REST_MS = 1,
};

/* What exists only while a call is under way. */
struct imap_call {
    struct route_call *route;
    unsigned method;
    struct arena arena;       /* of a reply that has to wait */
    struct span reply;        /* packed */
    char *waiting;            /* data that the session did not take yet */
    size_t waiting_len, waiting_size;
    struct err err;
    bool has_reply, done;
    /* APPEND, APPEND_MANY */
    struct intake *intake;
    struct body *stored;
    struct store_append_request append;
    struct store_append_many_request append_many;
};

/* Messages of one APPEND that are scanned and packed, until all of them are stored. */
struct imap_prepared {
    struct arena arena; /* facts and stamps */
    size_t count;
    uint64_t stored_bytes;
    struct imap_prepared_message {
        struct body *stored;
        struct span facts, scan_stamp;
        uint32_t size;
    } messages[IMAP_PREPARED_MAX];
};

/* COMPRESS is active. */
struct imap_packing {
    struct deflate *deflate;
    size_t plain_at, plain_len; /* unpacked, and not taken by the session yet */
    bool is_full;               /* there may be more of it in `deflate` */
    size_t turn_bytes;          /* unpacked in this turn */
    struct timer rest;          /* armed: no more in this turn */
    char plain[IMAP_PLAIN_BYTES];
};

struct door_imap_conn {
    struct door_conn door;
    struct imap_session *session;
    struct imap_call *call;
    struct imap_prepared *prepared;
    struct imap_packing *packing;
    struct login_check *login;
    struct route_call *watch;    /* that of now; others may be ending */
    unsigned routes;             /* calls to the store that have not said done() yet */
    struct store_watch_request watch_request;
    struct imap_identity identity;
    struct timer hold; /* the reply to a failed log-in is held back */
    struct err held;   /* that reply */
    uint8_t failures, user_len;
    char user[64]; /* the head of the name of the last log-in, for the log */
    bool logged_in, waits, ending;
};

/* Does `what` with an `out` to write to, then everything that may go on. */
#define IMAP_WITH_OUT(imap, what)                                \
    do {                                                         \
        char out_bytes_[IMAP_OUT_BYTES];                         \
        struct buf out;                                          \
        buf_init(&out, out_bytes_, sizeof(out_bytes_));          \
        what;                                                    \
        imap_turn(imap, &out);                                   \
    } while (0)

void imap_turn(struct door_imap_conn *imap, struct buf *out);

/* Sends what is in `out`; then lets the session say what it has, as long as the client takes it. */
void imap_flush(struct door_imap_conn *imap, struct buf *out);
void imap_say(struct door_imap_conn *imap, struct buf *out);

/* door_imap_deflate.c. Compresses what is sent from now on, and takes what comes as compressed. */
MUST_USE struct err imap_packing_begin(struct door_imap_conn *imap);
void imap_packing_free(struct door_imap_conn *imap);
void imap_packing_send(struct door_imap_conn *imap, struct span bytes);
/* While a client is in IDLE nothing is held for packing. */
void imap_packing_idle(struct door_imap_conn *imap);
/* Bytes of the client: unpacks as much as the session takes. Returns how many were used. */
size_t imap_packing_bytes(struct door_imap_conn *imap, struct span in);
/* Shows the session what is unpacked already; false: there is nothing, or it takes nothing. */
bool imap_packing_feed(struct door_imap_conn *imap, struct buf *out);
/* Whether it is not yet time to read on. */
bool imap_packing_rests(const struct door_imap_conn *imap);

/* door_imap_append.c. Starts what APPEND wishes; its end comes by imap_turn(). */
MUST_USE struct err imap_append_start(struct door_imap_conn *imap, const struct imap_wish *wish);
void imap_prepared_free(struct door_imap_conn *imap);

MUST_USE struct err imap_call_new(struct door_imap_conn *imap, unsigned method);
/* Sends the call's request, with `body` beside it. */
MUST_USE struct err imap_call_start(struct door_imap_conn *imap, const void *request,
                                    struct body *body);
/* Starts a call of the session; its end comes by imap_turn(). */
MUST_USE struct err imap_call_begin(struct door_imap_conn *imap, const struct imap_wish *wish);
/* Goes on with a call as far as its data, its reply and the client let it. */
void imap_advance(struct door_imap_conn *imap, struct buf *out);
void imap_call_free(struct door_imap_conn *imap);

/* IDLE: watches `watch_request`. */
MUST_USE struct err imap_watch(struct door_imap_conn *imap);

/* Frees the shell once the connection is gone and nothing is under way any more. */
void imap_end_if_over(struct door_imap_conn *imap);

#endif
