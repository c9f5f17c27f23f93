/* conn.h: one connection, TCP or unix, plain or under TLS. libuv and libssl stay behind it.
 *
 * An idle connection holds no buffers: the loop lends its own while a connection is worked on, and
 * only what its user leaves over is kept. What is sent during a turn of the loop leaves at the
 * turn's end in one write (and as few TLS records as there can be). */
#ifndef MAIL_CONN_H
#define MAIL_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct conn;
struct listener;
struct loop;
struct tls_context;

enum {
    CONN_IN_BYTES = 16 * 1024,        /* input that may wait unused; more than that is TOO_BIG */
    CONN_OUT_HIGH_BYTES = 128 * 1024, /* waiting output from which on nothing is read ... */
    CONN_OUT_LOW_BYTES = 32 * 1024,   /* ... until it has fallen to this; then drained() */
    CONN_OUT_MAX_BYTES = 512 * 1024,  /* past this conn_send() copies no more: BUSY */
    CONN_CLOSE_MS = 30000,            /* for what was sent before conn_close() to leave */
    CONN_LINGER_MS = 2000,            /* for the peer to hear our last words while it still sends */
};

/* What stands behind a connection. Calls come on the loop, never inside a conn_ function. */
struct conn_user {
    /* Bytes have come. Returns how many are done with; the rest is shown again: at once if some
     * were, else with more after it. `in` dies when this returns. */
    size_t (*bytes)(void *user, struct conn *conn, struct span in);
    /* Nothing more will come and nothing is under way any more: free what is yours. `why` is OK
     * after conn_close(), CANCELLED when the peer ended or reset it, else what went wrong. */
    void (*closed)(void *user, struct err why);
    /* An outgoing connection stands, or a TLS handshake is done (conn_tls_info). May be NULL. */
    void (*ready)(void *user, struct conn *conn);
    /* Less than CONN_OUT_LOW_BYTES wait, after it was CONN_OUT_HIGH_BYTES or more. May be NULL. */
    void (*drained)(void *user, struct conn *conn);
    /* The peer sends no more but may still read. NULL: as if conn_close() were called here. */
    void (*ended)(void *user, struct conn *conn);
};

/* Takes the connection that waits at `listener`. `calls` outlives it. */
MUST_USE struct err conn_accept(struct listener *listener, const struct conn_user *calls,
                                void *user, struct conn **ret);

struct conn_target {
    const char *address; /* "ip:port", "[ip6]:port" or "unix:/path" */
    const char *source;  /* "ip:0" to come from, or NULL */
    uint64_t connect_ms; /* until then it stands, or closed() says TIMEOUT */
};

/* Begins to connect. ready() or closed() (UNREACHABLE, TIMEOUT) follows. An error here calls
 * nothing: SYNTAX, UNREACHABLE, NOMEM, IO. */
MUST_USE struct err conn_connect(struct loop *loop, const struct conn_target *target,
                                 const struct conn_user *calls, void *user, struct conn **ret);

/* Sends a copy of all of `out` or, on an error, nothing of it. ERR_BUSY: with it more than
 * CONN_OUT_MAX_BYTES of copies would wait; the connection goes on. Any other error: the connection
 * is closing and closed() will come. */
MUST_USE struct err conn_send(struct conn *conn, struct span out);

/* Sends `len` bytes of a sealed body from `offset` on without copying them; takes a reference.
 * Only memory can run out: the sender looks at conn_waiting_bytes() and waits for drained(). */
MUST_USE struct err conn_send_body(struct conn *conn, struct body *body, uint64_t offset,
                                   uint64_t len);

/* Bytes sent that the kernel has not taken yet. */
uint64_t conn_waiting_bytes(const struct conn *conn);

/* While paused, no bytes() call is made, nor is the peer's end noticed. Resuming shows what was
 * left over in this turn or the next, once little enough output waits. */
void conn_pause(struct conn *conn, bool paused);

/* Reads on however much output waits: for a protocol with its own flow control in both directions,
 * where two ends that wait for each other would stand still. */
void conn_read_always(struct conn *conn);

/* Starts to close, after what was sent before it (CONN_CLOSE_MS at most), in a way that the peer
 * hears the last words. Then closed(). */
void conn_close(struct conn *conn);

/* Closes at once; what waits is dropped. Then closed() with `why`. */
void conn_abort(struct conn *conn, struct err why);

/* Begins TLS, once what was sent before has left in plain. The context is referenced. Input that
 * has come in plain and is not used yet is dropped, also what this bytes() call leaves over, and
 * counted in conn_tls_info: bytes after a STARTTLS are an injection (CVE-2011-0411), which the
 * session may punish. ready() follows, or closed(): SYNTAX (no TLS or no agreement) or DENIED
 * (certificate). `server_name`, of a client, is checked against the certificate when the context
 * verifies, be it a name or an IP address; NULL for a server, and for a client that trusts any name
 * its CA signed. ERR_NOMEM; ERR_EXISTS: it is on already. */
MUST_USE struct err conn_start_tls(struct conn *conn, struct tls_context *context,
                                   const char *server_name);

enum { CONN_NAME_BYTES = 256 };

struct conn_tls_info {
    const char *version, *cipher; /* literals of libssl, like "TLSv1.3" */
    unsigned secret_bits;
    bool resumed;
    bool peer_verified;        /* a certificate came and its chain ends at our CA */
    uint64_t dropped_bytes;    /* plain input that waited at conn_start_tls() */
    char name[CONN_NAME_BYTES];          /* asked for by SNI (the server's side); else empty */
    char peer_name[CONN_NAME_BYTES];     /* CN of the peer's certificate; else empty */
    char peer_uri[CONN_NAME_BYTES];      /* first URI in its subjectAltName; else empty */
    char protocol[CONN_NAME_BYTES];      /* agreed by ALPN; else empty */
};

/* False, with `*ret` untouched, unless a handshake is done. Names are cut at their first NUL. */
bool conn_tls_info(const struct conn *conn, struct conn_tls_info *ret);

struct endpoint conn_peer(const struct conn *conn);
struct endpoint conn_local(const struct conn *conn);

#ifdef __cplusplus
}
#endif
#endif
