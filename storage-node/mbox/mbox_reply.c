#include <stdio.h>

#include "mbox_store_private.h"
#include "store_msg.h"

struct err mbox_reply_id(struct arena *arena, uint64_t account, uint32_t mailbox,
                         struct span *ret)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "F%llx-%x", (unsigned long long)account, mailbox);
    return arena_copy(arena, span_of(text, (size_t)len), ret);
}

struct err mbox_reply_mailbox(struct arena *arena, uint64_t account, uint32_t id,
                              const struct mbox_mailbox *row, struct store_mailbox *ret)
{
    *ret = (struct store_mailbox){
        .id = id,
        .kind = row->kind,
        .special_use = row->special_use,
        .no_select = (row->state & MBOX_MAILBOX_NO_SELECT) != 0,
        .uidvalidity = row->uidvalidity,
        .uidnext = row->uidnext,
        .messages = row->messages,
        .unseen = row->unseen,
        .deleted = row->deleted,
        .recent = row->recent,
        .size_bytes = row->size_bytes,
        .highestmodseq = row->highestmodseq,
    };
    TRY(arena_copy(arena, row->name, &ret->name));
    return mbox_reply_id(arena, account, id, &ret->mailbox_id);
}
