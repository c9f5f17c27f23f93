#include "node_metrics.h"

#include <stdio.h>

#include "metrics_text.h"
#include "store_node.h"

enum { LABELS_BYTES = 64 };

static void put_roles(const struct store_node_stats *stats, const struct metrics_text *text)
{
    char labels[LABELS_BYTES];
    metrics_text_head(text, "shards", "gauge", "Shards by the role of this node in them");
    for (unsigned role = 0; role < STORE_ROLES; role++) {
        snprintf(labels, sizeof(labels), "role=\"%s\"", store_role_text(role));
        metrics_text_number(text, "shards", labels, stats->shards[role]);
    }
}

void node_metrics(struct store_node *node, const struct metrics_text *text)
{
    struct store_node_stats stats;
    store_node_stats_get(node, &stats);
    const struct metrics_single rows[] = {
        { "log_bytes", "gauge", "Bytes in the log's files", (int64_t)stats.log_bytes },
        { "log_segments", "gauge", "Files of the log", (int64_t)stats.log_segments },
        { "log_queued_bytes", "gauge", "Bytes that wait to be written to the log",
          (int64_t)stats.log_queued_bytes },
        { "apply_lag_entries", "gauge", "Entries logged and not applied, all shards together",
          (int64_t)stats.behind },
        { "apply_lag_entries_most", "gauge", "The same of the shard that is most behind",
          (int64_t)stats.behind_most },
        { "kv_memory_bytes", "gauge", "Rows in memory that are not in the shards' files yet",
          (int64_t)stats.kv_memory_bytes },
        { "keeper_turns_total", "counter", "Looks at memory, the log and what is to be forgotten",
          (int64_t)stats.keeper_turns },
        { "index_bytes", "gauge", "Memory of the indexes of mailboxes",
          (int64_t)stats.index_bytes },
        { "index_mailboxes", "gauge", "Mailboxes in them", (int64_t)stats.index_mailboxes },
        { "index_hits_total", "counter", "Mailboxes that were found there",
          (int64_t)stats.index_hits },
        { "index_misses_total", "counter", "Mailboxes whose rows had to be read",
          (int64_t)stats.index_misses },
        { "disk_free_bytes", "gauge", "Free bytes of the data directory's disk",
          (int64_t)stats.free_bytes },
        { "read_only", "gauge", "1 while changes are refused, since the disk is full",
          stats.is_full ? 1 : 0 },
    };
    put_roles(&stats, text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
}
