#include "mbox_dying_private.h"

void mbox_dying_key(const struct kv_owner *owner, uint32_t mailbox, struct kv_key *key)
{
    struct kv_owner slot = { owner->slot, 0, 0 };
    kv_key_begin(key, &slot, KV_DYING);
    kv_key_u32(key, owner->tenant);
    kv_key_u64(key, owner->account);
    kv_key_u32(key, mailbox);
}

/* One range for the rows of the messages up to `last`. */
static void delete_messages(struct mbox_work *work, const struct mbox_box *box, uint32_t last)
{
    struct kv_key from, end;
    kv_key_begin(&from, &box->account->owner, KV_MESSAGE);
    kv_key_u32(&from, box->id);
    kv_key_begin(&end, &box->account->owner, KV_MESSAGE);
    kv_key_u32(&end, box->id);
    kv_key_u32(&end, last);
    kv_key_end(&end);
    kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
}

static struct err count_out(struct mbox_work *work, struct mbox_box *box,
                            const struct mbox_message *message)
{
    struct mbox_counters *counters = &box->account->counters;
    uint64_t size = message->size;
    TRY(mbox_email_change(work, box->account, message->email, false));
    counters->used_bytes -= size < counters->used_bytes ? size : counters->used_bytes;
    counters->used_items -= counters->used_items > 0 ? 1 : 0;
    box->row.size_bytes -= size < box->row.size_bytes ? size : box->row.size_bytes;
    box->row.messages -= box->row.messages > 0 ? 1 : 0;
    return err_ok();
}

/* Goes on until the step or the part is full; `*ended` when no message is left. */
static struct err remove_some(struct mbox_work *work, struct mbox_box *box, bool *ended)
{
    struct mbox_walk walk;
    uint32_t last = 0;
    struct err err = mbox_walk_open(work->context->rows, &box->account->owner, box->id, SPAN(""),
                                    true, 0, &walk);
    TRY(err);
    for (unsigned count = 0; (err = mbox_walk_next(&walk)).code == ERR_OK; count++) {
        if (count == MBOX_DYING_STEP || mbox_work_is_full(work)) break;
        err = count_out(work, box, &walk.message);
        if (err.code != ERR_OK) break;
        last = walk.uid;
    }
    mbox_walk_close(&walk);
    if (last != 0) delete_messages(work, box, last);
    *ended = err.code == ERR_NOT_FOUND;
    return *ended ? err_ok() : err;
}

struct err mbox_dying_step(struct mbox_work *work, struct mbox_box *box)
{
    struct kv_key key, mark;
    bool ended;
    TRY(remove_some(work, box, &ended));
    box->account->dirty = true;
    mbox_dying_key(&box->account->owner, box->id, &mark);
    if (!ended) {
        char row[MBOX_MARK_BYTES];
        mbox_mark_write(work->context->time_ms, row);
        kv_batch_put(&work->batch, kv_key_span(&mark), span_of(row, sizeof(row)));
        box->dirty = true;
        return err_ok();
    }
    kv_batch_delete(&work->batch, kv_key_span(&mark));
    kv_key_begin(&key, &box->account->owner, KV_MAILBOX);
    kv_key_u32(&key, box->id);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    box->removed = true;
    return err_ok();
}
