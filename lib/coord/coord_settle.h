/* coord_settle.h: what became of a change that was sent to etcd (REPLICATION 6.2). Pure.
 *
 * A change goes as one transaction that compares each key's revision; when that fails the same
 * answer has the rows, and the change is lost. An outcome that is not known (no answer, or an error
 * that says nothing) is settled by what is there, in a linearizable reading or in the answer to the
 * same transaction sent again:
 *
 *   one of our values, newer than what we compared with   it was carried out
 *   all revisions as we compared them                     not yet: send the same again
 *   anything else                                         lost; a late copy can't succeed any more
 *
 * "Database space exceeded" does not say that nothing was done: what a member let through while
 * there seemed to be room is carried out, and then answered so when there was none (etcd's
 * quotaApplierV3). It is settled by a reading, too, but not sent again when nothing was done.
 *
 * An item without a revision (COORD_ANY) takes the one that was read last, and is sent anew when it
 * was another; so it never overwrites what came later than its answer. */
#ifndef MAIL_COORD_SETTLE_H
#define MAIL_COORD_SETTLE_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

enum coord_settle_wish {
    COORD_SETTLE_SEND, /* `now`, as a transaction */
    COORD_SETTLE_READ, /* the rows of all its keys, linearizably */
    COORD_SETTLE_DONE,
};

struct coord_settle {
    const struct coord_change *change; /* as it was asked for */
    struct coord_item items[COORD_CHANGE_ITEMS_MAX];
    struct coord_change now; /* with all revisions known; of `items` */
    enum coord_settle_wish wish;
    bool unsure;       /* what was sent last may have been carried out, or may still be */
    bool ever_unsure;  /* or something before it, and then have been overwritten */
    struct err full;   /* what to say if a reading shows that nothing was done; OK: none is due */
    struct err err;    /* of the last refusal; the result once DONE */
    uint64_t revision; /* once DONE and OK: of what was put; 0: only deletions, read later */
};

void coord_settle_start(struct coord_settle *settle, const struct coord_change *change);

/* Each sets the next wish. */
void coord_settle_succeeded(struct coord_settle *settle, uint64_t revision);
/* The rows of all its keys, those that are there: of a transaction that failed, or of a reading. */
void coord_settle_rows(struct coord_settle *settle, const struct coord_row *rows, size_t count);
/* Nothing of it was or will be carried out; `again`: worth repeating as it is. */
void coord_settle_refused(struct coord_settle *settle, struct err err, bool again);
/* There is no room: it was carried out all the same, or never will be. */
void coord_settle_full(struct coord_settle *settle, struct err err);
/* It, or the reading, had no answer that says anything. */
void coord_settle_unknown(struct coord_settle *settle, struct err err);
/* No more time; `under_way`: an answer is owed still. */
void coord_settle_late(struct coord_settle *settle, bool under_way);

#ifdef __cplusplus
}
#endif
#endif
