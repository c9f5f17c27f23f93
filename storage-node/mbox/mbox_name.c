#include "mbox_store_private.h"
#include "utf8.h"

/* The length of the character at the front; 0 for what no name has: controls, what is no UTF-8. */
static size_t name_char(struct span s)
{
    uint32_t value = 0;
    size_t len = utf8_take(s, &value);
    return value < 0x20 || (value >= 0x7f && value < 0xa0) ? 0 : len;
}

bool mbox_name_is_inbox(struct span name) { return span_eq(name, SPAN("INBOX")); }

static struct err check_level(struct span level)
{
    if (level.len == 0) return err_make(ERR_SYNTAX, "empty level of a mailbox name");
    if (level.len > MBOX_LEVEL_MAX_BYTES) return err_make(ERR_TOO_BIG, "level of a mailbox name");
    for (size_t at = 0; at < level.len;) {
        size_t len = name_char(span_skip(level, at));
        if (len == 0) return err_make(ERR_SYNTAX, "mailbox name");
        at += len;
    }
    return err_ok();
}

struct err mbox_name_check(struct span name)
{
    struct span rest = name, level;
    unsigned depth = 0;
    if (name.len > MBOX_NAME_MAX_BYTES) return err_make(ERR_TOO_BIG, "mailbox name");
    for (bool more = true; more; depth++) {
        if (depth == MBOX_DEPTH_MAX) return err_make(ERR_TOO_BIG, "depth of a mailbox name");
        more = span_cut(rest, '/', &level, &rest);
        if (!more) level = rest;
        TRY(check_level(level));
        /* One inbox: its other spellings are no names. */
        if (depth == 0 && span_eq_nocase(level, SPAN("INBOX")) && !mbox_name_is_inbox(level))
            return err_make(ERR_SYNTAX, "INBOX in lower case");
    }
    return err_ok();
}

bool mbox_name_parent(struct span name, struct span *parent)
{
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '/') at--;
    if (at == 0) return false;
    *parent = span_head(name, at - 1);
    return true;
}

bool mbox_name_is_below(struct span name, struct span parent)
{
    return name.len > parent.len + 1 && name.ptr[parent.len] == '/' &&
           span_eq(span_head(name, parent.len), parent);
}

struct err mbox_name_has_children(struct kv_reader *rows, const struct kv_owner *owner,
                                  struct span name, bool *ret)
{
    struct kv_key key;
    struct kv_iter *it;
    kv_key_begin(&key, owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, name);
    kv_key_bytes(&key, SPAN("/"));
    TRY(kv_iter_within(rows, kv_key_span(&key), &it));
    it->calls->seek(it, kv_key_span(&key));
    *ret = it->calls->valid(it) &&
           span_eq(span_head(it->calls->key(it), key.len), kv_key_span(&key));
    struct err err = it->calls->status(it);
    it->calls->free(it);
    return err;
}

void mbox_name_put(struct mbox_work *work, struct mbox_account *account, struct span name,
                   uint32_t id)
{
    struct kv_key key;
    char row[MBOX_NAME_ROW_BYTES];
    kv_key_begin(&key, &account->owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, name);
    mbox_name_write(id, row);
    kv_batch_put(&work->batch, kv_key_span(&key), span_of(row, sizeof(row)));
}

void mbox_name_delete(struct mbox_work *work, struct mbox_account *account, struct span name)
{
    struct kv_key key;
    kv_key_begin(&key, &account->owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, name);
    kv_batch_delete(&work->batch, kv_key_span(&key));
}

/* UIDVALIDITY rises with every mailbox of the account, so that a name made again never has an old
 * one (RFC 3501 2.3.1.1); seconds, so that it also rises over a restored account. */
static uint32_t next_uidvalidity(const struct mbox_work *work, struct mbox_counters *counters)
{
    uint64_t seconds = work->context->time_ms / 1000;
    uint64_t next = (uint64_t)counters->uidvalidity + 1;
    if (next < seconds) next = seconds;
    if (next > UINT32_MAX) next = UINT32_MAX;
    counters->uidvalidity = (uint32_t)next;
    return counters->uidvalidity;
}

/* One mailbox whose name is free. */
static struct err make_one(struct mbox_work *work, struct mbox_account *account,
                           const struct mbox_make *make, struct mbox_box **ret)
{
    struct mbox_counters *counters = &account->counters;
    if (counters->mailboxes >= MBOX_MAILBOXES_MAX) return err_make(ERR_TOO_BIG, "mailboxes");
    if (counters->next_mailbox == UINT32_MAX) return err_make(ERR_TOO_BIG, "mailbox ids");
    TRY(mbox_work_box_new(work, account, counters->next_mailbox++, ret));
    counters->mailboxes++;
    struct mbox_box *box = *ret;
    box->row = (struct mbox_mailbox){
        .kind = (uint8_t)make->kind,
        .special_use = (uint8_t)make->special_use,
        .uidvalidity = next_uidvalidity(work, counters),
        .uidnext = 1,
        .recent_from = 1,
        .highestmodseq = mbox_work_modseq(account),
        .created_ms = work->context->time_ms,
        .name = make->name,
    };
    box->dirty = true;
    mbox_name_put(work, account, make->name, box->id);
    return mbox_work_note_plain(work, account, box->id, MBOX_WHAT_CREATED);
}

/* Frees the name of a mailbox that was only a name. */
static struct err replace_no_select(struct mbox_work *work, struct mbox_box *box)
{
    struct kv_key key;
    if (!(box->row.state & MBOX_MAILBOX_NO_SELECT)) return err_make(ERR_EXISTS, "mailbox");
    kv_key_begin(&key, &box->account->owner, KV_MAILBOX);
    kv_key_u32(&key, box->id);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    box->removed = true;
    box->account->counters.mailboxes--;
    return mbox_work_note_plain(work, box->account, box->id, MBOX_WHAT_DELETED);
}

struct err mbox_make_parents(struct mbox_work *work, struct mbox_account *account,
                             const struct mbox_make *make)
{
    struct mbox_box *box;
    for (size_t at = 0; at < make->name.len; at++) { /* from the top */
        if (make->name.ptr[at] != '/') continue;
        struct mbox_make parent = { span_head(make->name, at), make->kind, 0 };
        struct err err = mbox_work_box_named(work, account, parent.name, &box);
        if (err.code == ERR_NOT_FOUND) err = make_one(work, account, &parent, &box);
        TRY(err);
    }
    return err_ok();
}

struct err mbox_make_no_select(struct mbox_work *work, struct mbox_account *account,
                               struct span name)
{
    struct mbox_make make = { .name = name };
    struct mbox_box *box;
    TRY(make_one(work, account, &make, &box));
    box->row.state = MBOX_MAILBOX_NO_SELECT;
    return err_ok();
}

struct err mbox_make(struct mbox_work *work, struct mbox_account *account,
                     const struct mbox_make *make, struct mbox_box **ret)
{
    TRY(mbox_name_check(make->name));
    struct mbox_box *box;
    struct err err = mbox_work_box_named(work, account, make->name, &box);
    if (err.code == ERR_OK)
        TRY(replace_no_select(work, box));
    else if (err.code != ERR_NOT_FOUND)
        return err;

    TRY(mbox_make_parents(work, account, make));
    return make_one(work, account, make, ret);
}
