#include "mbox_account_private.h"
#include "slot.h"
#include "store_msg.h"

static struct err set(struct mbox_work *work, const struct store_account_set_request *request)
{
    const struct store_account *from = &request->account;
    struct mbox_account *account;
    struct store_account before;
    TRY(mbox_account_check(from));
    if (from->state == STORE_ACCOUNT_DELETED) return err_make(ERR_SYNTAX, "state of an account");
    TRY(mbox_work_account(work, from->tenant, from->account, &account));
    TRY(mbox_account_get(work->context->rows, &account->owner, work->arena, &before));
    if (before.version != request->if_version) return err_make(ERR_CONFLICT, "account");
    struct store_account_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    *reply = (struct store_account_reply){ .has_account = true, .account = *from,
                                           .has_usage = true };
    reply->account.version = before.version + 1;
    reply->account.created_ms = before.created_ms;
    account->counters.state = (uint8_t)from->state;
    account->counters.quota_bytes = from->quota_bytes;
    account->counters.quota_items = from->quota_items;
    TRY(mbox_work_note_plain(work, account, 0, MBOX_WHAT_ACCOUNT));
    mbox_account_usage(work->context, &account->counters, &reply->usage);
    TRY(mbox_account_put(work, &account->owner, &reply->account));
    return mbox_answer_copy(work, account->owner.slot, request->operation_id,
                            STORE_METHOD_ACCOUNT_SET, &store_account_reply_type, reply);
}

struct err mbox_cmd_account_set(struct mbox_work *work,
                                const struct store_account_set_request *request,
                                struct body *body)
{
    struct mbox_done done;
    (void)body;
    if (!request->has_account) return err_make(ERR_SYNTAX, "no account");
    TRY(mbox_operation_find(work, slot_of_account(request->account.account),
                            request->operation_id, STORE_METHOD_ACCOUNT_SET,
                            &store_account_reply_type, &done));
    if (!done.found) return set(work, request);
    mbox_answer_again(work, &done);
    return err_ok();
}
