/* enroll_step.h: what a data directory does about the cluster's rows (REPLICATION 6.1, 6.2, 6.9 R4,
 * R5). Pure: rows in, a wish out.
 *
 * A copy of a shard is opened here when the shard's row counts this directory among the copies in
 * sync, or its place says that it is to become one; what the copy then is, the step machine says
 * (replica_step.h). One that neither names is not opened, and takes part in nothing.
 *
 * Each start of a directory has a higher number, which stands in its row: a process that finds a
 * higher one than its own there runs on a directory of which there is a copy, and must stop at
 * once. */
#ifndef MAIL_ENROLL_STEP_H
#define MAIL_ENROLL_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of this process. */
struct enroll_self {
    struct roster_id sid, boot;
};

/* Whether this directory is to have a copy of the shard. Either may be NULL: there is no row, or it
 * can't be read. Before both are there nothing is opened: how many copies a change needs is not
 * known. */
bool enroll_wants(const struct enroll_self *self, const struct roster_shard *row,
                  const struct roster_place *place);

/* Whether `row`, that of this directory, is of a later start than ours, `boot`. */
bool enroll_is_clone(const struct roster_store *row, uint64_t boot);

/* The row stores/<sid> at a start. `old`: as it is, NULL when there is none. `boot` is the number
 * that the directory gave itself at this start. OK: `*ret` is to be put. ERR_CONFLICT: the row
 * knows a start that the directory does not: it was restored from a copy, or is one (6.1). */
MUST_USE struct err enroll_store(const struct roster_store *old, uint64_t boot,
                                 const struct roster_name *node, const struct roster_name *zone,
                                 uint64_t capacity_bytes, struct roster_store *ret);

/* Whether the row live/<node> may be replaced: there is none, it is of a process that had this same
 * directory (its lock is ours now, so it is gone), or our own. */
bool enroll_may_go_live(const struct enroll_self *self, const struct roster_live *old);

#ifdef __cplusplus
}
#endif
#endif
