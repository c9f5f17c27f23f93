/* Domains: rows of the configuration store, changed by compare-and-swap. */
#include <stdio.h>
#include <string.h>

#include "api_state_private.h"
#include "buf.h"
#include "clock.h"
#include "coord.h"
#include "directory.h"
#include "place_address.h"
#include "slot.h"

enum { KEY_BYTES = API_KEY_BYTES, NAMES_MAX = 100 };

/* The canonical name of a new domain into call->domain. FEATURES 15: letters, digits, dot, hyphen.
 */
static bool domain_name(struct api_call *call, const char *member, struct span name)
{
    char bytes[PLACE_DOMAIN_MAX_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    if (place_domain(name, &out).code != ERR_OK || out.overflow || bytes[0] == '[' ||
        memchr(bytes, '_', out.len) != NULL ||
        arena_copy(&call->arena, buf_span(&out), &call->domain).code != ERR_OK) {
        api_refuse(call, 400, "Bad value",
                   "%s: a domain name of letters, digits, hyphens and single dots", member);
        return false;
    }
    return true;
}

static void domain_get(struct api_call *call)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof(key), "domains/%.*s", (int)call->domain.len, call->domain.ptr);
    api_row_get(call, key);
}

static void create_find(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = SPAN("");
    if (api_in_text(call, "name", 255, &name) && domain_name(call, "name", name)) domain_get(call);
}

/* One of RFC 5322's atext that is neither letter nor digit, or none. */
static bool is_mark(struct span mark)
{
    static const char marks[] = "!#$%&'*+-/=?^_`{|}~";
    return mark.len == 0 || (mark.len == 1 && memchr(marks, mark.ptr[0], sizeof(marks) - 1));
}

/* Further names, each a domain's and no other domain's, into the row. */
static bool also_take(struct api_call *call, json_t *row)
{
    const json_t *also = json_object_get(call->in, "also");
    const struct directory *directory = call->api->options.resolver->directory;
    struct span own = call->domain;
    if (also == NULL) return true;
    bool good = json_is_array(also) && json_array_size(also) <= NAMES_MAX;
    if (!good) api_refuse(call, 400, "Bad value", "also: an array of at most %d names", NAMES_MAX);
    json_t *names = json_array();
    for (size_t i = 0; good && i < json_array_size(also); i++) {
        const json_t *name = json_array_get(also, i);
        struct span text = span_of(json_string_value(name), json_string_length(name));
        good = domain_name(call, "also", text);
        if (!good) break;
        const struct directory_domain *taken = directory_find(directory, call->domain, NULL);
        good = taken == NULL || (span_eq(taken->name, own) && !span_eq(call->domain, own));
        if (good) json_array_append_new(names, api_json_text(call->domain));
        else api_refuse(call, 409, "Exists", "also: %.*s is a domain already, or another name of "
                        "one", (int)call->domain.len, call->domain.ptr);
    }
    call->domain = own;
    if (good) api_set(row, "also", names);
    else json_decref(names);
    return good;
}

/* Takes the members that may be changed. */
static bool domain_take(struct api_call *call, json_t *row)
{
    static const char *const numbers[] = { "quota_bytes", "quota_items", "users_max", "size_max" };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value = 0;
        if (json_object_get(call->in, numbers[i]) == NULL) continue;
        if (!api_in_number(call, numbers[i], &value)) return false;
        api_set(row, numbers[i], json_integer((json_int_t)value));
    }
    struct span mark = SPAN("+");
    if (!api_in_text(call, "subaddress", 1, &mark)) return false;
    if (!is_mark(mark)) {
        api_refuse(call, 400, "Bad value", "subaddress: empty, or one of !#$%%&'*+-/=?^_`{|}~");
        return false;
    }
    if (json_object_get(call->in, "subaddress") != NULL ||
        json_object_get(row, "subaddress") == NULL) {
        api_set_text(row, "subaddress", mark);
    }
    return api_domain_mail_take(call, row) && api_domain_directory_take(call, row) &&
           also_take(call, row);
}

/* Whose the new domain is: the token's tenant, or the one an operator names. */
static void create_tenant(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    char key[KEY_BYTES];
    struct span name = SPAN("");
    bool also = false; /* another domain has it for a further name */
    directory_find(call->api->options.resolver->directory, call->domain, &also);
    if (!api_in_text(call, "tenant", 255, &name)) return;
    if (name.len > 0 && call->tenant != 0) {
        api_refuse(call, 403, "Not allowed", "tenant: only an operator names one");
        return;
    }
    if (call->row != NULL || also) {
        api_refuse(call, 409, "Exists", "there is a domain of this name");
        return;
    }
    if (name.len == 0) {
        flow_next(flow, err_ok());
        return;
    }
    if (api_tenant_key(call, name, key)) api_row_get(call, key);
}

static void create_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = SPAN("");
    uint32_t tenant = call->tenant != 0 ? call->tenant : 1; /* the first tenant is number 1 */
    if (!api_in_text(call, "tenant", 255, &name)) return;
    if (name.len > 0 && call->tenant == 0) {
        if (call->row == NULL) {
            api_refuse(call, 400, "Bad value", "tenant: there is none of this name");
            return;
        }
        tenant = (uint32_t)json_integer_value(json_object_get(call->row, "id"));
        json_decref(call->row);
    }
    if (directory_count(call->api->options.resolver->directory) >= DIRECTORY_DOMAINS_MAX) {
        api_refuse(call, 409, "Over a limit", "name: there are %d domains, the most allowed",
                   DIRECTORY_DOMAINS_MAX);
        return;
    }
    json_t *row = json_object();
    api_set_text(row, "name", call->domain);
    api_set(row, "tenant", json_integer(tenant));
    api_set(row, "fold_case", json_true());
    api_set(row, "created_ms", json_integer((json_int_t)clock_wall_ms()));
    call->row = row;
    if (!domain_take(call, row)) return;
    char key[KEY_BYTES];
    snprintf(key, sizeof(key), "domains/%.*s", (int)call->domain.len, call->domain.ptr);
    if (arena_copy(&call->arena, span_of(key, strlen(key) + 1), &call->key).code != ERR_OK) {
        api_fail(call, err_make(ERR_NOMEM, "key"));
        return;
    }
    call->key.len--;
    call->revision = 0;
    call->status = 201;
    call->out = api_domain_shown(row);
    api_domain_change(call, tenant, false);
}

void api_domain_find(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (api_take_domain(call, call->argument)) domain_get(call);
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->row == NULL) {
        api_refuse(call, 404, "Not found", "no such domain");
        return;
    }
    if (!domain_take(call, call->row)) return;
    call->out = api_domain_shown(call->row);
    api_row_put(call);
}

static void delete_look(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->row == NULL) {
        api_refuse(call, 404, "Not found", "no such domain");
        return;
    }
    if (api_match(call, call->revision)) api_list_domain(call, 0);
}

static void look_token(void *holder, const struct coord_row *row)
{
    struct api_call *call = holder;
    json_t *json = json_loadb(row->value.ptr, row->value.len, 0, NULL);
    const json_t *name = json_object_get(json, "domain");
    struct span domain = span_of(json_string_value(name), json_string_length(name));
    if (name != NULL && span_eq(domain, call->domain)) call->made = true;
    json_decref(json);
}

/* They would hold again for whoever makes the domain next. */
static bool has_tokens(struct api_call *call)
{
    call->made = false;
    coord_list(call->api->options.coord, SPAN("tokens/"), look_token, call);
    return call->made;
}

static void delete_remove(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->entries_count > 0 || json_array_size(json_object_get(call->row, "aliases")) > 0) {
        api_refuse(call, 409, "In use", "the domain has users, groups or aliases");
        return;
    }
    if (has_tokens(call)) {
        api_refuse(call, 409, "In use", "the domain has tokens");
        return;
    }
    call->status = 204;
    api_domain_change(call, (uint32_t)json_integer_value(json_object_get(call->row, "tenant")),
                      true);
}

bool api_row_is_own(struct api_call *call, const json_t *row)
{
    json_int_t tenant = json_integer_value(json_object_get(row, "tenant"));
    const json_t *name = json_object_get(row, "name");
    struct span text = span_of(json_string_value(name), json_string_length(name));
    if (call->tenant != 0 && (json_int_t)call->tenant != tenant) return false;
    return call->token.domain.len == 0 || span_eq(call->token.domain, text);
}

/* Each row as it is shown. */
static void domains_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *shown = json_array();
    for (size_t i = 0; i < json_array_size(call->row); i++) {
        json_array_append_new(shown, api_domain_shown(json_array_get(call->row, i)));
    }
    json_decref(call->row);
    call->row = shown;
    api_rows_show(flow);
}

static void domain_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *shown = api_domain_shown(call->row);
    json_decref(call->row);
    call->row = shown;
    api_row_show(flow);
}

static void domains_all(struct flow *flow)
{
    api_rows_list(api_of(flow), "domains/", api_row_is_own);
}

const struct flow_step api_domains_create[] = {
    { "find", create_find }, { "tenant", create_tenant }, { "put", create_put },
    { "audit", api_audit },  { NULL, NULL },
};
const struct flow_step api_domains_list[] = {
    { "all", domains_all }, { "show", domains_show }, { NULL, NULL },
};
const struct flow_step api_domains_show[] = {
    { "find", api_domain_find }, { "show", domain_show }, { NULL, NULL },
};
const struct flow_step api_domains_set[] = {
    { "find", api_domain_find }, { "put", set_put }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_domains_delete[] = {
    { "find", api_domain_find }, { "look", delete_look }, { "remove", delete_remove },
    { "audit", api_audit },  { NULL, NULL },
};
