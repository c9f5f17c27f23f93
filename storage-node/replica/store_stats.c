/* A node in numbers. */
#include "mbox_index.h"
#include "replica_step.h"
#include "shard_private.h"
#include "slog.h"
#include "store_state_private.h"

const char *store_role_text(unsigned role)
{
    static const char *const texts[STORE_ROLES] = {
        [REPLICA_OFFLINE] = "offline",     [REPLICA_REPLAY] = "replay",
        [REPLICA_LEARNER] = "learner",     [REPLICA_FOLLOWER] = "follower",
        [REPLICA_CANDIDATE] = "candidate", [REPLICA_RECONCILE] = "reconcile",
        [REPLICA_SERVING] = "serving",     [REPLICA_QUARANTINED] = "quarantined",
    };
    return role < STORE_ROLES ? texts[role] : "unknown";
}

static void add_shard(struct shard *shard, struct store_node_stats *stats)
{
    struct shard_state state;
    struct mbox_index_stats index;
    shard_state_get(shard, &state);
    mbox_index_stats_get(shard->index, &index);
    /* The two are read one after the other: the later one may be ahead. */
    uint64_t behind = state.last_index > state.applied_index
                          ? state.last_index - state.applied_index : 0;
    if (state.role < STORE_ROLES) stats->shards[state.role]++;
    stats->behind += behind;
    if (behind > stats->behind_most) stats->behind_most = behind;
    stats->index_bytes += index.bytes;
    stats->index_mailboxes += index.mailboxes;
    stats->index_hits += index.hits;
    stats->index_misses += index.misses;
}

void store_node_stats_get(struct store_node *node, struct store_node_stats *ret)
{
    struct store_node_stats stats = { 0 };
    struct slog_stats log;
    slog_stats_get(node->log, &log);
    stats.log_bytes = log.log_bytes;
    stats.log_segments = log.segments;
    stats.log_queued_bytes = slog_thread_queued_bytes(node->log_thread);
    stats.kv_memory_bytes = atomic_load(&node->kv_memory_bytes);
    stats.keeper_turns = atomic_load(&node->keeper_turns);
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct shard *shard = store_node_shard(node, i);
        if (shard != NULL) add_shard(shard, &stats);
    }
    stats.is_full = store_node_is_full(node, &stats.free_bytes);
    *ret = stats;
}
