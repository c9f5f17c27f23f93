/* wake.h: work that another thread gives to a loop. */
#ifndef MAIL_WAKE_H
#define MAIL_WAKE_H

#ifdef __cplusplus
extern "C" {
#endif

struct loop;

/* Stands inside the object it is about; unused while `run` is NULL. */
struct wake {
    struct wake *next;
    void (*run)(struct wake *);
};

/* Has `run(wake)` called once on the loop's thread, in the order of posting. From any thread,
 * never blocks for long. What is written before is seen by `run`. The loop is held (loop_hold) by
 * whoever expects this, until it has run. `wake` is not already posted. */
void wake_post(struct loop *loop, struct wake *wake, void (*run)(struct wake *));

#ifdef __cplusplus
}
#endif
#endif
