#include "wake.h"

#include <stddef.h>
#include <unistd.h>

#include "check.h"
#include "loop_private.h"

void wake_post(struct loop *loop, struct wake *wake, void (*run)(struct wake *))
{
    pthread_mutex_lock(&loop->wake_lock);
    CHECK(wake->run == NULL);
    wake->run = run;
    wake->next = NULL;
    bool first = loop->wake_first == NULL;
    if (first) {
        loop->wake_first = wake;
    } else {
        loop->wake_last->next = wake;
    }
    loop->wake_last = wake;
    /* Under the lock: once it is released the loop may run this, end and be freed. */
    if (first) {
        /* It fails only when the counter is full, and then the loop is woken anyway. */
        const uint64_t one = 1;
        (void)!write(loop->wake_fd, &one, sizeof(one));
    }
    pthread_mutex_unlock(&loop->wake_lock);
}

void wake_run_all(struct loop *loop)
{
    pthread_mutex_lock(&loop->wake_lock);
    struct wake *wake = loop->wake_first;
    loop->wake_first = loop->wake_last = NULL;
    pthread_mutex_unlock(&loop->wake_lock);
    while (wake != NULL) {
        struct wake *next = wake->next;
        void (*run)(struct wake *) = wake->run;
        wake->run = NULL;
        run(wake);
        wake = next;
    }
}
