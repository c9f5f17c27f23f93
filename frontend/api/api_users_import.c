/* Many users in one call (POST /api/v1/users/import): each row is made as one user is. A row is
 * unchanged when the user is there and has what the row says; the password is not compared.
 *
 * An address that another attempt left reserved is taken over with the account number that it has:
 * whoever is still at it finds the row's version changed and can't activate it any more, and the
 * account that may be there already is written over. So nothing is made twice. */
#include <string.h>

#include "api_import_private.h"
#include "api_users_private.h"
#include "id.h"
#include "slot.h"

/* Where a row goes on; each list ends with NULLs. */
static const struct flow_step find_steps[3], make_steps[10], exists_steps[4], rest_steps[5],
    same_steps[3], quota_steps[2];

/* ---- what is asked for */

/* With further addresses it has to be known first whose they may be; without the quota that a new
 * user must have, whether it is one. */
static void row_first(struct flow *flow)
{
    const struct api_call *call = api_of(flow);
    const struct directory_tenant *tenant =
        directory_tenant(call->directory, call->known_domain->tenant);
    bool no_quota = call->account.quota_bytes == 0 && (tenant == NULL || tenant->quota_bytes != 0);
    api_row_go(flow, call->further_count > 0 || no_quota ? find_steps : make_steps);
}

/* ---- an address that is taken, or may be */

static void row_find(struct flow *flow) { api_ask_address(api_of(flow)); }

static void row_decide(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct store_address_reply *found = &call->found;
    if (found->kind == STORE_ADDRESS_NONE) {
        api_row_go(flow, make_steps);
    } else if (found->kind != STORE_ADDRESS_ACCOUNT) {
        api_refuse(call, 409, "Exists", "address: %.*s is taken", (int)call->address.len,
                   call->address.ptr);
    } else if (found->state == STORE_ADDRESS_RESERVED) {
        call->account.account = found->account;
        api_row_go(flow, make_steps);
    } else {
        api_row_go(flow, same_steps);
    }
}

static bool same_texts(const struct span *a, size_t a_count, const struct span *b, size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++) {
        bool found = false;
        for (size_t j = 0; j < b_count; j++) found = found || span_eq(a[i], b[j]);
        if (!found) return false;
    }
    return true;
}

/* The first member of the row that the account has otherwise, or NULL. */
static const char *row_difference(const struct api_call *call, const struct store_account *is)
{
    const struct store_account *wanted = &call->account;
    const struct { const char *member; bool same; } members[] = {
        { "full_name", span_eq(wanted->full_name, is->full_name) },
        { "description", span_eq(wanted->description, is->description) },
        { "quota_bytes", wanted->quota_bytes == is->quota_bytes },
        { "quota_items", wanted->quota_items == is->quota_items },
        { "role", wanted->role == is->role },
        { "enabled", wanted->state == is->state },
        { "addresses", same_texts(wanted->addresses, wanted->addresses_count, is->addresses,
                                  is->addresses_count) },
        { "forward", same_texts(wanted->forward, wanted->forward_count, is->forward,
                                is->forward_count) },
        { "forward_keep", wanted->forward_keep == is->forward_keep },
        { "size_max", wanted->size_max == is->size_max },
        { "domain_only", wanted->domain_only == is->domain_only },
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (members[i].same || json_object_get(call->in, members[i].member) == NULL) continue;
        return members[i].member;
    }
    return NULL;
}

static void keep_there(struct api_call *call, const void *message)
{
    struct api_row *row = api_row_of(&call->flow);
    const struct store_account_reply *reply = message;
    if (!reply->has_account || reply->account.state == STORE_ACCOUNT_DELETED) return;
    row->version = reply->account.version;
    row->is_ours = span_eq(reply->account.address, call->address);
    row->differs = row_difference(call, &reply->account);
}

static void ask_there(struct api_row *row, uint64_t account)
{
    struct api_call *call = &row->call;
    row->is_ours = false;
    call->ask.account_get = (struct store_account_get_request){
        .tenant = call->known_domain->tenant, .account = account
    };
    api_ask_may(call, STORE_METHOD_ACCOUNT_GET, slot_of_account(account), ERR_NOT_FOUND,
                keep_there);
}

static void row_there(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    ask_there(row, row->call.found.account);
}

static void row_compare(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    if (!row->is_ours) {
        api_refuse(&row->call, 409, "Exists", "address: another user has it as a further one");
    } else if (row->differs != NULL) {
        api_refuse(&row->call, 409, "Exists", "%s: the user is there with another value",
                   row->differs);
    } else {
        row->is_there = true;
        flow_next(flow, err_ok());
    }
}

/* ---- making it */

static void row_look(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (api_quota_is_missing(call)) return;
    call->texts = call->account.addresses;
    call->texts_count = call->further_count;
    call->further = 0;
    call->at = 0;
    call->asked = call->further_taken = false;
    flow_next(flow, err_ok());
}

/* One that is taken may be so by another attempt at this very row: the address was reserved before
 * that, so a second look at it tells whose number the user has. */
static void row_further(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    if (row->call.further_taken && !row->looked_again) {
        row->looked_again = true;
        api_row_again(flow, find_steps);
    } else {
        api_further_look(flow);
    }
}

static void put_own(struct api_call *call, unsigned state)
{
    api_address_ask(call, STORE_ADDRESS_ACCOUNT, state, call->found.version);
    call->ask.address_put.targets_count = 0; /* they are an alias's, and not further addresses */
    api_ask_may(call, STORE_METHOD_ADDRESS_PUT, slot_of_name(call->address), ERR_CONFLICT,
                api_keep_address);
}

static void row_reserve(struct flow *flow) { put_own(api_of(flow), STORE_ADDRESS_RESERVED); }

static void row_reserved(struct flow *flow)
{
    if (api_of(flow)->met) api_row_again(flow, find_steps);
    else flow_next(flow, err_ok());
}

/* The quotas of the tenant and the domain: once the address is ours, for the grants are by name. */
static void row_grant(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_grant_ask(call, false);
    api_ask_may(call, STORE_METHOD_GRANT_PUT, slot_of_account(call->known_domain->tenant),
                ERR_QUOTA, NULL);
}

/* Over quota: lets go of the address. */
static void row_granted(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!call->met) {
        flow_next(flow, err_ok());
        return;
    }
    flow->steps = quota_steps;
    api_address_ask(call, STORE_ADDRESS_ACCOUNT, STORE_ADDRESS_RESERVED, call->found.version);
    call->ask.address_put.targets_count = 0;
    call->ask.address_put.remove = true;
    api_ask_may(call, STORE_METHOD_ADDRESS_PUT, slot_of_name(call->address), ERR_CONFLICT, NULL);
}

static void row_over_quota(struct flow *flow)
{
    api_refuse(api_of(flow), 409, "Over quota",
               "the tenant or the domain has as many users as it may, or the tenant's quota of "
               "bytes does not hold the user's");
}

static void row_account(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    api_create_ask(call);
    api_ask_may(call, STORE_METHOD_ACCOUNT_CREATE, slot_of_account(call->account.account),
                ERR_EXISTS, NULL);
}

static void row_account_made(struct flow *flow)
{
    api_row_go(flow, api_of(flow)->met ? exists_steps : rest_steps);
}

/* An earlier attempt made it; or the number is another's. */
static void row_exists(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    ask_there(row, row->call.account.account);
}

static void row_write_over(struct flow *flow)
{
    struct api_row *row = api_row_of(flow);
    struct api_call *call = &row->call;
    if (call->met) { /* another attempt is making it at this moment */
        api_row_again(flow, find_steps);
        return;
    }
    if (!row->is_ours) {
        id_random(&call->account.account, sizeof(call->account.account));
        api_row_again(flow, make_steps);
        return;
    }
    call->ask.account_set = (struct store_account_set_request){
        .operation_id = api_operation(call), .has_account = true, .account = call->account,
        .if_version = row->version
    };
    api_ask_may(call, STORE_METHOD_ACCOUNT_SET, slot_of_account(call->account.account),
                ERR_CONFLICT, NULL);
}

static void row_written_over(struct flow *flow)
{
    if (api_of(flow)->met) api_row_again(flow, find_steps);
    else api_row_go(flow, rest_steps);
}

static void row_activate(struct flow *flow) { put_own(api_of(flow), STORE_ADDRESS_ACTIVE); }

static const struct flow_step row_steps[] = {
    { "take", api_create_take }, { "check", api_step_password_check }, { "first", row_first },
    { NULL, NULL },
};
static const struct flow_step find_steps[3] = {
    { "find", row_find }, { "decide", row_decide }, { NULL, NULL },
};
static const struct flow_step make_steps[10] = {
    { "addresses", row_look },     { "look", row_further },
    { "reserve", row_reserve },    { "reserved", row_reserved },
    { "grant", row_grant },        { "granted", row_granted },
    { "hash", api_step_password_hash }, { "account", row_account },
    { "made", row_account_made },  { NULL, NULL },
};
static const struct flow_step exists_steps[4] = {
    { "exists", row_exists }, { "write over", row_write_over },
    { "written over", row_written_over }, { NULL, NULL },
};
static const struct flow_step rest_steps[5] = {
    { "further", api_further_put }, { "index", api_create_index },
    { "activate", row_activate },   { "active", row_reserved },
    { NULL, NULL },
};
static const struct flow_step quota_steps[2] = { { "over quota", row_over_quota }, { NULL, NULL } };
static const struct flow_step same_steps[3] = {
    { "there", row_there }, { "compare", row_compare }, { NULL, NULL },
};

static const struct api_import_kind users = { "users", "address", API_USER_MEMBERS, row_steps };

static void import_begin(struct flow *flow) { api_import_begin(api_of(flow), &users); }

const struct flow_step api_users_import[] = {
    { "rows", import_begin }, { "audit", api_import_audit }, { "show", api_import_show },
    { NULL, NULL },
};
