#include "mbox_cmd_private.h"
#include "mbox_directory_private.h"
#include "slot.h"
#include "store_msg.h"

struct err mbox_cmd_domain_index_put(struct mbox_work *work,
                                     const struct store_domain_index_put_request *request,
                                     struct body *body)
{
    struct mbox_done done;
    struct kv_key key;
    uint16_t slot = slot_of_name(request->domain);
    (void)body;
    if (request->local.len == 0 || request->local.len > MBOX_LOCAL_MAX_BYTES ||
        (!request->remove && request->kind > STORE_ADDRESS_RESOURCE))
        return err_make(ERR_SYNTAX, "local part or kind");
    TRY(mbox_domain_key(request->tenant, request->domain, &key));
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_DOMAIN_INDEX_PUT,
                            &store_progress_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    struct store_progress_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    kv_key_bytes(&key, request->local);
    if (request->remove) {
        kv_batch_delete(&work->batch, kv_key_span(&key));
    } else {
        char row[MBOX_DOMAIN_USER_BYTES];
        mbox_domain_user_write(request->kind, request->account, row);
        kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
    }
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_DOMAIN_INDEX_PUT,
                       &store_progress_reply_type, reply);
}
