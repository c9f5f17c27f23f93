/* imap_session.h: one IMAP4rev1 conversation as a machine without I/O (RFC 3501).
 *
 * Bytes of the client go in by feed(); reply bytes are appended to the `out` of the call; at most
 * one wish at a time comes out. The shell does what is wished and answers with done(). While a
 * call is under way the shell hands on its raw data with data() and its reply with reply().
 *
 * The loop of a shell, after every call below that takes `out`:
 *   1. send what is in `out`;
 *   2. imap_session_wish(): start what is wished; a WATCH_STOP is done at once;
 *   3. imap_session_is_stopped(): the session has more to say than had room: once the socket has
 *      taken the bytes, call resume() with an empty buffer;
 *   4. else imap_session_reads(): feed() what the client sent, from the first byte not used on.
 * `out` has room for IMAP_OUT_ROOM bytes or more; less room makes the session stop. The session
 * keeps no pointer to `out` or into the bytes it is shown. */
#ifndef MAIL_IMAP_SESSION_H
#define MAIL_IMAP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct body_budget;
struct imap_session;
struct store_watch_reply;

enum {
    IMAP_OUT_ROOM = 16 * 1024,
    IMAP_COMMAND_MAX_BYTES = 1024 * 1024,    /* whatever line_bytes_max says */
    IMAP_COMMAND_EARLY_MAX_BYTES = 8 * 1024, /* before log-in */
    IMAP_BAD_MAX = 20,                       /* commands that were BAD; then BYE */
};

/* RFC 3501 section 3; a mailbox that is open read-only is a state of its own. */
enum imap_state {
    IMAP_NOT_AUTHENTICATED = 1 << 0,
    IMAP_AUTHENTICATED = 1 << 1,
    IMAP_EXAMINED = 1 << 2,
    IMAP_SELECTED = 1 << 3,
    IMAP_LOGOUT = 1 << 4,
};

enum imap_wish_kind {
    IMAP_WISH_NOTHING,
    IMAP_WISH_START_TLS,   /* after `out` is sent; throw away what else came in; done() when up */
    IMAP_WISH_LOGIN,       /* imap_session_identity() before done() with OK; DENIED: wrong */
    IMAP_WISH_CALL,        /* a call of store.proto: data(), reply(), done() */
    IMAP_WISH_APPEND,      /* scan, then Append with `body` packed: reply(), done() */
    IMAP_WISH_PREPARE,     /* scan `body` and keep what is made of it for APPEND_MANY; done() */
    IMAP_WISH_APPEND_MANY, /* AppendMany with all that was prepared: reply(), done() */
    IMAP_WISH_COMPRESS,    /* after `out` is sent: DEFLATE both ways (RFC 4978); done() at once */
    IMAP_WISH_WATCH_START, /* Watch with `request`; done() as soon as it is started */
    IMAP_WISH_WATCH_STOP,  /* cancel it; done() at once */
    IMAP_WISH_CLOSE,       /* send `out`, then hang up; no answer */
};

/* Everything pointed to lives until the answer. */
struct imap_wish {
    enum imap_wish_kind kind;
    unsigned method;      /* enum store_method; 0 when it is no call */
    const void *request;  /* a struct of the method's request type; APPEND: store_append_request
                             without facts, size and scan_stamp, and so the messages of APPEND_MANY;
                             WATCH_START: store_watch_request */
    struct body *body;    /* APPEND, PREPARE: sealed; the shell takes a reference to keep it */
    size_t index;         /* PREPARE: of the message; with 0 what was prepared before is dropped */
    struct span user, password; /* LOGIN */
};

struct imap_identity {
    uint32_t tenant;
    uint64_t account;
};

/* A stored body made readable: in one piece, or as a body. */
struct imap_opened {
    struct span bytes; /* valid until body_close; may point into `stored` */
    struct body *body; /* not NULL: this instead of bytes */
    void *memory;      /* body_open's own, for body_close */
};

/* Lives as long as any session made from it; a session goes by the limits of its start. */
struct imap_options {
    void *holder; /* of the calls */
    void (*operation_id)(void *holder, uint64_t wall_ms, uint8_t id[16]);
    struct err (*body_open)(void *holder, struct span stored, struct imap_opened *ret);
    void (*body_close)(void *holder, struct imap_opened *opened);
    struct body_budget *budget; /* for APPEND */
    uint64_t message_bytes_max; /* of APPEND */
    uint32_t line_bytes_max;    /* a command with its literals, without a message */
    uint32_t login_failures_max; /* then BYE */
    struct span name, version;  /* for the greeting and ID; printable ASCII */
    bool starttls;              /* is offered */
    bool login_without_tls;     /* is allowed */
};

/* `tls`: the connection is encrypted from the start. Writes the greeting. */
MUST_USE struct err imap_session_new(const struct imap_options *options, bool tls, struct buf *out,
                                     struct imap_session **ret);
void imap_session_free(struct imap_session *session);

/* Works through `in` until it has a wish, no room, or needs more bytes. Returns how many bytes are
 * done with; the rest is shown again. `wall_ms`: milliseconds since 1970. */
size_t imap_session_feed(struct imap_session *session, struct span in, uint64_t wall_ms,
                         struct buf *out);
/* Whether feed() would take anything now. False: leave the client's bytes in the socket. */
bool imap_session_reads(const struct imap_session *session);

/* Takes the wish out of the session: true, with `*ret` set, when there is one. */
bool imap_session_wish(struct imap_session *session, struct imap_wish *ret);

/* Raw data of the call under way; bytes not used are shown again after resume(). Everything is
 * used before reply() and done(). */
size_t imap_session_data(struct imap_session *session, struct span in, struct buf *out);
/* The call's reply, a struct of the method's reply type; nothing in it is kept. */
void imap_session_reply(struct imap_session *session, const void *reply);
/* Ends the wish under way. */
void imap_session_done(struct imap_session *session, struct err err, struct buf *out);
/* Whose mail it is, before done() of LOGIN. */
void imap_session_identity(struct imap_session *session, const struct imap_identity *identity);
/* News of the watch, at any time between WATCH_START and WATCH_STOP. */
void imap_session_watch(struct imap_session *session, const struct store_watch_reply *reply,
                        struct buf *out);

bool imap_session_is_stopped(const struct imap_session *session);
void imap_session_resume(struct imap_session *session, struct buf *out);

/* Says "* BYE text" and wishes CLOSE: idle too long, server going down. While a line of a FETCH is
 * half sent it says nothing, and only wishes CLOSE. */
void imap_session_bye(struct imap_session *session, struct span text, struct buf *out);

/* No command under way and none begun: between commands or in IDLE. */
bool imap_session_is_idle(const struct imap_session *session);

#ifdef __cplusplus
}
#endif
#endif
