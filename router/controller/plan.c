#include "plan.h"

#include <string.h>

#include "buf.h"
#include "slot.h"

enum { SHARDS_AT_A_TIME = PLAN_ITEMS_MAX / 2 }; /* each has two rows */

/* An item whose value is written by the caller into the returned buffer, then closed. */
static struct buf item_open(struct plan *plan)
{
    struct buf out;
    buf_init(&out, plan->bytes + plan->bytes_len, sizeof(plan->bytes) - plan->bytes_len);
    return out;
}

static void item_close(struct plan *plan, const struct buf *key, const struct buf *value,
                       uint64_t revision)
{
    struct plan_item *item = &plan->items[plan->items_count++];
    item->key_len = key->len;
    item->revision = revision;
    item->value_at = plan->bytes_len;
    item->value_len = value->len;
    plan->bytes_len += value->len;
}

static struct buf key_open(struct plan *plan)
{
    struct plan_item *item = &plan->items[plan->items_count];
    struct buf out;
    buf_init(&out, item->key, sizeof(item->key));
    return out;
}

/* ---- dealing out ---- */

/* What each store has been dealt, while a plan is made. */
struct dealing {
    const struct plan_view *view;
    uint32_t firsts[PLAN_STORES_MAX], copies[PLAN_STORES_MAX];
};

static bool usable(const struct plan_store *store)
{
    return store->live && store->row.state == ROSTER_ACTIVE;
}

static int store_of(const struct plan_view *view, const struct roster_id *sid)
{
    for (uint32_t i = 0; i < view->stores_count; i++) {
        if (roster_id_eq(&view->stores[i].sid, sid)) return (int)i;
    }
    return -1;
}

/* Shards that a controller before us has dealt out count, too. */
static void count_dealt(struct dealing *dealing, uint32_t shards)
{
    for (uint32_t s = 0; s < shards; s++) {
        const struct plan_shard *shard = &dealing->view->shards[s];
        for (uint32_t c = 0; shard->has_place && c < shard->place.replicas.count; c++) {
            int at = store_of(dealing->view, &shard->place.replicas.ids[c]);
            if (at < 0) continue;
            dealing->copies[at]++;
            if (c == 0) dealing->firsts[at]++;
        }
    }
}

static bool shares(const struct plan_view *view, const struct roster_copies *copies, uint32_t at,
                   bool zones)
{
    const struct roster_store *row = &view->stores[at].row;
    for (uint32_t i = 0; i < copies->count; i++) {
        int other = store_of(view, &copies->ids[i]);
        if (other < 0) continue;
        const struct roster_store *theirs = &view->stores[other].row;
        const struct roster_name *a = zones ? &row->zone : &row->node;
        const struct roster_name *b = zones ? &theirs->zone : &theirs->node;
        if (a->len > 0 && span_eq(roster_name_span(a), roster_name_span(b))) return true;
    }
    return false;
}

/* The store for the next copy of a shard: of a node that has none, of a zone that has none if there
 * is such a one, then with the fewest; -1: no node is left. */
static int next_store(const struct dealing *dealing, const struct roster_copies *copies)
{
    const struct plan_view *view = dealing->view;
    const uint32_t *load = copies->count == 0 ? dealing->firsts : dealing->copies;
    int best = -1;
    bool best_shares = false;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        if (!usable(&view->stores[i]) || shares(view, copies, i, false)) continue;
        bool zone = shares(view, copies, i, true);
        bool better = best < 0 || (best_shares && !zone) ||
                      (best_shares == zone && load[i] < load[best]);
        if (!better) continue;
        best = (int)i;
        best_shares = zone;
    }
    return best;
}

static void deal(struct dealing *dealing, const struct plan_options *options,
                 struct roster_place *place)
{
    *place = (struct roster_place){ .target = options->copies, .min_isr = options->min_isr };
    while (place->replicas.count < options->copies) {
        int at = next_store(dealing, &place->replicas);
        if (at < 0) return;
        if (place->replicas.count == 0) dealing->firsts[at]++;
        dealing->copies[at]++;
        place->replicas.ids[place->replicas.count++] = dealing->view->stores[at].sid;
    }
}

static void put_place(struct plan *plan, uint32_t number, const struct roster_place *place)
{
    struct buf key = key_open(plan), value = item_open(plan);
    roster_key_number(&key, "place", number);
    roster_place_put(&value, place);
    item_close(plan, &key, &value, 0);
}

/* The first row of a shard: nobody leads it yet, all of its copies are empty and so in sync. */
static void put_shard(struct plan *plan, uint32_t number, const struct roster_place *place,
                      void (*random)(void *, size_t))
{
    struct roster_shard shard = { .how = ROSTER_BOOTSTRAP, .isr = place->replicas };
    struct buf key = key_open(plan), value = item_open(plan);
    random(shard.nonce.bytes, sizeof(shard.nonce.bytes));
    roster_key_number(&key, "shards", number);
    roster_shard_put(&value, &shard);
    item_close(plan, &key, &value, 0);
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
        struct buf key = key_open(plan), value = item_open(plan);
        roster_key_number(&key, "map", head.chunks++);
        roster_map_chunk_put(&value, &chunk);
        item_close(plan, &key, &value, 0);
    }
    struct buf key = key_open(plan), value = item_open(plan);
    buf_put(&key, SPAN("map/head"));
    roster_map_head_put(&value, &head);
    item_close(plan, &key, &value, 0);
}

static uint32_t nodes_live(const struct plan_view *view)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        bool again = false;
        for (uint32_t j = 0; j < i && !again; j++) {
            again = usable(&view->stores[j]) &&
                    span_eq(roster_name_span(&view->stores[i].row.node),
                            roster_name_span(&view->stores[j].row.node));
        }
        if (usable(&view->stores[i]) && !again) count++;
    }
    return count;
}

static bool bootstrap(const struct plan_view *view, const struct plan_options *options,
                      void (*random)(void *, size_t), struct plan *plan)
{
    struct dealing dealing = { .view = view };
    plan->why = "waiting for storage nodes";
    if (nodes_live(view) < options->nodes_wanted) return false;
    plan->why = "bootstrap";
    count_dealt(&dealing, options->shards);
    for (uint32_t s = 0; s < options->shards; s++) {
        const struct plan_shard *shard = &view->shards[s];
        struct roster_place place = shard->place;
        if (shard->has_place && shard->has_shard) continue;
        if (plan->items_count + 2 > 2 * SHARDS_AT_A_TIME) return true;
        if (!shard->has_place) {
            deal(&dealing, options, &place);
            put_place(plan, s, &place);
        }
        if (!shard->has_shard) put_shard(plan, s, &place, random);
    }
    if (plan->items_count == 0) put_map(plan, options->shards);
    return true;
}

/* ---- nodes that are gone ---- */

static bool is_dead(const struct plan_view *view, const struct plan_options *options,
                    const struct plan_store *store)
{
    return !store->live && store->row.state != ROSTER_DEAD &&
           view->now_ms - store->gone_since_ms >= options->dead_after_ms;
}

static bool mark_dead(const struct plan_view *view, const struct plan_options *options,
                      struct plan *plan)
{
    for (uint32_t i = 0; i < view->stores_count; i++) {
        const struct plan_store *store = &view->stores[i];
        if (!is_dead(view, options, store)) continue;
        if (plan->items_count == PLAN_ITEMS_MAX) break;
        struct roster_store row = store->row;
        struct buf key = key_open(plan), value = item_open(plan);
        row.state = ROSTER_DEAD;
        roster_key_id(&key, "stores", &store->sid);
        roster_store_put(&value, &row);
        item_close(plan, &key, &value, store->revision);
    }
    if (plan->items_count > 0) plan->why = "node is dead";
    return plan->items_count > 0;
}

bool plan_next(const struct plan_view *view, const struct plan_options *options,
               void (*random)(void *bytes, size_t size), struct plan *plan)
{
    plan->why = NULL;
    plan->items_count = 0;
    plan->bytes_len = 0;
    if (mark_dead(view, options, plan)) return true;
    return !view->has_head && bootstrap(view, options, random, plan);
}

uint64_t plan_wait_ms(const struct plan_view *view, const struct plan_options *options)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        const struct plan_store *store = &view->stores[i];
        if (store->live || store->row.state == ROSTER_DEAD) continue;
        uint64_t at = store->gone_since_ms + options->dead_after_ms;
        uint64_t wait = at > view->now_ms ? at - view->now_ms : 0;
        if (wait < least) least = wait;
    }
    return least;
}
