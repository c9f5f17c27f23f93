/* AppendMany: several messages or none of them (RFC 3502). What makes them there is one batch;
 * bodies that have no room in it go ahead, and nobody owns them until then. */
#include "body.h"
#include "mail_flags.h"
#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

enum { MESSAGES_MAX = 1000, ROWS_BYTES = 512 }; /* of one message beside its facts, about */

/* What the batch will hold at least, and what the quota is asked for. */
static struct err check(const struct store_append_many_request *request, struct body *body,
                        size_t *rows_bytes, uint64_t *size)
{
    uint64_t stored = 0, have = body == NULL ? 0 : body_size(body);
    *rows_bytes = 0;
    *size = 0;
    if (request->messages_count == 0) return err_make(ERR_SYNTAX, "no messages");
    if (request->messages_count > MESSAGES_MAX) return err_make(ERR_TOO_BIG, "messages");
    for (size_t i = 0; i < request->messages_count; i++) {
        const struct store_appended_message *message = &request->messages[i];
        TRY(mbox_stamp_check(message->scan_stamp));
        if (message->stored_bytes > have - stored) return err_make(ERR_SYNTAX, "stored bytes");
        stored += message->stored_bytes;
        *size += message->size;
        *rows_bytes += message->facts.len + ROWS_BYTES;
    }
    if (stored != have) return err_make(ERR_SYNTAX, "stored bytes");
    if (*rows_bytes > MBOX_PART_BYTES) return err_make(ERR_TOO_BIG, "messages at a time");
    return err_ok();
}

static struct err append_one(struct mbox_work *work, struct mbox_box *box,
                             const struct store_appended_message *appended,
                             struct mbox_slice slice, struct store_append_many_reply *reply)
{
    uint64_t words;
    uint32_t uid = 0;
    TRY(mbox_keywords(work, box,
                      (struct mbox_words){ appended->keywords, appended->keywords_count }, true,
                      &words, NULL));
    struct mbox_message message = {
        .size = appended->size,
        .flags = (appended->flags & MAIL_FLAGS_SETTABLE) | words,
        .internaldate_ms = appended->internaldate_ms,
        .savedate_ms = work->context->time_ms,
        .stamp = appended->scan_stamp,
    };
    if (message.internaldate_ms == 0) message.internaldate_ms = work->context->time_ms;
    TRY(mbox_email_add_slice(work, box->account, appended->facts, slice, &message));
    TRY(mbox_message_add(work, box, &message, &uid));
    if (reply->count == 0) reply->first_uid = uid;
    reply->count++;
    reply->modseq = message.modseq;
    return err_ok();
}

static struct err append_all(struct mbox_work *work, struct mbox_box *box,
                             const struct store_append_many_request *request, struct body *body,
                             struct store_append_many_reply *reply)
{
    struct mbox_slice slice = { .body = body };
    for (size_t i = 0; i < request->messages_count; i++) {
        const struct store_appended_message *message = &request->messages[i];
        slice.bytes = message->stored_bytes;
        work->later_bytes -= message->facts.len + ROWS_BYTES;
        TRY(append_one(work, box, message, slice, reply));
        slice.at += slice.bytes;
    }
    reply->uidvalidity = box->row.uidvalidity;
    reply->mailbox = box->id;
    return err_ok();
}

struct err mbox_cmd_append_many(struct mbox_work *work,
                                const struct store_append_many_request *request,
                                struct body *body)
{
    struct mbox_done done;
    struct mbox_account *account;
    struct mbox_box *box;
    uint16_t slot = slot_of_account(request->account);
    size_t rows_bytes;
    uint64_t size;
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_APPEND_MANY,
                            &store_append_many_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    TRY(check(request, body, &rows_bytes, &size));
    TRY(mbox_work_account(work, request->tenant, request->account, &account));
    TRY(mbox_work_box_named(work, account, request->mailbox, &box));
    if (box->row.state & MBOX_MAILBOX_NO_SELECT) return err_make(ERR_DENIED, "mailbox");
    TRY(mbox_quota_check(work, account, size, request->messages_count));
    struct store_append_many_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    work->later_bytes += rows_bytes;
    TRY(append_all(work, box, request, body, reply));
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_APPEND_MANY,
                       &store_append_many_reply_type, reply);
}
