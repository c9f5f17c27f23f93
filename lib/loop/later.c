#include "later.h"

#include <stddef.h>

#include "check.h"

bool later_queue_is_empty(const struct later_queue *queue)
{
    return queue->waiting.next == NULL || list_is_empty(&queue->waiting);
}

void later_post(struct later_queue *queue, struct later *later, void (*run)(struct later *))
{
    CHECK(later->run == NULL);
    if (queue->waiting.next == NULL) list_init(&queue->waiting);
    bool was_empty = list_is_empty(&queue->waiting);
    later->run = run;
    list_add(&queue->waiting, &later->link);
    if (was_empty && queue->wake != NULL) queue->wake(queue->loop);
}

void later_cancel(struct later *later)
{
    if (later->run == NULL) return;
    list_remove(&later->link);
    later->run = NULL;
}

void later_turn(struct later_queue *queue)
{
    if (later_queue_is_empty(queue)) return;
    /* The ring moves to a head of its own, so that what is posted meanwhile stays behind and what
     * is cancelled meanwhile still finds its neighbours. */
    struct list now = queue->waiting;
    now.next->prev = now.prev->next = &now;
    list_init(&queue->waiting);
    while (!list_is_empty(&now)) {
        struct later *later = LIST_ITEM(now.next, struct later, link);
        void (*run)(struct later *) = later->run;
        list_remove(&later->link);
        later->run = NULL;
        run(later);
    }
}
