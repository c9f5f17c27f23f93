/* loop_poll.h: hears when a descriptor of another library (inotify, a resolver, libcurl) has
 * something to read or takes something to write. */
#ifndef MAIL_LOOP_POLL_H
#define MAIL_LOOP_POLL_H

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct loop_poll;

enum { LOOP_POLL_READ = 1, LOOP_POLL_WRITE = 2 };

/* Calls `readable(holder)` on the loop while `fd` can be read. The descriptor stays the caller's
 * and is closed after loop_poll_close(). */
MUST_USE struct err loop_poll_open(struct loop *loop, int fd, void (*readable)(void *holder),
                              void *holder, struct loop_poll **ret);

/* The same for whatever loop_poll_wait() asks for; nothing at first. `events` says which of them
 * came; all that are waited for when the descriptor has failed: its owner finds out why. */
MUST_USE struct err loop_poll_open_any(struct loop *loop, int fd,
                                       void (*ready)(void *holder, int events), void *holder,
                                       struct loop_poll **ret);
MUST_USE struct err loop_poll_wait(struct loop_poll *poll, int events);

/* Takes NULL. Nothing is called any more. */
void loop_poll_close(struct loop_poll *poll);

#ifdef __cplusplus
}
#endif
#endif
