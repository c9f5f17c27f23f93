/* coord.h: the configuration that all programs of an installation share: small values under names,
 * changed by compare-and-swap, watched by prefix.
 *
 * Back end `file` (one machine, several processes), in a directory:
 *
 *   lock         flock: exclusive for a change
 *   data         the whole store, replaced by rename; its format is in coord_file.c
 *
 * A change reads `data` under the lock, checks the compare, writes `data.new`, fsyncs it, renames
 * it, and fsyncs the directory: a crash leaves the old store or the new one. The revision rises by
 * one with each change; a key's revision is that of its last change, 0 means "is not there". Each
 * loop keeps the store in memory, hears of the rename by inotify, and reads again. Everything is
 * small (COORD_BYTES_MAX), so that reading it whole is cheap. */
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
struct coord_watch;
struct crew;
struct loop;

enum {
    COORD_KEY_MAX_BYTES = 512,
    COORD_VALUE_MAX_BYTES = 64 * 1024,
    COORD_BYTES_MAX = 64 * 1024 * 1024,
    COORD_WATCHES_MAX = 64,
    COORD_PUTS_MAX = 256,       /* under way on one loop */
    COORD_LOCK_WAIT_MS = 10000, /* for other processes' changes */
};

struct coord_row {
    struct span key, value;
    uint64_t revision;
};

/* Opens the store in `directory` (made when missing). Belongs to the loop. ERR_IO, ERR_CORRUPT,
 * ERR_UNSUPPORTED, ERR_NOMEM, ERR_TOO_BIG (the path). */
MUST_USE struct err coord_open(struct loop *loop, const char *directory, struct coord **ret);
/* No watch is left. Puts under way still end, and say so. Takes NULL. */
void coord_close(struct coord *coord);

/* Whether what is in memory is kept up to date: ERR_OK, or why it is not (ERR_IO, ERR_CORRUPT
 * ...). */
struct err coord_state(const struct coord *coord);
/* loop_now_ms() of when coord_state() was known to be ERR_OK last. */
uint64_t coord_current_ms(const struct coord *coord);

/* All rows under a prefix, in order of keys (by bytes): calls `row` for each, at once; spans live
 * until the loop turns or the next coord_refresh(). Returns the store's revision. What is read is
 * as old as the last change that the loop heard of; coord_refresh() reads the file first, and costs
 * next to nothing when it has not changed. */
uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder);

/* The row of a key: false when there is none. Spans as in coord_list. */
bool coord_get(struct coord *coord, struct span key, struct coord_row *ret);

/* Errors as coord_open; what was read before then stays. */
MUST_USE struct err coord_refresh(struct coord *coord);

/* Writes a value (a NULL pointer in `value`: deletes the key) if the key's revision is still
 * row->revision (0: it must not be there; COORD_ANY: whatever it is). ERR_CONFLICT: it is not.
 * ERR_TOO_BIG, ERR_FULL, ERR_IO, ERR_TIMEOUT (COORD_LOCK_WAIT_MS): nothing has changed.
 * ERR_UNKNOWN: the change is there but may not outlive a crash; read, then repeat it. OK: it is
 * durable. Blocks: before a program serves, or on a crew by coord_put_start(). */
#define COORD_ANY UINT64_MAX
MUST_USE struct err coord_put(const char *directory, const struct coord_row *row);

typedef void coord_done(void *holder, struct err err);
/* The same on a crew; key and value are copied. `done` comes once, on a later turn, when this loop
 * sees the change too. ERR_BUSY: COORD_PUTS_MAX, or the crew's queue is full; nothing is called. */
MUST_USE struct err coord_put_start(struct coord *coord, struct crew *crew,
                                    const struct coord_row *row, coord_done *done, void *holder);

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
