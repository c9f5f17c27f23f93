#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "proto_message.h"
#include "rpc_server_private.h"

/* ---- the life of a serving */

static struct rpc_serving *rpc_serving_new(struct rpc_server *server)
{
    struct rpc_serving *serving;
    struct arena arena;
    arena_init(&arena, RPC_ARENA_MAX_BYTES);
    if (server->pool_count > 0) {
        serving = LIST_ITEM(server->pool.next, struct rpc_serving, link);
        list_remove(&serving->link);
        server->pool_count--;
        arena = serving->arena; /* emptied, with a piece of memory in it */
    } else {
        serving = malloc(sizeof(*serving));
        if (serving == NULL) return NULL;
    }
    *serving = (struct rpc_serving){ .server = server, .arena = arena };
    rpc_lane_init(&serving->lane, RPC_CREDIT_BYTES);
    list_add(&server->servings, &serving->link);
    server->servings_count++;
    return serving;
}

/* Everything of it was sent, or there is nobody to send it to. */
void rpc_serving_free(struct rpc_serving *serving)
{
    struct rpc_server *server = serving->server;
    struct rpc_link *link = serving->lane.link;
    rpc_message_free(link, &serving->message);
    rpc_lane_close(&serving->lane);
    timer_stop(&serving->deadline);
    later_cancel(&serving->giving_up);
    body_unref(serving->body);
    list_remove(&serving->link);
    server->servings_count--;
    if (server->pool_count < RPC_POOL_MAX) {
        arena_reset(&serving->arena);
        list_add(&server->pool, &serving->link);
        server->pool_count++;
    } else {
        arena_clear(&serving->arena);
        free(serving);
    }
    if (link != NULL) rpc_server_link_check(link);
    rpc_server_end(server);
}

static void rpc_serving_count(struct rpc_serving *serving, enum err_code code)
{
    struct rpc_server *server = serving->server;
    bool is_open = serving->state == RPC_SERVING_OPEN;
    uint64_t *counts = is_open ? server->entries[serving->method->number].ended : server->refused;
    if (is_open) server->open_count--;
    if ((unsigned)code < RPC_CODES) counts[code]++;
}

/* Says END. The serving is gone with it, or with the last byte before it. */
static void rpc_serving_end(struct rpc_serving *serving, struct err err, struct span info)
{
    struct rpc_link *link = serving->lane.link;
    rpc_serving_count(serving, err.code);
    serving->state = RPC_SERVING_OVER;
    serving->on_cancel = serving->on_ready = NULL;
    timer_stop(&serving->deadline);
    later_cancel(&serving->giving_up);
    if (link == NULL) {
        rpc_serving_free(serving);
        return;
    }
    if (serving->deadline_ms == 0) rpc_link_endless(link, -1);
    struct rpc_frame end = { .kind = RPC_END, .error = (uint16_t)err.code };
    info = span_head(info, RPC_INFO_MAX_BYTES);
    struct err put = rpc_lane_put(&serving->lane, &end, info);
    if (put.code != ERR_OK) rpc_link_break(link, put);
    if (serving->lane.first == NULL) rpc_serving_free(serving);
}

/* The caller does not want it any more. */
void rpc_serving_cancel(struct rpc_serving *serving, enum err_code code)
{
    if (serving->state == RPC_SERVING_COMING) {
        rpc_serving_end(serving, err_make(code, "call"), span_of(NULL, 0));
        return;
    }
    if (serving->state == RPC_SERVING_OVER || serving->cancelled) return;
    serving->cancelled = true;
    rpc_lane_drop(&serving->lane);
    void (*run)(void *) = serving->on_cancel;
    serving->on_cancel = NULL;
    if (run != NULL) run(serving->cancel_holder);
}

static void rpc_serving_on_deadline(void *serving) { rpc_serving_cancel(serving, ERR_TIMEOUT); }

/* ---- what comes in */

/* The request is whole: to its handler. */
static void rpc_serving_begin(struct rpc_serving *serving)
{
    struct err err = serving->body == NULL ? err_ok() : body_seal(serving->body);
    if (err.code != ERR_OK) {
        rpc_serving_end(serving, err, span_of(NULL, 0));
        return;
    }
    serving->state = RPC_SERVING_OPEN;
    serving->server->open_count++;
    serving->row->serve(serving->server->entries[serving->method->number].holder, serving);
}

static void rpc_serving_on_message(struct rpc_serving *serving, const struct rpc_frame *frame)
{
    struct span bytes;
    bool whole = false;
    struct err err = rpc_message_take(serving->lane.link, &serving->message, frame, &bytes, &whole);
    if (err.code == ERR_OK && whole) {
        const struct proto_type *type = serving->method->request;
        serving->request = arena_alloc(&serving->arena, type->size);
        if (serving->request == NULL) {
            err = err_make(ERR_NOMEM, "request");
        } else {
            err = proto_unpack(type, bytes, &serving->arena, serving->request);
        }
        rpc_message_free(serving->lane.link, &serving->message);
    }
    if (err.code != ERR_OK) {
        rpc_serving_end(serving, err, span_of(NULL, 0));
    } else if (whole && serving->body_left_bytes == 0) {
        rpc_serving_begin(serving);
    }
}

static void rpc_serving_on_data(struct rpc_serving *serving, const struct rpc_frame *frame)
{
    struct span bytes = frame->payload;
    struct err err = err_ok();
    bool last = (frame->flags & RPC_FLAG_LAST) != 0;
    if (bytes.len > serving->body_left_bytes || serving->request == NULL) {
        err = err_make(ERR_SYNTAX, "body of a call");
    } else if (serving->body != NULL) {
        err = body_put(serving->body, bytes);
    }
    serving->body_left_bytes -= err.code == ERR_OK ? bytes.len : 0;
    if (err.code == ERR_OK && last != (serving->body_left_bytes == 0)) {
        /* The last piece of a frame may be empty: then LAST comes with it. */
        if (last || bytes.len == 0) err = err_make(ERR_SYNTAX, "body of a call");
    }
    if (err.code != ERR_OK) {
        rpc_serving_end(serving, err, span_of(NULL, 0));
    } else if (last) {
        rpc_serving_begin(serving);
    }
}

/* Whether the call may be served at all. */
static struct err rpc_server_check(const struct rpc_link *link, const struct rpc_frame *frame,
                                   const struct rpc_entry **ret)
{
    const struct rpc_server *server = link->holder;
    if (link->leaving || server->draining) return err_make(ERR_UNREACHABLE, "it is leaving");
    if (frame->method >= server->entries_count || server->entries[frame->method].row == NULL) {
        return err_make(ERR_UNSUPPORTED, "method");
    }
    const struct rpc_entry *entry = &server->entries[frame->method];
    if (!(entry->row->roles & (uint32_t)link->peer_role)) {
        return err_make(ERR_DENIED, "a program of this role does not call this method");
    }
    if (frame->body_bytes > RPC_BODY_MAX_BYTES) return err_make(ERR_TOO_BIG, "body of a call");
    *ret = entry;
    return err_ok();
}

static void rpc_server_on_request(struct rpc_link *link, const struct rpc_frame *frame)
{
    struct rpc_server *server = link->holder;
    if (rpc_link_is_stale(link)) { /* it says hello again, with what it is now */
        rpc_link_break(link, err_make(ERR_DENIED, "the incarnation has changed"));
        return;
    }
    struct rpc_serving *serving = rpc_serving_new(server);
    if (serving == NULL) {
        rpc_link_break(link, err_make(ERR_NOMEM, "call"));
        return;
    }
    struct err err = rpc_lane_open(link, &serving->lane, frame->call);
    if (err.code != ERR_OK) { /* a number that is in use: it is no client of ours */
        rpc_serving_free(serving);
        rpc_link_break(link, err);
        return;
    }
    serving->role = link->peer_role;
    serving->body_left_bytes = frame->body_bytes;
    memcpy(serving->trace_id, frame->trace_id, RPC_TRACE_BYTES);
    if (frame->deadline_ms == 0) {
        rpc_link_endless(link, 1);
    } else {
        serving->deadline_ms = loop_now_ms(link->loop) + frame->deadline_ms;
        timer_start(link->loop, &serving->deadline, frame->deadline_ms, rpc_serving_on_deadline,
                    serving);
    }
    const struct rpc_entry *entry = NULL;
    err = rpc_server_check(link, frame, &entry);
    if (err.code == ERR_OK && frame->body_bytes > 0) {
        err = body_new(server->options.budget, &serving->body);
    }
    if (err.code != ERR_OK) {
        struct span why = span_of(err.what, strlen(err.what));
        if (err.code == ERR_DENIED) rpc_link_tell(link, err, why, false);
        rpc_serving_end(serving, err, why);
        return;
    }
    serving->method = entry->method;
    serving->row = entry->row;
    rpc_serving_on_message(serving, frame);
}

void rpc_serving_on_frame(struct rpc_link *link, struct rpc_lane *lane,
                                const struct rpc_frame *frame)
{
    struct rpc_serving *serving = (struct rpc_serving *)lane;
    bool coming = serving != NULL && serving->state == RPC_SERVING_COMING;
    switch (frame->kind) {
    case RPC_REQUEST:
        if (serving == NULL && (frame->flags & RPC_FLAG_FIRST)) {
            rpc_server_on_request(link, frame);
        } else if (coming && serving->request == NULL) {
            rpc_serving_on_message(serving, frame);
        } else if (serving != NULL && serving->state == RPC_SERVING_OPEN) {
            rpc_link_break(link, err_make(ERR_SYNTAX, "number of a call"));
        }
        return; /* else it belongs to a call that we have ended */
    case RPC_DATA:
        if (coming) rpc_serving_on_data(serving, frame);
        return;
    case RPC_CANCEL:
        if (serving != NULL) rpc_serving_cancel(serving, ERR_CANCELLED);
        return;
    case RPC_CREDIT:
        if (serving != NULL) rpc_lane_credit(lane, frame->credit);
        return;
    default: rpc_link_break(link, err_make(ERR_SYNTAX, "frame for a client"));
    }
}

/* ---- what goes out */

void rpc_serving_on_sent(struct rpc_lane *lane)
{
    struct rpc_serving *serving = (struct rpc_serving *)lane;
    if (serving->state == RPC_SERVING_OVER && lane->first == NULL) {
        rpc_serving_free(serving);
        return;
    }
    if (!serving->was_full || lane->data_bytes > RPC_DATA_LOW_BYTES) return;
    serving->was_full = false;
    if (serving->on_ready != NULL) serving->on_ready(serving->ready_holder);
}

static void rpc_serving_on_give_up(struct later *later)
{
    rpc_serving_cancel(LIST_ITEM(later, struct rpc_serving, giving_up), ERR_BUSY);
}

/* Out of memory, or a caller that takes nothing: the call is of no use any more. Its handler hears
 * of it as of a cancel, and not inside what it has just called. */
static void rpc_serving_give_up(struct rpc_serving *serving)
{
    rpc_lane_drop(&serving->lane);
    serving->failed = true;
    later_post(loop_later(serving->server->loop), &serving->giving_up, rpc_serving_on_give_up);
}

static bool rpc_serving_room(struct rpc_serving *serving, struct err err)
{
    if (err.code != ERR_OK) rpc_serving_give_up(serving);
    if (err.code != ERR_OK || serving->lane.data_bytes >= RPC_DATA_HIGH_BYTES) {
        serving->was_full = err.code == ERR_OK;
        return err.code != ERR_OK;
    }
    return true;
}

static bool rpc_serving_is_heard(const struct rpc_serving *serving)
{
    CHECK(serving->state == RPC_SERVING_OPEN);
    return serving->lane.link != NULL && !serving->cancelled && !serving->failed;
}

bool rpc_put_data(struct rpc_serving *serving, struct span bytes)
{
    if (!rpc_serving_is_heard(serving) || bytes.len == 0) return true;
    struct rpc_frame data = { .kind = RPC_DATA };
    return rpc_serving_room(serving, rpc_lane_put(&serving->lane, &data, bytes));
}

bool rpc_put_body(struct rpc_serving *serving, struct body *body, uint64_t offset, uint64_t len)
{
    if (!rpc_serving_is_heard(serving) || len == 0) return true;
    struct rpc_frame data = { .kind = RPC_DATA };
    return rpc_serving_room(serving, rpc_lane_put_body(&serving->lane, &data, body, offset, len));
}

void rpc_put_reply(struct rpc_serving *serving, const void *reply)
{
    struct span message;
    if (!rpc_serving_is_heard(serving)) return;
    struct arena *arena = &serving->arena;
    struct err err = proto_pack(serving->method->reply, reply, arena, &message);
    if (err.code == ERR_OK && message.len > RPC_MESSAGE_MAX_BYTES) err = err_make(ERR_TOO_BIG, "");
    if (err.code == ERR_OK && serving->lane.waiting_bytes > RPC_REPLIES_MAX_BYTES) {
        err = err_make(ERR_BUSY, "");
    }
    struct rpc_frame frame = { .kind = RPC_REPLY, .flags = RPC_FLAG_LAST,
                               .message_bytes = (uint32_t)message.len };
    if (err.code == ERR_OK) err = rpc_lane_put(&serving->lane, &frame, message);
    if (err.code != ERR_OK) rpc_serving_give_up(serving);
}

void rpc_finish(struct rpc_serving *serving, struct err err, struct span info)
{
    CHECK(serving->state == RPC_SERVING_OPEN);
    rpc_serving_end(serving, err, info);
}

/* ---- what the handler asks */

const void *rpc_serving_request(struct rpc_serving *serving) { return serving->request; }
struct body *rpc_serving_body(struct rpc_serving *serving) { return serving->body; }
const struct proto_method *rpc_serving_method(struct rpc_serving *serving)
{
    return serving->method;
}
struct arena *rpc_serving_arena(struct rpc_serving *serving) { return &serving->arena; }
uint64_t rpc_serving_deadline(struct rpc_serving *serving) { return serving->deadline_ms; }
const uint8_t *rpc_serving_trace_id(struct rpc_serving *serving) { return serving->trace_id; }
enum rpc_role rpc_serving_role(struct rpc_serving *serving) { return serving->role; }
bool rpc_serving_cancelled(struct rpc_serving *serving)
{
    return serving->cancelled || serving->failed || serving->lane.link == NULL;
}

void rpc_serving_on_cancel(struct rpc_serving *serving, void (*run)(void *holder), void *holder)
{
    serving->on_cancel = run;
    serving->cancel_holder = holder;
}

void rpc_serving_on_ready(struct rpc_serving *serving, void (*run)(void *holder), void *holder)
{
    serving->on_ready = run;
    serving->ready_holder = holder;
}
