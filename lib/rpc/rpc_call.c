#include <stdlib.h>

#include "body.h"
#include "proto_message.h"
#include "rpc_client_private.h"

/* ---- the end of calls */

void rpc_call_free(struct rpc_call *call)
{
    struct rpc_client *client = call->client;
    list_remove(&call->link);
    if (client == NULL || client->pool_count == RPC_POOL_MAX) {
        free(call);
        return;
    }
    client->pool_count++;
    list_add(&client->pool, &call->link);
}

void rpc_call_leave(struct rpc_call *call)
{
    struct rpc_link *link = call->lane.link;
    rpc_message_free(link, &call->message);
    rpc_lane_close(&call->lane);
}

void rpc_call_end(struct rpc_call *call, struct err err, struct span info, bool leaves)
{
    struct rpc_link *link = call->lane.link;
    timer_stop(&call->deadline);
    later_cancel(&call->cancel);
    list_remove(&call->link);
    if (call->state == RPC_CALL_WAITING) call->client->waiting_count--;
    if (link != NULL && call->deadline_ms == 0) rpc_link_endless(link, -1);
    const struct rpc_call_user *user = call->user;
    void *holder = call->holder;
    if (link != NULL && !leaves) {
        struct rpc_frame cancel = { .kind = RPC_CANCEL, .call = call->lane.call };
        bool begun = call->lane.first == NULL || call->lane.first->begun ||
                     call->lane.first->frame.kind == RPC_DATA;
        rpc_lane_drop(&call->lane);
        rpc_message_free(link, &call->message);
        if (begun) {
            rpc_link_say(link, &cancel);
        } else {
            leaves = true; /* the server has never heard of it */
        }
    }
    call->state = RPC_CALL_OVER;
    if (leaves || link == NULL) rpc_call_leave(call);
    /* The memory stays until the user knows, since the pointer is how the user knows the call. */
    struct rpc_client *client = call->client;
    bool kept = call->lane.link != NULL;
    rpc_client_enter(client);
    user->done(holder, call, err, info);
    if (!kept) rpc_call_free(call);
    rpc_client_exit(client);
}

static void rpc_call_on_deadline(void *holder)
{
    rpc_call_end(holder, err_make(ERR_TIMEOUT, "call"), span_of(NULL, 0), false);
}

static void rpc_call_on_cancel(struct later *later)
{
    struct rpc_call *call = LIST_ITEM(later, struct rpc_call, cancel);
    rpc_call_end(call, err_make(ERR_CANCELLED, "call"), span_of(NULL, 0), false);
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (call->state == RPC_CALL_OVER || later_is_posted(&call->cancel)) return;
    later_post(loop_later(call->client->loop), &call->cancel, rpc_call_on_cancel);
}

void rpc_call_attach(struct rpc_call *call, struct rpc_link *link)
{
    struct rpc_client *client = call->client;
    struct err err = rpc_lane_open(link, &call->lane, 0);
    if (err.code != ERR_OK) {
        rpc_call_end(call, err, span_of(NULL, 0), true);
        return;
    }
    list_remove(&call->link);
    list_add(&client->open, &call->link);
    client->waiting_count--;
    call->state = RPC_CALL_OPEN;
    if (call->deadline_ms == 0) {
        rpc_link_endless(link, 1);
    } else if (call->lane.first != NULL) {
        /* What is left of it after the wait travels with the call. */
        uint64_t now_ms = loop_now_ms(client->loop);
        uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
        call->lane.first->frame.deadline_ms = (uint32_t)left_ms;
    }
    rpc_lane_ready(&call->lane);
}

/* ---- what comes in */

static void rpc_call_on_data(struct rpc_call *call, const struct rpc_frame *frame)
{
    struct span bytes = frame->payload;
    if (bytes.len > call->granted) {
        rpc_link_break(call->lane.link, err_make(ERR_SYNTAX, "data beyond the credit"));
        return;
    }
    call->granted -= (uint32_t)bytes.len;
    if (call->state == RPC_CALL_OVER || bytes.len == 0) return;
    if (call->user->data == NULL) {
        rpc_call_took(call, bytes.len);
    } else {
        call->user->data(call->holder, call, bytes);
    }
}

/* The struct is made in the client's scratch arena, which is taken out meanwhile: its receiver may
 * start calls, which pack, or free the client. */
static void rpc_call_on_reply(struct rpc_call *call, const struct rpc_frame *frame)
{
    struct rpc_link *link = call->lane.link;
    struct rpc_client *client = call->client;
    struct span bytes = span_of(NULL, 0);
    bool whole = false;
    if (call->state == RPC_CALL_OVER) return;
    struct err err = rpc_message_take(link, &call->message, frame, &bytes, &whole);
    if (err.code == ERR_OK && !whole) return;
    struct arena arena = client->scratch;
    arena_init(&client->scratch, RPC_ARENA_MAX_BYTES);
    const struct proto_type *type = call->method->reply;
    void *reply = arena_alloc(&arena, type->size);
    if (err.code == ERR_OK && reply == NULL) err = err_make(ERR_NOMEM, "reply");
    if (err.code == ERR_OK) err = proto_unpack(type, bytes, &arena, reply);
    rpc_message_free(link, &call->message);
    if (err.code != ERR_OK) {
        rpc_call_end(call, err, span_of(NULL, 0), false);
        arena_clear(&arena);
        return;
    }
    if (call->user->reply != NULL) call->user->reply(call->holder, call, reply);
    if (link->holder == NULL || client->scratch.chunks != NULL) {
        arena_clear(&arena);
        return;
    }
    arena_reset(&arena);
    client->scratch = arena;
}

static void rpc_call_on_end(struct rpc_call *call, const struct rpc_frame *frame)
{
    struct rpc_link *link = call->lane.link;
    if (call->state == RPC_CALL_OVER) {
        rpc_call_leave(call);
        rpc_call_free(call);
    } else {
        struct err err = err_make(err_code_of(frame->error), "call");
        rpc_call_end(call, err, frame->payload, true);
    }
    rpc_client_link_check(link);
}

void rpc_call_on_frame(struct rpc_link *link, struct rpc_lane *lane, const struct rpc_frame *frame)
{
    struct rpc_call *call = (struct rpc_call *)lane;
    if (call == NULL) return; /* it is over for both sides */
    switch (frame->kind) {
    case RPC_DATA: rpc_call_on_data(call, frame); return;
    case RPC_REPLY: rpc_call_on_reply(call, frame); return;
    case RPC_END: rpc_call_on_end(call, frame); return;
    default: rpc_link_break(link, err_make(ERR_SYNTAX, "frame for a server"));
    }
}

/* ---- what the user calls */

void rpc_call_took(struct rpc_call *call, size_t count)
{
    if (call->state != RPC_CALL_OPEN || call->lane.link == NULL) return;
    uint32_t room = RPC_CREDIT_BYTES - call->granted - call->taken;
    call->taken += count < room ? (uint32_t)count : room;
    if (call->taken < RPC_CREDIT_BYTES / 4) return; /* several in one frame */
    struct rpc_frame credit = { .kind = RPC_CREDIT, .call = call->lane.call,
                                .credit = call->taken };
    call->granted += call->taken;
    call->taken = 0;
    rpc_link_say(call->lane.link, &credit);
}

static struct rpc_call *rpc_call_new(struct rpc_client *client)
{
    struct rpc_call *call;
    if (client->pool_count > 0) {
        call = LIST_ITEM(client->pool.next, struct rpc_call, link);
        list_remove(&call->link);
        client->pool_count--;
    } else {
        call = malloc(sizeof(*call));
        if (call == NULL) return NULL;
    }
    *call = (struct rpc_call){ .client = client, .granted = RPC_CREDIT_BYTES };
    rpc_lane_init(&call->lane, RPC_DATA_UNLIMITED);
    list_init(&call->link);
    return call;
}

/* Puts request and body into the lane: out at once when the link has room. */
static struct err rpc_call_put(struct rpc_call *call, struct span message,
                               const struct rpc_call_options *options)
{
    struct rpc_frame frame = {
        .kind = RPC_REQUEST,
        .flags = RPC_FLAG_LAST,
        .method = call->method->number,
        .message_bytes = (uint32_t)message.len,
        .body_bytes = options->body == NULL ? 0 : body_size(options->body),
        .deadline_ms = options->deadline_ms > UINT32_MAX ? UINT32_MAX
                                                         : (uint32_t)options->deadline_ms,
    };
    memcpy(frame.trace_id, options->trace_id, RPC_TRACE_BYTES);
    TRY(rpc_lane_put(&call->lane, &frame, message));
    if (frame.body_bytes == 0) return err_ok();
    struct rpc_frame data = { .kind = RPC_DATA, .flags = RPC_FLAG_LAST };
    return rpc_lane_put_body(&call->lane, &data, options->body, 0, frame.body_bytes);
}

static struct err rpc_call_begin(struct rpc_call *call, struct span message,
                                 const struct rpc_call_options *options)
{
    struct rpc_client *client = call->client;
    if (client->link != NULL && client->link->said_hello && rpc_link_is_stale(client->link)) {
        rpc_client_leave(client);
    }
    struct rpc_link *link = client->link;
    bool up = link != NULL && link->said_hello && link->conn != NULL;
    if (up) TRY(rpc_lane_open(link, &call->lane, 0));
    if (!up && client->waiting_count >= RPC_CALLS_MAX) return err_make(ERR_BUSY, "calls");
    struct err err = rpc_call_put(call, message, options);
    if (err.code != ERR_OK) {
        /* Part of it may have left, and then its number is in use: out of memory ends the link. */
        if (up && call->lane.first == NULL) rpc_link_break(link, err);
        return err;
    }
    uint64_t now_ms = loop_now_ms(client->loop);
    if (options->deadline_ms > 0) {
        call->deadline_ms = now_ms + options->deadline_ms;
        timer_start(client->loop, &call->deadline, options->deadline_ms, rpc_call_on_deadline,
                    call);
    }
    if (up) {
        call->state = RPC_CALL_OPEN;
        list_add(&client->open, &call->link);
        if (options->deadline_ms == 0) rpc_link_endless(link, 1);
        return err_ok();
    }
    call->state = RPC_CALL_WAITING;
    list_add(&client->waiting, &call->link);
    client->waiting_count++;
    rpc_client_want(client);
    return err_ok();
}

struct err rpc_call_start(struct rpc_client *client, const struct proto_method *method,
                          const void *request, const struct rpc_call_options *options,
                          const struct rpc_call_user *user, void *holder, struct rpc_call **ret)
{
    struct span message;
    if (options->body != NULL && body_size(options->body) > RPC_BODY_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "body of a call");
    }
    struct rpc_call *call = rpc_call_new(client);
    if (call == NULL) return err_make(ERR_NOMEM, "call");
    call->method = method;
    call->user = user;
    call->holder = holder;
    struct err err = proto_pack(method->request, request, &client->scratch, &message);
    if (err.code == ERR_OK && message.len > RPC_MESSAGE_MAX_BYTES) {
        err = err_make(ERR_TOO_BIG, "message of a call");
    }
    if (err.code == ERR_OK) err = rpc_call_begin(call, message, options);
    arena_reset(&client->scratch);
    if (err.code != ERR_OK) {
        rpc_call_leave(call);
        rpc_call_free(call);
        return err;
    }
    *ret = call;
    return err_ok();
}
