#include "mbox_maintain.h"

#include "mbox_cmd_private.h"
#include "mbox_dying_private.h"
#include "mbox_maintain_private.h"
#include "mbox_queue.h"

enum { STEP_ROWS = 256, BUCKET_MS = 3600 * 1000 };

/* A walk over one kind of slot-wide row, from slot to slot that has any rows. */
struct slot_walk {
    const struct mbox_context *context;
    struct kv_iter *iter;
    enum kv_kind kind;
    uint32_t slot;
    struct span tail; /* of the row it stands on */
};

static void seek_slot(struct slot_walk *walk, uint32_t slot)
{
    struct kv_owner owner = { (uint16_t)slot, 0, 0 };
    struct kv_key key;
    kv_key_begin(&key, &owner, walk->kind);
    walk->slot = slot;
    walk->iter->calls->seek(walk->iter, kv_key_span(&key));
}

static struct err open_walk(const struct mbox_context *context, enum kv_kind kind,
                            struct slot_walk *ret)
{
    *ret = (struct slot_walk){ .context = context, .kind = kind };
    TRY(kv_iter_new(context->rows, &ret->iter));
    seek_slot(ret, context->slot_first);
    return err_ok();
}

/* Finds the row at or behind the iterator. ERR_NOT_FOUND at the end of the shard. */
static struct err settle(struct slot_walk *walk)
{
    struct kv_iter *it = walk->iter;
    for (;;) {
        struct kv_owner owner;
        unsigned kind = 0;
        TRY(it->calls->status(it));
        if (!it->calls->valid(it)) return err_make(ERR_NOT_FOUND, "end of the shard");
        TRY(kv_key_read(it->calls->key(it), &owner, &kind, &walk->tail));
        if (owner.slot >= walk->context->slot_end) return err_make(ERR_NOT_FOUND, "end");
        bool wide = owner.tenant == 0 && owner.account == 0;
        if (owner.slot == walk->slot && wide && kind == walk->kind) return err_ok();
        uint32_t next = owner.slot > walk->slot ? owner.slot : walk->slot + 1;
        if (next >= walk->context->slot_end) return err_make(ERR_NOT_FOUND, "end of the shard");
        seek_slot(walk, next);
    }
}

struct err mbox_maintain_finish(struct mbox_work *work, struct err err)
{
    if (err.code == ERR_NOT_FOUND) err = err_ok();
    if (err.code == ERR_OK) err = mbox_work_end_part(work);
    mbox_work_free(work);
    if (err.code != ERR_OK) mbox_result_free(work->result);
    return err;
}

/* ---- operations and transactions */

/* Rows whose key begins with an hour below `bucket`. */
static struct err trim_slots(struct mbox_work *work, struct slot_walk *walk, uint32_t bucket)
{
    struct err err;
    for (unsigned ranges = 0; (err = settle(walk)).code == ERR_OK;) {
        struct kv_owner owner = { (uint16_t)walk->slot, 0, 0 };
        struct kv_key from, end;
        struct span tail = walk->tail;
        uint32_t first;
        if (!kv_key_take_u32(&tail, &first)) return err_make(ERR_CORRUPT, "hour of a key");
        if (first < bucket) {
            if (ranges == STEP_ROWS) {
                work->result->more = true;
                return err_ok();
            }
            kv_key_begin(&from, &owner, walk->kind);
            kv_key_begin(&end, &owner, walk->kind);
            kv_key_u32(&end, bucket);
            kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
            ranges++;
        }
        if (walk->slot + 1 >= walk->context->slot_end) break;
        seek_slot(walk, walk->slot + 1);
    }
    return err;
}

static struct err trim_hours(struct mbox_work *work, enum kv_kind kind, uint64_t before_ms)
{
    struct slot_walk walk;
    uint64_t bucket = before_ms / BUCKET_MS;
    TRY(open_walk(work->context, kind, &walk));
    struct err err = trim_slots(work, &walk, bucket > UINT32_MAX ? UINT32_MAX : (uint32_t)bucket);
    walk.iter->calls->free(walk.iter);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

struct err mbox_trim_operations(const struct mbox_context *context, uint64_t before_ms,
                                struct mbox_result *result)
{
    struct mbox_work work;
    mbox_work_init(&work, context, result);
    return mbox_maintain_finish(&work, trim_hours(&work, KV_OPERATION, before_ms));
}

static struct err trim_intakes(struct mbox_work *work, uint64_t before_ms)
{
    struct slot_walk walk;
    struct err err;
    TRY(open_walk(work->context, KV_INTAKE, &walk));
    for (unsigned removed = 0; (err = settle(&walk)).code == ERR_OK;) {
        struct mbox_intake_row row;
        if (removed == STEP_ROWS) {
            work->result->more = true;
            break;
        }
        err = mbox_intake_read(walk.iter->calls->value(walk.iter), &row);
        if (err.code != ERR_OK) break;
        if (row.time_ms < before_ms) {
            kv_batch_delete(&work->batch, walk.iter->calls->key(walk.iter));
            removed++;
        }
        walk.iter->calls->next(walk.iter);
    }
    walk.iter->calls->free(walk.iter);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

struct err mbox_trim_transactions(const struct mbox_context *context, struct mbox_result *result)
{
    struct mbox_work work;
    uint64_t now = context->time_ms, kept = 2 * (uint64_t)MBOX_TRANSACTION_KEEP_MS_MAX;
    mbox_work_init(&work, context, result);
    struct err err = trim_hours(&work, KV_TRANSACTION, now);
    if (err.code == ERR_OK) err = trim_intakes(&work, now > kept ? now - kept : 0);
    return mbox_maintain_finish(&work, err);
}

/* ---- bodies */

/* The rows of a body that nobody owns: its chunks, and the mark. */
static struct err remove_pending(struct mbox_work *work, const struct slot_walk *walk)
{
    struct kv_owner owner = { (uint16_t)walk->slot, 0, 0 };
    struct kv_key from, end, mark;
    struct span tail = walk->tail;
    uint64_t email = 0;
    kv_key_begin(&mark, &owner, walk->kind);
    kv_key_bytes(&mark, tail);
    if (walk->kind == KV_PENDING_QUEUE) {
        if (tail.len != MBOX_QUEUE_ID_BYTES) return err_make(ERR_CORRUPT, "PENDING key");
        kv_key_begin(&from, &owner, KV_QUEUE_BODY);
        kv_key_bytes(&from, tail);
    } else {
        if (!kv_key_take_u32(&tail, &owner.tenant) || !kv_key_take_u64(&tail, &owner.account) ||
            !kv_key_take_u64(&tail, &email) || tail.len != 0)
            return err_make(ERR_CORRUPT, "PENDING key");
        kv_key_begin(&from, &owner, KV_BODY);
        kv_key_u64(&from, email);
    }
    end = from;
    kv_key_end(&end);
    kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
    kv_batch_delete(&work->batch, kv_key_span(&mark));
    return err_ok();
}

static struct err trim_pending(struct mbox_work *work, enum kv_kind kind, uint64_t before_ms)
{
    struct slot_walk walk;
    struct err err;
    TRY(open_walk(work->context, kind, &walk));
    for (unsigned removed = 0; (err = settle(&walk)).code == ERR_OK;) {
        uint64_t time_ms;
        if (removed == STEP_ROWS) {
            work->result->more = true;
            break;
        }
        err = mbox_mark_read(walk.iter->calls->value(walk.iter), &time_ms);
        if (err.code == ERR_OK && time_ms < before_ms) {
            err = remove_pending(work, &walk);
            removed++;
        }
        if (err.code != ERR_OK) break;
        walk.iter->calls->next(walk.iter);
    }
    walk.iter->calls->free(walk.iter);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

struct err mbox_trim_bodies(const struct mbox_context *context, uint64_t before_ms,
                            struct mbox_result *result)
{
    struct mbox_work work;
    mbox_work_init(&work, context, result);
    struct err err = trim_pending(&work, KV_PENDING_BODY, before_ms);
    if (err.code == ERR_OK) err = trim_pending(&work, KV_PENDING_QUEUE, before_ms);
    return mbox_maintain_finish(&work, err);
}

/* ---- deleted mailboxes */

/* The dying mailbox that a mark names. ERR_NOT_FOUND: its account is gone. */
static struct err dying_box(struct mbox_work *work, struct span tail, struct mbox_box **ret)
{
    uint32_t tenant, id;
    uint64_t number;
    struct mbox_account *account;
    struct kv_key key;
    struct span row;
    if (!kv_key_take_u32(&tail, &tenant) || !kv_key_take_u64(&tail, &number) ||
        !kv_key_take_u32(&tail, &id) || tail.len != 0)
        return err_make(ERR_CORRUPT, "DYING key");
    TRY(mbox_work_account(work, tenant, number, &account));
    kv_key_begin(&key, &account->owner, KV_MAILBOX);
    kv_key_u32(&key, id);
    TRY(mbox_get_kept(work, &key, &row));
    TRY(mbox_work_box_new(work, account, id, ret));
    TRY(mbox_mailbox_read(row, &(*ret)->row));
    if ((*ret)->row.state & MBOX_MAILBOX_DYING) return err_ok();
    return err_make(ERR_CORRUPT, "DYING mark of a living mailbox");
}

static struct err sweep_one(struct mbox_work *work, struct slot_walk *walk)
{
    struct mbox_box *box;
    TRY(settle(walk));
    struct err err = dying_box(work, walk->tail, &box);
    work->result->more = true;
    if (err.code != ERR_NOT_FOUND) {
        TRY(err);
        return mbox_dying_step(work, box);
    }
    kv_batch_delete(&work->batch, walk->iter->calls->key(walk->iter));
    return err_ok();
}

struct err mbox_sweep(const struct mbox_context *context, struct mbox_result *result)
{
    struct mbox_work work;
    struct slot_walk walk;
    TRY(open_walk(context, KV_DYING, &walk));
    mbox_work_init(&work, context, result);
    struct err err = sweep_one(&work, &walk);
    walk.iter->calls->free(walk.iter);
    return mbox_maintain_finish(&work, err);
}

/* ---- copies */

/* Removes messages first <= UID < end, as far as the part holds; `*ended` when none is left. */
static struct err remove_run(struct mbox_work *work, struct mbox_box *box, uint32_t first,
                             uint32_t end, bool *ended)
{
    struct mbox_walk walk;
    struct mbox_account *account = box->account;
    struct err err = mbox_walk_open(work->context->rows, &account->owner, box->id, SPAN(""), true,
                                    first - 1, &walk);
    TRY(err);
    *ended = true;
    while ((err = mbox_walk_next(&walk)).code == ERR_OK && walk.uid < end) {
        if (mbox_work_is_full(work)) {
            *ended = false;
            break;
        }
        err = mbox_email_change(work, account, walk.message.email, false);
        if (err.code == ERR_OK) err = mbox_message_remove(work, box, walk.uid, &walk.message);
        if (err.code != ERR_OK) break;
    }
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

/* The mailbox that a mark names. ERR_NOT_FOUND: it is gone, and its messages with it. */
static struct err copying_box(struct mbox_work *work, struct span tail, struct mbox_box **ret)
{
    uint32_t tenant, id;
    uint64_t number;
    struct mbox_account *account;
    if (!kv_key_take_u32(&tail, &tenant) || !kv_key_take_u64(&tail, &number) ||
        !kv_key_take_u32(&tail, &id) || tail.len != 0)
        return err_make(ERR_CORRUPT, "COPYING key");
    TRY(mbox_work_account(work, tenant, number, &account));
    return mbox_work_box(work, account, id, ret);
}

static struct err undo_one(struct mbox_work *work, struct slot_walk *walk)
{
    struct mbox_box *box;
    uint32_t first, end;
    bool ended = true;
    TRY(settle(walk));
    TRY(mbox_copying_read(walk->iter->calls->value(walk->iter), &first, &end));
    struct err err = copying_box(work, walk->tail, &box);
    if (err.code == ERR_OK) err = remove_run(work, box, first, end, &ended);
    else if (err.code == ERR_NOT_FOUND || err.code == ERR_DENIED) err = err_ok();
    TRY(err);
    work->result->more = true;
    if (ended) kv_batch_delete(&work->batch, walk->iter->calls->key(walk->iter));
    return err_ok();
}

struct err mbox_undo_copies(const struct mbox_context *context, struct mbox_result *result)
{
    struct mbox_work work;
    struct slot_walk walk;
    TRY(open_walk(context, KV_COPYING, &walk));
    mbox_work_init(&work, context, result);
    struct err err = undo_one(&work, &walk);
    walk.iter->calls->free(walk.iter);
    return mbox_maintain_finish(&work, err);
}
