/* coord_mirror.h: what a loop knows of the rows under some prefixes of etcd, from three sources
 * that overtake each other: watches, which tell everything in order, readings of a prefix, and
 * answers to own changes. Pure.
 *
 * For each prefix there is a revision `seen`: all changes up to it are in. A row may be newer
 * than that, from an answer; a key that an answer said is gone is remembered as gone at that
 * revision until `seen` has passed it. So a row never goes back: not to an older value, and not
 * into being. */
#ifndef MAIL_COORD_MIRROR_H
#define MAIL_COORD_MIRROR_H

#include "coord_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { COORD_GONE_MAX = 4096 };

struct coord_mirror {
    struct coord_rows rows; /* key and value of each in one piece of memory of its own */
    struct coord_rows gone; /* keys only */
    size_t rows_size, gone_size, bytes;
    /* Told of each key that changed; not of each change of `gone`. */
    void (*changed)(void *holder, struct span key);
    void *holder;
};

void coord_mirror_init(struct coord_mirror *mirror, void (*changed)(void *holder, struct span key),
                       void *holder);
void coord_mirror_free(struct coord_mirror *mirror);

/* A row as it was at row->revision; a NULL pointer in its value: it was deleted in that revision.
 * Copied. What `seen` or something newer already says is passed over. ERR_NOMEM; ERR_TOO_BIG:
 * COORD_BYTES_MAX, COORD_ROWS_MAX; ERR_BUSY: COORD_GONE_MAX. Then read everything anew. */
MUST_USE struct err coord_mirror_take(struct coord_mirror *mirror, uint64_t seen,
                                      const struct coord_row *row);

/* All rows under `prefix` as they were at fresh->rows.revision. Takes them over; `fresh` is empty
 * afterwards, also with an error. `whole`: the prefix is one that `seen` is kept for, and `seen`
 * rises to that revision now: nothing has to be remembered as gone. */
MUST_USE struct err coord_mirror_merge(struct coord_mirror *mirror, struct span prefix,
                                       uint64_t seen, struct coord_mirror *fresh, bool whole);

/* All changes under `prefix` up to `seen` are in: forgets what was gone until then. */
void coord_mirror_seen(struct coord_mirror *mirror, struct span prefix, uint64_t seen);

#ifdef __cplusplus
}
#endif
#endif
