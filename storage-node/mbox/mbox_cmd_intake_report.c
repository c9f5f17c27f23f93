/* IntakeReport: what an intake knows of its transactions, in the place of what it told before. It
 * needs no first answer: `turn` tells a report that comes twice or late. */
#include "mbox_cmd_private.h"
#include "mbox_transaction_private.h"
#include "slot.h"

static struct err check(const struct store_intake_report_request *request)
{
    if (request->intake.len != MBOX_INTAKE_ID_BYTES || request->turn == 0)
        return err_make(ERR_SYNTAX, "intake or turn");
    if (request->ended.len / 8 > MBOX_INTAKE_RANGES_MAX ||
        request->broken.len / 8 > MBOX_INTAKE_RANGES_MAX)
        return err_make(ERR_TOO_BIG, "numbers of transactions");
    TRY(mbox_uids_check(request->ended));
    return mbox_uids_check(request->broken);
}

/* Whether the row has heard this turn, or a later one. */
static struct err is_late(struct mbox_work *work, const struct kv_key *key, uint64_t turn,
                          bool *ret)
{
    struct kv_value value = { 0 };
    struct mbox_intake_row row;
    *ret = false;
    struct err err = mbox_get(work->context->rows, key, &value);
    if (err.code == ERR_NOT_FOUND) return err_ok();
    if (err.code == ERR_OK) err = mbox_intake_read(value.bytes, &row);
    if (err.code == ERR_OK) *ret = turn <= row.turn;
    kv_value_free(&value);
    return err;
}

struct err mbox_cmd_intake_report(struct mbox_work *work,
                                  const struct store_intake_report_request *request,
                                  struct body *body)
{
    struct kv_key key;
    bool late;
    (void)body;
    TRY(check(request));
    TRY(mbox_work_slot(work, slot_of_name(request->intake)));
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    work->result->reply = reply;
    mbox_intake_key(request->intake, &key);
    TRY(is_late(work, &key, request->turn, &late));
    if (late) return err_ok();
    struct mbox_intake_row row = { work->context->time_ms, request->turn, request->ended,
                                   request->broken };
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key),
                                 MBOX_INTAKE_HEAD_BYTES + row.ended.len + row.broken.len);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_intake_head(&row, to);
    to += MBOX_INTAKE_HEAD_BYTES;
    if (row.ended.len > 0) memcpy(to, row.ended.ptr, row.ended.len);
    if (row.broken.len > 0) memcpy(to + row.ended.len, row.broken.ptr, row.broken.len);
    return err_ok();
}
