/* coord_private.h: a store on a loop, and what its back ends do. */
#ifndef MAIL_COORD_PRIVATE_H
#define MAIL_COORD_PRIVATE_H

#include "coord_file.h"
#include "coord_lease.h"
#include "coord_options.h"
#include "later.h"
#include "list.h"
#include "timer.h"

enum { COORD_PATH_MAX_BYTES = 1024, COORD_GROUP_MAX = COORD_PUTS_MAX }; /* written together */

/* A change with its bytes, in one piece of memory: freed with free(). Its leases are numbers, which
 * threads may see; 0: none. */
struct coord_change_copy {
    struct coord_change change;
    uint64_t *leases;
    char bytes[];
};
/* Checks the change too, as coord_change_start() says. */
MUST_USE struct err coord_change_copy(const struct coord_change *change,
                                      struct coord_change_copy **ret);

/* The key that says that a migration fills a store in etcd (coord_migrate.c): looked at before
 * anything is read, and again and again, to see whether the member still has a leader. */
#define COORD_MOVING_KEY "moving"

/* As coord_open_options(), of a store in etcd that is not whole yet. */
MUST_USE struct err coord_open_filling(struct loop *loop, const struct coord_options *options,
                                       struct coord **ret);

struct coord_back;
struct coord_http;

/* How a back end speaks to its members (coord_members.c). */
struct coord_speaking {
    struct coord_http *http;
    const char *token;
    const struct coord_options *options;
};

/* What a back end does; `coord.c` has checked what it passes on. */
struct coord_ops {
    void (*close)(struct coord_back *back);
    struct err (*state)(struct coord_back *back);
    uint64_t (*current_ms)(struct coord_back *back);
    const struct coord_rows *(*rows)(struct coord_back *back);
    struct err (*refresh)(struct coord_back *back);
    struct err (*refresh_start)(struct coord_back *back, struct span prefix, coord_done *done,
                                void *holder);
    /* Takes `change` over, unless it returns an error. */
    struct err (*change_start)(struct coord_back *back, struct crew *crew,
                               struct coord_change_copy *change, coord_changed *changed,
                               void *holder);
    struct err (*lease_start)(struct coord_back *back, struct coord_lease *lease);
    void (*lease_stop)(struct coord_lease *lease);
    void (*speaking)(struct coord_back *back, struct coord_speaking *ret); /* NULL: to nobody */
};

/* First in each back end. */
struct coord_back {
    const struct coord_ops *ops;
    struct coord *coord;
};

struct coord {
    struct loop *loop;
    struct coord_options_copy *options;
    struct coord_back *back;
    struct coord_back *next;     /* to take its place once it is ready; back may be NULL then */
    struct later swap;
    bool filling; /* COORD_MOVING_KEY is no reason to wait */
    struct list watches, leases; /* leases by struct coord_lease */
    unsigned watches_count, leases_count;
    unsigned changes_count;      /* and refreshes, kept by the back ends */
};

/* Freed by its user in coord_lease_stop(). */
struct coord_lease {
    struct list link;
    struct coord *coord;
    struct coord_back *back; /* NULL: the store was moved away from it */
    void *held;              /* the back end's */
    uint64_t id;
    unsigned seconds;
    enum coord_lease_state state;
    uint64_t until_ms; /* clock_boot_ms() */
    void (*changed)(void *holder);
    void *holder;
    struct later later;
    struct timer timer;
};

/* ---- for back ends */

/* Have those told whose prefix a key begins with. */
void coord_tell(struct coord *coord, struct span key);
/* Have those told under whose prefix the rows differ. */
void coord_tell_differences(struct coord *coord, const struct coord_rows *was,
                            const struct coord_rows *is);
/* A new state of the lease; its holder is told. */
void coord_lease_set(struct coord_lease *lease, enum coord_lease_state state);
/* Finds the store where it was moved to, and goes there once it can be read; `where` is the text of
 * coord_move.h. Does nothing when it is on its way. */
void coord_follow(struct coord *coord, struct span where);
/* Called by the back end that `coord->next` is, when it can be read for the first time. */
void coord_next_ready(struct coord *coord);

/* ---- back ends */

/* Reads the rows before it returns; coord->back is set by then. */
MUST_USE struct err coord_file_open(struct coord *coord, struct coord_back **ret);
/* Begins to read the rows; coord_next_ready() or state() say when they are there. */
MUST_USE struct err coord_etcd_open(struct coord *coord, const struct coord_options *options,
                                    struct coord_back **ret);

/* ---- the files of a store, for the loop that reads and the threads that write */

/* Reads `data` whole, malloc'd; no file is no bytes. With `revision` not 0 nothing is read, and
 * `*same` is true, when the file is still at that revision. ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
MUST_USE struct err coord_data_load(const char *directory, uint64_t revision, struct span *ret,
                                    bool *same);

/* Takes the lock of a store; closing it lets go. ERR_TIMEOUT (COORD_LOCK_WAIT_MS), ERR_IO. */
MUST_USE struct err coord_data_lock(const char *directory, int *ret);
/* Under the lock: reads the store without the rows of leases that are gone, has `alter` make
 * another of it, malloc'd, and puts that in its place. */
typedef struct err coord_alter(void *holder, const struct coord_store *store, char **ret,
                               size_t *ret_len);
MUST_USE struct err coord_data_alter(const char *directory, coord_alter *alter, void *holder);
/* One of several changes that are written together. */
struct coord_data_item {
    const struct coord_change_copy *change;
    struct err err;
    uint64_t revision; /* as coord_changed has it */
};
/* Carries changes out, blocking, each as if it were alone, in their order: reading and writing the
 * store costs as much for one as for many. */
void coord_data_change_many(const char *directory, struct coord_data_item *items, size_t count);
/* Carries a change out, blocking; `*revision` as coord_changed has it. */
MUST_USE struct err coord_data_change(const char *directory,
                                      const struct coord_change_copy *change, uint64_t *revision);
/* What root writes belongs to whom the directory belongs to. False: it can't be given. */
bool coord_give_to_owner(int fd, const char *directory);

#endif
