/* Expunge: EXPUNGE (RFC 3501 6.4.3), UID EXPUNGE (RFC 4315 2.1). */
#include "mail_flags.h"
#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

struct expunge {
    struct mbox_work *work;
    const struct store_expunge_request *request;
    struct mbox_account *account;
    struct mbox_box *box;
    struct uid_set expunged;
    struct mbox_operation head;
    struct store_expunge_reply reply;
};

static struct err expunge_one(struct expunge *expunge, uint32_t uid,
                              const struct mbox_message *message)
{
    struct mbox_work *work = expunge->work;
    expunge->head.resume_uid = uid;
    if (!expunge->request->any_flags && !(message->flags & MAIL_FLAG_DELETED)) return err_ok();
    if (++work->messages > MBOX_COMMAND_MESSAGES_MAX) return err_make(ERR_TOO_BIG, "messages");
    TRY(mbox_email_change(work, expunge->account, message->email, false));
    TRY(mbox_message_remove(work, expunge->box, uid, message));
    expunge->reply.modseq = expunge->box->row.highestmodseq;
    return uid_set_add(&expunge->expunged, uid, uid);
}

static struct err keep(struct expunge *expunge, uint8_t state)
{
    expunge->head.state = state;
    TRY(arena_copy(expunge->work->arena, uid_set_bytes(&expunge->expunged),
                   &expunge->reply.expunged));
    return mbox_operation_keep(expunge->work, expunge->account->owner.slot,
                               expunge->request->operation_id, &expunge->head,
                               &store_expunge_reply_type, &expunge->reply);
}

static struct err expunge_all(struct expunge *expunge)
{
    struct mbox_walk walk;
    struct span uids = expunge->request->uids;
    struct err err = mbox_walk_open(expunge->work->context->rows, &expunge->account->owner,
                                    expunge->box->id, uids, uids.len == 0,
                                    expunge->head.resume_uid, &walk);
    TRY(err);
    while ((err = mbox_walk_next(&walk)).code == ERR_OK) {
        if (mbox_work_is_full(expunge->work)) {
            err = keep(expunge, MBOX_OPERATION_PARTIAL);
            if (err.code == ERR_OK) err = mbox_work_end_part(expunge->work);
            if (err.code != ERR_OK) break;
        }
        err = expunge_one(expunge, walk.uid, &walk.message);
        if (err.code != ERR_OK) break;
    }
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err run(struct expunge *expunge, const struct mbox_done *done)
{
    struct store_expunge_reply *reply = mbox_work_alloc(expunge->work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    if (done->partial) {
        const struct store_expunge_reply *before = done->answer;
        expunge->head.resume_uid = done->resume_uid;
        expunge->reply.modseq = before->modseq;
        TRY(uid_set_read(&expunge->expunged, before->expunged));
    }
    TRY(expunge_all(expunge));
    expunge->work->result->reply = reply;
    if (expunge->reply.modseq == 0) return err_ok(); /* nothing to expunge, nothing to remember */
    TRY(keep(expunge, MBOX_OPERATION_DONE));
    *reply = expunge->reply;
    return err_ok();
}

struct err mbox_cmd_expunge(struct mbox_work *work, const struct store_expunge_request *request,
                            struct body *body)
{
    struct mbox_done done;
    struct expunge expunge = {
        .work = work, .request = request, .head = { .method = STORE_METHOD_EXPUNGE },
    };
    (void)body;
    TRY(mbox_uids_check(request->uids));
    TRY(mbox_operation_find(work, slot_of_account(request->account), request->operation_id,
                            STORE_METHOD_EXPUNGE, &store_expunge_reply_type, &done));
    if (done.found && !done.partial) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_work_account(work, request->tenant, request->account, &expunge.account));
    TRY(mbox_work_box(work, expunge.account, request->mailbox, &expunge.box));
    uid_set_init(&expunge.expunged, MBOX_COMMAND_RANGES_MAX);
    struct err err = run(&expunge, &done);
    uid_set_free(&expunge.expunged);
    return err;
}
