/* coord_migrate.h: a store in a directory moves to etcd while programs use it. */
#ifndef MAIL_COORD_MIGRATE_H
#define MAIL_COORD_MIGRATE_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    COORD_MIGRATE_LOCKED_MS = 5000, /* for so long at most changes are refused or wait */
    COORD_MIGRATE_COPY_MS = 10 * 60 * 1000, /* and before that everything is copied once */
};

struct coord_migrated {
    uint64_t rows, bytes; /* that were copied */
    unsigned locked_ms;
    bool was_moved; /* by an earlier run, which was perhaps not quite done */
};

/* Copies all rows but those under leases into an empty space of etcd, and marks the directory's
 * store as moved: those who have it open go on in etcd, later ones find it there, changes of the
 * directory are refused with ERR_MOVED. Blocks; turns a loop of its own. A run that was broken
 * off is repeated: it goes on, and one that was done says so. What `to` has for file names is
 * written down as it stands, so they are absolute. ERR_EXISTS: there are rows in etcd that are
 * not ours. ERR_CONFLICT: it was moved elsewhere, or somebody changes the space. ERR_TIMEOUT: it
 * took more than COORD_MIGRATE_LOCKED_MS, nothing was moved. Others as coord_open_options() and
 * coord_change_start(). */
MUST_USE struct err coord_migrate(const char *directory, const struct coord_options *to,
                                  struct coord_migrated *ret);

#ifdef __cplusplus
}
#endif
#endif
