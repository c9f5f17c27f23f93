#include "mbox_cmd_private.h"
#include "proto_message.h"

struct err mbox_answer(struct mbox_work *work, uint16_t slot, struct span id, unsigned method,
                       const struct proto_type *type, const void *reply)
{
    struct mbox_operation head = { .state = MBOX_OPERATION_DONE, .method = (uint16_t)method };
    work->result->reply = reply;
    return mbox_operation_keep(work, slot, id, &head, type, reply);
}

struct err mbox_answer_copy(struct mbox_work *work, uint16_t slot, struct span id, unsigned method,
                            const struct proto_type *type, const void *reply)
{
    struct span packed;
    void *copy = mbox_work_alloc(work, type->size);
    if (copy == NULL) return err_make(ERR_NOMEM, "reply");
    TRY(proto_pack(type, reply, work->arena, &packed));
    TRY(proto_unpack(type, packed, work->arena, copy));
    return mbox_answer(work, slot, id, method, type, copy);
}
