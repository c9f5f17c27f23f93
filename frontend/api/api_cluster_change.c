/* What an operator may change of where the copies of shards are. The rows are changed here, by
 * compare-and-swap; the controller and the shards' leaders do the rest (plan.h).
 *
 *   POST   /api/v1/cluster/nodes/NODE/drain         its stores are marked draining: copies, leads
 *                                                   are taken elsewhere, and nothing new comes
 *   DELETE /api/v1/cluster/nodes/NODE/drain         and active again
 *   POST   /api/v1/cluster/shards/N/move            {"from": node, "to": node}: one copy
 *   POST   /api/v1/cluster/shards/N/transfer        {"node": node}: it leads, soon
 *   POST   /api/v1/cluster/shards/N/release         moved or transferred before: evenness may move
 *                                                   it again
 *   POST   /api/v1/cluster/shards/N/force-leader    {"node": node, "accept_loss": true}
 *
 * A node that has several directories is meant with the one that has the shard, or else with the
 * one that has the fewest copies.
 *
 * A forced leader (REPLICATION 6.8) begins an epoch FORCE_EPOCHS further on, alone in the set in
 * sync, with what it has; what others had beyond may be lost. It is refused while the old leader
 * has its lease, and while a copy in sync is live on another node than the named one: that one
 * takes over without loss. */
#include <string.h>

#include "api_cluster_private.h"
#include "buf.h"
#include "coord.h"
#include "id.h"

enum { FORCE_EPOCHS = 1000 };

/* ---- the drain of a node */

/* All of it that is to be changed, in one transaction. */
struct drain {
    struct coord_item items[ROSTER_STORES_MAX];
    size_t count;
};

static bool drain_store(struct api_call *call, const struct roster_id *sid,
                        enum roster_store_state state, struct drain *drain)
{
    char *bytes = arena_alloc(&call->arena, ROSTER_KEY_MAX_BYTES + ROSTER_VALUE_MAX_BYTES);
    struct coord_row row;
    struct roster_store store;
    struct buf key, value;
    if (bytes == NULL || drain->count == ROSTER_STORES_MAX) return false;
    buf_init(&key, bytes, ROSTER_KEY_MAX_BYTES);
    buf_init(&value, bytes + ROSTER_KEY_MAX_BYTES, ROSTER_VALUE_MAX_BYTES);
    roster_key_id(&key, "stores", sid);
    if (!coord_get(call->api->options.coord, buf_span(&key), &row)) return true;
    if (roster_store_read(row.value, &store).code != ERR_OK) return false;
    if (store.state == state || (state == ROSTER_ACTIVE && store.state == ROSTER_DEAD)) return true;
    store.state = state;
    roster_store_put(&value, &store);
    drain->items[drain->count++] = (struct coord_item){
        .key = buf_span(&key), .value = buf_span(&value), .revision = row.revision,
        .action = COORD_PUT
    };
    return true;
}

static void on_drained(void *holder, struct err err, uint64_t revision)
{
    struct api_call *call = holder;
    (void)revision;
    if (err.code == ERR_OK) flow_next(&call->flow, err_ok());
    else api_fail(call, err);
}

/* By the name of the path; NULL, and refused. */
static const struct overview_node *take_node(struct api_call *call, struct span name)
{
    const struct overview *overview = call->cluster->overview;
    for (uint32_t i = 0; i < overview->nodes_count; i++) {
        const struct overview_node *node = &overview->nodes[i];
        if (span_eq(roster_name_span(&node->name), name)) return node;
    }
    api_refuse(call, 404, "Not found", "no storage node %.*s; GET /api/v1/cluster lists them",
               (int)name.len, name.ptr);
    return NULL;
}

/* Rows as they are now, not as they were heard of. */
static void on_fresh(void *holder, struct err err)
{
    struct api_call *call = holder;
    if (err.code == ERR_OK) err = api_cluster_read(call);
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(&call->flow, err_ok());
}

static void fresh_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct err err = coord_refresh_start(call->api->options.coord, SPAN("stores/"), on_fresh, call);
    if (err.code != ERR_OK) api_fail(call, err);
}

static void set_state(struct api_call *call, enum roster_store_state state)
{
    const struct overview *overview = call->cluster->overview;
    const struct overview_node *node = take_node(call, call->argument);
    struct drain drain = { .count = 0 };
    if (node == NULL) return;
    for (uint32_t i = 0; i < overview->stores_count; i++) {
        const struct overview_store *store = &overview->stores[i];
        if (&overview->nodes[store->node] != node) continue;
        if (drain_store(call, &store->sid, state, &drain)) continue;
        api_fail(call, err_make(ERR_CORRUPT, "row of a data directory"));
        return;
    }
    call->out = json_object();
    api_set_text(call->out, "name", call->argument);
    api_set(call->out, "state", json_string(state == ROSTER_DRAINING ? "draining" : "active"));
    api_set(call->out, "copies", json_integer(node->copies));
    if (drain.count == 0) {
        flow_next(&call->flow, err_ok());
        return;
    }
    const struct coord_change change = { .items = drain.items, .count = drain.count };
    struct err err = coord_change_start(call->api->options.coord, call->api->options.crew, &change,
                                        on_drained, call);
    if (err.code != ERR_OK) api_fail(call, err);
}

static void drain_step(struct flow *flow) { set_state(api_of(flow), ROSTER_DRAINING); }
static void undrain_step(struct flow *flow) { set_state(api_of(flow), ROSTER_ACTIVE); }

/* ---- one shard */

/* Reads the row of the path's shard. */
static void read_row(struct flow *flow, const char *folder)
{
    struct api_call *call = api_of(flow);
    char key[API_KEY_BYTES];
    uint64_t number = 0;
    struct span text = call->argument;
    bool good = text.len > 0 && text.len <= 4;
    for (size_t i = 0; good && i < text.len; i++) {
        good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (!good || number >= ROSTER_SHARDS_MAX) {
        api_refuse(call, 400, "Bad value", "%.*s: the number of a shard, 0 to %d", (int)text.len,
                   text.ptr, ROSTER_SHARDS_MAX - 1);
        return;
    }
    call->shard = (unsigned)number;
    snprintf(key, sizeof(key), "%s/%05u", folder, call->shard);
    api_row_get(call, key);
}

static void place_step(struct flow *flow) { read_row(flow, "place"); }
static void shard_step(struct flow *flow) { read_row(flow, "shards"); }

/* The picture of the shard; NULL, and refused. */
static const struct overview_shard *take_shard(struct api_call *call)
{
    struct err err = api_cluster_read(call);
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return NULL;
    }
    const struct overview *overview = call->cluster->overview;
    const struct overview_shard *shard = &overview->shards[call->shard];
    if (api_cluster_is_one_node(call)) {
        api_refuse(call, 409, "Conflict", "this installation has one node and one copy of all");
        return NULL;
    }
    if (!overview->has_head || call->shard >= overview->head.shards || call->row == NULL ||
        !shard->has_place || !shard->has_row) {
        api_refuse(call, 404, "Not found", "no shard %u", call->shard);
        return NULL;
    }
    return shard;
}

/* The node of a member of the request; NULL, and refused. */
static const struct overview_node *node_in(struct api_call *call, const char *member)
{
    struct span name = SPAN("");
    if (!api_in_text(call, member, ROSTER_NAME_MAX_BYTES, &name)) return NULL;
    if (name.len == 0) {
        api_refuse(call, 400, "Bad value", "%s: the name of a storage node", member);
        return NULL;
    }
    return take_node(call, name);
}

/* The store of the node among those copies; NULL: none. */
static const struct roster_id *copy_on(const struct api_call *call,
                                       const struct overview_node *node,
                                       const struct roster_copies *copies)
{
    for (uint32_t i = 0; i < copies->count; i++) {
        if (overview_node_of(call->cluster->overview, &copies->ids[i]) == node)
            return &copies->ids[i];
    }
    return NULL;
}

static json_t *id_json(const struct roster_id *id)
{
    char text[ID_TEXT_BYTES];
    id_hex(id->bytes, ID_BYTES, text);
    return api_json_text(span_of(text, sizeof(text)));
}

static uint32_t copies_of(const struct overview *overview, const struct roster_id *sid)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < overview->head.shards; i++) {
        const struct overview_shard *shard = &overview->shards[i];
        count += shard->has_place && roster_copies_have(&shard->place.replicas, sid);
    }
    return count;
}

/* The directory of a node that is to have one more copy. */
static const struct roster_id *emptiest(const struct overview *overview,
                                        const struct overview_node *node)
{
    const struct roster_id *best = NULL;
    uint32_t least = 0;
    for (uint32_t i = 0; i < overview->stores_count; i++) {
        const struct overview_store *store = &overview->stores[i];
        if (&overview->nodes[store->node] != node) continue;
        uint32_t copies = copies_of(overview, &store->sid);
        if (best != NULL && copies >= least) continue;
        best = &store->sid;
        least = copies;
    }
    return best;
}

static bool may_take(struct api_call *call, const struct overview_node *node)
{
    const char *why = !node->alive ? "is gone" : node->draining ? "is drained" : NULL;
    if (why == NULL && emptiest(call->cluster->overview, node) == NULL) why = "has no directory";
    if (why == NULL) return true;
    api_refuse(call, 409, "Conflict", "storage node %.*s %s", node->name.len, node->name.text, why);
    return false;
}

static void move_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct overview_shard *shard = take_shard(call);
    const struct overview_node *from = shard == NULL ? NULL : node_in(call, "from");
    const struct overview_node *to = from == NULL ? NULL : node_in(call, "to");
    if (to == NULL) return;
    const struct roster_place *place = &shard->place;
    const struct roster_id *leaves = copy_on(call, from, &place->replicas);
    if (leaves == NULL) {
        api_refuse(call, 409, "Conflict", "storage node %.*s has no copy of shard %u",
                   from->name.len, from->name.text, call->shard);
    } else if (to != from && copy_on(call, to, &place->replicas) != NULL) {
        api_refuse(call, 409, "Conflict", "storage node %.*s has a copy of shard %u already",
                   to->name.len, to->name.text, call->shard);
    } else if (to == from) {
        api_refuse(call, 400, "Bad value", "to: another storage node than from");
    } else if (place->has_leaving || place->replicas.count == ROSTER_COPIES_MAX) {
        api_refuse(call, 409, "Conflict", "a copy of shard %u is on its way: try again later",
                   call->shard);
    } else if (may_take(call, to)) {
        const struct roster_id *comes = emptiest(call->cluster->overview, to);
        json_array_append_new(json_object_get(call->row, "replicas"), id_json(comes));
        api_set(call->row, "leaving", id_json(leaves));
        api_set(call->row, "by_hand", json_true());
        api_row_put(call);
    }
}

static void transfer_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct overview_shard *shard = take_shard(call);
    const struct overview_node *node = shard == NULL ? NULL : node_in(call, "node");
    if (node == NULL) return;
    const struct roster_id *heir = copy_on(call, node, &shard->row.isr);
    bool placed = heir != NULL && roster_copies_have(&shard->place.replicas, heir);
    if (!placed || (shard->place.has_leaving && roster_id_eq(&shard->place.leaving, heir))) {
        api_refuse(call, 409, "Conflict", "storage node %.*s has no copy of shard %u in sync",
                   node->name.len, node->name.text, call->shard);
    } else if (shard->state == OVERVIEW_LEADER_GONE || shard->state == OVERVIEW_NO_LEADER) {
        api_refuse(call, 409, "Conflict", "nobody leads shard %u who could hand it over",
                   call->shard);
    } else if (may_take(call, node)) {
        if (!roster_id_eq(&shard->row.leader, heir)) api_set(call->row, "lead", id_json(heir));
        api_set(call->row, "by_hand", json_true());
        api_row_put(call);
    }
}

static void release_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (take_shard(call) == NULL) return;
    json_object_del(call->row, "by_hand");
    api_row_put(call);
}

/* ---- by force */

/* A copy in sync that is live, but on `node`; NULL: none. */
static const struct overview_node *other_in_sync(const struct api_call *call,
                                                 const struct overview_shard *shard,
                                                 const struct overview_node *node)
{
    const struct roster_copies *isr = &shard->row.isr;
    if (copy_on(call, node, isr) != NULL) return NULL;
    for (uint32_t i = 0; i < isr->count; i++) {
        const struct overview_node *other = overview_node_of(call->cluster->overview,
                                                             &isr->ids[i]);
        if (other != NULL && other->alive) return other;
    }
    return NULL;
}

/* Whether the node may be made to lead by force. */
static bool may_force(struct api_call *call, const struct overview_shard *shard,
                      const struct overview_node *node)
{
    const struct overview_node *other = other_in_sync(call, shard, node);
    if (!json_is_true(json_object_get(call->in, "accept_loss"))) {
        api_refuse(call, 400, "Bad value",
                   "accept_loss: true, for mail that only other copies have is lost");
    } else if (copy_on(call, node, &shard->place.replicas) == NULL) {
        api_refuse(call, 409, "Conflict", "storage node %.*s has no copy of shard %u",
                   node->name.len, node->name.text, call->shard);
    } else if (!node->alive) {
        api_refuse(call, 409, "Conflict", "storage node %.*s is gone", node->name.len,
                   node->name.text);
    } else if (shard->state != OVERVIEW_LEADER_GONE) {
        api_refuse(call, 409, "Conflict", "shard %u: its leader has not been gone for long enough",
                   call->shard);
    } else if (other != NULL) {
        api_refuse(call, 409, "Conflict",
                   "storage node %.*s has shard %u in sync and is there: it takes over without "
                   "loss, by itself or when it is named", other->name.len, other->name.text,
                   call->shard);
    } else {
        return true;
    }
    return false;
}

static void force_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct overview_shard *shard = take_shard(call);
    const struct overview_node *node = shard == NULL ? NULL : node_in(call, "node");
    if (node == NULL || !may_force(call, shard, node)) return;
    const struct roster_id *leader = copy_on(call, node, &shard->place.replicas);
    json_int_t epoch = (json_int_t)shard->row.epoch + FORCE_EPOCHS;
    struct roster_id nonce;
    id_random(nonce.bytes, ID_BYTES);
    json_t *isr = json_array();
    json_array_append_new(isr, id_json(leader));
    api_set(call->row, "epoch", json_integer(epoch));
    api_set(call->row, "leader", id_json(leader));
    api_set(call->row, "boot", id_json(&node->live.boot));
    api_set(call->row, "how", json_string("forced"));
    api_set(call->row, "isr", isr);
    api_set(call->row, "nonce", id_json(&nonce));
    /* The leader alone knows where it stands, and says so with its first change. */
    api_set(call->row, "lossy", json_integer(epoch));
    api_set(call->row, "base", json_integer(0));
    api_row_put(call);
}

static void answer_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = json_object();
    api_set(call->out, "shard", json_integer((json_int_t)call->shard));
    api_set(call->out, "state", json_string("asked"));
    flow_next(flow, err_ok());
}

#define SHARD_CHANGE(read, change) \
    { "row", read }, { "change", change }, { "answer", answer_step }, { "audit", api_audit }, \
    { NULL, NULL }

const struct flow_step api_node_drain[] = {
    { "rows", fresh_step }, { "drain", drain_step }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_node_undrain[] = {
    { "rows", fresh_step }, { "undrain", undrain_step }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_shard_move[] = { SHARD_CHANGE(place_step, move_step) };
const struct flow_step api_shard_transfer[] = { SHARD_CHANGE(place_step, transfer_step) };
const struct flow_step api_shard_release[] = { SHARD_CHANGE(place_step, release_step) };
const struct flow_step api_shard_force[] = { SHARD_CHANGE(shard_step, force_step) };
