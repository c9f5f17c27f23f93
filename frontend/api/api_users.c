/* Users. Making one: reserve the address, create the account, enter it in the domain's index,
 * activate the address (ARCHITECTURE 3); what breaks off in between is an address that stays
 * reserved and is taken over by the next attempt once it is old, by an import at once. */
#include <string.h>

#include "api_state_private.h"
#include "api_users_private.h"
#include "clock.h"
#include "directory.h"
#include "id.h"
#include "slot.h"

enum {
    NAME_MAX_BYTES = 255,
    RESERVED_MS = 60 * 1000,
    ADDRESSES_MAX = 16
};

static const char *const roles[] = { "user", "auditor", "accounts", "admin" };

/* ---- JSON */

static json_t *user_json(const struct store_account *account,
                         const struct store_account_usage *usage)
{
    json_t *user = json_object(), *addresses = json_array();
    for (size_t i = 0; i < account->addresses_count; i++) {
        json_array_append_new(addresses, api_json_text(account->addresses[i]));
    }
    api_set_text(user, "address", account->address);
    api_set_text(user, "full_name", account->full_name);
    api_set_text(user, "description", account->description);
    api_set(user, "enabled", json_boolean(account->state == STORE_ACCOUNT_ACTIVE));
    api_set(user, "role", json_string(roles[account->role < 4 ? account->role : 0]));
    api_set(user, "quota_bytes", json_integer((json_int_t)account->quota_bytes));
    api_set(user, "quota_items", json_integer((json_int_t)account->quota_items));
    api_set(user, "used_bytes", json_integer((json_int_t)usage->bytes));
    api_set(user, "used_items", json_integer((json_int_t)usage->items));
    api_set(user, "created_ms", json_integer((json_int_t)account->created_ms));
    api_set(user, "addresses", addresses);
    api_user_mail_show(account, user);
    api_user_directory_show(account, user);
    return user;
}

/* Takes the members of the request into call->account. False: refused. */
static bool user_take(struct api_call *call)
{
    struct store_account *account = &call->account;
    struct span role = SPAN("");
    const json_t *enabled = json_object_get(call->in, "enabled");
    bool there = false;
    if (!api_in_text(call, "full_name", NAME_MAX_BYTES, &account->full_name) ||
        !api_in_text(call, "description", 1000, &account->description) ||
        !api_in_number(call, "quota_bytes", &account->quota_bytes) ||
        !api_in_number(call, "quota_items", &account->quota_items) ||
        !api_in_text(call, "role", 20, &role) || !api_user_mail_take(call)) {
        return false;
    }
    if (role.len > 0) {
        uint32_t r = 0;
        while (r < 4 && !span_eq(role, span_of(roles[r], strlen(roles[r])))) r++;
        if (r == 4) {
            api_refuse(call, 400, "Bad value", "role: user, auditor, accounts or admin");
            return false;
        }
        if (!api_may_account(call, "role: higher than your own", r)) return false;
        account->role = r;
    }
    if (enabled != NULL) {
        if (!json_is_boolean(enabled)) {
            api_refuse(call, 400, "Bad value", "enabled: true or false");
            return false;
        }
        account->state = json_is_true(enabled) ? STORE_ACCOUNT_ACTIVE : STORE_ACCOUNT_DISABLED;
    }
    if (!api_user_directory_take(call)) return false;
    if (!api_in_addresses(call, "addresses", &there)) return false;
    if (call->texts_count > ADDRESSES_MAX) {
        api_refuse(call, 400, "Bad value", "addresses: at most %d", ADDRESSES_MAX);
        return false;
    }
    return api_texts_are_of_tenant(call, "addresses", call->known_domain->tenant);
}

/* ---- create */

void api_create_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span text = SPAN("");
    call->account.state = STORE_ACCOUNT_ACTIVE;
    if (!api_in_text(call, "address", API_ADDRESS_BYTES, &text) || !api_take_address(call, text))
        return;
    if (memchr(call->local.ptr, '*', call->local.len) != NULL ||
        memchr(call->local.ptr, '?', call->local.len) != NULL) {
        api_refuse(call, 400, "Bad value", "address: * and ? are for aliases");
        return;
    }
    if (!user_take(call)) return;
    id_random(&call->account.account, sizeof(call->account.account));
    call->account.tenant = call->known_domain->tenant;
    call->account.address = call->address;
    call->account.created_ms = clock_wall_ms();
    call->account.addresses = call->texts;
    call->account.addresses_count = call->further_count = call->texts_count;
    if (call->account.quota_bytes == 0 && json_object_get(call->in, "quota_bytes") == NULL) {
        call->account.quota_bytes = call->known_domain->quota_bytes;
    }
    flow_next(flow, err_ok());
}

static void step_find(struct flow *flow) { api_ask_address(api_of(flow)); }

/* False: refused. */
static bool may_take_address(struct api_call *call)
{
    const struct store_address_reply *found = &call->found;
    bool left_over = found->kind == STORE_ADDRESS_ACCOUNT &&
                     found->state == STORE_ADDRESS_RESERVED &&
                     found->reserved_ms + RESERVED_MS < clock_wall_ms();
    if (found->kind == STORE_ADDRESS_NONE || left_over) return true;
    api_refuse(call, 409, "Exists", "the address %.*s is taken", (int)call->address.len,
               call->address.ptr);
    return false;
}

/* The quotas of the tenant and the domain. */
static void create_grant(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!may_take_address(call)) return;
    if (api_quota_is_missing(call)) return;
    api_put_grant(call, false);
}

static void create_reserve(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->texts_count = 0;
    api_put_address(call, STORE_ADDRESS_ACCOUNT, STORE_ADDRESS_RESERVED, call->found.version);
}

void api_create_ask(struct api_call *call)
{
    static struct store_mailbox_make mailboxes[] = {
        { SPAN_INIT("Drafts"), STORE_USE_DRAFTS, true },
        { SPAN_INIT("Sent"), STORE_USE_SENT, true },
        { SPAN_INIT("Trash"), STORE_USE_TRASH, true },
        { SPAN_INIT("Junk"), STORE_USE_JUNK, true },
        { SPAN_INIT("Archive"), STORE_USE_ARCHIVE, true },
    };
    call->ask.account_create = (struct store_account_create_request){
        .operation_id = api_operation(call),
        .has_account = true,
        .account = call->account,
        .mailboxes = mailboxes,
        .mailboxes_count = sizeof(mailboxes) / sizeof(mailboxes[0]),
    };
}

static void create_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_create_ask(call);
    api_ask(call, STORE_METHOD_ACCOUNT_CREATE, slot_of_account(call->account.account), NULL);
}

static void create_activate(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_put_address(call, STORE_ADDRESS_ACCOUNT, STORE_ADDRESS_ACTIVE, call->found.version);
}

void api_create_index(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_put_index(call, STORE_ADDRESS_ACCOUNT, call->account.account, false);
}

static void create_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->status = 201;
    call->out = user_json(&call->account, &call->usage);
    flow_next(flow, err_ok());
}

const struct flow_step api_users_create[] = {
    { "take", api_create_take },
    { "password", api_step_password },
    { "look", api_further_look },
    { "find", step_find },
    { "grant", create_grant },
    { "reserve", create_reserve },
    { "account", create_account },
    { "further", api_further_put },
    { "index", api_create_index },
    { "activate", create_activate },
    { "audit", api_audit },
    { "show", create_show },
    { NULL, NULL },
};

/* ---- show */

static void show_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (api_take_address(call, call->argument)) flow_next(flow, err_ok());
}

/* A user sees himself, and of others not whether they are there. */
static void show_own(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->token.role > USER) {
        show_take(flow);
    } else if (call->token.account == 0 || !span_eq(call->argument, call->token.address)) {
        api_refuse(call, 403, "Not allowed", "the token's role is not enough");
    } else {
        show_take(flow);
    }
}

static void step_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->found.kind != STORE_ADDRESS_ACCOUNT || call->found.state != STORE_ADDRESS_ACTIVE) {
        api_refuse(call, 404, "Not found", "no user %.*s", (int)call->address.len,
                   call->address.ptr);
        return;
    }
    api_ask_account(call);
}

/* The number counts: the address may be somebody else's by now. */
static void show_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->token.role == USER && call->found.account != call->token.account) {
        call->found.kind = STORE_ADDRESS_NONE;
    }
    step_account(flow);
}

static void show_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_tag(call, call->account.version);
    call->out = user_json(&call->account, &call->usage);
    flow_next(flow, err_ok());
}

const struct flow_step api_users_show[] = {
    { "take", show_own }, { "find", step_find }, { "account", show_account },
    { "show", show_show }, { NULL, NULL },
};

/* ---- set */

static void set_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!api_may_account(call, "the user's role is higher than your own", call->account.role))
        return;
    if (!api_match(call, call->account.version)) return;
    call->old_quota_bytes = call->account.quota_bytes;
    if (!user_take(call)) return;
    if (json_object_get(call->in, "addresses") != NULL) {
        call->old_texts = call->account.addresses;
        call->old_texts_count = call->account.addresses_count;
        call->account.addresses = call->texts;
        call->account.addresses_count = call->further_count = call->texts_count;
    }
    flow_next(flow, err_ok());
}

static void keep_version(struct api_call *call, const void *message)
{
    call->account.version = ((const struct store_account_reply *)message)->account.version;
}

static void set_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->ask.account_set = (struct store_account_set_request){
        .operation_id = api_operation(call), .has_account = true, .account = call->account,
        .if_version = call->account.version
    };
    api_ask(call, STORE_METHOD_ACCOUNT_SET, slot_of_account(call->account.account), keep_version);
}

const struct flow_step api_users_set[] = {
    { "take", show_take },     { "find", step_find },      { "account", step_account },
    { "change", set_take },    { "password", api_step_password }, { "look", api_further_look },
    { "more", api_grant_more }, { "further", api_further_put }, { "set", set_account },
    { "less", api_grant_less }, { "drop", api_further_drop },  { "audit", api_audit },
    { "show", show_show },     { NULL, NULL },
};

/* ---- delete */

static void delete_may(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!api_may_account(call, "the user's role is higher than your own", call->account.role))
        return;
    if (api_user_directory_keeps(call)) return;
    if (api_match(call, call->account.version)) flow_next(flow, err_ok());
}

static void delete_addresses(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->at < call->account.addresses_count) {
        flow->steps--;
        api_remove_address(call, call->account.addresses[call->at++]);
        return;
    }
    api_remove_address(call, call->address);
}

static void delete_index(struct flow *flow)
{
    api_put_index(api_of(flow), STORE_ADDRESS_ACCOUNT, 0, true);
}

static void on_progress(struct api_call *call, const void *message)
{
    const struct store_progress_reply *reply = message;
    call->more = reply->more;
}

static void delete_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->made && !call->more) {
        call->status = 204;
        flow_next(flow, err_ok());
        return;
    }
    call->made = true;
    flow->steps--;
    call->ask.account_delete = (struct store_account_delete_request){
        .operation_id = api_operation(call), .tenant = call->found.tenant,
        .account = call->found.account
    };
    api_ask(call, STORE_METHOD_ACCOUNT_DELETE, slot_of_account(call->found.account), on_progress);
}

/* First, so that what breaks off behind it counts too little rather than for ever too much. */
static void delete_grant(struct flow *flow) { api_put_grant(api_of(flow), true); }

const struct flow_step api_users_delete[] = {
    { "take", show_take },  { "find", step_find },   { "account", step_account },
    { "may", delete_may },  { "grant", delete_grant }, { "addresses", delete_addresses },
    { "index", delete_index },
    { "delete", delete_account }, { "audit", api_audit },      { NULL, NULL },
};

/* ---- list */

static void list_begin(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = json_object();
    api_set(call->out, "items", json_array());
    if (api_take_domain(call, api_query(call, "domain")))
        api_list_domain(call, STORE_ADDRESS_ACCOUNT);
}

static void list_each(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *items = json_object_get(call->out, "items");
    if (call->made && call->account.account != 0) {
        json_array_append_new(items, user_json(&call->account, &call->usage));
    }
    call->made = true;
    call->account = (struct store_account){ 0 };
    if (call->at == call->entries_count) {
        api_page_next(call);
        flow_next(flow, err_ok());
        return;
    }
    call->found.tenant = call->known_domain->tenant;
    call->found.account = call->entries[call->at++].account;
    flow->steps--;
    api_ask_account(call);
}

const struct flow_step api_users_list[] = {
    { "begin", list_begin }, { "each", list_each }, { NULL, NULL },
};
