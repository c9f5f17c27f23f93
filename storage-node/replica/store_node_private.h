/* store_node_private.h: what a shard asks of its node. The simulator has a node of its own behind
 * these calls. */
#ifndef MAIL_STORE_NODE_PRIVATE_H
#define MAIL_STORE_NODE_PRIVATE_H

#include "store_node.h"

struct slog;
struct slog_thread;

struct slog *store_node_log(struct store_node *node);
struct slog_thread *store_node_log_thread(struct store_node *node);
uint64_t store_node_index_bytes(const struct store_node *node); /* of one shard */

/* ERR_FULL: the disk is below the reserve; ERR_BUSY: too much waits for the log. */
MUST_USE struct err store_node_room(struct store_node *node, size_t bytes);
/* Something was applied: the keeper has work. */
void store_node_wrote(struct store_node *node);
void store_node_notice(struct store_node *node, const struct store_notice *notice);
/* What an account without a quota of its own may use. */
void store_node_quota(const struct store_node *node, uint64_t *bytes, uint64_t *items);

#endif
