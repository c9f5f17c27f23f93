/* QueuePut: a new entry. Whoever puts it may take it at once, for a short time: so he works on it
 * without another commit, and others find it when he is gone. */
#include "body.h"
#include "mbox_queue_private.h"
#include "mbox_transaction_private.h"

/* The answer does not carry back what the caller has, but for its lease. */
static struct err make_reply(struct mbox_work *work, const struct store_queue_entry *entry,
                             struct store_queue_reply **ret)
{
    struct store_queue_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    reply->has_entry = true;
    reply->entry = (struct store_queue_entry){
        .id = entry->id,
        .slot = entry->slot,
        .kind = entry->kind,
        .due_ms = entry->due_ms,
        .version = entry->version,
        .created_ms = entry->created_ms,
        .lease_owner = entry->lease_owner,
        .lease_until_ms = entry->lease_until_ms,
    };
    *ret = reply;
    return err_ok();
}

/* The clock of who puts it may be far from ours: the lease ends soon all the same. */
static struct err bound_lease(const struct mbox_work *work, struct store_queue_entry *entry)
{
    uint64_t now = work->context->time_ms;
    if (entry->lease_owner.len > MBOX_QUEUE_OWNER_MAX_BYTES)
        return err_make(ERR_SYNTAX, "owner of a lease");
    if (entry->lease_owner.len == 0 || entry->lease_until_ms <= now) {
        entry->lease_owner = SPAN("");
        entry->lease_until_ms = 0;
    } else if (entry->lease_until_ms - now > MBOX_PUT_LEASE_MS_MAX) {
        entry->lease_until_ms = now + MBOX_PUT_LEASE_MS_MAX;
    }
    return err_ok();
}

static struct err check_new(struct mbox_work *work, const struct store_queue_entry *entry)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    TRY(mbox_stamp_check(entry->scan_stamp));
    mbox_queue_key(KV_QUEUE, entry->slot, entry->id, &key);
    struct err err = mbox_get(work->context->rows, &key, &value);
    kv_value_free(&value);
    if (err.code == ERR_OK) return err_make(ERR_EXISTS, "queue entry");
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err put(struct mbox_work *work, const struct store_queue_put_request *request,
                      struct body *body, struct mbox_transaction *transaction)
{
    struct mbox_queued queued = { .entry = request->entry };
    struct store_queue_entry *entry = &queued.entry;
    struct mbox_body_place place = { .account = NULL };
    struct store_queue_reply *reply = NULL;
    TRY(check_new(work, entry));
    entry->version = 1;
    TRY(bound_lease(work, entry));
    if (entry->created_ms == 0) entry->created_ms = work->context->time_ms;
    if (!mbox_queue_set_due(entry)) return err_make(ERR_SYNTAX, "queue entry for nobody");
    mbox_queue_key(KV_QUEUE_BODY, entry->slot, entry->id, &place.chunks);
    mbox_queue_key(KV_PENDING_QUEUE, entry->slot, entry->id, &place.pending);
    queued.stored_bytes = body == NULL ? 0 : body_size(body);
    TRY(mbox_body_write(work, &place, mbox_slice_of(body), &queued.chunks));
    TRY(mbox_queue_put(work, &queued));
    mbox_queue_due_put(work, entry);
    TRY(mbox_transaction_keep(work, transaction));
    TRY(make_reply(work, entry, &reply));
    return mbox_answer_copy(work, (uint16_t)entry->slot, request->operation_id,
                            STORE_METHOD_QUEUE_PUT, &store_queue_reply_type, reply);
}

/* The entry of an earlier transaction, that this one is now answered for. */
static struct err put_again(struct mbox_work *work, struct mbox_transaction *transaction,
                            const struct mbox_done *done)
{
    mbox_answer_again(work, done);
    return mbox_transaction_keep(work, transaction);
}

struct err mbox_cmd_queue_put(struct mbox_work *work,
                              const struct store_queue_put_request *request, struct body *body)
{
    struct mbox_done done;
    struct mbox_transaction transaction;
    if (!request->has_entry) return err_make(ERR_SYNTAX, "no queue entry");
    TRY(mbox_queue_check(&request->entry));
    uint16_t slot = (uint16_t)request->entry.slot;
    TRY(mbox_transaction_begin(work, slot, request->has_transaction ? &request->transaction : NULL,
                               &transaction));
    if (transaction.is_repeat) {
        struct store_queue_reply *reply = mbox_work_alloc(work, sizeof(*reply));
        if (reply == NULL) return err_make(ERR_NOMEM, "reply");
        *reply = (struct store_queue_reply){ .has_earlier = true, .earlier = transaction.earlier };
        work->result->reply = reply;
        return err_ok();
    }
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_QUEUE_PUT,
                            &store_queue_reply_type, &done));
    return done.found ? put_again(work, &transaction, &done)
                      : put(work, request, body, &transaction);
}
