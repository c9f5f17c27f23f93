/* GET /api/v1/cluster/plan   {"items": [{"do", "shard", "from", "to", "why", "state",
 * "after_seconds"} ...], "more": true when there are more than are shown}: what the controller
 * would do from now on until nothing is left, with the rows and options of now (plan_preview.h).
 *
 * Since when a node is there or gone only the controller knows: here it is since now, so that what
 * has to wait may come sooner. It is found with as many copies at a time as the planner may move;
 * what comes of it is the same. */
#include <stdlib.h>

#include "api_cluster_private.h"
#include "conf.h"
#include "coord.h"
#include "plan.h"
#include "plan_preview.h"
#include "plan_rows.h"

static void on_row(void *holder, const struct coord_row *row)
{
    plan_rows_add(holder, row->key, row->value, row->revision);
}

static void read_view(struct api_call *call, struct plan_view *view)
{
    static const struct span folders[] = PLAN_ROWS;
    plan_rows_begin(view, loop_now_ms(call->api->options.loop));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        coord_list(call->api->options.coord, folders[i], on_row, view);
    }
}

static struct plan_options options_of(struct api_call *call)
{
    const struct conf *conf = call->api->options.conf(call->api->options.holder);
    uint64_t replace_ms = conf_ms(conf, CONF_CLUSTER_REPLACE_AFTER);
    bool moves = conf_number(conf, CONF_CLUSTER_MOVES_MAX) > 0;
    return (struct plan_options){
        .nodes_wanted = 1, .shards = ROSTER_SHARDS_MAX, .copies = 1, .min_isr = 1,
        .dead_after_ms = replace_ms,
        .copies_now = (uint32_t)conf_number(conf, CONF_CLUSTER_COPIES),
        .min_isr_now = (uint32_t)conf_number(conf, CONF_CLUSTER_COPIES_NEEDED),
        .replace_after_ms = replace_ms,
        .moves_max = moves ? PLAN_MOVES_MAX : 0,
        .evens = conf_bool(conf, CONF_CLUSTER_REBALANCE),
        .settle_ms = conf_ms(conf, CONF_CLUSTER_REBALANCE_AFTER),
    };
}

static void put_node(json_t *item, const char *member, const struct plan_view *view, int store)
{
    if (store < 0) return;
    const struct roster_name *name = &view->stores[store].row.node;
    api_set_text(item, member, roster_name_span(name));
}

static json_t *change_item(const struct plan_view *view, const struct plan_change *change)
{
    json_t *item = json_object();
    api_set(item, "do", json_string(plan_change_text(change->kind)));
    api_set(item, "shard", json_integer(change->shard));
    put_node(item, "from", view, change->from);
    put_node(item, "to", view, change->to);
    api_set(item, "why", json_string(change->why));
    api_set(item, "after_seconds", json_integer((json_int_t)(change->after_ms / 1000)));
    return item;
}

static void plan_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct plan_view *view = calloc(1, sizeof(*view));
    struct plan_preview *preview = calloc(1, sizeof(*preview));
    struct err err = err_make(ERR_NOMEM, "preview of the plan");
    if (view != NULL && preview != NULL) {
        struct plan_options options = options_of(call);
        read_view(call, view);
        if (view->is_partial) err = err_make(ERR_CORRUPT, "row of a data directory");
        else err = plan_preview_make(view, &options, preview);
    }
    if (err.code == ERR_OK) {
        json_t *items = json_array();
        for (uint32_t i = 0; i < preview->changes_count; i++) {
            json_array_append_new(items, change_item(view, &preview->changes[i]));
        }
        call->out = json_object();
        api_set(call->out, "items", items);
        if (preview->is_more) api_set(call->out, "more", json_true());
    }
    free(view);
    free(preview);
    if (err.code == ERR_OK) flow_next(flow, err_ok());
    else api_fail(call, err);
}

const struct flow_step api_cluster_plan[] = { { "plan", plan_step }, { NULL, NULL } };
