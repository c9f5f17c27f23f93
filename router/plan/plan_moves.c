/* New moves of copies: what has to be, then what evens out. */
#include "plan_private.h"

/* The store for one more copy; `but`: the place of a copy that is to leave, or -1. -1: there is
 * none. */
static int best_store(const struct plan *plan, const struct plan_now *now, int but)
{
    unsigned best_shares = 0, best_together = 0;
    int best = -1;
    for (int i = 0; i < (int)plan->view->stores_count; i++) {
        if (plan_use_of(plan, i) != PLAN_USABLE) continue;
        unsigned shares = plan_shares(plan, now, i, but);
        if (shares >= PLAN_SAME_NODE) continue;
        unsigned together = plan_together(plan, now, i, but);
        bool is_there = false;
        for (uint32_t c = 0; c < now->count; c++) is_there |= now->copies[c].store == i;
        bool equal = best >= 0 && shares == best_shares;
        bool worse = best >= 0 && shares > best_shares;
        if (is_there || worse || (equal && plan->copies[i] > plan->copies[best])) continue;
        if (equal && plan->copies[i] == plan->copies[best] && together >= best_together) continue;
        best = i;
        best_shares = shares;
        best_together = together;
    }
    return best;
}

static void begin(struct plan *plan, uint32_t number, int leaves, int store, const char *why)
{
    struct plan_now *now = &plan->now[number];
    struct roster_place *place = &now->place;
    plan_now_open(plan, now);
    place->replicas.ids[place->replicas.count++] = plan->view->stores[store].sid;
    if (leaves >= 0) {
        place->has_leaving = true;
        place->leaving = place->replicas.ids[leaves];
        place->by_hand = false;
    }
    now->why = why;
    plan_now_close(plan, now, &plan->view->shards[number].row);
}

static uint32_t in_sync(const struct plan_now *now)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < now->count; i++) count += now->copies[i].in_sync;
    return count;
}

static int copy_of_use(const struct plan *plan, const struct plan_now *now, enum plan_use use)
{
    for (uint32_t i = 0; i < now->count; i++) {
        if (plan_use_of(plan, now->copies[i].store) == use) return (int)i;
    }
    return -1;
}

/* Moves under way: shards with a copy that leaves, and those with a copy that is not in sync, be it
 * that it was added. The first kind is bounded on its own, so that a node whose copies never get
 * there can still be emptied. */
struct under_way {
    uint32_t leaving, moving;
};

/* Which copy must go, and why; -1: none. */
static int must_leave(const struct plan *plan, const struct plan_now *now, const char **why)
{
    int at = copy_of_use(plan, now, PLAN_LOST);
    *why = "node is gone";
    if (at >= 0) return at;
    *why = "node is drained";
    return copy_of_use(plan, now, PLAN_DRAINS);
}

/* One copy more for a shard that has too few, or where one is lost, or drains. */
static bool need(struct plan *plan, uint32_t number, struct under_way *under_way)
{
    struct plan_now *now = &plan->now[number];
    const struct roster_place *place = &now->place;
    uint32_t staying = now->count - (place->has_leaving ? 1 : 0);
    uint32_t max = plan->options->moves_max;
    const char *why = "too few copies";
    int leaves = -1;
    if (now->count == ROSTER_COPIES_MAX) return false;
    if (staying < place->target) {
        if (under_way->moving >= max) return false;
    } else {
        if (place->has_leaving || under_way->leaving >= max) return false;
        leaves = must_leave(plan, now, &why);
        if (leaves < 0) return false;
        under_way->leaving++;
    }
    int store = best_store(plan, now, leaves);
    if (store < 0) {
        if (leaves >= 0) under_way->leaving--;
        return false;
    }
    begin(plan, number, leaves, store, why);
    under_way->moving++;
    return true;
}

/* ---- evening out */

struct even {
    uint32_t shard;
    int leaves, store;
    unsigned nearer, gain, together; /* what it mends of nodes and zones, then of numbers */
    bool leads;
};

/* Only what is whole is moved about. */
static bool may_even(const struct plan *plan, const struct plan_now *now)
{
    if (!now->is_there || !now->is_led || now->place.by_hand || now->place.has_leaving)
        return false;
    return now->count == now->place.target && now->count < ROSTER_COPIES_MAX &&
           in_sync(now) == now->count && !plan_is_moving(plan, now);
}

static bool is_better(const struct even *one, const struct even *other)
{
    if (other->store < 0 || one->nearer != other->nearer)
        return other->store < 0 || one->nearer > other->nearer;
    if (one->gain != other->gain) return one->gain > other->gain;
    if (one->together != other->together) return one->together < other->together;
    return !one->leads && other->leads;
}

static void weigh(const struct plan *plan, unsigned has, struct even *even, struct even *best)
{
    const struct plan_now *now = &plan->now[even->shard];
    int from = now->copies[even->leaves].store, to = even->store;
    even->gain = plan->copies[from] > plan->copies[to] ? plan->copies[from] - plan->copies[to] : 0;
    if (has == 0 && (even->gain < 2 || even->gain < best->gain)) return;
    unsigned gets = plan_shares(plan, now, to, even->leaves);
    if (gets > has || gets >= PLAN_SAME_NODE) return;
    even->nearer = has - gets;
    if (even->nearer == 0 && even->gain < 2) return;
    even->together = plan_together(plan, now, to, even->leaves);
    even->leads = from == now->leader;
    if (is_better(even, best)) *best = *even;
}

static void weigh_stores(const struct plan *plan, struct even *even, struct even *best)
{
    const struct plan_now *now = &plan->now[even->shard];
    unsigned has = plan_shares(plan, now, now->copies[even->leaves].store, even->leaves);
    for (int i = 0; i < (int)plan->view->stores_count; i++) {
        bool is_there = false;
        for (uint32_t c = 0; c < now->count; c++) is_there |= now->copies[c].store == i;
        if (is_there || !plan_is_settled(plan, i)) continue;
        even->store = i;
        weigh(plan, has, even, best);
    }
}

static bool even_out(struct plan *plan)
{
    struct even best = { .store = -1 };
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        const struct plan_now *now = &plan->now[s];
        if (!may_even(plan, now)) continue;
        for (uint32_t c = 0; c < now->count; c++) {
            struct even even = { .shard = s, .leaves = (int)c };
            if (now->copies[c].store >= 0) weigh_stores(plan, &even, &best);
        }
    }
    if (best.store < 0) return false;
    begin(plan, best.shard, best.leaves, best.store, "copies are evened out");
    return true;
}

void plan_moves(struct plan *plan)
{
    struct under_way under_way = { 0, 0 };
    bool needed = false;
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        const struct plan_now *now = &plan->now[s];
        if (!now->is_there || !plan_is_moving(plan, now)) continue;
        under_way.moving++;
        if (now->place.has_leaving) under_way.leaving++;
    }
    for (uint32_t copies = 0; copies <= ROSTER_COPIES_MAX; copies++) {
        for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
            const struct plan_now *now = &plan->now[s];
            if (!now->is_there || !now->is_led || in_sync(now) != copies) continue;
            if (now->why == NULL && need(plan, s, &under_way)) needed = true;
        }
    }
    if (needed || !plan->options->evens) return;
    while (under_way.moving < plan->options->moves_max && even_out(plan)) under_way.moving++;
}
