#include "mbox_read_private.h"

static struct err claim_box(struct mbox_work *work, const struct mbox_claim *claim)
{
    struct mbox_account *account;
    struct mbox_box *box;
    struct mbox_first first;
    TRY(mbox_work_account(work, claim->tenant, claim->account, &account));
    TRY(mbox_work_box(work, account, claim->mailbox, &box));
    struct mbox_mailbox *row = &box->row;
    uint32_t uidnext = claim->uidnext < row->uidnext ? claim->uidnext : row->uidnext;
    if (uidnext > row->recent_from) {
        row->recent_from = uidnext;
        row->recent = 0;
        struct mbox_walk walk; /* those that came since the mailbox was opened */
        struct err err = mbox_walk_open(work->context->rows, &account->owner, box->id, SPAN(""),
                                        true, uidnext - 1, &walk);
        TRY(err);
        while ((err = mbox_walk_next(&walk)).code == ERR_OK) row->recent++;
        mbox_walk_close(&walk);
        if (err.code != ERR_NOT_FOUND) return err;
        box->dirty = true;
    }
    TRY(mbox_first_unseen(work->context->rows, &account->owner, box->id, row, &first));
    if (first.seq != 0 && (first.uid != row->unseen_uid || first.seq != row->unseen_seq)) {
        row->unseen_uid = first.uid;
        row->unseen_seq = first.seq;
        box->dirty = true;
    }
    return err_ok();
}

struct err mbox_claim(const struct mbox_context *context, const struct mbox_claim *claim,
                      struct mbox_result *result)
{
    struct mbox_work work;
    mbox_work_init(&work, context, result);
    struct err err = claim_box(&work, claim);
    if (err.code == ERR_OK) err = mbox_work_end_part(&work);
    mbox_work_free(&work);
    if (err.code != ERR_OK) mbox_result_free(result);
    return err.code == ERR_NOT_FOUND || err.code == ERR_DENIED ? err_ok() : err;
}
