/* QueueReport: what became of a leased entry. Row and body go when nobody waits any more. */
#include "mbox_queue_private.h"

static void remove_entry(struct mbox_work *work, const struct mbox_queued *queued)
{
    struct kv_key key;
    mbox_queue_due_delete(work, &queued->entry);
    mbox_queue_key(KV_QUEUE, queued->entry.slot, queued->entry.id, &key);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    mbox_queue_key(KV_QUEUE_BODY, queued->entry.slot, queued->entry.id, &key);
    mbox_body_delete(work, &key, queued->chunks);
}

static struct err update(struct mbox_work *work, const struct mbox_queued *before,
                         struct mbox_queued *after)
{
    after->entry.version = before->entry.version + 1;
    after->entry.lease_until_ms = 0;
    after->entry.lease_owner = SPAN("");
    mbox_queue_due_delete(work, &before->entry);
    mbox_queue_due_put(work, &after->entry);
    return mbox_queue_put(work, after);
}

static struct err report(struct mbox_work *work,
                         const struct store_queue_report_request *request)
{
    const struct store_queue_entry *entry = &request->entry;
    struct mbox_queued before;
    TRY(mbox_queue_get(work->context->rows, entry->slot, entry->id, work->arena, &before));
    if (before.entry.version != entry->version) return err_make(ERR_CONFLICT, "queue entry");
    struct mbox_queued after = { before.chunks, before.stored_bytes, *entry };
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    bool waits = mbox_queue_set_due(&after.entry);
    /* The mail itself is as it was put. */
    after.entry.facts = before.entry.facts;
    after.entry.scan_stamp = before.entry.scan_stamp;
    after.entry.created_ms = before.entry.created_ms;
    after.entry.size = before.entry.size;
    if (request->remove || !waits)
        remove_entry(work, &before);
    else
        TRY(update(work, &before, &after));
    return mbox_answer(work, (uint16_t)entry->slot, request->operation_id,
                       STORE_METHOD_QUEUE_REPORT, &store_progress_reply_type, reply);
}

struct err mbox_cmd_queue_report(struct mbox_work *work,
                                 const struct store_queue_report_request *request,
                                 struct body *body)
{
    struct mbox_done done;
    (void)body;
    if (!request->has_entry) return err_make(ERR_SYNTAX, "no queue entry");
    if (request->remove) {
        if (request->entry.id.len != MBOX_QUEUE_ID_BYTES || request->entry.slot >= KV_SLOTS)
            return err_make(ERR_SYNTAX, "queue id");
    } else {
        TRY(mbox_queue_check(&request->entry));
    }
    TRY(mbox_operation_find(work, (uint16_t)request->entry.slot, request->operation_id,
                            STORE_METHOD_QUEUE_REPORT, &store_progress_reply_type, &done));
    if (!done.found) return report(work, request);
    mbox_answer_again(work, &done);
    return err_ok();
}
