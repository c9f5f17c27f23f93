/* Tenants: rows of the configuration store, changed by compare-and-swap (directory.h). */
#include <string.h>

#include "api_state_private.h"
#include "clock.h"
#include "coord.h"
#include "slot.h"

enum { TENANT_NAME_MAX_BYTES = 60, TENANT_NUMBER_TRIES = 100 };

bool api_tenant_key(struct api_call *call, struct span name, char key[API_KEY_BYTES])
{
    bool good = name.len > 0 && name.len <= TENANT_NAME_MAX_BYTES;
    for (size_t i = 0; good && i < name.len; i++) {
        char c = name.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    if (!good) {
        api_refuse(call, 400, "Bad value", "name: 1 to %d of a-z, 0-9 and -",
                   TENANT_NAME_MAX_BYTES);
        return false;
    }
    snprintf(key, API_KEY_BYTES, "tenants/%.*s", (int)name.len, name.ptr);
    return true;
}

static void tenant_find(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    char key[API_KEY_BYTES];
    struct span name = call->argument;
    if (name.len == 0 && !api_in_text(call, "name", 255, &name)) return;
    if (api_tenant_key(call, name, key)) api_row_get(call, key);
}

struct number_search {
    json_int_t number;
    bool taken;
};

static void number_row(void *holder, const struct coord_row *row)
{
    struct number_search *search = holder;
    json_t *json = json_loadb(row->value.ptr, row->value.len, 0, NULL);
    if (json_integer_value(json_object_get(json, "id")) == search->number) search->taken = true;
    json_decref(json);
}

/* 31 bits of a hash of name and time, that no tenant has and none of what a tenant leaves behind:
 * numbers are never chosen by hand, and 0 is nobody's. 0: none was found. */
static json_int_t make_number(struct api_call *call, struct span name)
{
    static const char *const prefixes[] = { "domains/", "tokens/", "ipgroups/" };
    uint64_t hash = slot_of_name(name) * 65537ull + clock_wall_ms();
    for (unsigned i = 0; i < TENANT_NUMBER_TRIES; i++) {
        struct number_search search = { (json_int_t)((hash + i) % 0x7ffffffe + 1), false };
        coord_list(call->api->options.coord, SPAN("tenants/"), number_row, &search);
        for (size_t p = 0; p < 3; p++) {
            search.taken = search.taken ||
                           api_rows_of_tenant(call, prefixes[p], (uint32_t)search.number) > 0;
        }
        if (!search.taken) return search.number;
    }
    return 0;
}

/* Takes the quotas of the request into the row. False: refused. */
static bool quotas_take(struct api_call *call)
{
    static const char *const numbers[] = { "quota_bytes", "users_max", "domains_max" };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value = 0;
        if (json_object_get(call->in, numbers[i]) == NULL) continue;
        if (!api_in_number(call, numbers[i], &value)) return false;
        api_set(call->row, numbers[i], json_integer((json_int_t)value));
    }
    return true;
}

static void create_make(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = SPAN("");
    if (call->row != NULL) {
        api_refuse(call, 409, "Exists", "there is a tenant of this name");
        return;
    }
    if (!api_in_text(call, "name", 255, &name)) return;
    json_int_t number = make_number(call, name);
    if (number == 0) {
        api_fail(call, err_make(ERR_BUSY, "tenant number"));
        return;
    }
    call->row = json_object();
    api_set_text(call->row, "name", name);
    api_set(call->row, "id", json_integer(number));
    if (!quotas_take(call)) return;
    call->status = 201;
    call->out = json_incref(call->row);
    api_row_put(call);
}

static bool any_row(struct api_call *call, const json_t *row)
{
    (void)call;
    (void)row;
    return true;
}

static void list_all(struct flow *flow) { api_rows_list(api_of(flow), "tenants/", any_row); }

/* ---- use */

static bool is_there(struct api_call *call)
{
    if (call->row != NULL) return true;
    api_refuse(call, 404, "Not found", "there is no tenant of this name");
    return false;
}

static uint32_t tenant_number(const struct api_call *call)
{
    return (uint32_t)json_integer_value(json_object_get(call->row, "id"));
}

static void use_ask(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (is_there(call)) api_ask_grants(call, tenant_number(call));
}

static void use_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct store_grant_reply *grants = &call->grants;
    size_t domains = api_rows_of_tenant(call, "domains/", tenant_number(call));
    if (call->out == NULL) {
        api_tag(call, call->revision);
        call->out = json_incref(call->row);
    }
    api_set(call->out, "users", json_integer((json_int_t)grants->count));
    api_set(call->out, "users_without_quota", json_integer((json_int_t)grants->unlimited));
    api_set(call->out, "granted_bytes", json_integer((json_int_t)grants->bytes));
    api_set(call->out, "domains", json_integer((json_int_t)domains));
    flow_next(flow, err_ok());
}

/* ---- change */

static uint64_t quota_of(const json_t *row, const char *member)
{
    return (uint64_t)json_integer_value(json_object_get(row, member));
}

/* Bytes that users were given already cannot be taken from them here. */
static bool may_be_quota(struct api_call *call)
{
    const struct store_grant_reply *grants = &call->grants;
    uint64_t bytes = quota_of(call->row, "quota_bytes");
    if (json_object_get(call->in, "quota_bytes") == NULL || bytes == 0) return true;
    if (grants->unlimited > 0) {
        api_refuse(call, 409, "Over quota", "quota_bytes: %llu users have no quota of their own",
                   (unsigned long long)grants->unlimited);
        return false;
    }
    if (grants->bytes <= bytes) return true;
    api_refuse(call, 409, "Over quota", "quota_bytes: the users' quotas are %llu together",
               (unsigned long long)grants->bytes);
    return false;
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (quotas_take(call) && may_be_quota(call)) api_row_put(call);
}

static void set_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = json_incref(call->row);
    use_show(flow);
}

static void remove_it(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    static const struct { const char *prefix, *text; } rows[] = {
        { "domains/", "the tenant has domains" }, { "tokens/", "the tenant has tokens" },
        { "ipgroups/", "the tenant has IP groups" },
    };
    if (!is_there(call) || !api_match(call, call->revision)) return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (api_rows_of_tenant(call, rows[i].prefix, tenant_number(call)) == 0) continue;
        api_refuse(call, 409, "In use", "%s", rows[i].text);
        return;
    }
    call->status = 204;
    api_row_delete(call);
}

const struct flow_step api_tenants_create[] = {
    { "find", tenant_find }, { "make", create_make }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_tenants_list[] = {
    { "all", list_all }, { "show", api_rows_show }, { NULL, NULL },
};
const struct flow_step api_tenants_show[] = {
    { "find", tenant_find }, { "use", use_ask }, { "show", use_show }, { NULL, NULL },
};
const struct flow_step api_tenants_set[] = {
    { "find", tenant_find }, { "use", use_ask },    { "put", set_put },
    { "audit", api_audit },  { "show", set_show }, { NULL, NULL },
};
const struct flow_step api_tenants_delete[] = {
    { "find", tenant_find }, { "remove", remove_it }, { "audit", api_audit }, { NULL, NULL },
};
