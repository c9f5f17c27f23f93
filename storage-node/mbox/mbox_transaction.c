/* The latest transaction of each message lies in the bucket of the hour in which it need not be
 * known any more, so that those of an hour go as one range. */
#include "mbox_transaction_private.h"
#include "id.h"
#include "slot.h"

enum { HOUR_MS = 3600 * 1000 };

static void transaction_key(const struct mbox_transaction *transaction, uint64_t hour,
                            struct kv_key *key)
{
    struct kv_owner owner = { transaction->slot, 0, 0 };
    kv_key_begin(key, &owner, KV_TRANSACTION);
    kv_key_u32(key, (uint32_t)hour);
    kv_key_bytes(key, transaction->now->key);
}

static bool is_well_formed(const struct store_transaction *now)
{
    return now->id.len == OPERATION_ID_BYTES && now->key.len == MBOX_TRANSACTION_KEY_BYTES &&
           now->intake.len == MBOX_INTAKE_ID_BYTES && now->number > 0 &&
           (now->instead_of.len == 0 || now->instead_of.len == OPERATION_ID_BYTES) &&
           now->keep_ms > 0 && now->keep_ms <= MBOX_TRANSACTION_KEEP_MS_MAX;
}

/* What a row says of the same message. */
static struct err look_at(struct mbox_work *work, struct mbox_transaction *transaction,
                          struct span bytes)
{
    struct mbox_transaction_row row;
    TRY(mbox_transaction_read(bytes, &row));
    if (row.until_ms <= work->context->time_ms) return err_ok();
    if (span_eq(row.id, transaction->now->id)) {
        transaction->until_ms = row.until_ms; /* its first answers are not kept for longer */
        transaction->is_kept = span_eq(row.intake, transaction->now->intake) &&
                               row.number == transaction->now->number;
        return err_ok();
    }
    if (span_eq(row.id, transaction->now->instead_of)) return err_ok();
    transaction->is_repeat = true;
    transaction->earlier.number = row.number;
    TRY(arena_copy(work->arena, row.id, &transaction->earlier.id));
    return arena_copy(work->arena, row.intake, &transaction->earlier.intake);
}

struct err mbox_transaction_begin(struct mbox_work *work, uint16_t slot,
                                  const struct store_transaction *now,
                                  struct mbox_transaction *ret)
{
    *ret = (struct mbox_transaction){ .slot = slot };
    if (now == NULL || now->key.len == 0) return err_ok();
    if (!is_well_formed(now)) return err_make(ERR_SYNTAX, "transaction");
    TRY(mbox_work_slot(work, slot));
    ret->now = now;
    ret->until_ms = work->context->time_ms + now->keep_ms;
    uint64_t first = work->context->time_ms / HOUR_MS;
    uint64_t last = (work->context->time_ms + now->keep_ms) / HOUR_MS;
    for (uint64_t hour = first; hour <= last && ret->old.len == 0; hour++) {
        struct kv_key key;
        struct kv_value value = { 0 };
        transaction_key(ret, hour, &key);
        struct err err = mbox_get(work->context->rows, &key, &value);
        if (err.code == ERR_NOT_FOUND) continue;
        if (err.code == ERR_OK) err = look_at(work, ret, value.bytes);
        kv_value_free(&value);
        TRY(err);
        kv_key_bytes(&ret->old, kv_key_span(&key));
    }
    return err_ok();
}

struct err mbox_transaction_keep(struct mbox_work *work, struct mbox_transaction *transaction)
{
    if (transaction->now == NULL || transaction->is_kept) return err_ok();
    const struct store_transaction *now = transaction->now;
    struct mbox_transaction_row row = { .until_ms = transaction->until_ms,
                                        .number = now->number,
                                        .id = now->id,
                                        .intake = now->intake };
    struct kv_key key;
    transaction_key(transaction, row.until_ms / HOUR_MS, &key);
    if (transaction->old.len > 0 && !span_eq(kv_key_span(&transaction->old), kv_key_span(&key)))
        kv_batch_delete(&work->batch, kv_key_span(&transaction->old));
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), MBOX_TRANSACTION_BYTES);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_transaction_write(&row, to);
    transaction->is_kept = true;
    return err_ok();
}

void mbox_intake_key(struct span intake, struct kv_key *key)
{
    struct kv_owner owner = { slot_of_name(intake), 0, 0 };
    kv_key_begin(key, &owner, KV_INTAKE);
    kv_key_bytes(key, intake);
}
