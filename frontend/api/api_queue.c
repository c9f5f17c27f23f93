/* The outbound queue: rows of every shard. An id is shown as slot and row id in hexadecimal. */
#include <string.h>

#include "api_state_private.h"
#include "clock.h"
#include "id.h"
#include "place_address.h"
#include "place_map.h"

enum {
    QUEUE_ID_TEXT_BYTES = 36,
    QUEUE_KEY_BYTES = 2 + ID_BYTES,
    QUEUE_PAGE = 100,
    QUEUE_PAGES_MAX = 1000, /* looked at for one list */
};

static void id_text(const struct store_queue_entry *entry, char to[QUEUE_ID_TEXT_BYTES])
{
    static const uint8_t none[ID_BYTES];
    uint8_t slot[2] = { (uint8_t)((entry->slot & 0x3fff) >> 8), (uint8_t)entry->slot };
    id_hex(slot, sizeof(slot), to);
    id_hex(entry->id.len == ID_BYTES ? (const void *)entry->id.ptr : none, ID_BYTES, to + 4);
}

static json_t *entry_json(const struct store_queue_entry *entry, bool whole)
{
    static const char *const states[] = { "waiting", "done", "failed", "expired" };
    char id[QUEUE_ID_TEXT_BYTES];
    json_t *json = json_object(), *recipients = json_array();
    struct span answer = SPAN("");
    id_text(entry, id);
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
        api_set(one, "due", api_json_time(to->due_ms));
        api_set_text(one, "answer", to->answer);
        json_array_append_new(recipients, one);
    }
    api_set_text(json, "id", span_of(id, sizeof(id)));
    api_set_text(json, "sender", entry->sender);
    api_set(json, "recipients", recipients);
    api_set(json, "size", json_integer((json_int_t)entry->size));
    api_set(json, "created", api_json_time(entry->created_ms));
    api_set(json, "due", api_json_time(entry->due_ms));
    api_set_text(json, "answer", answer);
    return json;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* Reads "SSSS" + 32 digits; false: it is none. */
static bool read_id(struct span text, unsigned *slot, struct span *id, struct api_call *call)
{
    uint8_t bytes[2 + ID_BYTES];
    bool good = text.len == QUEUE_ID_TEXT_BYTES;
    for (size_t i = 0; good && i < sizeof(bytes); i++) {
        int high = digit(text.ptr[2 * i]), low = digit(text.ptr[2 * i + 1]);
        good = high >= 0 && low >= 0;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    if (good) *slot = ((unsigned)bytes[0] << 8 | bytes[1]) & 0x3fff;
    return good && arena_copy(&call->arena, span_of(bytes + 2, ID_BYTES), id).code == ERR_OK;
}

/* ---- list: shard after shard, page after page */

/* `slot u16 BE | id`: a page begins behind it. */
static struct span page_key(struct api_call *call, unsigned slot, struct span id)
{
    uint8_t *key = arena_alloc(&call->arena, QUEUE_KEY_BYTES);
    if (key == NULL || id.len != ID_BYTES) return SPAN("");
    key[0] = (uint8_t)(slot >> 8);
    key[1] = (uint8_t)slot;
    memcpy(key + 2, id.ptr, ID_BYTES);
    return span_of(key, QUEUE_KEY_BYTES);
}

/* Whether the caller sees it: of his tenant, and for a domain sent by one of its addresses. */
static bool is_own(const struct api_call *call, const struct store_queue_entry *entry)
{
    struct span local, domain, own = call->token.domain;
    if (call->tenant != 0 && entry->tenant != call->tenant) return false;
    if (own.len == 0) return true;
    const struct directory *directory = call->api->options.resolver->directory;
    if (!place_address_split(entry->sender, &local, &domain)) return false;
    const struct directory_domain *known = directory_find(directory, domain, NULL);
    return known != NULL && known->tenant == call->tenant && span_eq(known->name, own);
}

/* By the sender's address. */
static bool is_wanted(const struct api_call *call, const struct store_queue_entry *entry)
{
    return is_own(call, entry) && api_page_wants(call, entry->sender);
}

static void on_list(struct api_call *call, const void *message)
{
    const struct store_queue_list_reply *reply = message;
    json_t *items = json_object_get(call->out, "items");
    const struct store_queue_entry *entry = NULL;
    char id[QUEUE_ID_TEXT_BYTES];
    for (size_t i = 0; i < reply->entries_count && !call->more; i++) {
        entry = &reply->entries[i];
        if (!is_wanted(call, entry)) continue;
        call->more = json_array_size(items) == call->page.limit; /* one more than fit */
        if (call->more) break;
        json_array_append_new(items, entry_json(entry, false));
        id_text(entry, id);
        struct err err = arena_copy(&call->arena, span_of(id, sizeof(id)), &call->last);
        if (err.code != ERR_OK) call->status = 503;
    }
    call->key = SPAN("");
    if (reply->more && entry != NULL) call->key = page_key(call, entry->slot, entry->id);
}

/* Where the page begins. False: refused. */
static bool begin(struct api_call *call)
{
    struct span id;
    unsigned slot;
    if (!api_page_take(call, API_LIST_MAX)) return false;
    call->out = json_object();
    api_set(call->out, "items", json_array());
    if (call->page.after.len == 0) return true;
    if (!read_id(call->page.after, &slot, &id, call)) {
        api_refuse(call, 400, "Bad parameter", "after: a queue id has %d hexadecimal digits",
                   QUEUE_ID_TEXT_BYTES);
        return false;
    }
    call->shard = place_map_shard(route_map(call->api->options.route), (uint16_t)slot);
    call->key = page_key(call, slot, id);
    return true;
}

static void list_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (call->out == NULL) {
        if (!begin(call)) return;
    } else if (call->key.len == 0) {
        call->shard++;
    }
    unsigned shards = place_map_shards(route_map(call->api->options.route));
    if (call->shard >= shards || call->more || call->at++ == QUEUE_PAGES_MAX) {
        api_page_next(call);
        flow_next(flow, err_ok());
        return;
    }
    call->ask.queue_list = (struct store_queue_list_request){ .shard = call->shard,
                                                              .after = call->key,
                                                              .limit = QUEUE_PAGE };
    flow->steps--;
    api_ask(call, STORE_METHOD_QUEUE_LIST, ROUTE_SHARD | call->shard, on_list);
}
const struct flow_step api_queue_list[] = { { "shards", list_step }, { NULL, NULL } };

/* ---- one entry: read; written back by compare with its version */

static void on_entry(struct api_call *call, const void *message)
{
    const struct store_queue_list_reply *reply = message;
    struct span packed;
    if (reply->entries_count == 0) return;
    const struct store_queue_entry *entry = &reply->entries[0];
    if (!span_eq(entry->id, call->address) || entry->slot != call->shard) return;
    if (!is_own(call, entry)) return;
    struct err err = proto_pack(&store_queue_entry_type, entry, &call->arena, &packed);
    if (err.code == ERR_OK) {
        err = proto_unpack(&store_queue_entry_type, packed, &call->arena, &call->entry);
    }
    if (err.code == ERR_OK) call->made = true;
    else call->status = 503;
}

/* Asks for the page of one that begins behind the id before this one. */
static void find_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    uint8_t before[ID_BYTES];
    if (!read_id(call->argument, &call->shard, &call->address, call)) {
        api_refuse(call, 404, "Not found", "a queue id has %d hexadecimal digits",
                   QUEUE_ID_TEXT_BYTES);
        return;
    }
    memcpy(before, call->address.ptr, ID_BYTES);
    size_t i = ID_BYTES;
    while (i > 0 && before[--i]-- == 0) continue;
    unsigned shard = place_map_shard(route_map(call->api->options.route), (uint16_t)call->shard);
    call->ask.queue_list = (struct store_queue_list_request){
        .shard = shard, .limit = 1,
        .after = page_key(call, call->shard, span_of(before, ID_BYTES))
    };
    api_ask(call, STORE_METHOD_QUEUE_LIST, ROUTE_SHARD | shard, on_entry);
}

static void show_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!call->made) {
        api_refuse(call, 404, "Not found", "no such queue entry");
        return;
    }
    call->out = entry_json(&call->entry, true);
    flow_next(flow, err_ok());
}

/* Writes the entry back, unless somebody works on it: its report would find another version. */
static void report(struct api_call *call, bool remove)
{
    if (!call->made) {
        api_refuse(call, 404, "Not found", "no such queue entry");
        return;
    }
    if (call->entry.lease_until_ms > clock_wall_ms()) {
        api_refuse(call, 409, "In use", "the entry is being worked on");
        return;
    }
    call->ask.queue_report = (struct store_queue_report_request){
        .operation_id = api_operation(call), .has_entry = true, .entry = call->entry,
        .remove = remove
    };
    api_ask(call, STORE_METHOD_QUEUE_REPORT, call->entry.slot, NULL);
}

static void retry_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    uint64_t now = clock_wall_ms();
    for (size_t i = 0; i < call->entry.recipients_count; i++) {
        struct store_queue_recipient *to = &call->entry.recipients[i];
        if (to->state == STORE_RCPT_WAITING) to->due_ms = now;
    }
    call->entry.due_ms = now;
    report(call, false);
}

static void remove_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->status = 204;
    report(call, true);
}

const struct flow_step api_queue_show[] = {
    { "find", find_step }, { "show", show_step }, { NULL, NULL },
};
const struct flow_step api_queue_retry[] = {
    { "find", find_step },  { "retry", retry_step }, { "audit", api_audit }, { "show", show_step },
    { NULL, NULL },
};
const struct flow_step api_queue_remove[] = {
    { "find", find_step }, { "remove", remove_step }, { "audit", api_audit }, { NULL, NULL },
};
