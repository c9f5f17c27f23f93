/* Rows of the configuration: read, changed by compare-and-swap, listed. */
#include <stdlib.h>
#include <string.h>

#include "api_state_private.h"
#include "coord.h"

/* What was changed elsewhere before the request came is in it. */
static void row_refreshed(void *holder, struct err err)
{
    struct api_call *call = holder;
    struct coord_row row;
    if (err.code == ERR_OK && coord_get(call->api->options.coord, call->key, &row)) {
        call->row = json_loadb(row.value.ptr, row.value.len, 0, NULL);
        call->revision = row.revision;
        if (call->row == NULL) err = err_make(ERR_CORRUPT, "row");
    }
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(&call->flow, err_ok());
}

/* Keeps the key or prefix in call->key. */
static struct err refresh(struct api_call *call, const char *key, coord_done *done)
{
    TRY(arena_copy(&call->arena, span_of(key, strlen(key)), &call->key));
    return coord_refresh_start(call->api->options.coord, call->key, done, call);
}

void api_row_get(struct api_call *call, const char *key)
{
    json_decref(call->row);
    call->row = NULL;
    call->revision = 0;
    struct err err = refresh(call, key, row_refreshed);
    if (err.code != ERR_OK) api_fail(call, err);
}

/* The version of what was written, unless somebody has overwritten it by now. */
static void tag_put(struct api_call *call)
{
    struct coord_row row;
    if (call->put_text == NULL || !coord_get(call->api->options.coord, call->key, &row)) return;
    if (span_eq(row.value, span_of(call->put_text, strlen(call->put_text))))
        api_tag(call, row.revision);
}

static void on_put(void *holder, struct err err)
{
    struct api_call *call = holder;
    if (err.code == ERR_OK) tag_put(call);
    free(call->put_text);
    call->put_text = NULL;
    if (err.code == ERR_OK) flow_next(&call->flow, err_ok());
    else api_fail(call, err);
}

static void put(struct api_call *call, struct span value)
{
    struct coord_row row = { call->key, value, call->revision };
    struct err err =
        coord_put_start(call->api->options.coord, call->api->options.crew, &row, on_put, call);
    if (err.code != ERR_OK) on_put(call, err);
}

void api_row_put(struct api_call *call)
{
    if (!api_match(call, call->revision)) return;
    call->put_text = json_dumps(call->row, JSON_COMPACT | JSON_SORT_KEYS);
    if (call->put_text == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "row"));
        return;
    }
    put(call, span_of(call->put_text, strlen(call->put_text)));
}

void api_row_delete(struct api_call *call)
{
    if (api_match(call, call->revision)) put(call, span_of(NULL, 0));
}

void api_row_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->row == NULL) {
        api_refuse(call, 404, "Not found", "there is none of this name");
        return;
    }
    api_tag(call, call->revision);
    call->out = json_incref(call->row);
    flow_next(flow, err_ok());
}

/* ---- lists */

static void list_row(void *holder, const struct coord_row *row)
{
    struct api_call *call = holder;
    struct span name = span_skip(row->key, call->key.len), after = call->page.after;
    size_t have = json_array_size(call->row);
    bool is_before = after.len > 0 && span_order(name, after) <= 0;
    if (call->more || is_before || !api_page_wants(call, name)) return;
    json_t *value = json_loadb(row->value.ptr, row->value.len, 0, NULL);
    if (value != NULL && call->is_wanted(call, value)) {
        call->more = have == call->page.limit; /* one more than fit */
        if (!call->more) json_array_append(call->row, value);
        if (!call->more && arena_copy(&call->arena, name, &call->last).code != ERR_OK) {
            call->status = 503;
        }
    }
    json_decref(value);
}

static void rows_refreshed(void *holder, struct err err)
{
    struct api_call *call = holder;
    if (err.code == ERR_OK) coord_list(call->api->options.coord, call->key, list_row, call);
    if (call->status == 503) err = err_make(ERR_NOMEM, "list");
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(&call->flow, err_ok());
}

void api_rows_list(struct api_call *call, const char *prefix, api_row_wanted *is_wanted)
{
    if (!api_page_take(call, API_LIST_MAX)) return;
    json_decref(call->row);
    call->row = json_array();
    call->is_wanted = is_wanted;
    struct err err = refresh(call, prefix, rows_refreshed);
    if (err.code != ERR_OK) api_fail(call, err);
}

void api_rows_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = json_object();
    api_set(call->out, "items", json_incref(call->row));
    api_page_next(call);
    flow_next(flow, err_ok());
}
