/* Calls of an IMAP session to the storage node: data that waits for a slow client, and the watch of
 * IDLE. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "door_imap_private.h"
#include "slot.h"

/* ---- ends */

void imap_call_free(struct door_imap_conn *imap)
{
    struct imap_call *call = imap->call;
    if (call == NULL) return;
    imap->call = NULL;
    arena_clear(&call->arena);
    body_unref(call->stored);
    free(call->waiting);
    free(call);
}

void imap_end_if_over(struct door_imap_conn *imap)
{
    if (imap->door.conn != NULL || imap->routes > 0) return;
    imap_call_free(imap);
    imap_prepared_free(imap);
    imap_packing_free(imap);
    imap_session_free(imap->session);
    door_conn_free(&imap->door);
}

/* ---- output */

void imap_flush(struct door_imap_conn *imap, struct buf *out)
{
    if (imap->packing == NULL) door_send(&imap->door, buf_span(out));
    else if (out->len > 0) imap_packing_send(imap, buf_span(out));
    out->len = 0;
}

static bool imap_is_slow(const struct door_imap_conn *imap)
{
    return conn_waiting_bytes(imap->door.conn) >= CONN_OUT_HIGH_BYTES;
}

/* Lets the session say what it has, as long as the client takes it. */
void imap_say(struct door_imap_conn *imap, struct buf *out)
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
    while (at < call->waiting_len && imap->door.conn != NULL && !imap_is_slow(imap)) {
        size_t used = imap_session_data(imap->session,
                                        span_of(call->waiting + at, call->waiting_len - at), out);
        at += used;
        imap_say(imap, out);
        if (used == 0) break; /* stopped, or the rest of a record has not come yet */
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

void imap_advance(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_call *call = imap->call;
    if (imap->door.conn == NULL) return;
    if (call->waiting_len > 0 && !imap_show_waiting(imap, out) && !call->done) return;
    if (imap->door.conn == NULL || imap_session_is_stopped(imap->session)) return;
    if (call->waiting_len > 0 && imap_is_slow(imap)) return;
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
    while (call->waiting_len == 0 && used < bytes.len && imap->door.conn != NULL &&
           !imap_is_slow(imap)) {
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
    imap->routes--;
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

struct err imap_call_new(struct door_imap_conn *imap, unsigned method)
{
    struct imap_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "call");
    call->method = method;
    call->err = err_ok();
    arena_init(&call->arena, IMAP_REPLY_ARENA_BYTES);
    imap->call = call;
    return err_ok();
}

struct err imap_call_start(struct door_imap_conn *imap, const void *request, struct body *body)
{
    struct imap_call *call = imap->call;
    struct route_call_options options = { .slot = slot_of_account(imap->identity.account),
                                          .deadline_ms = IMAP_CALL_MS,
                                          .body = body };
    TRY(route_call_start(imap->door.front->route, store_method_find(call->method), request,
                         &options, &imap_call_user, imap, &call->route));
    imap->routes++;
    return err_ok();
}

struct err imap_call_begin(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    const struct front *front = imap->door.front;
    if (wish->kind == IMAP_WISH_APPEND && front->is_stale(front->stale_holder)) {
        return err_make(ERR_UNREACHABLE, "configuration");
    }
    if (wish->kind != IMAP_WISH_CALL) return imap_append_start(imap, wish);
    TRY(imap_call_new(imap, wish->method));
    return imap_call_start(imap, wish->request, wish->body);
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

struct err imap_watch(struct door_imap_conn *imap)
{
    struct route_call_options options = { .slot = slot_of_account(imap->identity.account),
                                          .deadline_ms = ROUTE_NO_DEADLINE };
    TRY(route_call_start(imap->door.front->route, store_method_find(STORE_METHOD_WATCH),
                         &imap->watch_request, &options, &imap_watch_user, imap, &imap->watch));
    imap->routes++;
    return err_ok();
}

static void on_watch_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_imap_conn *imap = holder;
    (void)info;
    bool current = imap->watch == route;
    imap->routes--;
    if (current) imap->watch = NULL;
    if (imap->door.conn == NULL) {
        imap_end_if_over(imap);
        return;
    }
    /* The node went away: watch again; the first reply tells what was missed. */
    if (current && err.code != ERR_CANCELLED && imap_watch(imap).code != ERR_OK) {
        door_hang_up(&imap->door);
    }
}
