/* The outbound queue: rows of every shard. An id is shown as slot and row id in hexadecimal. */
#include <string.h>
#include <time.h>

#include "api_state_private.h"
#include "clock.h"
#include "id.h"
#include "place_map.h"

enum { QUEUE_ID_TEXT_BYTES = 36, QUEUE_PAGE = 100 };

static json_t *time_json(uint64_t ms)
{
    char text[40];
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (ms == 0 || gmtime_r(&seconds, &parts) == NULL) return json_null();
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

static json_t *entry_json(const struct store_queue_entry *entry, bool whole)
{
    static const char *const states[] = { "waiting", "done", "failed", "expired" };
    char id[QUEUE_ID_TEXT_BYTES + 1];
    json_t *json = json_object(), *recipients = json_array();
    struct span answer = SPAN("");
    snprintf(id, sizeof(id), "%04x", entry->slot & 0x3fff);
    id_hex(entry->id.ptr, entry->id.len < 16 ? entry->id.len : 16, id + 4);
    id[4 + 2 * (entry->id.len < 16 ? entry->id.len : 16)] = '\0';
    for (size_t i = 0; i < entry->recipients_count; i++) {
        const struct store_queue_recipient *to = &entry->recipients[i];
        struct span address = to->has_target ? SPAN("(an account here)") : to->address;
        if (to->answer.len > 0) answer = to->answer;
        if (!whole) {
            json_array_append_new(recipients, api_json_text(address));
            continue;
        }
        json_t *one = json_object();
        api_set_text(one, "address", address);
        api_set(one, "state", json_string(states[to->state < 4 ? to->state : 0]));
        api_set(one, "attempts", json_integer((json_int_t)to->attempts));
        api_set(one, "due", time_json(to->due_ms));
        api_set_text(one, "answer", to->answer);
        json_array_append_new(recipients, one);
    }
    api_set(json, "id", json_string(id));
    api_set_text(json, "sender", entry->sender);
    api_set(json, "recipients", recipients);
    api_set(json, "size", json_integer((json_int_t)entry->size));
    api_set(json, "created", time_json(entry->created_ms));
    api_set(json, "due", time_json(entry->due_ms));
    api_set_text(json, "answer", answer);
    return json;
}

/* ---- list: shard after shard */

static void on_list(struct api_call *call, const void *message)
{
    const struct store_queue_list_reply *reply = message;
    json_t *items = json_object_get(call->out, "items");
    for (size_t i = 0; i < reply->entries_count; i++) {
        const struct store_queue_entry *entry = &reply->entries[i];
        if (call->tenant != 0 && entry->tenant != call->tenant) continue;
        json_array_append_new(items, entry_json(entry, false));
    }
}

static void list_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->out == NULL) {
        call->out = json_object();
        api_set(call->out, "items", json_array());
    }
    unsigned shards = place_map_shards(route_map(call->api->options.route));
    size_t have = json_array_size(json_object_get(call->out, "items"));
    if (call->shard >= shards || have >= API_LIST_MAX) {
        flow_next(flow, err_ok());
        return;
    }
    call->ask.queue_list = (struct store_queue_list_request){ .shard = call->shard,
                                                              .limit = QUEUE_PAGE };
    unsigned shard = call->shard++;
    flow->steps--;
    api_ask(call, STORE_METHOD_QUEUE_LIST, ROUTE_SHARD | shard, on_list);
}
const struct flow_step api_queue_list[] = { { "shards", list_step }, { NULL, NULL } };

/* ---- one entry: leased, shown or changed */

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* Reads "SSSS" + 32 digits. False: refused. */
static bool take_id(struct api_call *call, unsigned *slot, struct span *id)
{
    struct span text = call->argument;
    uint8_t bytes[2 + ID_BYTES];
    bool good = text.len == QUEUE_ID_TEXT_BYTES;
    for (size_t i = 0; good && i < sizeof(bytes); i++) {
        int high = digit(text.ptr[2 * i]), low = digit(text.ptr[2 * i + 1]);
        good = high >= 0 && low >= 0;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    if (good) *slot = ((unsigned)bytes[0] << 8 | bytes[1]) & 0x3fff;
    if (!good || arena_copy(&call->arena, span_of(bytes + 2, ID_BYTES), id).code != ERR_OK) {
        api_refuse(call, 404, "Not found", "a queue id has %d hexadecimal digits",
                   QUEUE_ID_TEXT_BYTES);
        return false;
    }
    return true;
}

static void on_lease(struct api_call *call, const void *message)
{
    const struct store_queue_list_reply *reply = message;
    if (reply->entries_count == 0) return;
    const struct store_queue_entry *entry = &reply->entries[0];
    if (call->tenant != 0 && entry->tenant != call->tenant) return;
    call->made = true;
    if (call->out == NULL) call->out = entry_json(entry, true);
    call->revision = entry->version;
}

/* A lease of no length: it shows the entry, or makes it due now. */
static void lease(struct api_call *call, uint64_t lease_ms)
{
    unsigned slot;
    struct span id;
    if (!take_id(call, &slot, &id)) return;
    call->ask.queue_lease = (struct store_queue_lease_request){
        .operation_id = api_operation(call),
        .shard = place_map_shard(route_map(call->api->options.route), (uint16_t)slot),
        .owner = api_operation(call), .lease_ms = lease_ms, .limit = 1, .id = id, .slot = slot
    };
    api_ask(call, STORE_METHOD_QUEUE_LEASE, slot, on_lease);
}

static void lease_step(struct flow *flow) { lease(api_of(flow), 0); }

static void found_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->made) flow_next(flow, err_ok());
    else api_refuse(call, 404, "Not found", "no such queue entry, or it is being worked on");
}

static void remove_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    unsigned slot;
    struct span id;
    if (!call->made) {
        api_refuse(call, 404, "Not found", "no such queue entry, or it is being worked on");
        return;
    }
    if (!take_id(call, &slot, &id)) return;
    call->status = 204;
    call->ask.queue_report = (struct store_queue_report_request){
        .operation_id = api_operation(call), .has_entry = true,
        .entry = { .id = id, .slot = slot, .version = call->revision }, .remove = true
    };
    api_ask(call, STORE_METHOD_QUEUE_REPORT, slot, NULL);
}

const struct flow_step api_queue_show[] = {
    { "lease", lease_step }, { "found", found_step }, { NULL, NULL },
};
const struct flow_step api_queue_retry[] = {
    { "lease", lease_step }, { "found", found_step }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_queue_remove[] = {
    { "lease", lease_step }, { "remove", remove_step }, { "audit", api_audit }, { NULL, NULL },
};
