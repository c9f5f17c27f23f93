#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

enum { ANSWER_MAX_BYTES = 32 * 1024 };

struct err mbox_cmd_answer_keep(struct mbox_work *work,
                                const struct store_answer_keep_request *request, struct body *body)
{
    struct mbox_done done;
    uint16_t slot = slot_of_name(request->operation_id);
    (void)body;
    if (request->answer.len > ANSWER_MAX_BYTES) return err_make(ERR_SYNTAX, "answer");
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_ANSWER_KEEP,
                            &store_answer_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    struct store_answer_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    reply->answer = request->answer;
    if (request->answer.len == 0) {
        work->result->reply = reply;
        return err_ok();
    }
    return mbox_answer_copy(work, slot, request->operation_id, STORE_METHOD_ANSWER_KEEP,
                            &store_answer_reply_type, reply);
}
