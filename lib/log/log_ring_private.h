/* log_ring_private.h: the newest lines of one log, in memory. Pure.
 *
 * Entries lie one behind the other in LOG_RECENT_BYTES: number u64 | length u32 | line without its
 * LF, in the machine's order. What does not fit at the end begins at the front again, in place of
 * the oldest. */
#ifndef MAIL_LOG_RING_PRIVATE_H
#define MAIL_LOG_RING_PRIVATE_H

#include "buf.h"
#include "log.h"

/* Zeroed at first; `bytes` comes with the first line. */
struct log_ring {
    char *bytes;
    size_t first, end;  /* where the oldest begins, and the newest ends */
    size_t limit;       /* wrapped: where the upper ones end */
    size_t count;
    bool wrapped;       /* the newest is below the oldest */
    uint64_t dropped;   /* number of the newest line that had to make room */
};

void log_ring_put(struct log_ring *ring, uint64_t number, struct span line);
void log_ring_free(struct log_ring *ring);
/* As log_recent_put(). */
void log_ring_read(const struct log_ring *ring, const struct log_recent *ask, struct buf *to);

#endif
