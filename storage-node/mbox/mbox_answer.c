#include "mbox_cmd_private.h"

struct err mbox_answer(struct mbox_work *work, uint16_t slot, struct span id, unsigned method,
                       const struct proto_type *type, const void *reply)
{
    struct mbox_operation head = { .state = MBOX_OPERATION_DONE, .method = (uint16_t)method };
    work->result->reply = reply;
    return mbox_operation_keep(work, slot, id, &head, type, reply);
}
