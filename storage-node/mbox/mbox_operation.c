/* The first answer of each operation is kept beside what it did, so that a retry gets it again.
 *
 * The rows lie in buckets of an hour by the time in the id itself (base/id.h), not by the clock of
 * this command: only so does a retry an hour later look where the first one wrote.
 *
 * Deliveries of a courier are repeated as long as their queue entry lives, which may be days: they
 * lie LATE_HOURS behind the hour in which they were done, and are looked for from that of the id
 * on. So they outlive what they were done for (REPLICATION 6.5). */
#include "id.h"
#include "mbox_work_private.h"
#include "proto_message.h"

enum { HOUR_SECONDS = 3600, AHEAD_MAX_SECONDS = 24 * 3600, LATE_HOURS = 24, HOURS_MAX = 24 * 366 };

static struct err id_seconds(const struct mbox_work *work, struct span id, uint32_t *ret)
{
    struct span head = id;
    if (id.len != OPERATION_ID_BYTES || !kv_key_take_u32(&head, ret))
        return err_make(ERR_SYNTAX, "operation id");
    if (*ret > work->context->time_ms / 1000 + AHEAD_MAX_SECONDS)
        return err_make(ERR_SYNTAX, "operation id from the future");
    return err_ok();
}

static void key_in(uint16_t slot, uint32_t hour, struct span id, struct kv_key *key)
{
    struct kv_owner owner = { slot, 0, 0 };
    kv_key_begin(key, &owner, KV_OPERATION);
    kv_key_u32(key, hour);
    kv_key_bytes(key, id);
}

static struct err operation_key(const struct mbox_work *work, uint16_t slot, struct span id,
                                struct kv_key *key)
{
    uint32_t seconds;
    TRY(id_seconds(work, id, &seconds));
    key_in(slot, seconds / HOUR_SECONDS, id, key);
    return err_ok();
}

static uint32_t hour_now(const struct mbox_work *work)
{
    return (uint32_t)(work->context->time_ms / 1000 / HOUR_SECONDS);
}

/* The first answer in the row; found is false when there is none. */
static struct err find_at(struct mbox_work *work, const struct kv_key *key, unsigned method,
                          const struct proto_type *type, struct mbox_done *ret)
{
    struct kv_value value = { 0 };
    struct mbox_operation operation;
    *ret = (struct mbox_done){ 0 };
    struct err err = mbox_get(work->context->rows, key, &value);
    if (err.code == ERR_NOT_FOUND) return err_ok();
    TRY(err);
    void *answer = mbox_work_alloc(work, type->size);
    err = mbox_operation_read(value.bytes, &operation);
    if (err.code == ERR_OK && operation.method != method)
        err = err_make(ERR_CONFLICT, "operation id of another method");
    if (err.code == ERR_OK && answer == NULL) err = err_make(ERR_NOMEM, "first answer");
    if (err.code == ERR_OK) err = proto_unpack(type, operation.answer, work->arena, answer);
    kv_value_free(&value);
    if (err.code == ERR_SYNTAX) return err_make(ERR_CORRUPT, "first answer");
    TRY(err);
    *ret = (struct mbox_done){
        .found = true,
        .partial = operation.state == MBOX_OPERATION_PARTIAL,
        .resume_uid = operation.resume_uid,
        .first_modseq = operation.first_modseq,
        .answer = answer,
    };
    return err_ok();
}

struct err mbox_operation_find(struct mbox_work *work, uint16_t slot, struct span id,
                               unsigned method, const struct proto_type *type,
                               struct mbox_done *ret)
{
    struct kv_key key;
    TRY(mbox_work_slot(work, slot));
    TRY(operation_key(work, slot, id, &key));
    return find_at(work, &key, method, type, ret);
}

struct err mbox_operation_find_late(struct mbox_work *work, uint16_t slot, struct span id,
                                    unsigned method, const struct proto_type *type,
                                    struct mbox_done *ret)
{
    struct kv_key key;
    uint32_t seconds, now = hour_now(work);
    TRY(mbox_operation_find(work, slot, id, method, type, ret));
    TRY(id_seconds(work, id, &seconds));
    uint32_t hour = seconds / HOUR_SECONDS;
    if (now >= HOURS_MAX && hour < now - HOURS_MAX) hour = now - HOURS_MAX;
    for (; hour <= now && !ret->found; hour++) {
        key_in(slot, hour + LATE_HOURS, id, &key);
        TRY(find_at(work, &key, method, type, ret));
    }
    return err_ok();
}

static struct err keep_at(struct mbox_work *work, const struct kv_key *key,
                          const struct mbox_operation *head, const struct proto_type *type,
                          const void *answer)
{
    struct span packed;
    TRY(proto_pack(type, answer, work->arena, &packed));
    char *to = kv_batch_put_room(&work->batch, kv_key_span(key),
                                 MBOX_OPERATION_HEAD_BYTES + packed.len);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_operation_head(head, to);
    if (packed.len > 0) memcpy(to + MBOX_OPERATION_HEAD_BYTES, packed.ptr, packed.len);
    return err_ok();
}

struct err mbox_operation_keep(struct mbox_work *work, uint16_t slot, struct span id,
                               const struct mbox_operation *head, const struct proto_type *type,
                               const void *answer)
{
    struct kv_key key;
    TRY(operation_key(work, slot, id, &key));
    return keep_at(work, &key, head, type, answer);
}

struct err mbox_operation_keep_late(struct mbox_work *work, uint16_t slot, struct span id,
                                    const struct mbox_operation *head,
                                    const struct proto_type *type, const void *answer)
{
    struct kv_key key;
    uint32_t seconds, now = hour_now(work);
    TRY(id_seconds(work, id, &seconds));
    uint32_t hour = seconds / HOUR_SECONDS;
    key_in(slot, (hour > now ? hour : now) + LATE_HOURS, id, &key);
    return keep_at(work, &key, head, type, answer);
}
