/* coord.h: the configuration that all programs of an installation share: small values under names,
 * changed by compare-and-swap, watched by prefix.
 *
 * Back end `file` (one machine, several processes), a directory: coord_file.c and coord_put.c.
 * Back end `etcd` (a cluster), the keys under /godwit/CLUSTER/: coord_etcd.c. Both behave the same:
 * each loop keeps the rows of the prefixes it asked for in memory, hears of changes, and is told of
 * them by watches. The revision of the store rises with each change; a key's revision is that of
 * its last change, 0 means "is not there". A file store that was moved to etcd (coord_migrate.h) is
 * followed there by those who have it open; revisions of before mean nothing afterwards.
 *
 * The key "moving" is not for use (coord_migrate.c). */
#ifndef MAIL_COORD_H
#define MAIL_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coord;
struct coord_lease;
struct coord_watch;
struct crew;
struct loop;

enum {
    COORD_KEY_MAX_BYTES = 512,
    COORD_VALUE_MAX_BYTES = 64 * 1024,
    COORD_BYTES_MAX = 64 * 1024 * 1024, /* of all rows */
    COORD_ROWS_MAX = 1000000,
    COORD_WATCHES_MAX = 64,
    COORD_PUTS_MAX = 256,             /* changes and refreshes under way on one loop */
    COORD_LOCK_WAIT_MS = 10000,       /* for other processes' changes */
    COORD_CHANGE_ITEMS_MAX = 128,     /* etcd takes no more in a transaction */
    COORD_CHANGE_BYTES_MAX = 1 << 20, /* keys and values; etcd takes 1.5 MiB a request */
    COORD_WAIT_MS = 10000,            /* for etcd, unless a change says otherwise */
    COORD_PREFIXES_MAX = 32,
    COORD_ENDPOINTS_MAX = 16,
    COORD_OPTION_MAX_BYTES = 1024, /* each text of struct coord_options */
    COORD_CLUSTER_MAX_BYTES = 64,
};

struct coord_row {
    struct span key, value;
    uint64_t revision;
};

/* What coord_open_options() copies. Texts may be NULL or empty: not given. */
struct coord_options {
    const char *directory; /* back end `file`; not given: `etcd` */
    const char *endpoints[COORD_ENDPOINTS_MAX]; /* "http://host:port", "https://host:port" */
    size_t endpoints_count;
    const char *cluster; /* a-z, 0-9, hyphen */
    const char *user, *password_file;
    const char *ca_file, *cert_file, *key_file; /* PEM; read again for each new connection */
    struct span prefixes[COORD_PREFIXES_MAX]; /* what to keep in memory; none of them: all rows */
    size_t prefixes_count;
};

/* Opens a store and reads its rows; the directory of `file` is made when missing. Belongs to the
 * loop, and turns it while etcd is waited for, COORD_WAIT_MS at most: before a program serves.
 * ERR_IO, ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NOMEM, ERR_TOO_BIG; ERR_SYNTAX: an option; ERR_DENIED:
 * etcd refuses us; ERR_UNREACHABLE, ERR_TIMEOUT: it does not answer. */
MUST_USE struct err coord_open_options(struct loop *loop, const struct coord_options *options,
                                       struct coord **ret);
/* The same for the back end `file` and all rows. */
MUST_USE struct err coord_open(struct loop *loop, const char *directory, struct coord **ret);
/* No watch and no lease is left. Changes under way still end, and say so. Takes NULL. */
void coord_close(struct coord *coord);

/* Whether what is in memory is kept up to date: ERR_OK, or why it is not (ERR_UNREACHABLE,
 * ERR_DENIED, ERR_TOO_BIG, ERR_CORRUPT ...). */
struct err coord_state(const struct coord *coord);
/* loop_now_ms() of when coord_state() was known to be ERR_OK last. */
uint64_t coord_current_ms(const struct coord *coord);

/* All rows under a prefix, in order of keys (by bytes): calls `row` for each, at once; spans live
 * until the loop turns or the next coord_refresh(). Returns the store's revision as far as this
 * loop has heard. What is read is as old as the last change that the loop heard of. */
uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder);

/* The row of a key: false when there is none. Spans as in coord_list. */
bool coord_get(struct coord *coord, struct span key, struct coord_row *ret);

typedef void coord_done(void *holder, struct err err);

/* Asks for all changes under `prefix` (of those the store was opened with) that were made before
 * this call; `done` comes once, on a later turn, when they are in memory. ERR_BUSY,
 * ERR_UNSUPPORTED: no such prefix; nothing is called. */
MUST_USE struct err coord_refresh_start(struct coord *coord, struct span prefix, coord_done *done,
                                        void *holder);
/* The same at once with `file`, next to free when nothing has changed; errors as coord_open, what
 * was read before then stays. With `etcd` it reads nothing and is coord_state(). */
MUST_USE struct err coord_refresh(struct coord *coord);

/* One change of several keys, all or none. Each key stands in it once. An item is carried out if
 * its key's revision is still `revision` (0: it must not be there; COORD_ANY: whatever it is). A
 * row under a lease goes when the lease does. */
#define COORD_ANY UINT64_MAX
enum coord_action { COORD_PUT, COORD_DELETE, COORD_COMPARE };
struct coord_item {
    struct span key, value;
    uint64_t revision;
    enum coord_action action;
    struct coord_lease *lease; /* of the same store, and held; NULL: none */
};
struct coord_change {
    const struct coord_item *items;
    size_t count;
    unsigned wait_ms; /* 0: COORD_WAIT_MS */
};

/* `revision` is that of the keys that were put, 0 with an error. */
typedef void coord_changed(void *holder, struct err err, uint64_t revision);

/* Copies the change and carries it out, `file` on the crew, which `etcd` does without. `changed`
 * comes once, on a later turn, when this loop sees the change too. ERR_CONFLICT: a revision was
 * another, nothing has changed, or somebody has overwritten it by now. ERR_TOO_BIG, ERR_DENIED,
 * ERR_FULL, ERR_IO, ERR_TIMEOUT, ERR_UNREACHABLE, ERR_MOVED (the store is being moved),
 * ERR_NOT_FOUND (the lease is gone), ERR_BUSY (the crew): nothing has changed. ERR_UNKNOWN: it may
 * have been carried out or may still be: read, then repeat it. An answer that etcd owes us is
 * looked for, until `wait_ms`, in the values: whoever must be certain that a change was his own
 * puts a nonce into the value. Returned, and nothing is called: ERR_BUSY (COORD_PUTS_MAX),
 * ERR_TOO_BIG, ERR_SYNTAX (no key, one twice, COORD_ANY with COORD_COMPARE), ERR_NOT_FOUND (the
 * lease is not held), ERR_NOMEM. */
MUST_USE struct err coord_change_start(struct coord *coord, struct crew *crew,
                                       const struct coord_change *change, coord_changed *changed,
                                       void *holder);

/* The change of one row; a NULL pointer in `value` deletes the key. */
MUST_USE struct err coord_put_start(struct coord *coord, struct crew *crew,
                                    const struct coord_row *row, coord_done *done, void *holder);
/* The same in the store of a directory, blocking: before a program serves. */
MUST_USE struct err coord_put(const char *directory, const struct coord_row *row);
/* The same in any store; turns a loop of its own. */
MUST_USE struct err coord_put_options(const struct coord_options *options,
                                      const struct coord_row *row);

/* Calls `changed` on a later turn whenever a row under `prefix` was added, changed or deleted, and
 * once at the beginning. Several changes may come as one call. ERR_BUSY: COORD_WATCHES_MAX. */
MUST_USE struct err coord_watch_start(struct coord *coord, struct span prefix,
                                      void (*changed)(void *holder), void *holder,
                                      struct coord_watch **ret);
/* Nothing is called any more. Takes NULL. */
void coord_watch_stop(struct coord_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
