/* Tokens: rows of the configuration (api_token.h). A secret is shown once, in the answer to its
 * making. A token that the caller could not have made is as if it were not there. */
#include <string.h>

#include "api_state_private.h"
#include "clock.h"
#include "coord.h"
#include "digest.h"
#include "id.h"

enum { SECRET_BYTES = 32, TOKENS_OF_TENANT_MAX = 1000, EXPIRES_SECONDS_MAX = 10 * 366 * 86400 };

static json_t *token_json(const struct api_token *token)
{
    json_t *json = json_object();
    api_set_text(json, "id", token->id);
    api_set(json, "role", json_string(api_role_text(token->role)));
    api_set(json, "tenant", json_integer(token->tenant));
    api_set_text(json, "domain", token->domain);
    api_set_text(json, "account", token->address);
    api_set_text(json, "description", token->description);
    api_set(json, "created_ms", json_integer((json_int_t)token->created_ms));
    api_set(json, "expires_ms", json_integer((json_int_t)token->expires_ms));
    api_set_text(json, "by", token->by);
    return json;
}

static void whoami_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = token_json(&call->token);
    flow_next(flow, err_ok());
}
const struct flow_step api_whoami[] = { { "show", whoami_show }, { NULL, NULL } };

/* ---- make */

/* Finds out where the new one is to hold: an account, a domain, a tenant by name, or where the
 * caller is. */
static void create_whose(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span account = SPAN(""), domain = SPAN(""), tenant = SPAN("");
    char key[API_KEY_BYTES];
    if (!api_in_text(call, "account", API_ADDRESS_BYTES, &account) ||
        !api_in_text(call, "domain", 255, &domain) || !api_in_text(call, "tenant", 255, &tenant))
        return;
    if ((account.len > 0) + (domain.len > 0) + (tenant.len > 0) > 1) {
        api_refuse(call, 400, "Bad value", "account, domain, tenant: one of them says all");
    } else if (account.len > 0) {
        if (api_take_address(call, account)) api_ask_address(call);
    } else if (domain.len > 0) {
        if (api_take_domain(call, domain)) flow_next(flow, err_ok());
    } else if (tenant.len > 0 && call->tenant != 0) {
        api_refuse(call, 403, "Not allowed", "tenant: only an operator names one");
    } else if (tenant.len > 0) {
        if (api_tenant_key(call, tenant, key)) api_row_get(call, key);
    } else {
        flow_next(flow, err_ok());
    }
}

/* Where it holds. False: refused. */
static bool take_place(struct api_call *call, struct api_token *token)
{
    bool is_account = json_object_get(call->in, "account") != NULL && call->address.len > 0;
    if (is_account && (call->found.kind != STORE_ADDRESS_ACCOUNT ||
                       call->found.state != STORE_ADDRESS_ACTIVE)) {
        api_refuse(call, 404, "Not found", "no user %.*s", (int)call->address.len,
                   call->address.ptr);
        return false;
    }
    token->tenant = call->tenant;
    if (call->known_domain != NULL) {
        token->tenant = call->known_domain->tenant;
        token->domain = call->domain;
    } else if (json_string_length(json_object_get(call->in, "tenant")) > 0) {
        token->tenant = (uint32_t)json_integer_value(json_object_get(call->row, "id"));
        if (token->tenant == 0) {
            api_refuse(call, 400, "Bad value", "tenant: there is none of this name");
            return false;
        }
    } else {
        token->domain = call->token.domain;
    }
    if (!is_account) return true;
    token->account = call->found.account;
    token->address = call->address;
    return true;
}

/* What does not fit of role and place; NULL: they fit. */
static const char *misfit(const struct api_token *token)
{
    bool has_domain = token->domain.len > 0;
    if (token->role == NOBODY)
        return "role: user, auditor, accounts, domain-admin, admin or operator";
    if (token->role == OPERATOR)
        return token->tenant == 0 ? NULL : "role: an operator has no tenant and no domain";
    if (token->account != 0 && token->role != USER) return "account: it is for the role user";
    if (token->tenant == 0) return "tenant: a name; or a domain, or an account";
    if (token->role == USER && token->account == 0)
        return "account: a token of the role user is for one";
    if (token->role == DOMAIN_ADMIN && !has_domain)
        return "domain: the role domain-admin has one";
    if (token->role == ADMIN && has_domain)
        return "domain: the role admin is for a tenant; domain-admin is for a domain";
    return NULL;
}

static bool check_fit(struct api_call *call, const struct api_token *token)
{
    const char *why = misfit(token);
    if (why != NULL) api_refuse(call, 400, "Bad value", "%s", why);
    return why == NULL;
}

static bool take_members(struct api_call *call, struct api_token *token)
{
    struct span role = SPAN("");
    uint64_t seconds = 0;
    if (!api_in_text(call, "role", 20, &role) ||
        !api_in_text(call, "description", API_TOKEN_TEXT_MAX_BYTES, &token->description) ||
        !api_in_number(call, "expires_seconds", &seconds) || !take_place(call, token))
        return false;
    token->role = api_role_find(role);
    if (!check_fit(call, token)) return false;
    if (seconds > EXPIRES_SECONDS_MAX) {
        api_refuse(call, 400, "Bad value", "expires_seconds: at most %d; 0: never",
                   EXPIRES_SECONDS_MAX);
        return false;
    }
    if (!api_token_holds(&call->token, token)) {
        api_refuse(call, 403, "Not allowed", "role: higher than your own, or not where you are");
        return false;
    }
    token->created_ms = clock_wall_ms();
    if (seconds > 0) token->expires_ms = token->created_ms + seconds * 1000;
    /* What is made with a token that ends does not outlive it. */
    uint64_t end = call->token.expires_ms;
    if (end != 0 && (token->expires_ms == 0 || token->expires_ms > end)) token->expires_ms = end;
    token->by = call->token.id;
    return true;
}

struct counting {
    struct api_call *call;
    uint32_t tenant;
    size_t count;
};

static void count_row(void *holder, const struct coord_row *row)
{
    struct counting *counting = holder;
    json_t *json = json_loadb(row->value.ptr, row->value.len, 0, NULL);
    if (json_integer_value(json_object_get(json, "tenant")) == (json_int_t)counting->tenant) {
        counting->count++;
    }
    json_decref(json);
}

size_t api_rows_of_tenant(struct api_call *call, const char *prefix, uint32_t tenant)
{
    struct counting counting = { call, tenant, 0 };
    coord_list(call->api->options.coord, span_of(prefix, strlen(prefix)), count_row, &counting);
    return counting.count;
}

/* The text into the arena, and its ID and hash into the token. */
static struct err make_secret(struct api_call *call, struct api_token *token, struct span *ret)
{
    uint8_t random[ID_BYTES + SECRET_BYTES], digest[DIGEST_BYTES];
    char *text = arena_alloc(&call->arena, API_TOKEN_BYTES);
    char *hash = arena_alloc(&call->arena, API_TOKEN_HASH_BYTES);
    if (text == NULL || hash == NULL) return err_make(ERR_NOMEM, "token");
    id_random(random, sizeof(random));
    memcpy(text, "gwt_", 4);
    id_hex(random, ID_BYTES, text + 4);
    text[4 + API_TOKEN_ID_BYTES] = '_';
    id_hex(random + ID_BYTES, SECRET_BYTES, text + 5 + API_TOKEN_ID_BYTES);
    *ret = span_of(text, API_TOKEN_BYTES);
    TRY(digest_sha256(*ret, digest));
    id_hex(digest, sizeof(digest), hash);
    token->id = api_token_id(*ret);
    token->hash = span_of(hash, API_TOKEN_HASH_BYTES);
    return err_ok();
}

static void create_make(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_token token = { 0 };
    struct span secret, row, key;
    char text[8 + API_TOKEN_ID_BYTES];
    if (!take_members(call, &token)) return;
    if (api_rows_of_tenant(call, "tokens/", token.tenant) >= TOKENS_OF_TENANT_MAX) {
        api_refuse(call, 409, "Too many", "a tenant has at most %d tokens", TOKENS_OF_TENANT_MAX);
        return;
    }
    struct err err = make_secret(call, &token, &secret);
    if (err.code == ERR_OK) err = api_token_write(&token, &call->arena, &row);
    if (err.code == ERR_OK) {
        memcpy(text, "tokens/", 7);
        memcpy(text + 7, token.id.ptr, API_TOKEN_ID_BYTES);
        err = arena_copy(&call->arena, span_of(text, 7 + API_TOKEN_ID_BYTES), &key);
    }
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    json_decref(call->row);
    call->row = json_loadb(row.ptr, row.len, 0, NULL);
    call->key = key;
    call->revision = 0;
    call->status = 201;
    call->out = token_json(&token);
    api_set_text(call->out, "token", secret);
    api_row_put(call);
}

const struct flow_step api_tokens_create[] = {
    { "whose", create_whose }, { "make", create_make }, { "audit", api_audit }, { NULL, NULL },
};

/* ---- list, show, remove */

/* Reads a row of the list; the one of the beginning has no ID in it. */
static bool is_visible(struct api_call *call, const json_t *row)
{
    struct api_token token;
    char *text = json_dumps(row, JSON_COMPACT);
    if (text == NULL) return false;
    struct err err = api_token_read(span_of(text, strlen(text)), &call->arena, &token);
    free(text);
    return err.code == ERR_OK && token.id.len > 0 && api_token_holds(&call->token, &token);
}

static void list_all(struct flow *flow) { api_rows_list(api_of(flow), "tokens/", is_visible); }

static void list_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    for (size_t i = 0; i < json_array_size(call->row); i++) {
        json_t *row = json_array_get(call->row, i);
        json_object_del(row, "hash");
        json_t *address = json_object_get(row, "address");
        if (address != NULL) json_object_set(row, "account", address);
        json_object_del(row, "address");
    }
    api_rows_show(flow);
}

const struct flow_step api_tokens_list[] = {
    { "all", list_all }, { "show", list_show }, { NULL, NULL },
};

static void find(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    char key[8 + API_TOKEN_HASH_BYTES];
    struct span id = call->argument;
    if (id.len > API_TOKEN_HASH_BYTES || memchr(id.ptr, '\0', id.len) != NULL) id = SPAN("-");
    snprintf(key, sizeof(key), "tokens/%.*s", (int)id.len, id.ptr);
    api_row_get(call, key);
}

/* False: refused. */
static bool take_row(struct api_call *call, struct api_token *token)
{
    char *text = call->row == NULL ? NULL : json_dumps(call->row, JSON_COMPACT);
    bool good = text != NULL &&
                api_token_read(span_of(text, strlen(text)), &call->arena, token).code == ERR_OK &&
                api_token_holds(&call->token, token);
    free(text);
    if (good && token->id.len == 0) token->id = call->argument;
    if (!good) api_refuse(call, 404, "Not found", "no such token");
    return good;
}

static void show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_token token;
    if (!take_row(call, &token)) return;
    call->out = token_json(&token);
    api_tag(call, call->revision);
    flow_next(flow, err_ok());
}

const struct flow_step api_tokens_show[] = {
    { "find", find }, { "show", show }, { NULL, NULL },
};

static void remove_it(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_token token;
    if (!take_row(call, &token)) return;
    if (token.role == OPERATOR && api_rows_of_tenant(call, "tokens/", 0) < 2) {
        api_refuse(call, 409, "In use", "it is the last token of an operator");
        return;
    }
    call->status = 204;
    api_row_delete(call);
}

const struct flow_step api_tokens_delete[] = {
    { "find", find }, { "remove", remove_it }, { "audit", api_audit }, { NULL, NULL },
};
