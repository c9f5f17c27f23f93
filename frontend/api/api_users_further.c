/* Further addresses of a user: looked at before anything is written, so that a refusal leaves
 * nothing half done; written before the account says that they are its own; taken away behind. */
#include "api_state_private.h"
#include "api_users_private.h"
#include "slot.h"

static void keep_further(struct api_call *call, const void *message)
{
    const struct store_address_reply *reply = message;
    bool own = reply->kind == STORE_ADDRESS_ACCOUNT && reply->account == call->account.account;
    if (reply->kind == STORE_ADDRESS_NONE) call->further |= 1u << call->at;
    else if (!own) call->further_taken = true;
}

/* Runs itself again until all are looked at. */
void api_further_look(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->further_taken) {
        struct span taken = call->texts[call->at];
        api_refuse(call, 409, "Exists", "addresses: %.*s is taken", (int)taken.len, taken.ptr);
        return;
    }
    if (call->asked) call->at++;
    if (call->at == call->texts_count) {
        call->at = 0;
        call->asked = false;
        flow_next(flow, err_ok());
        return;
    }
    struct span address = call->texts[call->at];
    if (span_eq(address, call->address)) {
        api_refuse(call, 400, "Bad value", "addresses: %.*s is the user's own", (int)address.len,
                   address.ptr);
        return;
    }
    call->asked = true;
    flow->steps--;
    call->ask.address_get = (struct store_address_get_request){
        .tenant = call->known_domain->tenant, .address = address
    };
    api_ask(call, STORE_METHOD_ADDRESS_GET, slot_of_name(address), keep_further);
}

/* Runs itself again until those that are new are written. */
void api_further_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    while (call->at < call->further_count && (call->further & 1u << call->at) == 0) call->at++;
    if (call->at == call->further_count) {
        call->at = 0;
        flow_next(flow, err_ok());
        return;
    }
    struct span address = call->account.addresses[call->at++];
    flow->steps--;
    call->ask.address_put = (struct store_address_put_request){
        .operation_id = api_operation(call), .tenant = call->known_domain->tenant,
        .address = address, .kind = STORE_ADDRESS_ACCOUNT, .account = call->account.account,
    };
    api_ask(call, STORE_METHOD_ADDRESS_PUT, slot_of_name(address), NULL);
}

/* Runs itself again until those that the account had, and has no more, are gone. */
void api_further_drop(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    while (call->at < call->old_texts_count) {
        struct span address = call->old_texts[call->at++];
        bool kept = false;
        for (size_t i = 0; i < call->account.addresses_count; i++) {
            kept = kept || span_eq(call->account.addresses[i], address);
        }
        if (kept) continue;
        flow->steps--;
        api_remove_address(call, address);
        return;
    }
    flow_next(flow, err_ok());
}
