/* One shard: what is done is ended, what the options say is followed. */
#include "plan_private.h"

static void leave(struct roster_copies *copies, const struct roster_id *id)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < copies->count; i++) {
        if (!roster_id_eq(&copies->ids[i], id)) copies->ids[kept++] = copies->ids[i];
    }
    copies->count = kept;
}

/* More copies in sync are demanded only once they are there, fewer at once. */
static void follow_options(const struct plan *plan, struct plan_now *now, uint32_t in_sync)
{
    const struct plan_options *options = plan->options;
    struct roster_place *place = &now->place;
    uint32_t target = options->copies_now > 0 ? options->copies_now : place->target;
    uint32_t least = options->min_isr_now > 0 ? options->min_isr_now : place->min_isr;
    if (least > target) least = target;
    if (least > place->min_isr && in_sync < least) least = place->min_isr;
    if (target == place->target && least == place->min_isr) return;
    place->target = target;
    place->min_isr = least;
    now->why = "number of copies";
}

/* Led as it was wished, or never to be. */
static void end_lead(const struct plan *plan, struct plan_now *now)
{
    if (!now->place.has_lead) return;
    bool may = now->lead != now->leader && plan_use_of(plan, now->lead) == PLAN_USABLE;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->store == now->lead && (!copy->in_sync || copy->leaves)) may = false;
    }
    if (may) return;
    now->place.has_lead = false;
    now->why = "leads";
}

/* The sooner a copy should go, the higher. One that leads goes last of its like. */
static unsigned worth_leaving(const struct plan *plan, const struct plan_now *now, uint32_t at)
{
    const struct plan_copy *copy = &now->copies[at];
    enum plan_use use = plan_use_of(plan, copy->store);
    unsigned worth = use == PLAN_LOST ? 8 : use == PLAN_DRAINS ? 4 : 0;
    if (!copy->in_sync) worth += 2;
    return worth + (copy->store != now->leader);
}

/* The copy that is to go without another for it: the one that is worth it most, then that shares
 * a node or zone, then whose store has most. */
static uint32_t one_too_many(const struct plan *plan, const struct plan_now *now)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < now->count; i++) {
        unsigned worth = worth_leaving(plan, now, i), most = worth_leaving(plan, now, best);
        if (worth < most) continue;
        bool better = worth > most;
        int store = now->copies[i].store, other = now->copies[best].store;
        if (!better && store >= 0 && other >= 0) {
            unsigned shares = plan_shares(plan, now, store, (int)i);
            unsigned less = plan_shares(plan, now, other, (int)best);
            better = shares > less ||
                     (shares == less && plan->copies[store] > plan->copies[other]);
        }
        if (better) best = i;
    }
    return best;
}

/* Whom a move under way takes away is another one when that one is lost meanwhile: the copy that
 * comes is its. */
static void choose_leaving(const struct plan *plan, struct plan_now *now)
{
    struct roster_place *place = &now->place;
    uint32_t staying = now->count - (place->has_leaving ? 1 : 0);
    int at = -1;
    bool is_lost = false;
    for (uint32_t i = 0; i < now->count && place->has_leaving; i++) {
        bool lost = plan_use_of(plan, now->copies[i].store) == PLAN_LOST;
        if (now->copies[i].leaves) is_lost = lost;
        else if (lost && at < 0) at = (int)i;
    }
    if (is_lost || (place->has_leaving && at < 0)) return;
    if (!place->has_leaving && staying <= place->target) return;
    if (!place->has_leaving) at = (int)one_too_many(plan, now);
    place->has_leaving = true;
    place->leaving = place->replicas.ids[at];
    now->why = "copy is taken away";
}

/* Whether the others do without the one that leaves. */
static bool may_leave(const struct plan *plan, const struct plan_now *now)
{
    uint32_t staying = 0, in_sync = 0;
    bool leaves_sync = false;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct plan_copy *copy = &now->copies[i];
        if (copy->leaves) {
            leaves_sync = copy->in_sync;
            continue;
        }
        staying++;
        if (copy->in_sync) in_sync++;
        else if (plan_is_live(plan, copy->store)) return false;
    }
    if (staying < now->place.target || in_sync == 0) return false;
    return !leaves_sync || in_sync >= now->place.target;
}

void plan_settle(struct plan *plan, uint32_t number)
{
    struct plan_now *now = &plan->now[number];
    const struct roster_shard *row = &plan->view->shards[number].row;
    plan_now_open(plan, now);
    follow_options(plan, now, row->isr.count);
    end_lead(plan, now);
    choose_leaving(plan, now);
    plan_now_close(plan, now, row);
    if (!now->place.has_leaving || !now->is_led || !may_leave(plan, now)) return;
    plan_now_open(plan, now);
    leave(&now->place.replicas, &now->place.leaving);
    if (now->place.has_lead && roster_id_eq(&now->place.lead, &now->place.leaving))
        now->place.has_lead = false;
    now->place.has_leaving = false;
    now->why = "copy is taken away";
    plan_now_close(plan, now, row);
}
