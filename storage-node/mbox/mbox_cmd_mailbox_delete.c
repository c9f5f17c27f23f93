/* MailboxDelete (RFC 3501 6.3.4). The name is free at once; of the messages a bounded number goes
 * with the command, the rest by mbox_sweep (mbox_maintain.h): until then the mailbox is DYING. */
#include "mbox_cmd_private.h"
#include "mbox_dying_private.h"
#include "slot.h"
#include "store_msg.h"

static struct err delete_box(struct mbox_work *work, struct mbox_box *box)
{
    bool children;
    struct mbox_account *account = box->account;
    struct span name = box->row.name;
    bool only_name = (box->row.state & MBOX_MAILBOX_NO_SELECT) != 0;
    TRY(mbox_name_has_children(work->context->rows, &account->owner, name, &children));
    if (only_name && children) return err_make(ERR_DENIED, "mailbox has children");
    TRY(mbox_work_note_plain(work, account, box->id, MBOX_WHAT_DELETED));
    mbox_name_delete(work, account, name);
    account->counters.mailboxes--;
    box->row.state |= MBOX_MAILBOX_DYING;
    if (children) TRY(mbox_make_no_select(work, account, name));
    return mbox_dying_step(work, box);
}

struct err mbox_cmd_mailbox_delete(struct mbox_work *work,
                                   const struct store_mailbox_delete_request *request,
                                   struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    struct mbox_box *box;
    uint16_t slot = slot_of_account(request->account);
    (void)body;
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_MAILBOX_DELETE,
                            &store_progress_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    if (mbox_name_is_inbox(request->name)) return err_make(ERR_DENIED, "INBOX stays");
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_work_box_named(work, account, request->name, &box));
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    TRY(delete_box(work, box));
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_MAILBOX_DELETE,
                       &store_progress_reply_type, reply);
}
