/* One connection between two programs: bytes to frames, hello, PING. */
#include <stdlib.h>

#include "check.h"
#include "rpc_private.h"

struct rpc_link *rpc_link_new(struct loop *loop, const struct rpc_link_user *calls, void *holder,
                              const struct rpc_link_options *options)
{
    struct rpc_link *link = calloc(1, sizeof(*link));
    if (link == NULL) return NULL;
    link->loop = loop;
    link->calls = calls;
    link->holder = holder;
    link->self = options->self;
    link->ping_ms = options->ping_ms == 0 ? RPC_PING_MS : options->ping_ms;
    link->why = err_ok();
    list_init(&link->link);
    list_init(&link->ready);
    return link;
}

void rpc_link_free(struct rpc_link *link)
{
    CHECK(link->conn == NULL && link->lanes_count == 0);
    timer_stop(&link->timer);
    later_cancel(&link->pump);
    list_remove(&link->link);
    free(link->lanes);
    free(link);
}

void rpc_link_break(struct rpc_link *link, struct err why)
{
    if (link->conn == NULL) return;
    if (link->why.code == ERR_OK) link->why = why;
    conn_abort(link->conn, why);
}

void rpc_link_break_late(void *holder)
{
    rpc_link_break(holder, err_make(ERR_TIMEOUT, "no hello in time"));
}

void rpc_link_say(struct rpc_link *link, const struct rpc_frame *frame)
{
    char head[RPC_HEAD_MAX_BYTES];
    if (link->conn == NULL) return;
    size_t len = rpc_frame_head(frame, frame->payload.len, head);
    struct err err = conn_send(link->conn, span_of(head, len));
    if (err.code == ERR_OK && frame->payload.len > 0) err = conn_send(link->conn, frame->payload);
    /* A peer that reads nothing while it makes us answer is of no use. */
    if (err.code != ERR_OK) rpc_link_break(link, err);
}

/* ---- PING */

static void rpc_link_on_ping_due(void *holder)
{
    struct rpc_link *link = holder;
    if (link->endless == 0 || link->conn == NULL) return;
    if (!link->heard && link->ping_waits) {
        rpc_link_break(link, err_make(ERR_TIMEOUT, "PING"));
        return;
    }
    if (!link->heard) {
        struct rpc_frame ping = { .kind = RPC_PING };
        link->ping_waits = true;
        rpc_link_say(link, &ping);
    }
    link->heard = false;
    timer_start(link->loop, &link->timer, link->ping_ms, rpc_link_on_ping_due, link);
}

void rpc_link_endless(struct rpc_link *link, int change)
{
    CHECK(change > 0 || link->endless > 0);
    link->endless = change > 0 ? link->endless + 1 : link->endless - 1;
    if (link->endless == 0) {
        if (link->said_hello) timer_stop(&link->timer);
        return;
    }
    if (timer_is_armed(&link->timer)) return;
    link->heard = true;
    link->ping_waits = false;
    timer_start(link->loop, &link->timer, link->ping_ms, rpc_link_on_ping_due, link);
}

static void rpc_link_on_ping(struct rpc_link *link, const struct rpc_frame *frame)
{
    struct rpc_frame answer = { .kind = RPC_PING, .flags = RPC_FLAG_ANSWER };
    if (!(frame->flags & RPC_FLAG_ANSWER)) rpc_link_say(link, &answer);
}

/* ---- what comes in */

static struct rpc_lane *rpc_link_lane(const struct rpc_link *link, uint32_t call)
{
    uint32_t slot = call & (RPC_CALLS_MAX - 1);
    if (slot >= link->lanes_size) return NULL;
    struct rpc_lane *lane = link->lanes[slot];
    return lane != NULL && lane->call == call ? lane : NULL;
}

static void rpc_link_frame(struct rpc_link *link, const struct rpc_frame *frame)
{
    link->heard = true;
    link->ping_waits = false;
    if (!link->said_hello && frame->kind != RPC_HELLO && frame->kind != RPC_GOAWAY) {
        rpc_link_break(link, err_make(ERR_SYNTAX, "no hello"));
        return;
    }
    switch (frame->kind) {
    case RPC_HELLO:
        if (link->said_hello) {
            rpc_link_break(link, err_make(ERR_SYNTAX, "second hello"));
        } else {
            link->calls->hello(link, frame);
        }
        return;
    case RPC_PING: rpc_link_on_ping(link, frame); return;
    case RPC_GOAWAY: link->calls->goaway(link, frame); return;
    default: link->calls->frame(link, rpc_link_lane(link, frame->call), frame);
    }
}

static size_t rpc_link_on_bytes(void *user, struct conn *conn, struct span in)
{
    struct rpc_link *link = user;
    size_t done = 0;
    (void)conn;
    while (link->why.code == ERR_OK) {
        struct rpc_frame frame;
        size_t used = 0;
        struct span rest = span_skip(in, done);
        enum rpc_decoded decoded = rpc_frame_take(&link->decoder, rest, &frame, &used);
        if (decoded == RPC_MORE) return done;
        if (decoded == RPC_BAD) {
            rpc_link_break(link, err_make(ERR_SYNTAX, "bytes that are no frame"));
            return done;
        }
        done += used;
        rpc_link_frame(link, &frame);
    }
    return done;
}

static void rpc_link_on_closed(void *user, struct err why)
{
    struct rpc_link *link = user;
    link->conn = NULL;
    later_cancel(&link->pump);
    timer_stop(&link->timer);
    link->calls->closed(link, link->why.code != ERR_OK ? link->why : why);
}

static void rpc_link_on_ready(void *user, struct conn *conn)
{
    struct rpc_link *link = user;
    (void)conn;
    link->calls->ready(link);
}

static void rpc_link_on_drained(void *user, struct conn *conn)
{
    (void)conn;
    rpc_link_drained(user);
}

const struct conn_user rpc_link_conn_user = {
    .bytes = rpc_link_on_bytes,
    .closed = rpc_link_on_closed,
    .ready = rpc_link_on_ready,
    .drained = rpc_link_on_drained,
};
