/* loop_poll.h: hears when a descriptor of another library (inotify, a resolver) has something to
 * read. */
#ifndef MAIL_LOOP_POLL_H
#define MAIL_LOOP_POLL_H

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct loop_poll;

/* Calls `readable(holder)` on the loop while `fd` can be read. The descriptor stays the caller's
 * and is closed after loop_poll_close(). */
MUST_USE struct err loop_poll_open(struct loop *loop, int fd, void (*readable)(void *holder),
                              void *holder, struct loop_poll **ret);
/* Takes NULL. Nothing is called any more. */
void loop_poll_close(struct loop_poll *poll);

#ifdef __cplusplus
}
#endif
#endif
