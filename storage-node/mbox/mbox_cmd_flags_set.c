/* FlagsSet: STORE (RFC 3501 6.4.6) with UNCHANGEDSINCE (RFC 7162 3.1.3). Messages whose flags stay
 * as they are keep their MODSEQ and are not in the reply's data. */
#include <stdlib.h>

#include "mail_flags.h"
#include "mail_stream.h"
#include "mbox_cmd_private.h"
#include "slot.h"
#include "store_msg.h"

struct flags_set {
    struct mbox_work *work;
    const struct store_flags_set_request *request;
    struct mbox_account *account;
    struct mbox_box *box;
    uint64_t bits; /* the request's flags and keywords in this mailbox */
    struct uid_set modified;
    struct mbox_operation head;
    struct store_flags_set_reply reply;
};

static struct err put_record(struct mbox_result *result, uint32_t uid,
                             const struct mbox_message *message)
{
    if (result->data_size - result->data_len < MAIL_RECORD_INDEX_BYTES) {
        size_t size = result->data_size == 0 ? 64 * MAIL_RECORD_INDEX_BYTES : 2 * result->data_size;
        char *data = realloc(result->data, size);
        if (data == NULL) return err_make(ERR_NOMEM, "records");
        result->data = data;
        result->data_size = size;
    }
    struct mail_record record = { .uid = uid, .flags = message->flags, .modseq = message->modseq };
    mail_record_head(&record, result->data + result->data_len);
    result->data_len += MAIL_RECORD_INDEX_BYTES;
    return err_ok();
}

static uint64_t flags_after(const struct flags_set *set, uint64_t before)
{
    switch ((enum store_flags_mode)set->request->mode) {
    case STORE_FLAGS_ADD: return before | set->bits;
    case STORE_FLAGS_REMOVE: return before & ~set->bits;
    case STORE_FLAGS_REPLACE: return set->bits;
    }
    return before;
}

static struct err change(struct flags_set *set, uint32_t uid, struct mbox_message *message)
{
    struct mbox_work *work = set->work;
    const struct store_flags_set_request *request = set->request;
    if (request->has_unchanged_since && message->modseq > request->unchanged_since)
        return uid_set_add(&set->modified, uid, uid);
    uint64_t after = flags_after(set, message->flags);
    if (after == message->flags) return err_ok();
    if (++work->messages > MBOX_COMMAND_MESSAGES_MAX) return err_make(ERR_TOO_BIG, "messages");

    struct kv_key key;
    TRY(mbox_work_note(work, set->box, MBOX_WHAT_FLAGS, uid));
    mbox_flags_count(set->box, uid, message->flags, after);
    message->flags = after;
    message->modseq = set->box->row.highestmodseq;
    kv_key_begin(&key, &set->account->owner, KV_MESSAGE);
    kv_key_u32(&key, set->box->id);
    kv_key_u32(&key, uid);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), mbox_message_bytes(message));
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_message_write(message, to);
    set->reply.modseq = message->modseq;
    if (set->head.first_modseq == 0) set->head.first_modseq = message->modseq;
    return put_record(work->result, uid, message);
}

static struct err keep(struct flags_set *set, uint8_t state)
{
    set->head.state = state;
    set->reply.modified = uid_set_bytes(&set->modified);
    return mbox_operation_keep(set->work, set->account->owner.slot, set->request->operation_id,
                               &set->head, &store_flags_set_reply_type, &set->reply);
}

static struct err change_all(struct flags_set *set)
{
    struct mbox_walk walk;
    struct err err = mbox_walk_open(set->work->context->rows, &set->account->owner, set->box->id,
                                    set->request->uids, false, set->head.resume_uid, &walk);
    TRY(err);
    while ((err = mbox_walk_next(&walk)).code == ERR_OK) {
        if (mbox_work_is_full(set->work)) {
            err = keep(set, MBOX_OPERATION_PARTIAL);
            if (err.code == ERR_OK) err = mbox_work_end_part(set->work);
            if (err.code != ERR_OK) break;
        }
        err = change(set, walk.uid, &walk.message);
        if (err.code != ERR_OK) break;
        set->head.resume_uid = walk.uid;
    }
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

/* The records of a first answer once more: the messages that its CHANGE rows name, as they are. */
static struct err add_changed(struct flags_set *set, struct uid_set *uids, struct kv_iter *it,
                              uint64_t last_modseq)
{
    struct kv_key end;
    kv_key_begin(&end, &set->account->owner, KV_CHANGE);
    kv_key_u64(&end, last_modseq);
    for (; it->calls->valid(it); it->calls->next(it)) {
        struct span key = it->calls->key(it), entries;
        struct mbox_change_entry entry;
        uint64_t time_ms;
        if (key.len != end.len || memcmp(key.ptr, end.bytes, end.len) > 0) break;
        TRY(mbox_change_read(it->calls->value(it), &time_ms, &entries));
        while (mbox_change_next(&entries, &entry).code == ERR_OK) {
            if (entry.mailbox != set->box->id || entry.what != MBOX_WHAT_FLAGS) continue;
            for (size_t at = 0; at < entry.uids.len; at += sizeof(struct uid_range)) {
                struct uid_range range;
                memcpy(&range, entry.uids.ptr + at, sizeof(range));
                TRY(uid_set_add(uids, range.first, range.last));
            }
        }
    }
    return it->calls->status(it);
}

static struct err put_records(struct flags_set *set, struct span uids)
{
    struct mbox_walk walk;
    struct err err = mbox_walk_open(set->work->context->rows, &set->account->owner, set->box->id,
                                    uids, false, 0, &walk);
    TRY(err);
    while ((err = mbox_walk_next(&walk)).code == ERR_OK) {
        err = put_record(set->work->result, walk.uid, &walk.message);
        if (err.code != ERR_OK) break;
    }
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err answer_again(struct flags_set *set, const struct mbox_done *done)
{
    const struct store_flags_set_reply *reply = done->answer;
    struct kv_key from;
    struct kv_iter *it;
    struct uid_set uids;
    mbox_answer_again(set->work, done);
    if (done->first_modseq == 0) return err_ok();
    TRY(mbox_iter_of(set->work->context->rows, &set->account->owner, KV_CHANGE, &it));
    uid_set_init(&uids, MBOX_COMMAND_RANGES_MAX);
    kv_key_begin(&from, &set->account->owner, KV_CHANGE);
    kv_key_u64(&from, done->first_modseq);
    it->calls->seek(it, kv_key_span(&from));
    struct err err = add_changed(set, &uids, it, reply->modseq);
    it->calls->free(it);
    if (err.code == ERR_OK) err = put_records(set, uid_set_bytes(&uids));
    uid_set_free(&uids);
    return err;
}

static struct err finish(struct flags_set *set, bool grown)
{
    struct store_flags_set_reply *reply = mbox_work_alloc(set->work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    if (grown) {
        set->reply.keywords = set->box->row.keywords;
        set->reply.keywords_count = set->box->row.keywords_count;
    }
    *reply = set->reply;
    TRY(arena_copy(set->work->arena, uid_set_bytes(&set->modified), &reply->modified));
    set->work->result->reply = reply;
    /* What changed nothing needs no memory of it: a retry changes nothing either. */
    if (set->account->part_modseq == 0 && set->head.first_modseq == 0) return err_ok();
    return keep(set, MBOX_OPERATION_DONE);
}

static struct err run(struct flags_set *set, const struct mbox_done *done)
{
    const struct store_flags_set_request *request = set->request;
    bool grown = false;
    uint64_t words;
    if (done->partial) {
        const struct store_flags_set_reply *reply = done->answer;
        set->head.resume_uid = done->resume_uid;
        set->head.first_modseq = done->first_modseq;
        set->reply.modseq = reply->modseq;
        TRY(uid_set_read(&set->modified, reply->modified));
    }
    TRY(mbox_keywords(set->work, set->box,
                      (struct mbox_words){ request->keywords, request->keywords_count },
                      request->mode != STORE_FLAGS_REMOVE, &words, &grown));
    set->bits = (request->flags & MAIL_FLAGS_SETTABLE) | words;
    TRY(change_all(set));
    return finish(set, grown);
}

struct err mbox_cmd_flags_set(struct mbox_work *work,
                              const struct store_flags_set_request *request, struct body *body)
{
    struct mbox_done done;
    struct flags_set set = {
        .work = work, .request = request, .head = { .method = STORE_METHOD_FLAGS_SET },
    };
    (void)body;
    if (request->mode > STORE_FLAGS_REMOVE) return err_make(ERR_SYNTAX, "mode");
    TRY(mbox_uids_check(request->uids));
    TRY(mbox_operation_find(work, slot_of_account(request->account), request->operation_id,
                            STORE_METHOD_FLAGS_SET, &store_flags_set_reply_type, &done));
    TRY(mbox_work_account(work, request->tenant, request->account, &set.account));
    struct err err = mbox_work_box(work, set.account, request->mailbox, &set.box);
    if (done.found && !done.partial) {
        if (err.code == ERR_OK) return answer_again(&set, &done);
        mbox_answer_again(work, &done); /* the mailbox is gone meanwhile */
        return err_ok();
    }
    TRY(err);
    uid_set_init(&set.modified, MBOX_COMMAND_RANGES_MAX);
    err = run(&set, &done);
    uid_set_free(&set.modified);
    return err;
}
