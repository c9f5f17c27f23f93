/* The shell of IMAP: fulfils the wishes of imap_session by calls to the storage node.
 *
 * While the client is slow the session stops in the middle of an answer: what has come from the
 * storage node by then waits here (at most the credit of a call), and no credit is given back, so
 * that the node stops too. */
#include <string.h>

#include "clock.h"
#include "door_imap_private.h"
#include "intake.h"
#include "login_check.h"
#include "login_throttle.h"
#include "loop.h"
#include "metrics.h"

static struct door_imap_conn *imap_of(struct door_conn *door)
{
    return (struct door_imap_conn *)door;
}

/* ---- LOGIN */

static void imap_login_answer(struct door_imap_conn *imap, struct err err)
{
    imap->waits = false;
    IMAP_WITH_OUT(imap, imap_session_done(imap->session, err, &out));
}

static void on_held(void *holder)
{
    struct door_imap_conn *imap = holder;
    imap_login_answer(imap, imap->held);
}

static void on_login(void *holder, struct err err, const struct login_identity *identity)
{
    struct door_imap_conn *imap = holder;
    const struct front_settings *settings = imap->door.settings;
    imap->login = NULL;
    if (err.code == ERR_OK) {
        metric_add(METRIC_LOGINS, 0, 1);
        imap->identity = (struct imap_identity){ identity->tenant, identity->account };
        imap->logged_in = true;
        imap_session_identity(imap->session, &imap->identity);
    } else if (door_login_failed(&imap->door, err, span_of(imap->user, imap->user_len))) {
        struct login_throttle throttle = { .failures = imap->failures };
        struct login_throttle_options options = { settings->failure_delay_ms,
                                                  settings->failure_delay_max_ms,
                                                  settings->auth_failures_max };
        uint64_t now = loop_now_ms(imap->door.front->loop);
        uint64_t until = login_throttle_failed(&throttle, &options, now);
        if (imap->failures < UINT8_MAX) imap->failures++;
        if (until > now) {
            imap->held = err;
            timer_start(imap->door.front->loop, &imap->hold, until - now, on_held, imap);
            return;
        }
    }
    imap_login_answer(imap, err);
}

/* ---- wishes */

/* Starts what is wished. OK: an answer comes later; else it is answered with the error now. */
static struct err imap_start_wish(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    struct login_attempt attempt = { .user = wish->user, .password = wish->password };
    switch (wish->kind) {
    case IMAP_WISH_LOGIN:
        imap->user_len = (uint8_t)span_head(wish->user, sizeof(imap->user)).len;
        memcpy(imap->user, wish->user.ptr, imap->user_len);
        return door_login(&imap->door, &attempt, on_login, imap, &imap->login);
    case IMAP_WISH_CALL:
    case IMAP_WISH_APPEND:
    case IMAP_WISH_PREPARE:
    case IMAP_WISH_APPEND_MANY:
        return imap_call_begin(imap, wish);
    case IMAP_WISH_COMPRESS:
    case IMAP_WISH_START_TLS:
    case IMAP_WISH_WATCH_START:
    case IMAP_WISH_WATCH_STOP:
    case IMAP_WISH_CLOSE:
    case IMAP_WISH_NOTHING:
        break;
    }
    return err_make(ERR_UNSUPPORTED, "wish");
}

/* Wishes that are answered at once, or not at all. True: it was one of them. */
static bool imap_do_at_once(struct door_imap_conn *imap, const struct imap_wish *wish,
                            struct buf *out)
{
    struct err err = err_ok();
    switch (wish->kind) {
    case IMAP_WISH_START_TLS:
        imap_flush(imap, out);
        imap->waits = true;
        door_start_tls(&imap->door);
        return true;
    case IMAP_WISH_COMPRESS:
        imap_flush(imap, out);
        imap_session_done(imap->session, imap_packing_begin(imap), out);
        return true;
    case IMAP_WISH_WATCH_START:
        memcpy(&imap->watch_request, wish->request, sizeof(imap->watch_request));
        err = imap_watch(imap);
        imap_session_done(imap->session, err, out);
        return true;
    case IMAP_WISH_WATCH_STOP:
        if (imap->watch != NULL) route_call_cancel(imap->watch);
        imap->watch = NULL;
        imap_session_done(imap->session, err, out);
        return true;
    case IMAP_WISH_CLOSE:
        imap_flush(imap, out);
        door_hang_up(&imap->door);
        imap->waits = true;
        return true;
    case IMAP_WISH_NOTHING:
    case IMAP_WISH_LOGIN:
    case IMAP_WISH_CALL:
    case IMAP_WISH_APPEND:
    case IMAP_WISH_PREPARE:
    case IMAP_WISH_APPEND_MANY:
        break;
    }
    return false;
}

static bool imap_reads(const struct door_imap_conn *imap)
{
    return imap->door.conn != NULL && !imap->waits && imap_session_reads(imap->session) &&
           !imap_session_is_stopped(imap->session);
}

/* Fulfils what is wished, as far as it can be done now. */
static void imap_go_on(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_wish wish;
    imap_say(imap, out);
    while (imap->door.conn != NULL) {
        if (imap->call != NULL && (imap->call->done || imap->call->waiting_len > 0)) {
            imap_advance(imap, out);
            imap_say(imap, out);
            if (imap->call != NULL) break;
        }
        if (imap->waits || !imap_session_wish(imap->session, &wish)) break;
        if (!imap_do_at_once(imap, &wish, out)) {
            imap->waits = true;
            struct err err = imap_start_wish(imap, &wish);
            if (err.code != ERR_OK) {
                imap_call_free(imap);
                imap->waits = false;
                imap_session_done(imap->session, err, out);
            }
        }
        imap_say(imap, out);
    }
}

/* What is held only for a command, or only while a client is busy, is given back. */
static void imap_let_go(struct door_imap_conn *imap)
{
    if (!imap_session_is_idle(imap->session)) return;
    imap_prepared_free(imap);
    if (imap->watch != NULL) imap_packing_idle(imap);
}

/* Everything that may go on now goes on; then the client is read again, or not. */
void imap_turn(struct door_imap_conn *imap, struct buf *out)
{
    bool was_waiting = imap->waits;
    do {
        imap_go_on(imap, out);
    } while (imap_reads(imap) && imap_packing_feed(imap, out));
    if (imap->door.conn == NULL) return;
    bool reads = imap_reads(imap);
    imap_let_go(imap);
    if (imap->ending && imap_session_is_idle(imap->session)) {
        imap->ending = false;
        imap_session_bye(imap->session, imap->door.front->draining
                                            ? SPAN("the server is going down")
                                            : SPAN("the server is not ready yet"), out);
        imap_turn(imap, out);
        return;
    }
    if (imap->door.stage == DOOR_IN_SESSION) {
        conn_pause(imap->door.conn, !reads || imap_packing_rests(imap));
    }
    if (was_waiting || reads) {
        const struct front_settings *s = imap->door.settings;
        door_idle(&imap->door, imap->logged_in ? s->imap_idle_ms : s->imap_login_ms);
    }
}

/* ---- what comes from the door */

static struct err imap_start(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    char bytes[IMAP_OUT_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    uint8_t ip[16];
    door_client_ip(door, ip);
    const struct imap_options *options = front_may_login_plain(door->settings, ip)
                                             ? door->front->imap_open_options
                                             : door->front->imap_options;
    TRY(imap_session_new(options, door->tls_active, &out, &imap->session));
    door_idle(door, door->settings->imap_login_ms);
    imap_turn(imap, &out);
    return err_ok();
}

static size_t imap_bytes(struct door_conn *door, struct span in)
{
    struct door_imap_conn *imap = imap_of(door);
    size_t done = 0, used = 0;
    bool first = true;
    while (door->conn != NULL && !imap->waits && imap->packing == NULL &&
           (first || (used > 0 && done < in.len && imap_session_reads(imap->session)))) {
        first = false;
        IMAP_WITH_OUT(imap, used = imap_session_feed(imap->session, span_skip(in, done),
                                                     clock_wall_ms(), &out));
        done += used;
    }
    /* What stands behind COMPRESS is packed already. */
    if (door->conn == NULL || imap->waits || imap->packing == NULL) return done;
    return done + imap_packing_bytes(imap, span_skip(in, done));
}

static void imap_tls_up(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    imap->waits = false;
    IMAP_WITH_OUT(imap, imap_session_done(imap->session, err_ok(), &out));
}

static void imap_drained(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    IMAP_WITH_OUT(imap, (void)0);
}

static void imap_idle(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    IMAP_WITH_OUT(imap, imap_session_bye(imap->session, SPAN("idle for too long"), &out));
    door_hang_up(door);
}

static void imap_end(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    imap->ending = true;
    IMAP_WITH_OUT(imap, (void)0);
}

static void imap_closed(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    timer_stop(&imap->hold);
    if (imap->packing != NULL) timer_stop(&imap->packing->rest);
    login_check_cancel(imap->login);
    if (imap->watch != NULL) route_call_cancel(imap->watch);
    if (imap->call != NULL && imap->call->intake != NULL) intake_forget(imap->call->intake);
    if (imap->call != NULL && imap->call->route != NULL) route_call_cancel(imap->call->route);
    imap_end_if_over(imap);
}

const struct door_protocol door_imap = {
    .size = sizeof(struct door_imap_conn),
    .start = imap_start,
    .bytes = imap_bytes,
    .tls_up = imap_tls_up,
    .drained = imap_drained,
    .idle = imap_idle,
    .end = imap_end,
    .closed = imap_closed,
};
