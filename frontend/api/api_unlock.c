/* Unlocking a user: the failed log-ins by the address are forgotten. Frontends believe for
 * METER_KNOWN_MS what they have heard before. */
#include "api_state_private.h"
#include "slot.h"

enum { API_UNLOCK_WINDOW_MS = 60000 }; /* a check names one; nothing is counted over it */

static void unlock_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (api_take_address(call, call->argument)) api_ask_address(call);
}

static void unlock_answered(struct api_call *call, const void *message)
{
    const struct store_tally_reply *reply = message;
    if (reply->answers_count != 1 || reply->answers[0].status != 0) call->status = 503;
}

static void unlock_clear(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->found.kind != STORE_ADDRESS_ACCOUNT || call->found.state != STORE_ADDRESS_ACTIVE) {
        api_refuse(call, 404, "Not found", "no user %.*s", (int)call->address.len,
                   call->address.ptr);
        return;
    }
    struct store_tally_item *item = arena_alloc(&call->arena, sizeof(*item));
    if (item == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "unlock"));
        return;
    }
    *item = (struct store_tally_item){ .kind = STORE_TALLY_LOGIN_USER,
                                       .tenant = call->known_domain->tenant, .key = call->address,
                                       .clear = true, .window_ms = API_UNLOCK_WINDOW_MS };
    call->ask.tally = (struct store_tally_request){ .slot = slot_of_name(call->address),
                                                    .items = item, .items_count = 1 };
    api_ask(call, STORE_METHOD_TALLY, slot_of_name(call->address), unlock_answered);
}

static void unlock_end(struct flow *flow)
{
    api_of(flow)->status = 204;
    flow_next(flow, err_ok());
}

const struct flow_step api_users_unlock[] = {
    { "address", unlock_take },
    { "clear", unlock_clear },
    { "end", unlock_end },
    { "audit", api_audit },
    { NULL, NULL },
};
