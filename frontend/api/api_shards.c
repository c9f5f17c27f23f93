/* GET /api/v1/cluster/shards?limit=&after=   {"items": [{"shard", "state", "leader", "slots",
 * "replicas", "copies", "isr", "min_isr", "epoch", "coming", "leaving", "lead", "by_hand", "lossy",
 * "base"} ...], "next": the last shard, if more follow}. coming: copies that are placed and not in
 * sync; leaving, lead, by_hand, lossy, base: lib/roster/roster.h, when they stand in the rows.
 * Data directories go by the names of their nodes, or by their ids when nobody knows them. */
#include <stdlib.h>

#include "api_cluster_private.h"
#include "place_map.h"
#include "route.h"

static json_t *store_name(const struct overview *overview, const struct roster_id *sid)
{
    const struct overview_node *node = overview_node_of(overview, sid);
    char text[ID_TEXT_BYTES];
    if (node != NULL) return api_json_text(roster_name_span(&node->name));
    id_hex(sid->bytes, ID_BYTES, text);
    return api_json_text(span_of(text, sizeof(text)));
}

static json_t *store_names(const struct overview *overview, const struct roster_copies *copies)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < copies->count; i++) {
        json_array_append_new(list, store_name(overview, &copies->ids[i]));
    }
    return list;
}

static json_t *slots_text(unsigned first, unsigned end)
{
    char text[48];
    int len = first == end ? 0 : snprintf(text, sizeof(text), "%u-%u", first, end - 1);
    return api_json_text(span_of(text, (size_t)len));
}

static void put_wishes(json_t *item, const struct overview *overview,
                       const struct overview_shard *shard)
{
    const struct roster_place *place = &shard->place;
    if (shard->coming.count > 0) api_set(item, "coming", store_names(overview, &shard->coming));
    if (shard->has_place && place->has_leaving)
        api_set(item, "leaving", store_name(overview, &place->leaving));
    if (shard->has_place && place->has_lead)
        api_set(item, "lead", store_name(overview, &place->lead));
    if (shard->has_place && place->by_hand) api_set(item, "by_hand", json_true());
    if (!shard->has_row || shard->row.lossy == 0) return;
    api_set(item, "lossy", json_integer((json_int_t)shard->row.lossy));
    api_set(item, "base", json_integer((json_int_t)shard->row.base));
}

static json_t *shard_item(const struct overview *overview, uint32_t number)
{
    const struct overview_shard *shard = &overview->shards[number];
    json_t *item = json_object();
    api_set(item, "shard", json_integer(number));
    api_set(item, "state", json_string(overview_shard_text(shard->state)));
    if (shard->has_row && shard->row.has_leader) {
        api_set(item, "leader", store_name(overview, &shard->row.leader));
    }
    if (shard->has_slots) {
        api_set(item, "slots", slots_text(shard->slots.first, shard->slots.end));
    }
    if (shard->has_place) {
        api_set(item, "replicas", store_names(overview, &shard->place.replicas));
        api_set(item, "copies", json_integer(shard->place.target));
        api_set(item, "min_isr", json_integer(shard->place.min_isr));
    }
    if (shard->has_row) {
        api_set(item, "isr", store_names(overview, &shard->row.isr));
        api_set(item, "epoch", json_integer((json_int_t)shard->row.epoch));
    }
    put_wishes(item, overview, shard);
    return item;
}

/* Of an installation of one node, which has been asked. */
static json_t *one_node_item(const struct api_call *call, uint32_t number)
{
    const struct api_cluster *cluster = call->cluster;
    const struct place_map *map = route_map(call->api->options.route);
    const struct api_node_shard *found = NULL;
    json_t *item = json_object();
    unsigned first = 0, end = 0;
    for (uint32_t i = 0; i < cluster->node_shards_count && found == NULL; i++) {
        if (cluster->node_shards[i].shard == number) found = &cluster->node_shards[i];
    }
    bool led = found != NULL && found->role == API_ROLE_SERVING;
    api_set(item, "shard", json_integer(number));
    api_set(item, "state", json_string(overview_shard_text(led ? OVERVIEW_LED
                                                               : OVERVIEW_LEADER_GONE)));
    if (number < place_map_shards(map)) place_map_slots(map, number, &first, &end);
    api_set(item, "slots", slots_text(first, end));
    struct span node = span_of(cluster->overview->head.node, cluster->overview->head.node_len);
    if (led) api_set_text(item, "leader", node);
    json_t *replicas = json_array(), *isr = json_array();
    json_array_append_new(replicas, api_json_text(node));
    if (led) json_array_append_new(isr, api_json_text(node));
    api_set(item, "replicas", replicas);
    api_set(item, "copies", json_integer(1));
    api_set(item, "min_isr", json_integer(1));
    api_set(item, "isr", isr);
    if (found != NULL) api_set(item, "epoch", json_integer((json_int_t)found->epoch));
    return item;
}

static void read_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct err err = api_cluster_read(call);
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(flow, err_ok());
}

static void list_step(struct flow *flow)
{
    static const uint64_t limits[2] = { 1, API_LIST_MAX }, shards[2] = { 0, ROSTER_SHARDS_MAX };
    struct api_call *call = api_of(flow);
    const struct overview *overview = call->cluster->overview;
    bool one = api_cluster_is_one_node(call), has_after = api_query(call, "after").len > 0;
    uint64_t limit = API_LIST_DEFAULT, after = 0;
    uint32_t count = overview->has_head ? overview->head.shards : 0;
    if (!api_query_number(call, "limit", limits, &limit) ||
        !api_query_number(call, "after", shards, &after)) {
        return;
    }
    json_t *items = json_array();
    call->out = json_object();
    api_set(call->out, "items", items);
    uint64_t first = has_after ? after + 1 : 0, at = first;
    for (; at < count && at < first + limit; at++) {
        uint32_t number = (uint32_t)at;
        json_array_append_new(items, one ? one_node_item(call, number)
                                         : shard_item(overview, number));
    }
    if (at < count) {
        char next[16];
        snprintf(next, sizeof(next), "%u", (unsigned)at - 1);
        api_set(call->out, "next", json_string(next));
    }
    flow_next(flow, err_ok());
}

const struct flow_step api_shards[] = { { "rows", read_step },
                                        { "node", api_cluster_ask_node },
                                        { "list", list_step },
                                        { NULL, NULL } };
