/* The shell of IMAP: fulfils the wishes of imap_session by calls to the storage node.
 *
 * While the client is slow the session stops in the middle of an answer: what has come from the
 * storage node by then waits here (at most the credit of a call), and no credit is given back, so
 * that the node stops too. */
#include <stdlib.h>

#include "arena.h"
#include "body.h"
#include "clock.h"
#include "door_private.h"
#include "front_body.h"
#include "id.h"
#include "imap_session.h"
#include "intake.h"
#include "login_check.h"
#include "login_throttle.h"
#include "loop.h"
#include "route.h"
#include "rpc.h"
#include "slot.h"
#include "store_msg.h"

enum {
    IMAP_OUT_BYTES = 64 * 1024,
    IMAP_CALL_MS = 30 * 1000,
    IMAP_REPLY_ARENA_BYTES = 8 * 1024 * 1024,
    IMAP_WAITING_MAX_BYTES = RPC_CREDIT_BYTES + RPC_FRAME_MAX_BYTES,
};

/* What exists only while a call is under way. */
struct imap_call {
    struct route_call *route;
    unsigned method;
    struct arena arena;       /* of a reply that has to wait */
    struct span reply;        /* packed */
    char *waiting;            /* data that the session did not take yet */
    size_t waiting_len, waiting_size;
    struct err err;
    bool has_reply, done;
    /* APPEND */
    struct intake *intake;
    struct body *stored;
    struct store_append_request append;
};

struct door_imap_conn {
    struct door_conn door;
    struct imap_session *session;
    struct imap_call *call;
    struct login_check *login;
    struct route_call *watch;
    struct store_watch_request watch_request;
    struct imap_identity identity;
    struct timer hold; /* the reply to a failed log-in is held back */
    uint8_t failures;
    bool logged_in, waits, ending;
};

static struct door_imap_conn *imap_of(struct door_conn *door)
{
    return (struct door_imap_conn *)door;
}

static void imap_turn(struct door_imap_conn *imap, struct buf *out);

/* ---- ends */

static void imap_call_free(struct door_imap_conn *imap)
{
    struct imap_call *call = imap->call;
    if (call == NULL) return;
    imap->call = NULL;
    arena_clear(&call->arena);
    body_unref(call->stored);
    free(call->waiting);
    free(call);
}

/* Frees the shell once the connection is gone and nothing is under way any more. */
static void imap_end_if_over(struct door_imap_conn *imap)
{
    if (imap->door.conn != NULL || imap->watch != NULL) return;
    if (imap->call != NULL && imap->call->route != NULL) return;
    imap_call_free(imap);
    imap_session_free(imap->session);
    door_conn_free(&imap->door);
}

/* ---- output */

static void imap_flush(struct door_imap_conn *imap, struct buf *out)
{
    door_send(&imap->door, buf_span(out));
    out->len = 0;
}

static bool imap_is_slow(const struct door_imap_conn *imap)
{
    return conn_waiting_bytes(imap->door.conn) >= CONN_OUT_HIGH_BYTES;
}

/* Lets the session say what it has, as long as the client takes it. */
static void imap_say(struct door_imap_conn *imap, struct buf *out)
{
    imap_flush(imap, out);
    while (imap->door.conn != NULL && imap_session_is_stopped(imap->session) &&
           !imap_is_slow(imap)) {
        imap_session_resume(imap->session, out);
        imap_flush(imap, out);
    }
}

/* ---- calls */

/* Shows the session what waits of the call's data. True: all of it was taken. */
static bool imap_show_waiting(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_call *call = imap->call;
    size_t at = 0;
    while (at < call->waiting_len && imap->door.conn != NULL) {
        size_t used = imap_session_data(imap->session,
                                        span_of(call->waiting + at, call->waiting_len - at), out);
        at += used;
        imap_say(imap, out);
        if (used == 0 && (imap_session_is_stopped(imap->session) || imap_is_slow(imap))) break;
        if (used == 0) break; /* the rest of a record has not come yet */
    }
    if (at > 0 && call->route != NULL) route_call_took(call->route, at);
    memmove(call->waiting, call->waiting + at, call->waiting_len - at);
    call->waiting_len -= at;
    return call->waiting_len == 0;
}

static struct err imap_keep(struct imap_call *call, struct span bytes)
{
    size_t want = call->waiting_len + bytes.len;
    if (want > IMAP_WAITING_MAX_BYTES && call->waiting_size >= want * 2) {
        return err_make(ERR_TOO_BIG, "answer");
    }
    if (want > call->waiting_size) {
        size_t size = call->waiting_size == 0 ? 16 * 1024 : call->waiting_size;
        while (size < want) size *= 2;
        char *grown = realloc(call->waiting, size);
        if (grown == NULL) return err_make(ERR_NOMEM, "answer");
        call->waiting = grown;
        call->waiting_size = size;
    }
    memcpy(call->waiting + call->waiting_len, bytes.ptr, bytes.len);
    call->waiting_len += bytes.len;
    return err_ok();
}

static void imap_give_reply(struct door_imap_conn *imap)
{
    struct imap_call *call = imap->call;
    const struct proto_method *method = store_method_find(call->method);
    void *reply = arena_alloc(&call->arena, method->reply->size);
    if (reply == NULL ||
        proto_unpack(method->reply, call->reply, &call->arena, reply).code != ERR_OK) {
        call->err = err_make(ERR_NOMEM, "reply");
        return;
    }
    imap_session_reply(imap->session, reply);
}

/* Goes on with a call as far as its data, its reply and the client let it. */
static void imap_advance(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_call *call = imap->call;
    if (imap->door.conn == NULL) return;
    if (call->waiting_len > 0 && !imap_show_waiting(imap, out) && !call->done) return;
    if (imap_session_is_stopped(imap->session)) return;
    if (call->waiting_len > 0 && call->err.code == ERR_OK) {
        if (!call->done) return;
        call->err = err_make(ERR_CORRUPT, "answer"); /* it ends within a record */
    }
    if (call->has_reply) {
        call->has_reply = false;
        imap_give_reply(imap);
    }
    if (!call->done) return;
    struct err err = call->err;
    imap_call_free(imap);
    imap->waits = false;
    imap_session_done(imap->session, err, out);
}

#define IMAP_WITH_OUT(imap, what)                                \
    do {                                                         \
        char out_bytes_[IMAP_OUT_BYTES];                         \
        struct buf out;                                          \
        buf_init(&out, out_bytes_, sizeof(out_bytes_));          \
        what;                                                    \
        imap_turn(imap, &out);                                   \
    } while (0)

static void on_data(void *holder, struct route_call *route, struct span bytes)
{
    struct door_imap_conn *imap = holder;
    struct imap_call *call = imap->call;
    if (imap->door.conn == NULL || call == NULL) {
        route_call_took(route, bytes.len);
        return;
    }
    char out_bytes[IMAP_OUT_BYTES];
    struct buf out;
    buf_init(&out, out_bytes, sizeof(out_bytes));
    size_t used = 0;
    while (call->waiting_len == 0 && used < bytes.len && imap->door.conn != NULL) {
        size_t now = imap_session_data(imap->session, span_skip(bytes, used), &out);
        used += now;
        imap_say(imap, &out);
        if (now == 0 || imap_session_is_stopped(imap->session)) break;
    }
    if (used > 0) route_call_took(route, used);
    if (used < bytes.len && imap->door.conn != NULL) {
        struct err err = imap_keep(call, span_skip(bytes, used));
        if (err.code != ERR_OK) {
            conn_abort(imap->door.conn, err);
            return;
        }
        /* A record cut by the frame: show it with its end as soon as that is here. */
        if (!imap_session_is_stopped(imap->session)) imap_show_waiting(imap, &out);
    }
    imap_flush(imap, &out);
}

static void on_reply(void *holder, struct route_call *route, const void *reply)
{
    struct door_imap_conn *imap = holder;
    struct imap_call *call = imap->call;
    (void)route;
    if (imap->door.conn == NULL || call == NULL) return;
    if (call->waiting_len == 0 && !imap_session_is_stopped(imap->session)) {
        imap_session_reply(imap->session, reply);
        return;
    }
    const struct proto_method *method = store_method_find(call->method);
    call->has_reply = proto_pack(method->reply, reply, &call->arena, &call->reply).code == ERR_OK;
}

static void on_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_imap_conn *imap = holder;
    (void)route;
    (void)info;
    imap->call->route = NULL;
    imap->call->done = true;
    if (err.code != ERR_OK) imap->call->err = err;
    if (imap->door.conn == NULL) {
        imap_end_if_over(imap);
        return;
    }
    IMAP_WITH_OUT(imap, (void)0);
}

static const struct route_call_user imap_call_user = { on_data, on_reply, on_done };

static struct err imap_call_new(struct door_imap_conn *imap, unsigned method)
{
    struct imap_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "call");
    call->method = method;
    call->err = err_ok();
    arena_init(&call->arena, IMAP_REPLY_ARENA_BYTES);
    imap->call = call;
    return err_ok();
}

static struct err imap_call_start(struct door_imap_conn *imap, const void *request,
                                  struct body *body)
{
    struct imap_call *call = imap->call;
    struct route_call_options options = { .slot = slot_of_account(imap->identity.account),
                                          .deadline_ms = IMAP_CALL_MS,
                                          .body = body };
    return route_call_start(imap->door.front->route, store_method_find(call->method), request,
                            &options, &imap_call_user, imap, &call->route);
}

/* ---- APPEND: scanned, then called */

static void on_append(void *holder, struct err err, const struct intake_append *made)
{
    struct door_imap_conn *imap = holder;
    struct imap_call *call = imap->call;
    call->intake = NULL;
    if (err.code == ERR_OK) {
        struct span facts = SPAN(""), stamp = SPAN("");
        call->stored = made->stored;
        call->append.size = made->size;
        err = arena_copy(&call->arena, made->facts, &facts);
        if (err.code == ERR_OK) err = arena_copy(&call->arena, made->scan_stamp, &stamp);
        call->append.facts = facts;
        call->append.scan_stamp = stamp;
        if (err.code == ERR_OK) err = imap_call_start(imap, &call->append, call->stored);
        if (err.code == ERR_OK) return;
    }
    call->done = true;
    call->err = err;
    IMAP_WITH_OUT(imap, (void)0);
}

static struct err imap_append(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    TRY(imap_call_new(imap, STORE_METHOD_APPEND));
    memcpy(&imap->call->append, wish->request, sizeof(imap->call->append));
    return intake_append_start(imap->door.front->intake, wish->body, on_append, imap,
                               &imap->call->intake);
}

/* ---- IDLE */

static void on_watch_reply(void *holder, struct route_call *route, const void *reply)
{
    struct door_imap_conn *imap = holder;
    (void)route;
    if (imap->door.conn == NULL) return;
    IMAP_WITH_OUT(imap, imap_session_watch(imap->session, reply, &out));
}

static void on_watch_done(void *holder, struct route_call *route, struct err err, struct span info);
static const struct route_call_user imap_watch_user = { NULL, on_watch_reply, on_watch_done };

static struct err imap_watch(struct door_imap_conn *imap)
{
    struct route_call_options options = { .slot = slot_of_account(imap->identity.account),
                                          .deadline_ms = ROUTE_NO_DEADLINE };
    return route_call_start(imap->door.front->route, store_method_find(STORE_METHOD_WATCH),
                            &imap->watch_request, &options, &imap_watch_user, imap, &imap->watch);
}

static void on_watch_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_imap_conn *imap = holder;
    (void)info;
    if (imap->watch == route) imap->watch = NULL;
    if (imap->door.conn == NULL) {
        imap_end_if_over(imap);
        return;
    }
    /* The node went away: watch again; the first reply tells what was missed. */
    if (err.code != ERR_CANCELLED && imap_watch(imap).code != ERR_OK) {
        door_hang_up(&imap->door);
    }
}

/* ---- LOGIN */

static void imap_login_answer(struct door_imap_conn *imap, struct err err)
{
    imap->waits = false;
    IMAP_WITH_OUT(imap, imap_session_done(imap->session, err, &out));
}

static void on_held(void *holder) { imap_login_answer(holder, err_make(ERR_DENIED, "log-in")); }

static void on_login(void *holder, struct err err, const struct login_identity *identity)
{
    struct door_imap_conn *imap = holder;
    const struct front_settings *settings = imap->door.settings;
    imap->login = NULL;
    if (err.code == ERR_OK) {
        imap->identity = (struct imap_identity){ identity->tenant, identity->account };
        imap->logged_in = true;
        imap_session_identity(imap->session, &imap->identity);
    } else if (err.code == ERR_DENIED) {
        struct login_throttle throttle = { .failures = imap->failures };
        struct login_throttle_options options = { settings->failure_delay_ms,
                                                  settings->failure_delay_max_ms,
                                                  settings->auth_failures_max };
        uint64_t now = loop_now_ms(imap->door.front->loop);
        uint64_t until = login_throttle_failed(&throttle, &options, now);
        if (imap->failures < UINT8_MAX) imap->failures++;
        if (until > now) {
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
    switch (wish->kind) {
    case IMAP_WISH_LOGIN:
        return login_check_start(imap->door.front->login, wish->user, wish->password, on_login,
                                 imap, &imap->login);
    case IMAP_WISH_CALL:
        TRY(imap_call_new(imap, wish->method));
        return imap_call_start(imap, wish->request, wish->body);
    case IMAP_WISH_APPEND:
        return imap_append(imap, wish);
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
        break;
    }
    return false;
}

/* Everything that may go on now goes on; then the client is read again, or not. */
static void imap_turn(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_wish wish;
    bool was_waiting = imap->waits;
    imap_say(imap, out);
    for (;;) {
        if (imap->door.conn == NULL) return;
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
    bool reads = !imap->waits && imap_session_reads(imap->session) &&
                 !imap_session_is_stopped(imap->session);
    if (imap->ending && imap_session_is_idle(imap->session)) {
        imap->ending = false;
        imap_session_bye(imap->session, SPAN("the server is going down"), out);
        imap_turn(imap, out);
        return;
    }
    if (imap->door.stage == DOOR_IN_SESSION) conn_pause(imap->door.conn, !reads);
    if (was_waiting || reads) {
        const struct front_settings *s = imap->door.settings;
        door_idle(&imap->door, imap->logged_in ? s->imap_idle_ms : s->imap_login_ms);
    }
}

/* ---- what comes from the door */

static void imap_operation_id(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    (void)holder;
    id_operation(wall_ms, id);
}

static struct err imap_start(struct door_conn *door)
{
    struct door_imap_conn *imap = imap_of(door);
    struct front *front = door->front;
    char bytes[IMAP_OUT_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    if (front->imap_options.operation_id == NULL) {
        front->imap_options = (struct imap_options){
            .holder = front,
            .operation_id = imap_operation_id,
            .body_open = front_body_open,
            .body_close = front_body_close,
            .budget = front->budget,
            .message_bytes_max = door->settings->size_max_bytes,
            .name = SPAN("Godwit"),
            .version = SPAN("0.1"),
            .starttls = front->tls != NULL,
            .login_without_tls = door->settings->login_without_tls,
        };
    }
    TRY(imap_session_new(&front->imap_options, door->tls_active, &out, &imap->session));
    door_idle(door, door->settings->imap_login_ms);
    imap_turn(imap, &out);
    return err_ok();
}

static size_t imap_bytes(struct door_conn *door, struct span in)
{
    struct door_imap_conn *imap = imap_of(door);
    size_t done = 0, used = 0;
    if (imap->waits) return 0;
    IMAP_WITH_OUT(imap, used = imap_session_feed(imap->session, in, clock_wall_ms(), &out));
    done = used;
    while (used > 0 && done < in.len && door->conn != NULL && !imap->waits &&
           imap_session_reads(imap->session)) {
        IMAP_WITH_OUT(imap, used = imap_session_feed(imap->session, span_skip(in, done),
                                                     clock_wall_ms(), &out));
        done += used;
    }
    return done;
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
