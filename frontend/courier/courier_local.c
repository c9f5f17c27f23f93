/* Recipients in mailboxes of ours: one Deliver for each shard, of at most
 * COURIER_DELIVER_MAX_BYTES, with the body as it is stored and the operation ids of intake. */
#include <stdlib.h>

#include "body.h"
#include "courier_private.h"
#include "place_map.h"
#include "slot.h"

enum { TARGET_BYTES = 512 }; /* of a row beside body and facts, about */

/* One Deliver call: `count` targets from `first` on. */
struct delivery {
    struct courier_entry *entry;
    struct route_call *call;
    struct store_deliver_request request;
    size_t first;
    unsigned shard;
    bool is_answered;
};

/* In entry->arena. Targets are in the order of shards; `indexes` says whose they are. */
struct courier_deliveries {
    struct store_deliver_target *targets;
    size_t *indexes;
    struct delivery *all;
    size_t count, next, open;
};

struct place { unsigned shard; size_t index; };

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index ? 1 : 0;
}

static void deliveries_go(struct courier_entry *entry);

/* What a shard says of a recipient, as the reply of a server would say it. */
static void delivery_outcome(struct courier_entry *entry, size_t index, enum err_code code)
{
    static const struct { enum err_code code; struct span answer; } permanent[] = {
        { ERR_NOT_FOUND, SPAN_INIT("550 5.1.1 No such mailbox") },
        { ERR_DENIED, SPAN_INIT("550 5.2.1 Mailbox takes no mail") },
        { ERR_QUOTA, SPAN_INIT("552 5.2.2 Mailbox is full") },
    };
    entry->recipients[index].is_due = false;
    if (code == ERR_OK) {
        entry->outcomes[index].is_final = true;
        courier_outcome_set(entry, index, COURIER_DONE, SPAN("250 2.0.0 Delivered"));
        return;
    }
    for (size_t i = 0; i < sizeof(permanent) / sizeof(permanent[0]); i++) {
        if (permanent[i].code != code) continue;
        courier_outcome_set(entry, index, COURIER_FAILED, permanent[i].answer);
        return;
    }
    /* Whatever else it is may be mended: mail that was taken in is not sent back for it. */
    courier_outcome_set(entry, index, COURIER_DEFERRED,
                        SPAN("451 4.3.0 The mailbox can't be reached for now"));
}

static void on_deliver_reply(void *holder, struct route_call *call, const void *message)
{
    struct delivery *delivery = holder;
    struct courier_entry *entry = delivery->entry;
    const struct store_deliver_reply *reply = message;
    (void)call;
    if (reply->results_count != delivery->request.targets_count) return;
    delivery->is_answered = true;
    for (size_t i = 0; i < reply->results_count; i++) {
        size_t index = entry->deliveries->indexes[delivery->first + i];
        delivery_outcome(entry, index, err_code_of(reply->results[i].status));
    }
}

static void on_deliver_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct delivery *delivery = holder;
    struct courier_entry *entry = delivery->entry;
    struct courier_deliveries *deliveries = entry->deliveries;
    (void)call;
    (void)err;
    (void)info;
    delivery->call = NULL;
    if (!delivery->is_answered) {
        for (size_t i = 0; i < delivery->request.targets_count; i++) {
            delivery_outcome(entry, deliveries->indexes[delivery->first + i], ERR_UNREACHABLE);
        }
    }
    deliveries->open--;
    deliveries_go(entry);
}

static struct err delivery_start(struct courier_entry *entry, struct delivery *delivery)
{
    static const struct route_call_user user = { NULL, on_deliver_reply, on_deliver_done };
    struct route_call_options options = { .slot = ROUTE_SHARD | delivery->shard,
                                          .deadline_ms = COURIER_CALL_MS,
                                          .body = entry->stored };
    if (entry->row.trace_id.len == ID_BYTES) {
        options.trace_id = (const uint8_t *)entry->row.trace_id.ptr;
    }
    return route_call_start(entry->courier->options.route, store_method_find(STORE_METHOD_DELIVER),
                            &delivery->request, &options, &user, delivery, &delivery->call);
}

static void deliveries_go(struct courier_entry *entry)
{
    struct courier_deliveries *deliveries = entry->deliveries;
    while (deliveries->next < deliveries->count && deliveries->open < COURIER_DELIVERS_MAX) {
        struct delivery *delivery = &deliveries->all[deliveries->next++];
        if (delivery_start(entry, delivery).code == ERR_OK) {
            deliveries->open++;
            continue;
        }
        for (size_t i = 0; i < delivery->request.targets_count; i++) {
            delivery_outcome(entry, deliveries->indexes[delivery->first + i], ERR_BUSY);
        }
    }
    if (deliveries->open == 0) flow_next(&entry->flow, err_ok());
}

/* A call for each run of places of one shard, as far as one commit goes. */
static void deliveries_cut(struct courier_entry *entry, const struct place *places, size_t count)
{
    struct courier_deliveries *deliveries = entry->deliveries;
    uint64_t each = body_size(entry->stored) + entry->row.facts.len + TARGET_BYTES;
    uint64_t most = COURIER_DELIVER_MAX_BYTES / each;
    if (most > COURIER_DELIVER_TARGETS_MAX) most = COURIER_DELIVER_TARGETS_MAX;
    if (most == 0) most = 1;
    for (size_t i = 0; i < count;) {
        struct delivery *delivery = &deliveries->all[deliveries->count++];
        size_t end = i + 1;
        while (end < count && end - i < most && places[end].shard == places[i].shard) end++;
        *delivery = (struct delivery){ .entry = entry, .first = i, .shard = places[i].shard };
        delivery->request = (struct store_deliver_request){
            .targets = deliveries->targets + i,
            .targets_count = end - i,
            .facts = entry->row.facts,
            .size = entry->row.size,
            .internaldate_ms = entry->row.internaldate_ms,
            .scan_stamp = entry->row.scan_stamp,
            .sender = entry->row.sender,
            .ignore_quota = true,
            .is_queued = true,
        };
        i = end;
    }
}

static struct err deliveries_make(struct courier_entry *entry)
{
    const struct place_map *map = route_map(entry->courier->options.route);
    size_t count = 0, all = entry->row.recipients_count;
    struct courier_deliveries *deliveries = arena_alloc(&entry->arena, sizeof(*deliveries));
    struct place *places = arena_alloc(&entry->arena, all * sizeof(*places));
    if (deliveries == NULL || places == NULL) return err_make(ERR_NOMEM, "deliveries");
    for (size_t i = 0; i < all; i++) {
        const struct store_queue_recipient *recipient = &entry->row.recipients[i];
        if (!entry->recipients[i].is_due || !recipient->has_target) continue;
        uint16_t slot = slot_of_account(recipient->target.account);
        places[count++] = (struct place){ place_map_shard(map, slot), i };
    }
    qsort(places, count, sizeof(*places), place_compare);
    deliveries->targets = arena_alloc(&entry->arena, count * sizeof(*deliveries->targets));
    deliveries->indexes = arena_alloc(&entry->arena, count * sizeof(*deliveries->indexes));
    deliveries->all = arena_alloc(&entry->arena, count * sizeof(*deliveries->all));
    bool is_short = deliveries->targets == NULL || deliveries->indexes == NULL ||
                    deliveries->all == NULL;
    if (is_short) return err_make(ERR_NOMEM, "deliveries");
    for (size_t i = 0; i < count; i++) {
        deliveries->indexes[i] = places[i].index;
        deliveries->targets[i] = entry->row.recipients[places[i].index].target;
    }
    entry->deliveries = deliveries;
    deliveries_cut(entry, places, count);
    return err_ok();
}

void courier_step_local(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    if (entry->stored == NULL || !courier_entry_waits(entry, true)) {
        flow_next(flow, err_ok());
        return;
    }
    struct err err = deliveries_make(entry);
    if (err.code != ERR_OK) {
        flow_next(flow, err);
        return;
    }
    deliveries_go(entry);
}

void courier_local_cancel(struct courier_entry *entry)
{
    struct courier_deliveries *deliveries = entry->deliveries;
    if (deliveries == NULL) return;
    for (size_t i = 0; i < deliveries->next; i++) {
        struct delivery *delivery = &deliveries->all[i];
        if (delivery->call != NULL) route_call_cancel(delivery->call);
    }
}
