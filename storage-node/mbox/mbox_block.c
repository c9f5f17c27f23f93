#include <stdlib.h>

#include "mbox_index_private.h"
#include "mbox_read_private.h"

enum { PLACES_FIRST = 16, GONE_MIN = 64 };

struct mbox_block *mbox_block_new(uint32_t size)
{
    if (size < PLACES_FIRST) size = PLACES_FIRST;
    size += size & 1; /* keeps the last array's end on a word */
    size_t bytes = (size_t)size * (2 * sizeof(uint64_t) + sizeof(uint32_t));
    struct mbox_block *block = malloc(sizeof(*block) + bytes);
    if (block == NULL) return NULL;
    atomic_init(&block->refs, 1);
    block->size = size;
    block->count = block->gone = 0;
    block->flags = block->words;
    block->modseqs = block->flags + size;
    block->uids = (uint32_t *)(block->modseqs + size);
    return block;
}

struct mbox_block *mbox_block_ref(struct mbox_block *block)
{
    atomic_fetch_add(&block->refs, 1);
    return block;
}

void mbox_block_unref(struct mbox_block *block)
{
    if (block != NULL && atomic_fetch_sub(&block->refs, 1) == 1) free(block);
}

static void put(struct mbox_block *block, uint32_t uid, uint64_t flags, uint64_t modseq)
{
    block->uids[block->count] = uid;
    block->flags[block->count] = flags;
    block->modseqs[block->count] = modseq;
    block->count++;
}

/* The messages that are there in a block of our own with room for more. */
static bool renew(struct mbox_block **block, uint32_t size)
{
    struct mbox_block *old = *block, *fresh = mbox_block_new(size);
    if (fresh == NULL) return false;
    for (uint32_t i = 0; i < old->count; i++)
        if (old->modseqs[i] != 0) put(fresh, old->uids[i], old->flags[i], old->modseqs[i]);
    mbox_block_unref(old);
    *block = fresh;
    return true;
}

/* The first place with a UID >= `uid`. */
static uint32_t place_of(const struct mbox_block *block, uint32_t uid)
{
    uint32_t low = 0, high = block->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->uids[middle] < uid) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool append(struct mbox_block **block, uint32_t uid, uint64_t flags, uint64_t modseq)
{
    struct mbox_block *b = *block;
    if (b->count == b->size && !renew(block, b->size + b->size / 2)) return false;
    put(*block, uid, flags, modseq);
    return true;
}

bool mbox_block_set(struct mbox_block **block, uint32_t uid, uint64_t flags, uint64_t modseq)
{
    struct mbox_block *b = *block;
    if (b->count == 0 || uid > b->uids[b->count - 1]) return append(block, uid, flags, modseq);
    if (atomic_load(&b->refs) > 1 && !renew(block, b->size)) return false;
    b = *block;
    uint32_t at = place_of(b, uid);
    if (at < b->count && b->uids[at] == uid) {
        if (b->modseqs[at] == 0) b->gone--;
        b->flags[at] = flags;
        b->modseqs[at] = modseq;
        return true;
    }
    /* Out of order (a load raced with an append): make room in the middle. */
    if (!append(block, uid, flags, modseq)) return false;
    b = *block;
    at = place_of(b, uid); /* what is behind the new last place is not looked at */
    for (uint32_t i = b->count - 1; i > at; i--) {
        b->uids[i] = b->uids[i - 1];
        b->flags[i] = b->flags[i - 1];
        b->modseqs[i] = b->modseqs[i - 1];
    }
    b->uids[at] = uid;
    b->flags[at] = flags;
    b->modseqs[at] = modseq;
    return true;
}

bool mbox_block_remove(struct mbox_block **block, uint32_t uid)
{
    struct mbox_block *b = *block;
    uint32_t at = place_of(b, uid);
    if (at == b->count || b->uids[at] != uid || b->modseqs[at] == 0) return true;
    if (atomic_load(&b->refs) > 1) {
        if (!renew(block, b->size)) return false;
        b = *block;
        at = place_of(b, uid);
    }
    b->modseqs[at] = 0;
    b->gone++;
    if (b->gone < GONE_MIN || b->gone < b->count / 4) return true;
    return renew(block, b->size);
}

static struct err load_messages(struct mbox_walk *walk, uint32_t messages,
                                struct mbox_block **ret)
{
    struct err err;
    struct mbox_block *block = mbox_block_new(messages + messages / 8);
    if (block == NULL) return err_make(ERR_NOMEM, "index of a mailbox");
    while ((err = mbox_walk_next(walk)).code == ERR_OK) {
        if (append(&block, walk->uid, walk->message.flags, walk->message.modseq)) continue;
        err = err_make(ERR_NOMEM, "index of a mailbox");
        break;
    }
    if (err.code != ERR_NOT_FOUND) {
        mbox_block_unref(block);
        return err;
    }
    *ret = block;
    return err_ok();
}

struct err mbox_block_load(struct kv_reader *rows, const struct kv_owner *owner, uint32_t mailbox,
                           struct mbox_loaded *ret)
{
    struct mbox_walk walk;
    struct mbox_mailbox row = { 0 };
    struct kv_key key;
    TRY(mbox_walk_open(rows, owner, mailbox, SPAN(""), true, 0, &walk));
    kv_key_begin(&key, owner, KV_MAILBOX);
    kv_key_u32(&key, mailbox);
    struct kv_iter *it = walk.iter; /* the same version of all rows */
    it->calls->seek(it, kv_key_span(&key));
    struct err err = it->calls->status(it);
    if (err.code == ERR_OK) {
        bool here = it->calls->valid(it) && span_eq(it->calls->key(it), kv_key_span(&key));
        err = here ? mbox_mailbox_read(it->calls->value(it), &row)
                   : err_make(ERR_NOT_FOUND, "mailbox");
    }
    if (err.code == ERR_OK && (row.state & (MBOX_MAILBOX_DYING | MBOX_MAILBOX_NO_SELECT)))
        err = err_make(ERR_NOT_FOUND, "mailbox");
    if (err.code == ERR_OK) {
        struct kv_key first = { 0 };
        ret->uidnext = row.uidnext;
        ret->highestmodseq = row.highestmodseq;
        kv_key_bytes(&first, kv_key_span(&walk.prefix));
        kv_key_u32(&first, 1);
        it->calls->seek(it, kv_key_span(&first));
        err = load_messages(&walk, row.messages, &ret->block);
    }
    mbox_walk_close(&walk);
    return err;
}

void mbox_view_of(const struct mbox_loaded *loaded, struct mbox_view *ret)
{
    const struct mbox_block *block = loaded->block;
    *ret = (struct mbox_view){
        .block = mbox_block_ref(loaded->block),
        .uids = block->uids,
        .flags = block->flags,
        .modseqs = block->modseqs,
        .places = block->count,
        .messages = block->count - block->gone,
        .uidnext = loaded->uidnext,
        .highestmodseq = loaded->highestmodseq,
    };
}
