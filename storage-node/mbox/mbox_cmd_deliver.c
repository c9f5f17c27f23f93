/* Deliver: one mail for several mailboxes of the shard (ARCHITECTURE section 2). Each target stands
 * or falls by itself, with a status and an operation of its own, so that a fan-out may be cut and
 * repeated anywhere. */
#include "mail_flags.h"
#include "mbox_cmd_private.h"
#include "mbox_transaction_private.h"
#include "slot.h"
#include "store_msg.h"

/* What is wrong with one target and not with the node or the request. */
static bool is_of_target(enum err_code code)
{
    return code == ERR_QUOTA || code == ERR_NOT_FOUND || code == ERR_TOO_BIG ||
           code == ERR_SYNTAX || code == ERR_DENIED || code == ERR_MOVED || code == ERR_CONFLICT;
}

static struct err find_or_make(struct mbox_work *work, struct mbox_account *account,
                               struct span name, struct mbox_box **ret)
{
    struct mbox_box *box;
    struct mbox_make make = { .name = name };
    struct err err = mbox_work_box_named(work, account, name, &box);
    bool make_it = err.code == ERR_NOT_FOUND ||
                   (err.code == ERR_OK && (box->row.state & MBOX_MAILBOX_NO_SELECT));
    if (make_it) return mbox_make(work, account, &make, ret);
    if (err.code == ERR_OK) *ret = box;
    return err;
}

/* Keywords are put on as far as the mailbox has room: no reason to lose the mail. */
static struct err carry_keywords(struct mbox_work *work, struct mbox_box *box,
                                 const struct store_deliver_target *target, uint64_t *flags)
{
    for (size_t i = 0; i < target->keywords_count; i++) {
        uint64_t bits;
        struct err err = mbox_keywords(work, box, (struct mbox_words){ &target->keywords[i], 1 },
                                       true, &bits, NULL);
        if (err.code == ERR_TOO_BIG) continue;
        TRY(err);
        *flags |= bits;
    }
    return err_ok();
}

static struct err deliver(struct mbox_work *work, const struct store_deliver_request *request,
                          struct body *body, const struct store_deliver_target *target,
                          struct store_deliver_result *result)
{
    struct mbox_account *account;
    struct mbox_box *box;
    struct mbox_message message = {
        .size = request->size,
        .flags = target->flags & MAIL_FLAGS_SETTABLE,
        .internaldate_ms = request->internaldate_ms,
        .savedate_ms = work->context->time_ms,
        .stamp = request->scan_stamp,
    };
    if (message.internaldate_ms == 0) message.internaldate_ms = work->context->time_ms;
    TRY(mbox_work_account(work, target->tenant, target->account, &account));
    if (!request->ignore_quota) TRY(mbox_quota_check(work, account, request->size, 1));
    TRY(mbox_name_check(target->mailbox));
    TRY(find_or_make(work, account, target->mailbox, &box));
    TRY(carry_keywords(work, box, target, &message.flags));
    TRY(mbox_email_add(work, account, request->facts, body, &message));
    TRY(mbox_message_add(work, box, &message, &result->uid));
    result->uidvalidity = box->row.uidvalidity;

    struct mbox_operation head = { .method = STORE_METHOD_DELIVER };
    uint16_t slot = account->owner.slot;
    return request->is_queued
               ? mbox_operation_keep_late(work, slot, target->operation_id, &head,
                                          &store_deliver_result_type, result)
               : mbox_operation_keep(work, slot, target->operation_id, &head,
                                     &store_deliver_result_type, result);
}

static struct err deliver_once(struct mbox_work *work, const struct store_deliver_request *request,
                               struct body *body, const struct store_deliver_target *target,
                               struct store_deliver_result *result)
{
    struct mbox_done done;
    TRY(mbox_operation_find_late(work, slot_of_account(target->account), target->operation_id,
                                 STORE_METHOD_DELIVER, &store_deliver_result_type, &done));
    if (done.found) {
        *result = *(const struct store_deliver_result *)done.answer;
        result->duplicate = true;
        return err_ok();
    }
    return deliver(work, request, body, target, result);
}

static struct err check(const struct store_deliver_request *request)
{
    if (request->targets_count == 0) return err_make(ERR_SYNTAX, "no targets");
    if (request->targets_count > MBOX_TARGETS_MAX) return err_make(ERR_TOO_BIG, "targets");
    for (size_t i = 1; i < request->targets_count; i++)
        for (size_t j = 0; j < i; j++)
            if (span_eq(request->targets[i].operation_id, request->targets[j].operation_id))
                return err_make(ERR_SYNTAX, "two targets with one operation id");
    return mbox_stamp_check(request->scan_stamp);
}

static struct err deliver_all(struct mbox_work *work, const struct store_deliver_request *request,
                              struct body *body, struct mbox_transaction *transaction,
                              struct store_deliver_result *results)
{
    bool all = true;
    for (size_t i = 0; i < request->targets_count; i++) {
        if (mbox_work_is_full(work)) TRY(mbox_work_end_part(work));
        struct err err = deliver_once(work, request, body, &request->targets[i], &results[i]);
        if (work->batch.failed) return err_make(ERR_TOO_BIG, "batch");
        if (err.code != ERR_OK && !is_of_target(err.code)) return err;
        if (err.code != ERR_OK) results[i] = (struct store_deliver_result){ .status = err.code };
        else TRY(mbox_transaction_keep(work, transaction));
        all = all && results[i].duplicate;
    }
    work->result->duplicate = all;
    return err_ok();
}

struct err mbox_cmd_deliver(struct mbox_work *work, const struct store_deliver_request *request,
                            struct body *body)
{
    struct mbox_transaction transaction;
    TRY(check(request));
    struct store_deliver_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    struct store_deliver_result *results =
        mbox_work_alloc(work, request->targets_count * sizeof(*results));
    if (reply == NULL || results == NULL) return err_make(ERR_NOMEM, "results");
    work->result->reply = reply;
    TRY(mbox_transaction_begin(work, slot_of_account(request->targets[0].account),
                               request->has_transaction ? &request->transaction : NULL,
                               &transaction));
    if (transaction.is_repeat) {
        *reply = (struct store_deliver_reply){ .has_earlier = true,
                                               .earlier = transaction.earlier };
        return err_ok();
    }
    TRY(deliver_all(work, request, body, &transaction, results));
    *reply = (struct store_deliver_reply){ .results = results,
                                           .results_count = request->targets_count };
    return err_ok();
}
