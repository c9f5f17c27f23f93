/* EMAIL rows: how many MESSAGE rows share the facts and the body of one mail.
 *
 * A command may meet an email several times, in one part or in later ones, and the rows that its
 * parts wrote are not readable yet: so each is read once and then counted here. */
#include <stdlib.h>

#include "body.h"
#include "facts.h"
#include "mbox_store_private.h"

enum { TABLE_FIRST = 64, PUT_BYTES = 64, CHUNK_DELETE_BYTES = 40 };

static void email_key(const struct mbox_account *account, enum kv_kind kind, uint64_t email,
                      struct kv_key *key)
{
    kv_key_begin(key, &account->owner, kind);
    kv_key_u64(key, email);
}

static void email_put(struct mbox_work *work, const struct mbox_account *account, uint64_t email,
                      const struct mbox_email *row)
{
    struct kv_key key;
    email_key(account, KV_EMAIL, email, &key);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), MBOX_EMAIL_BYTES);
    if (to != NULL) mbox_email_write(row, to);
}

/* Where the email is in the table, or where it would be. */
static struct mbox_email_slot *find_slot(const struct mbox_emails *emails, uint64_t email)
{
    size_t at = (size_t)(email * 0x9e3779b97f4a7c15 >> 32) & (emails->size - 1);
    while (emails->slots[at].email != 0 && emails->slots[at].email != email)
        at = (at + 1) & (emails->size - 1);
    return &emails->slots[at];
}

/* Room for one more; the table is at most half full. */
static struct err reserve(struct mbox_emails *emails)
{
    if (emails->size > 2 * emails->count) return err_ok();
    struct mbox_emails larger = { .size = emails->size == 0 ? TABLE_FIRST : 2 * emails->size };
    larger.slots = calloc(larger.size, sizeof(*larger.slots));
    if (larger.slots == NULL) return err_make(ERR_NOMEM, "emails of a command");
    for (size_t i = 0; i < emails->size; i++)
        if (emails->slots[i].email != 0)
            *find_slot(&larger, emails->slots[i].email) = emails->slots[i];
    free(emails->slots);
    emails->slots = larger.slots;
    emails->size = larger.size;
    return err_ok();
}

/* Reads the row: commands go through emails in about their order, so the next row is often it. */
static struct err read_row(struct mbox_work *work, struct mbox_account *account, uint64_t email,
                           struct mbox_email *ret)
{
    struct kv_key key;
    struct mbox_emails *emails = &account->emails;
    email_key(account, KV_EMAIL, email, &key);
    if (emails->iter == NULL)
        TRY(mbox_iter_of(work->context->rows, &account->owner, KV_EMAIL, &emails->iter));
    bool found;
    TRY(mbox_find_near(emails->iter, &key, &found));
    if (!found) return err_make(ERR_CORRUPT, "message without its EMAIL row");
    return mbox_email_read(emails->iter->calls->value(emails->iter), ret);
}

struct err mbox_email_change(struct mbox_work *work, struct mbox_account *account, uint64_t email,
                             bool more)
{
    struct mbox_emails *emails = &account->emails;
    if (email == 0) return err_make(ERR_CORRUPT, "email number");
    TRY(reserve(emails));
    struct mbox_email_slot *slot = find_slot(emails, email);
    if (slot->email == 0) {
        TRY(read_row(work, account, email, &slot->row));
        slot->email = email;
        emails->count++;
    }
    if (!slot->dirty) work->later_bytes += PUT_BYTES + CHUNK_DELETE_BYTES * (2 + slot->row.chunks);
    slot->dirty = true;
    if (!more && slot->row.refs == 0) return err_make(ERR_CORRUPT, "references of an EMAIL row");
    slot->row.refs += more ? 1 : (uint32_t)-1;
    return err_ok();
}

static void delete_email(struct mbox_work *work, const struct mbox_account *account,
                         const struct mbox_email_slot *slot)
{
    struct kv_key key;
    email_key(account, KV_EMAIL, slot->email, &key);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    email_key(account, KV_FACTS, slot->email, &key);
    kv_batch_delete(&work->batch, kv_key_span(&key));
    email_key(account, KV_BODY, slot->email, &key);
    mbox_body_delete(work, &key, slot->row.chunks);
}

void mbox_emails_write(struct mbox_work *work, struct mbox_account *account)
{
    for (size_t i = 0; i < account->emails.size; i++) {
        struct mbox_email_slot *slot = &account->emails.slots[i];
        if (slot->email == 0 || !slot->dirty) continue;
        slot->dirty = false;
        if (slot->row.refs == 0)
            delete_email(work, account, slot);
        else
            email_put(work, account, slot->email, &slot->row);
    }
}

void mbox_emails_free(struct mbox_account *account)
{
    if (account->emails.iter != NULL) account->emails.iter->calls->free(account->emails.iter);
    free(account->emails.slots);
    account->emails = (struct mbox_emails){ 0 };
}

struct err mbox_email_add(struct mbox_work *work, struct mbox_account *account, struct span facts,
                          struct body *body, struct mbox_message *message)
{
    return mbox_email_add_slice(work, account, facts, mbox_slice_of(body), message);
}

struct err mbox_email_add_slice(struct mbox_work *work, struct mbox_account *account,
                                struct span facts, struct mbox_slice slice,
                                struct mbox_message *message)
{
    struct facts read;
    struct kv_key key;
    struct kv_owner slot = { account->owner.slot, 0, 0 };
    struct mbox_body_place place = { .account = account };
    struct err err = facts_read(facts, &read);
    if (err.code == ERR_CORRUPT) return err_make(ERR_SYNTAX, "facts");
    TRY(err);
    uint64_t email = account->counters.next_email++;
    account->base.next_email = account->counters.next_email;
    account->dirty = true;

    email_key(account, KV_BODY, email, &place.chunks);
    kv_key_begin(&place.pending, &slot, KV_PENDING_BODY);
    kv_key_u32(&place.pending, account->owner.tenant);
    kv_key_u64(&place.pending, account->owner.account);
    kv_key_u64(&place.pending, email);
    struct mbox_email row = { .refs = 1, .stored_bytes = slice.bytes };
    if (row.stored_bytes > UINT32_MAX) return err_make(ERR_TOO_BIG, "body");
    TRY(mbox_body_write(work, &place, slice, &row.chunks));
    email_key(account, KV_FACTS, email, &key);
    kv_batch_put(&work->batch, kv_key_span(&key), facts);
    email_put(work, account, email, &row);
    message->email = email;
    message->thread = mbox_thread(read.fields);
    message->facts_version = (uint8_t)facts.ptr[0];
    message->stored_bytes = (uint32_t)row.stored_bytes;
    return err_ok();
}
