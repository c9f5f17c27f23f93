/* FETCH of facts goes along the FACTS rows with an iterator of their own: emails rise with UIDs but
 * for copies, so the next row is nearly always the one wanted, and else it is sought. */
#include "mbox_fetch.h"

#include <stdlib.h>

#include "mail_stream.h"
#include "mbox_queue_private.h"
#include "mbox_read_private.h"

/* ---- bodies */

static void chunk_key(const struct mbox_body_cursor *cursor, struct kv_key *key)
{
    key->len = 0;
    kv_key_bytes(key, span_of(cursor->prefix, cursor->prefix_len));
    kv_key_u32(key, cursor->chunk);
}

static void set_prefix(struct mbox_body_cursor *cursor, const struct kv_key *key, uint64_t bytes)
{
    cursor->prefix_len = key->len;
    memcpy(cursor->prefix, key->bytes, key->len);
    cursor->chunk = 0;
    cursor->rest = bytes;
}

static void body_prefix(const struct kv_owner *owner, uint64_t email, struct kv_key *key)
{
    kv_key_begin(key, owner, KV_BODY);
    kv_key_u64(key, email);
}

struct err mbox_body_open(struct kv_reader *rows, const struct kv_owner *owner, uint64_t email,
                          uint64_t bytes, struct mbox_body_cursor *ret)
{
    struct kv_key key;
    *ret = (struct mbox_body_cursor){ 0 };
    body_prefix(owner, email, &key);
    set_prefix(ret, &key, bytes);
    return mbox_iter_of(rows, owner, KV_BODY, &ret->iter);
}

struct err mbox_queue_body_open(const struct mbox_context *context, uint32_t slot, struct span id,
                                struct mbox_body_cursor *ret, uint64_t *bytes)
{
    struct kv_key key;
    struct mbox_queued queued;
    struct arena arena;
    if (id.len != MBOX_QUEUE_ID_BYTES) return err_make(ERR_SYNTAX, "queue id");
    if (slot < context->slot_first || slot >= context->slot_end)
        return err_make(ERR_MOVED, "slot of another shard");
    *ret = (struct mbox_body_cursor){ 0 };
    arena_init(&arena, MBOX_ARENA_MAX_BYTES);
    struct err err = mbox_queue_get(context->rows, slot, id, &arena, &queued);
    arena_clear(&arena);
    TRY(err);
    mbox_queue_key(KV_QUEUE_BODY, slot, id, &key);
    set_prefix(ret, &key, queued.stored_bytes);
    *bytes = queued.stored_bytes;
    return kv_iter_within(context->rows, kv_key_span(&key), &ret->iter);
}

struct err mbox_body_next(struct mbox_body_cursor *cursor, struct span *piece)
{
    struct kv_iter *it = cursor->iter;
    struct kv_key key;
    if (cursor->rest == 0) return err_make(ERR_NOT_FOUND, "end of the body");
    bool found;
    chunk_key(cursor, &key);
    TRY(mbox_find_near(it, &key, &found));
    if (!found) return err_make(ERR_CORRUPT, "chunk of a body is missing");
    struct span value = it->calls->value(it);
    if (value.len == 0 || value.len > cursor->rest)
        return err_make(ERR_CORRUPT, "chunk of a body");
    cursor->rest -= value.len;
    cursor->chunk++;
    *piece = value;
    return err_ok();
}

void mbox_body_close(struct mbox_body_cursor *cursor)
{
    if (cursor->iter != NULL) cursor->iter->calls->free(cursor->iter);
    cursor->iter = NULL;
}

/* ---- Fetch */

struct mbox_fetch {
    struct kv_reader *rows;
    struct kv_owner owner;
    uint32_t mailbox;
    uint8_t items;
    uint64_t changed_since;
    struct mbox_walk walk;
    struct kv_iter *facts;
    struct mbox_body_cursor body;
};

enum { ITEMS_ALL = MAIL_RECORD_DATES | MAIL_RECORD_FACTS | MAIL_RECORD_BODY };

static struct err open_cursors(struct mbox_fetch *fetch, const struct store_fetch_request *request)
{
    /* Facts and bodies first: what is new in the later picture of messages is not in theirs, and
     * that shows, while what went in between does no harm. */
    if (fetch->items & MAIL_RECORD_FACTS)
        TRY(mbox_iter_of(fetch->rows, &fetch->owner, KV_FACTS, &fetch->facts));
    if (fetch->items & MAIL_RECORD_BODY)
        TRY(mbox_body_open(fetch->rows, &fetch->owner, 0, 0, &fetch->body));
    return mbox_walk_open(fetch->rows, &fetch->owner, request->mailbox, request->uids,
                          request->uids.len == 0, 0, &fetch->walk);
}

struct err mbox_fetch_open(const struct mbox_context *context,
                           const struct store_fetch_request *request, struct mbox_fetch **ret,
                           uint64_t *highestmodseq)
{
    struct kv_owner owner;
    uint64_t modseq;
    if (request->items > ITEMS_ALL) return err_make(ERR_SYNTAX, "items");
    TRY(mbox_uids_check(request->uids));
    TRY(mbox_read_owner(context, request->tenant, request->account, &owner));
    if (request->mailbox == 0) return err_make(ERR_NOT_FOUND, "mailbox");
    TRY(mbox_modseq(context, request->tenant, request->account, request->mailbox, &modseq));
    struct mbox_fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) return err_make(ERR_NOMEM, "cursor");
    fetch->rows = context->rows;
    fetch->owner = owner;
    fetch->mailbox = request->mailbox;
    fetch->items = (uint8_t)request->items;
    fetch->changed_since = request->changed_since;
    struct err err = open_cursors(fetch, request);
    if (err.code != ERR_OK) {
        mbox_fetch_close(fetch);
        return err;
    }
    *highestmodseq = modseq;
    *ret = fetch;
    return err_ok();
}

void mbox_fetch_close(struct mbox_fetch *fetch)
{
    if (fetch == NULL) return;
    mbox_walk_close(&fetch->walk);
    if (fetch->facts != NULL) fetch->facts->calls->free(fetch->facts);
    mbox_body_close(&fetch->body);
    free(fetch);
}

static struct err find_facts(struct mbox_fetch *fetch, uint64_t email, struct span *ret)
{
    struct kv_iter *it = fetch->facts;
    struct kv_key key;
    kv_key_begin(&key, &fetch->owner, KV_FACTS);
    kv_key_u64(&key, email);
    bool found;
    TRY(mbox_find_near(it, &key, &found));
    if (!found) return err_make(ERR_CORRUPT, "FACTS row is missing");
    *ret = it->calls->value(it);
    return err_ok();
}

static struct err find_body(struct mbox_fetch *fetch, uint64_t email, uint32_t bytes,
                            struct span *piece)
{
    struct kv_key key;
    body_prefix(&fetch->owner, email, &key);
    set_prefix(&fetch->body, &key, bytes);
    *piece = SPAN("");
    return bytes == 0 ? err_ok() : mbox_body_next(&fetch->body, piece);
}

/* The parts that the request asks for. */
static struct err fill(struct mbox_fetch *fetch, struct mail_record *record, struct span *piece)
{
    const struct mbox_message *message = &fetch->walk.message;
    *record = (struct mail_record){
        .items = fetch->items,
        .uid = fetch->walk.uid,
        .flags = message->flags,
        .modseq = message->modseq,
        .internaldate_ms = message->internaldate_ms,
        .savedate_ms = message->savedate_ms,
        .size = message->size,
        .email_id = message->email,
        .thread_id = message->thread,
        .facts = SPAN(""),
        .body = SPAN(""),
    };
    *piece = SPAN("");
    if (fetch->items & MAIL_RECORD_FACTS) TRY(find_facts(fetch, message->email, &record->facts));
    if (!(fetch->items & MAIL_RECORD_BODY)) return err_ok();
    TRY(find_body(fetch, message->email, message->stored_bytes, piece));
    record->body = span_of(piece->ptr, message->stored_bytes);
    return err_ok();
}

/* Whether the message that the walk stands on is still there now. */
static bool is_gone(struct mbox_fetch *fetch)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    kv_key_begin(&key, &fetch->owner, KV_MESSAGE);
    kv_key_u32(&key, fetch->mailbox);
    kv_key_u32(&key, fetch->walk.uid);
    struct err err = mbox_get(fetch->rows, &key, &value);
    kv_value_free(&value);
    return err.code == ERR_NOT_FOUND;
}

/* Newer pictures for facts and bodies: a message came in while the cursor was opened. */
static struct err renew_cursors(struct mbox_fetch *fetch)
{
    if (fetch->facts != NULL) {
        fetch->facts->calls->free(fetch->facts);
        fetch->facts = NULL;
        TRY(mbox_iter_of(fetch->rows, &fetch->owner, KV_FACTS, &fetch->facts));
    }
    if (fetch->body.iter == NULL) return err_ok();
    mbox_body_close(&fetch->body);
    return mbox_body_open(fetch->rows, &fetch->owner, 0, 0, &fetch->body);
}

struct err mbox_fetch_next(struct mbox_fetch *fetch, struct mail_record *record,
                           struct span *piece)
{
    for (;;) {
        TRY(mbox_walk_next(&fetch->walk));
        if (fetch->walk.message.modseq <= fetch->changed_since) continue;
        struct err err = fill(fetch, record, piece);
        if (err.code != ERR_CORRUPT) return err;
        if (is_gone(fetch)) continue;
        TRY(renew_cursors(fetch));
        return fill(fetch, record, piece);
    }
}

struct err mbox_fetch_piece(struct mbox_fetch *fetch, struct span *piece)
{
    if (!(fetch->items & MAIL_RECORD_BODY)) return err_make(ERR_NOT_FOUND, "no body asked for");
    return mbox_body_next(&fetch->body, piece);
}
