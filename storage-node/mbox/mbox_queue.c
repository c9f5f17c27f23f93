#include "mbox_queue_private.h"

void mbox_queue_key(enum kv_kind kind, uint32_t slot, struct span id, struct kv_key *key)
{
    struct kv_owner owner = { (uint16_t)slot, 0, 0 };
    kv_key_begin(key, &owner, kind);
    kv_key_bytes(key, id);
}

struct err mbox_queue_check(const struct store_queue_entry *entry)
{
    if (entry->id.len != MBOX_QUEUE_ID_BYTES) return err_make(ERR_SYNTAX, "queue id");
    if (entry->slot >= KV_SLOTS) return err_make(ERR_SYNTAX, "slot of a queue entry");
    if (entry->kind > STORE_QUEUE_FANOUT) return err_make(ERR_SYNTAX, "kind of a queue entry");
    if (entry->recipients_count == 0) return err_make(ERR_SYNTAX, "queue entry for nobody");
    if (entry->recipients_count > MBOX_QUEUE_RECIPIENTS_MAX)
        return err_make(ERR_TOO_BIG, "recipients");
    for (size_t i = 0; i < entry->recipients_count; i++)
        if (entry->recipients[i].state > STORE_RCPT_EXPIRED)
            return err_make(ERR_SYNTAX, "state of a recipient");
    return err_ok();
}

struct err mbox_queue_get(struct kv_reader *rows, uint32_t slot, struct span id,
                          struct arena *arena, struct mbox_queued *ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct mbox_queue_row row;
    struct mbox_queued queued;
    mbox_queue_key(KV_QUEUE, slot, id, &key);
    TRY(mbox_get(rows, &key, &value));
    struct err err = mbox_queue_read(value.bytes, &row);
    if (err.code == ERR_OK)
        err = proto_unpack(&store_queue_entry_type, row.entry, arena, &queued.entry);
    if (err.code == ERR_OK) {
        queued.chunks = row.chunks;
        queued.stored_bytes = row.stored_bytes;
        if (mbox_queue_check(&queued.entry).code != ERR_OK || queued.entry.slot != slot)
            err = err_make(ERR_CORRUPT, "QUEUE row");
    }
    kv_value_free(&value);
    if (err.code == ERR_SYNTAX) return err_make(ERR_CORRUPT, "QUEUE row");
    TRY(err);
    *ret = queued;
    return err_ok();
}

struct err mbox_queue_put(struct mbox_work *work, const struct mbox_queued *queued)
{
    struct kv_key key;
    struct span packed;
    struct mbox_queue_row row = { queued->chunks, queued->stored_bytes, SPAN("") };
    TRY(proto_pack(&store_queue_entry_type, &queued->entry, work->arena, &packed));
    if (packed.len > MBOX_QUEUE_ENTRY_MAX_BYTES) return err_make(ERR_TOO_BIG, "queue entry");
    mbox_queue_key(KV_QUEUE, queued->entry.slot, queued->entry.id, &key);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key),
                                 MBOX_QUEUE_HEAD_BYTES + packed.len);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    mbox_queue_head(&row, to);
    memcpy(to + MBOX_QUEUE_HEAD_BYTES, packed.ptr, packed.len);
    return err_ok();
}

uint64_t mbox_queue_wake_ms(const struct store_queue_entry *entry)
{
    return entry->lease_until_ms > entry->due_ms ? entry->lease_until_ms : entry->due_ms;
}

static void due_key(const struct store_queue_entry *entry, struct kv_key *key)
{
    struct kv_owner owner = { (uint16_t)entry->slot, 0, 0 };
    kv_key_begin(key, &owner, KV_QUEUE_DUE);
    kv_key_u64(key, mbox_queue_wake_ms(entry));
    kv_key_bytes(key, entry->id);
}

void mbox_queue_due_put(struct mbox_work *work, const struct store_queue_entry *entry)
{
    static const char row[1] = { MBOX_ROW_VERSION };
    struct kv_key key;
    due_key(entry, &key);
    kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
}

void mbox_queue_due_delete(struct mbox_work *work, const struct store_queue_entry *entry)
{
    struct kv_key key;
    due_key(entry, &key);
    kv_batch_delete(&work->batch, kv_key_span(&key));
}

bool mbox_queue_set_due(struct store_queue_entry *entry)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < entry->recipients_count; i++) {
        const struct store_queue_recipient *recipient = &entry->recipients[i];
        if (recipient->state == STORE_RCPT_WAITING && recipient->due_ms < due)
            due = recipient->due_ms;
    }
    if (due == UINT64_MAX) return false;
    entry->due_ms = due;
    return true;
}
