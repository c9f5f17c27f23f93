/* timer.h: something to be done after a while, on the loop.
 *
 * Arming allocates nothing and makes no system call. Putting off a timer that is already armed, as
 * an idle deadline is with each command, is a store: the timer keeps its place and is put back
 * when that comes up. */
#ifndef MAIL_TIMER_H
#define MAIL_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct loop;

enum { TIMER_WAIT_MIN_MS = 1 };

/* Stands in its owner; zeroed at first, which is "not armed". */
struct timer {
    struct timer *child, *next, *prev; /* in the loop's pairing heap; see timer.c */
    struct loop *loop;                 /* NULL: not armed */
    uint64_t place_ms, due_ms;         /* place_ms <= due_ms */
    void (*run)(void *holder);
    void *holder;
};

/* Calls `run(holder)` once, `wait_ms` from now (1 at least) or a little later; whatever was armed
 * before is forgotten. */
void timer_start(struct loop *loop, struct timer *timer, uint64_t wait_ms,
                 void (*run)(void *holder), void *holder);
/* Harmless when it is not armed. */
void timer_stop(struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer) { return timer->loop != NULL; }

#ifdef __cplusplus
}
#endif
#endif
