/* The last step: one commit, and 250 may be said. */
#include <string.h>

#include "body.h"
#include "check.h"
#include "clock.h"
#include "courier.h"
#include "hash.h"
#include "intake_private.h"
#include "loop.h"
#include "place_map.h"
#include "route.h"
#include "slot.h"
#include "smtp_params.h"

enum {
    INTAKE_DIRECT_MAX_BYTES = 8 * 1024 * 1024, /* of one commit; larger goes by the queue */
    INTAKE_DIRECT_MAX_TARGETS = 256,
    INTAKE_LEASE_MS = 10 * 1000, /* a new entry is this frontend's to work off, first */
};

/* ---- ids */

/* The operation id of one delivery: the time of intake->id, so that the store looks into the same
 * bucket again, and 12 bytes of hash(intake->id, who). */
static struct err intake_operation(struct intake *intake, uint64_t who, struct span *ret)
{
    uint64_t key[2];
    memcpy(key, intake->id, sizeof(key));
    uint64_t low = hash_sip(key, span_of(&who, sizeof(who)));
    key[0] ^= 1;
    uint64_t high = hash_sip(key, span_of(&who, sizeof(who)));
    uint8_t *id = arena_alloc(&intake->arena, OPERATION_ID_BYTES);
    if (id == NULL) return err_make(ERR_NOMEM, "operation id");
    memcpy(id, intake->id, 4);
    memcpy(id + 4, &low, 8);
    memcpy(id + 12, &high, 4);
    *ret = span_of(id, OPERATION_ID_BYTES);
    return err_ok();
}

static struct err intake_operations(struct intake *intake)
{
    for (size_t i = 0; i < intake->ends_count; i++) {
        struct intake_end *end = &intake->ends[i];
        if (end->outside.len > 0 && !end->is_by) continue;
        TRY(intake_operation(intake, end->target.account ^ ((uint64_t)end->target.tenant << 40),
                             &end->target.operation_id));
    }
    return err_ok();
}

/* What the store knows a repeat by. Reports of our own are repeated by whoever makes them. */
static struct err intake_transaction(struct intake *intake)
{
    const struct intake_services *services = intake->services;
    const struct span parts[] = { span_of(intake->key, sizeof(intake->key)),
                                  span_of(intake->work.digest, sizeof(intake->work.digest)) };
    TRY(digest_sha256_parts(parts, 2, intake->key));
    if (intake->message.ours || services->repeat_ms == 0) return err_ok();
    intake->transaction = (struct store_transaction){
        .id = span_of(intake->id, sizeof(intake->id)),
        .key = span_of(intake->key, sizeof(intake->key)),
        .intake = intake_transactions_id(services->transactions),
        .number = intake_transactions_begin(services->transactions),
        .keep_ms = services->repeat_ms,
    };
    return err_ok();
}

/* The shard that all recipients lie in. False: there are several, or some are outside. */
static bool intake_one_shard(const struct intake *intake, uint16_t *slot)
{
    const struct place_map *map = route_map(intake->services->route);
    unsigned shard = 0;
    if (intake->local_count != intake->ends_count || intake->ends_count == 0) return false;
    if (intake->ends_count > INTAKE_DIRECT_MAX_TARGETS) return false;
    uint64_t each = body_size(intake->work.stored) + intake->work.facts_len + 512;
    if (each * intake->ends_count > INTAKE_DIRECT_MAX_BYTES) return intake->ends_count == 1;
    for (size_t i = 0; i < intake->ends_count; i++) {
        uint16_t of = slot_of_account(intake->ends[i].target.account);
        unsigned now = place_map_shard(map, of);
        if (i == 0) {
            shard = now;
            *slot = of;
        } else if (now != shard) {
            return false;
        }
    }
    return true;
}

static void on_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct intake *intake = holder;
    (void)call;
    if (info.len > 0) {
        intake->why_len = info.len < sizeof(intake->why) ? info.len : sizeof(intake->why);
        memcpy(intake->why, info.ptr, intake->why_len);
    }
    intake->call = NULL;
    if (err.code == ERR_OK && intake->again.is_noted) intake_again_find_out(intake);
    else flow_next(&intake->flow, err.code != ERR_OK ? err : intake->result);
}

static struct err intake_call(struct intake *intake, unsigned method, const void *request,
                              uint16_t slot, const struct route_call_user *user)
{
    struct route_call_options options = { .slot = slot,
                                          .deadline_ms = intake->services->store_deadline_ms,
                                          .body = intake->work.stored,
                                          .trace_id = intake->message.trace_id };
    return route_call_start(intake->services->route, store_method_find(method), request, &options,
                            user, intake, &intake->call);
}

/* ---- all in one shard */

static void on_deliver(void *holder, struct route_call *call, const void *message)
{
    struct intake *intake = holder;
    const struct store_deliver_reply *reply = message;
    (void)call;
    if (reply->has_earlier) {
        intake_again_note(intake, &reply->earlier);
        return;
    }
    /* With one recipient its own answer counts; of several, one that took it is enough: the others
     * are gone since RCPT, and a message is not answered twice. */
    struct err worst = err_ok();
    bool taken = false;
    for (size_t i = 0; i < reply->results_count; i++) {
        enum err_code code = err_code_of(reply->results[i].status);
        if (code == ERR_OK) taken = true;
        else worst = err_make(code, "delivery");
    }
    if (!taken) intake->result = worst;
}

static struct err intake_deliver(struct intake *intake, uint16_t slot)
{
    static const struct route_call_user user = { NULL, on_deliver, on_done };
    size_t count = intake->ends_count;
    struct store_deliver_target *targets = arena_alloc(&intake->arena, count * sizeof(*targets));
    if (targets == NULL) return err_make(ERR_NOMEM, "deliver");
    for (size_t i = 0; i < count; i++) targets[i] = intake->ends[i].target;
    intake->deliver = (struct store_deliver_request){
        .targets = targets,
        .targets_count = count,
        .facts = span_of(intake->work.facts, intake->work.facts_len),
        .size = (uint32_t)intake->work.whole_len,
        .internaldate_ms = intake->received_ms,
        .scan_stamp = span_of(intake->stamp, intake->stamp_len),
        .sender = intake->message.sender,
        /* One answer for several: as with a fan-out, what RCPT promised is kept. */
        .ignore_quota = count > 1,
        .has_transaction = intake->transaction.number != 0,
        .transaction = intake->transaction,
    };
    return intake_call(intake, STORE_METHOD_DELIVER, &intake->deliver, slot, &user);
}

/* ---- by the queue */

static void on_put(void *holder, struct route_call *call, const void *message)
{
    struct intake *intake = holder;
    const struct store_queue_reply *reply = message;
    (void)call;
    if (reply->has_earlier) intake_again_note(intake, &reply->earlier);
    /* The entry of a repeat is worked on since then, or was: it is not ours to begin with. */
    if (!reply->has_entry || intake->is_repeat || intake->services->courier == NULL) return;
    struct store_queue_entry entry = intake->put.entry;
    entry.version = reply->entry.version;
    entry.due_ms = reply->entry.due_ms;
    entry.lease_owner = reply->entry.lease_owner;
    entry.lease_until_ms = reply->entry.lease_until_ms;
    courier_new_entry(intake->services->courier, &entry, intake->work.stored);
}

/* The sender's wishes for reports end where an account forwards. */
static void intake_queue_recipient(const struct intake *intake, const struct intake_end *end,
                                   struct store_queue_recipient *to)
{
    *to = (struct store_queue_recipient){ .address = end->outside, .due_ms = intake->received_ms };
    if (end->is_by) {
        if (intake->message.sender.len > 0) to->sender = end->by;
        to->has_kept = !end->is_kept;
        if (to->has_kept) to->kept = end->target;
        else to->dsn_notify = SMTP_NOTIFY_NEVER;
        return;
    }
    to->dsn_orcpt = end->orcpt;
    to->dsn_notify = end->notify;
    if (end->outside.len > 0) return;
    to->has_target = true;
    to->target = end->target;
}

static struct err intake_queue(struct intake *intake)
{
    static const struct route_call_user user = { NULL, on_put, on_done };
    const struct intake_message *message = &intake->message;
    size_t count = intake->ends_count;
    struct store_queue_recipient *to = arena_alloc(&intake->arena, (count + 1) * sizeof(*to));
    if (to == NULL) return err_make(ERR_NOMEM, "queue");
    for (size_t i = 0; i < count; i++) {
        intake_queue_recipient(intake, &intake->ends[i], &to[i]);
    }
    struct span id = span_of(intake->id, sizeof(intake->id));
    uint16_t slot = message->account != 0
                        ? slot_of_account(message->account)
                        : slot_of_name(span_of(intake->key, sizeof(intake->key)));
    intake->put = (struct store_queue_put_request){
        .operation_id = id, .has_entry = true,
        .has_transaction = intake->transaction.number != 0, .transaction = intake->transaction,
    };
    intake->put.entry = (struct store_queue_entry){
        .id = id, .slot = slot, .tenant = message->tenant, .sender = message->sender,
        .kind = intake->local_count > 0 ? STORE_QUEUE_FANOUT : STORE_QUEUE_REMOTE,
        .recipients = to, .recipients_count = count,
        .created_ms = intake->received_ms, .due_ms = intake->received_ms,
        .size = (uint32_t)intake->work.whole_len,
        .facts = span_of(intake->work.facts, intake->work.facts_len),
        .internaldate_ms = intake->received_ms,
        .scan_stamp = span_of(intake->stamp, intake->stamp_len),
        .dsn_envid = message->dsn_envid, .dsn_ret_full = message->dsn_ret_full,
        .smtputf8 = message->smtputf8, .body_8bit = message->body_8bit,
        .account = message->account, .trace_id = span_of(message->trace_id, 16),
    };
    if (intake->services->courier != NULL) {
        intake->put.entry.lease_owner = courier_owner(intake->services->courier);
        intake->put.entry.lease_until_ms = intake->received_ms + INTAKE_LEASE_MS;
    }
    return intake_call(intake, STORE_METHOD_QUEUE_PUT, &intake->put, slot, &user);
}

void intake_store_go(struct intake *intake)
{
    uint16_t slot = 0;
    intake->result = err_ok();
    struct err err = intake_operations(intake);
    if (err.code == ERR_OK) {
        err = intake_one_shard(intake, &slot) ? intake_deliver(intake, slot) : intake_queue(intake);
    }
    if (err.code != ERR_OK) flow_next(&intake->flow, err);
}

void intake_step_store(struct flow *flow)
{
    struct intake *intake = (struct intake *)flow;
    struct err err = err_ok();
    if (intake->ends_count == 0) err = err_make(ERR_QUOTA, "every recipient is full");
    if (err.code == ERR_OK) err = intake_transaction(intake);
    if (err.code == ERR_OK) intake_store_go(intake);
    else flow_next(flow, err);
}
