/* IP groups: rows of the configuration (policy_group.h). A tenant's administrator works on those of
 * the tenant; an operator on those of the installation, which its options name, or of a tenant that
 * he names. */
#include <stdlib.h>
#include <string.h>

#include "api_state_private.h"
#include "buf.h"
#include "conf.h"
#include "coord.h"
#include "policy_group.h"

enum { DESCRIPTION_MAX_BYTES = 1000, ENTRY_MAX_BYTES = 2 * POLICY_IP_TEXT_MAX_BYTES };

/* ---- whose */

/* Begins every call: the tenant's row, when one is named. */
static void find_tenant(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = api_query(call, "tenant");
    char key[API_KEY_BYTES];
    if (!api_in_text(call, "tenant", 255, &name)) return;
    if (call->token.domain.len > 0) {
        api_refuse(call, 403, "Not allowed", "IP groups are a tenant's; the token is for a domain");
    } else if (name.len == 0) {
        flow_next(flow, err_ok());
    } else if (call->tenant != 0) {
        api_refuse(call, 403, "Not allowed", "tenant: only an operator names one");
    } else if (api_tenant_key(call, name, key)) {
        call->made = true;
        api_row_get(call, key);
    }
}

/* False: refused. */
static bool take_tenant(struct api_call *call)
{
    call->group_tenant = call->tenant;
    if (!call->made) return true;
    call->group_tenant = (uint32_t)json_integer_value(json_object_get(call->row, "id"));
    if (call->group_tenant != 0) return true;
    api_refuse(call, 400, "Bad value", "tenant: there is none of this name");
    return false;
}

/* "ipgroups/TENANT/" into the arena; with the name behind it. */
static const char *group_key(struct api_call *call, struct span name)
{
    size_t size = 24 + name.len;
    char *key = arena_alloc(&call->arena, size);
    if (key == NULL) return NULL;
    snprintf(key, size, "ipgroups/%u/%.*s", (unsigned)call->group_tenant, (int)name.len, name.ptr);
    return key;
}

static void find_row(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = call->argument;
    if (!take_tenant(call)) return;
    if (name.len == 0 && !api_in_text(call, "name", 255, &name)) return;
    if (!policy_group_name_is_good(name)) {
        api_refuse(call, 400, "Bad value", "name: 1 to %d of a-z, 0-9 and -",
                   POLICY_GROUP_NAME_MAX_BYTES);
        return;
    }
    call->local = name;
    const char *key = group_key(call, name);
    if (key == NULL) api_fail(call, err_make(ERR_NOMEM, "key"));
    else api_row_get(call, key);
}

static bool is_there(struct api_call *call)
{
    if (call->row != NULL) return true;
    api_refuse(call, 404, "Not found", "no IP group %.*s", (int)call->local.len, call->local.ptr);
    return false;
}

/* ---- all groups of the tenant, as they are known here */

static void add_row(void *holder, const struct coord_row *row)
{
    struct err err = policy_groups_add(holder, row->value);
    (void)err; /* one that can't be read holds nothing */
}

/* False: refused. */
static bool load_groups(struct api_call *call, struct policy_groups **ret)
{
    const char *key = group_key(call, SPAN(""));
    struct err err = key == NULL ? err_make(ERR_NOMEM, "IP groups") : policy_groups_new(ret);
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return false;
    }
    coord_list(call->api->options.coord, span_of(key, strlen(key)), add_row, *ret);
    policy_groups_seal(*ret);
    return true;
}

/* ---- entries of a request */

/* Whether a group may stand as an entry in the call's. False: refused. */
static bool check_group(struct api_call *call, const struct policy_groups *groups, size_t at,
                        struct span name)
{
    bool is_self = span_eq(name, call->local);
    if (!is_self && !policy_groups_has(groups, name)) {
        api_refuse(call, 400, "Bad value", "entries[%zu]: there is no IP group %.*s", at,
                   (int)name.len, name.ptr);
        return false;
    }
    if (!is_self && !policy_groups_lead(groups, name, call->local)) return true;
    api_refuse(call, 400, "Bad value",
               "entries[%zu]: group:%.*s leads back to this one, or over more than %d groups", at,
               (int)name.len, name.ptr, POLICY_GROUP_DEPTH_MAX);
    return false;
}

/* One entry, in its fixed form, behind the others. False: refused. */
static bool take_entry(struct api_call *call, const struct policy_groups *groups, size_t at,
                       json_t *to)
{
    const json_t *value = json_array_get(json_object_get(call->in, "entries"), at);
    struct span text = span_of(json_string_value(value), json_string_length(value));
    struct policy_group_entry entry;
    char bytes[ENTRY_MAX_BYTES];
    struct buf out;
    if (!json_is_string(value) || policy_group_entry_parse(text, &entry).code != ERR_OK) {
        api_refuse(call, 400, "Bad value",
                   "entries[%zu]: %.*s: an address, a network like 192.0.2.0/24, a range like "
                   "10.0.0.1-10.0.0.9, or group:NAME",
                   at, (int)(text.len < 100 ? text.len : 100), text.len > 0 ? text.ptr : "");
        return false;
    }
    if (entry.group.len > 0 && !check_group(call, groups, at, entry.group)) return false;
    buf_init(&out, bytes, sizeof(bytes));
    policy_group_entry_put(&entry, &out);
    json_array_append_new(to, api_json_text(buf_span(&out)));
    return true;
}

/* Takes the entries of the request, when there are some, into the row. False: refused. */
static bool take_entries(struct api_call *call)
{
    const json_t *entries = json_object_get(call->in, "entries");
    struct policy_groups *groups;
    if (entries == NULL) return true;
    if (!json_is_array(entries) || json_array_size(entries) > POLICY_GROUP_ENTRIES_MAX) {
        api_refuse(call, 400, "Bad value", "entries: an array of at most %d texts",
                   POLICY_GROUP_ENTRIES_MAX);
        return false;
    }
    if (!load_groups(call, &groups)) return false;
    json_t *taken = json_array();
    bool good = true;
    for (size_t i = 0; good && i < json_array_size(entries); i++) {
        good = take_entry(call, groups, i, taken);
    }
    policy_groups_free(groups);
    if (good) api_set(call->row, "entries", taken);
    else json_decref(taken);
    return good;
}

static bool take_members(struct api_call *call)
{
    struct span description = SPAN("");
    if (!api_in_text(call, "description", DESCRIPTION_MAX_BYTES, &description)) return false;
    if (json_object_get(call->in, "description") != NULL)
        api_set_text(call->row, "description", description);
    if (!take_entries(call)) return false;
    char *text = json_dumps(call->row, JSON_COMPACT);
    bool fits = text != NULL && strlen(text) <= COORD_VALUE_MAX_BYTES;
    free(text);
    if (!fits) {
        api_refuse(call, 400, "Over a limit",
                   "entries: at most %d bytes; put some into a group of their own",
                   COORD_VALUE_MAX_BYTES);
    }
    return fits;
}

/* ---- make, change */

static void create_make(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->row != NULL) {
        api_refuse(call, 409, "Exists", "there is an IP group of this name");
        return;
    }
    const char *prefix = group_key(call, SPAN(""));
    if (prefix == NULL ||
        api_rows_of_tenant(call, prefix, call->group_tenant) >= POLICY_GROUPS_MAX) {
        api_refuse(call, 409, "Too many", "there are at most %d IP groups", POLICY_GROUPS_MAX);
        return;
    }
    call->row = json_object();
    api_set_text(call->row, "name", call->local);
    api_set(call->row, "tenant", json_integer(call->group_tenant));
    api_set_text(call->row, "description", SPAN(""));
    api_set(call->row, "entries", json_array());
    if (!take_members(call)) return;
    call->status = 201;
    call->out = json_incref(call->row);
    api_row_put(call);
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!is_there(call) || !take_members(call)) return;
    call->out = json_incref(call->row);
    api_row_put(call);
}

const struct flow_step api_ip_groups_create[] = {
    { "tenant", find_tenant }, { "find", find_row }, { "make", create_make },
    { "audit", api_audit },    { NULL, NULL },
};
const struct flow_step api_ip_groups_set[] = {
    { "tenant", find_tenant }, { "find", find_row }, { "put", set_put },
    { "audit", api_audit },    { NULL, NULL },
};

/* ---- show, list */

static void show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span address = api_query(call, "address");
    struct policy_groups *groups;
    struct policy_ip ip;
    if (!is_there(call)) return;
    if (address.len > 0) {
        if (policy_ip_parse(address, &ip).code != ERR_OK) {
            api_refuse(call, 400, "Bad parameter", "address: not an IP address: %.*s",
                       (int)(address.len < 100 ? address.len : 100), address.ptr);
            return;
        }
        if (!load_groups(call, &groups)) return;
        api_set(call->row, "has_address",
                json_boolean(policy_groups_match(groups, call->local, &ip)));
        policy_groups_free(groups);
    }
    api_row_show(flow);
}

static bool any_row(struct api_call *call, const json_t *row)
{
    return json_integer_value(json_object_get(row, "tenant")) == (json_int_t)call->group_tenant;
}

static void list_all(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!take_tenant(call)) return;
    const char *prefix = group_key(call, SPAN(""));
    if (prefix == NULL) api_fail(call, err_make(ERR_NOMEM, "list"));
    else api_rows_list(call, prefix, any_row);
}

const struct flow_step api_ip_groups_show[] = {
    { "tenant", find_tenant }, { "find", find_row }, { "show", show }, { NULL, NULL },
};
const struct flow_step api_ip_groups_list[] = {
    { "tenant", find_tenant }, { "all", list_all }, { "show", api_rows_show }, { NULL, NULL },
};

/* ---- remove */

/* Who names the group. */
struct use {
    struct span name;  /* of the group */
    char who[API_DETAIL_BYTES / 2];
};

static void note_use(struct use *use, const char *what, struct span who)
{
    size_t used = strlen(use->who);
    snprintf(use->who + used, sizeof(use->who) - used, "%s%s %.*s", used > 0 ? ", " : "", what,
             (int)who.len, who.ptr);
}

static void look_group(void *holder, const struct coord_row *row)
{
    struct use *use = holder;
    json_t *json = json_loadb(row->value.ptr, row->value.len, 0, NULL);
    const json_t *entries = json_object_get(json, "entries"), *name = json_object_get(json, "name");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *text = json_array_get(entries, i);
        struct policy_group_entry entry;
        struct span value = span_of(json_string_value(text), json_string_length(text));
        if (!json_is_string(text) || policy_group_entry_parse(value, &entry).code != ERR_OK ||
            entry.group.len == 0 || !span_eq(entry.group, use->name))
            continue;
        note_use(use, "IP group", span_of(json_string_value(name), json_string_length(name)));
        break;
    }
    json_decref(json);
}

/* The options that are set now. */
static void look_options(struct api_call *call, struct use *use)
{
    struct conf *conf = api_conf_now(call);
    for (unsigned key = 0; conf != NULL && key < CONF_KEYS_COUNT; key++) {
        if (!conf_is_networks((enum conf_key)key)) continue;
        for (size_t i = 0;; i++) {
            struct span name = conf_group(conf, (enum conf_key)key, i);
            if (name.len == 0) break;
            if (!span_eq(name, use->name)) continue;
            const char *text = conf_key_text((enum conf_key)key);
            note_use(use, "option", span_of(text, strlen(text)));
            break;
        }
    }
    conf_unref(conf);
}

static void remove_it(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct use use = { call->local, "" };
    if (!is_there(call) || !api_match(call, call->revision)) return;
    const char *prefix = group_key(call, SPAN(""));
    if (prefix == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "IP group"));
        return;
    }
    coord_list(call->api->options.coord, span_of(prefix, strlen(prefix)), look_group, &use);
    if (call->group_tenant == 0) look_options(call, &use);
    if (use.who[0] != '\0') {
        api_refuse(call, 409, "In use", "it is named by %s", use.who);
        return;
    }
    call->status = 204;
    api_row_delete(call);
}

const struct flow_step api_ip_groups_delete[] = {
    { "tenant", find_tenant }, { "find", find_row }, { "remove", remove_it },
    { "audit", api_audit },    { NULL, NULL },
};
