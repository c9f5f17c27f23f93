#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "loop_private.h"

static void loop_on_idle(uv_idle_t *idle) { (void)idle; }
static void loop_on_timer(uv_timer_t *timer) { (void)timer; }

static bool loop_has_work(const struct loop *loop)
{
    return !later_queue_is_empty(&loop->later) || !list_is_empty(&loop->work);
}

/* Has the coming wait end when the first timer is due. uv_timer_start makes no system call. */
static void loop_arm(struct loop *loop)
{
    uint64_t due_ms = loop->timers == NULL ? UINT64_MAX : loop->timers->place_ms;
    bool active = uv_is_active((uv_handle_t *)&loop->due);
    if (due_ms == loop->due_ms && (active || due_ms == UINT64_MAX)) return;
    loop->due_ms = due_ms;
    if (due_ms == UINT64_MAX) {
        uv_timer_stop(&loop->due);
        return;
    }
    uv_update_time(&loop->uv);
    uint64_t now_ms = clock_boot_ms();
    uv_timer_start(&loop->due, loop_on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static void loop_on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    timer_run_due(loop);
    for (unsigned i = 0; i < LOOP_ROUNDS_MAX && loop_has_work(loop); i++) {
        later_turn(&loop->later);
        conn_work_all(loop);
    }
    if (!loop_has_work(loop)) uv_idle_stop(&loop->busy);
    loop_arm(loop);
}

static void loop_on_check(uv_check_t *check)
{
    struct loop *loop = check->data;
    loop->now_ms = clock_boot_ms();
}

static void loop_on_wake(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    /* Nothing to read can only mean that an earlier turn has run what was posted. */
    (void)!read(loop->wake_fd, &count, sizeof(count));
    loop->now_ms = clock_boot_ms(); /* before uv_check */
    wake_run_all(loop);
}

void loop_work_wake(struct loop *loop)
{
    uv_idle_start(&loop->busy, loop_on_idle);
}

static void loop_on_posted(void *loop) { loop_work_wake(loop); }

static bool loop_buffers(struct loop *loop)
{
    loop->scratch = malloc(LOOP_SCRATCH_BYTES);
    loop->cipher = malloc(LOOP_CIPHER_BYTES);
    loop->gather = malloc(LOOP_GATHER_BYTES);
    return loop->scratch != NULL && loop->cipher != NULL && loop->gather != NULL;
}

static void loop_buffers_free(struct loop *loop)
{
    free(loop->scratch);
    free(loop->cipher);
    free(loop->gather);
    free(loop);
}

static void loop_handles(struct loop *loop)
{
    uv_prepare_init(&loop->uv, &loop->turn);
    uv_check_init(&loop->uv, &loop->woken);
    uv_idle_init(&loop->uv, &loop->busy);
    uv_timer_init(&loop->uv, &loop->due);
    uv_timer_init(&loop->uv, &loop->step);
    loop->turn.data = loop->woken.data = loop->wake.data = loop;
    uv_prepare_start(&loop->turn, loop_on_prepare);
    uv_check_start(&loop->woken, loop_on_check);
    uv_unref((uv_handle_t *)&loop->turn);
    uv_unref((uv_handle_t *)&loop->woken);
    uv_unref((uv_handle_t *)&loop->step);
    uv_unref((uv_handle_t *)&loop->wake);
}

/* libuv's loop with the handle that others wake it by: 0, or libuv's number. */
static int loop_uv(struct loop *loop)
{
    int uv = uv_loop_init(&loop->uv);
    if (uv != 0) return uv;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uv = loop->wake_fd < 0 ? uv_translate_sys_error(errno)
                           : uv_poll_init(&loop->uv, &loop->wake, loop->wake_fd);
    if (uv == 0) uv = uv_poll_start(&loop->wake, UV_READABLE, loop_on_wake);
    if (uv == 0) return 0;
    uv_loop_close(&loop->uv);
    if (loop->wake_fd >= 0) close(loop->wake_fd);
    return uv;
}

struct err loop_new(struct loop **ret)
{
    signal(SIGPIPE, SIG_IGN);
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) return err_make(ERR_NOMEM, "loop");
    if (!loop_buffers(loop)) {
        loop_buffers_free(loop);
        return err_make(ERR_NOMEM, "loop");
    }
    int uv = loop_uv(loop);
    if (uv != 0) {
        loop_buffers_free(loop);
        return err_make_detail(ERR_IO, uv, "loop");
    }
    loop->uv.data = loop;
    loop_handles(loop);
    list_init(&loop->work);
    pthread_mutex_init(&loop->wake_lock, NULL);
    loop->later.wake = loop_on_posted;
    loop->later.loop = loop;
    loop->now_ms = clock_boot_ms();
    loop->due_ms = UINT64_MAX;
    *ret = loop;
    return err_ok();
}

struct later_queue *loop_later(struct loop *loop) { return &loop->later; }

uint64_t loop_now_ms(const struct loop *loop) { return loop->now_ms; }

void loop_run(struct loop *loop)
{
    loop->now_ms = clock_boot_ms();
    /* A timer that is the only thing left is seen by libuv only once it is armed. */
    loop_arm(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop) { uv_stop(&loop->uv); }

void loop_step(struct loop *loop, unsigned wait_ms)
{
    loop->now_ms = clock_boot_ms();
    if (wait_ms == 0) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        return;
    }
    uv_update_time(&loop->uv);
    /* Counted as alive for this turn, or uv_run would not wait for what is only unreferenced. */
    uv_ref((uv_handle_t *)&loop->step);
    /* Repeated, since it may come in this turn before the wait does. */
    uv_timer_start(&loop->step, loop_on_timer, wait_ms, wait_ms);
    uv_run(&loop->uv, UV_RUN_ONCE);
    uv_timer_stop(&loop->step);
    uv_unref((uv_handle_t *)&loop->step);
}

void loop_hold(struct loop *loop)
{
    if (loop->holds++ == 0) uv_ref((uv_handle_t *)&loop->wake);
}

void loop_release(struct loop *loop)
{
    CHECK(loop->holds > 0);
    if (--loop->holds == 0) uv_unref((uv_handle_t *)&loop->wake);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    CHECK(loop->holds == 0 && loop->wake_first == NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->woken, NULL);
    uv_close((uv_handle_t *)&loop->busy, NULL);
    uv_close((uv_handle_t *)&loop->due, NULL);
    uv_close((uv_handle_t *)&loop->step, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop->uv) == 0);
    close(loop->wake_fd);
    conn_chunks_free(loop->spares);
    pthread_mutex_destroy(&loop->wake_lock);
    loop_buffers_free(loop);
}
