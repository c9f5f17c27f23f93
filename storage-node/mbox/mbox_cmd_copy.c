/* Copy: COPY (RFC 3501 6.4.7), MOVE (RFC 6851), with the UIDs for COPYUID (RFC 4315). A COPY that
 * is cut off is undone (mbox_transfer_private.h), a MOVE is gone on with by its retry. */
#include "mbox_transfer_private.h"
#include "slot.h"
#include "store_msg.h"

struct copy {
    const struct store_copy_request *request;
    uint16_t slot;
};

static struct err keep(struct mbox_work *work, struct mbox_transfer *transfer, struct copy *copy,
                       uint8_t state, struct store_copy_reply *reply)
{
    struct mbox_operation head = {
        .state = state, .method = STORE_METHOD_COPY, .resume_uid = transfer->resume_uid,
    };
    reply->uidvalidity = transfer->to->row.uidvalidity;
    reply->modseq = transfer->modseq;
    TRY(arena_copy(work->arena, uid_set_bytes(&transfer->from_uids), &reply->from_uids));
    TRY(arena_copy(work->arena, uid_set_bytes(&transfer->to_uids), &reply->to_uids));
    return mbox_operation_keep(work, copy->slot, copy->request->operation_id, &head,
                               &store_copy_reply_type, reply);
}

static struct err keep_partial(struct mbox_work *work, struct mbox_transfer *transfer,
                               void *holder)
{
    struct store_copy_reply reply = { 0 };
    return keep(work, transfer, holder, MBOX_OPERATION_PARTIAL, &reply);
}

static struct err run(struct mbox_work *work, struct copy *copy, struct mbox_transfer *transfer,
                      const struct mbox_done *done)
{
    struct store_copy_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    if (done->partial) {
        const struct store_copy_reply *before = done->answer;
        transfer->resume_uid = done->resume_uid;
        transfer->modseq = before->modseq;
        TRY(uid_set_read(&transfer->from_uids, before->from_uids));
        TRY(uid_set_read(&transfer->to_uids, before->to_uids));
    }
    TRY(mbox_transfer_run(work, transfer));
    work->result->reply = reply;
    if (transfer->modseq == 0) { /* no such messages: nothing to remember */
        reply->uidvalidity = transfer->to->row.uidvalidity;
        return err_ok();
    }
    return keep(work, transfer, copy, MBOX_OPERATION_DONE, reply);
}

struct err mbox_cmd_copy(struct mbox_work *work, const struct store_copy_request *request,
                         struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    struct mbox_transfer transfer;
    struct copy copy = { request, slot_of_account(request->account) };
    (void)body;
    TRY(mbox_uids_check(request->uids));
    TRY(mbox_operation_find(work, copy.slot, request->operation_id, STORE_METHOD_COPY,
                            &store_copy_reply_type, &done));
    if (done.found && !done.partial) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    mbox_transfer_init(&transfer);
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_work_box(work, account, request->mailbox, &transfer.from));
    TRY(mbox_work_box_named(work, account, request->to, &transfer.to));
    if (transfer.to->row.state & MBOX_MAILBOX_NO_SELECT) return err_make(ERR_DENIED, "mailbox");
    transfer.uids = request->uids;
    transfer.move = request->move;
    transfer.keep = keep_partial;
    transfer.holder = &copy;
    struct err err = run(work, &copy, &transfer, &done);
    mbox_transfer_free(&transfer);
    return err;
}
