/* The shards as they will be, and what each store has of them. */
#include <string.h>

#include "plan_private.h"

int plan_store_of(const struct plan_view *view, const struct roster_id *sid)
{
    uint32_t low = 0, high = view->stores_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(view->stores[middle].sid.bytes, sid->bytes, ID_BYTES);
        if (order == 0) return (int)middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

bool plan_is_live(const struct plan *plan, int store)
{
    return store >= 0 && plan->view->stores[store].live;
}

enum plan_use plan_use_of(const struct plan *plan, int store)
{
    if (store < 0) return PLAN_LOST;
    const struct plan_store *row = &plan->view->stores[store];
    if (row->row.state == ROSTER_DRAINING) return PLAN_DRAINS;
    if (row->live) return row->row.state == ROSTER_ACTIVE ? PLAN_USABLE : PLAN_AWAY;
    uint64_t gone_ms = plan->view->now_ms - row->gone_since_ms;
    return gone_ms >= plan->options->replace_after_ms ? PLAN_LOST : PLAN_AWAY;
}

bool plan_is_settled(const struct plan *plan, int store)
{
    if (plan_use_of(plan, store) != PLAN_USABLE) return false;
    uint64_t since_ms = plan->view->stores[store].live_since_ms;
    return plan->view->now_ms - since_ms >= plan->options->settle_ms;
}

/* ---- counting */

static void count(struct plan *plan, const struct plan_now *now, int by)
{
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->store < 0 || copy->leaves) continue;
        plan->copies[copy->store] += (uint32_t)by;
        for (uint32_t j = 0; j < now->count; j++) {
            const struct plan_copy *other = &now->copies[j];
            if (j == i || other->store < 0 || other->leaves) continue;
            uint16_t *both = &plan->together[copy->store][other->store];
            *both = (uint16_t)(*both + by);
        }
    }
    if (now->lead >= 0) plan->leads[now->lead] += (uint32_t)by;
}

void plan_now_open(struct plan *plan, struct plan_now *now) { count(plan, now, -1); }

void plan_now_close(struct plan *plan, struct plan_now *now, const struct roster_shard *row)
{
    const struct roster_place *place = &now->place;
    now->count = place->replicas.count;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct roster_id *sid = &place->replicas.ids[i];
        now->copies[i] = (struct plan_copy){
            .store = (int16_t)plan_store_of(plan->view, sid),
            .in_sync = roster_copies_have(&row->isr, sid),
            .leaves = place->has_leaving && roster_id_eq(&place->leaving, sid),
        };
    }
    now->leader = row->has_leader ? (int16_t)plan_store_of(plan->view, &row->leader) : -1;
    now->lead = now->leader;
    if (place->has_lead) now->lead = (int16_t)plan_store_of(plan->view, &place->lead);
    now->is_led = plan_is_live(plan, now->leader);
    count(plan, now, 1);
}

void plan_now_read(struct plan *plan)
{
    memset(plan->copies, 0, sizeof(plan->copies));
    memset(plan->leads, 0, sizeof(plan->leads));
    memset(plan->together, 0, sizeof(plan->together));
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        const struct plan_shard *shard = &plan->view->shards[s];
        struct plan_now *now = &plan->now[s];
        now->why = NULL;
        now->is_there = shard->has_place && shard->has_shard;
        now->place = shard->place;
        if (now->is_there) plan_now_close(plan, now, &shard->row);
    }
}

bool plan_is_moving(const struct plan *plan, const struct plan_now *now)
{
    if (!now->is_led) return false;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->leaves || (plan_is_live(plan, copy->store) && !copy->in_sync)) return true;
    }
    return false;
}

/* ---- how well a store goes with the others */

static unsigned shares_two(const struct plan *plan, int a, int b)
{
    const struct roster_store *one = &plan->view->stores[a].row, *two = &plan->view->stores[b].row;
    if (span_eq(roster_name_span(&one->node), roster_name_span(&two->node))) return PLAN_SAME_NODE;
    bool zones = one->zone.len > 0;
    return zones && span_eq(roster_name_span(&one->zone), roster_name_span(&two->zone)) ? 1 : 0;
}

unsigned plan_shares(const struct plan *plan, const struct plan_now *now, int store, int but)
{
    unsigned sum = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->store < 0 || copy->leaves || (int)i == but) continue;
        sum += shares_two(plan, store, copy->store);
    }
    return sum;
}

unsigned plan_together(const struct plan *plan, const struct plan_now *now, int store, int but)
{
    unsigned sum = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->store < 0 || copy->leaves || (int)i == but) continue;
        sum += plan->together[store][copy->store];
    }
    return sum;
}
