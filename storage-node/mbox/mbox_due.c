#include "mbox_queue_private.h"

void mbox_due_init(struct mbox_due *due) { *due = (struct mbox_due){ { 0 } }; }

/* The slot, time and id of a QUEUE_DUE row; false for any other row. */
static bool read_due(struct span key, uint32_t *slot, uint64_t *due_ms, struct span *id)
{
    struct kv_owner owner;
    unsigned kind;
    struct span tail;
    if (kv_key_read(key, &owner, &kind, &tail).code != ERR_OK) return false;
    if (kind != KV_QUEUE_DUE || owner.tenant != 0 || owner.account != 0) return false;
    if (!kv_key_take_u64(&tail, due_ms) || tail.len != MBOX_QUEUE_ID_BYTES) return false;
    *slot = owner.slot;
    *id = tail;
    return true;
}

void mbox_due_note(struct mbox_due *due, struct span batch)
{
    struct kv_change change;
    while (kv_batch_next(&batch, &change).code == ERR_OK) {
        uint32_t slot;
        uint64_t due_ms;
        struct span id;
        if (change.op != KV_PUT || change.key.len != KV_KEY_HEAD_BYTES + 8 + MBOX_QUEUE_ID_BYTES)
            continue;
        if (read_due(change.key, &slot, &due_ms, &id) && due_ms < due->not_before_ms[slot])
            due->not_before_ms[slot] = due_ms;
    }
}

struct err mbox_due_walk_open(const struct mbox_context *context, uint64_t until_ms,
                              struct mbox_due_walk *ret)
{
    *ret = (struct mbox_due_walk){
        .context = context, .until_ms = until_ms, .slot = context->slot_first,
    };
    return kv_iter_new(context->rows, &ret->iter);
}

void mbox_due_walk_close(struct mbox_due_walk *walk)
{
    if (walk->iter != NULL) walk->iter->calls->free(walk->iter);
    walk->iter = NULL;
}

/* Goes to the next slot in which something may be due, and to its first row. */
static bool enter_slot(struct mbox_due_walk *walk)
{
    const struct mbox_due *due = walk->context->due;
    while (walk->slot < walk->context->slot_end && due != NULL &&
           due->not_before_ms[walk->slot] > walk->until_ms)
        walk->slot++;
    if (walk->slot >= walk->context->slot_end) return false;
    struct kv_owner owner = { (uint16_t)walk->slot, 0, 0 };
    struct kv_key key;
    kv_key_begin(&key, &owner, KV_QUEUE_DUE);
    walk->iter->calls->seek(walk->iter, kv_key_span(&key));
    walk->in_slot = true;
    return true;
}

/* What the first row that is left of the slot says about it. */
static void learn(struct mbox_due_walk *walk, uint64_t not_before_ms)
{
    if (walk->context->due != NULL)
        walk->context->due->not_before_ms[walk->slot] = not_before_ms;
}

struct err mbox_due_walk_next(struct mbox_due_walk *walk)
{
    struct kv_iter *it = walk->iter;
    bool at_first = false, moved = false;
    for (;;) {
        if (!walk->in_slot) {
            if (!enter_slot(walk)) return err_make(ERR_NOT_FOUND, "nothing more is due");
            at_first = true;
        } else if (!moved && !at_first) {
            it->calls->next(it);
        }
        moved = true;
        uint32_t slot;
        struct span id;
        TRY(it->calls->status(it));
        bool here = it->calls->valid(it) &&
                    read_due(it->calls->key(it), &slot, &walk->due_ms, &id) && slot == walk->slot;
        if (here && walk->due_ms <= walk->until_ms) {
            memcpy(walk->id, id.ptr, sizeof(walk->id));
            return err_ok();
        }
        if (at_first) learn(walk, here ? walk->due_ms : UINT64_MAX);
        walk->in_slot = false;
        walk->slot++;
    }
}

struct err mbox_queue_next_due(const struct mbox_context *context, uint64_t *due_ms)
{
    uint64_t first = UINT64_MAX;
    struct kv_iter *it;
    TRY(kv_iter_new(context->rows, &it));
    for (uint32_t at = context->slot_first; at < context->slot_end; at++) {
        struct kv_owner owner = { (uint16_t)at, 0, 0 };
        struct kv_key key;
        uint32_t slot;
        uint64_t due = UINT64_MAX;
        struct span id;
        if (context->due != NULL && context->due->not_before_ms[at] >= first) continue;
        kv_key_begin(&key, &owner, KV_QUEUE_DUE);
        it->calls->seek(it, kv_key_span(&key));
        bool here = it->calls->valid(it) && read_due(it->calls->key(it), &slot, &due, &id) &&
                    slot == at;
        if (!here) due = UINT64_MAX;
        if (it->calls->status(it).code != ERR_OK) break;
        if (context->due != NULL) context->due->not_before_ms[at] = due;
        if (due < first) first = due;
    }
    struct err err = it->calls->status(it);
    it->calls->free(it);
    TRY(err);
    *due_ms = first == UINT64_MAX ? 0 : first;
    return err_ok();
}
