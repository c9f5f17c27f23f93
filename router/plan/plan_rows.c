/* A picture of the cluster from its rows. */
#include <string.h>

#include "plan_rows.h"
#include "plan.h"

void plan_rows_begin(struct plan_view *view, uint64_t now_ms)
{
    memset(view, 0, sizeof(*view));
    view->now_ms = now_ms;
}

static void add_store(struct plan_view *view, const struct roster_id *sid, struct span value,
                      uint64_t revision)
{
    struct plan_store store = { .sid = *sid, .revision = revision, .gone_since_ms = view->now_ms,
                                .live_since_ms = view->now_ms };
    uint32_t at = view->stores_count;
    if (at == PLAN_STORES_MAX || roster_store_read(value, &store.row).code != ERR_OK) {
        view->is_partial = true;
        return;
    }
    for (; at > 0 && memcmp(view->stores[at - 1].sid.bytes, sid->bytes, ID_BYTES) > 0; at--) {
        view->stores[at] = view->stores[at - 1];
    }
    view->stores[at] = store;
    view->stores_count++;
}

static void add_live(struct plan_view *view, struct span value)
{
    struct roster_live live;
    if (roster_live_read(value, &live).code != ERR_OK) return;
    for (uint32_t i = 0; i < live.stores_count; i++) {
        int at = plan_store_of(view, &live.stores[i]);
        if (at >= 0) view->stores[at].live = true;
    }
}

void plan_rows_add(struct plan_view *view, struct span key, struct span value, uint64_t revision)
{
    static const struct span stores = SPAN_INIT("stores/"), live = SPAN_INIT("live/");
    struct roster_id sid;
    uint32_t number;
    if (span_eq(key, SPAN("map/head"))) {
        view->has_head = true;
    } else if (roster_key_read_id(key, "stores", &sid).code == ERR_OK) {
        add_store(view, &sid, value, revision);
    } else if (span_eq(span_head(key, stores.len), stores)) {
        view->is_partial = true;
    } else if (span_eq(span_head(key, live.len), live)) {
        add_live(view, value);
    } else if (roster_key_read_number(key, "place", &number).code == ERR_OK &&
               number < ROSTER_SHARDS_MAX) {
        struct plan_shard *shard = &view->shards[number];
        shard->revision = revision;
        shard->has_place = roster_place_read(value, &shard->place).code == ERR_OK;
    } else if (roster_key_read_number(key, "shards", &number).code == ERR_OK &&
               number < ROSTER_SHARDS_MAX) {
        struct plan_shard *shard = &view->shards[number];
        shard->has_shard = roster_shard_read(value, &shard->row).code == ERR_OK;
    }
}
