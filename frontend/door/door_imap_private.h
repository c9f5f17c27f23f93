/* door_imap_private.h: the shell of IMAP, in two files: the conversation, and calls to the store.
 */
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
    IMAP_CALL_MS = 30 * 1000,
    IMAP_REPLY_ARENA_BYTES = 8 * 1024 * 1024,
    IMAP_WAITING_MAX_BYTES = RPC_CREDIT_BYTES + RPC_FRAME_MAX_BYTES,
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
    /* APPEND */
    struct intake *intake;
    struct body *stored;
    struct store_append_request append;
};

struct door_imap_conn {
    struct door_conn door;
    struct imap_session *session;
    struct imap_call *call;
    struct login_check *login;
    struct route_call *watch;    /* that of now; others may be ending */
    unsigned routes;             /* calls to the store that have not said done() yet */
    struct store_watch_request watch_request;
    struct imap_identity identity;
    struct timer hold; /* the reply to a failed log-in is held back */
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
