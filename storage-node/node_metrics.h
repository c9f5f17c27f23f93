/* node_metrics.h: a storage node's own part of /metrics. */
#ifndef MAIL_NODE_METRICS_H
#define MAIL_NODE_METRICS_H

#ifdef __cplusplus
extern "C" {
#endif

struct metrics_text;
struct store_node;

/* Appends what is looked up: the log, rows in memory, the index, the disk, shards by role. */
void node_metrics(struct store_node *node, const struct metrics_text *text);

#ifdef __cplusplus
}
#endif
#endif
