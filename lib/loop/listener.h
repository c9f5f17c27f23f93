/* listener.h: an address that is being listened on, TCP or unix. */
#ifndef MAIL_LISTENER_H
#define MAIL_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct listener;
struct loop;

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_BATCH_MAX = 64, /* connections taken before other sockets have their turn */
    LISTENER_REST_MS = 100,  /* of no accepting when the program is out of descriptors */
};

struct listener_options {
    const char *address; /* "ip:port", "[ip6]:port" (port 0: any free one) or "unix:/path" */
    bool share_port;     /* SO_REUSEPORT: each loop has a listener and the kernel spreads them */
    uint32_t mode;       /* of a unix socket, before it can be connected to; 0: 0600 */
    /* For each connection that waits: takes it with conn_accept() before returning, or it is
     * closed. May close or pause the listener. */
    void (*ready)(void *holder, struct listener *listener);
    void *holder;
};

/* A unix socket that nobody listens on any more is replaced; one that is listened on is EXISTS, as
 * is a TCP port. ERR_SYNTAX, ERR_DENIED, ERR_IO, ERR_NOMEM. The options are copied. */
MUST_USE struct err listener_open(struct loop *loop, const struct listener_options *options,
                                  struct listener **ret);

/* Where it listens, with the port that port 0 became. */
struct endpoint listener_endpoint(const struct listener *listener);
uint16_t listener_port(const struct listener *listener);

/* While paused, connections wait in the kernel (as many as the backlog holds). */
void listener_pause(struct listener *listener, bool paused);

/* Takes what waits in the kernel now, as when the loop turns, before the listener is closed: those
 * clients would be cut off without a word. Not within ready(). */
void listener_take_waiting(struct listener *listener);

/* Connections taken from it go on; the file of a unix socket is removed. Takes NULL. */
void listener_close(struct listener *listener);

#ifdef __cplusplus
}
#endif
#endif
