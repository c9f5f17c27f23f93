/* kv_overlay.h: a leader's batches that are on their way (logged, not yet applied) laid over the
 * rows of a store, so that the next command is prepared on the state it will meet (REPLICATION
 * 6.5). What clients read comes from the store itself.
 *
 * One thread uses an overlay. The store below may be applied to by another meanwhile: a batch that
 * is in both gives the same rows, since the later of two changes of a row is the one kept here. */
#ifndef MAIL_KV_OVERLAY_H
#define MAIL_KV_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_overlay;
struct kv_reader;

/* Ranges deleted by batches that are not applied yet; kv_overlay_add says BUSY beyond. */
enum { KV_OVERLAY_RANGES_MAX = 1024 };

/* `base` lives longer. NULL when there is no memory. */
struct kv_overlay *kv_overlay_new(struct kv_reader *base);
void kv_overlay_free(struct kv_overlay *overlay);

/* Lays the batch at `index` (higher than those before) on top; its bytes are copied. ERR_NOMEM,
 * ERR_BUSY, ERR_CORRUPT: nothing has changed. No iterator of the overlay is open (CHECK), and
 * values that were got are no longer used: that holds for the next two as well. */
MUST_USE struct err kv_overlay_add(struct kv_overlay *overlay, struct span batch, uint64_t index);

/* The store has every batch up to `index`: what they hold here is dropped. */
void kv_overlay_applied(struct kv_overlay *overlay, uint64_t index);

/* Drops all of it (the batches will never be committed by this leader). */
void kv_overlay_clear(struct kv_overlay *overlay);

bool kv_overlay_is_empty(const struct kv_overlay *overlay);

/* The merged rows. While the overlay is empty reads go straight to the store, nothing allocated. */
struct kv_reader *kv_overlay_reader(struct kv_overlay *overlay);

#ifdef __cplusplus
}
#endif
#endif
