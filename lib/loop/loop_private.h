/* loop_private.h: what the files of this folder share about a loop. */
#ifndef MAIL_LOOP_PRIVATE_H
#define MAIL_LOOP_PRIVATE_H

#include <pthread.h>
#include <uv.h>

#include "later.h"
#include "list.h"
#include "loop.h"
#include "timer.h"
#include "wake.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conn_chunk;

enum {
    LOOP_SCRATCH_BYTES = 64 * 1024, /* what one read of a connection brings at most */
    LOOP_CIPHER_BYTES = 128 * 1024, /* TLS records of one write */
    LOOP_GATHER_BYTES = 16 * 1024,  /* one record's plain bytes */
    LOOP_SPARES_MAX = 64,           /* output chunks kept for reuse */
    LOOP_ROUNDS_MAX = 16,           /* of posted work before sockets are looked at again */
};

struct loop {
    uv_loop_t uv;       /* its `data` is the loop */
    uv_prepare_t turn;  /* before each wait */
    uv_check_t woken;   /* after each wait */
    uv_idle_t busy;     /* active while something is posted: the wait is then none */
    uv_timer_t due;     /* ends the wait when the first timer is due */
    uv_timer_t step;    /* ends the wait of loop_step() */
    /* Not uv_async_t, whose loop spins until the sender's call has returned. */
    uv_poll_t wake;
    int wake_fd; /* eventfd */
    struct later_queue later;
    struct list work;   /* connections with something to do at the end of the turn */
    struct timer *timers;
    uint64_t now_ms, due_ms; /* due_ms: what `due` is set to; UINT64_MAX: it is stopped */
    unsigned holds;
    pthread_mutex_t wake_lock;
    struct wake *wake_first, *wake_last; /* under wake_lock */
    struct conn_chunk *spares;
    unsigned spares_count;
    /* Lent to one connection at a time, for as long as it is worked on. */
    char *scratch, *cipher, *gather;
    size_t cipher_len;
    bool scratch_busy;
};

void timer_run_due(struct loop *loop);
void wake_run_all(struct loop *loop);
/* Runs the connections in loop->work, each once. */
void conn_work_all(struct loop *loop);
void conn_chunks_free(struct conn_chunk *first);
/* Sees to it that the loop's work is looked at before it sleeps. */
void loop_work_wake(struct loop *loop);

#ifdef __cplusplus
}
#endif
#endif
