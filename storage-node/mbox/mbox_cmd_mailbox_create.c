#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

struct err mbox_cmd_mailbox_create(struct mbox_work *work,
                                   const struct store_mailbox_create_request *request,
                                   struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    struct mbox_box *box;
    uint16_t slot = slot_of_account(request->account);
    struct mbox_make make = { request->name, request->kind, request->special_use };
    (void)body;
    if (request->kind > STORE_KIND_NOTES || request->special_use > STORE_USE_IMPORTANT)
        return err_make(ERR_SYNTAX, "kind or use of a mailbox");
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_MAILBOX_CREATE,
                            &store_mailbox_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_make(work, account, &make, &box));
    struct store_mailbox_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    reply->has_mailbox = true;
    TRY(mbox_reply_mailbox(work->arena, request->account, box->id, &box->row, &reply->mailbox));
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_MAILBOX_CREATE,
                       &store_mailbox_reply_type, reply);
}
