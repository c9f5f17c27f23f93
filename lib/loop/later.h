/* later.h: work for the next turn of the loop.
 *
 * It is how the project keeps its one rule about callbacks: none runs before the function that
 * was given it has returned. No libuv in here, so tests turn the queue by hand. */
#ifndef MAIL_LATER_H
#define MAIL_LATER_H

#include <stdbool.h>

#include "list.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Stands inside the object it is about; zeroed at first, and unused while `run` is NULL. */
struct later {
    struct list link;
    void (*run)(struct later *);
};

/* Zeroed at first. */
struct later_queue {
    struct list waiting;
    void (*wake)(void *loop); /* called when the queue stops being empty; may be NULL */
    void *loop;
};

/* Has `run(later)` called once, on a later turn. `later` is not already posted. */
void later_post(struct later_queue *queue, struct later *later, void (*run)(struct later *));

/* Takes back what was posted, also from within the turn that would run it. Harmless when it was
 * not posted or has run. */
void later_cancel(struct later *later);

static inline bool later_is_posted(const struct later *later) { return later->run != NULL; }
bool later_queue_is_empty(const struct later_queue *queue);

/* Runs what is posted now. What that posts waits for the next turn. */
void later_turn(struct later_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
