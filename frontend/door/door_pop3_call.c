/* Calls of a POP3 session to the storage node. While the client is slow the session stops in the
 * middle of a message: what has come by then waits here (at most the credit of a call), and no
 * credit is given back, so that the node stops too. */
#include <stdlib.h>
#include <string.h>

#include "door_pop3_private.h"
#include "slot.h"

void door_pop3_call_free(struct door_pop3_conn *pop3)
{
    struct door_pop3_call *call = pop3->call;
    if (call == NULL) return;
    pop3->call = NULL;
    free(call->waiting);
    free(call);
}

static bool pop3_is_slow(const struct door_pop3_conn *pop3)
{
    return conn_waiting_bytes(pop3->door.conn) >= CONN_OUT_HIGH_BYTES;
}

void door_pop3_say(struct door_pop3_conn *pop3, struct buf *out)
{
    door_send(&pop3->door, buf_span(out));
    out->len = 0;
    while (pop3->door.conn != NULL && pop3_session_is_stopped(pop3->session) &&
           !pop3_is_slow(pop3)) {
        pop3_session_resume(pop3->session, out);
        door_send(&pop3->door, buf_span(out));
        out->len = 0;
    }
}

/* Shows data to the session, as long as it and the client take it; returns how much was taken. */
static size_t pop3_show(struct door_pop3_conn *pop3, struct span bytes, struct buf *out)
{
    struct door_pop3_call *call = pop3->call;
    size_t used = 0;
    while (used < bytes.len && pop3->door.conn != NULL && !pop3_is_slow(pop3)) {
        used += pop3_session_data(pop3->session, span_skip(bytes, used), out);
        door_pop3_say(pop3, out);
        if (pop3_session_is_stopped(pop3->session)) break;
    }
    if (call->route == NULL) return used;
    if (used > 0) route_call_took(call->route, used);
    if (!call->has_enough && pop3_session_has_enough(pop3->session)) {
        call->has_enough = true;
        route_call_cancel(call->route);
    }
    return used;
}

static void pop3_show_waiting(struct door_pop3_conn *pop3, struct buf *out)
{
    struct door_pop3_call *call = pop3->call;
    struct span waiting = span_of(call->waiting + call->waiting_at, call->waiting_len);
    size_t used = pop3_show(pop3, waiting, out);
    call->waiting_at += used;
    call->waiting_len -= used;
    if (call->waiting_len == 0) call->waiting_at = 0;
}

static struct err pop3_keep(struct door_pop3_call *call, struct span bytes)
{
    if (bytes.len > POP3_WAITING_MAX_BYTES - call->waiting_len) {
        return err_make(ERR_TOO_BIG, "answer");
    }
    if (call->waiting == NULL) {
        call->waiting = malloc(POP3_WAITING_MAX_BYTES);
        if (call->waiting == NULL) return err_make(ERR_NOMEM, "answer");
        call->waiting_size = POP3_WAITING_MAX_BYTES;
    }
    if (bytes.len > call->waiting_size - call->waiting_at - call->waiting_len) {
        memmove(call->waiting, call->waiting + call->waiting_at, call->waiting_len);
        call->waiting_at = 0;
    }
    memcpy(call->waiting + call->waiting_at + call->waiting_len, bytes.ptr, bytes.len);
    call->waiting_len += bytes.len;
    return err_ok();
}

static void on_data(void *holder, struct route_call *route, struct span bytes)
{
    struct door_pop3_conn *pop3 = holder;
    struct door_pop3_call *call = pop3->call;
    if (pop3->door.conn == NULL || call == NULL || call->has_enough) {
        route_call_took(route, bytes.len);
        return;
    }
    char out_bytes[POP3_OUT_BYTES];
    struct buf out;
    buf_init(&out, out_bytes, sizeof(out_bytes));
    size_t used = 0;
    bool may_show = call->waiting_len == 0 && !pop3_session_is_stopped(pop3->session);
    if (may_show) used = pop3_show(pop3, bytes, &out);
    if (used == bytes.len || pop3->door.conn == NULL) return;
    struct err err = pop3_keep(call, span_skip(bytes, used));
    if (err.code != ERR_OK) conn_abort(pop3->door.conn, err);
}

/* Replies are looked at only where no data came before them. */
static void on_reply(void *holder, struct route_call *route, const void *reply)
{
    struct door_pop3_conn *pop3 = holder;
    (void)route;
    if (pop3->door.conn != NULL) pop3_session_reply(pop3->session, reply);
}

static void on_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_pop3_conn *pop3 = holder;
    (void)route;
    (void)info;
    pop3->routes--;
    pop3->call->route = NULL;
    pop3->call->err = err;
    if (pop3->door.conn == NULL) {
        door_pop3_end_if_over(pop3);
        return;
    }
    POP3_WITH_OUT(pop3, (void)0);
}

void door_pop3_advance(struct door_pop3_conn *pop3, struct buf *out)
{
    struct door_pop3_call *call = pop3->call;
    if (call->has_enough) call->waiting_len = 0;
    if (pop3_session_is_stopped(pop3->session)) return;
    if (call->waiting_len > 0) pop3_show_waiting(pop3, out);
    bool is_over = call->route == NULL && call->waiting_len == 0 && pop3->door.conn != NULL &&
                   !pop3_session_is_stopped(pop3->session);
    if (!is_over) return;
    struct err err = call->err;
    door_pop3_call_free(pop3);
    door_pop3_answer(pop3, err, out);
}

struct err door_pop3_call_begin(struct door_pop3_conn *pop3, const struct pop3_wish *wish)
{
    static const struct route_call_user user = { on_data, on_reply, on_done };
    struct route_call_options options = { .slot = slot_of_account(pop3->identity.account),
                                          .deadline_ms = POP3_CALL_MS };
    struct door_pop3_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "call");
    call->err = err_ok();
    struct err err = route_call_start(pop3->door.front->route, store_method_find(wish->method),
                                      wish->request, &options, &user, pop3, &call->route);
    if (err.code != ERR_OK) {
        free(call);
        return err;
    }
    pop3->call = call;
    pop3->routes++;
    return err_ok();
}
