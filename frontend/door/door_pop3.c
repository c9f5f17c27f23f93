/* The shell of POP3: fulfils the wishes of pop3_session. */
#include <string.h>

#include "clock.h"
#include "door_pop3_private.h"
#include "id.h"
#include "login_check.h"
#include "loop.h"
#include "metrics.h"

static struct door_pop3_conn *pop3_of(struct door_conn *door)
{
    return (struct door_pop3_conn *)door;
}

void door_pop3_end_if_over(struct door_pop3_conn *pop3)
{
    if (pop3->door.conn != NULL || pop3->routes > 0) return;
    door_pop3_call_free(pop3);
    pop3_session_free(pop3->session);
    door_conn_free(&pop3->door);
}

void door_pop3_answer(struct door_pop3_conn *pop3, struct err err, struct buf *out)
{
    pop3->waits = false;
    pop3_session_done(pop3->session, err, out);
}

/* ---- log-in */

static void on_held(void *holder)
{
    struct door_pop3_conn *pop3 = holder;
    POP3_WITH_OUT(pop3, door_pop3_answer(pop3, pop3->held, &out));
}

/* A log-in did not work: counts it, and holds the reply back. False: it need not wait. */
static bool hold_back(struct door_pop3_conn *pop3, struct err err)
{
    const struct front_settings *settings = pop3->door.settings;
    struct loop *loop = pop3->door.front->loop;
    struct login_throttle_options options = { settings->failure_delay_ms,
                                              settings->failure_delay_max_ms,
                                              settings->auth_failures_max };
    if (!door_login_failed(&pop3->door, err, span_of(pop3->user, pop3->user_len))) return false;
    pop3->held = err;
    uint64_t now = loop_now_ms(loop);
    uint64_t until = login_throttle_failed(&pop3->throttle, &options, now);
    if (until <= now) return false;
    timer_start(loop, &pop3->hold, until - now, on_held, pop3);
    return true;
}

static void on_login(void *holder, struct err err, const struct login_identity *identity)
{
    struct door_pop3_conn *pop3 = holder;
    pop3->login = NULL;
    if (err.code != ERR_OK && hold_back(pop3, err)) return;
    if (err.code == ERR_OK) {
        metric_add(METRIC_LOGINS, 0, 1);
        login_throttle_worked(&pop3->throttle);
        pop3->identity = (struct pop3_identity){ identity->tenant, identity->account };
        pop3->logged_in = true;
        pop3_session_identity(pop3->session, &pop3->identity);
    }
    POP3_WITH_OUT(pop3, door_pop3_answer(pop3, err, &out));
}

/* ---- wishes */

/* Starts what is wished. OK: an answer comes later; else it is answered with the error now. */
static struct err start_wish(struct door_pop3_conn *pop3, const struct pop3_wish *wish)
{
    struct login_attempt attempt = { .user = wish->user, .password = wish->password };
    switch (wish->kind) {
    case POP3_WISH_LOGIN:
        pop3->user_len = (uint8_t)span_head(wish->user, sizeof(pop3->user)).len;
        memcpy(pop3->user, wish->user.ptr, pop3->user_len);
        return door_login(&pop3->door, &attempt, on_login, pop3, &pop3->login);
    case POP3_WISH_CALL:
        return door_pop3_call_begin(pop3, wish);
    case POP3_WISH_LOCK:
        return door_pop3_lock_take(pop3, wish->mailbox);
    case POP3_WISH_UNLOCK:
        if (door_pop3_lock_give_back(pop3, true)) return err_ok();
        break;
    case POP3_WISH_START_TLS:
        door_start_tls(&pop3->door);
        return err_ok();
    case POP3_WISH_CLOSE:
        pop3->is_closing = true;
        door_hang_up(&pop3->door);
        return err_ok();
    case POP3_WISH_NOTHING:
        break;
    }
    return err_make(ERR_UNSUPPORTED, "wish");
}

/* One wish, if there is one: the bytes before it have left. */
static bool do_wish(struct door_pop3_conn *pop3, struct buf *out)
{
    struct pop3_wish wish;
    if (pop3->waits || !pop3_session_wish(pop3->session, &wish)) return false;
    pop3->waits = true;
    struct err err = start_wish(pop3, &wish);
    if (err.code != ERR_OK) door_pop3_answer(pop3, err, out);
    return true;
}

/* Everything that may go on now goes on; then the client is read again, or not. */
void door_pop3_turn(struct door_pop3_conn *pop3, struct buf *out)
{
    const struct front_settings *settings = pop3->door.settings;
    bool was_waiting = pop3->waits, goes_on = true;
    while (goes_on) {
        door_pop3_say(pop3, out);
        if (pop3->door.conn == NULL) return;
        if (pop3->call != NULL) door_pop3_advance(pop3, out);
        door_pop3_say(pop3, out);
        if (pop3->door.conn == NULL) return;
        goes_on = !pop3_session_is_stopped(pop3->session) && do_wish(pop3, out);
    }
    if (pop3->ending && pop3_session_is_idle(pop3->session)) {
        pop3->ending = false;
        enum pop3_end why = pop3->door.front->draining ? POP3_END_SHUTDOWN : POP3_END_NOT_READY;
        pop3_session_end(pop3->session, why, out);
        door_pop3_turn(pop3, out);
        return;
    }
    if (pop3->is_closing) return;
    bool reads = !pop3->waits && pop3_session_reads(pop3->session);
    if (pop3->door.stage == DOOR_IN_SESSION) conn_pause(pop3->door.conn, !reads);
    if (was_waiting || reads) {
        door_idle(&pop3->door, pop3->logged_in ? settings->pop3_idle_ms : settings->pop3_login_ms);
    }
}

/* ---- what comes from the door */

static struct err pop3_start(struct door_conn *door)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    char bytes[POP3_OUT_BYTES];
    struct buf out;
    uint8_t ip[16];
    buf_init(&out, bytes, sizeof(bytes));
    id_random(pop3->lock.owner, sizeof(pop3->lock.owner));
    door_client_ip(door, ip);
    const struct pop3_options *options = front_may_login_plain(door->settings, ip)
                                             ? door->front->pop3_open_options
                                             : door->front->pop3_options;
    TRY(pop3_session_new(options, door->tls_active, door->settings->auth_failures_max, &out,
                         &pop3->session));
    door_idle(door, door->settings->pop3_login_ms);
    door_pop3_turn(pop3, &out);
    return err_ok();
}

static size_t pop3_bytes(struct door_conn *door, struct span in)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    size_t done = 0, used = 1;
    while (used > 0 && done < in.len && door->conn != NULL && !pop3->waits &&
           pop3_session_reads(pop3->session)) {
        POP3_WITH_OUT(pop3, used = pop3_session_feed(pop3->session, span_skip(in, done),
                                                     clock_wall_ms(), &out));
        done += used;
    }
    return done;
}

static void pop3_tls_up(struct door_conn *door)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    POP3_WITH_OUT(pop3, door_pop3_answer(pop3, err_ok(), &out));
}

static void pop3_drained(struct door_conn *door)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    POP3_WITH_OUT(pop3, (void)0);
}

/* RFC 1939 section 3: without a word, and nothing is deleted. */
static void pop3_idle(struct door_conn *door) { door_hang_up(door); }

static void pop3_end(struct door_conn *door)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    pop3->ending = true;
    POP3_WITH_OUT(pop3, (void)0);
}

static void pop3_closed(struct door_conn *door)
{
    struct door_pop3_conn *pop3 = pop3_of(door);
    timer_stop(&pop3->hold);
    login_check_cancel(pop3->login);
    if (pop3->call != NULL && pop3->call->route != NULL) route_call_cancel(pop3->call->route);
    (void)door_pop3_lock_give_back(pop3, false);
    door_pop3_end_if_over(pop3);
}

const struct door_protocol door_pop3 = {
    .size = sizeof(struct door_pop3_conn),
    .start = pop3_start,
    .bytes = pop3_bytes,
    .tls_up = pop3_tls_up,
    .drained = pop3_drained,
    .idle = pop3_idle,
    .end = pop3_end,
    .closed = pop3_closed,
};
