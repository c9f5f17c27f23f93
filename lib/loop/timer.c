/* A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) by place_ms. `child` is the first of a
 * timer's children, `next` its next sibling, `prev` the sibling before it or, for the first, its
 * parent; the root has neither. Inserting is O(1), taking out O(log n) amortized. */
#include "timer.h"

#include "check.h"
#include "loop_private.h"

static struct timer *timer_meld(struct timer *a, struct timer *b)
{
    if (a == NULL) return b;
    if (b == NULL) return a;
    if (b->place_ms < a->place_ms) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL) a->child->prev = b;
    a->child = b;
    return a;
}

/* Joins the siblings from `first` on: in pairs from the left, then all from the right. */
static struct timer *timer_meld_all(struct timer *first)
{
    struct timer *pairs = NULL;
    while (first != NULL) {
        struct timer *a = first, *b = first->next;
        first = b == NULL ? NULL : b->next;
        a->next = a->prev = NULL;
        if (b != NULL) b->next = b->prev = NULL;
        a = timer_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct timer *root = NULL;
    while (pairs != NULL) {
        struct timer *rest = pairs->next;
        pairs->next = NULL;
        root = timer_meld(root, pairs);
        pairs = rest;
    }
    return root;
}

static void timer_take_out(struct loop *loop, struct timer *timer)
{
    struct timer *children = timer_meld_all(timer->child);
    if (loop->timers == timer) {
        loop->timers = children;
    } else {
        if (timer->prev->child == timer) {
            timer->prev->child = timer->next;
        } else {
            timer->prev->next = timer->next;
        }
        if (timer->next != NULL) timer->next->prev = timer->prev;
        loop->timers = timer_meld(loop->timers, children);
    }
    timer->child = timer->next = timer->prev = NULL;
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t wait_ms,
                 void (*run)(void *holder), void *holder)
{
    uint64_t now_ms = loop->now_ms;
    if (wait_ms < TIMER_WAIT_MIN_MS) wait_ms = TIMER_WAIT_MIN_MS;
    uint64_t due_ms = wait_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + wait_ms;
    timer->run = run;
    timer->holder = holder;
    timer->due_ms = due_ms;
    if (timer->loop != NULL) {
        CHECK(timer->loop == loop);
        if (timer->place_ms <= due_ms) return; /* looked at again when its place comes up */
        timer_take_out(loop, timer);
    }
    timer->loop = loop;
    timer->place_ms = due_ms;
    loop->timers = timer_meld(loop->timers, timer);
}

void timer_stop(struct timer *timer)
{
    if (timer->loop == NULL) return;
    timer_take_out(timer->loop, timer);
    timer->loop = NULL;
}

void timer_run_due(struct loop *loop)
{
    while (loop->timers != NULL && loop->timers->place_ms <= loop->now_ms) {
        struct timer *timer = loop->timers;
        timer_take_out(loop, timer);
        if (timer->due_ms > timer->place_ms) { /* put off; also when it is due: others come first */
            timer->place_ms = timer->due_ms;
            loop->timers = timer_meld(loop->timers, timer);
            continue;
        }
        timer->loop = NULL;
        timer->run(timer->holder);
    }
}
