/* LDAP directories of domains: what came of the last look at each, as the frontend that looks has
 * written it (sync/sync_tell.c). An answer has, for each:
 *
 *   name        the domain
 *   state       "ok", "failed": the last look was not whole, or "waiting": there was none yet
 *   looked, synced   dates of the last look, of the last whole one; null: there was none
 *   entries, made, changed, disabled, refused   of the last whole one
 *   error       why the last look was not whole; "": it was */
#include <string.h>

#include "api_state_private.h"
#include "coord.h"

/* The row of sync_tell.c, if it is about this domain as it is now; NULL: there is none. */
static json_t *synced_of(struct api_call *call, const json_t *domain)
{
    char key[API_KEY_BYTES];
    struct coord_row row;
    json_t *synced = NULL;
    const char *name = json_string_value(json_object_get(domain, "name"));
    int len = snprintf(key, sizeof(key), "directory/synced/%s", name != NULL ? name : "");
    if (len > 0 && (size_t)len < sizeof(key) &&
        coord_get(call->api->options.coord, span_of(key, (size_t)len), &row)) {
        synced = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    }
    if (json_integer_value(json_object_get(synced, "tenant")) ==
        json_integer_value(json_object_get(domain, "tenant"))) {
        return synced;
    }
    json_decref(synced);
    return NULL;
}

static uint64_t number_of(const json_t *row, const char *member)
{
    json_int_t number = json_integer_value(json_object_get(row, member));
    return number > 0 ? (uint64_t)number : 0;
}

static json_t *shown(struct api_call *call, const json_t *domain)
{
    static const char *const numbers[] = { "entries", "made", "changed", "disabled", "refused" };
    json_t *synced = synced_of(call, domain), *json = json_object();
    const char *error = json_string_value(json_object_get(synced, "error"));
    if (error == NULL) error = "";
    api_set(json, "name", json_incref(json_object_get(domain, "name")));
    api_set(json, "state", json_string(number_of(synced, "looked_ms") == 0 ? "waiting"
                                       : error[0] != '\0'                  ? "failed"
                                                                           : "ok"));
    api_set(json, "looked", api_json_time(number_of(synced, "looked_ms")));
    api_set(json, "synced", api_json_time(number_of(synced, "synced_ms")));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        api_set(json, numbers[i], json_integer((json_int_t)number_of(synced, numbers[i])));
    }
    api_set(json, "error", json_string(error));
    json_decref(synced);
    return json;
}

static bool has_directory(const json_t *domain)
{
    return json_array_size(json_object_get(domain, "directory_hosts")) > 0;
}

static bool is_wanted(struct api_call *call, const json_t *domain)
{
    return api_row_is_own(call, domain) && has_directory(domain);
}

static void list_all(struct flow *flow) { api_rows_list(api_of(flow), "domains/", is_wanted); }

static void list_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *items = json_array();
    for (size_t i = 0; i < json_array_size(call->row); i++) {
        json_array_append_new(items, shown(call, json_array_get(call->row, i)));
    }
    json_decref(call->row);
    call->row = items;
    api_rows_show(flow);
}

static void show_one(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->row == NULL) {
        api_refuse(call, 404, "Not found", "no such domain");
    } else if (!has_directory(call->row)) {
        api_refuse(call, 404, "Not found", "the domain has no LDAP directory");
    } else {
        call->out = shown(call, call->row);
        flow_next(flow, err_ok());
    }
}

const struct flow_step api_directories_list[] = {
    { "all", list_all }, { "show", list_show }, { NULL, NULL },
};
const struct flow_step api_directories_show[] = {
    { "find", api_domain_find }, { "show", show_one }, { NULL, NULL },
};
