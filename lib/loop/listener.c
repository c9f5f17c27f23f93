#include "listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "endpoint_private.h"
#include "listener_private.h"
#include "loop_private.h"

enum { LISTENER_MODE = 0600 };

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    struct timer rest;
    void (*ready)(void *holder, struct listener *);
    void *holder;
    int fd;
    bool paused, polling, closing;
    int waiting_fd; /* the connection that ready() is about; -1: there is none */
    union endpoint_socket waiting_peer;
    char path[ENDPOINT_PATH_MAX_BYTES + 1]; /* of a unix socket, else empty */
};

static void listener_on_poll(uv_poll_t *poll, int status, int events);

static void listener_poll(struct listener *listener)
{
    bool want = !listener->paused && !listener->closing && !timer_is_armed(&listener->rest);
    if (want == listener->polling) return;
    listener->polling = want;
    if (want) {
        uv_poll_start(&listener->poll, UV_READABLE, listener_on_poll);
    } else {
        uv_poll_stop(&listener->poll);
    }
}

static void listener_on_rested(void *holder) { listener_poll(holder); }

/* One connection; false when there is no other for now. */
static bool listener_accept(struct listener *listener)
{
    socklen_t len = sizeof(listener->waiting_peer);
    memset(&listener->waiting_peer, 0, sizeof(listener->waiting_peer));
    int fd = accept4(listener->fd, &listener->waiting_peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* These stay until something is closed, and the socket stays readable: look away. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            timer_start(listener->loop, &listener->rest, LISTENER_REST_MS, listener_on_rested,
                        listener);
            listener_poll(listener);
            return false;
        }
        /* What went wrong with one connection on its way (accept(2)) says nothing of the next. */
        return errno != EAGAIN && errno != EWOULDBLOCK && errno != EBADF && errno != EINVAL;
    }
    listener->waiting_fd = fd;
    listener->ready(listener->holder, listener);
    if (listener->waiting_fd >= 0) {
        close(listener->waiting_fd);
        listener->waiting_fd = -1;
    }
    return true;
}

static void listener_on_poll(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)status;
    (void)events;
    for (unsigned i = 0; i < LISTENER_BATCH_MAX && listener->polling; i++) {
        if (!listener_accept(listener)) return;
    }
}

int listener_take(struct listener *listener, struct endpoint *peer, struct loop **loop)
{
    int fd = listener->waiting_fd;
    CHECK(fd >= 0);
    listener->waiting_fd = -1;
    *peer = endpoint_of_socket(&listener->waiting_peer);
    *loop = listener->loop;
    return fd;
}

static struct err listener_errno(const char *what)
{
    if (errno == EADDRINUSE) return err_make_detail(ERR_EXISTS, errno, what);
    if (errno == EACCES || errno == EPERM) return err_make_detail(ERR_DENIED, errno, what);
    return err_make_detail(ERR_IO, errno, what);
}

/* True when the file at the path is a socket that nobody listens on. */
static bool listener_is_stale(const union endpoint_socket *at, socklen_t len)
{
    struct stat stat;
    if (lstat(at->path.sun_path, &stat) != 0 || !S_ISSOCK(stat.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool stale = connect(fd, &at->any, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

/* A unix socket can be connected to from listen() on, so its mode is set between. */
static struct err listener_bind_path(struct listener *listener, const union endpoint_socket *at,
                                     socklen_t len, uint32_t mode)
{
    int bound = bind(listener->fd, &at->any, len);
    if (bound != 0 && errno == EADDRINUSE && listener_is_stale(at, len)) {
        unlink(at->path.sun_path);
        bound = bind(listener->fd, &at->any, len);
    }
    if (bound != 0) return listener_errno("bind");
    memcpy(listener->path, at->path.sun_path, sizeof(listener->path));
    if (chmod(listener->path, mode == 0 ? LISTENER_MODE : mode) != 0) {
        return listener_errno("chmod");
    }
    return err_ok();
}

static struct err listener_bind(struct listener *listener, const struct listener_options *options)
{
    union endpoint_socket at;
    socklen_t len = 0;
    TRY(endpoint_to_socket(options->address, &at, &len));
    int family = at.any.sa_family, on = 1;
    listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) return err_make_detail(ERR_IO, errno, "socket");
    if (family == AF_UNIX) {
        TRY(listener_bind_path(listener, &at, len, options->mode));
    } else {
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        /* Accepted sockets take it over, which saves a call for each. */
        setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (family == AF_INET6) {
            setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        }
        if (options->share_port &&
            setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
            return err_make_detail(ERR_IO, errno, "share a port");
        }
        if (bind(listener->fd, &at.any, len) != 0) return listener_errno("bind");
    }
    if (listen(listener->fd, LISTENER_BACKLOG) != 0) return listener_errno("listen");
    return err_ok();
}

static void listener_release(struct listener *listener)
{
    if (listener->fd >= 0) close(listener->fd);
    listener->fd = -1;
    if (listener->path[0] != '\0') unlink(listener->path);
    listener->path[0] = '\0';
}

static void listener_on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    loop_release(listener->loop);
    free(listener);
}

struct err listener_open(struct loop *loop, const struct listener_options *options,
                         struct listener **ret)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) return err_make(ERR_NOMEM, "listener");
    listener->loop = loop;
    listener->ready = options->ready;
    listener->holder = options->holder;
    listener->fd = listener->waiting_fd = -1;
    struct err err = listener_bind(listener, options);
    if (err.code == ERR_OK) {
        int uv = uv_poll_init(&loop->uv, &listener->poll, listener->fd);
        if (uv != 0) err = err_make_detail(ERR_IO, uv, "listener");
    }
    if (err.code != ERR_OK) {
        listener_release(listener);
        free(listener);
        return err;
    }
    listener->poll.data = listener;
    loop_hold(loop);
    listener_poll(listener);
    *ret = listener;
    return err_ok();
}

struct endpoint listener_endpoint(const struct listener *listener)
{
    union endpoint_socket at;
    socklen_t len = sizeof(at);
    memset(&at, 0, sizeof(at));
    CHECK(getsockname(listener->fd, &at.any, &len) == 0);
    return endpoint_of_socket(&at);
}

uint16_t listener_port(const struct listener *listener) { return listener_endpoint(listener).port; }

void listener_pause(struct listener *listener, bool paused)
{
    listener->paused = paused;
    listener_poll(listener);
}

void listener_take_waiting(struct listener *listener)
{
    for (unsigned i = 0; i < LISTENER_BACKLOG && listener_accept(listener); i++) continue;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL || listener->closing) return;
    listener->closing = true;
    timer_stop(&listener->rest);
    listener_poll(listener);
    uv_close((uv_handle_t *)&listener->poll, listener_on_closed);
    listener_release(listener);
}
