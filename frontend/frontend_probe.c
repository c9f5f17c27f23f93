/* Which storage nodes answer: each that leads shards by the map is asked until it does; then a call
 * that stays open tells when it is gone. Nothing is polled while all is well. */
#include "frontend_probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "frontend_loop.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "metrics_text.h"
#include "place_map.h"
#include "route.h"
#include "store_msg.h"
#include "timer.h"

enum {
    PROBE_ASK_MS = 1000,
    PROBE_AGAIN_MS = 200,
    PROBE_MISSES = 3,
    PROBE_NODES_MAX = ROUTE_NODES_MAX, /* further ones are not watched */
};

struct probe_node {
    struct list link;
    struct frontend_probe *probe;
    struct route_call *call;
    struct timer again;
    unsigned shard;     /* one that it leads */
    bool ok;
    bool is_wanted;     /* the map has it; else it is freed when its call has ended */
    bool said, said_ok; /* what was last logged, if anything */
    unsigned misses;    /* before anything was */
    size_t len;
    char address[PLACE_NODE_ADDRESS_MAX_BYTES];
};

struct frontend_probe {
    struct frontend_loop *loop;
    struct list nodes;
    unsigned nodes_count;
    unsigned shards, shards_led; /* of the map; those whose leader is known */
    struct store_node_status_request status;
    struct store_queue_watch_request watch;
    char why[FRONTEND_MISSING_BYTES];
};

#define PROBE_NODE(at) LIST_ITEM(at, struct probe_node, link)

static void probe_ask(void *holder);

static struct span address_of(const struct probe_node *node)
{
    return span_of(node->address, node->len);
}

/* ---- one node */

static void on_reply(void *holder, struct route_call *call, const void *reply)
{
    (void)holder;
    (void)call;
    (void)reply;
}

/* Logs news: for one loop, since all see the same. Not what happens while the program ends. */
static void node_say(struct probe_node *node, const char *why)
{
    const struct frontend_loop *loop = node->probe->loop;
    if (loop->number != 0 || frontend_is_leaving(loop)) return;
    if (node->said && node->said_ok == node->ok) return;
    /* Both may be starting: not reachable yet is no news. */
    if (!node->said && !node->ok && ++node->misses < PROBE_MISSES) return;
    node->said = true;
    node->said_ok = node->ok;
    if (node->ok) LOG(STORE_REACHABLE, NULL, log_text(address_of(node)));
    else LOG(STORE_UNREACHABLE, NULL, log_text(address_of(node)), log_words(why));
}

static void node_free(struct probe_node *node)
{
    timer_stop(&node->again);
    list_remove(&node->link);
    node->probe->nodes_count--;
    free(node);
}

static void on_gone(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct probe_node *node = holder;
    (void)call;
    (void)info;
    node->call = NULL;
    node->ok = false;
    if (!node->is_wanted) {
        node_free(node);
        return;
    }
    node_say(node, err_text(err));
    frontend_say_ready(node->probe->loop);
    timer_start(node->probe->loop->loop, &node->again, PROBE_AGAIN_MS, probe_ask, node);
}

static void on_answer(void *holder, struct route_call *call, struct err err, struct span info)
{
    static const struct route_call_user user = { NULL, on_reply, on_gone };
    struct probe_node *node = holder;
    struct route_call_options options = { .slot = ROUTE_SHARD | node->shard,
                                          .deadline_ms = ROUTE_NO_DEADLINE, .once = true };
    node->call = NULL;
    if (err.code == ERR_OK && node->is_wanted) {
        err = route_call_start(node->probe->loop->front.route,
                               store_method_find(STORE_METHOD_QUEUE_WATCH), &node->probe->watch,
                               &options, &user, node, &node->call);
        node->ok = err.code == ERR_OK;
        if (node->ok) {
            node_say(node, "");
            frontend_say_ready(node->probe->loop);
            return;
        }
    }
    on_gone(node, call, err, info);
}

static void probe_ask(void *holder)
{
    static const struct route_call_user user = { NULL, on_reply, on_answer };
    struct probe_node *node = holder;
    struct route_call_options options = { .slot = ROUTE_SHARD | node->shard,
                                          .deadline_ms = PROBE_ASK_MS };
    struct err err = route_call_start(node->probe->loop->front.route,
                                      store_method_find(STORE_METHOD_NODE_STATUS),
                                      &node->probe->status, &options, &user, node, &node->call);
    if (err.code != ERR_OK) on_gone(node, NULL, err, SPAN(""));
}

/* ---- the nodes of the map */

static struct probe_node *node_find(struct frontend_probe *probe, struct span address)
{
    for (struct list *at = probe->nodes.next; at != &probe->nodes; at = at->next) {
        struct probe_node *node = PROBE_NODE(at);
        if (span_eq(address_of(node), address)) return node;
    }
    return NULL;
}

static void node_want(struct frontend_probe *probe, struct span address, unsigned shard)
{
    struct probe_node *node = node_find(probe, address);
    if (node == NULL) {
        if (probe->nodes_count == PROBE_NODES_MAX || address.len > sizeof(node->address)) return;
        node = calloc(1, sizeof(*node));
        if (node == NULL) return; /* tried again with the next map */
        node->probe = probe;
        node->len = address.len;
        memcpy(node->address, address.ptr, address.len);
        list_add(&probe->nodes, &node->link);
        probe->nodes_count++;
        timer_start(probe->loop->loop, &node->again, TIMER_WAIT_MIN_MS, probe_ask, node);
    }
    node->is_wanted = true;
    node->shard = shard;
}

static void node_drop(struct probe_node *node)
{
    if (node->said_ok) {
        node->ok = false;
        node_say(node, "it leads no shard any more");
    }
    if (node->call != NULL) route_call_cancel(node->call); /* its end frees the node */
    else node_free(node);
}

void frontend_probe_map(struct frontend_probe *probe)
{
    const struct place_map *map = probe->loop->map;
    for (struct list *at = probe->nodes.next; at != &probe->nodes; at = at->next) {
        PROBE_NODE(at)->is_wanted = false;
    }
    probe->shards = place_map_shards(map);
    probe->shards_led = 0;
    for (unsigned shard = 0; shard < probe->shards; shard++) {
        struct span address = place_map_address(map, shard);
        if (address.len == 0) continue;
        probe->shards_led++;
        node_want(probe, address, shard);
    }
    for (struct list *at = probe->nodes.next, *next; at != &probe->nodes; at = next) {
        next = at->next;
        if (!PROBE_NODE(at)->is_wanted) node_drop(PROBE_NODE(at));
    }
}

struct err frontend_probe_new(struct frontend_loop *loop, struct frontend_probe **ret)
{
    struct frontend_probe *probe = calloc(1, sizeof(*probe));
    if (probe == NULL) return err_make(ERR_NOMEM, "probe");
    probe->loop = loop;
    list_init(&probe->nodes);
    frontend_probe_map(probe);
    *ret = probe;
    return err_ok();
}

/* ---- what is said of them */

struct counts {
    unsigned nodes, up;
    const struct probe_node *down; /* one that does not answer, or NULL */
};

static struct counts count(const struct frontend_probe *probe)
{
    struct counts counts = { 0 };
    for (struct list *at = probe->nodes.next; at != &probe->nodes; at = at->next) {
        const struct probe_node *node = PROBE_NODE(at);
        if (!node->is_wanted) continue;
        counts.nodes++;
        if (node->ok) counts.up++;
        else if (counts.down == NULL) counts.down = node;
    }
    return counts;
}

bool frontend_probe_ok(const struct frontend_probe *probe) { return count(probe).up > 0; }

static struct span refusal(const struct frontend_probe *probe, const struct probe_node *node)
{
    if (node == NULL) return SPAN("");
    return route_refusal(probe->loop->front.route, node->shard);
}

static struct span words(struct frontend_probe *probe, int len)
{
    size_t most = sizeof(probe->why) - 1;
    return span_of(probe->why, len < 0 ? 0 : (size_t)len < most ? (size_t)len : most);
}

struct span frontend_probe_missing(struct frontend_probe *probe)
{
    struct counts counts = count(probe);
    if (counts.up > 0) return SPAN("");
    if (counts.nodes == 0) return SPAN("no storage node is known");
    struct span why = refusal(probe, counts.down);
    const char *what = counts.nodes == 1 ? "the storage node does not answer"
                                         : "no storage node answers";
    return words(probe, snprintf(probe->why, sizeof(probe->why), "%s%s%.*s", what,
                                 why.len > 0 ? ": refused: " : "", (int)why.len, why.ptr));
}

struct span frontend_probe_lacking(struct frontend_probe *probe)
{
    struct counts counts = count(probe);
    unsigned unled = probe->shards - probe->shards_led;
    if (counts.down == NULL && unled == 0) return SPAN("");
    if (counts.down == NULL) {
        return words(probe, snprintf(probe->why, sizeof(probe->why),
                                     "%u of %u shards have no leader that is known", unled,
                                     probe->shards));
    }
    struct span address = address_of(counts.down), why = refusal(probe, counts.down);
    return words(probe, snprintf(probe->why, sizeof(probe->why),
                                 "%u of %u storage nodes do not answer: %.*s%s%.*s",
                                 counts.nodes - counts.up, counts.nodes, (int)address.len,
                                 address.ptr, why.len > 0 ? ": refused: " : "", (int)why.len,
                                 why.ptr));
}

void frontend_probe_metrics(const struct frontend_probe *probe, const struct metrics_text *text)
{
    char label[METRICS_LABEL_BYTES];
    const struct metrics_single rows[] = {
        { "store_reachable", "gauge", "1 when a storage node answers",
          frontend_probe_ok(probe) ? 1 : 0 },
        { "shards_without_leader", "gauge", "Shards whose leader is not known",
          (int64_t)(probe->shards - probe->shards_led) },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
    metrics_text_head(text, "node_up", "gauge", "1 when the storage node at this address answers");
    for (struct list *at = probe->nodes.next; at != &probe->nodes; at = at->next) {
        const struct probe_node *node = PROBE_NODE(at);
        if (!node->is_wanted) continue;
        metrics_text_label("node", address_of(node), label);
        metrics_text_number(text, "node_up", label, node->ok ? 1 : 0);
    }
}
