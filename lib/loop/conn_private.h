/* conn_private.h: a connection, shared by conn.c (life and input), conn_out.c and conn_tls.c. */
#ifndef MAIL_CONN_PRIVATE_H
#define MAIL_CONN_PRIVATE_H

#include "conn.h"
#include "list.h"
#include "loop_private.h"

struct tls;

/* A piece of output: copied bytes (body == NULL), or a run of a body. */
struct conn_chunk {
    struct conn_chunk *next;
    struct body *body;
    uint64_t at, end; /* offsets in `bytes` or in the body of what is still to be sent */
    uint32_t size;    /* of `bytes` */
    char bytes[];
};

enum {
    CONN_CHUNK_BYTES = 4096 - (int)sizeof(struct conn_chunk) - 16, /* a page with malloc's head */
    CONN_WRITES_MAX = 8, /* in one turn, before other connections have theirs */
    CONN_IOV_MAX = 32,
};

enum conn_state {
    CONN_CONNECTING,
    CONN_OPEN,
    CONN_FLUSHING,  /* conn_close() was called; output waits */
    CONN_LINGERING, /* all is sent; the peer's last bytes are read and dropped */
    CONN_GONE,      /* the descriptor is closed; closed() is to come */
};

struct conn {
    uv_poll_t poll;
    struct loop *loop;
    const struct conn_user *calls;
    void *user;
    struct err why;
    struct timer timer; /* to connect, to flush, to linger */
    struct list work;   /* in loop->work: something to do at the end of the turn */
    struct conn_chunk *out_first, *out_last;
    uint64_t out_bytes;   /* all that waits */
    uint64_t plain_bytes; /* of it, what was sent before TLS began */
    size_t copied_bytes;  /* of it, what is copied here */
    char *held;           /* input that was left over; NULL: none */
    uint32_t held_len;
    struct tls *tls; /* NULL: plain */
    int fd;
    struct endpoint peer;
    uint8_t state;  /* enum conn_state */
    uint8_t polled; /* events that libuv watches for us */
    bool paused, reads_always;
    bool show;      /* resumed: look at what is held, and at what TLS holds */
    bool in_bytes;  /* bytes() is running */
    bool drop_rest; /* conn_start_tls() was called in it */
    bool eof, eof_told;
    bool blocked;   /* the kernel takes no more for now */
    bool was_high;
};

enum { CONN_IO_AGAIN = -1, CONN_IO_END = -2, CONN_IO_FAILED = -3 };

/* conn.c */
void conn_work(struct conn *conn);
void conn_poll(struct conn *conn);
/* Has conn_work() called at the end of this turn. */
void conn_post(struct conn *conn);
void conn_end(struct conn *conn, struct err why);
static inline bool conn_is_live(const struct conn *conn) { return conn->state <= CONN_OPEN; }
struct err conn_errno(int number, const char *what);

/* conn_out.c */
void conn_flush(struct conn *conn);
void conn_out_drop(struct conn *conn);
/* Sends what a call to libssl left in loop->cipher; true when all of it, and what waited before,
 * is gone. */
bool conn_cipher_send(struct conn *conn);

/* conn_tls.c. Bytes read or CONN_IO_*; FAILED has set conn->why. */
ssize_t conn_tls_read(struct conn *conn, char *to, size_t size);
/* Encrypts up to `bytes.len`; how many were taken, or CONN_IO_*. */
ssize_t conn_tls_write(struct conn *conn, struct span bytes);
bool conn_tls_is_open(const struct conn *conn);
/* True when decrypted or undecrypted bytes wait in libssl, of which the kernel knows nothing. */
bool conn_tls_has_more(const struct conn *conn);
/* The next step of the handshake; false when it failed, with conn->why set. */
bool conn_tls_step(struct conn *conn);
void conn_tls_say_goodbye(struct conn *conn);
void conn_tls_free(struct conn *conn);
/* Records that could not be sent at once; kept in order before any that come later. */
struct span conn_tls_left(const struct conn *conn);
void conn_tls_left_sent(struct conn *conn, size_t count);
MUST_USE struct err conn_tls_left_add(struct conn *conn, struct span bytes);
void conn_tls_dropped(struct conn *conn, size_t count);

#endif
