/* Forgetting CHANGE rows: of one account, or of all accounts of a shard in bounded steps. */
#include "mbox_maintain.h"
#include "mbox_maintain_private.h"

enum {
    STEP_ACCOUNTS = 64, /* looked at in one step */
    STEP_CHANGES = 4096, /* rows of theirs that are gone through */
};

/* How far an account's rows may go. */
struct cut {
    uint64_t before_ms;
    uint64_t rows;     /* of the newest that are kept */
    uint64_t look_max; /* rows that may be gone through; what was gone through is taken off */
};

/* The lowest MODSEQ whose row is kept. */
static struct err lowest_kept(struct mbox_work *work, const struct mbox_account *account,
                              struct cut *cut, uint64_t *ret)
{
    struct kv_key key;
    struct kv_iter *it;
    const struct mbox_counters *counters = &account->counters;
    uint64_t lowest = counters->modseq > cut->rows ? counters->modseq - cut->rows + 1 : 1;
    if (lowest < counters->lowest_modseq) lowest = counters->lowest_modseq;
    kv_key_begin(&key, &account->owner, KV_CHANGE);
    kv_key_u64(&key, lowest);
    TRY(mbox_iter_of(work->context->rows, &account->owner, KV_CHANGE, &it));
    it->calls->seek(it, kv_key_span(&key));
    struct err err = err_ok();
    for (; cut->look_max > 0 && it->calls->valid(it); it->calls->next(it), cut->look_max--) {
        struct span tail = it->calls->key(it), entries;
        uint64_t time_ms, modseq;
        if (!span_eq(span_head(tail, KV_KEY_HEAD_BYTES), span_of(key.bytes, KV_KEY_HEAD_BYTES)))
            break;
        err = mbox_change_read(it->calls->value(it), &time_ms, &entries);
        if (err.code != ERR_OK || time_ms >= cut->before_ms) break;
        tail = span_skip(tail, KV_KEY_HEAD_BYTES);
        if (kv_key_take_u64(&tail, &modseq)) lowest = modseq + 1;
    }
    if (err.code == ERR_OK) err = it->calls->status(it);
    it->calls->free(it);
    *ret = lowest;
    return err;
}

static struct err trim_account(struct mbox_work *work, uint32_t tenant, uint64_t number,
                               struct cut *cut)
{
    struct mbox_account *account;
    struct kv_key from, end;
    uint64_t lowest;
    TRY(mbox_work_account(work, tenant, number, &account));
    TRY(lowest_kept(work, account, cut, &lowest));
    if (lowest <= account->counters.lowest_modseq) return err_ok();
    kv_key_begin(&from, &account->owner, KV_CHANGE);
    kv_key_u64(&from, account->counters.lowest_modseq);
    kv_key_begin(&end, &account->owner, KV_CHANGE);
    kv_key_u64(&end, lowest);
    kv_batch_delete_range(&work->batch, kv_key_span(&from), kv_key_span(&end));
    account->counters.lowest_modseq = lowest;
    account->dirty = true;
    return err_ok();
}

struct err mbox_trim_changes(const struct mbox_context *context,
                             const struct mbox_trim_changes *trim, struct mbox_result *result)
{
    struct mbox_work work;
    struct cut cut = { trim->before_ms, trim->rows, UINT64_MAX };
    mbox_work_init(&work, context, result);
    return mbox_maintain_finish(&work, trim_account(&work, trim->tenant, trim->account, &cut));
}

/* ---- all accounts */

/* Goes to the first account behind `*at`, whose number is never 0. ERR_NOT_FOUND: there is none. */
static struct err next_account(const struct mbox_context *context, struct kv_iter *it,
                               struct kv_owner *at)
{
    for (;;) {
        struct kv_key key;
        struct kv_owner found;
        unsigned kind;
        struct span tail;
        at->account++;
        kv_key_begin(&key, at, KV_ACCOUNT);
        it->calls->seek(it, kv_key_span(&key));
        TRY(it->calls->status(it));
        if (!it->calls->valid(it)) return err_make(ERR_NOT_FOUND, "end of the shard");
        TRY(kv_key_read(it->calls->key(it), &found, &kind, &tail));
        if (found.slot >= context->slot_end) return err_make(ERR_NOT_FOUND, "end of the shard");
        *at = found;
        if (found.account != 0) return err_ok(); /* else rows of a slot or a tenant: past them */
    }
}

/* Whether the account's oldest change is one to be forgotten: most are left after one look. */
static struct err has_old(struct kv_iter *it, const struct kv_owner *owner, uint64_t before_ms,
                          bool *ret)
{
    struct kv_key key;
    struct span entries;
    uint64_t time_ms = 0;
    kv_key_begin(&key, owner, KV_CHANGE);
    it->calls->seek(it, kv_key_span(&key));
    TRY(it->calls->status(it));
    *ret = false;
    if (!it->calls->valid(it)) return err_ok();
    if (!span_eq(span_head(it->calls->key(it), KV_KEY_HEAD_BYTES), kv_key_span(&key)))
        return err_ok();
    TRY(mbox_change_read(it->calls->value(it), &time_ms, &entries));
    *ret = time_ms < before_ms;
    return err_ok();
}

static struct err trim_next(struct mbox_work *work, struct kv_iter *it, struct kv_owner *at,
                            struct cut *cut)
{
    struct kv_owner owner = *at;
    bool old = false;
    TRY(next_account(work->context, it, &owner));
    TRY(has_old(it, &owner, cut->before_ms, &old));
    if (old) {
        struct err err = trim_account(work, owner.tenant, owner.account, cut);
        /* One that is being deleted: its rows go with it. */
        if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) return err;
    }
    if (cut->look_max > 0) *at = owner; /* else this account has more */
    return err_ok();
}

struct err mbox_trim_tombstones(const struct mbox_context *context, uint64_t before_ms,
                                struct mbox_trim_at *at, struct mbox_result *result)
{
    struct mbox_work work;
    struct kv_iter *it;
    struct cut cut = { before_ms, UINT64_MAX, STEP_CHANGES };
    struct kv_owner owner = { at->slot, at->tenant, at->account };
    if (owner.slot < context->slot_first) owner.slot = (uint16_t)context->slot_first;
    TRY(kv_iter_new(context->rows, &it));
    mbox_work_init(&work, context, result);
    struct err err = err_ok();
    for (unsigned i = 0; i < STEP_ACCOUNTS && cut.look_max > 0 && err.code == ERR_OK; i++) {
        err = trim_next(&work, it, &owner, &cut);
    }
    it->calls->free(it);
    result->more = err.code == ERR_OK;
    *at = (struct mbox_trim_at){ owner.slot, owner.tenant, owner.account };
    return mbox_maintain_finish(&work, err);
}
