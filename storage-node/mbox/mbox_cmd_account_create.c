#include "mbox_account_private.h"
#include "slot.h"
#include "store_msg.h"

enum { MAILBOXES_AT_FIRST_MAX = 100 };

static struct err subscribe(struct mbox_work *work, struct mbox_account *account, struct span name)
{
    static const char row[1] = { MBOX_ROW_VERSION };
    struct kv_key key;
    kv_key_begin(&key, &account->owner, KV_SUBSCRIPTION);
    kv_key_bytes(&key, name);
    kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
    account->counters.subscriptions++;
    return mbox_work_note_plain(work, account, 0, MBOX_WHAT_SUBSCRIBED);
}

/* INBOX, which has id 1 in every account, and the others. */
static struct err make_mailboxes(struct mbox_work *work, struct mbox_account *account,
                                 const struct store_account_create_request *request)
{
    struct mbox_box *box;
    struct mbox_make inbox = { .name = SPAN("INBOX") };
    TRY(mbox_make(work, account, &inbox, &box));
    for (size_t i = 0; i < request->mailboxes_count; i++) {
        const struct store_mailbox_make *make = &request->mailboxes[i];
        struct mbox_make one = { .name = make->name, .special_use = make->special_use };
        if (make->special_use > STORE_USE_IMPORTANT) return err_make(ERR_SYNTAX, "special use");
        if (!mbox_name_is_inbox(make->name)) TRY(mbox_make(work, account, &one, &box));
        if (make->subscribe) TRY(subscribe(work, account, make->name));
    }
    return err_ok();
}

/* A number is used once: the row of a deleted account is still there. */
static struct err begin(struct mbox_work *work, const struct store_account *from,
                        struct mbox_account **ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct kv_owner owner = { slot_of_account(from->account), from->tenant, from->account };
    kv_key_begin(&key, &owner, KV_ACCOUNT);
    struct err err = mbox_get(work->context->rows, &key, &value);
    kv_value_free(&value);
    if (err.code == ERR_OK) return err_make(ERR_EXISTS, "account");
    if (err.code != ERR_NOT_FOUND) return err;
    struct mbox_account *account = mbox_work_alloc(work, sizeof(*account));
    if (account == NULL) return err_make(ERR_NOMEM, "account");
    account->owner = owner;
    account->counters = (struct mbox_counters){
        .state = (uint8_t)from->state,
        .next_mailbox = 1,
        .quota_bytes = from->quota_bytes,
        .quota_items = from->quota_items,
        .next_email = 1,
        .lowest_modseq = 1,
    };
    account->base = account->counters;
    account->dirty = true;
    account->next = work->accounts;
    work->accounts = account;
    *ret = account;
    return err_ok();
}

static struct err create(struct mbox_work *work,
                         const struct store_account_create_request *request)
{
    struct mbox_account *account = NULL;
    struct store_account_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    if (!request->has_account) return err_make(ERR_SYNTAX, "no account");
    TRY(mbox_account_check(&request->account));
    if (request->account.state == STORE_ACCOUNT_DELETED)
        return err_make(ERR_SYNTAX, "state of an account");
    if (request->mailboxes_count > MAILBOXES_AT_FIRST_MAX)
        return err_make(ERR_TOO_BIG, "mailboxes");
    TRY(begin(work, &request->account, &account));
    TRY(make_mailboxes(work, account, request));
    TRY(mbox_work_note_plain(work, account, 0, MBOX_WHAT_ACCOUNT));
    *reply = (struct store_account_reply){ .has_account = true, .account = request->account,
                                           .has_usage = true };
    reply->account.version = 1;
    if (reply->account.created_ms == 0) reply->account.created_ms = work->context->time_ms;
    reply->usage.modseq = account->counters.modseq;
    TRY(mbox_account_put(work, &account->owner, &reply->account));
    return mbox_answer_copy(work, account->owner.slot, request->operation_id,
                            STORE_METHOD_ACCOUNT_CREATE, &store_account_reply_type, reply);
}

struct err mbox_cmd_account_create(struct mbox_work *work,
                                   const struct store_account_create_request *request,
                                   struct body *body)
{
    struct mbox_done done;
    (void)body;
    TRY(mbox_operation_find(work, slot_of_account(request->account.account),
                            request->operation_id, STORE_METHOD_ACCOUNT_CREATE,
                            &store_account_reply_type, &done));
    if (!done.found) return create(work, request);
    mbox_answer_again(work, &done);
    return err_ok();
}
