/* The sending half of calls: what waits, and whose turn it is. */
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "rpc_private.h"

enum { RPC_LANES_MIN = 16, RPC_SLOT_BITS = 12 };

_Static_assert(RPC_CALLS_MAX == 1 << RPC_SLOT_BITS, "a call's low bits are its slot");

void rpc_lane_init(struct rpc_lane *lane, uint32_t credit)
{
    *lane = (struct rpc_lane){ .credit = credit };
    list_init(&lane->turn);
}

static void rpc_out_free(struct rpc_out *out)
{
    body_unref(out->body);
    free(out);
}

void rpc_lane_drop(struct rpc_lane *lane)
{
    while (lane->first != NULL) {
        struct rpc_out *next = lane->first->next;
        rpc_out_free(lane->first);
        lane->first = next;
    }
    lane->last = NULL;
    lane->waiting_bytes = lane->data_bytes = 0;
    list_remove(&lane->turn);
}

/* ---- ids */

static struct err rpc_lanes_grow(struct rpc_link *link, uint32_t slot)
{
    uint32_t size = link->lanes_size == 0 ? RPC_LANES_MIN : link->lanes_size;
    while (size <= slot) size *= 2;
    if (size == link->lanes_size) return err_ok();
    struct rpc_lane **lanes = realloc(link->lanes, size * sizeof(*lanes));
    if (lanes == NULL) return err_make(ERR_NOMEM, "calls");
    for (uint32_t i = link->lanes_size; i < size; i++) lanes[i] = NULL;
    link->lanes = lanes;
    link->lanes_size = size;
    return err_ok();
}

/* A free slot. They are used in turn, so that the table stays as large as there are calls. */
static uint32_t rpc_slot_free(const struct rpc_link *link)
{
    for (uint32_t i = 0; i < link->lanes_size; i++) {
        uint32_t slot = (link->next_slot + i) & (link->lanes_size - 1);
        if (link->lanes[slot] == NULL) return slot;
    }
    return link->lanes_size;
}

struct err rpc_lane_open(struct rpc_link *link, struct rpc_lane *lane, uint32_t call)
{
    uint32_t slot = call & (RPC_CALLS_MAX - 1);
    if (call == 0) {
        if (link->lanes_count >= RPC_CALLS_MAX) return err_make(ERR_BUSY, "calls on a connection");
        slot = rpc_slot_free(link);
    }
    TRY(rpc_lanes_grow(link, slot));
    if (link->lanes[slot] != NULL) return err_make(ERR_EXISTS, "number of a call");
    if (call == 0) {
        link->next_slot = slot + 1;
        link->generation = (link->generation + 1) & ((1u << (32 - RPC_SLOT_BITS)) - 1);
        if (link->generation == 0) link->generation = 1; /* 0 is no call */
        call = link->generation << RPC_SLOT_BITS | slot;
    }
    link->lanes[slot] = lane;
    link->lanes_count++;
    lane->link = link;
    lane->call = call;
    return err_ok();
}

void rpc_lane_close(struct rpc_lane *lane)
{
    rpc_lane_drop(lane);
    struct rpc_link *link = lane->link;
    if (link == NULL) return;
    uint32_t slot = lane->call & (RPC_CALLS_MAX - 1);
    CHECK(slot < link->lanes_size && link->lanes[slot] == lane);
    link->lanes[slot] = NULL;
    link->lanes_count--;
    lane->link = NULL;
    lane->call = 0;
}

/* ---- sending */

static bool rpc_lane_may_send(const struct rpc_lane *lane)
{
    if (lane->first == NULL) return false;
    return lane->first->frame.kind != RPC_DATA || lane->credit > 0 ||
           lane->first->at == lane->first->end;
}

static void rpc_link_pump(struct later *later);

void rpc_lane_ready(struct rpc_lane *lane)
{
    struct rpc_link *link = lane->link;
    if (link == NULL || !rpc_lane_may_send(lane) || !list_is_empty(&lane->turn)) return;
    list_add(&link->ready, &lane->turn);
    if (!later_is_posted(&link->pump) && link->conn != NULL) {
        later_post(loop_later(link->loop), &link->pump, rpc_link_pump);
    }
}

static bool rpc_link_has_room(const struct rpc_link *link)
{
    return link->conn != NULL && conn_waiting_bytes(link->conn) < CONN_OUT_HIGH_BYTES;
}

static void rpc_send(struct rpc_link *link, const struct rpc_frame *frame, struct span bytes)
{
    char head[RPC_HEAD_MAX_BYTES];
    size_t len = rpc_frame_head(frame, bytes.len, head);
    struct err err = conn_send(link->conn, span_of(head, len));
    if (err.code == ERR_OK) err = conn_send(link->conn, bytes);
    if (err.code != ERR_OK) rpc_link_break(link, err);
}

static void rpc_send_body(struct rpc_link *link, const struct rpc_frame *frame, struct body *body,
                          uint64_t at, uint64_t len)
{
    char head[RPC_HEAD_MAX_BYTES];
    size_t head_len = rpc_frame_head(frame, (size_t)len, head);
    struct err err = conn_send(link->conn, span_of(head, head_len));
    if (err.code == ERR_OK) err = conn_send_body(link->conn, body, at, len);
    if (err.code != ERR_OK) rpc_link_break(link, err);
}

/* One frame of the first thing that waits in the lane. */
static void rpc_lane_send(struct rpc_lane *lane)
{
    struct rpc_out *out = lane->first;
    uint64_t len = out->end - out->at;
    bool data = out->frame.kind == RPC_DATA;
    if (len > RPC_PAYLOAD_MAX_BYTES) len = RPC_PAYLOAD_MAX_BYTES;
    if (data && len > lane->credit) len = lane->credit;
    bool ends = out->at + len == out->end;
    struct rpc_frame frame = out->frame;
    frame.call = lane->call;
    frame.flags = 0;
    if (!out->begun && !data && frame.kind != RPC_END) frame.flags |= RPC_FLAG_FIRST;
    if (ends && out->last) frame.flags |= RPC_FLAG_LAST;
    out->begun = true;
    if (out->body != NULL) {
        rpc_send_body(lane->link, &frame, out->body, out->at, len);
    } else {
        rpc_send(lane->link, &frame, span_of(out->bytes + out->at, (size_t)len));
    }
    if (lane->first != out) return;
    out->at += len;
    lane->waiting_bytes -= len;
    if (data) {
        lane->data_bytes -= len;
        if (lane->credit != RPC_DATA_UNLIMITED) lane->credit -= (uint32_t)len;
    }
    if (!ends) return;
    lane->first = out->next;
    if (lane->first == NULL) lane->last = NULL;
    rpc_out_free(out);
}

/* A frame for each lane in turn, as long as the connection takes them. */
static void rpc_link_pump(struct later *later)
{
    struct rpc_link *link = LIST_ITEM(later, struct rpc_link, pump);
    while (rpc_link_has_room(link) && !list_is_empty(&link->ready)) {
        struct rpc_lane *lane = LIST_ITEM(link->ready.next, struct rpc_lane, turn);
        list_remove(&lane->turn);
        if (!rpc_lane_may_send(lane)) continue;
        rpc_lane_send(lane);
        if (rpc_lane_may_send(lane)) list_add(&link->ready, &lane->turn);
        link->calls->sent(lane);
    }
}

static struct rpc_out *rpc_out_new(const struct rpc_frame *frame, size_t bytes)
{
    struct rpc_out *out = malloc(sizeof(*out) + bytes);
    if (out == NULL) return NULL;
    *out = (struct rpc_out){ .frame = *frame, .last = (frame->flags & RPC_FLAG_LAST) != 0 };
    return out;
}

static void rpc_lane_add(struct rpc_lane *lane, struct rpc_out *out)
{
    if (lane->first == NULL) {
        lane->first = out;
    } else {
        lane->last->next = out;
    }
    lane->last = out;
    lane->waiting_bytes += out->end - out->at;
    if (out->frame.kind == RPC_DATA) lane->data_bytes += out->end - out->at;
    rpc_lane_ready(lane);
}

/* The ordinary case: what is small goes straight to the connection's buffer, and so leaves with
 * what was put before it. Makes its frame. */
static bool rpc_lane_puts_now(struct rpc_lane *lane, const struct rpc_frame *frame, uint64_t len,
                              struct rpc_frame *now)
{
    if (lane->link == NULL || lane->first != NULL) return false;
    if (len > RPC_PAYLOAD_MAX_BYTES || !rpc_link_has_room(lane->link)) return false;
    bool data = frame->kind == RPC_DATA;
    if (data && len > lane->credit) return false;
    *now = *frame;
    now->call = lane->call;
    if (!data && now->kind != RPC_END) now->flags |= RPC_FLAG_FIRST;
    if (data && lane->credit != RPC_DATA_UNLIMITED) lane->credit -= (uint32_t)len;
    return true;
}

struct err rpc_lane_put(struct rpc_lane *lane, const struct rpc_frame *frame, struct span bytes)
{
    struct rpc_frame now;
    if (rpc_lane_puts_now(lane, frame, bytes.len, &now)) {
        rpc_send(lane->link, &now, bytes);
        return err_ok();
    }
    struct rpc_out *out = rpc_out_new(frame, bytes.len);
    if (out == NULL) return err_make(ERR_NOMEM, "call");
    if (bytes.len > 0) memcpy(out->bytes, bytes.ptr, bytes.len);
    out->end = bytes.len;
    rpc_lane_add(lane, out);
    return err_ok();
}

struct err rpc_lane_put_body(struct rpc_lane *lane, const struct rpc_frame *frame,
                             struct body *body, uint64_t at, uint64_t len)
{
    struct rpc_frame now;
    if (rpc_lane_puts_now(lane, frame, len, &now)) {
        rpc_send_body(lane->link, &now, body, at, len);
        return err_ok();
    }
    struct rpc_out *out = rpc_out_new(frame, 0);
    if (out == NULL) return err_make(ERR_NOMEM, "call");
    out->body = body_ref(body);
    out->at = at;
    out->end = at + len;
    rpc_lane_add(lane, out);
    return err_ok();
}

void rpc_lane_credit(struct rpc_lane *lane, uint32_t credit)
{
    lane->credit = credit > RPC_CREDIT_BYTES - lane->credit ? RPC_CREDIT_BYTES
                                                           : lane->credit + credit;
    rpc_lane_ready(lane);
}

void rpc_link_drained(struct rpc_link *link)
{
    if (!list_is_empty(&link->ready) && !later_is_posted(&link->pump)) {
        later_post(loop_later(link->loop), &link->pump, rpc_link_pump);
    }
}

/* ---- messages that come in */

void rpc_message_free(struct rpc_link *link, struct rpc_message *message)
{
    if (message->bytes == NULL) return;
    if (link != NULL) link->messages_bytes -= message->size;
    free(message->bytes);
    *message = (struct rpc_message){ .bytes = NULL };
}

struct err rpc_message_take(struct rpc_link *link, struct rpc_message *message,
                            const struct rpc_frame *frame, struct span *whole, bool *is_whole)
{
    bool first = (frame->flags & RPC_FLAG_FIRST) != 0, last = (frame->flags & RPC_FLAG_LAST) != 0;
    if (first != (message->bytes == NULL)) return err_make(ERR_SYNTAX, "pieces of a message");
    if (first && last) {
        if (frame->payload.len != frame->message_bytes) return err_make(ERR_SYNTAX, "message");
        *whole = frame->payload;
        *is_whole = true;
        return err_ok();
    }
    if (first) {
        if (link->messages_bytes + frame->message_bytes > RPC_MESSAGES_MAX_BYTES) {
            return err_make(ERR_BUSY, "messages of a connection");
        }
        message->bytes = malloc((size_t)frame->message_bytes + 1);
        if (message->bytes == NULL) return err_make(ERR_NOMEM, "message");
        message->size = frame->message_bytes;
        message->len = 0;
        link->messages_bytes += message->size;
    }
    if (frame->payload.len > message->size - message->len) return err_make(ERR_SYNTAX, "message");
    if (frame->payload.len > 0) {
        memcpy(message->bytes + message->len, frame->payload.ptr, frame->payload.len);
    }
    message->len += (uint32_t)frame->payload.len;
    if (!last) return err_ok();
    if (message->len != message->size) return err_make(ERR_SYNTAX, "message");
    *whole = span_of(message->bytes, message->len);
    *is_whole = true;
    return err_ok();
}
