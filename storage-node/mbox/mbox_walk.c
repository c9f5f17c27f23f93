#include "mbox_bytes_private.h"
#include "mbox_cmd_private.h"

struct err mbox_uids_check(struct span uids)
{
    uint64_t behind = 0;
    if (uids.len % 8 != 0) return err_make(ERR_SYNTAX, "set of UIDs");
    if (uids.len / 8 > MBOX_COMMAND_RANGES_MAX) return err_make(ERR_TOO_BIG, "set of UIDs");
    for (size_t at = 0; at < uids.len; at += 8) {
        uint32_t first = get_u32(uids.ptr + at), last = get_u32(uids.ptr + at + 4);
        if (first <= behind || last < first) return err_make(ERR_SYNTAX, "set of UIDs");
        behind = (uint64_t)last + 1;
    }
    return err_ok();
}

static void seek(struct mbox_walk *walk, uint32_t uid)
{
    struct kv_key key = { 0 };
    kv_key_bytes(&key, kv_key_span(&walk->prefix));
    kv_key_u32(&key, uid);
    walk->iter->calls->seek(walk->iter, kv_key_span(&key));
}

/* The first UID of the set >= `uid`, or false. */
static bool wanted_from(struct mbox_walk *walk, uint32_t uid, uint32_t *ret)
{
    if (walk->all) {
        *ret = uid;
        return true;
    }
    for (; walk->range < walk->uids.len; walk->range += 8) {
        uint32_t first = get_u32(walk->uids.ptr + walk->range);
        uint32_t last = get_u32(walk->uids.ptr + walk->range + 4);
        if (uid > last) continue;
        *ret = uid < first ? first : uid;
        return true;
    }
    return false;
}

struct err mbox_walk_open(struct kv_reader *rows, const struct kv_owner *owner, uint32_t mailbox,
                          struct span uids, bool all, uint32_t after, struct mbox_walk *ret)
{
    *ret = (struct mbox_walk){ .uids = uids, .all = all, .uid = after };
    kv_key_begin(&ret->prefix, owner, KV_MESSAGE);
    kv_key_u32(&ret->prefix, mailbox);
    TRY(kv_iter_within(rows, kv_key_span(&ret->prefix), &ret->iter));
    uint32_t first = after == UINT32_MAX ? after : after + 1;
    if (wanted_from(ret, first, &first)) seek(ret, first);
    return err_ok();
}

void mbox_walk_close(struct mbox_walk *walk)
{
    if (walk->iter != NULL) walk->iter->calls->free(walk->iter);
    walk->iter = NULL;
}

/* The UID of the row the iterator stands on; ERR_NOT_FOUND when the mailbox's rows are over. */
static struct err current_uid(struct mbox_walk *walk, uint32_t *uid)
{
    struct kv_iter *it = walk->iter;
    if (!it->calls->valid(it)) {
        TRY(it->calls->status(it));
        return err_make(ERR_NOT_FOUND, "end of the mailbox");
    }
    struct span key = it->calls->key(it);
    if (!span_eq(span_head(key, walk->prefix.len), kv_key_span(&walk->prefix)))
        return err_make(ERR_NOT_FOUND, "end of the mailbox");
    struct span tail = span_skip(key, walk->prefix.len);
    if (!kv_key_take_u32(&tail, uid) || tail.len != 0 || *uid == 0)
        return err_make(ERR_CORRUPT, "key of a MESSAGE row");
    return err_ok();
}

struct err mbox_walk_next(struct mbox_walk *walk)
{
    struct kv_iter *it = walk->iter;
    uint32_t uid, wanted;
    if (walk->message.email != 0) it->calls->next(it); /* off the row given out last */
    if (walk->range >= walk->uids.len && !walk->all)
        return err_make(ERR_NOT_FOUND, "end of the set");
    for (;;) {
        TRY(current_uid(walk, &uid));
        if (!wanted_from(walk, uid, &wanted)) return err_make(ERR_NOT_FOUND, "end of the set");
        if (wanted == uid) break;
        seek(walk, wanted);
    }
    walk->uid = uid;
    TRY(mbox_message_read(it->calls->value(it), &walk->message));
    if (walk->message.email == 0) return err_make(ERR_CORRUPT, "email of a MESSAGE row");
    return err_ok();
}
