/* loop.h: the event loop of a thread. libuv stays behind it.
 *
 * A turn: what came from sockets and other threads, then what is due by time, then what was posted
 * with later_post(), then every connection that has something to send writes it in one go. While
 * nothing happens and nothing is due the thread sleeps. */
#ifndef MAIL_LOOP_H
#define MAIL_LOOP_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct later_queue;
struct loop;

/* Sets SIGPIPE to be ignored in the whole program: a peer that left is an error of a send.
 * ERR_NOMEM, ERR_IO. */
MUST_USE struct err loop_new(struct loop **ret);

/* Runs on the calling thread until nothing is open, held, posted or due, or until loop_stop(). */
void loop_run(struct loop *loop);

/* Has loop_run() return at the end of this turn. On the loop's own thread only; from others see
 * wake.h. */
void loop_stop(struct loop *loop);

/* One turn that waits for events for at most `wait_ms`: for tests and for ends of programs. */
void loop_step(struct loop *loop, unsigned wait_ms);

/* For flow_start() and the like; lives as long as the loop. */
struct later_queue *loop_later(struct loop *loop);

/* clock_boot_ms() as it was at the beginning of this turn. */
uint64_t loop_now_ms(const struct loop *loop);

/* While held, loop_run() goes on although nothing is open: something will come from another
 * thread. On the loop's own thread. Counted. */
void loop_hold(struct loop *loop);
void loop_release(struct loop *loop);

/* Takes NULL. Whatever is still open or held is a bug of its owner. */
void loop_free(struct loop *loop);

#ifdef __cplusplus
}
#endif
#endif
