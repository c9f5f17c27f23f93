/* MailboxRename (RFC 3501 6.3.5): what is below goes along; ids, UIDs and UIDVALIDITY stay. INBOX
 * is not renamed: its messages move to a new mailbox. */
#include "mbox_transfer_private.h"
#include "slot.h"
#include "store_msg.h"

struct rename {
    struct mbox_work *work;
    const struct store_mailbox_rename_request *request;
    struct mbox_account *account;
    uint16_t slot;
};

/* Gives the box the name `to` and what follows `from` in its own. */
static struct err rename_box(struct rename *rename, struct mbox_box *box)
{
    struct mbox_work *work = rename->work;
    struct span tail = span_skip(box->row.name, rename->request->from.len);
    struct span to = rename->request->to;
    if (to.len + tail.len > MBOX_NAME_MAX_BYTES) return err_make(ERR_TOO_BIG, "mailbox name");
    char *name = mbox_work_alloc(work, to.len + tail.len);
    if (name == NULL) return err_make(ERR_NOMEM, "mailbox name");
    memcpy(name, to.ptr, to.len);
    if (tail.len > 0) memcpy(name + to.len, tail.ptr, tail.len);
    mbox_name_delete(work, rename->account, box->row.name);
    box->row.name = span_of(name, to.len + tail.len);
    TRY(mbox_name_check(box->row.name));
    mbox_name_put(work, rename->account, box->row.name, box->id);
    box->row.highestmodseq = mbox_work_modseq(rename->account);
    box->dirty = true;
    return mbox_work_note_plain(work, rename->account, box->id, MBOX_WHAT_RENAMED);
}

/* Everything below `from`. */
static struct err rename_children(struct rename *rename, struct kv_iter *it,
                                  const struct kv_key *prefix)
{
    for (it->calls->seek(it, kv_key_span(prefix)); it->calls->valid(it); it->calls->next(it)) {
        struct span key = it->calls->key(it), name;
        struct mbox_box *box;
        if (!span_eq(span_head(key, prefix->len), kv_key_span(prefix))) break;
        name = span_skip(key, KV_KEY_HEAD_BYTES);
        TRY(mbox_work_box_named(rename->work, rename->account, name, &box));
        TRY(rename_box(rename, box));
    }
    return it->calls->status(it);
}

static struct err rename_tree(struct rename *rename, struct mbox_box *box)
{
    struct kv_key prefix;
    struct kv_iter *it;
    struct mbox_make make = { .name = rename->request->to };
    kv_key_begin(&prefix, &rename->account->owner, KV_MAILBOX_NAME);
    kv_key_bytes(&prefix, rename->request->from);
    kv_key_bytes(&prefix, SPAN("/"));
    TRY(mbox_make_parents(rename->work, rename->account, &make));
    TRY(kv_iter_within(rename->work->context->rows, kv_key_span(&prefix), &it));
    struct err err = rename_children(rename, it, &prefix);
    it->calls->free(it);
    TRY(err);
    return rename_box(rename, box);
}

static struct err make_reply(struct rename *rename, const struct mbox_box *box,
                             struct store_mailbox_reply **ret)
{
    struct store_mailbox_reply *reply = mbox_work_alloc(rename->work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    reply->has_mailbox = true;
    *ret = reply;
    return mbox_reply_mailbox(rename->work->arena, rename->request->account, box->id, &box->row,
                              &reply->mailbox);
}

static struct err keep_partial(struct mbox_work *work, struct mbox_transfer *transfer,
                               void *holder)
{
    struct rename *rename = holder;
    struct store_mailbox_reply *reply;
    struct mbox_operation head = {
        .state = MBOX_OPERATION_PARTIAL,
        .method = STORE_METHOD_MAILBOX_RENAME,
        .resume_uid = transfer->resume_uid,
    };
    TRY(make_reply(rename, transfer->to, &reply));
    return mbox_operation_keep(work, rename->slot, rename->request->operation_id, &head,
                               &store_mailbox_reply_type, reply);
}

static struct err move_inbox(struct rename *rename, struct mbox_box *inbox,
                             const struct mbox_done *done, struct mbox_box **ret)
{
    struct mbox_transfer transfer;
    struct mbox_make make = { .name = rename->request->to };
    if (done->partial)
        TRY(mbox_work_box_named(rename->work, rename->account, make.name, ret));
    else
        TRY(mbox_make(rename->work, rename->account, &make, ret));
    mbox_transfer_init(&transfer);
    transfer.from = inbox;
    transfer.to = *ret;
    transfer.all = transfer.move = true;
    transfer.resume_uid = done->resume_uid;
    transfer.keep = keep_partial;
    transfer.holder = rename;
    struct err err = mbox_transfer_run(rename->work, &transfer);
    mbox_transfer_free(&transfer);
    return err;
}

static struct err check(struct rename *rename)
{
    const struct store_mailbox_rename_request *request = rename->request;
    struct mbox_box *box;
    TRY(mbox_name_check(request->to));
    if (span_eq(request->from, request->to)) return err_make(ERR_EXISTS, "mailbox");
    if (mbox_name_is_below(request->to, request->from) && !mbox_name_is_inbox(request->from))
        return err_make(ERR_DENIED, "mailbox into itself");
    struct err err = mbox_work_box_named(rename->work, rename->account, request->to, &box);
    if (err.code == ERR_OK) return err_make(ERR_EXISTS, "mailbox");
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

struct err mbox_cmd_mailbox_rename(struct mbox_work *work,
                                   const struct store_mailbox_rename_request *request,
                                   struct body *body)
{
    struct mbox_done done;
    struct mbox_box *box;
    struct store_mailbox_reply *reply;
    struct rename rename = { work, request, NULL, slot_of_account(request->account) };
    (void)body;
    TRY(mbox_operation_find(work, rename.slot, request->operation_id,
                            STORE_METHOD_MAILBOX_RENAME, &store_mailbox_reply_type, &done));
    if (done.found && !done.partial) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_work_account(work, request->tenant, request->account, &rename.account));
    TRY(mbox_work_box_named(work, rename.account, request->from, &box));
    if (!done.partial) TRY(check(&rename));
    if (mbox_name_is_inbox(request->from))
        TRY(move_inbox(&rename, box, &done, &box));
    else
        TRY(rename_tree(&rename, box));
    TRY(make_reply(&rename, box, &reply));
    return mbox_answer(work, rename.slot, request->operation_id, STORE_METHOD_MAILBOX_RENAME,
                       &store_mailbox_reply_type, reply);
}
