#include "mbox_store_private.h"

#include <stdlib.h>

#include "slot.h"
#include "store_msg.h"

void mbox_result_init(struct mbox_result *result)
{
    *result = (struct mbox_result){ 0 };
    arena_init(&result->arena, MBOX_ARENA_MAX_BYTES);
}

void mbox_result_free(struct mbox_result *result)
{
    for (size_t i = 0; i < result->batches_count; i++) kv_batch_free(&result->batches[i]);
    free(result->batches);
    free(result->touched);
    free(result->data);
    arena_clear(&result->arena);
    mbox_result_init(result);
}

void mbox_work_init(struct mbox_work *work, const struct mbox_context *context,
                    struct mbox_result *result)
{
    *work = (struct mbox_work){ .context = context, .result = result, .arena = &result->arena };
    kv_batch_init(&work->batch);
}

static void notes_free(struct mbox_account *account)
{
    for (struct mbox_note *note = account->notes; note != NULL; note = note->next)
        uid_set_free(&note->uids);
    account->notes = NULL;
}

void mbox_work_free(struct mbox_work *work)
{
    for (struct mbox_account *at = work->accounts; at != NULL; at = at->next) {
        notes_free(at);
        mbox_emails_free(at);
    }
    kv_batch_free(&work->batch);
}

void *mbox_work_alloc(struct mbox_work *work, size_t bytes)
{
    return arena_alloc(work->arena, bytes);
}

struct err mbox_work_slot(const struct mbox_work *work, uint32_t slot)
{
    if (slot < work->context->slot_first || slot >= work->context->slot_end)
        return err_make(ERR_MOVED, "slot of another shard");
    return err_ok();
}

struct err mbox_get(struct kv_reader *rows, const struct kv_key *key, struct kv_value *value)
{
    return kv_get(rows, kv_key_span(key), value);
}

struct err mbox_iter_of(struct kv_reader *rows, const struct kv_owner *owner, enum kv_kind kind,
                        struct kv_iter **ret)
{
    struct kv_key prefix;
    kv_key_begin(&prefix, owner, kind);
    return kv_iter_within(rows, kv_key_span(&prefix), ret);
}

struct err mbox_find_near(struct kv_iter *it, const struct kv_key *key, bool *found)
{
    struct span wanted = kv_key_span(key);
    if (it->calls->valid(it) && !span_eq(it->calls->key(it), wanted)) it->calls->next(it);
    if (!it->calls->valid(it) || !span_eq(it->calls->key(it), wanted)) it->calls->seek(it, wanted);
    *found = it->calls->valid(it) && span_eq(it->calls->key(it), wanted);
    return it->calls->status(it);
}

struct err mbox_get_kept(struct mbox_work *work, const struct kv_key *key, struct span *ret)
{
    struct kv_value value = { 0 };
    TRY(mbox_get(work->context->rows, key, &value));
    struct err err = arena_copy(work->arena, value.bytes, ret);
    kv_value_free(&value);
    return err;
}

struct err mbox_work_account(struct mbox_work *work, uint32_t tenant, uint64_t account,
                             struct mbox_account **ret)
{
    for (struct mbox_account *at = work->accounts; at != NULL; at = at->next) {
        if (at->owner.account != account || at->owner.tenant != tenant) continue;
        *ret = at;
        return err_ok();
    }
    struct kv_owner owner = { slot_of_account(account), tenant, account };
    TRY(mbox_work_slot(work, owner.slot));
    struct kv_key key;
    struct kv_value value = { 0 };
    struct mbox_counters counters;
    kv_key_begin(&key, &owner, KV_COUNTERS);
    TRY(mbox_get(work->context->rows, &key, &value));
    struct err err = mbox_counters_read(value.bytes, &counters);
    kv_value_free(&value);
    TRY(err);
    if (counters.state == STORE_ACCOUNT_DELETED) return err_make(ERR_NOT_FOUND, "account");
    struct mbox_account *found = mbox_work_alloc(work, sizeof(*found));
    if (found == NULL) return err_make(ERR_NOMEM, "account");
    found->owner = owner;
    found->counters = found->base = counters;
    found->next = work->accounts;
    work->accounts = found;
    *ret = found;
    return err_ok();
}

struct err mbox_work_box_new(struct mbox_work *work, struct mbox_account *account, uint32_t id,
                             struct mbox_box **ret)
{
    struct mbox_box *box = mbox_work_alloc(work, sizeof(*box));
    if (box == NULL) return err_make(ERR_NOMEM, "mailbox");
    box->account = account;
    box->id = id;
    box->next = account->boxes;
    account->boxes = box;
    *ret = box;
    return err_ok();
}

/* The mailbox whatever its state. */
static struct err find_box(struct mbox_work *work, struct mbox_account *account, uint32_t id,
                           struct mbox_box **ret)
{
    for (struct mbox_box *at = account->boxes; at != NULL; at = at->next) {
        if (at->id != id) continue;
        if (at->removed) return err_make(ERR_NOT_FOUND, "mailbox");
        *ret = at;
        return err_ok();
    }
    struct kv_key key;
    struct span row;
    struct mbox_box *box = NULL;
    kv_key_begin(&key, &account->owner, KV_MAILBOX);
    kv_key_u32(&key, id);
    TRY(mbox_get_kept(work, &key, &row));
    TRY(mbox_work_box_new(work, account, id, &box));
    struct err err = mbox_mailbox_read(row, &box->row);
    if (err.code != ERR_OK) account->boxes = box->next;
    *ret = box;
    return err;
}

struct err mbox_work_box(struct mbox_work *work, struct mbox_account *account, uint32_t id,
                         struct mbox_box **ret)
{
    struct mbox_box *box;
    TRY(find_box(work, account, id, &box));
    if (box->row.state & MBOX_MAILBOX_DYING) return err_make(ERR_NOT_FOUND, "mailbox");
    if (box->row.state & MBOX_MAILBOX_NO_SELECT) return err_make(ERR_DENIED, "mailbox");
    *ret = box;
    return err_ok();
}

struct err mbox_work_box_named(struct mbox_work *work, struct mbox_account *account,
                               struct span name, struct mbox_box **ret)
{
    for (struct mbox_box *at = account->boxes; at != NULL; at = at->next) {
        if (at->removed || (at->row.state & MBOX_MAILBOX_DYING)) continue;
        if (!span_eq(at->row.name, name)) continue;
        *ret = at;
        return err_ok();
    }
    uint32_t id;
    struct kv_key key;
    struct kv_value value = { 0 };
    if (name.len == 0 || name.len > MBOX_NAME_MAX_BYTES)
        return err_make(ERR_NOT_FOUND, "mailbox name");
    kv_key_begin(&key, &account->owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, name);
    TRY(mbox_get(work->context->rows, &key, &value));
    struct err err = mbox_name_read(value.bytes, &id);
    kv_value_free(&value);
    TRY(err);
    struct mbox_box *box;
    TRY(find_box(work, account, id, &box));
    /* Renamed or deleted by this very command. */
    if (!span_eq(box->row.name, name) || (box->row.state & MBOX_MAILBOX_DYING))
        return err_make(ERR_NOT_FOUND, "mailbox");
    *ret = box;
    return err_ok();
}

uint64_t mbox_work_modseq(struct mbox_account *account)
{
    if (account->part_modseq == 0) {
        account->part_modseq = ++account->counters.modseq;
        account->dirty = true;
    }
    return account->part_modseq;
}

static struct err find_note(struct mbox_work *work, struct mbox_account *account, uint32_t mailbox,
                            enum mbox_what what, struct mbox_note **ret)
{
    struct mbox_note **at = &account->notes;
    for (; *at != NULL; at = &(*at)->next) {
        if ((*at)->mailbox != mailbox || (*at)->what != what) continue;
        *ret = *at;
        return err_ok();
    }
    struct mbox_note *note = mbox_work_alloc(work, sizeof(*note));
    if (note == NULL) return err_make(ERR_NOMEM, "change");
    note->mailbox = mailbox;
    note->what = what;
    uid_set_init(&note->uids, MBOX_COMMAND_RANGES_MAX);
    *at = note;
    *ret = note;
    return err_ok();
}

struct err mbox_work_note_plain(struct mbox_work *work, struct mbox_account *account,
                                uint32_t mailbox, enum mbox_what what)
{
    struct mbox_note *note;
    (void)mbox_work_modseq(account);
    return find_note(work, account, mailbox, what, &note);
}

struct err mbox_work_note(struct mbox_work *work, struct mbox_box *box, enum mbox_what what,
                          uint32_t uid)
{
    struct mbox_note *note;
    box->row.highestmodseq = mbox_work_modseq(box->account);
    box->dirty = true;
    TRY(find_note(work, box->account, box->id, what, &note));
    return uid_set_add(&note->uids, uid, uid);
}

/* ---- ending a part */

static void write_box(struct mbox_work *work, struct mbox_box *box)
{
    struct kv_key key;
    kv_key_begin(&key, &box->account->owner, KV_MAILBOX);
    kv_key_u32(&key, box->id);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), mbox_mailbox_bytes(&box->row));
    if (to != NULL) mbox_mailbox_write(&box->row, to);
    box->dirty = false;
}

static void write_changes(struct mbox_work *work, struct mbox_account *account)
{
    struct kv_key key;
    size_t bytes = MBOX_CHANGE_HEAD_BYTES;
    unsigned entries = 0;
    for (struct mbox_note *note = account->notes; note != NULL; note = note->next) {
        bytes += MBOX_CHANGE_ENTRY_BYTES + uid_set_bytes(&note->uids).len;
        entries++;
    }
    kv_key_begin(&key, &account->owner, KV_CHANGE);
    kv_key_u64(&key, account->part_modseq);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), bytes);
    if (to == NULL) return;
    mbox_change_head(work->context->time_ms, entries, to);
    to += MBOX_CHANGE_HEAD_BYTES;
    for (struct mbox_note *note = account->notes; note != NULL; note = note->next) {
        struct span uids = uid_set_bytes(&note->uids);
        struct mbox_change_entry entry = { note->mailbox, (uint8_t)note->what, uids };
        mbox_change_entry(&entry, to);
        to += MBOX_CHANGE_ENTRY_BYTES;
        if (uids.len > 0) memcpy(to, uids.ptr, uids.len);
        to += uids.len;
    }
}

/* Old CHANGE rows go by themselves, some at a time, so that no walk over all accounts is needed. */
static void trim_changes(struct mbox_work *work, struct mbox_account *account)
{
    enum { EVERY = 1024 };
    struct mbox_counters *counters = &account->counters;
    if (account->part_modseq % EVERY != 0 || counters->modseq < MBOX_CHANGES_KEPT) return;
    uint64_t lowest = counters->modseq - MBOX_CHANGES_KEPT + 1;
    if (lowest <= counters->lowest_modseq) return;
    struct kv_key from, end;
    kv_key_begin(&from, &account->owner, KV_CHANGE);
    kv_key_u64(&from, counters->lowest_modseq);
    kv_key_begin(&end, &account->owner, KV_CHANGE);
    kv_key_u64(&end, lowest);
    kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
    counters->lowest_modseq = lowest;
}

static struct err tell_touched(struct mbox_work *work, struct mbox_account *account)
{
    for (struct mbox_note *note = account->notes; note != NULL; note = note->next) {
        struct mbox_touched touched = {
            account->owner.tenant, account->owner.account, note->mailbox, account->part_modseq,
            note->what == MBOX_WHAT_DELETED,
        };
        TRY(mbox_work_touched(work, &touched));
    }
    return err_ok();
}

static struct err end_account(struct mbox_work *work, struct mbox_account *account)
{
    mbox_emails_write(work, account);
    for (struct mbox_box *box = account->boxes; box != NULL; box = box->next)
        if (box->dirty && !box->removed) write_box(work, box);
    if (account->part_modseq != 0) {
        write_changes(work, account);
        trim_changes(work, account);
        TRY(tell_touched(work, account));
    }
    if (account->dirty) {
        struct kv_key key;
        char row[MBOX_COUNTERS_BYTES];
        kv_key_begin(&key, &account->owner, KV_COUNTERS);
        mbox_counters_write(&account->counters, row);
        kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
    }
    account->base = account->counters;
    account->dirty = false;
    account->part_modseq = 0;
    notes_free(account);
    return err_ok();
}

struct err mbox_work_end_part(struct mbox_work *work)
{
    for (struct mbox_account *at = work->accounts; at != NULL; at = at->next)
        TRY(end_account(work, at));
    work->later_bytes = 0;
    if (work->batch.count == 0) return err_ok();
    return mbox_work_push(work, &work->batch);
}

struct err mbox_work_push(struct mbox_work *work, struct kv_batch *batch)
{
    struct mbox_result *result = work->result;
    if (batch->failed) return err_make(ERR_TOO_BIG, "batch");
    if (result->batches_count == result->batches_size) {
        size_t size = result->batches_size == 0 ? 2 : 2 * result->batches_size;
        struct kv_batch *batches = realloc(result->batches, size * sizeof(*batches));
        if (batches == NULL) return err_make(ERR_NOMEM, "batches");
        result->batches = batches;
        result->batches_size = size;
    }
    result->batches[result->batches_count++] = *batch;
    kv_batch_init(batch);
    return err_ok();
}

struct err mbox_work_touched(struct mbox_work *work, const struct mbox_touched *touched)
{
    struct mbox_result *result = work->result;
    if (result->touched_count == result->touched_size) {
        size_t size = result->touched_size == 0 ? 4 : 2 * result->touched_size;
        struct mbox_touched *rows = realloc(result->touched, size * sizeof(*rows));
        if (rows == NULL) return err_make(ERR_NOMEM, "touched mailboxes");
        result->touched = rows;
        result->touched_size = size;
    }
    result->touched[result->touched_count++] = *touched;
    return err_ok();
}
