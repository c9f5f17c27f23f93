#include "route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "check.h"
#include "list.h"
#include "loop.h"
#include "place_map.h"
#include "proto_message.h"
#include "rpc_client.h"
#include "rpc_name.h"
#include "timer.h"

enum { ROUTE_ADDRESS_MAX_BYTES = 256 };

/* One node, by address. Clients are made when first needed and stay, for nodes are few; but when
 * the table is full, one that no call is under way at makes room: addresses come and go. */
struct route_node {
    char address[ROUTE_ADDRESS_MAX_BYTES];
    size_t len, calls;
    struct rpc_client *client;
};

struct route {
    struct loop *loop;
    struct place_map *map;
    struct rpc_self *self;
    struct route_node nodes[ROUTE_NODES_MAX];
    size_t nodes_count;
    struct list calls;
};

/* Freed in route_end() and nowhere else: after its done(). */
struct route_call {
    struct list link;
    struct route *route;
    const struct proto_method *method;
    const void *request;
    const struct route_call_user *user;
    void *holder;
    struct rpc_call *rpc; /* under way at a node; NULL while it waits to be tried again */
    struct route_node *node; /* that was asked last */
    struct timer retry;   /* also says an end that is due on a later turn */
    struct body *body;
    uint64_t until_ms; /* clock_boot_ms(), UINT64_MAX: no deadline */
    unsigned slot, wait_ms;
    struct err end;       /* what the retry timer is to say, once the call is over */
    bool answered, cancelled, once;
    bool moved;           /* given up at its node, since the map names another */
    uint8_t trace_id[16];
    char redirect[ROUTE_ADDRESS_MAX_BYTES]; /* where the last MOVED sent us; empty: by the map */
};

struct err route_new(struct loop *loop, struct place_map *map, struct rpc_self *self,
                     struct route **ret)
{
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL) return err_make(ERR_NOMEM, "route");
    route->loop = loop;
    route->map = place_map_ref(map);
    route->self = self;
    list_init(&route->calls);
    *ret = route;
    return err_ok();
}

const struct place_map *route_map(const struct route *route) { return route->map; }

/* A place in the table for one more node; NULL: there is a call under way at each. */
static struct route_node *route_room(struct route *route)
{
    if (route->nodes_count < ROUTE_NODES_MAX) return &route->nodes[route->nodes_count++];
    for (size_t i = 0; i < route->nodes_count; i++) {
        struct route_node *node = &route->nodes[i];
        if (node->calls > 0) continue;
        rpc_client_free(node->client);
        *node = (struct route_node){ .len = 0 };
        return node;
    }
    return NULL;
}

/* The node at an address; its client is made when there is none yet. */
static struct err route_node(struct route *route, struct span address, struct route_node **ret)
{
    struct rpc_client *client;
    for (size_t i = 0; i < route->nodes_count; i++) {
        *ret = &route->nodes[i];
        if (span_eq(span_of((*ret)->address, (*ret)->len), address)) return err_ok();
    }
    if (address.len >= ROUTE_ADDRESS_MAX_BYTES) return err_make(ERR_SYNTAX, "node address");
    char text[ROUTE_ADDRESS_MAX_BYTES];
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    struct rpc_client_options options = { .address = text,
                                          .self = route->self,
                                          .peer_roles = RPC_ROLE_STORAGE_NODE };
    TRY(rpc_client_new(route->loop, &options, &client));
    struct route_node *node = route_room(route);
    if (node == NULL) {
        rpc_client_free(client);
        return err_make(ERR_BUSY, "storage nodes");
    }
    memcpy(node->address, text, address.len + 1);
    node->len = address.len;
    node->client = client;
    *ret = node;
    return err_ok();
}

static void route_end(struct route_call *call, struct err err, struct span info)
{
    timer_stop(&call->retry);
    list_remove(&call->link);
    call->user->done(call->holder, call, call->cancelled ? err_make(ERR_CANCELLED, "call") : err,
                     info);
    body_unref(call->body);
    free(call);
}

static struct err route_try(struct route_call *call);

static void route_retry(void *holder)
{
    struct route_call *call = holder;
    if (call->cancelled || call->end.code != ERR_OK) {
        route_end(call, call->end, SPAN(""));
        return;
    }
    struct err err = route_try(call);
    if (err.code != ERR_OK) route_end(call, err, SPAN(""));
}

/* Whether the same request may be sent again after this. */
static bool route_is_retried(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_MOVED || code == ERR_BUSY || code == ERR_UNKNOWN;
}

/* Has the call tried again after a while, unless its deadline comes before. */
static bool route_again(struct route_call *call)
{
    uint64_t now = loop_now_ms(call->route->loop);
    if (call->until_ms != UINT64_MAX && now + call->wait_ms >= call->until_ms) return false;
    timer_start(call->route->loop, &call->retry, call->wait_ms, route_retry, call);
    call->wait_ms = call->wait_ms * 2 > ROUTE_RETRY_MAX_MS ? ROUTE_RETRY_MAX_MS : call->wait_ms * 2;
    return true;
}

static void route_on_data(void *holder, struct rpc_call *rpc, struct span bytes)
{
    struct route_call *call = holder;
    call->answered = true;
    if (call->cancelled || call->user->data == NULL) {
        rpc_call_took(rpc, bytes.len);
        return;
    }
    call->user->data(call->holder, call, bytes);
}

static void route_on_reply(void *holder, struct rpc_call *rpc, const void *reply)
{
    struct route_call *call = holder;
    (void)rpc;
    call->answered = true;
    if (call->cancelled || call->user->reply == NULL) return;
    call->user->reply(call->holder, call, reply);
}

/* To where the node says; the words of one that knows no better are no address. */
static void route_redirect(struct route_call *call, struct span info)
{
    if (info.len == 0 || info.len >= ROUTE_ADDRESS_MAX_BYTES) return;
    memcpy(call->redirect, info.ptr, info.len);
    call->redirect[info.len] = '\0';
    if (memchr(info.ptr, '\0', info.len) != NULL || !rpc_client_address_fits(call->redirect)) {
        call->redirect[0] = '\0';
    }
}

static void route_on_done(void *holder, struct rpc_call *rpc, struct err err, struct span info)
{
    struct route_call *call = holder;
    struct span reason;
    (void)rpc;
    call->rpc = NULL;
    call->node->calls--;
    call->redirect[0] = '\0';
    if (call->moved && err.code == ERR_CANCELLED) err = err_make(ERR_MOVED, "another node leads");
    call->moved = false;
    /* A node that does not take us says nothing about the call: mail must not bounce for it. */
    if (err.code != ERR_OK && err.code == rpc_client_refusal(call->node->client, &reason)) {
        err = err_make(ERR_UNREACHABLE, "the storage node refuses this program, or we refuse it");
    }
    if (call->cancelled || call->once || err.code == ERR_OK || !route_is_retried(err.code)) {
        route_end(call, err, info);
        return;
    }
    if (call->answered) {
        route_end(call, err_make(ERR_UNKNOWN, "the answer broke off"), info);
        return;
    }
    if (err.code == ERR_MOVED) route_redirect(call, info);
    if (!route_again(call)) route_end(call, err, info);
}

static const struct rpc_call_user route_rpc_user = { route_on_data, route_on_reply, route_on_done };

/* Where the call goes: by the last redirect, else by the map. Empty: nobody is known to lead the
 * shard. ERR_NOT_FOUND: there is no such shard. */
static struct err route_address(const struct route_call *call, struct span *ret)
{
    const struct place_map *map = call->route->map;
    *ret = span_of(call->redirect, strlen(call->redirect));
    if (ret->len > 0) return err_ok();
    unsigned shard = call->slot & ~ROUTE_SHARD;
    if ((call->slot & ROUTE_SHARD) == 0) shard = place_map_shard(map, (uint16_t)call->slot);
    if (shard >= place_map_shards(map)) return err_make(ERR_NOT_FOUND, "shard");
    *ret = place_map_address(map, shard);
    return err_ok();
}

/* The map names another node than the one that was asked. What waits to be tried again is so at
 * once. What is under way there is given up and asked of the new one, under the same operation id:
 * the old one may be dead without a word. An answer that has begun goes on where it is, but for
 * those that never end. */
static void route_follow(struct route_call *call)
{
    struct span address;
    if (call->cancelled || call->moved || call->end.code != ERR_OK) return;
    bool waits = call->rpc == NULL;
    bool stays = call->answered && call->until_ms != UINT64_MAX;
    call->redirect[0] = '\0';
    if (route_address(call, &address).code != ERR_OK || address.len == 0 || stays) return;
    if (call->node != NULL && span_eq(span_of(call->node->address, call->node->len), address))
        return;
    call->wait_ms = ROUTE_RETRY_FIRST_MS;
    if (waits) {
        timer_start(call->route->loop, &call->retry, TIMER_WAIT_MIN_MS, route_retry, call);
        return;
    }
    call->moved = true;
    rpc_call_cancel(call->rpc); /* its done() goes on */
}

void route_set_map(struct route *route, struct place_map *map)
{
    struct place_map *old = route->map;
    route->map = place_map_ref(map);
    place_map_unref(old);
    for (struct list *at = route->calls.next; at != &route->calls; at = at->next)
        route_follow(LIST_ITEM(at, struct route_call, link));
}

/* Sends the request to the node of the moment; waits for a map that knows one. */
static struct err route_try(struct route_call *call)
{
    struct span address;
    TRY(route_address(call, &address));
    if (address.len == 0) {
        return route_again(call) ? err_ok() : err_make(ERR_UNREACHABLE, "leader of the shard");
    }
    TRY(route_node(call->route, address, &call->node));
    uint64_t now = loop_now_ms(call->route->loop);
    struct rpc_call_options options = { .body = call->body };
    if (call->until_ms != UINT64_MAX) {
        if (now >= call->until_ms) return err_make(ERR_TIMEOUT, "call to a storage node");
        options.deadline_ms = call->until_ms - now;
    }
    memcpy(options.trace_id, call->trace_id, sizeof(options.trace_id));
    TRY(rpc_call_start(call->node->client, call->method, call->request, &options, &route_rpc_user,
                       call, &call->rpc));
    call->node->calls++;
    return err_ok();
}

struct err route_call_start(struct route *route, const struct proto_method *method,
                            const void *request, const struct route_call_options *options,
                            const struct route_call_user *user, void *holder,
                            struct route_call **ret)
{
    struct route_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "call to a storage node");
    uint64_t wait_ms = options->deadline_ms == 0 ? (uint64_t)ROUTE_DEADLINE_MS
                                                 : options->deadline_ms;
    call->route = route;
    call->method = method;
    call->request = request;
    call->user = user;
    call->holder = holder;
    call->slot = options->slot;
    call->once = options->once;
    call->wait_ms = ROUTE_RETRY_FIRST_MS;
    call->end = err_ok();
    call->until_ms = wait_ms == ROUTE_NO_DEADLINE ? UINT64_MAX : loop_now_ms(route->loop) + wait_ms;
    if (options->body != NULL) call->body = body_ref(options->body);
    if (options->trace_id != NULL) memcpy(call->trace_id, options->trace_id, 16);
    struct err err = route_try(call);
    if (err.code != ERR_OK) {
        body_unref(call->body);
        free(call);
        return err;
    }
    list_add(&route->calls, &call->link);
    *ret = call;
    return err_ok();
}

struct span route_refusal(const struct route *route, unsigned shard)
{
    struct span reason = SPAN("");
    if (shard >= place_map_shards(route->map)) return reason;
    struct span address = place_map_address(route->map, shard);
    for (size_t i = 0; i < route->nodes_count; i++) {
        const struct route_node *node = &route->nodes[i];
        if (!span_eq(span_of(node->address, node->len), address)) continue;
        (void)rpc_client_refusal(node->client, &reason);
    }
    return reason;
}

void route_call_took(struct route_call *call, size_t count)
{
    if (call->rpc != NULL) rpc_call_took(call->rpc, count);
}

void route_call_cancel(struct route_call *call)
{
    if (call->cancelled) return;
    call->cancelled = true;
    if (call->rpc != NULL) {
        rpc_call_cancel(call->rpc); /* its done() ends the call */
        return;
    }
    timer_start(call->route->loop, &call->retry, TIMER_WAIT_MIN_MS, route_retry, call);
}

void route_free(struct route *route)
{
    if (route == NULL) return;
    while (!list_is_empty(&route->calls)) {
        struct route_call *call = LIST_ITEM(route->calls.next, struct route_call, link);
        if (call->rpc != NULL) break; /* rpc_client_free() ends these */
        call->cancelled = true;
        route_end(call, err_ok(), SPAN(""));
    }
    for (size_t i = 0; i < route->nodes_count; i++) rpc_client_free(route->nodes[i].client);
    while (!list_is_empty(&route->calls)) {
        struct route_call *call = LIST_ITEM(route->calls.next, struct route_call, link);
        CHECK(call->rpc == NULL);
        call->cancelled = true;
        route_end(call, err_ok(), SPAN(""));
    }
    place_map_unref(route->map);
    free(route);
}
