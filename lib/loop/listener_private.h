/* listener_private.h: how a connection is taken from its listener. */
#ifndef MAIL_LISTENER_PRIVATE_H
#define MAIL_LISTENER_PRIVATE_H

#include "listener.h"

/* The descriptor that waits, once; the taker closes it. `*peer` is who is at its other end. */
int listener_take(struct listener *listener, struct endpoint *peer, struct loop **loop);

#endif
