/* Options: what is set lies in the configuration store under policy/config, {key: text}. */
#include <string.h>

#include "api_state_private.h"
#include "conf.h"

static const struct conf *conf_of(struct api_call *call)
{
    return call->api->options.conf(call->api->options.holder);
}

static json_t *option_json(struct api_call *call, enum conf_key key, bool describe)
{
    char value[CONF_VALUE_MAX_BYTES], allowed[CONF_WHY_BYTES];
    const json_t *set = call->row == NULL ? NULL : json_object_get(call->row, conf_name(key));
    json_t *json = json_object();
    conf_show(conf_of(call), key, value);
    /* The row that was just read is newer than the snapshot. */
    if (set != NULL && strcmp(value, "***") != 0) snprintf(value, sizeof(value), "%s", json_string_value(set));
    if (call->row != NULL && set == NULL) snprintf(value, sizeof(value), "%s", conf_default(key));
    api_set(json, "key", json_string(conf_name(key)));
    api_set(json, "value", json_string(value));
    api_set(json, "default", json_string(conf_default(key)));
    api_set(json, "text", json_string(conf_what(key)));
    if (describe) {
        conf_allowed(key, allowed);
        api_set(json, "allowed", json_string(allowed));
        api_set(json, "takes_effect", json_string(conf_when(key)));
    }
    return json;
}

static void find_row(struct flow *flow) { api_row_get(api_of(flow), "policy/config"); }

static void list_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *items = json_array();
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        json_array_append_new(items, option_json(call, (enum conf_key)i, true));
    }
    call->out = json_object();
    api_set(call->out, "items", items);
    flow_next(flow, err_ok());
}

/* The key of the path; CONF_KEYS, and refused, when there is none. */
static enum conf_key take_key(struct api_call *call)
{
    enum conf_key key = conf_find(call->argument);
    if (key == CONF_KEYS) {
        api_refuse(call, 404, "Not found", "no option %.*s; GET /api/v1/config lists them",
                   (int)call->argument.len, call->argument.ptr);
    }
    return key;
}

static void show_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS) return;
    call->out = option_json(call, key, api_query(call, "describe").len > 0);
    flow_next(flow, err_ok());
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    char why[CONF_WHY_BYTES];
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS) return;
    const json_t *value = json_object_get(call->in, "value");
    if (!json_is_string(value)) {
        api_refuse(call, 400, "Bad value", "%s: the member \"value\" is a text", conf_name(key));
        return;
    }
    struct span text = span_of(json_string_value(value), json_string_length(value));
    if (conf_check(key, text, why).code != ERR_OK) {
        api_refuse(call, 400, "Bad value", "%s", why);
        return;
    }
    if (call->row == NULL) call->row = json_object();
    api_set_text(call->row, conf_name(key), text);
    call->out = option_json(call, key, false);
    api_row_put(call);
}

static void unset_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS) return;
    if (call->row == NULL) call->row = json_object();
    json_object_del(call->row, conf_name(key));
    call->out = option_json(call, key, false);
    api_row_put(call);
}

const struct flow_step api_config_list[] = {
    { "find", find_row }, { "show", list_show }, { NULL, NULL },
};
const struct flow_step api_config_show[] = {
    { "find", find_row }, { "show", show_show }, { NULL, NULL },
};
const struct flow_step api_config_set[] = {
    { "find", find_row }, { "put", set_put }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_config_unset[] = {
    { "find", find_row }, { "put", unset_put }, { "audit", api_audit }, { NULL, NULL },
};
