/* Changes: what a session has to tell its client. New and changed messages come from the index by
 * their MODSEQ; the expunged ones from the CHANGE rows, or, when those are gone that far back, they
 * are every UID that is not there (RFC 7162 3.2.5.2 allows it). */
#include "mbox_fetch.h"
#include "mbox_index.h"
#include "mbox_read_private.h"
#include "store_msg.h"

struct changes {
    const struct store_changes_request *request;
    const struct mbox_view *view;
    struct kv_owner owner;
    struct uid_set expunged;
};

static struct err add_expunged(struct changes *changes, struct span entries)
{
    struct mbox_change_entry entry;
    while (mbox_change_next(&entries, &entry).code == ERR_OK) {
        if (entry.mailbox != changes->request->mailbox || entry.what != MBOX_WHAT_EXPUNGED)
            continue;
        for (size_t at = 0; at < entry.uids.len; at += sizeof(struct uid_range)) {
            struct uid_range range;
            memcpy(&range, entry.uids.ptr + at, sizeof(range));
            TRY(uid_set_add(&changes->expunged, range.first, range.last));
        }
    }
    return err_ok();
}

/* CHANGE rows after `since` up to what the view shows. */
static struct err from_rows(struct changes *changes, struct kv_iter *it)
{
    struct kv_key from, last;
    kv_key_begin(&from, &changes->owner, KV_CHANGE);
    kv_key_u64(&from, changes->request->since + 1);
    kv_key_begin(&last, &changes->owner, KV_CHANGE);
    kv_key_u64(&last, changes->view->highestmodseq);
    for (it->calls->seek(it, kv_key_span(&from)); it->calls->valid(it); it->calls->next(it)) {
        struct span key = it->calls->key(it), entries;
        uint64_t time_ms;
        if (key.len != last.len || memcmp(key.ptr, last.bytes, last.len) > 0) break;
        TRY(mbox_change_read(it->calls->value(it), &time_ms, &entries));
        TRY(add_expunged(changes, entries));
    }
    return it->calls->status(it);
}

/* Every UID given out that has no message. */
static struct err from_gaps(struct changes *changes)
{
    const struct mbox_view *view = changes->view;
    uint32_t behind = 1;
    for (uint32_t i = 0; i < view->places; i++) {
        if (view->modseqs[i] == 0) continue;
        if (view->uids[i] > behind)
            TRY(uid_set_add(&changes->expunged, behind, view->uids[i] - 1));
        behind = view->uids[i] + 1;
    }
    if (view->uidnext > behind)
        TRY(uid_set_add(&changes->expunged, behind, view->uidnext - 1));
    return err_ok();
}

static struct err find_expunged(struct changes *changes, struct kv_reader *rows)
{
    struct mbox_counters counters;
    struct kv_iter *it;
    if (changes->request->since >= changes->view->highestmodseq) return err_ok();
    TRY(mbox_read_counters(rows, &changes->owner, &counters));
    if (changes->request->since + 1 < counters.lowest_modseq) return from_gaps(changes);
    TRY(mbox_iter_of(rows, &changes->owner, KV_CHANGE, &it));
    struct err err = from_rows(changes, it);
    it->calls->free(it);
    return err;
}

static struct err fill(struct changes *changes, struct kv_reader *rows, struct arena *arena,
                       struct store_changes_reply *reply)
{
    struct mbox_mailbox row;
    TRY(mbox_read_mailbox(rows, &changes->owner, changes->request->mailbox, arena, &row));
    TRY(find_expunged(changes, rows));
    TRY(arena_copy(arena, uid_set_bytes(&changes->expunged), &reply->expunged));
    reply->highestmodseq = changes->view->highestmodseq;
    reply->messages = changes->view->messages;
    reply->uidnext = changes->view->uidnext;
    if (row.keywords_modseq <= changes->request->since) return err_ok();
    size_t bytes = row.keywords_count * sizeof(row.keywords[0]);
    reply->keywords = arena_alloc(arena, bytes + 1);
    if (reply->keywords == NULL) return err_make(ERR_NOMEM, "keywords");
    memcpy(reply->keywords, row.keywords, bytes);
    reply->keywords_count = row.keywords_count;
    return err_ok();
}

struct err mbox_changes(const struct mbox_context *context, struct mbox_index *index,
                        const struct store_changes_request *request, struct arena *arena,
                        struct store_changes_reply *reply, struct mbox_view *view)
{
    struct changes changes = { .request = request, .view = view };
    *reply = (struct store_changes_reply){ 0 };
    *view = (struct mbox_view){ 0 };
    TRY(mbox_read_owner(context, request->tenant, request->account, &changes.owner));
    struct err err = mbox_view_open(index, context->rows, &changes.owner, request->mailbox, view);
    if (err.code == ERR_OK) {
        uid_set_init(&changes.expunged, MBOX_COMMAND_RANGES_MAX);
        err = fill(&changes, context->rows, arena, reply);
        uid_set_free(&changes.expunged);
        if (err.code != ERR_OK) mbox_view_close(view);
    }
    if (err.code != ERR_NOT_FOUND) return err;
    *reply = (struct store_changes_reply){ .gone = true };
    return err_ok();
}
