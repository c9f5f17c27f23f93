#include "conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "conn_private.h"
#include "endpoint_private.h"
#include "listener_private.h"

static_assert(sizeof(struct conn) <= 512, "thousands of idle connections are cheap");
static_assert((int)CONN_IN_BYTES < (int)LOOP_SCRATCH_BYTES, "there is room for more to come");
static_assert(CONN_OUT_LOW_BYTES < CONN_OUT_HIGH_BYTES, "drained() comes before reading stops");
static_assert(CONN_OUT_HIGH_BYTES < CONN_OUT_MAX_BYTES, "reading stops before sending does");

static void conn_on_poll(uv_poll_t *poll, int status, int events);

struct err conn_errno(int number, const char *what)
{
    switch (number) {
    case ECONNRESET:
    case EPIPE: return err_make_detail(ERR_CANCELLED, number, what);
    case ENOMEM:
    case ENOBUFS: return err_make_detail(ERR_NOMEM, number, what);
    case ETIMEDOUT: return err_make_detail(ERR_TIMEOUT, number, what);
    case ECONNREFUSED:
    case ENOENT:
    case EAGAIN: /* a unix socket whose backlog is full */
    case EHOSTUNREACH:
    case ENETUNREACH: return err_make_detail(ERR_UNREACHABLE, number, what);
    default: return err_make_detail(ERR_IO, number, what);
    }
}

static bool conn_in_handshake(const struct conn *conn)
{
    return conn->tls != NULL && !conn_tls_is_open(conn);
}

/* Whether bytes() may be called, or the end told. */
static bool conn_may_read(const struct conn *conn)
{
    if (conn->state != CONN_OPEN || conn->paused || conn_in_handshake(conn)) return false;
    return conn->reads_always || conn->out_bytes < CONN_OUT_HIGH_BYTES;
}

static bool conn_wants_read(const struct conn *conn)
{
    if (conn->eof) return false;
    if (conn->state == CONN_LINGERING) return true;
    if (conn->state != CONN_OPEN) return false;
    if (conn_in_handshake(conn)) return conn->plain_bytes == 0;
    return conn_may_read(conn);
}

/* Brings what libuv watches in line with what is wanted. It is not called when a pause begins:
 * most pauses end before anything comes, and then two system calls are saved. */
void conn_poll(struct conn *conn)
{
    int want = 0;
    if (conn->state == CONN_GONE) return;
    if (conn_wants_read(conn)) want |= UV_READABLE;
    if (conn->blocked || conn->state == CONN_CONNECTING) want |= UV_WRITABLE;
    if (want == conn->polled) return;
    conn->polled = (uint8_t)want;
    int uv = want == 0 ? uv_poll_stop(&conn->poll)
                       : uv_poll_start(&conn->poll, want, conn_on_poll);
    CHECK(uv == 0);
}

void conn_post(struct conn *conn)
{
    if (!list_is_empty(&conn->work) || conn->state == CONN_GONE) return;
    if (list_is_empty(&conn->loop->work)) loop_work_wake(conn->loop);
    list_add(&conn->loop->work, &conn->work);
}

static void conn_on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    conn->calls->closed(conn->user, conn->why);
    loop_release(conn->loop);
    free(conn);
}

/* The only way out: everything is given back here, and closed() follows from libuv. */
void conn_end(struct conn *conn, struct err why)
{
    if (conn->state == CONN_GONE) return;
    conn->state = CONN_GONE;
    conn->why = why;
    timer_stop(&conn->timer);
    list_remove(&conn->work);
    conn_out_drop(conn);
    conn_tls_free(conn);
    free(conn->held);
    conn->held = NULL;
    uv_close((uv_handle_t *)&conn->poll, conn_on_closed);
    close(conn->fd);
    conn->fd = -1;
}

static void conn_on_flush_late(void *holder) { conn_end(holder, err_make(ERR_TIMEOUT, "close")); }

static void conn_on_linger_late(void *holder)
{
    struct conn *conn = holder;
    conn_end(conn, conn->why);
}

/* Waits for the peer's end, and drops what it still sends. Closing at once would answer that with a
 * reset, and the peer might lose our last words. */
static void conn_linger(struct conn *conn)
{
    if (conn->eof || shutdown(conn->fd, SHUT_WR) != 0) {
        conn_end(conn, conn->why);
        return;
    }
    conn->state = CONN_LINGERING;
    timer_start(conn->loop, &conn->timer, CONN_LINGER_MS, conn_on_linger_late, conn);
    conn_poll(conn);
}

static void conn_linger_read(struct conn *conn)
{
    ssize_t count = recv(conn->fd, conn->loop->scratch, LOOP_SCRATCH_BYTES, 0);
    if (count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN))) return;
    conn_end(conn, conn->why);
}

/* Shows `len` bytes of the scratch buffer; returns how many are left over at its front. */
static size_t conn_show(struct conn *conn, size_t len)
{
    char *bytes = conn->loop->scratch;
    size_t at = 0;
    for (size_t used = 1; used > 0 && at < len && conn_may_read(conn);) {
        conn->in_bytes = true;
        used = conn->calls->bytes(conn->user, conn, span_of(bytes + at, len - at));
        conn->in_bytes = false;
        CHECK(used <= len - at);
        at += used;
        if (conn->drop_rest) {
            conn->drop_rest = false;
            conn_tls_dropped(conn, len - at);
            at = len;
        }
    }
    if (at > 0) memmove(bytes, bytes + at, len - at);
    return len - at;
}

/* Keeps the first `len` bytes of the scratch buffer until more comes. */
static void conn_hold(struct conn *conn, size_t len)
{
    if (len == 0 || conn->state >= CONN_FLUSHING) return;
    conn->held = malloc(len);
    if (conn->held == NULL) {
        conn_end(conn, err_make(ERR_NOMEM, "input"));
        return;
    }
    memcpy(conn->held, conn->loop->scratch, len);
    conn->held_len = (uint32_t)len;
}

static void conn_tell_eof(struct conn *conn)
{
    if (!conn->eof || conn->eof_told || !conn_may_read(conn)) return;
    conn->eof_told = true;
    if (conn->calls->ended == NULL) {
        conn->why = err_make(ERR_CANCELLED, "the peer ended the connection");
        conn_close(conn);
    } else {
        conn->calls->ended(conn->user, conn);
    }
}

static ssize_t conn_recv(struct conn *conn, char *to, size_t size)
{
    if (conn->tls != NULL) return conn_tls_read(conn, to, size);
    ssize_t count = recv(conn->fd, to, size, 0);
    if (count > 0) return count;
    if (count == 0) return CONN_IO_END;
    if (errno == EAGAIN || errno == EINTR) return CONN_IO_AGAIN;
    conn->why = conn_errno(errno, "read");
    return CONN_IO_FAILED;
}

/* Reads when `fresh`, and shows what there is. */
static void conn_input(struct conn *conn, bool fresh)
{
    struct loop *loop = conn->loop;
    CHECK(!loop->scratch_busy);
    loop->scratch_busy = true;
    size_t len = conn->held_len;
    if (len > 0) memcpy(loop->scratch, conn->held, len);
    free(conn->held);
    conn->held = NULL;
    conn->held_len = 0;
    ssize_t count = CONN_IO_AGAIN;
    if (fresh && !conn->eof && len < LOOP_SCRATCH_BYTES) {
        count = conn_recv(conn, loop->scratch + len, LOOP_SCRATCH_BYTES - len);
    }
    if (count > 0) len += (size_t)count;
    if (count == CONN_IO_END) conn->eof = true;
    if (len > 0 && count != CONN_IO_FAILED) len = conn_show(conn, len);
    if (count == CONN_IO_FAILED) {
        conn_end(conn, conn->why);
    } else if (len > CONN_IN_BYTES && conn_may_read(conn)) {
        conn_end(conn, err_make(ERR_TOO_BIG, "input"));
    } else {
        conn_hold(conn, len);
    }
    loop->scratch_busy = false;
    if (conn->state == CONN_GONE) return;
    conn_tell_eof(conn);
    if (conn->state == CONN_GONE) return;
    if (conn->tls != NULL && conn_tls_has_more(conn) && conn_may_read(conn)) {
        conn->show = true;
        conn_post(conn);
    }
    conn_poll(conn);
}

static void conn_connected(struct conn *conn)
{
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0) number = errno;
    if (number != 0) {
        conn_end(conn, conn_errno(number, "connect"));
        return;
    }
    timer_stop(&conn->timer);
    conn->state = CONN_OPEN;
    if (conn->calls->ready != NULL) conn->calls->ready(conn->user, conn);
    conn_post(conn); /* what was sent while connecting; TLS */
    conn_poll(conn);
}

static void conn_handshake(struct conn *conn)
{
    if (!conn_tls_step(conn)) {
        if (conn->state == CONN_GONE || conn->why.code != ERR_DENIED) {
            conn_end(conn, conn->why);
            return;
        }
        /* The peer is to hear the alert that says what is wrong with its certificate. */
        conn_out_drop(conn);
        conn_linger(conn);
        return;
    }
    if (conn_tls_is_open(conn)) {
        if (conn->calls->ready != NULL) conn->calls->ready(conn->user, conn);
        conn->show = true;
        conn_post(conn);
    }
    conn_poll(conn);
}

/* The kernel says that there is an error; libuv has stopped watching. What the peer said before it
 * may still be there: it is read until reading gives the error. */
static void conn_on_error(struct conn *conn)
{
    conn->polled = 0;
    if (conn_may_read(conn) && !conn->eof) {
        conn_input(conn, true);
        return;
    }
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0 || number == 0) {
        number = ECONNRESET;
    }
    struct err why = conn->state == CONN_LINGERING ? conn->why : conn_errno(number, "connection");
    conn_end(conn, why);
}

static void conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = poll->data;
    if (status < 0) {
        conn_on_error(conn);
        return;
    }
    if (conn->state == CONN_CONNECTING) {
        conn_connected(conn);
        return;
    }
    if (events & UV_WRITABLE) {
        conn->blocked = false;
        conn_post(conn);
    }
    if (!(events & UV_READABLE)) return;
    if (conn->state == CONN_LINGERING) {
        conn_linger_read(conn);
    } else if (conn_in_handshake(conn) && conn->state == CONN_OPEN) {
        if (conn->plain_bytes == 0) {
            conn_handshake(conn);
        } else {
            conn_poll(conn); /* not before the last plain bytes have left */
        }
    } else if (conn_may_read(conn)) {
        conn_input(conn, true);
    } else {
        conn_poll(conn); /* now it does cost the call: bytes came during the pause */
    }
}

/* The end of a turn for this connection. */
void conn_work(struct conn *conn)
{
    if (conn->state == CONN_CONNECTING) return;
    if (conn_in_handshake(conn) && conn->plain_bytes == 0 && conn->state == CONN_OPEN) {
        conn_handshake(conn);
        if (conn->state == CONN_GONE) return;
    }
    if (conn->show && conn_may_read(conn)) {
        conn->show = false;
        /* TLS may hold whole records; the kernel's readiness says nothing of them. */
        conn_input(conn, conn->tls != NULL && conn_tls_has_more(conn));
        if (conn->state == CONN_GONE) return;
    }
    uint64_t before = conn->out_bytes;
    conn_flush(conn);
    if (conn->state == CONN_GONE) return;
    if (conn->state == CONN_FLUSHING && conn->out_bytes == 0) {
        conn_tls_say_goodbye(conn);
        if (conn->tls == NULL || conn_tls_left(conn).len == 0) conn_linger(conn);
        if (conn->state == CONN_GONE || conn->state == CONN_LINGERING) return;
    }
    if (conn->was_high && conn->out_bytes <= CONN_OUT_LOW_BYTES) {
        conn->was_high = false;
        if (conn->calls->drained != NULL && conn->state == CONN_OPEN) {
            conn->calls->drained(conn->user, conn);
        }
        if (conn->state == CONN_GONE) return;
    }
    if (conn->state == CONN_OPEN && (conn->held_len > 0 || conn->eof || conn->tls != NULL) &&
        before >= CONN_OUT_HIGH_BYTES && conn_may_read(conn)) {
        conn->show = true; /* reading had stopped for want of room */
        conn_post(conn);
    }
    if (!conn->blocked && conn->out_bytes > 0 && !conn_in_handshake(conn)) conn_post(conn);
    conn_poll(conn);
}

void conn_work_all(struct loop *loop)
{
    if (list_is_empty(&loop->work)) return;
    struct list now = loop->work;
    now.next->prev = now.prev->next = &now;
    list_init(&loop->work);
    while (!list_is_empty(&now)) {
        struct conn *conn = LIST_ITEM(now.next, struct conn, work);
        list_remove(&conn->work);
        conn_work(conn);
    }
}

/* A connection of `fd`, which is closed on an error too. */
static struct err conn_new(struct loop *loop, int fd, const struct conn_user *calls, void *user,
                           struct conn **ret)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        close(fd);
        return err_make(ERR_NOMEM, "connection");
    }
    int uv = uv_poll_init(&loop->uv, &conn->poll, fd);
    if (uv != 0) {
        free(conn);
        close(fd);
        return err_make_detail(ERR_IO, uv, "connection");
    }
    conn->poll.data = conn;
    conn->loop = loop;
    conn->calls = calls;
    conn->user = user;
    conn->why = err_ok();
    conn->fd = fd;
    conn->state = CONN_OPEN;
    list_init(&conn->work);
    loop_hold(loop);
    *ret = conn;
    return err_ok();
}

struct err conn_accept(struct listener *listener, const struct conn_user *calls, void *user,
                       struct conn **ret)
{
    struct endpoint peer;
    struct loop *loop;
    int fd = listener_take(listener, &peer, &loop);
    struct conn *conn;
    TRY(conn_new(loop, fd, calls, user, &conn));
    conn->peer = peer;
    conn_poll(conn);
    *ret = conn;
    return err_ok();
}

static void conn_on_connect_late(void *holder)
{
    conn_end(holder, err_make(ERR_TIMEOUT, "connect"));
}

static struct err conn_source(int fd, const char *source)
{
    union endpoint_socket from;
    socklen_t len = 0;
    int on = 1;
    if (source == NULL) return err_ok();
    TRY(endpoint_to_socket(source, &from, &len));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, &from.any, len) != 0) return conn_errno(errno, "address to come from");
    return err_ok();
}

struct err conn_connect(struct loop *loop, const struct conn_target *target,
                        const struct conn_user *calls, void *user, struct conn **ret)
{
    union endpoint_socket to;
    socklen_t len = 0;
    int on = 1;
    TRY(endpoint_to_socket(target->address, &to, &len));
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return conn_errno(errno, "socket");
    if (to.any.sa_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct err err = conn_source(fd, target->source);
    if (err.code == ERR_OK && connect(fd, &to.any, len) != 0 && errno != EINPROGRESS) {
        err = conn_errno(errno, "connect");
    }
    if (err.code != ERR_OK) {
        close(fd);
        return err;
    }
    struct conn *conn;
    TRY(conn_new(loop, fd, calls, user, &conn));
    conn->peer = endpoint_of_socket(&to);
    conn->state = CONN_CONNECTING;
    timer_start(loop, &conn->timer, target->connect_ms, conn_on_connect_late, conn);
    conn_poll(conn);
    *ret = conn;
    return err_ok();
}

void conn_pause(struct conn *conn, bool paused)
{
    if (conn->paused == paused) return;
    conn->paused = paused;
    if (paused || conn->state != CONN_OPEN) return;
    conn->show = true;
    conn_poll(conn);
    if (conn->held_len > 0 || conn->eof || conn->tls != NULL) conn_post(conn);
}

void conn_read_always(struct conn *conn)
{
    conn->reads_always = true;
    if (conn->state == CONN_OPEN) conn_poll(conn);
}

void conn_close(struct conn *conn)
{
    if (conn->state >= CONN_FLUSHING) return;
    if (conn->state == CONN_CONNECTING || conn_in_handshake(conn)) {
        conn_end(conn, conn->why);
        return;
    }
    conn->state = CONN_FLUSHING;
    timer_start(conn->loop, &conn->timer, CONN_CLOSE_MS, conn_on_flush_late, conn);
    conn_post(conn);
}

void conn_abort(struct conn *conn, struct err why) { conn_end(conn, why); }

struct endpoint conn_peer(const struct conn *conn) { return conn->peer; }

struct endpoint conn_local(const struct conn *conn)
{
    union endpoint_socket at;
    socklen_t len = sizeof(at);
    memset(&at, 0, sizeof(at));
    if (conn->fd < 0 || getsockname(conn->fd, &at.any, &len) != 0) at.any.sa_family = AF_UNIX;
    return endpoint_of_socket(&at);
}
