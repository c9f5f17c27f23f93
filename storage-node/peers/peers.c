#include "peers.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "loop.h"
#include "metrics_text.h"
#include "peers_private.h"
#include "replica_msg.h"
#include "rpc_callers.h"

enum { PEERS_ARENA_BYTES = 16 * 1024 * 1024 };

/* ---- events for a shard */

/* One event on its way to the shard's thread, with what it points to. */
struct posted {
    struct shard_job job;
    struct shard *shard;
    struct replica_event event;
    struct replica_config config;
    struct roster_place place;
};

static void posted_run(struct shard_job *job)
{
    struct posted *posted = LIST_ITEM(job, struct posted, job);
    shard_copy_event(posted->shard, &posted->event, NULL);
    free(posted);
}

static struct shard *open_shard(const struct peers_shard *shard)
{
    return store_node_shard(shard->peers->options.node, shard->number);
}

void peers_event(struct peers_shard *at, const struct replica_event *event)
{
    struct shard *shard = open_shard(at);
    /* Without memory it is as lost as an answer of the cluster's store: ticks ask again. */
    struct posted *posted = shard == NULL ? NULL : calloc(1, sizeof(*posted));
    if (posted == NULL) return;
    posted->job.run = posted_run;
    posted->shard = shard;
    posted->event = *event;
    if (event->config != NULL) {
        posted->config = *event->config;
        posted->event.config = &posted->config;
    }
    if (event->place != NULL) {
        posted->place = *event->place;
        posted->event.place = &posted->place;
    }
    shard_copy_post(shard, &posted->job);
}

void peers_row(struct peers *peers, uint32_t shard, const struct replica_config *config)
{
    struct replica_event event = { .kind = REPLICA_EVENT_CONFIG, .config = config };
    peers_event(peers->shards[shard], &event);
}

void peers_place(struct peers *peers, uint32_t shard, const struct roster_place *place)
{
    struct replica_event event = { .kind = REPLICA_EVENT_PLACE, .place = place };
    peers_event(peers->shards[shard], &event);
}

void peers_transfer(struct peers *peers, uint32_t shard, const struct roster_id *to)
{
    struct replica_event event = { .kind = REPLICA_EVENT_TRANSFER, .from = *to };
    peers_event(peers->shards[shard], &event);
}

/* ---- time passes */

static void tick_run(struct shard_job *job)
{
    struct peers_shard *at = LIST_ITEM(job, struct peers_shard, tick_job);
    struct shard *shard = open_shard(at);
    bool leads = shard_leads(shard), leaving = at->leaving;
    /* Whoever leaves has others lead, and asks to be taken out of the set: as with an ill disk. */
    struct replica_event event = { .kind = REPLICA_EVENT_TICK,
                                   .disk_ok = at->disk_ok && (leads || !leaving) };
    struct replica_event transfer = { .kind = REPLICA_EVENT_TRANSFER };
    atomic_store_explicit(&at->ticking, false, memory_order_release);
    shard_copy_event(shard, &event, NULL);
    if (leads && leaving) shard_copy_event(shard, &transfer, NULL);
}

static void tick(void *holder)
{
    struct peers *peers = holder;
    bool disk_ok = store_node_disk_ok(peers->options.node);
    for (unsigned i = 0; i < store_node_shards(peers->options.node); i++) {
        struct peers_shard *at = peers->shards[i];
        if (at == NULL || open_shard(at) == NULL) continue;
        if (atomic_exchange_explicit(&at->ticking, true, memory_order_acquire)) continue;
        at->disk_ok = disk_ok;
        at->leaving = peers->leaving;
        at->tick_job.run = tick_run;
        shard_copy_post(open_shard(at), &at->tick_job);
    }
    timer_start(peers->loop, &peers->timer, PEERS_TICK_MS, tick, peers);
}

/* ---- from the shards' threads to the loop */

static void tell_shown(struct peers_shard *at)
{
    const struct peers_options *options = &at->peers->options;
    struct shard_state state = { 0 };
    struct shard *shard = open_shard(at);
    if (shard == NULL) return; /* it is just being opened, as a learner */
    shard_state_get(shard, &state);
    if (state.role == at->role && state.epoch == at->epoch) return;
    at->role = state.role;
    at->epoch = state.epoch;
    options->shown(options->holder, at->number, state.role, state.epoch);
}

static void links_go(struct peers *peers, struct peers_link *link)
{
    while (link != NULL) {
        pthread_mutex_lock(&peers->lock);
        struct peers_link *next = link->next_wanting;
        link->woken = false; /* from here on it may stand in the list again */
        pthread_mutex_unlock(&peers->lock);
        if (!peers->stopped) peers_link_go(link);
        link = next;
    }
}

/* Its address is not known: it is said again. */
static void tell_behind(struct peers_shard *at, const struct roster_id *from)
{
    const struct peers_options *options = &at->peers->options;
    pthread_mutex_lock(&at->peers->lock);
    const struct peers_link *link = peers_link_need(at->peers, from);
    pthread_mutex_unlock(&at->peers->lock);
    if (link == NULL || link->address[0] == '\0' || options->behind == NULL) return;
    options->behind(options->holder, at->number, from,
                    span_of(link->address, strlen(link->address)));
}

static void shards_go(struct peers *peers, struct peers_shard *shard)
{
    while (shard != NULL) {
        pthread_mutex_lock(&peers->lock);
        struct peers_shard *next = shard->next_wanting;
        bool cas = shard->wants_cas, row = shard->wants_row, shown = shard->wants_shown;
        bool behind = shard->wants_behind;
        struct roster_id from = shard->behind_from;
        shard->wants_cas = shard->wants_row = shard->wants_shown = shard->woken = false;
        shard->wants_behind = false;
        pthread_mutex_unlock(&peers->lock);
        if (!peers->stopped) peers_rows_go(shard, cas, row);
        if (!peers->stopped && shown) tell_shown(shard);
        if (!peers->stopped && behind) tell_behind(shard, &from);
        shard = next;
    }
}

static void on_wake(struct wake *wake)
{
    struct peers *peers = LIST_ITEM(wake, struct peers, wake);
    pthread_mutex_lock(&peers->lock);
    struct peers_link *link = peers->wanting_links;
    struct peers_shard *shard = peers->wanting_shards;
    peers->wanting_links = NULL;
    peers->wanting_shards = NULL;
    peers->waking = false;
    pthread_mutex_unlock(&peers->lock);
    shards_go(peers, shard);
    links_go(peers, link);
}

static void want(struct peers *peers)
{
    if (peers->waking) return;
    peers->waking = true;
    wake_post(peers->loop, &peers->wake, on_wake);
}

void peers_want_link(struct peers_link *link)
{
    struct peers *peers = link->peers;
    if (link->woken) return;
    link->woken = true;
    link->next_wanting = peers->wanting_links;
    peers->wanting_links = link;
    want(peers);
}

void peers_want_shard(struct peers_shard *shard)
{
    struct peers *peers = shard->peers;
    if (shard->woken) return;
    shard->woken = true;
    shard->next_wanting = peers->wanting_shards;
    peers->wanting_shards = shard;
    want(peers);
}

static void on_shown(struct shard_peers *base, struct shard *shard)
{
    struct peers_shard *at = LIST_ITEM(base, struct peers_shard, base);
    (void)shard;
    pthread_mutex_lock(&at->peers->lock);
    at->wants_shown = true;
    peers_want_shard(at);
    pthread_mutex_unlock(&at->peers->lock);
}

static void on_behind(struct shard_peers *base, struct shard *shard,
                      const struct roster_id *from, uint64_t index)
{
    struct peers_shard *at = LIST_ITEM(base, struct peers_shard, base);
    (void)shard;
    (void)index;
    pthread_mutex_lock(&at->peers->lock);
    at->wants_behind = true;
    at->behind_from = *from;
    peers_want_shard(at);
    pthread_mutex_unlock(&at->peers->lock);
}

/* No call reads from a copy that does not lead, so no event READ is ever given. */
static void on_read_ready(struct shard_peers *base, struct shard *shard, uint64_t id,
                          bool granted, uint64_t index)
{
    (void)base;
    (void)shard;
    (void)id;
    (void)granted;
    (void)index;
}

struct shard_peers *peers_of_shard(struct peers *peers, uint32_t number)
{
    static const struct shard_peers_calls calls = { peers_send, peers_cas, peers_read_row,
                                                    on_read_ready, on_shown, on_behind };
    if (number >= STORE_SHARDS_MAX) return NULL;
    struct peers_shard *shard = peers->shards[number];
    if (shard != NULL) return &shard->base;
    shard = calloc(1, sizeof(*shard));
    if (shard == NULL) return NULL;
    shard->base.calls = &calls;
    shard->peers = peers;
    shard->number = number;
    peers->shards[number] = shard;
    return &shard->base;
}

/* ---- the whole */

const struct rpc_service_row *peers_rows(unsigned *count)
{
    static const struct rpc_service_row rows[] = {
        { PEER_METHOD_TELL, RPC_CALLERS_PEER_TELL, peers_tell },
    };
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

struct err peers_new(struct loop *loop, const struct peers_options *options, struct peers **ret)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL) return err_make(ERR_NOMEM, "way to other copies");
    peers->loop = loop;
    peers->options = *options;
    peers->budget = (struct body_budget){ .memory_bytes_max = PEERS_BODIES_BYTES,
                                          .file_bytes_max = PEERS_BODIES_BYTES,
                                          .spill_dir = options->spill_dir };
    store_node_id(options->node, peers->sid.bytes);
    arena_init(&peers->arena, PEERS_ARENA_BYTES);
    pthread_mutex_init(&peers->lock, NULL);
    map_init(&peers->links, PEERS_LINKS_MAX);
    list_init(&peers->all_links);
    timer_start(loop, &peers->timer, PEERS_TICK_MS, tick, peers);
    *ret = peers;
    return err_ok();
}

void peers_leave(struct peers *peers) { peers->leaving = true; }

void peers_stop(struct peers *peers)
{
    peers->stopped = true;
    timer_stop(&peers->timer);
    for (struct list *at = peers->all_links.next; at != &peers->all_links; at = at->next) {
        struct peers_link *link = LIST_ITEM(at, struct peers_link, link);
        rpc_client_free(link->client);
        link->client = NULL;
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) return;
    while (!list_is_empty(&peers->all_links)) {
        struct peers_link *link = LIST_ITEM(peers->all_links.next, struct peers_link, link);
        list_remove(&link->link);
        for (unsigned i = 0; i < PEERS_LANES; i++) {
            while (link->queues[i].first != NULL) {
                struct peers_note *next = link->queues[i].first->next;
                free(link->queues[i].first);
                link->queues[i].first = next;
            }
        }
        free(link);
    }
    map_free(&peers->links);
    for (unsigned i = 0; i < STORE_SHARDS_MAX; i++) free(peers->shards[i]);
    arena_clear(&peers->arena);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

void peers_metrics(const struct peers *peers, const struct metrics_text *text)
{
    uint64_t calls = 0, failed = 0;
    for (struct list *at = peers->all_links.next; at != &peers->all_links; at = at->next) {
        const struct peers_link *link = LIST_ITEM(at, struct peers_link, link);
        calls += link->calls;
        failed += link->failed;
    }
    metrics_text_head(text, "peers_calls_total", "counter", "Calls to other copies' nodes");
    metrics_text_number(text, "peers_calls_total", "", (int64_t)calls);
    metrics_text_head(text, "peers_calls_failed_total", "counter",
                      "Calls to other copies' nodes that were lost");
    metrics_text_number(text, "peers_calls_failed_total", "", (int64_t)failed);
    metrics_text_head(text, "peers_told_total", "counter", "Calls of other copies' nodes");
    metrics_text_number(text, "peers_told_total", "", (int64_t)peers->told);
}
