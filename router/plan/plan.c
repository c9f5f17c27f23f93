#include "plan.h"

#include "buf.h"
#include "plan_private.h"

/* ---- the transaction */

/* An item whose value is written by the caller into the returned buffer, then closed. */
struct buf plan_item_value(struct plan *plan)
{
    struct buf out;
    buf_init(&out, plan->bytes + plan->bytes_len, sizeof(plan->bytes) - plan->bytes_len);
    return out;
}

struct buf plan_item_key(struct plan *plan)
{
    struct plan_item *item = &plan->items[plan->items_count];
    struct buf out;
    buf_init(&out, item->key, sizeof(item->key));
    return out;
}

void plan_item_close(struct plan *plan, const struct buf *key, const struct buf *value,
                     uint64_t revision, const char *why)
{
    struct plan_item *item = &plan->items[plan->items_count++];
    item->key_len = key->len;
    item->revision = revision;
    item->value_at = plan->bytes_len;
    item->value_len = value->len;
    item->why = why;
    plan->bytes_len += value->len;
    if (plan->items_count == 1) plan->why = why;
}

/* ---- nodes that are gone */

static bool is_dead(const struct plan_view *view, const struct plan_options *options,
                    const struct plan_store *store)
{
    return !store->live && store->row.state == ROSTER_ACTIVE &&
           view->now_ms - store->gone_since_ms >= options->dead_after_ms;
}

static bool mark_dead(struct plan *plan)
{
    const struct plan_view *view = plan->view;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        const struct plan_store *store = &view->stores[i];
        if (!is_dead(view, plan->options, store)) continue;
        if (plan->items_count == PLAN_ITEMS_MAX) break;
        struct roster_store row = store->row;
        struct buf key = plan_item_key(plan), value = plan_item_value(plan);
        row.state = ROSTER_DEAD;
        roster_key_id(&key, "stores", &store->sid);
        roster_store_put(&value, &row);
        plan_item_close(plan, &key, &value, store->revision, "node is dead");
    }
    return plan->items_count > 0;
}

/* ---- copies and leads */

static bool place_all(struct plan *plan)
{
    plan_now_read(plan);
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX; s++) {
        if (plan->now[s].is_there) plan_settle(plan, s);
    }
    plan_moves(plan);
    plan_leads(plan);
    for (uint32_t s = 0; s < ROSTER_SHARDS_MAX && plan->items_count < PLAN_ITEMS_MAX; s++) {
        const struct plan_now *now = &plan->now[s];
        if (!now->is_there || now->why == NULL) continue;
        struct buf key = plan_item_key(plan), value = plan_item_value(plan);
        roster_key_number(&key, "place", s);
        roster_place_put(&value, &now->place);
        plan_item_close(plan, &key, &value, plan->view->shards[s].revision, now->why);
    }
    return plan->items_count > 0;
}

bool plan_next(const struct plan_view *view, const struct plan_options *options,
               void (*random)(void *bytes, size_t size), struct plan *plan)
{
    plan->view = view;
    plan->options = options;
    plan->why = NULL;
    plan->items_count = 0;
    plan->bytes_len = 0;
    if (mark_dead(plan)) return true;
    if (!view->has_head) return plan_bootstrap(plan, random);
    if (!view->is_partial) return place_all(plan);
    plan->why = "rows of data directories that can be read";
    return false;
}

/* ---- time */

static void soonest(uint64_t *least, uint64_t now_ms, uint64_t at_ms)
{
    if (at_ms > now_ms && at_ms - now_ms < *least) *least = at_ms - now_ms;
}

uint64_t plan_wait_ms(const struct plan_view *view, const struct plan_options *options)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        const struct plan_store *store = &view->stores[i];
        if (store->live) {
            if (options->evens)
                soonest(&least, view->now_ms, store->live_since_ms + options->settle_ms);
            continue;
        }
        soonest(&least, view->now_ms, store->gone_since_ms + options->replace_after_ms);
        if (store->row.state == ROSTER_ACTIVE)
            soonest(&least, view->now_ms, store->gone_since_ms + options->dead_after_ms);
    }
    return least;
}
