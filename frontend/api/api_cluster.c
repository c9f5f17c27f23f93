/* How the cluster is: the rows of its store, and what each of its parts says when it is asked.
 *
 *   GET /api/v1/cluster   {"state": "healthy" or "degraded", "why": [text ...], "cluster": id,
 *                          "incarnation": n, "map_version": n, "controller": name,
 *                          "store": [{"name", "state"} ...], "storage_nodes": [...],
 *                          "frontends", "scanners", "routers": [...], "shards": {state: count ...},
 *                          "bad_signature_sets": [...]}   (api_cluster_scanners.c)
 *   GET /api/v1/cluster/shards?limit=&after=   api_shards.c
 *
 * The parts are asked at the same time and bounded in time; one that does not answer is not waited
 * for longer than GATHER_WAIT_MS. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api_cluster_private.h"
#include "coord.h"
#include "coord_members.h"
#include "gather.h"
#include "store_msg.h"

enum { WHY_BYTES = 320, NODE_WAIT_MS = 3000 };

void api_cluster_free(struct api_cluster *cluster)
{
    if (cluster == NULL) return;
    overview_free(cluster->overview);
    gather_free(cluster->gather);
    coord_members_free(cluster->members);
    free(cluster);
}

/* ---- the rows */

static void on_row(void *holder, const struct coord_row *row)
{
    overview_add(holder, row->key, row->value);
}

struct err api_cluster_read(struct api_call *call)
{
    static const struct span folders[] = { SPAN_INIT("live/"), SPAN_INIT("stores/"),
                                           SPAN_INIT("programs/"), SPAN_INIT("map/"),
                                           SPAN_INIT("place/"), SPAN_INIT("shards/"),
                                           SPAN_INIT("controller") };
    struct coord *coord = call->api->options.coord;
    call->cluster = calloc(1, sizeof(*call->cluster));
    if (call->cluster == NULL) return err_make(ERR_NOMEM, "overview of the cluster");
    TRY(overview_new(&call->cluster->overview));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        coord_list(coord, folders[i], on_row, call->cluster->overview);
    }
    overview_end(call->cluster->overview);
    return err_ok();
}

static void rows_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct err err = api_cluster_read(call);
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(flow, err_ok());
}

/* ---- asking: the store's members, all programs, and the storage node of an installation of one */

static void on_members(void *holder)
{
    struct api_call *call = holder;
    flow_next(&call->flow, err_ok());
}

static void members_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct err err = coord_members_start(call->api->options.coord, on_members, call,
                                         &call->cluster->members);
    if (err.code != ERR_OK) api_fail(call, err);
}

static void programs_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct overview *overview = call->cluster->overview;
    struct gather_target *targets = calloc(overview->programs_count + 1, sizeof(*targets));
    struct err err = err_make(ERR_NOMEM, "programs");
    if (targets != NULL) {
        for (uint32_t i = 0; i < overview->programs_count; i++) {
            const struct roster_program *row = &overview->programs[i].row;
            memcpy(targets[i].address, row->address, row->address_len);
            snprintf(targets[i].path, sizeof(targets[i].path), "/readyz");
        }
        err = gather_start(call->api->options.loop, targets, overview->programs_count, on_members,
                           call, &call->cluster->gather);
    }
    free(targets);
    if (err.code != ERR_OK) api_fail(call, err);
}

static void on_node(void *holder, struct route_call *route, const void *message)
{
    const struct store_node_status_reply *reply = message;
    struct api_cluster *cluster = ((struct api_call *)holder)->cluster;
    (void)route;
    cluster->node_answers = true;
    cluster->node_read_only = reply->read_only;
    cluster->node_free_bytes = reply->disk_free_bytes;
    cluster->node_shards_count = 0;
    for (size_t i = 0; i < reply->shards_count && i < ROSTER_SHARDS_MAX; i++) {
        const struct store_shard_status *shard = &reply->shards[i];
        cluster->node_shards[cluster->node_shards_count++] =
            (struct api_node_shard){ shard->shard, shard->role, shard->epoch };
    }
}

static void on_node_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct api_call *call = holder;
    (void)route;
    (void)info;
    call->route = NULL;
    call->cluster->node_why = err.code == ERR_OK ? NULL : err_text(err);
    flow_next(&call->flow, err_ok());
}

void api_cluster_ask_node(struct flow *flow)
{
    static const struct route_call_user user = { NULL, on_node, on_node_done };
    struct api_call *call = api_of(flow);
    const struct route_call_options options = { .slot = ROUTE_SHARD,
                                                .deadline_ms = NODE_WAIT_MS };
    if (!api_cluster_is_one_node(call)) {
        flow_next(flow, err_ok());
        return;
    }
    call->ask.node_status = (struct store_node_status_request){ 0 };
    struct err err = route_call_start(call->api->options.route,
                                      store_method_find(STORE_METHOD_NODE_STATUS), &call->ask,
                                      &options, &user, call, &call->route);
    if (err.code != ERR_OK) api_fail(call, err);
}

bool api_cluster_is_one_node(const struct api_call *call)
{
    const struct overview *overview = call->cluster->overview;
    return overview->has_head && overview->head.chunks == 0;
}

/* ---- what is said */

static void __attribute__((format(printf, 2, 3))) degraded(struct api_call *call,
                                                           const char *format, ...)
{
    char text[WHY_BYTES];
    json_t *why = json_object_get(call->out, "why");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (json_array_size(why) < API_CLUSTER_WHY_MAX) {
        json_array_append_new(why, api_json_text(span_of(text, strlen(text))));
    }
}

static json_t *name_of(const struct roster_name *name)
{
    return api_json_text(roster_name_span(name));
}

static json_t *id_text(const struct roster_id *id)
{
    char text[ID_TEXT_BYTES];
    id_hex(id->bytes, ID_BYTES, text);
    return api_json_text(span_of(text, sizeof(text)));
}

static void put_store(struct api_call *call)
{
    const struct coord_members *members = call->cluster->members;
    struct err state = coord_state(call->api->options.coord);
    json_t *list = json_array();
    for (size_t i = 0; i < coord_members_count(members); i++) {
        struct coord_member member = coord_members_at(members, i);
        bool good = member.err.code == ERR_OK;
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", member.name, "state",
                                              good ? "ok" : err_text(member.err)));
        if (!good) {
            degraded(call, "configuration store %s: %s", member.name, err_text(member.err));
        }
    }
    if (state.code != ERR_OK) {
        degraded(call, "the configuration store is not followed: %s", err_text(state));
    }
    api_set(call->out, "store", list);
}

/* The first line of what a program says, or why it says nothing. */
static json_t *program_state(struct api_call *call, uint32_t index)
{
    const struct overview_program *program = &call->cluster->overview->programs[index];
    struct gather_answer answer = gather_answer(call->cluster->gather, index);
    struct span line = answer.body, rest;
    span_cut(answer.body, '\n', &line, &rest);
    line = span_head(line, WHY_BYTES / 2);
    if (answer.status == 200) return json_string("ready");
    if (answer.status == 0) line = span_of(answer.why, strlen(answer.why));
    degraded(call, "%s %.*s: %.*s", roster_kind_text(program->kind), program->name.len,
             program->name.text, (int)line.len, line.ptr);
    json_t *text = api_json_text(line);
    return text;
}

static void put_programs(struct api_call *call)
{
    static const char *const members[ROSTER_KINDS] = {
        [ROSTER_FRONTEND] = "frontends", [ROSTER_STORAGE_NODE] = "storage_nodes",
        [ROSTER_SCANNER] = "scanners", [ROSTER_ROUTER] = "routers"
    };
    const struct overview *overview = call->cluster->overview;
    for (unsigned i = 0; i < ROSTER_KINDS; i++) api_set(call->out, members[i], json_array());
    for (uint32_t i = 0; i < overview->programs_count; i++) {
        const struct overview_program *program = &overview->programs[i];
        json_t *item = json_object();
        api_set(item, "name", name_of(&program->name));
        api_set(item, "state", program_state(call, i));
        api_set_text(item, "http", span_of(program->row.address, program->row.address_len));
        api_set(item, "version", name_of(&program->row.version));
        api_set(item, "boot", id_text(&program->row.boot));
        bool leads = program->kind == ROSTER_ROUTER && overview->has_controller &&
                     span_eq(roster_name_span(&program->name),
                             roster_name_span(&overview->controller));
        if (program->kind == ROSTER_ROUTER) api_set(item, "controller", json_boolean(leads));
        json_array_append_new(json_object_get(call->out, members[program->kind]), item);
    }
    for (unsigned i = 0; i < ROSTER_KINDS; i++) {
        bool wanted = i == ROSTER_SCANNER || i == ROSTER_FRONTEND;
        if (wanted && json_array_size(json_object_get(call->out, members[i])) == 0) {
            degraded(call, "no %s is there", roster_kind_text((enum roster_kind)i));
        }
    }
}

/* The item of a storage node; made when its process is not there. */
static json_t *node_item(struct api_call *call, const struct roster_name *name)
{
    json_t *list = json_object_get(call->out, "storage_nodes"), *item;
    size_t i;
    json_array_foreach(list, i, item) {
        const char *text = json_string_value(json_object_get(item, "name"));
        if (strlen(text) == name->len && memcmp(text, name->text, name->len) == 0) return item;
    }
    item = json_object();
    api_set(item, "name", name_of(name));
    json_array_append_new(list, item);
    return item;
}

static void put_node(struct api_call *call, const struct overview_node *node)
{
    const struct overview *overview = call->cluster->overview;
    json_t *item = node_item(call, &node->name), *sids = json_array();
    if (!node->alive) {
        api_set(item, "state", json_string(node->dead ? "dead" : "gone"));
        degraded(call, "storage node %.*s is %s", node->name.len, node->name.text,
                 node->dead ? "dead" : "gone");
    } else if (node->draining) {
        api_set(item, "state", json_string("draining"));
    } else if (json_object_get(item, "state") == NULL) {
        api_set(item, "state", json_string("live"));
    }
    api_set(item, "alive", json_boolean(node->alive));
    if (node->alive) {
        api_set_text(item, "address", span_of(node->live.address, node->live.address_len));
    }
    api_set(item, "zone", name_of(&node->zone));
    for (uint32_t i = 0; i < overview->stores_count; i++) {
        const struct overview_store *store = &overview->stores[i];
        if (&overview->nodes[store->node] == node) {
            json_array_append_new(sids, id_text(&store->sid));
        }
    }
    api_set(item, "stores", sids);
    api_set(item, "shards_led", json_integer(node->leads));
    api_set(item, "copies", json_integer(node->copies));
    api_set(item, "capacity_bytes", json_integer((json_int_t)node->capacity_bytes));
}

/* With one node nothing is in the rows: it was asked. */
static void put_one_node(struct api_call *call)
{
    const struct api_cluster *cluster = call->cluster;
    const struct overview *overview = cluster->overview;
    json_t *list = json_object_get(call->out, "storage_nodes"), *item = json_array_get(list, 0);
    if (item == NULL) {
        item = json_object();
        api_set(item, "name", json_string("storage-node"));
        json_array_append_new(list, item);
    }
    api_set(item, "alive", json_boolean(cluster->node_answers));
    api_set_text(item, "address", span_of(overview->head.node, overview->head.node_len));
    if (!cluster->node_answers) {
        api_set(item, "state", json_string("does not answer"));
        degraded(call, "the storage node does not answer: %s", cluster->node_why);
        return;
    }
    if (cluster->node_read_only) {
        api_set(item, "state", json_string("read-only: the disk is full"));
        degraded(call, "the storage node is read-only: its disk is full");
    } else if (json_object_get(item, "state") == NULL) {
        api_set(item, "state", json_string("ready"));
    }
    uint32_t led = 0;
    for (uint32_t i = 0; i < cluster->node_shards_count; i++) {
        led += cluster->node_shards[i].role == API_ROLE_SERVING;
    }
    api_set(item, "shards_led", json_integer(led));
    api_set(item, "copies", json_integer(cluster->node_shards_count));
    api_set(item, "disk_free_bytes", json_integer((json_int_t)cluster->node_free_bytes));
}

static void put_shards(struct api_call *call)
{
    const struct api_cluster *cluster = call->cluster;
    const struct overview *overview = cluster->overview;
    json_t *shards = json_object();
    bool one = api_cluster_is_one_node(call);
    uint32_t count = overview->has_head ? overview->head.shards : 0, led = 0;
    for (uint32_t i = 0; i < cluster->node_shards_count; i++) {
        led += cluster->node_shards[i].role == API_ROLE_SERVING;
    }
    api_set(shards, "count", json_integer(count));
    for (unsigned i = 0; i < OVERVIEW_SHARD_STATES; i++) {
        enum overview_shard_state state = (enum overview_shard_state)i;
        uint32_t n = overview->by_state[i];
        if (one && state == OVERVIEW_LED) n = led;
        if (one && state == OVERVIEW_LEADER_GONE) n = count - (led < count ? led : count);
        api_set(shards, overview_shard_text(state), json_integer(n));
        if (n > 0 && state != OVERVIEW_LED) {
            degraded(call, "%u of %u shards: %s", n, count, overview_shard_text(state));
        }
    }
    if (!one) api_set(shards, "moving", json_integer(overview->moving));
    api_set(call->out, "shards", shards);
}

/* {"cluster": id, "incarnation": n, ...} of the row `meta`, if there is one. */
static void put_meta(struct api_call *call)
{
    struct coord_row row;
    if (!coord_get(call->api->options.coord, SPAN("meta"), &row)) return;
    json_t *meta = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    static const char *const members[] = { "cluster", "incarnation" };
    for (size_t i = 0; i < 2; i++) {
        json_t *value = json_object_get(meta, members[i]);
        if (value != NULL) api_set(call->out, members[i], json_incref(value));
    }
    json_decref(meta);
}

static void answer_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct overview *overview = call->cluster->overview;
    bool one = api_cluster_is_one_node(call);
    call->out = json_object();
    api_set(call->out, "state", json_string("healthy"));
    api_set(call->out, "why", json_array());
    put_meta(call);
    if (overview->has_head && !one) {
        api_set(call->out, "map_version", json_integer((json_int_t)overview->head.version));
    }
    if (!overview->has_head) degraded(call, "there is no map of the slots");
    if (overview->has_controller) {
        api_set(call->out, "controller", name_of(&overview->controller));
    } else if (!one) {
        degraded(call, "nobody is the controller");
    }
    put_store(call);
    put_programs(call);
    api_cluster_put_scanners(call);
    for (uint32_t i = 0; i < overview->nodes_count; i++) put_node(call, &overview->nodes[i]);
    if (one) put_one_node(call);
    put_shards(call);
    if (overview->corrupt > 0) degraded(call, "%u rows can't be read", overview->corrupt);
    if (overview->left_out > 0) degraded(call, "%u rows are not shown", overview->left_out);
    if (json_array_size(json_object_get(call->out, "why")) > 0) {
        api_set(call->out, "state", json_string("degraded"));
    }
    flow_next(flow, err_ok());
}

const struct flow_step api_cluster[] = { { "rows", rows_step },
                                         { "members", members_step },
                                         { "programs", programs_step },
                                         { "node", api_cluster_ask_node },
                                         { "answer", answer_step },
                                         { NULL, NULL } };
