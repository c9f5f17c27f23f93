/* pop3_session.h: one POP3 conversation as a machine without I/O (RFC 1939; CAPA and response codes
 * of RFC 2449 and 3206, STLS of 2595, AUTH of 5034).
 *
 * Bytes of the client go in by feed(); reply bytes are appended to the `out` of the call; at most
 * one wish at a time comes out. The shell does what is wished and answers with done(). While a call
 * is under way the shell hands on its raw data with data() and its reply with reply().
 *
 * The loop of a shell, after every call below that takes `out`:
 *   1. send what is in `out`;
 *   2. pop3_session_is_stopped(): the session has more to say than had room: once the socket has
 *      taken the bytes, call resume() with an empty buffer;
 *   3. else pop3_session_wish(): start what is wished;
 *   4. else pop3_session_reads(): feed() what the client sent, from the first byte not used on.
 * `out` has room for POP3_OUT_ROOM bytes or more; less room makes the session stop. The session
 * keeps no pointer to `out` or into the bytes it is shown.
 *
 * The mailbox is INBOX. Which messages it has is settled at log-in: what comes later is not seen,
 * and what another session expunges keeps its number and can't be read any more. */
#ifndef MAIL_POP3_SESSION_H
#define MAIL_POP3_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct login_sasl;
struct pop3_session;

enum {
    POP3_OUT_ROOM = 4 * 1024,
    POP3_LINE_MAX_BYTES = 2048,      /* of a command with CRLF; RFC 2449 section 4 has 255 */
    POP3_SASL_LINE_MAX_BYTES = 12288, /* of AUTH and its responses */
    POP3_BAD_MAX = 20,               /* commands that were no good; the last is told so */
    /* Of a mailbox; more can't be opened. At most half as many ranges are deleted at QUIT, which is
     * what the store takes in one call. */
    POP3_MESSAGES_MAX = 400000,
};

/* RFC 1939 section 3; UPDATE is what QUIT does, and reads nothing. */
enum pop3_state {
    POP3_IN_AUTHORIZATION = 1 << 0,
    POP3_IN_USER = 1 << 1, /* the same, with a name from USER */
    POP3_IN_TRANSACTION = 1 << 2,
    POP3_IN_END = 1 << 3,
};

enum pop3_wish_kind {
    POP3_WISH_NOTHING,
    POP3_WISH_START_TLS, /* after `out` is sent; throw away what else came in; done() when up */
    POP3_WISH_LOGIN,     /* pop3_session_identity() before done() with OK; DENIED: wrong */
    POP3_WISH_CALL,      /* a call of store.proto: data(), reply(), done() */
    POP3_WISH_LOCK,      /* lock `mailbox` for this session; done(): CONFLICT: another has it */
    POP3_WISH_UNLOCK,    /* give it back; done() in any case */
    POP3_WISH_CLOSE,     /* send `out`, then hang up; no answer. A lock is given back */
};

/* Everything pointed to lives until the answer. */
struct pop3_wish {
    enum pop3_wish_kind kind;
    unsigned method;      /* CALL: enum store_method */
    const void *request;  /* CALL: a struct of the method's request type */
    uint32_t mailbox;     /* LOCK, UNLOCK */
    struct span user, password; /* LOGIN */
};

struct pop3_identity {
    uint32_t tenant;
    uint64_t account;
};

/* Lives as long as any session made from it. */
struct pop3_options {
    void *holder; /* of the calls */
    void (*operation_id)(void *holder, uint64_t wall_ms, uint8_t id[16]);
    /* A stored body read piece by piece, as in stored_body_reader.h. */
    struct err (*unpack_new)(void *holder, uint64_t stored_bytes, void **ret);
    struct err (*unpack)(void *holder, void *unpack, struct span *in, struct buf *out);
    bool (*unpack_is_done)(void *holder, const void *unpack);
    void (*unpack_free)(void *holder, void *unpack);
    struct login_sasl *sasl;
    struct span name;           /* for the greeting and IMPLEMENTATION; printable ASCII */
    bool stls;                  /* is offered */
    bool login_without_tls;     /* is allowed */
};

/* `tls`: the connection is encrypted from the start. `failures_max`: wrong log-ins, then the
 * session closes. Writes the greeting. */
MUST_USE struct err pop3_session_new(const struct pop3_options *options, bool tls,
                                     uint32_t failures_max, struct buf *out,
                                     struct pop3_session **ret);
void pop3_session_free(struct pop3_session *session);

/* Works through `in` until it has a wish, no room, or needs more bytes. Returns how many bytes are
 * done with; the rest is shown again. `wall_ms`: milliseconds since 1970. */
size_t pop3_session_feed(struct pop3_session *session, struct span in, uint64_t wall_ms,
                         struct buf *out);
/* Whether feed() would take anything now. False: leave the client's bytes in the socket. */
bool pop3_session_reads(const struct pop3_session *session);

/* Takes the wish out of the session: true, with `*ret` set, when there is one. */
bool pop3_session_wish(struct pop3_session *session, struct pop3_wish *ret);

/* Raw data of the call under way; bytes not used are shown again after resume(). */
size_t pop3_session_data(struct pop3_session *session, struct span in, struct buf *out);
/* The call may be cancelled, and its data thrown away: TOP has what it needs. done() still comes.
 */
bool pop3_session_has_enough(const struct pop3_session *session);
/* The call's reply, a struct of the method's reply type; nothing in it is kept. */
void pop3_session_reply(struct pop3_session *session, const void *reply);
/* Ends the wish under way: when all data is used and the session is not stopped. */
void pop3_session_done(struct pop3_session *session, struct err err, struct buf *out);
/* Whose mail it is, before done() of LOGIN. */
void pop3_session_identity(struct pop3_session *session, const struct pop3_identity *identity);

bool pop3_session_is_stopped(const struct pop3_session *session);
void pop3_session_resume(struct pop3_session *session, struct buf *out);

/* The server is going down, or can't serve yet: says so where a command could stand, and wishes
 * CLOSE. Nothing that is marked is deleted. */
enum pop3_end { POP3_END_SHUTDOWN, POP3_END_NOT_READY };
void pop3_session_end(struct pop3_session *session, enum pop3_end why, struct buf *out);
/* No command is under way. */
bool pop3_session_is_idle(const struct pop3_session *session);

#ifdef __cplusplus
}
#endif
#endif
