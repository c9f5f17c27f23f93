/* coord.h: the configuration that all programs of an installation share: small values under names,
 * changed by compare-and-swap, watched by prefix.
 *
 * Back end `file` (one machine, several processes), in a directory:
 *
 *   lock         flock: exclusive for a change
 *   data         the whole store, replaced by rename; format, version 1, integers little-endian:
 *                  "GWCOORD1" | revision u64 | count u32
 *                  count times: key_len u16 | value_len u32 | revision u64 | key | value
 *                  crc u32 (CRC-32C of everything before)
 *
 * A change reads `data` under the lock, checks the compare, writes `data.new`, fsyncs it, renames it,
 * and fsyncs the directory: a crash leaves the old store or the new one. The revision rises by one
 * with each change; a key's revision is that of its last change, 0 means "is not there". Watchers
 * hear of the rename by inotify. Everything is small (COORD_BYTES_MAX), so that reading it whole is
 * cheap; a program keeps it in memory and reads again when the file has changed. */
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
struct coord_op;
struct coord_watch;
struct loop;

enum {
    COORD_KEY_MAX_BYTES = 512,
    COORD_VALUE_MAX_BYTES = 64 * 1024,
    COORD_BYTES_MAX = 64 * 1024 * 1024,
    COORD_WATCHES_MAX = 64,
};

struct coord_row {
    struct span key, value;
    uint64_t revision;
};

/* Opens the store in `directory` (made when missing). Belongs to the loop. */
MUST_USE struct err coord_open(struct loop *loop, const char *directory, struct coord **ret);
void coord_close(struct coord *coord);

/* All rows under a prefix, in order of keys: calls `row` for each, at once; spans live until the
 * next call of any coord function. Returns the store's revision. What is read is at most as old as
 * the last change that the loop heard of; coord_refresh() reads the file first. */
uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder);

/* The row of a key: false when there is none. Spans as in coord_list. */
bool coord_get(struct coord *coord, struct span key, struct coord_row *ret);
MUST_USE struct err coord_refresh(struct coord *coord);

/* Writes a value (`value` NULL pointer: deletes the key) if the key's revision is still
 * `if_revision` (0: it must not be there; COORD_ANY: whatever it is). ERR_CONFLICT: it is not;
 * ERR_TOO_BIG, ERR_FULL, ERR_IO. Durable when it returns OK. Blocks for an fsync: changes of
 * configuration are rare, and run on a crew (coord_put_start) or before a program serves. */
#define COORD_ANY UINT64_MAX
MUST_USE struct err coord_put(const char *directory, const struct coord_row *row);

struct crew;
typedef void coord_done(void *holder, struct err err);
/* The same on a crew; key and value are copied. `done` comes once, on a later turn, when this loop
 * sees the change too. */
MUST_USE struct err coord_put_start(struct coord *coord, struct crew *crew,
                                    const struct coord_row *row, coord_done *done, void *holder);

/* Calls `changed` on a later turn whenever a row under `prefix` may have changed, and once at the
 * beginning. */
MUST_USE struct err coord_watch_start(struct coord *coord, struct span prefix,
                                      void (*changed)(void *holder), void *holder,
                                      struct coord_watch **ret);
void coord_watch_stop(struct coord_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
