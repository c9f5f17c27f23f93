/* watch.h: hears when a file descriptor of another room's own (a socket to a child) can be read. */
#ifndef MAIL_WATCH_H
#define MAIL_WATCH_H

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct watch;

/* Calls `readable(holder)` on the loop whenever `fd` (a socket, pipe or pidfd, not blocking) has
 * something to read or its other end is gone; again and again until it has been read. A watch does
 * not keep the loop running. ERR_NOMEM, ERR_IO. */
MUST_USE struct err watch_open(struct loop *loop, int fd, void (*readable)(void *holder),
                               void *holder, struct watch **ret);
/* Nothing is called any more; the caller may close the descriptor at once. Takes NULL. */
void watch_close(struct watch *watch);

#ifdef __cplusplus
}
#endif
#endif
