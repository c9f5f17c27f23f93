/* Who leads: nobody on a node that drains, and as many on each store as on any other. */
#include <string.h>

#include "plan_private.h"

static void lead(struct plan *plan, uint32_t number, int store, const char *why)
{
    struct plan_now *now = &plan->now[number];
    plan_now_open(plan, now);
    now->place.has_lead = true;
    now->place.lead = plan->view->stores[store].sid;
    if (now->why == NULL) now->why = why;
    plan_now_close(plan, now, &plan->view->shards[number].row);
}

static bool may_lead(const struct plan *plan, const struct plan_copy *copy)
{
    return copy->in_sync && !copy->leaves && plan_use_of(plan, copy->store) == PLAN_USABLE;
}

/* Away from a node that drains: to the copy whose store leads fewest. */
static bool drain(struct plan *plan, uint32_t number)
{
    const struct plan_now *now = &plan->now[number];
    int best = -1;
    if (!now->is_led || now->place.has_lead || plan_use_of(plan, now->leader) != PLAN_DRAINS)
        return false;
    for (uint32_t i = 0; i < now->count; i++) {
        if (!may_lead(plan, &now->copies[i])) continue;
        int store = now->copies[i].store;
        if (best < 0 || plan->leads[store] < plan->leads[best]) best = store;
    }
    if (best < 0) return false;
    lead(plan, number, best, "node is drained");
    return true;
}

/* ---- evening out: a chain of shards, each of which is handed to the store that hands on the next,
 * from one that leads many to one that leads at least two fewer */

struct chain {
    bool reached[PLAN_STORES_MAX];
    uint16_t via[PLAN_STORES_MAX]; /* the shard that its store would be handed */
};

static bool may_hand_over(const struct plan *plan, const struct plan_now *now)
{
    return now->is_there && now->is_led && now->why == NULL && !now->place.has_lead &&
           !now->place.has_leaving && !now->place.by_hand && now->count > 1 &&
           plan_use_of(plan, now->leader) == PLAN_USABLE;
}

/* Reaches further by each shard once. False: nothing new. */
static bool reach(const struct plan *plan, struct chain *chain)
{
    bool further = false;
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        const struct plan_now *now = &plan->now[s];
        if (!may_hand_over(plan, now) || !chain->reached[now->leader]) continue;
        for (uint32_t i = 0; i < now->count; i++) {
            const struct plan_copy *copy = &now->copies[i];
            if (!may_lead(plan, copy) || chain->reached[copy->store]) continue;
            if (!plan_is_settled(plan, copy->store)) continue;
            chain->reached[copy->store] = true;
            chain->via[copy->store] = (uint16_t)s;
            further = true;
        }
    }
    return further;
}

static int least_reached(const struct plan *plan, const struct chain *chain, int from)
{
    int best = -1;
    for (int i = 0; i < (int)plan->view->stores_count; i++) {
        if (!chain->reached[i] || plan->leads[i] + 2 > plan->leads[from]) continue;
        if (best < 0 || plan->leads[i] < plan->leads[best]) best = i;
    }
    return best;
}

/* Returns how many leads it moves; 0: none, or more than there is room for. */
static uint32_t even_from(struct plan *plan, int from, uint32_t room)
{
    struct chain chain;
    uint32_t shards[PLAN_LEADS_MAX], count = 0;
    int stores[PLAN_LEADS_MAX], to = -1;
    memset(&chain, 0, sizeof(chain));
    chain.reached[from] = true;
    while (to < 0 && reach(plan, &chain)) to = least_reached(plan, &chain, from);
    while (to >= 0 && to != from) {
        if (count == room) return 0;
        shards[count] = chain.via[to];
        stores[count++] = to;
        to = plan->now[chain.via[to]].leader;
    }
    for (uint32_t i = 0; i < count; i++) lead(plan, shards[i], stores[i], "leads are evened out");
    return count;
}

/* From the store that leads most of those from which something can be done. */
static uint32_t even_out(struct plan *plan, uint32_t room)
{
    bool tried[PLAN_STORES_MAX] = { false };
    for (;;) {
        int from = -1;
        for (int i = 0; i < (int)plan->view->stores_count; i++) {
            if (tried[i] || plan->leads[i] < 2) continue;
            if (from < 0 || plan->leads[i] > plan->leads[from]) from = i;
        }
        if (from < 0) return 0;
        uint32_t moved = even_from(plan, from, room);
        if (moved > 0) return moved;
        tried[from] = true;
    }
}

void plan_leads(struct plan *plan)
{
    uint32_t room = PLAN_LEADS_MAX;
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX && room > 0; s++) {
        if (plan->now[s].is_there && plan->now[s].place.has_lead) room--;
    }
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX && room > 0; s++) {
        if (plan->now[s].is_there && drain(plan, s)) room--;
    }
    while (plan->options->evens && room > 0) {
        uint32_t moved = even_out(plan, room);
        if (moved == 0) return;
        room -= moved;
    }
}
