#include "plan_preview.h"

#include <stdlib.h>
#include <string.h>

#include "plan_private.h"

const char *plan_change_text(enum plan_change_kind kind)
{
    static const char *const texts[] = {
        [PLAN_CHANGE_ADD] = "add",   [PLAN_CHANGE_MOVE] = "move",
        [PLAN_CHANGE_REMOVE] = "remove", [PLAN_CHANGE_LEAD] = "lead",
        [PLAN_CHANGE_NUMBER] = "number",
    };
    return texts[kind];
}

struct player {
    struct plan_view *view;
    struct plan_preview *out;
    uint64_t began_ms;
};

static void say(struct player *player, const struct plan_change *change)
{
    struct plan_preview *out = player->out;
    if (out->changes_count == PLAN_PREVIEW_MAX) {
        out->is_more = true;
        return;
    }
    out->changes[out->changes_count] = *change;
    out->changes[out->changes_count++].after_ms = player->view->now_ms - player->began_ms;
}

/* The copy of `of` that `others` have not; -1: there is none, or nobody knows it. */
static bool difference(const struct plan_view *view, const struct roster_copies *of,
                       const struct roster_copies *others, int *store)
{
    for (uint32_t i = 0; i < of->count; i++) {
        if (roster_copies_have(others, &of->ids[i])) continue;
        *store = plan_store_of(view, &of->ids[i]);
        return true;
    }
    return false;
}

/* ---- what a row says that was not there before */

static void compare(struct player *player, uint32_t shard, const struct roster_place *new,
                    const char *why)
{
    const struct plan_view *view = player->view;
    const struct roster_place *old = &view->shards[shard].place;
    const struct roster_shard *row = &view->shards[shard].row;
    struct plan_change change = { .why = why, .shard = shard, .from = -1, .to = -1 };
    if (old->target != new->target || old->min_isr != new->min_isr) {
        change.kind = PLAN_CHANGE_NUMBER;
        say(player, &change);
    }
    if (difference(view, &new->replicas, &old->replicas, &change.to)) {
        change.kind = new->has_leaving && !old->has_leaving ? PLAN_CHANGE_MOVE : PLAN_CHANGE_ADD;
        if (change.kind == PLAN_CHANGE_MOVE) change.from = plan_store_of(view, &new->leaving);
        say(player, &change);
    } else if (!old->has_leaving &&
               difference(view, &old->replicas, &new->replicas, &change.from)) {
        change.kind = PLAN_CHANGE_REMOVE;
        say(player, &change);
    }
    if (new->has_lead && (!old->has_lead || !roster_id_eq(&old->lead, &new->lead))) {
        change.kind = PLAN_CHANGE_LEAD;
        change.from = row->has_leader ? plan_store_of(view, &row->leader) : -1;
        change.to = plan_store_of(view, &new->lead);
        say(player, &change);
    }
}

/* Moves that have been begun. */
static void say_begun(struct player *player)
{
    const struct plan_view *view = player->view;
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        const struct plan_shard *shard = &view->shards[s];
        if (!shard->has_place || !shard->has_shard || !shard->place.has_leaving) continue;
        struct plan_change change = { .kind = PLAN_CHANGE_MOVE, .why = "under way", .shard = s,
                                      .from = plan_store_of(view, &shard->place.leaving),
                                      .to = -1, .under_way = true };
        difference(view, &shard->place.replicas, &shard->row.isr, &change.to);
        say(player, &change);
    }
}

/* ---- the others */

static void carry_out(struct player *player, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->items_count; i++) {
        const struct plan_item *item = &plan->items[i];
        struct span key = span_of(item->key, item->key_len);
        struct span value = span_of(plan->bytes + item->value_at, item->value_len);
        struct roster_place place;
        struct roster_id sid;
        uint32_t number;
        if (roster_key_read_number(key, "place", &number).code == ERR_OK &&
            number < ROSTER_SHARDS_MAX && roster_place_read(value, &place).code == ERR_OK) {
            compare(player, number, &place, item->why);
            player->view->shards[number].place = place;
        } else if (roster_key_read_id(key, "stores", &sid).code == ERR_OK) {
            int at = plan_store_of(player->view, &sid);
            if (at >= 0) player->view->stores[at].row.state = ROSTER_DEAD;
        }
    }
}

/* The leader as it is meant to be: whoever is placed and live gets in sync, whoever is not placed
 * leaves when enough are there, and who is to lead leads. */
static void lead(const struct plan_view *view, struct plan_shard *shard)
{
    struct roster_copies *isr = &shard->row.isr;
    const struct roster_place *place = &shard->place;
    int leader = shard->row.has_leader ? plan_store_of(view, &shard->row.leader) : -1;
    if (leader < 0 || !view->stores[leader].live) return;
    for (uint32_t i = 0; i < place->replicas.count && isr->count < ROSTER_COPIES_MAX; i++) {
        const struct roster_id *sid = &place->replicas.ids[i];
        int at = plan_store_of(view, sid);
        if (at < 0 || !view->stores[at].live || roster_copies_have(isr, sid)) continue;
        isr->ids[isr->count++] = *sid;
    }
    if (place->has_lead && roster_copies_have(isr, &place->lead)) shard->row.leader = place->lead;
    bool moves = !roster_copies_have(&place->replicas, &shard->row.leader);
    for (uint32_t i = 0; i < isr->count && moves; i++) {
        if (roster_copies_have(&place->replicas, &isr->ids[i])) shard->row.leader = isr->ids[i];
    }
    for (uint32_t i = 0; i < isr->count && isr->count > place->replicas.count;) {
        if (roster_copies_have(&place->replicas, &isr->ids[i])) i++;
        else isr->ids[i] = isr->ids[--isr->count];
    }
}

static void no_random(void *bytes, size_t size) { memset(bytes, 0, size); }

static void play(struct player *player, const struct plan_options *options, struct plan *plan)
{
    struct plan_view *view = player->view;
    say_begun(player);
    for (uint32_t round = 0; round < PLAN_PREVIEW_ROUNDS_MAX; round++) {
        for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
            struct plan_shard *shard = &view->shards[s];
            if (shard->has_place && shard->has_shard) lead(view, shard);
        }
        if (plan_next(view, options, no_random, plan)) {
            carry_out(player, plan);
            continue;
        }
        uint64_t wait_ms = plan_wait_ms(view, options);
        if (wait_ms == UINT64_MAX) return;
        view->now_ms += wait_ms;
    }
    player->out->is_more = true;
}

struct err plan_preview_make(struct plan_view *view, const struct plan_options *options,
                             struct plan_preview *ret)
{
    struct player player = { view, ret, view->now_ms };
    struct plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) return err_make(ERR_NOMEM, "preview of the plan");
    ret->changes_count = 0;
    ret->is_more = false;
    if (view->has_head) play(&player, options, plan);
    free(plan);
    return err_ok();
}
