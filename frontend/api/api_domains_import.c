/* Many domains in one call (POST /api/v1/domains/import): each row is made as one domain is, after
 * a look whether it is there as the row says. */
#include <string.h>

#include "api_import_private.h"
#include "api_users_private.h"
#include "buf.h"
#include "coord.h"
#include "place_address.h"

extern const struct flow_step api_domains_create[];

enum { KEY_BYTES = 300 };

/* The number of the tenant that a row names; 0: there is none of this name. */
static json_int_t tenant_of(struct api_call *call, const char *name)
{
    char key[KEY_BYTES];
    struct coord_row row;
    snprintf(key, sizeof(key), "tenants/%s", name);
    if (!coord_get(call->api->options.coord, span_of(key, strlen(key)), &row)) return 0;
    json_t *json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    json_int_t number = json_integer_value(json_object_get(json, "id"));
    json_decref(json);
    return number;
}

/* The first member of the row that the domain has otherwise, or NULL. */
static const char *row_difference(struct api_call *call, const json_t *is)
{
    json_int_t tenant = call->tenant != 0 ? (json_int_t)call->tenant : 1;
    const char *name = json_string_value(json_object_get(call->in, "tenant")), *member;
    json_t *wanted;
    if (name != NULL && call->tenant == 0) tenant = tenant_of(call, name);
    if (tenant != json_integer_value(json_object_get(is, "tenant"))) return "tenant";
    json_object_foreach(call->in, member, wanted) {
        const json_t *there = json_object_get(is, member);
        if (strcmp(member, "name") == 0 || strcmp(member, "tenant") == 0) continue;
        if (strcmp(member, "directory_password") == 0) continue; /* sealed there */
        bool none = there == NULL && (json_is_false(wanted) || (json_is_integer(wanted) &&
                                                                json_integer_value(wanted) == 0));
        if (!none && !json_equal(wanted, there)) return member;
    }
    return NULL;
}

/* The domain of the row as it is here; NULL: not there, or its name is none. */
static json_t *there_of(struct api_call *call)
{
    const json_t *name = json_object_get(call->in, "name");
    struct span text = span_of(json_string_value(name), json_string_length(name));
    char key[KEY_BYTES] = "domains/";
    struct buf to;
    struct coord_row row;
    if (!json_is_string(name)) return NULL;
    buf_init(&to, key + 8, sizeof(key) - 8);
    if (place_domain(text, &to).code != ERR_OK || to.overflow) return NULL;
    struct span whole = span_of(key, 8 + to.len);
    if (!coord_get(call->api->options.coord, whole, &row)) return NULL;
    return json_loadb(row.value.ptr, row.value.len, 0, NULL);
}

/* What is refused here would be refused below; another tenant's is not compared. */
static void row_look(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    struct api_call *call = &row->call;
    json_t *there = there_of(call);
    json_int_t tenant = json_integer_value(json_object_get(there, "tenant"));
    bool is_seen = there != NULL && (call->tenant == 0 || tenant == (json_int_t)call->tenant);
    if (is_seen) row->differs = row_difference(call, there);
    json_decref(there);
    row->is_there = is_seen && row->differs == NULL;
    if (row->is_there) {
        flow_next(flow, err_ok());
    } else if (row->differs != NULL) {
        api_refuse(call, 409, "Exists", "%s: the domain is there with another value", row->differs);
    } else {
        api_row_go(flow, api_domains_create);
    }
}

static const struct flow_step row_steps[] = { { "look", row_look }, { NULL, NULL } };

static const struct api_import_kind domains = { "domains", "name", API_DOMAIN_MEMBERS, row_steps };

static void import_begin(struct flow *flow) { api_import_begin(api_of(flow), &domains); }

const struct flow_step api_domains_import[] = {
    { "rows", import_begin }, { "audit", api_import_audit }, { "show", api_import_show },
    { NULL, NULL },
};
