#include "overview.h"

#include <stdlib.h>

const char *overview_shard_text(enum overview_shard_state state)
{
    static const char *const texts[OVERVIEW_SHARD_STATES] = {
        [OVERVIEW_LED] = "led",
        [OVERVIEW_COPIES_MISSING] = "copies-missing",
        [OVERVIEW_NO_CHANGES] = "no-changes",
        [OVERVIEW_LEADER_GONE] = "leader-gone",
        [OVERVIEW_NO_LEADER] = "no-leader",
        [OVERVIEW_UNKNOWN] = "unknown",
    };
    return texts[state];
}

struct err overview_new(struct overview **ret)
{
    struct overview *overview = calloc(1, sizeof(*overview));
    if (overview == NULL) return err_make(ERR_NOMEM, "overview of the cluster");
    *ret = overview;
    return err_ok();
}

void overview_free(struct overview *overview) { free(overview); }

/* ---- rows in */

static struct overview_node *node_named(struct overview *overview, const struct roster_name *name)
{
    for (uint32_t i = 0; i < overview->nodes_count; i++) {
        struct overview_node *node = &overview->nodes[i];
        if (span_eq(roster_name_span(&node->name), roster_name_span(name))) return node;
    }
    if (overview->nodes_count == OVERVIEW_NODES_MAX) {
        overview->left_out++;
        return NULL;
    }
    struct overview_node *node = &overview->nodes[overview->nodes_count++];
    node->name = *name;
    return node;
}

static bool counts(struct overview *overview, struct err err)
{
    if (err.code != ERR_OK) overview->corrupt++;
    return err.code == ERR_OK;
}

static void add_store(struct overview *overview, struct span key, struct span value)
{
    struct roster_store store;
    struct roster_id sid;
    if (!counts(overview, roster_key_read_id(key, "stores", &sid)) ||
        !counts(overview, roster_store_read(value, &store))) {
        return;
    }
    struct overview_node *node = node_named(overview, &store.node);
    if (node == NULL) return;
    if (overview->stores_count == OVERVIEW_STORES_MAX) {
        overview->left_out++;
        return;
    }
    overview->stores[overview->stores_count++] =
        (struct overview_store){ sid, (uint32_t)(node - overview->nodes) };
    node->zone = store.zone;
    node->stores++;
    node->capacity_bytes += store.capacity_bytes;
    node->draining = node->draining || store.state == ROSTER_DRAINING;
    node->dead = node->dead || store.state == ROSTER_DEAD;
}

static void add_live(struct overview *overview, struct span name_text, struct span value)
{
    struct roster_live live;
    struct roster_name name;
    if (!counts(overview, roster_name_set(&name, name_text)) ||
        !counts(overview, roster_live_read(value, &live))) {
        return;
    }
    struct overview_node *node = node_named(overview, &name);
    if (node == NULL) return;
    node->alive = true;
    node->live = live;
}

static void add_program(struct overview *overview, struct span key, struct span value)
{
    struct overview_program program;
    if (!counts(overview, roster_key_read_program(key, &program.kind, &program.name)) ||
        !counts(overview, roster_program_read(value, &program.row))) {
        return;
    }
    if (overview->programs_count == OVERVIEW_PROGRAMS_MAX) overview->left_out++;
    else overview->programs[overview->programs_count++] = program;
}

static void add_chunk(struct overview *overview, struct span value)
{
    struct roster_map_chunk chunk;
    if (!counts(overview, roster_map_chunk_read(value, &chunk))) return;
    for (uint32_t i = 0; i < chunk.count && chunk.first + i < ROSTER_SHARDS_MAX; i++) {
        overview->shards[chunk.first + i].has_slots = true;
        overview->shards[chunk.first + i].slots = chunk.slots[i];
    }
}

static void add_shard(struct overview *overview, uint32_t number, struct span value, bool is_place)
{
    if (number >= ROSTER_SHARDS_MAX) {
        overview->left_out++;
        return;
    }
    struct overview_shard *shard = &overview->shards[number];
    if (is_place) {
        shard->has_place = counts(overview, roster_place_read(value, &shard->place));
    } else {
        shard->has_row = counts(overview, roster_shard_read(value, &shard->row));
    }
}

/* {"name": ..., ...}: whoever holds the office (router/controller). */
static void add_controller(struct overview *overview, struct span value)
{
    static const struct span before = SPAN_INIT("{\"name\":\"");
    struct span name, rest;
    if (!span_eq(span_head(value, before.len), before) ||
        !span_cut(span_skip(value, before.len), '"', &name, &rest)) {
        overview->corrupt++;
        return;
    }
    overview->has_controller = counts(overview, roster_name_set(&overview->controller, name));
}

static bool is_under(struct span key, struct span folder)
{
    return span_eq(span_head(key, folder.len), folder);
}

void overview_add(struct overview *overview, struct span key, struct span value)
{
    static const struct span live = SPAN_INIT("live/");
    uint32_t number;
    if (span_eq(key, SPAN("map/head"))) {
        overview->has_head = counts(overview, roster_map_head_read(value, &overview->head));
    } else if (span_eq(key, SPAN("controller"))) {
        add_controller(overview, value);
    } else if (roster_key_read_number(key, "map", &number).code == ERR_OK) {
        add_chunk(overview, value);
    } else if (roster_key_read_number(key, "shards", &number).code == ERR_OK) {
        add_shard(overview, number, value, false);
    } else if (roster_key_read_number(key, "place", &number).code == ERR_OK) {
        add_shard(overview, number, value, true);
    } else if (is_under(key, SPAN("stores/"))) {
        add_store(overview, key, value);
    } else if (is_under(key, live)) {
        add_live(overview, span_skip(key, live.len), value);
    } else if (is_under(key, SPAN("programs/"))) {
        add_program(overview, key, value);
    }
}

/* ---- what follows from them */

const struct overview_node *overview_node_of(const struct overview *overview,
                                             const struct roster_id *sid)
{
    for (uint32_t i = 0; i < overview->stores_count; i++) {
        const struct overview_store *store = &overview->stores[i];
        if (roster_id_eq(&store->sid, sid)) return &overview->nodes[store->node];
    }
    return NULL;
}

/* Whether the process that leads is the one that is there now. */
static bool leads_now(const struct overview_node *node, const struct roster_shard *row)
{
    return node != NULL && node->alive && roster_id_eq(&node->live.boot, &row->boot);
}

static enum overview_shard_state state_of(const struct overview_shard *shard, bool led)
{
    if (!shard->has_row || !shard->has_place || !shard->has_slots) return OVERVIEW_UNKNOWN;
    if (!shard->row.has_leader) return OVERVIEW_NO_LEADER;
    if (!led) return OVERVIEW_LEADER_GONE;
    if (shard->row.isr.count < shard->place.min_isr) return OVERVIEW_NO_CHANGES;
    return shard->row.isr.count < shard->place.target ? OVERVIEW_COPIES_MISSING : OVERVIEW_LED;
}

static int name_order(const struct roster_name *a, const struct roster_name *b)
{
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->text, b->text, shorter);
    return order != 0 ? order : (int)a->len - (int)b->len;
}

static int program_order(const void *a, const void *b)
{
    const struct overview_program *one = a, *two = b;
    if (one->kind != two->kind) return (int)one->kind - (int)two->kind;
    return name_order(&one->name, &two->name);
}

static int node_order(const void *a, const void *b)
{
    const struct overview_node *one = a, *two = b;
    return name_order(&one->name, &two->name);
}

/* By name; the stores follow their nodes. */
static void sort_nodes(struct overview *overview)
{
    uint32_t now[OVERVIEW_NODES_MAX];
    for (uint32_t i = 0; i < overview->nodes_count; i++) overview->nodes[i].place = i;
    qsort(overview->nodes, overview->nodes_count, sizeof(overview->nodes[0]), node_order);
    for (uint32_t i = 0; i < overview->nodes_count; i++) now[overview->nodes[i].place] = i;
    for (uint32_t i = 0; i < overview->stores_count; i++) {
        overview->stores[i].node = now[overview->stores[i].node];
    }
}

static void add_copies(struct overview *overview, struct overview_shard *shard)
{
    const struct roster_copies *replicas = &shard->place.replicas;
    if (!shard->has_place || !shard->has_row) return;
    for (uint32_t i = 0; i < replicas->count; i++) {
        const struct roster_id *sid = &replicas->ids[i];
        const struct overview_node *node = overview_node_of(overview, sid);
        if (node != NULL) overview->nodes[node - overview->nodes].copies++;
        if (!roster_copies_have(&shard->row.isr, sid))
            shard->coming.ids[shard->coming.count++] = *sid;
    }
    overview->moving += shard->coming.count > 0 || shard->place.has_leaving;
}

void overview_end(struct overview *overview)
{
    sort_nodes(overview);
    qsort(overview->programs, overview->programs_count, sizeof(overview->programs[0]),
          program_order);
    if (!overview->has_head || overview->head.chunks == 0) return;
    for (uint32_t i = 0; i < overview->head.shards; i++) {
        struct overview_shard *shard = &overview->shards[i];
        bool led = shard->has_row && shard->row.has_leader;
        const struct overview_node *node =
            led ? overview_node_of(overview, &shard->row.leader) : NULL;
        led = led && leads_now(node, &shard->row);
        shard->state = state_of(shard, led);
        add_copies(overview, shard);
        overview->by_state[shard->state]++;
        if (led) overview->nodes[node - overview->nodes].leads++;
    }
}
