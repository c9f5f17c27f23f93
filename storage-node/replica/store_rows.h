/* store_rows.h: the directories of a shard's rows, and how one takes the place of another so that a
 * crash at any point leaves what was or what became. All block for the disk.
 *
 *   DIR/shards/<s>            the rows
 *   DIR/shards/<s>.incoming   a checkpoint that is being fetched; worth nothing to a later start
 *   DIR/shards/<s>.old        the rows of before, from when the checkpoint is being put in their
 *                             place to when the log knows of it (INSTALL)
 *   DIR/shards/<s>.gone       is being deleted; worth nothing
 *   DIR/shards/<s>.dropped    the rows of a shard that is being dropped, and will be: the log may
 *                             still have something of it
 *   DIR/checkpoints/<name>    hard links of a shard's rows, for others; worth nothing later
 *
 * Moments of an installation, and what a start makes of them (store_rows_prepare(), store_open.c):
 *   incoming and rows               as it was: incoming is deleted
 *   incoming and old, no rows       as it was: old is the rows again
 *   rows and old, no INSTALL        what it became: INSTALL is written, old goes. Their `applied`
 *                                   is then the checkpoint's own, and the log's first entry is not
 *                                   behind it
 *   rows and old, INSTALL           what it became: old goes
 * Names are made durable (fsync of DIR/shards) after each step. */
#ifndef MAIL_STORE_ROWS_H
#define MAIL_STORE_ROWS_H

#include <stdbool.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { STORE_PATH_BYTES = 1024 };

enum store_rows { STORE_ROWS, STORE_ROWS_INCOMING, STORE_ROWS_OLD, STORE_ROWS_GONE,
                  STORE_ROWS_DROPPED };

/* The path of one of a shard's directories. ERR_TOO_BIG: the data directory's is too long. */
MUST_USE struct err store_rows_path(const char *directory, unsigned shard, enum store_rows which,
                                    char ret[STORE_PATH_BYTES]);
bool store_rows_exist(const char *directory, unsigned shard, enum store_rows which);
/* Renames one to another, which is not there, and makes that durable. */
MUST_USE struct err store_rows_move(const char *directory, unsigned shard, enum store_rows from,
                                    enum store_rows to);
/* Deletes it with all that is in it; fine when there is none. */
MUST_USE struct err store_rows_remove(const char *directory, unsigned shard,
                                      enum store_rows which);
/* Before the rows are opened: what a crash left is put right, as far as names go. OLD stays when
 * there are rows: the log has to be asked; and DROPPED, which is then all that there is. */
MUST_USE struct err store_rows_prepare(const char *directory, unsigned shard);

/* What is known of a path: deletes a directory with all that is in it (links are not followed), and
 * makes a directory's names durable. */
MUST_USE struct err store_tree_remove(const char *path);
MUST_USE struct err store_directory_sync(const char *path);

#ifdef __cplusplus
}
#endif
#endif
