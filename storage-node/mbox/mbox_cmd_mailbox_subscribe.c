#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

/* Writes or deletes the row; nothing when it is so already. */
static struct err subscribe(struct mbox_work *work, struct mbox_account *account,
                            const struct store_mailbox_subscribe_request *request)
{
    static const char row[1] = { MBOX_ROW_VERSION };
    struct kv_key key;
    struct kv_value value = { 0 };
    struct mbox_counters *counters = &account->counters;
    kv_key_begin(&key, &account->owner, KV_SUBSCRIPTION);
    kv_key_bytes(&key, request->name);
    struct err err = mbox_get(work->context->rows, &key, &value);
    bool there = err.code == ERR_OK;
    kv_value_free(&value);
    if (!there && err.code != ERR_NOT_FOUND) return err;
    if (there == request->subscribed) return err_ok();
    if (request->subscribed) {
        if (counters->subscriptions >= MBOX_SUBSCRIPTIONS_MAX)
            return err_make(ERR_TOO_BIG, "subscriptions");
        counters->subscriptions++;
        kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
    } else {
        counters->subscriptions -= counters->subscriptions > 0 ? 1 : 0;
        kv_batch_delete(&work->batch, kv_key_span(&key));
    }
    return mbox_work_note_plain(work, account, 0, MBOX_WHAT_SUBSCRIBED);
}

struct err mbox_cmd_mailbox_subscribe(struct mbox_work *work,
                                      const struct store_mailbox_subscribe_request *request,
                                      struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    uint16_t slot = slot_of_account(request->account);
    (void)body;
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_MAILBOX_SUBSCRIBE,
                            &store_progress_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_name_check(request->name));
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    TRY(subscribe(work, account, request));
    work->result->reply = reply;
    if (account->part_modseq == 0) return err_ok();
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_MAILBOX_SUBSCRIBE,
                       &store_progress_reply_type, reply);
}
