/* store_open.h: one shard of a data directory, from what a crash left of its directories and its
 * log to rows that are open, and away again (store_rows.h). All block for the disk: neither on a
 * loop nor on a shard's thread. */
#ifndef MAIL_STORE_OPEN_H
#define MAIL_STORE_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv;
struct shard_install;
struct store_node;

/* ---- at the start of a shard: store_node.c */
/* Opens the rows of a shard. What was being installed when the process ended is finished or undone,
 * what was being dropped is dropped, so that rows and log say the same. */
MUST_USE struct err store_open_rows(struct store_node *node, unsigned shard, struct kv **ret);

/* ---- a checkpoint that is to be installed: who fetches it calls these in their order */
/* An empty directory for it; its path lives in `ret`. */
MUST_USE struct err store_incoming_begin(struct store_node *node, unsigned shard, char *ret,
                                         unsigned size);
/* Whole: is it a store? What its own row `applied` says. ERR_CORRUPT: it is none; it is to be
 * thrown away. Its files are on the disk; its names become so. */
MUST_USE struct err store_incoming_check(struct store_node *node, unsigned shard, uint64_t *epoch,
                                         uint64_t *index);
/* After begun(OK): closes the old rows, puts the checkpoint in their place and tells the shard:
 * shard_install_opened(), or _undone() when nothing came of it. */
void store_incoming_swap(struct store_node *node, struct shard_install *install);
/* After logged(OK): the rows of before are out of the way; then shard_install_finish(), and they
 * are deleted. An error: nothing has happened. */
MUST_USE struct err store_incoming_settle(struct store_node *node, struct shard_install *install);
/* Gives it up, whatever there is of it. */
void store_incoming_drop(struct store_node *node, unsigned shard);

/* ---- checkpoints for others, at the leader */
enum { STORE_CHECKPOINT_NAME_BYTES = 33 }; /* 32 hexadecimal digits */
/* A copy of the shard's rows as DIR/checkpoints/<name>, whose path is written to `ret`. It holds at
 * least what is applied now. ERR_BUSY: the rows are being replaced; ERR_FULL. */
MUST_USE struct err store_checkpoint_make(struct store_node *node, unsigned shard,
                                          const char *name, char *ret, unsigned size);
void store_checkpoint_remove(struct store_node *node, const char *name);
/* At the start of the node: whatever a process before left. */
MUST_USE struct err store_checkpoint_sweep(struct store_node *node);

/* ---- a copy that is wanted nowhere any more */
/* Closes the shard, if it is open: it hears and tells nothing any more, and its number may be
 * opened again. Open or not, it holds nothing of the log any more. Blocks for its thread too.
 * ERR_CONFLICT: it leads, or is in the set that it knows; ERR_BUSY: it is in use: try again soon;
 * ERR_FULL, ERR_IO: it is closed, and the log could not be told yet: try again. */
MUST_USE struct err store_node_park_shard(struct store_node *node, unsigned shard);
/* Deletes what the directory and the log have of a shard that is not open. Also what an earlier try
 * left; fine when there is nothing. ERR_EXISTS: it is open; ERR_FULL, ERR_IO: try again. */
MUST_USE struct err store_node_drop_shard(struct store_node *node, unsigned shard);
/* The shard with the lowest number >= `from` of which there is something here, open or not; false:
 * there is none. */
bool store_node_shard_here(struct store_node *node, unsigned from, unsigned *ret);

#ifdef __cplusplus
}
#endif
#endif
