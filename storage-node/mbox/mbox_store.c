#include "mail_flags.h"
#include "mbox_store_private.h"
#include "scan_stamp.h"

/* `more` would go beyond the limit, the account's own or else the one for all. */
static bool is_over(uint64_t own, uint64_t of_all, uint64_t used, uint64_t more)
{
    uint64_t limit = own != 0 ? own : of_all;
    return limit != 0 && (used >= limit || more > limit - used);
}

struct err mbox_quota_check(const struct mbox_work *work, const struct mbox_account *account,
                            uint64_t bytes, uint64_t items)
{
    const struct mbox_counters *c = &account->counters;
    const struct mbox_context *context = work->context;
    bool over = is_over(c->quota_bytes, context->quota_bytes, c->used_bytes, bytes) ||
                is_over(c->quota_items, context->quota_items, c->used_items, items);
    return over ? err_make(ERR_QUOTA, "quota") : err_ok();
}

struct err mbox_stamp_check(struct span stamp)
{
    struct scan_stamp read;
    struct err err = scan_stamp_read(stamp, &read);
    if (err.code == ERR_UNSUPPORTED) return err;
    if (err.code != ERR_OK || !scan_stamp_lets_in(&read))
        return err_make(ERR_DENIED, "mail without a valid scan stamp");
    return err_ok();
}

static void message_key(const struct mbox_box *box, uint32_t uid, struct kv_key *key)
{
    kv_key_begin(key, &box->account->owner, KV_MESSAGE);
    kv_key_u32(key, box->id);
    kv_key_u32(key, uid);
}

struct err mbox_message_add(struct mbox_work *work, struct mbox_box *box,
                            struct mbox_message *message, uint32_t *uid)
{
    struct mbox_mailbox *row = &box->row;
    struct mbox_counters *counters = &box->account->counters;
    struct kv_key key;
    if (row->uidnext == UINT32_MAX) return err_make(ERR_TOO_BIG, "UIDs of the mailbox");
    TRY(mbox_work_note(work, box, MBOX_WHAT_ADDED, row->uidnext));
    message->modseq = row->highestmodseq;
    *uid = row->uidnext++;
    message_key(box, *uid, &key);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), mbox_message_bytes(message));
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_message_write(message, to);

    row->messages++;
    row->recent++;
    row->size_bytes += message->size;
    if (message->flags & MAIL_FLAG_DELETED) row->deleted++;
    if (!(message->flags & MAIL_FLAG_SEEN) && row->unseen++ == 0) {
        row->unseen_uid = *uid;
        row->unseen_seq = row->messages;
    }
    counters->used_bytes += message->size;
    counters->used_items++;
    return err_ok();
}

/* Takes off what is there at most: a counter that is wrong on disk must not wrap. */
static uint64_t less(uint64_t from, uint64_t amount) { return from > amount ? from - amount : 0; }
static uint32_t less_u32(uint32_t from, bool one) { return from > 0 && one ? from - 1 : from; }

struct err mbox_message_remove(struct mbox_work *work, struct mbox_box *box, uint32_t uid,
                               const struct mbox_message *message)
{
    struct mbox_mailbox *row = &box->row;
    struct mbox_counters *counters = &box->account->counters;
    struct kv_key key;
    TRY(mbox_work_note(work, box, MBOX_WHAT_EXPUNGED, uid));
    message_key(box, uid, &key);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    row->messages = less_u32(row->messages, true);
    row->recent = less_u32(row->recent, uid >= row->recent_from);
    row->unseen = less_u32(row->unseen, !(message->flags & MAIL_FLAG_SEEN));
    row->deleted = less_u32(row->deleted, (message->flags & MAIL_FLAG_DELETED) != 0);
    if (uid < row->unseen_uid && row->unseen_seq > 1) row->unseen_seq--;
    row->size_bytes = less(row->size_bytes, message->size);
    counters->used_bytes = less(counters->used_bytes, message->size);
    counters->used_items = less(counters->used_items, 1);
    return err_ok();
}

void mbox_flags_count(struct mbox_box *box, uint32_t uid, uint64_t before, uint64_t after)
{
    struct mbox_mailbox *row = &box->row;
    uint64_t changed = before ^ after;
    if (changed & MAIL_FLAG_DELETED) {
        if (after & MAIL_FLAG_DELETED) row->deleted++;
        else row->deleted = less_u32(row->deleted, true);
    }
    if (!(changed & MAIL_FLAG_SEEN)) return;
    if (after & MAIL_FLAG_SEEN) {
        row->unseen = less_u32(row->unseen, true);
        return;
    }
    /* Unseen again, below all that was known to be unseen: what is first must be looked for. */
    if (row->unseen++ == 0 || uid < row->unseen_uid) row->unseen_uid = row->unseen_seq = 0;
}
