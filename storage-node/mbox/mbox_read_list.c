/* MailboxList: the MAILBOX rows hold the names, so they are walked once and sorted; SUBSCRIPTION
 * rows come in order and are merged in. */
#include <stdlib.h>

#include "mail_flags.h"
#include "mbox_index.h"
#include "mbox_read_private.h"
#include "store_msg.h"

struct listing {
    const struct mbox_context *context;
    struct mbox_index *index;
    bool deleted_bytes;
    struct kv_owner owner;
    struct arena *arena;
    struct store_mailbox *boxes;
    size_t count, size;
};

static int compare_names(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_boxes(const void *a, const void *b)
{
    const struct store_mailbox *left = a, *right = b;
    return compare_names(left->name, right->name);
}

/* The mailbox of that name among the first `count`, which are sorted. */
static struct store_mailbox *find(const struct listing *list, size_t count, struct span name)
{
    struct store_mailbox wanted = { .name = name };
    return bsearch(&wanted, list->boxes, count, sizeof(wanted), compare_boxes);
}

static struct err add(struct listing *list, const struct store_mailbox *box)
{
    if (list->count == list->size) return err_make(ERR_TOO_BIG, "mailboxes");
    list->boxes[list->count++] = *box;
    return err_ok();
}

/* The sizes of the messages with \Deleted (RFC 9208 4.1.4): the index says which they are. */
static struct err sum_deleted(struct listing *list, uint32_t id, const struct uid_set *uids,
                              uint64_t *ret)
{
    struct mbox_walk walk;
    TRY(mbox_walk_open(list->context->rows, &list->owner, id, uid_set_bytes(uids), false, 0,
                       &walk));
    struct err err;
    while ((err = mbox_walk_next(&walk)).code == ERR_OK) *ret += walk.message.size;
    mbox_walk_close(&walk);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err count_deleted(struct listing *list, struct store_mailbox *box)
{
    struct mbox_view view;
    struct uid_set uids;
    if (!list->deleted_bytes || box->deleted == 0) return err_ok();
    struct err err = mbox_view_open(list->index, list->context->rows, &list->owner, box->id, &view);
    if (err.code == ERR_NOT_FOUND) return err_ok(); /* deleted meanwhile */
    TRY(err);
    uid_set_init(&uids, MBOX_COMMAND_MESSAGES_MAX);
    for (uint32_t i = 0; err.code == ERR_OK && i < view.places; i++) {
        bool deleted = view.modseqs[i] != 0 && (view.flags[i] & MAIL_FLAG_DELETED) != 0;
        if (deleted) err = uid_set_add(&uids, view.uids[i], view.uids[i]);
    }
    mbox_view_close(&view);
    if (err.code == ERR_OK && uids.count > 0) {
        err = sum_deleted(list, box->id, &uids, &box->deleted_bytes);
    }
    uid_set_free(&uids);
    return err;
}

static struct err add_row(struct listing *list, struct span tail, struct span value)
{
    struct mbox_mailbox row;
    struct store_mailbox box;
    uint32_t id;
    if (!kv_key_take_u32(&tail, &id)) return err_make(ERR_CORRUPT, "key of a MAILBOX row");
    TRY(mbox_mailbox_read(value, &row));
    if (row.state & MBOX_MAILBOX_DYING) return err_ok();
    TRY(mbox_reply_mailbox(list->arena, list->owner.account, id, &row, &box));
    TRY(count_deleted(list, &box));
    return add(list, &box);
}

/* A name that is subscribed: marks the mailbox, or stands for itself. */
static struct err add_subscription(struct listing *list, struct span name, size_t boxes)
{
    struct store_mailbox *found = find(list, boxes, name);
    struct store_mailbox alone = { .subscribed = true };
    if (found != NULL) {
        found->subscribed = true;
        return err_ok();
    }
    TRY(arena_copy(list->arena, name, &alone.name));
    return add(list, &alone);
}

/* All rows of a kind. */
static struct err each(struct listing *list, struct kv_iter *it, enum kv_kind kind)
{
    struct kv_key prefix;
    size_t boxes = list->count;
    kv_key_begin(&prefix, &list->owner, kind);
    for (it->calls->seek(it, kv_key_span(&prefix)); it->calls->valid(it); it->calls->next(it)) {
        struct span key = it->calls->key(it), tail;
        if (!span_eq(span_head(key, prefix.len), kv_key_span(&prefix))) break;
        tail = span_skip(key, prefix.len);
        if (kind == KV_MAILBOX)
            TRY(add_row(list, tail, it->calls->value(it)));
        else
            TRY(add_subscription(list, tail, boxes));
    }
    return it->calls->status(it);
}

static void mark_parents(struct listing *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct span parent = list->boxes[i].name;
        if (list->boxes[i].id == 0) continue;
        while (mbox_name_parent(parent, &parent)) {
            struct store_mailbox *found = find(list, list->count, parent);
            if (found != NULL) found->has_children = true;
        }
    }
}

static struct err list_all(struct listing *list)
{
    struct mbox_counters counters;
    struct kv_iter *it;
    TRY(mbox_read_counters(list->context->rows, &list->owner, &counters));
    /* A commit between this row and the next may add some. */
    list->size = (size_t)counters.mailboxes + counters.subscriptions + 16;
    list->boxes = arena_alloc(list->arena, list->size * sizeof(*list->boxes));
    if (list->boxes == NULL) return err_make(ERR_NOMEM, "mailboxes");
    TRY(kv_iter_new(list->context->rows, &it));
    struct err err = each(list, it, KV_MAILBOX);
    qsort(list->boxes, list->count, sizeof(*list->boxes), compare_boxes);
    if (err.code == ERR_OK) err = each(list, it, KV_SUBSCRIPTION);
    it->calls->free(it);
    qsort(list->boxes, list->count, sizeof(*list->boxes), compare_boxes);
    mark_parents(list);
    return err;
}

static struct err is_subscribed(struct listing *list, struct span name, bool *ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    kv_key_begin(&key, &list->owner, KV_SUBSCRIPTION);
    kv_key_bytes(&key, name);
    struct err err = mbox_get(list->context->rows, &key, &value);
    kv_value_free(&value);
    *ret = err.code == ERR_OK;
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

/* One name; nothing in the list when there is neither a mailbox nor a subscription. */
static struct err list_one(struct listing *list, struct span name)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct mbox_mailbox row;
    uint32_t id;
    bool subscribed;
    if (name.len > MBOX_NAME_MAX_BYTES) return err_ok();
    list->boxes = arena_alloc(list->arena, sizeof(*list->boxes));
    if (list->boxes == NULL) return err_make(ERR_NOMEM, "mailbox");
    list->size = 1;
    TRY(is_subscribed(list, name, &subscribed));
    kv_key_begin(&key, &list->owner, KV_MAILBOX_NAME);
    kv_key_bytes(&key, name);
    struct err err = mbox_get(list->context->rows, &key, &value);
    if (err.code == ERR_NOT_FOUND)
        return subscribed ? add_subscription(list, name, 0) : err_ok();
    TRY(err);
    err = mbox_name_read(value.bytes, &id);
    kv_value_free(&value);
    TRY(err);
    TRY(mbox_read_mailbox(list->context->rows, &list->owner, id, list->arena, &row));
    struct store_mailbox *box = &list->boxes[list->count++];
    TRY(mbox_reply_mailbox(list->arena, list->owner.account, id, &row, box));
    TRY(count_deleted(list, box));
    box->subscribed = subscribed;
    return mbox_name_has_children(list->context->rows, &list->owner, name, &box->has_children);
}

struct err mbox_read_list(const struct mbox_context *context, struct mbox_index *index,
                          const struct store_mailbox_list_request *request, struct arena *arena,
                          struct store_mailbox_list_reply *reply)
{
    struct listing list = { .context = context, .index = index, .arena = arena,
                            .deleted_bytes = request->deleted_bytes };
    TRY(mbox_read_owner(context, request->tenant, request->account, &list.owner));
    if (request->name.len > 0)
        TRY(list_one(&list, request->name));
    else
        TRY(list_all(&list));
    *reply = (struct store_mailbox_list_reply){ list.boxes, list.count };
    return err_ok();
}
