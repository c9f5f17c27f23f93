/* An entry that is being loaded keeps what batches do to its mailbox meanwhile, and plays it over
 * what was read: the rows are read after the entry is there, so nothing is missed, and what is in
 * both comes out the same. */
#include "mbox_index.h"

#include <pthread.h>
#include <stdlib.h>

#include "kv.h"
#include "kv_key.h"
#include "list.h"
#include "map.h"
#include "mbox_index_private.h"
#include "mbox_rows.h"

enum { ENTRY_KEY_BYTES = 16, ENTRY_BYTES = 256, MISSED_MAX = 1 << 20 };

struct missed {
    uint32_t uid;
    uint64_t flags, modseq; /* modseq 0: removed */
};

struct entry {
    char key[ENTRY_KEY_BYTES]; /* tenant, account, mailbox */
    uint16_t slot;
    uint32_t mailbox;
    struct list in_use; /* least recently used first; alone while loading */
    bool loading, dropped; /* dropped: the loader frees it */
    struct mbox_loaded loaded;
    struct missed *missed;
    size_t missed_count, missed_size;
};

struct mbox_index {
    pthread_mutex_t lock;
    struct map entries;
    struct list in_use;
    uint64_t bytes, bytes_max, hits, misses;
};

struct mbox_index *mbox_index_new(uint64_t bytes_max)
{
    struct mbox_index *index = calloc(1, sizeof(*index));
    if (index == NULL || pthread_mutex_init(&index->lock, NULL) != 0) {
        free(index);
        return NULL;
    }
    map_init(&index->entries, MBOX_INDEX_MAILBOXES_MAX);
    list_init(&index->in_use);
    index->bytes_max = bytes_max;
    return index;
}

static void make_key(const struct kv_owner *owner, uint32_t mailbox, char key[ENTRY_KEY_BYTES])
{
    memcpy(key, &owner->tenant, 4);
    memcpy(key + 4, &owner->account, 8);
    memcpy(key + 12, &mailbox, 4);
}

static struct entry *find(struct mbox_index *index, const struct kv_owner *owner, uint32_t mailbox)
{
    char key[ENTRY_KEY_BYTES];
    make_key(owner, mailbox, key);
    return map_get(&index->entries, span_of(key, sizeof(key)));
}

static uint64_t entry_bytes(const struct entry *entry)
{
    uint64_t places = entry->loaded.block == NULL ? 0 : entry->loaded.block->size;
    return ENTRY_BYTES + places * MBOX_INDEX_MESSAGE_BYTES;
}

static void entry_free(struct entry *entry)
{
    mbox_block_unref(entry->loaded.block);
    free(entry->missed);
    free(entry);
}

/* Takes the entry out; whoever loads it frees it later. */
static void drop(struct mbox_index *index, struct entry *entry)
{
    (void)map_remove(&index->entries, span_of(entry->key, sizeof(entry->key)));
    if (entry->loading) {
        entry->dropped = true;
        return;
    }
    index->bytes -= entry_bytes(entry);
    list_remove(&entry->in_use);
    entry_free(entry);
}

static void shrink(struct mbox_index *index, const struct entry *keep)
{
    while (index->bytes > index->bytes_max && !list_is_empty(&index->in_use)) {
        struct entry *entry = LIST_ITEM(index->in_use.next, struct entry, in_use);
        if (entry == keep) return;
        drop(index, entry);
    }
}

/* ---- batches */

static bool miss(struct entry *entry, uint32_t uid, uint64_t flags, uint64_t modseq)
{
    if (entry->missed_count == entry->missed_size) {
        size_t size = entry->missed_size == 0 ? 16 : 2 * entry->missed_size;
        struct missed *missed =
            size > MISSED_MAX ? NULL : realloc(entry->missed, size * sizeof(*missed));
        if (missed == NULL) return false;
        entry->missed = missed;
        entry->missed_size = size;
    }
    entry->missed[entry->missed_count++] = (struct missed){ uid, flags, modseq };
    return true;
}

static bool change(struct entry *entry, uint32_t uid, uint64_t flags, uint64_t modseq)
{
    if (entry->loading) return miss(entry, uid, flags, modseq);
    if (modseq == 0) return mbox_block_remove(&entry->loaded.block, uid);
    return mbox_block_set(&entry->loaded.block, uid, flags, modseq);
}

static struct entry *begin_load(struct mbox_index *index, const struct kv_owner *owner,
                                uint32_t mailbox);
static void end_load(struct mbox_index *index, struct entry *entry, struct mbox_loaded *loaded);

/* A mailbox in which nothing has ever been needs no loading: it is taken in as it begins, and what
 * is put into it is known before anybody asks. Not at the cost of those that were asked for. */
static void begin_empty(struct mbox_index *index, const struct kv_owner *owner, uint32_t mailbox,
                        struct span value)
{
    struct mbox_mailbox row;
    if (index->bytes > index->bytes_max / 2) return;
    if (mbox_mailbox_read(value, &row).code != ERR_OK || row.uidnext != 1 ||
        (row.state & (MBOX_MAILBOX_DYING | MBOX_MAILBOX_NO_SELECT)))
        return;
    struct entry *entry = begin_load(index, owner, mailbox);
    if (entry == NULL) return;
    struct mbox_loaded empty = { mbox_block_new(0), row.uidnext, row.highestmodseq };
    end_load(index, entry, &empty);
    mbox_block_unref(empty.block);
}

static void change_mailbox(struct mbox_index *index, struct entry *entry, struct span value)
{
    struct mbox_mailbox row;
    bool good = mbox_mailbox_read(value, &row).code == ERR_OK;
    if (!good || (row.state & (MBOX_MAILBOX_DYING | MBOX_MAILBOX_NO_SELECT))) {
        drop(index, entry);
        return;
    }
    if (row.highestmodseq > entry->loaded.highestmodseq)
        entry->loaded.highestmodseq = row.highestmodseq;
    if (row.uidnext > entry->loaded.uidnext) entry->loaded.uidnext = row.uidnext;
}

static void change_message(struct mbox_index *index, struct entry *entry, uint32_t uid,
                           const struct kv_change *row)
{
    struct mbox_message message = { 0 };
    bool good = row->op == KV_DELETE || mbox_message_read(row->value, &message).code == ERR_OK;
    uint64_t before = entry_bytes(entry);
    good = good && change(entry, uid, message.flags, row->op == KV_DELETE ? 0 : message.modseq);
    if (!entry->loading) index->bytes += entry_bytes(entry) - before;
    if (!good) drop(index, entry);
    else shrink(index, entry);
}

/* Drops what a deleted range touches. Ranges are rare: mailboxes and accounts that end. */
static void change_range(struct mbox_index *index, const struct kv_change *range)
{
    struct kv_owner owner, end_owner;
    unsigned kind, end_kind;
    struct span tail;
    if (kv_key_read(range->key, &owner, &kind, &tail).code != ERR_OK) return;
    bool one_kind = kv_key_read(range->value, &end_owner, &end_kind, &tail).code == ERR_OK &&
                    end_owner.account == owner.account && end_owner.tenant == owner.tenant;
    if (one_kind && (kind > KV_MESSAGE || end_kind < KV_MESSAGE)) return;
    size_t at = 0;
    for (struct entry *entry; (entry = map_next(&index->entries, &at)) != NULL;) {
        struct kv_key first, end;
        owner = (struct kv_owner){ .slot = entry->slot };
        memcpy(&owner.tenant, entry->key, 4);
        memcpy(&owner.account, entry->key + 4, 8);
        kv_key_begin(&first, &owner, KV_MESSAGE);
        kv_key_u32(&first, entry->mailbox);
        end = first;
        kv_key_end(&end);
        size_t len = range->key.len < end.len ? range->key.len : end.len;
        bool below_end = memcmp(range->key.ptr, end.bytes, len) < 0;
        len = range->value.len < first.len ? range->value.len : first.len;
        bool above_first = memcmp(range->value.ptr, first.bytes, len) >= 0;
        if (!below_end || !above_first) continue;
        drop(index, entry);
        at = 0;
    }
}

static void change_row(struct mbox_index *index, const struct kv_change *row)
{
    struct kv_owner owner;
    unsigned kind;
    struct span tail;
    uint32_t mailbox, uid;
    if (kv_key_read(row->key, &owner, &kind, &tail).code != ERR_OK) return;
    if (kind != KV_MAILBOX && kind != KV_MESSAGE) return;
    if (owner.account == 0 || !kv_key_take_u32(&tail, &mailbox)) return;
    struct entry *entry = find(index, &owner, mailbox);
    if (entry == NULL) {
        bool put = kind == KV_MAILBOX && row->op != KV_DELETE;
        if (put) begin_empty(index, &owner, mailbox, row->value);
        return;
    }
    if (kind == KV_MESSAGE) {
        if (kv_key_take_u32(&tail, &uid)) change_message(index, entry, uid, row);
    } else if (row->op == KV_DELETE) {
        drop(index, entry);
    } else {
        change_mailbox(index, entry, row->value);
    }
}

void mbox_index_apply(struct mbox_index *index, struct span batch)
{
    struct kv_change row;
    pthread_mutex_lock(&index->lock);
    while (kv_batch_next(&batch, &row).code == ERR_OK) {
        if (row.op == KV_DELETE_RANGE) change_range(index, &row);
        else change_row(index, &row);
    }
    pthread_mutex_unlock(&index->lock);
}

void mbox_index_clear(struct mbox_index *index)
{
    pthread_mutex_lock(&index->lock);
    size_t at = 0;
    for (struct entry *entry; (entry = map_next(&index->entries, &at)) != NULL; at = 0)
        drop(index, entry);
    pthread_mutex_unlock(&index->lock);
}

void mbox_index_free(struct mbox_index *index)
{
    if (index == NULL) return;
    mbox_index_clear(index);
    map_free(&index->entries);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

uint64_t mbox_index_bytes(struct mbox_index *index)
{
    pthread_mutex_lock(&index->lock);
    uint64_t bytes = index->bytes;
    pthread_mutex_unlock(&index->lock);
    return bytes;
}

void mbox_index_stats_get(struct mbox_index *index, struct mbox_index_stats *ret)
{
    pthread_mutex_lock(&index->lock);
    *ret = (struct mbox_index_stats){ index->bytes, index->entries.count, index->hits,
                                      index->misses };
    pthread_mutex_unlock(&index->lock);
}

/* ---- views */

/* A new entry that is loading, or NULL: the cache can't hold it. */
static struct entry *begin_load(struct mbox_index *index, const struct kv_owner *owner,
                                uint32_t mailbox)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) return NULL;
    make_key(owner, mailbox, entry->key);
    entry->slot = owner->slot;
    entry->mailbox = mailbox;
    entry->loading = true;
    list_init(&entry->in_use);
    if (map_put(&index->entries, span_of(entry->key, sizeof(entry->key)), entry).code == ERR_OK)
        return entry;
    free(entry);
    return NULL;
}

/* Plays what was missed over what was read; the entry is then in use, or dropped. */
static void end_load(struct mbox_index *index, struct entry *entry, struct mbox_loaded *loaded)
{
    bool good = loaded->block != NULL && !entry->dropped;
    struct mbox_loaded meanwhile = entry->loaded;
    for (size_t i = 0; good && i < entry->missed_count; i++) {
        const struct missed *missed = &entry->missed[i];
        good = missed->modseq == 0
                   ? mbox_block_remove(&loaded->block, missed->uid)
                   : mbox_block_set(&loaded->block, missed->uid, missed->flags, missed->modseq);
    }
    if (!good) {
        if (!entry->dropped) drop(index, entry);
        entry_free(entry);
        return;
    }
    if (meanwhile.highestmodseq > loaded->highestmodseq)
        loaded->highestmodseq = meanwhile.highestmodseq;
    if (meanwhile.uidnext > loaded->uidnext) loaded->uidnext = meanwhile.uidnext;
    entry->loaded = *loaded;
    mbox_block_ref(loaded->block);
    entry->loading = false;
    free(entry->missed);
    entry->missed = NULL;
    entry->missed_count = entry->missed_size = 0;
    index->bytes += entry_bytes(entry);
    list_add(&index->in_use, &entry->in_use);
    shrink(index, entry);
}

static struct err load_view(struct mbox_index *index, struct entry *entry, struct kv_reader *rows,
                            const struct kv_owner *owner, uint32_t mailbox, struct mbox_view *ret)
{
    struct mbox_loaded loaded = { 0 };
    struct err err = mbox_block_load(rows, owner, mailbox, &loaded);
    if (entry != NULL) {
        pthread_mutex_lock(&index->lock);
        end_load(index, entry, &loaded);
        if (err.code == ERR_OK) mbox_view_of(&loaded, ret);
        pthread_mutex_unlock(&index->lock);
    } else if (err.code == ERR_OK) {
        mbox_view_of(&loaded, ret);
    }
    mbox_block_unref(loaded.block);
    return err;
}

struct err mbox_view_open(struct mbox_index *index, struct kv_reader *rows,
                          const struct kv_owner *owner, uint32_t mailbox, struct mbox_view *ret)
{
    if (index == NULL) return load_view(NULL, NULL, rows, owner, mailbox, ret);
    pthread_mutex_lock(&index->lock);
    struct entry *entry = find(index, owner, mailbox);
    bool there = entry != NULL && !entry->loading;
    index->hits += there;
    index->misses += !there;
    if (there) {
        list_remove(&entry->in_use);
        list_add(&index->in_use, &entry->in_use);
        mbox_view_of(&entry->loaded, ret);
    } else {
        /* Another loads it just now: this caller reads for itself. */
        entry = entry != NULL ? NULL : begin_load(index, owner, mailbox);
    }
    pthread_mutex_unlock(&index->lock);
    return there ? err_ok() : load_view(index, entry, rows, owner, mailbox, ret);
}

bool mbox_index_first_unseen(struct mbox_index *index, const struct kv_owner *owner,
                             uint32_t mailbox, uint32_t *seq)
{
    pthread_mutex_lock(&index->lock);
    struct entry *entry = find(index, owner, mailbox);
    struct mbox_view view = { 0 };
    bool there = entry != NULL && !entry->loading;
    if (there) mbox_view_of(&entry->loaded, &view);
    pthread_mutex_unlock(&index->lock);
    if (!there) return false;
    *seq = mbox_view_first_unseen(&view);
    mbox_view_close(&view);
    return true;
}
