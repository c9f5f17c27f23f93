/* slog_append.h: the writing side of the log. slog_thread.c is its one user (and tests). */
#ifndef MAIL_SLOG_APPEND_H
#define MAIL_SLOG_APPEND_H

#include <stdint.h>

#include "err.h"
#include "list.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slog;

/* Writes the entries of the ring `entries` (struct slog_entry, slog_thread.h) as one group and
 * syncs it; an empty ring gives an empty group. Together they fit into a group (CHECK). Sets
 * `result` of each: ERR_OK it is durable; ERR_FULL, ERR_CONFLICT, ERR_BUSY, ERR_NOMEM: nothing of
 * it is in the log. An error returned: the log is broken, what is on the disk is unknown, and no
 * result counts. `boot_ms` and `wall_ms`: the time (clock.h). One thread. */
MUST_USE struct err slog_append(struct slog *log, struct list *entries, uint64_t boot_ms,
                                uint64_t wall_ms);

#ifdef __cplusplus
}
#endif
#endif
