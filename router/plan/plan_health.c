/* How the shards are. */
#include "plan.h"

static void add(const struct plan_view *view, const struct plan_shard *shard,
                struct plan_health *health)
{
    const struct roster_place *place = &shard->place;
    const struct roster_copies *isr = &shard->row.isr;
    int leader = shard->row.has_leader ? plan_store_of(view, &shard->row.leader) : -1;
    bool moving = shard->has_place && place->has_leaving;
    health->shards++;
    health->without_leader += leader < 0 || !view->stores[leader].live;
    if (!shard->has_place) return;
    for (uint32_t i = 0; i < place->replicas.count; i++) {
        int at = plan_store_of(view, &place->replicas.ids[i]);
        bool comes = !roster_copies_have(isr, &place->replicas.ids[i]);
        if (comes && at >= 0 && view->stores[at].live) moving = true;
    }
    health->moving += moving;
    health->under_min_isr += isr->count < place->min_isr;
    health->copies_missing += isr->count < place->target;
}

void plan_health_get(const struct plan_view *view, struct plan_health *ret)
{
    *ret = (struct plan_health){ 0 };
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        if (view->shards[s].has_shard) add(view, &view->shards[s], ret);
    }
}
