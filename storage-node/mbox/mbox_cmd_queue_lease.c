/* QueueLease: gives entries that are due to a courier for a while. The first answer keeps only
 * which they were: a retry reads them again, they are still leased to the same owner. */
#include "mbox_queue_private.h"

struct lease {
    struct mbox_work *work;
    const struct store_queue_lease_request *request;
    struct store_queue_entry entries[MBOX_LEASE_ENTRIES_MAX];
    size_t count, bytes;
    bool more;
};

static size_t entry_bytes(const struct store_queue_entry *entry)
{
    size_t bytes = sizeof(*entry) + entry->facts.len;
    for (size_t i = 0; i < entry->recipients_count; i++)
        bytes += sizeof(entry->recipients[i]) + entry->recipients[i].answer.len;
    return bytes;
}

static struct err lease_one(struct lease *lease, uint32_t slot, struct span id)
{
    struct mbox_work *work = lease->work;
    struct mbox_queued queued;
    TRY(mbox_queue_get(work->context->rows, slot, id, work->arena, &queued));
    struct store_queue_entry *entry = &queued.entry;
    mbox_queue_due_delete(work, entry);
    entry->lease_until_ms = work->context->time_ms + lease->request->lease_ms;
    TRY(arena_copy(work->arena, lease->request->owner, &entry->lease_owner));
    entry->version++;
    mbox_queue_due_put(work, entry);
    TRY(mbox_queue_put(work, &queued));
    lease->entries[lease->count++] = *entry;
    lease->bytes += entry_bytes(entry);
    return err_ok();
}

static struct err lease_due(struct lease *lease)
{
    struct mbox_due_walk walk;
    struct err err = mbox_due_walk_open(lease->work->context, lease->work->context->time_ms, &walk);
    TRY(err);
    while ((err = mbox_due_walk_next(&walk)).code == ERR_OK) {
        if (lease->count == lease->request->limit || lease->bytes > MBOX_LEASE_BYTES ||
            mbox_work_is_full(lease->work)) {
            lease->more = true;
            break;
        }
        err = lease_one(lease, walk.slot, span_of(walk.id, sizeof(walk.id)));
        if (err.code == ERR_NOT_FOUND) err = err_make(ERR_CORRUPT, "QUEUE_DUE without QUEUE row");
        if (err.code != ERR_OK) break;
    }
    mbox_due_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

/* Only this one, due or not, unless another has it. */
static struct err lease_this(struct lease *lease)
{
    const struct store_queue_lease_request *request = lease->request;
    struct mbox_queued queued;
    if (request->id.len != MBOX_QUEUE_ID_BYTES) return err_make(ERR_SYNTAX, "queue id");
    TRY(mbox_work_slot(lease->work, request->slot));
    TRY(mbox_queue_get(lease->work->context->rows, request->slot, request->id,
                       lease->work->arena, &queued));
    if (queued.entry.lease_until_ms > lease->work->context->time_ms &&
        !span_eq(queued.entry.lease_owner, request->owner))
        return err_make(ERR_CONFLICT, "leased to another");
    return lease_one(lease, request->slot, request->id);
}

static struct err keep(struct lease *lease, uint16_t slot)
{
    struct store_queue_list_reply *reply = mbox_work_alloc(lease->work, sizeof(*reply));
    struct store_queue_list_reply ids = { .more = lease->more };
    size_t bytes = lease->count * sizeof(*reply->entries);
    struct store_queue_entry *all = mbox_work_alloc(lease->work, bytes + 1);
    ids.entries = mbox_work_alloc(lease->work, bytes + 1);
    if (reply == NULL || all == NULL || ids.entries == NULL) return err_make(ERR_NOMEM, "reply");
    for (size_t i = 0; i < lease->count; i++) {
        all[i] = lease->entries[i];
        ids.entries[i].id = all[i].id;
        ids.entries[i].slot = all[i].slot;
    }
    ids.entries_count = lease->count;
    *reply = (struct store_queue_list_reply){ all, lease->count, lease->more };
    lease->work->result->reply = reply;
    if (lease->count == 0) return err_ok(); /* nothing was leased: nothing to remember */
    struct mbox_operation head = { .method = STORE_METHOD_QUEUE_LEASE };
    return mbox_operation_keep(lease->work, slot, lease->request->operation_id, &head,
                               &store_queue_list_reply_type, &ids);
}

static struct err answer_again(struct lease *lease, const struct mbox_done *done)
{
    struct mbox_work *work = lease->work;
    const struct store_queue_list_reply *ids = done->answer;
    struct store_queue_list_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    struct store_queue_entry *all =
        mbox_work_alloc(work, ids->entries_count * sizeof(*all) + 1);
    if (reply == NULL || all == NULL) return err_make(ERR_NOMEM, "reply");
    size_t count = 0;
    for (size_t i = 0; i < ids->entries_count; i++) {
        struct mbox_queued queued;
        struct err err = mbox_queue_get(work->context->rows, ids->entries[i].slot,
                                        ids->entries[i].id, work->arena, &queued);
        if (err.code == ERR_NOT_FOUND) continue; /* done meanwhile */
        TRY(err);
        if (span_eq(queued.entry.lease_owner, lease->request->owner))
            all[count++] = queued.entry;
    }
    *reply = (struct store_queue_list_reply){ all, count, ids->more };
    work->result->reply = reply;
    work->result->duplicate = true;
    return err_ok();
}

struct err mbox_cmd_queue_lease(struct mbox_work *work,
                                const struct store_queue_lease_request *request,
                                struct body *body)
{
    struct mbox_done done;
    struct lease *lease = mbox_work_alloc(work, sizeof(*lease));
    bool one = request->id.len != 0;
    uint16_t slot = (uint16_t)(one ? request->slot : work->context->slot_first);
    (void)body;
    if (lease == NULL) return err_make(ERR_NOMEM, "lease");
    if (request->owner.len == 0 || request->owner.len > MBOX_QUEUE_OWNER_MAX_BYTES ||
        request->lease_ms == 0 || request->lease_ms > MBOX_LEASE_MS_MAX ||
        (one ? request->slot >= KV_SLOTS
             : request->limit == 0 || request->limit > MBOX_LEASE_ENTRIES_MAX))
        return err_make(ERR_SYNTAX, "bounds of a lease");
    lease->work = work;
    lease->request = request;
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_QUEUE_LEASE,
                            &store_queue_list_reply_type, &done));
    if (done.found) return answer_again(lease, &done);
    if (one) TRY(lease_this(lease));
    else TRY(lease_due(lease));
    return keep(lease, slot);
}
