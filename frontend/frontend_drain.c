/* How a loop ends, in four steps, each with a bound:
 *
 *   notice     not ready, and goes on taking connections, for load balancers to hear of it
 *              (server.drain.notice)
 *   sessions   takes none; sessions hear 421, BYE or -ERR between two commands, and what has begun
 *              comes to its end (server.drain)
 *   courier    what is being sent to other servers is told as far as it got (courier_stop)
 *   telling    what clients have heard, and that connections are closed, is told to the store, so
 *              that the next frontend knows */
#include "conf.h"
#include "courier.h"
#include "frontend_loop.h"
#include "intake.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "meter.h"
#include "sync.h"
#include "timer.h"

enum { DRAIN_LOOK_MS = 50, TELL_LOOKS_MAX = 20 };

enum stage { RUNS, NOTICE, SESSIONS, COURIER, TELLING };

static void drain_look(void *holder);

static void look_again(struct frontend_loop *loop, uint64_t wait_ms)
{
    timer_start(loop->loop, &loop->drain, wait_ms, drain_look, loop);
}

bool frontend_is_leaving(const struct frontend_loop *loop) { return loop->drain_stage != RUNS; }

static void begin_notice(struct frontend_loop *loop)
{
    uint64_t notice_ms = conf_ms(loop->front.settings->conf, CONF_SERVER_DRAIN_NOTICE);
    loop->drain_stage = NOTICE;
    if (loop->number == 0) LOG(PROGRAM_NOT_READY, NULL, log_words("going down"));
    sync_stop(loop->sync); /* another frontend takes it over */
    loop->sync = NULL;
    look_again(loop, notice_ms > 0 ? notice_ms : TIMER_WAIT_MIN_MS);
}

static void begin_sessions(struct frontend_loop *loop)
{
    loop->drain_stage = SESSIONS;
    loop->drain_until_ms =
        loop_now_ms(loop->loop) + conf_ms(loop->front.settings->conf, CONF_SERVER_DRAIN);
    for (unsigned i = 0; i < DOOR_SERVICES; i++) {
        door_close(loop->doors[i]);
        loop->doors[i] = NULL;
    }
    door_drain(&loop->front);
    look_again(loop, DRAIN_LOOK_MS);
}

static void on_courier_stopped(void *holder)
{
    struct frontend_loop *loop = holder;
    loop->drain_stage = TELLING;
    meter_leave_all(loop->meter);
    look_again(loop, TIMER_WAIT_MIN_MS);
}

static bool all_is_told(const struct frontend_loop *loop)
{
    return intake_transactions_are_told(loop->intake.transactions) && meter_is_quiet(loop->meter);
}

static void drain_look(void *holder)
{
    struct frontend_loop *loop = holder;
    switch ((enum stage)loop->drain_stage) {
    case NOTICE:
        begin_sessions(loop);
        return;
    case SESSIONS:
        if (loop->front.connections_count > 0 &&
            loop_now_ms(loop->loop) < loop->drain_until_ms) break;
        loop->drain_stage = COURIER;
        courier_stop(loop->courier, on_courier_stopped, loop);
        return;
    case TELLING:
        if (!all_is_told(loop) && ++loop->tell_looks <= TELL_LOOKS_MAX) break;
        loop_stop(loop->loop);
        return;
    case RUNS:
    case COURIER:
        return;
    }
    look_again(loop, DRAIN_LOOK_MS);
}

static void stop_run(struct wake *wake)
{
    struct frontend_loop *loop = LIST_ITEM(wake, struct frontend_loop, stop_wake);
    atomic_store(&loop->is_told_to_stop, false);
    switch ((enum stage)loop->drain_stage) {
    case RUNS: begin_notice(loop); return;
    case NOTICE: begin_sessions(loop); return;
    case SESSIONS: loop->drain_until_ms = 0; return;
    case COURIER:
    case TELLING: loop_stop(loop->loop); return;
    }
}

void frontend_loop_stop(struct frontend_loop *loop)
{
    if (!atomic_exchange(&loop->is_told_to_stop, true)) {
        wake_post(loop->loop, &loop->stop_wake, stop_run);
    }
}
