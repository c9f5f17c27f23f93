/* The shards of a new cluster: who gets which, and the map of their slots. */
#include <string.h>

#include "buf.h"
#include "plan_private.h"
#include "slot.h"

enum { SHARDS_AT_A_TIME = PLAN_ITEMS_MAX / 2 }; /* each has two rows */

static const char why[] = "bootstrap";

/* What was dealt before: by this controller, or by one before it. */
static void count_dealt(struct plan *plan)
{
    static const struct roster_shard nobody; /* leads, and is in sync */
    plan_now_read(plan);
    memset(plan->copies, 0, sizeof(plan->copies));
    memset(plan->firsts, 0, sizeof(plan->firsts));
    memset(plan->together, 0, sizeof(plan->together));
    for (uint32_t s = 0; s < plan->options->shards; s++) {
        struct plan_now *now = &plan->now[s];
        if (!plan->view->shards[s].has_place) continue;
        plan_now_close(plan, now, &nobody);
        if (now->copies[0].store >= 0) plan->firsts[now->copies[0].store]++;
    }
}

/* The store for the next copy of a shard: of a node that has none, of a zone that has none if there
 * is such a one, then with the fewest, then of those it has the fewest shards together with; -1: no
 * node is left. */
static int next_store(const struct plan *plan, const struct plan_now *now)
{
    const uint32_t *load = now->count == 0 ? plan->firsts : plan->copies;
    unsigned best_shares = 0, best_together = 0;
    int best = -1;
    for (int i = 0; i < (int)plan->view->stores_count; i++) {
        if (plan_use_of(plan, i) != PLAN_USABLE) continue;
        unsigned shares = plan_shares(plan, now, i, -1);
        unsigned together = plan_together(plan, now, i, -1);
        if (shares >= PLAN_SAME_NODE) continue;
        bool worse = best >= 0 && shares > best_shares;
        bool equal = best >= 0 && shares == best_shares;
        bool same = equal && load[i] == load[best];
        if (worse || (equal && load[i] > load[best]) || (same && together >= best_together))
            continue;
        best = i;
        best_shares = shares;
        best_together = together;
    }
    return best;
}

static void deal(struct plan *plan, struct plan_now *now)
{
    static const struct roster_shard nobody;
    const struct plan_options *options = plan->options;
    now->place = (struct roster_place){ .target = options->copies, .min_isr = options->min_isr };
    now->count = 0;
    while (now->count < options->copies) {
        int at = next_store(plan, now);
        if (at < 0) break;
        now->copies[now->count++] = (struct plan_copy){ .store = (int16_t)at };
        now->place.replicas.ids[now->place.replicas.count++] = plan->view->stores[at].sid;
    }
    plan_now_close(plan, now, &nobody);
    if (now->count > 0) plan->firsts[now->copies[0].store]++;
}

static void put_place(struct plan *plan, uint32_t number, const struct roster_place *place)
{
    struct buf key = plan_item_key(plan), value = plan_item_value(plan);
    roster_key_number(&key, "place", number);
    roster_place_put(&value, place);
    plan_item_close(plan, &key, &value, 0, why);
}

/* The first row of a shard: nobody leads it yet, all of its copies are empty and so in sync. */
static void put_shard(struct plan *plan, uint32_t number, const struct roster_place *place,
                      void (*random)(void *, size_t))
{
    struct roster_shard shard = { .how = ROSTER_BOOTSTRAP, .isr = place->replicas };
    struct buf key = plan_item_key(plan), value = plan_item_value(plan);
    random(shard.nonce.bytes, sizeof(shard.nonce.bytes));
    roster_key_number(&key, "shards", number);
    roster_shard_put(&value, &shard);
    plan_item_close(plan, &key, &value, 0, why);
}

static void put_map(struct plan *plan, uint32_t shards)
{
    static struct roster_map_chunk chunk; /* too large for a stack; written before it is read */
    struct roster_map_head head = { .version = 1, .shards = shards };
    for (uint32_t first = 0; first < shards; first += ROSTER_CHUNK_SHARDS) {
        chunk.version = head.version;
        chunk.first = first;
        chunk.count = shards - first < ROSTER_CHUNK_SHARDS ? shards - first : ROSTER_CHUNK_SHARDS;
        for (uint32_t i = 0; i < chunk.count; i++) {
            uint32_t s = first + i;
            chunk.slots[i].first = s * (uint32_t)SLOT_COUNT / shards;
            chunk.slots[i].end = (s + 1) * (uint32_t)SLOT_COUNT / shards;
        }
        struct buf key = plan_item_key(plan), value = plan_item_value(plan);
        roster_key_number(&key, "map", head.chunks++);
        roster_map_chunk_put(&value, &chunk);
        plan_item_close(plan, &key, &value, 0, why);
    }
    struct buf key = plan_item_key(plan), value = plan_item_value(plan);
    buf_put(&key, SPAN("map/head"));
    roster_map_head_put(&value, &head);
    plan_item_close(plan, &key, &value, 0, why);
}

static bool again(const struct plan *plan, int store)
{
    const struct plan_store *stores = plan->view->stores;
    for (int i = 0; i < store; i++) {
        if (plan_use_of(plan, i) == PLAN_USABLE &&
            span_eq(roster_name_span(&stores[i].row.node),
                    roster_name_span(&stores[store].row.node))) {
            return true;
        }
    }
    return false;
}

static uint32_t nodes_live(const struct plan *plan)
{
    uint32_t count = 0;
    for (int i = 0; i < (int)plan->view->stores_count; i++) {
        if (plan_use_of(plan, i) == PLAN_USABLE && !again(plan, i)) count++;
    }
    return count;
}

bool plan_bootstrap(struct plan *plan, void (*random)(void *, size_t))
{
    const struct plan_options *options = plan->options;
    plan->why = "waiting for storage nodes";
    if (nodes_live(plan) < options->nodes_wanted) return false;
    count_dealt(plan);
    for (uint32_t s = 0; s < options->shards; s++) {
        const struct plan_shard *shard = &plan->view->shards[s];
        struct plan_now *now = &plan->now[s];
        if (shard->has_place && shard->has_shard) continue;
        if (plan->items_count + 2 > 2 * SHARDS_AT_A_TIME) return true;
        if (!shard->has_place) {
            deal(plan, now);
            put_place(plan, s, &now->place);
        }
        if (!shard->has_shard) put_shard(plan, s, &now->place, random);
    }
    if (plan->items_count == 0) put_map(plan, options->shards);
    return true;
}
