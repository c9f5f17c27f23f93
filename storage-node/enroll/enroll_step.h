/* enroll_step.h: what a data directory does about the cluster's row of a shard (REPLICATION 6.2,
 * 6.7, 6.9 R4, R5). Pure: rows in, a wish out.
 *
 * A directory that is in the row's isr has every committed entry. When nobody else is in it, this
 * store alone may lead, and takes over with a new epoch at each start, since a promise of before
 * the crash is not known (R4). One that is not in the isr never claims to be (R5). A row that names
 * this very directory as leader with a boot id that is neither ours nor of before our start means
 * that a second process runs on a copy of the directory: this one must stop at once. */
#ifndef MAIL_ENROLL_STEP_H
#define MAIL_ENROLL_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

enum enroll_wish {
    ENROLL_NOTHING,   /* not ours, or led already */
    ENROLL_OPEN,      /* ours: the shard's rows are to be opened */
    ENROLL_TAKE_OVER, /* open: `next` is to be put, if the row's revision is still the same */
    ENROLL_LEAD,      /* the row names us: `epoch` is to be led */
    ENROLL_CLONE,     /* somebody else is this directory */
};

/* Of this process. */
struct enroll_self {
    struct roster_id sid, boot;
};

/* The shard as it stands here. */
struct enroll_here {
    bool is_open;
    uint64_t accepted_epoch; /* of the open shard */
    uint64_t led_epoch;      /* that it was told to lead; 0: none */
};

struct enroll_answer {
    enum enroll_wish wish;
    uint64_t epoch;           /* LEAD */
    struct roster_shard next; /* TAKE_OVER; its nonce is the caller's to fill */
};

void enroll_step(const struct enroll_self *self, const struct roster_shard *row,
                 const struct enroll_here *here, struct enroll_answer *ret);

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
