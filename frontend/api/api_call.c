/* What handlers ask of the store. */
#include <string.h>

#include "api_state_private.h"
#include "clock.h"
#include "id.h"
#include "proto_message.h"
#include "slot.h"

static void on_reply(void *holder, struct route_call *route, const void *reply)
{
    struct api_call *call = holder;
    (void)route;
    if (call->on_reply != NULL) call->on_reply(call, reply);
}

static void on_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct api_call *call = holder;
    (void)route;
    call->route = NULL;
    if (err.code != ERR_OK && err.code == call->may) {
        call->met = true;
        err = err_ok();
    }
    if (err.code == ERR_OK || call->status >= 400) {
        flow_next(&call->flow, err.code != ERR_OK ? err : call->status >= 400
                                                              ? err_make(ERR_DENIED, "refused")
                                                              : err_ok());
        return;
    }
    if (info.len > 0) {
        snprintf(call->detail, sizeof(call->detail), "%.*s",
                 (int)(info.len < sizeof(call->detail) ? info.len : sizeof(call->detail) - 1),
                 info.ptr);
    }
    api_fail(call, err);
}

void api_ask(struct api_call *call, unsigned method, unsigned slot,
             void (*reply)(struct api_call *, const void *))
{
    api_ask_may(call, method, slot, ERR_OK, reply);
}

void api_ask_may(struct api_call *call, unsigned method, unsigned slot, enum err_code met,
                 void (*reply)(struct api_call *, const void *))
{
    static const struct route_call_user user = { NULL, on_reply, on_done };
    struct route_call_options options = { .slot = slot, .deadline_ms = API_CALL_MS };
    call->on_reply = reply;
    call->may = met;
    call->met = false;
    struct err err = route_call_start(call->api->options.route, store_method_find(method),
                                      &call->ask, &options, &user, call, &call->route);
    if (err.code != ERR_OK) api_fail(call, err);
}

static void on_quietly_done(void *holder, struct route_call *route, struct err err,
                            struct span info)
{
    struct api_call *call = holder;
    (void)route;
    (void)err;
    (void)info;
    call->route = NULL;
    flow_next(&call->flow, err_ok());
}

static void on_quiet_reply(void *holder, struct route_call *route, const void *reply)
{
    (void)holder;
    (void)route;
    (void)reply;
}

void api_ask_quietly(struct api_call *call, unsigned method, unsigned slot)
{
    static const struct route_call_user user = { NULL, on_quiet_reply, on_quietly_done };
    struct route_call_options options = { .slot = slot, .deadline_ms = API_CALL_MS };
    struct err err = route_call_start(call->api->options.route, store_method_find(method),
                                      &call->ask, &options, &user, call, &call->route);
    if (err.code != ERR_OK) flow_next(&call->flow, err_ok());
}

struct span api_operation(struct api_call *call)
{
    uint8_t *id = arena_alloc(&call->arena, OPERATION_ID_BYTES);
    if (id == NULL) return SPAN("");
    id_operation(clock_wall_ms(), id);
    return span_of(id, OPERATION_ID_BYTES);
}

/* Copies texts of a reply, which dies with the call, into the arena. */
static struct err copy_texts(struct api_call *call, const struct span *from, size_t count,
                             struct span **ret)
{
    struct span *to = arena_alloc(&call->arena, (count + 1) * sizeof(*to));
    if (to == NULL) return err_make(ERR_NOMEM, "reply");
    for (size_t i = 0; i < count; i++) TRY(arena_copy(&call->arena, from[i], &to[i]));
    *ret = to;
    return err_ok();
}

void api_keep_address(struct api_call *call, const void *message)
{
    const struct store_address_reply *reply = message;
    call->found = *reply;
    struct err err = copy_texts(call, reply->targets, reply->targets_count, &call->found.targets);
    if (err.code == ERR_OK) err = arena_copy(&call->arena, reply->name, &call->found.name);
    if (err.code != ERR_OK) call->status = 503;
}

void api_ask_address(struct api_call *call)
{
    call->found = (struct store_address_reply){ 0 };
    call->ask.address_get = (struct store_address_get_request){
        .tenant = call->known_domain->tenant, .address = call->address
    };
    api_ask(call, STORE_METHOD_ADDRESS_GET, slot_of_name(call->address), api_keep_address);
}

/* By way of the wire: so no field is missed. */
struct err api_copy_account(struct api_call *call, const struct store_account *from)
{
    struct span packed;
    TRY(proto_pack(&store_account_type, from, &call->arena, &packed));
    return proto_unpack(&store_account_type, packed, &call->arena, &call->account);
}

static void keep_account(struct api_call *call, const void *message)
{
    const struct store_account_reply *reply = message;
    if (!reply->has_account) return;
    if (api_copy_account(call, &reply->account).code != ERR_OK) call->status = 503;
    if (reply->has_usage) call->usage = reply->usage;
}

void api_ask_account(struct api_call *call)
{
    call->ask.account_get = (struct store_account_get_request){ .tenant = call->found.tenant,
                                                                .account = call->found.account };
    api_ask(call, STORE_METHOD_ACCOUNT_GET, slot_of_account(call->found.account), keep_account);
}

void api_address_ask(struct api_call *call, unsigned kind, unsigned state, uint64_t if_version)
{
    call->ask.address_put = (struct store_address_put_request){
        .operation_id = api_operation(call),
        .tenant = call->known_domain->tenant,
        .address = call->address,
        .kind = kind,
        .state = state,
        .account = call->account.account,
        .targets = call->texts,
        .targets_count = call->texts_count,
        .name = call->account.full_name,
        .if_version = if_version,
    };
}

void api_put_address(struct api_call *call, unsigned kind, unsigned state, uint64_t if_version)
{
    api_address_ask(call, kind, state, if_version);
    api_ask(call, STORE_METHOD_ADDRESS_PUT, slot_of_name(call->address), api_keep_address);
}

void api_remove_address(struct api_call *call, struct span address)
{
    call->ask.address_put = (struct store_address_put_request){
        .operation_id = api_operation(call), .tenant = call->known_domain->tenant,
        .address = address, .remove = true, .any_version = true
    };
    api_ask(call, STORE_METHOD_ADDRESS_PUT, slot_of_name(address), NULL);
}

void api_put_index(struct api_call *call, unsigned kind, uint64_t account, bool remove)
{
    call->ask.index_put = (struct store_domain_index_put_request){
        .operation_id = api_operation(call),
        .tenant = call->known_domain->tenant,
        .domain = call->domain,
        .local = call->local,
        .kind = kind,
        .account = account,
        .remove = remove,
    };
    api_ask(call, STORE_METHOD_DOMAIN_INDEX_PUT, slot_of_name(call->domain), NULL);
}

static void keep_entries(struct api_call *call, const void *message)
{
    const struct store_domain_list_reply *reply = message;
    size_t count = reply->entries_count;
    call->entries = arena_alloc(&call->arena, (count + 1) * sizeof(*call->entries));
    call->entries_count = 0;
    call->more = reply->more;
    if (call->entries == NULL) {
        call->status = 503;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct store_domain_entry *to = &call->entries[call->entries_count];
        *to = reply->entries[i];
        if (arena_copy(&call->arena, reply->entries[i].local, &to->local).code != ERR_OK) {
            call->status = 503;
        }
        call->last = to->local;
        if (api_page_wants(call, to->local)) call->entries_count++;
    }
}

void api_list_domain(struct api_call *call, unsigned kind)
{
    if (!api_page_take(call, API_LIST_DEFAULT)) return;
    struct span after = call->page.after, local = after, domain;
    size_t at = after.len;
    while (at > 0 && after.ptr[at - 1] != '@') at--;
    if (at > 0) span_cut(after, '@', &local, &domain);
    call->ask.domain_list = (struct store_domain_list_request){
        .tenant = call->known_domain->tenant, .domain = call->domain, .kind = kind,
        .after = local, .limit = (uint32_t)call->page.limit
    };
    api_ask(call, STORE_METHOD_DOMAIN_LIST, slot_of_name(call->domain), keep_entries);
}
