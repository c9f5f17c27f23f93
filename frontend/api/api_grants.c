/* The quotas of a tenant: those of its users are never more together (GrantPut of store.proto). */
#include "api_state_private.h"
#include "slot.h"

static void keep_grants(struct api_call *call, const void *message)
{
    call->grants = *(const struct store_grant_reply *)message;
}

void api_ask_grants(struct api_call *call, uint32_t tenant)
{
    call->ask.grant_put = (struct store_grant_put_request){ .operation_id = api_operation(call),
                                                            .tenant = tenant };
    api_ask(call, STORE_METHOD_GRANT_PUT, slot_of_account(tenant), keep_grants);
}

void api_grant_ask(struct api_call *call, bool remove)
{
    const struct directory_domain *domain = call->known_domain;
    const struct directory_tenant *tenant = directory_tenant(call->directory, domain->tenant);
    call->ask.grant_put = (struct store_grant_put_request){
        .operation_id = api_operation(call), .tenant = domain->tenant,
        .group = call->domain, .name = call->local, .bytes = call->account.quota_bytes,
        .group_count_max = domain->users_max, .remove = remove,
    };
    if (tenant != NULL) {
        call->ask.grant_put.count_max = tenant->users_max;
        call->ask.grant_put.bytes_max = tenant->quota_bytes;
    }
}

void api_put_grant(struct api_call *call, bool remove)
{
    api_grant_ask(call, remove);
    api_ask(call, STORE_METHOD_GRANT_PUT, slot_of_account(call->known_domain->tenant), keep_grants);
}

/* True: refused. A tenant that is not known may have nothing. */
bool api_quota_is_missing(struct api_call *call)
{
    const struct directory_tenant *tenant =
        directory_tenant(call->directory, call->known_domain->tenant);
    if (tenant == NULL) {
        api_refuse(call, 503, "Not available now", "what the tenant may have can't be read");
        return true;
    }
    if (tenant->quota_bytes == 0 || call->account.quota_bytes != 0) return false;
    api_refuse(call, 400, "Bad value",
               "quota_bytes: not 0, since the tenant has a quota (or set one for the domain)");
    return true;
}

/* More is taken before the account gets it, less given back behind it: it never has too much. */
void api_grant_more(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    uint64_t now = call->account.quota_bytes, old = call->old_quota_bytes;
    bool is_more = old != 0 && (now == 0 || now > old);
    if (!is_more) {
        flow_next(flow, err_ok());
    } else if (!api_quota_is_missing(call)) {
        api_put_grant(call, false);
    }
}

void api_grant_less(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    uint64_t now = call->account.quota_bytes, old = call->old_quota_bytes;
    if (now != 0 && (old == 0 || now < old)) api_put_grant(call, false);
    else flow_next(flow, err_ok());
}
