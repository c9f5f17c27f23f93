/* A copy inside an account is a MESSAGE row and one reference more; facts and body are not touched.
 * A move leaves even the references as they are.
 *
 * A copy of more than some ten thousand messages is several log entries. Entries of one command
 * have nothing between them, so what a crash or a full disk leaves of it is a run of UIDs at the
 * end of the mailbox, which the mark names. */
#include "mbox_transfer_private.h"

void mbox_transfer_init(struct mbox_transfer *transfer)
{
    *transfer = (struct mbox_transfer){ 0 };
    uid_set_init(&transfer->from_uids, MBOX_COMMAND_RANGES_MAX);
    uid_set_init(&transfer->to_uids, MBOX_COMMAND_RANGES_MAX);
}

void mbox_transfer_free(struct mbox_transfer *transfer)
{
    uid_set_free(&transfer->from_uids);
    uid_set_free(&transfer->to_uids);
}

static struct err transfer_one(struct mbox_work *work, struct mbox_transfer *transfer,
                               uint32_t uid, const struct mbox_message *message)
{
    struct mbox_message copy = *message;
    struct mbox_account *account = transfer->to->account;
    uint32_t to_uid;
    if (++work->messages > MBOX_COMMAND_MESSAGES_MAX) return err_make(ERR_TOO_BIG, "messages");
    TRY(mbox_keywords_carry(work, transfer->from, transfer->to, message->flags, &copy.flags));
    copy.savedate_ms = work->context->time_ms; /* RFC 8514 3: set by COPY and MOVE */
    if (transfer->move) {
        TRY(mbox_message_remove(work, transfer->from, uid, message));
    } else {
        TRY(mbox_quota_check(work, account, message->size, 1));
        TRY(mbox_email_change(work, account, message->email, true));
    }
    TRY(mbox_message_add(work, transfer->to, &copy, &to_uid));
    transfer->modseq = copy.modseq;
    TRY(uid_set_add(&transfer->from_uids, uid, uid));
    TRY(uid_set_add(&transfer->to_uids, to_uid, to_uid));
    transfer->resume_uid = uid;
    return err_ok();
}

void mbox_copying_key(const struct kv_owner *owner, uint32_t mailbox, struct kv_key *key)
{
    struct kv_owner slot = { owner->slot, 0, 0 };
    kv_key_begin(key, &slot, KV_COPYING);
    kv_key_u32(key, owner->tenant);
    kv_key_u64(key, owner->account);
    kv_key_u32(key, mailbox);
}

/* The copy goes on behind this part. */
static void mark(struct mbox_work *work, struct mbox_transfer *transfer)
{
    const struct mbox_box *to = transfer->to;
    struct kv_key key;
    char row[MBOX_COPYING_BYTES];
    mbox_copying_key(&to->account->owner, to->id, &key);
    mbox_copying_write(transfer->to_uids.ranges[0].first, to->row.uidnext, row);
    kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
    transfer->is_marked = true;
}

static struct err end_part(struct mbox_work *work, struct mbox_transfer *transfer)
{
    if (transfer->move) TRY(transfer->keep(work, transfer, transfer->holder));
    else if (transfer->to_uids.count > 0) mark(work, transfer);
    return mbox_work_end_part(work);
}

struct err mbox_transfer_run(struct mbox_work *work, struct mbox_transfer *transfer)
{
    struct mbox_walk walk;
    struct err err = mbox_walk_open(work->context->rows, &transfer->from->account->owner,
                                    transfer->from->id, transfer->uids, transfer->all,
                                    transfer->resume_uid, &walk);
    TRY(err);
    while ((err = mbox_walk_next(&walk)).code == ERR_OK) {
        if (mbox_work_is_full(work)) {
            err = end_part(work, transfer);
            if (err.code != ERR_OK) break;
        }
        err = transfer_one(work, transfer, walk.uid, &walk.message);
        if (err.code != ERR_OK) break;
    }
    mbox_walk_close(&walk);
    if (err.code != ERR_NOT_FOUND) return err;
    if (transfer->is_marked) {
        struct kv_key key;
        mbox_copying_key(&transfer->to->account->owner, transfer->to->id, &key);
        kv_batch_delete(&work->batch, kv_key_span(&key));
    }
    return err_ok();
}
