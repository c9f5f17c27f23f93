/* AccountDelete: the rows of an account are one range of keys behind its ACCOUNT row, so all of it
 * goes in one small batch, however big it is. The ACCOUNT row stays as DELETED, without what was
 * in it: the number is not given out again. */
#include "mbox_account_private.h"
#include "slot.h"
#include "store_msg.h"

static void delete_rows(struct mbox_work *work, const struct kv_owner *owner)
{
    struct kv_key from, end;
    kv_key_begin(&from, owner, KV_ACCOUNT);
    kv_key_end(&from);
    kv_key_begin(&end, owner, KV_ACCOUNT);
    end.len--; /* of the account, whatever kind */
    kv_key_end(&end);
    kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
}

struct err mbox_cmd_account_delete(struct mbox_work *work,
                                   const struct store_account_delete_request *request,
                                   struct body *body)
{
    struct mbox_done done;
    struct store_account account;
    struct kv_owner owner = { slot_of_account(request->account), request->tenant,
                              request->account };
    (void)body;
    TRY(mbox_operation_find(work, owner.slot, request->operation_id, STORE_METHOD_ACCOUNT_DELETE,
                            &store_progress_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_account_get(work->context->rows, &owner, work->arena, &account));
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    work->result->reply = reply;
    if (account.state == STORE_ACCOUNT_DELETED) return err_ok();
    struct store_account left = {
        .tenant = account.tenant,
        .account = account.account,
        .kind = account.kind,
        .state = STORE_ACCOUNT_DELETED,
        .address = account.address,
        .created_ms = account.created_ms,
        .version = account.version + 1,
    };
    delete_rows(work, &owner);
    TRY(mbox_account_put(work, &owner, &left));
    struct mbox_touched touched = { owner.tenant, owner.account, 0, 0, true };
    TRY(mbox_work_touched(work, &touched));
    return mbox_answer(work, owner.slot, request->operation_id, STORE_METHOD_ACCOUNT_DELETE,
                       &store_progress_reply_type, reply);
}
