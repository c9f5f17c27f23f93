#include "mbox_read.h"

#include "mail_flags.h"
#include "mbox_account_private.h"
#include "mbox_directory_private.h"
#include "mbox_index.h"
#include "mbox_queue_private.h"
#include "mbox_read_private.h"
#include "mbox_transaction_private.h"
#include "slot.h"

enum { DOMAIN_LIST_MAX = 1000, QUEUE_LIST_MAX = 1000 };

struct read {
    const struct mbox_context *context;
    struct mbox_index *index;
    struct arena *arena;
};

static struct err check_slot(const struct mbox_context *context, uint32_t slot)
{
    if (slot < context->slot_first || slot >= context->slot_end)
        return err_make(ERR_MOVED, "slot of another shard");
    return err_ok();
}

struct err mbox_read_owner(const struct mbox_context *context, uint32_t tenant, uint64_t account,
                           struct kv_owner *ret)
{
    *ret = (struct kv_owner){ slot_of_account(account), tenant, account };
    return check_slot(context, ret->slot);
}

struct err mbox_read_counters(struct kv_reader *rows, const struct kv_owner *owner,
                              struct mbox_counters *ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    kv_key_begin(&key, owner, KV_COUNTERS);
    TRY(mbox_get(rows, &key, &value));
    struct err err = mbox_counters_read(value.bytes, ret);
    kv_value_free(&value);
    return err;
}

struct err mbox_read_mailbox(struct kv_reader *rows, const struct kv_owner *owner, uint32_t id,
                             struct arena *arena, struct mbox_mailbox *ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct span row;
    kv_key_begin(&key, owner, KV_MAILBOX);
    kv_key_u32(&key, id);
    TRY(mbox_get(rows, &key, &value));
    struct err err = arena_copy(arena, value.bytes, &row);
    kv_value_free(&value);
    TRY(err);
    TRY(mbox_mailbox_read(row, ret));
    if (ret->state & MBOX_MAILBOX_DYING) return err_make(ERR_NOT_FOUND, "mailbox");
    return err_ok();
}

struct err mbox_first_unseen(struct kv_reader *rows, const struct kv_owner *owner, uint32_t id,
                             const struct mbox_mailbox *row, struct mbox_first *ret)
{
    struct mbox_walk walk;
    bool known = row->unseen_seq != 0;
    uint32_t seq = known ? row->unseen_seq : 1;
    *ret = (struct mbox_first){ 0, 0 };
    if (row->unseen == 0) return err_ok();
    struct err err = mbox_walk_open(rows, owner, id, SPAN(""), true,
                                    known && row->unseen_uid > 0 ? row->unseen_uid - 1 : 0, &walk);
    TRY(err);
    for (; (err = mbox_walk_next(&walk)).code == ERR_OK; seq++) {
        if (walk.message.flags & MAIL_FLAG_SEEN) continue;
        *ret = (struct mbox_first){ walk.uid, seq };
        break;
    }
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err address_get(const struct read *read,
                              const struct store_address_get_request *request,
                              struct store_address_reply *reply)
{
    struct kv_key key;
    if (request->address.len == 0 || request->address.len > MBOX_ADDRESS_MAX_BYTES)
        return err_make(ERR_SYNTAX, "address");
    TRY(check_slot(read->context, slot_of_name(request->address)));
    mbox_address_key(request->tenant, request->address, &key);
    struct err err = mbox_address_get(read->context->rows, &key, read->arena, reply);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

/* The entries behind `after` that are of the kind asked for. */
static struct err list_domain(const struct read *read,
                              const struct store_domain_list_request *request, struct kv_iter *it,
                              const struct kv_key *prefix, struct store_domain_list_reply *reply)
{
    for (; it->calls->valid(it); it->calls->next(it)) {
        struct span key = it->calls->key(it), local;
        struct store_domain_entry entry = { 0 };
        if (!span_eq(span_head(key, prefix->len), kv_key_span(prefix))) break;
        local = span_skip(key, prefix->len);
        if (span_eq(local, request->after)) continue;
        TRY(mbox_domain_user_read(it->calls->value(it), &entry.kind, &entry.account));
        if (request->kind != 0 && request->kind != entry.kind) continue;
        if (reply->entries_count == request->limit) {
            reply->more = true;
            break;
        }
        TRY(arena_copy(read->arena, local, &entry.local));
        reply->entries[reply->entries_count++] = entry;
    }
    return it->calls->status(it);
}

static struct err domain_list(const struct read *read,
                              const struct store_domain_list_request *request,
                              struct store_domain_list_reply *reply)
{
    struct kv_key prefix, from;
    struct kv_iter *it;
    if (request->limit == 0 || request->limit > DOMAIN_LIST_MAX ||
        request->after.len > MBOX_LOCAL_MAX_BYTES)
        return err_make(ERR_SYNTAX, "bounds of a list");
    TRY(mbox_domain_key(request->tenant, request->domain, &prefix));
    TRY(check_slot(read->context, slot_of_name(request->domain)));
    reply->entries = arena_alloc(read->arena, request->limit * sizeof(*reply->entries));
    if (reply->entries == NULL) return err_make(ERR_NOMEM, "list");
    TRY(kv_iter_within(read->context->rows, kv_key_span(&prefix), &it));
    from.len = 0;
    kv_key_bytes(&from, kv_key_span(&prefix));
    kv_key_bytes(&from, request->after);
    it->calls->seek(it, kv_key_span(&from));
    struct err err = list_domain(read, request, it, &prefix, reply);
    it->calls->free(it);
    return err;
}

static struct err account_get(const struct read *read,
                              const struct store_account_get_request *request,
                              struct store_account_reply *reply)
{
    struct kv_owner owner;
    struct mbox_counters counters;
    TRY(mbox_read_owner(read->context, request->tenant, request->account, &owner));
    TRY(mbox_account_get(read->context->rows, &owner, read->arena, &reply->account));
    reply->has_account = reply->has_usage = true;
    struct err err = mbox_read_counters(read->context->rows, &owner, &counters);
    if (err.code == ERR_NOT_FOUND) return err_ok(); /* a deleted account has none */
    TRY(err);
    mbox_account_usage(read->context, &counters, &reply->usage);
    return err_ok();
}

static struct err open_reply(const struct read *read, const struct kv_owner *owner, uint32_t id,
                             struct store_mailbox_open_reply *reply)
{
    struct mbox_mailbox row;
    struct mbox_first first;
    TRY(mbox_read_mailbox(read->context->rows, owner, id, read->arena, &row));
    if (row.state & MBOX_MAILBOX_NO_SELECT) return err_make(ERR_DENIED, "mailbox");
    TRY(mbox_reply_mailbox(read->arena, owner->account, id, &row, &reply->mailbox));
    reply->has_mailbox = true;
    bool known = read->index != NULL &&
                 mbox_index_first_unseen(read->index, owner, id, &reply->first_unseen);
    if (!known) {
        TRY(mbox_first_unseen(read->context->rows, owner, id, &row, &first));
        reply->first_unseen = first.seq;
    }
    reply->recent_from = row.recent_from;
    reply->keywords_max = MBOX_KEYWORDS_MAX;
    size_t bytes = row.keywords_count * sizeof(row.keywords[0]);
    reply->keywords = arena_alloc(read->arena, bytes + 1);
    if (reply->keywords == NULL) return err_make(ERR_NOMEM, "keywords");
    memcpy(reply->keywords, row.keywords, bytes);
    reply->keywords_count = row.keywords_count;
    return err_ok();
}

static struct err mailbox_open(const struct read *read,
                               const struct store_mailbox_open_request *request,
                               struct store_mailbox_open_reply *reply)
{
    struct kv_owner owner;
    struct kv_key key;
    struct kv_value value = { 0 };
    uint32_t id;
    TRY(mbox_read_owner(read->context, request->tenant, request->account, &owner));
    if (request->name.len == 0 || request->name.len > MBOX_NAME_MAX_BYTES)
        return err_make(ERR_NOT_FOUND, "mailbox");
    kv_key_begin(&key, &owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, request->name);
    TRY(mbox_get(read->context->rows, &key, &value));
    struct err err = mbox_name_read(value.bytes, &id);
    kv_value_free(&value);
    TRY(err);
    return open_reply(read, &owner, id, reply);
}

/* `after` is slot u16 BE | id: a page begins behind that entry. */
static struct err queue_from(const struct mbox_context *context, struct span after,
                             struct kv_key *key, uint32_t *slot)
{
    *slot = context->slot_first;
    if (after.len == 0) {
        mbox_queue_key(KV_QUEUE, *slot, SPAN(""), key);
        return err_ok();
    }
    if (after.len != 2 + MBOX_QUEUE_ID_BYTES) return err_make(ERR_SYNTAX, "after");
    *slot = (uint32_t)((unsigned char)after.ptr[0] << 8 | (unsigned char)after.ptr[1]);
    if (*slot < context->slot_first || *slot >= context->slot_end)
        return err_make(ERR_SYNTAX, "after");
    mbox_queue_key(KV_QUEUE, *slot, span_skip(after, 2), key);
    kv_key_bytes(key, span_of("", 1));
    return err_ok();
}

static struct err list_entry(const struct read *read, uint32_t slot, struct span id,
                             struct store_queue_list_reply *reply)
{
    struct mbox_queued queued;
    char copy[MBOX_QUEUE_ID_BYTES];
    if (id.len != sizeof(copy)) return err_make(ERR_CORRUPT, "key of a QUEUE row");
    memcpy(copy, id.ptr, sizeof(copy));
    TRY(mbox_queue_get(read->context->rows, slot, span_of(copy, sizeof(copy)), read->arena,
                       &queued));
    queued.entry.facts = SPAN("");
    reply->entries[reply->entries_count++] = queued.entry;
    return err_ok();
}

static struct err list_queue(const struct read *read, uint32_t limit, struct kv_iter *it,
                             uint32_t slot, struct store_queue_list_reply *reply)
{
    struct kv_key key;
    while (slot < read->context->slot_end) {
        struct kv_owner owner;
        unsigned kind = 0;
        struct span tail;
        bool here = it->calls->valid(it) &&
                    kv_key_read(it->calls->key(it), &owner, &kind, &tail).code == ERR_OK;
        if (here && owner.slot == slot && kind == KV_QUEUE && owner.tenant == 0) {
            if (reply->entries_count == limit) {
                reply->more = true;
                break;
            }
            TRY(list_entry(read, slot, tail, reply));
            it->calls->next(it);
            continue;
        }
        if (!here) break;
        slot = owner.slot > slot ? owner.slot : slot + 1; /* the next one that has rows */
        if (slot >= read->context->slot_end) break;
        mbox_queue_key(KV_QUEUE, slot, SPAN(""), &key);
        it->calls->seek(it, kv_key_span(&key));
    }
    return it->calls->status(it);
}

static struct err queue_list(const struct read *read,
                             const struct store_queue_list_request *request,
                             struct store_queue_list_reply *reply)
{
    struct kv_key key;
    struct kv_iter *it;
    uint32_t slot;
    if (request->limit == 0 || request->limit > QUEUE_LIST_MAX)
        return err_make(ERR_SYNTAX, "limit");
    TRY(queue_from(read->context, request->after, &key, &slot));
    reply->entries = arena_alloc(read->arena, request->limit * sizeof(*reply->entries));
    if (reply->entries == NULL) return err_make(ERR_NOMEM, "list");
    TRY(kv_iter_new(read->context->rows, &it));
    it->calls->seek(it, kv_key_span(&key));
    struct err err = list_queue(read, request->limit, it, slot, reply);
    it->calls->free(it);
    return err;
}

static struct err intake_state(const struct read *read,
                               const struct store_intake_state_request *request,
                               struct store_intake_state_reply *reply)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct mbox_intake_row row;
    if (request->intake.len != MBOX_INTAKE_ID_BYTES) return err_make(ERR_SYNTAX, "intake");
    TRY(check_slot(read->context, slot_of_name(request->intake)));
    mbox_intake_key(request->intake, &key);
    struct err err = mbox_get(read->context->rows, &key, &value);
    if (err.code == ERR_NOT_FOUND) return err_ok();
    if (err.code == ERR_OK) err = mbox_intake_read(value.bytes, &row);
    if (err.code == ERR_OK) err = arena_copy(read->arena, row.ended, &reply->ended);
    if (err.code == ERR_OK) err = arena_copy(read->arena, row.broken, &reply->broken);
    if (err.code == ERR_OK) reply->turn = row.turn;
    kv_value_free(&value);
    return err;
}

static struct err dispatch(const struct read *read, unsigned method, const void *request,
                           void *reply)
{
    switch (method) {
    case STORE_METHOD_ADDRESS_GET: return address_get(read, request, reply);
    case STORE_METHOD_DOMAIN_LIST: return domain_list(read, request, reply);
    case STORE_METHOD_ACCOUNT_GET: return account_get(read, request, reply);
    case STORE_METHOD_MAILBOX_LIST:
        return mbox_read_list(read->context, read->index, request, read->arena, reply);
    case STORE_METHOD_MAILBOX_OPEN: return mailbox_open(read, request, reply);
    case STORE_METHOD_QUEUE_LIST: return queue_list(read, request, reply);
    case STORE_METHOD_INTAKE_STATE: return intake_state(read, request, reply);
    default: return err_make(ERR_UNSUPPORTED, "not a read with one answer");
    }
}

struct err mbox_read(const struct mbox_context *context, struct mbox_index *index, unsigned method,
                     const void *request, struct arena *arena, const void **reply)
{
    struct read read = { context, index, arena };
    const struct proto_method *row = store_method_find(method);
    if (row == NULL) return err_make(ERR_UNSUPPORTED, "method");
    void *made = arena_alloc(arena, row->reply->size);
    if (made == NULL) return err_make(ERR_NOMEM, "reply");
    TRY(dispatch(&read, method, request, made));
    *reply = made;
    return err_ok();
}

struct err mbox_modseq(const struct mbox_context *context, uint32_t tenant, uint64_t account,
                       uint32_t mailbox, uint64_t *modseq)
{
    struct kv_owner owner;
    struct mbox_counters counters;
    struct mbox_mailbox row;
    struct arena arena;
    TRY(mbox_read_owner(context, tenant, account, &owner));
    if (mailbox == 0) {
        TRY(mbox_read_counters(context->rows, &owner, &counters));
        *modseq = counters.modseq;
        return err_ok();
    }
    arena_init(&arena, MBOX_ARENA_MAX_BYTES);
    struct err err = mbox_read_mailbox(context->rows, &owner, mailbox, &arena, &row);
    if (err.code == ERR_OK) *modseq = row.highestmodseq;
    arena_clear(&arena);
    return err;
}
