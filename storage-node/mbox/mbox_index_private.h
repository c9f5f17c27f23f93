/* mbox_index_private.h: blocks of the index cache, and how one is read from rows. */
#ifndef MAIL_MBOX_INDEX_PRIVATE_H
#define MAIL_MBOX_INDEX_PRIVATE_H

#include <stdatomic.h>

#include "mbox_index.h"

/* Shared by the cache and views. Places below a view's count never change while it is shared;
 * behind them messages may be added. */
struct mbox_block {
    atomic_uint refs;
    uint32_t size, count, gone; /* of the owner: places there are, used, used by nothing */
    uint64_t *flags, *modseqs;
    uint32_t *uids;
    uint64_t words[]; /* the three arrays */
};

struct mbox_loaded {
    struct mbox_block *block;
    uint32_t uidnext;
    uint64_t highestmodseq;
};

/* NULL: no memory. */
struct mbox_block *mbox_block_new(uint32_t size);
struct mbox_block *mbox_block_ref(struct mbox_block *block);
void mbox_block_unref(struct mbox_block *block);

/* Each takes the reference `*block` and may put another block in its place. False: no memory. */
bool mbox_block_set(struct mbox_block **block, uint32_t uid, uint64_t flags, uint64_t modseq);
bool mbox_block_remove(struct mbox_block **block, uint32_t uid);

/* Reads a mailbox's rows, all of one version. ERR_NOT_FOUND. */
struct err mbox_block_load(struct kv_reader *rows, const struct kv_owner *owner, uint32_t mailbox,
                           struct mbox_loaded *ret);

void mbox_view_of(const struct mbox_loaded *loaded, struct mbox_view *ret);

#endif
