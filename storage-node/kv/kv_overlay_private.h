/* kv_overlay_private.h: the pending rows of an overlay, an intrusive treap with an ordered list
 * through it, and the ranges. Shared by kv_overlay.c and kv_overlay_iter.c. */
#ifndef MAIL_KV_OVERLAY_PRIVATE_H
#define MAIL_KV_OVERLAY_PRIVATE_H

#include "kv.h"
#include "list.h"

struct overlay_row {
    struct span key, value; /* in the bytes of its batch */
    uint64_t priority;
    struct overlay_row *left, *right;
    struct list in_order; /* of the overlay's `rows`, by key */
    struct list in_batch; /* of its batch, while it is the latest change of its key */
    bool deleted;
};

struct overlay_range {
    struct span from, end;
    uint64_t index; /* of its batch */
};

struct kv_overlay {
    struct kv_reader reader; /* first: calls come with a pointer to it */
    struct kv_reader *base;
    struct overlay_row *root;
    struct list rows, batches;
    struct overlay_range *ranges; /* in the order of their batches */
    size_t ranges_count, ranges_size;
    uint64_t draw; /* for priorities */
    size_t iters;
};

int overlay_compare(struct span a, struct span b);

/* The first row >= key, and the last row <= key; NULL when there is none. */
struct overlay_row *overlay_first_from(const struct kv_overlay *overlay, struct span key);
struct overlay_row *overlay_last_to(const struct kv_overlay *overlay, struct span key);
/* The row behind, or NULL. */
struct overlay_row *overlay_next(const struct kv_overlay *overlay, const struct overlay_row *row);
/* The row before, or NULL. */
struct overlay_row *overlay_before(const struct kv_overlay *overlay, const struct overlay_row *row);

/* A pending range that hides the store's row `key`, or NULL. */
const struct overlay_range *overlay_hides(const struct kv_overlay *overlay, struct span key);

struct err overlay_iter_new(struct kv_overlay *overlay, struct span within, struct kv_iter **ret);

#endif
