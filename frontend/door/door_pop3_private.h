/* door_pop3_private.h: the shell of POP3, in three files: the conversation, calls to the store, and
 * the lock of the mailbox. */
#ifndef MAIL_DOOR_POP3_PRIVATE_H
#define MAIL_DOOR_POP3_PRIVATE_H

#include "door_private.h"
#include "login_throttle.h"
#include "pop3_session.h"
#include "route.h"
#include "rpc.h"
#include "store_msg.h"

enum {
    POP3_OUT_BYTES = 64 * 1024,
    POP3_CALL_MS = 20 * 1000,
    POP3_UNLOCK_MS = 5 * 1000, /* a client that said QUIT waits for it */
    POP3_WAITING_MAX_BYTES = RPC_CREDIT_BYTES + RPC_FRAME_MAX_BYTES,
    POP3_OWNER_BYTES = 16,
    POP3_USER_BYTES = 64,      /* of a name, for the log */
};

/* A call of the session. */
struct door_pop3_call {
    struct route_call *route; /* NULL: it is done */
    char *waiting;            /* data that the session did not take yet: waiting_len from _at on */
    size_t waiting_at, waiting_len, waiting_size;
    struct err err;
    bool has_enough;          /* the session wants no more of it */
};

struct door_pop3_lock {
    struct store_mailbox_lock_request take, give_back;
    struct route_call *call;  /* take or renewal */
    struct timer renew;
    uint64_t lease_ms;        /* as granted */
    bool is_wished;           /* the session waits for it */
    bool may_be_held;         /* it has been asked for, and not been given back */
    char owner[POP3_OWNER_BYTES]; /* of the connection's locks, random */
};

struct door_pop3_conn {
    struct door_conn door;
    struct pop3_session *session;
    struct login_check *login;
    struct door_pop3_call *call;
    struct door_pop3_lock lock;
    unsigned routes;          /* calls to the store that have not said done() yet */
    struct pop3_identity identity;
    struct timer hold;        /* the reply to a failed log-in is held back */
    struct login_throttle throttle;
    struct err held;          /* that reply */
    uint8_t user_len;
    char user[POP3_USER_BYTES]; /* the head of the name of the last log-in */
    bool logged_in, waits, ending, is_closing;
};

/* Does `what` with an `out` to write to, then everything that may go on. */
#define POP3_WITH_OUT(pop3, what)                                \
    do {                                                         \
        char out_bytes_[POP3_OUT_BYTES];                         \
        struct buf out;                                          \
        buf_init(&out, out_bytes_, sizeof(out_bytes_));          \
        what;                                                    \
        door_pop3_turn(pop3, &out);                                   \
    } while (0)

void door_pop3_turn(struct door_pop3_conn *pop3, struct buf *out);
/* The wish under way is answered. */
void door_pop3_answer(struct door_pop3_conn *pop3, struct err err, struct buf *out);

/* Sends what is in `out`; then lets the session say what it has, as long as the client takes it. */
void door_pop3_say(struct door_pop3_conn *pop3, struct buf *out);

/* ---- door_pop3_call.c. Its end comes by door_pop3_turn(). */
MUST_USE struct err door_pop3_call_begin(struct door_pop3_conn *pop3, const struct pop3_wish *wish);
/* Goes on with the call as far as its data and the client let it; answers it when all is done. */
void door_pop3_advance(struct door_pop3_conn *pop3, struct buf *out);
void door_pop3_call_free(struct door_pop3_conn *pop3);

/* ---- door_pop3_lock.c */
MUST_USE struct err door_pop3_lock_take(struct door_pop3_conn *pop3, uint32_t mailbox);
/* `is_wished`: the session waits for it. False: it does not need to wait. */
bool door_pop3_lock_give_back(struct door_pop3_conn *pop3, bool is_wished);

/* Frees the shell once the connection is gone and nothing is under way any more. */
void door_pop3_end_if_over(struct door_pop3_conn *pop3);

#endif
