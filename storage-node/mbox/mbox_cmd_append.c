#include "mail_flags.h"
#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

struct err mbox_cmd_append(struct mbox_work *work, const struct store_append_request *request,
                           struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    struct mbox_box *box;
    uint16_t slot = slot_of_account(request->account);
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_APPEND,
                            &store_append_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_stamp_check(request->scan_stamp));
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_work_box_named(work, account, request->mailbox, &box));
    if (box->row.state & MBOX_MAILBOX_NO_SELECT) return err_make(ERR_DENIED, "mailbox");
    TRY(mbox_quota_check(work, account, request->size, 1));

    struct store_append_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    uint64_t words;
    TRY(mbox_keywords(work, box, (struct mbox_words){ request->keywords, request->keywords_count },
                      true, &words, NULL));
    struct mbox_message message = {
        .size = request->size,
        .flags = (request->flags & MAIL_FLAGS_SETTABLE) | words,
        .internaldate_ms = request->internaldate_ms,
        .savedate_ms = work->context->time_ms,
        .stamp = request->scan_stamp,
    };
    if (message.internaldate_ms == 0) message.internaldate_ms = work->context->time_ms;
    TRY(mbox_email_add(work, account, request->facts, body, &message));
    TRY(mbox_message_add(work, box, &message, &reply->uid));
    reply->uidvalidity = box->row.uidvalidity;
    reply->modseq = message.modseq;
    reply->mailbox = box->id;
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_APPEND,
                       &store_append_reply_type, reply);
}
