/* When entries are due, and leasing them.
 *
 * A storage node tells the earliest due time of each of its shards whenever that changes. It is
 * kept for each shard; when it has come, entries are leased. A shard whose time has come but that
 * gives nothing (its clock is behind ours, or another courier was first and the news is still
 * under way) is asked again after a wait that doubles, until it tells something new. */
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "courier_private.h"
#include "loop.h"
#include "place_map.h"

enum {
    WATCH_AGAIN_MS = 250,        /* between attempts, of a watch or of a lease; doubles ... */
    WATCH_AGAIN_MAX_MS = 30000,  /* ... up to this */
    WATCH_NODE_ADDRESS_BYTES = 256,
};

struct courier_shard {
    struct courier *courier;
    struct route_call *call;
    struct store_queue_lease_request request;
    uint8_t operation[OPERATION_ID_BYTES];
    uint64_t due_ms;    /* by the wall clock, when to ask; 0: nothing waits */
    uint64_t wait_ms;   /* for the next attempt that gives nothing */
    uint32_t number;
    bool has_news;      /* was told a time since the call began */
    bool has_more;
};

/* Freed when its call has ended and it is not wanted any more. */
struct courier_node {
    struct list link;
    struct courier *courier;
    struct route_call *call;
    struct store_queue_watch_request request;
    struct timer timer;
    uint64_t wait_ms;
    unsigned shard;      /* one that it leads */
    bool is_wanted;
    size_t len;
    char address[WATCH_NODE_ADDRESS_BYTES];
};

/* ---- leases */

static void on_lease_reply(void *holder, struct route_call *call, const void *message)
{
    struct courier_shard *shard = holder;
    struct courier *courier = shard->courier;
    const struct store_queue_list_reply *reply = message;
    (void)call;
    shard->has_more = reply->more || reply->entries_count == COURIER_BATCH;
    shard->wait_ms = WATCH_AGAIN_MS;
    for (size_t i = 0; i < reply->entries_count && !courier->stopping; i++) {
        struct courier_entry *entry;
        const struct store_queue_entry *row = &reply->entries[i];
        entry = map_get(&courier->by_id, row->id);
        if (entry != NULL) { /* put without a lease, or it ran out while we work on it */
            courier_lease_found(entry, row);
        } else if (courier_entry_new(courier, row, &entry).code == ERR_OK) {
            courier_entry_start(entry);
        }
    }
}

static void on_lease_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct courier_shard *shard = holder;
    (void)call;
    (void)info;
    shard->call = NULL;
    if (!shard->has_news && !(err.code == ERR_OK && shard->has_more)) {
        shard->due_ms = clock_wall_ms() + shard->wait_ms;
        if (shard->wait_ms < WATCH_AGAIN_MAX_MS) shard->wait_ms *= 2;
    }
    courier_look_later(shard->courier);
}

static void shard_lease(struct courier_shard *shard, uint32_t limit)
{
    static const struct route_call_user user = { NULL, on_lease_reply, on_lease_done };
    struct courier *courier = shard->courier;
    shard->has_news = shard->has_more = false;
    shard->request = (struct store_queue_lease_request){
        .operation_id = courier_operation(shard->operation),
        .shard = shard->number,
        .owner = courier_owner(courier),
        .lease_ms = courier->options.lease_ms,
        .limit = limit,
    };
    struct route_call_options options = { .slot = ROUTE_SHARD | shard->number,
                                          .deadline_ms = COURIER_CALL_MS };
    struct err err = route_call_start(courier->options.route,
                                      store_method_find(STORE_METHOD_QUEUE_LEASE), &shard->request,
                                      &options, &user, shard, &shard->call);
    if (err.code != ERR_OK) shard->due_ms = clock_wall_ms() + WATCH_AGAIN_MS;
}

static void watch_on_due(void *holder) { courier_watch_look(holder); }

void courier_watch_look(struct courier *courier)
{
    uint64_t now = clock_wall_ms(), next = UINT64_MAX;
    /* A quarter is kept for new entries: those for mailboxes of ours are worked off in no time, and
     * do not wait behind slow servers. */
    uint32_t most = courier->options.concurrency - courier->options.concurrency / 4;
    uint32_t room = most > courier->entries_count ? most - courier->entries_count : 0;
    for (unsigned i = 0; i < courier->shards_count; i++) {
        struct courier_shard *shard = &courier->shards[i];
        if (shard->call != NULL) {
            uint32_t asked = shard->request.limit;
            room = room > asked ? room - asked : 0;
        }
    }
    for (unsigned i = 0; i < courier->shards_count; i++) {
        struct courier_shard *shard = &courier->shards[i];
        if (shard->call != NULL || shard->due_ms == 0) continue;
        if (shard->due_ms <= now && room > 0) {
            uint32_t limit = room < COURIER_BATCH ? room : COURIER_BATCH;
            shard_lease(shard, limit);
            if (shard->call != NULL) room -= limit;
        }
        /* Without room, the end of an entry has us look again. */
        if (shard->call == NULL && shard->due_ms > now && shard->due_ms < next) {
            next = shard->due_ms;
        }
    }
    if (next == UINT64_MAX) {
        timer_stop(&courier->due_timer);
    } else {
        timer_start(courier->options.loop, &courier->due_timer, next - now, watch_on_due, courier);
    }
}

/* ---- watches */

static void node_go(struct courier_node *node);

static void on_watch_reply(void *holder, struct route_call *call, const void *message)
{
    struct courier_node *node = holder;
    struct courier *courier = node->courier;
    const struct store_queue_watch_reply *reply = message;
    (void)call;
    node->wait_ms = WATCH_AGAIN_MS;
    if (reply->shard >= courier->shards_count || courier->stopping) return;
    struct courier_shard *shard = &courier->shards[reply->shard];
    shard->due_ms = reply->due_ms;
    shard->wait_ms = WATCH_AGAIN_MS;
    shard->has_news = true;
    courier_look_later(courier);
}

static void node_free(struct courier_node *node)
{
    list_remove(&node->link);
    timer_stop(&node->timer);
    free(node);
}

static void node_on_timer(void *holder) { node_go(holder); }

static void node_again(struct courier_node *node)
{
    timer_start(node->courier->options.loop, &node->timer, node->wait_ms, node_on_timer, node);
    if (node->wait_ms < WATCH_AGAIN_MAX_MS) node->wait_ms *= 2;
}

static void on_watch_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct courier_node *node = holder;
    struct courier *courier = node->courier;
    (void)call;
    (void)err;
    (void)info;
    node->call = NULL;
    if (node->is_wanted) {
        node_again(node);
        return;
    }
    node_free(node);
    courier_look_later(courier);
}

static void node_go(struct courier_node *node)
{
    static const struct route_call_user user = { NULL, on_watch_reply, on_watch_done };
    struct route_call_options options = { .slot = ROUTE_SHARD | node->shard,
                                          .deadline_ms = ROUTE_NO_DEADLINE };
    struct err err = route_call_start(node->courier->options.route,
                                      store_method_find(STORE_METHOD_QUEUE_WATCH), &node->request,
                                      &options, &user, node, &node->call);
    if (err.code != ERR_OK) node_again(node);
}

static struct courier_node *node_find(struct courier *courier, struct span address)
{
    for (struct list *link = courier->nodes.next; link != &courier->nodes; link = link->next) {
        struct courier_node *node = LIST_ITEM(link, struct courier_node, link);
        bool is_same = span_eq(span_of(node->address, node->len), address);
        if (is_same && node->is_wanted) return node;
    }
    return NULL;
}

static void node_drop(struct courier_node *node)
{
    node->is_wanted = false;
    if (node->call != NULL) {
        route_call_cancel(node->call); /* freed when it has ended */
    } else {
        node_free(node);
    }
}

static struct err node_add(struct courier *courier, struct span address, unsigned shard)
{
    struct courier_node *node = calloc(1, sizeof(*node));
    if (node == NULL) return err_make(ERR_NOMEM, "watch of a queue");
    CHECK(address.len < sizeof(node->address));
    node->courier = courier;
    node->shard = shard;
    node->is_wanted = true;
    node->wait_ms = WATCH_AGAIN_MS;
    node->len = address.len;
    memcpy(node->address, address.ptr, address.len);
    list_add(&courier->nodes, &node->link);
    node_go(node);
    return err_ok();
}

/* Calls under way point into the table, so it is made once, for as many as there can be. */
struct err courier_watch_new(struct courier *courier)
{
    courier->shards = calloc(PLACE_SHARDS_MAX, sizeof(*courier->shards));
    return courier->shards == NULL ? err_make(ERR_NOMEM, "shards") : err_ok();
}

static void shards_add(struct courier *courier, const struct place_map *map)
{
    for (; courier->shards_count < place_map_shards(map); courier->shards_count++) {
        struct courier_shard *shard = &courier->shards[courier->shards_count];
        shard->courier = courier;
        shard->number = courier->shards_count;
        shard->wait_ms = WATCH_AGAIN_MS;
    }
}

static void watch_on_timer(void *holder) { courier_watch_start(holder); }

void courier_watch_start(struct courier *courier)
{
    const struct place_map *map = route_map(courier->options.route);
    shards_add(courier, map);
    for (struct list *link = courier->nodes.next, *next; link != &courier->nodes; link = next) {
        struct courier_node *node = LIST_ITEM(link, struct courier_node, link);
        next = link->next;
        bool is_there = false;
        for (unsigned i = 0; i < place_map_shards(map) && !is_there; i++) {
            struct span known = span_of(node->address, node->len);
            is_there = span_eq(place_map_address(map, i), known);
            if (is_there) node->shard = i;
        }
        if (!is_there && node->is_wanted) node_drop(node);
    }
    for (unsigned i = 0; i < place_map_shards(map); i++) {
        struct span address = place_map_address(map, i);
        if (node_find(courier, address) != NULL) continue;
        if (node_add(courier, address, i).code == ERR_OK) continue;
        timer_start(courier->options.loop, &courier->watch_timer, WATCH_AGAIN_MAX_MS,
                    watch_on_timer, courier);
        break;
    }
}

void courier_watch_stop(struct courier *courier)
{
    timer_stop(&courier->due_timer);
    timer_stop(&courier->watch_timer);
    for (struct list *link = courier->nodes.next, *next; link != &courier->nodes; link = next) {
        next = link->next;
        node_drop(LIST_ITEM(link, struct courier_node, link));
    }
    for (unsigned i = 0; i < courier->shards_count; i++) {
        if (courier->shards[i].call != NULL) route_call_cancel(courier->shards[i].call);
    }
}

bool courier_watch_is_over(const struct courier *courier)
{
    for (unsigned i = 0; i < courier->shards_count; i++) {
        if (courier->shards[i].call != NULL) return false;
    }
    return list_is_empty(&courier->nodes);
}

void courier_watch_free(struct courier *courier)
{
    free(courier->shards);
    courier->shards = NULL;
}
