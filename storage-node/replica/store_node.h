/* store_node.h: the data directory of a storage node at work: its identity and lock, the log, the
 * shards and the threads they run on.
 *
 *   DIR/identity, DIR/lock   store_dir.h
 *   DIR/log/                 slog.h
 *   DIR/shards/, DIR/checkpoints/   RocksDB of each shard, and copies (store_rows.h)
 *
 * Threads: one for the log; min(cores, 4) for shards, each shard on one of them for good; a keeper
 * that writes memory to disk when there is too much of it, trims the log, tries again what the disk
 * had no room for, and forgets old operations. All sleep when nothing happens, the keeper for ten
 * minutes at a time. */
#ifndef MAIL_STORE_NODE_H
#define MAIL_STORE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct roster_id;
struct shard;
struct shard_peers;
struct store_node;

enum { STORE_SHARDS_MAX = 256 };

/* What may change while it runs. */
struct store_node_settings {
    uint64_t reserve_bytes;       /* free space below which changes are refused */
    uint64_t operation_keep_ms;   /* first answers, for repeats of an operation */
    uint64_t tombstone_keep_ms;   /* which messages were expunged; 0: for ever */
    uint64_t quota_bytes, quota_items; /* of accounts that have none of their own; 0: no limit */
    uint64_t checkpoint_bytes_per_s; /* to other nodes; 0: no limit */
    uint64_t drop_delay_ms;       /* before a copy that is wanted elsewhere is deleted */
};

/* Something that an operator should hear of. */
enum store_notice_kind { STORE_DISK_FULL, STORE_DISK_FREE, STORE_SHARD_FAILED };
struct store_notice {
    enum store_notice_kind kind;
    uint64_t free_bytes; /* of the disk */
    uint32_t shard;      /* SHARD_FAILED, with `err` */
    struct err err;
};

struct store_node_options {
    const char *directory;        /* made when missing; the text outlives the node */
    unsigned shards;              /* of a new directory; an old one keeps its number */
    unsigned shares;              /* that memory is divided into; 0: as many as shards */
    bool of_cluster; /* opens no shard by itself: store_node_open_shard() does as it is told */
    unsigned workers;             /* threads for shards; 0: min(cores, 4) */
    uint64_t memory_bytes, cache_bytes, segment_bytes, index_bytes;
    uint64_t trim_every_ms;       /* between looks for what is to be forgotten; 0: ten minutes */
    struct store_node_settings settings;
    /* On any thread; must not block. May be NULL. */
    void (*noticed)(void *holder, const struct store_notice *notice);
    void *holder;
    /* The disk does not write any more: what is acknowledged from now on would be a lie. Called on
     * any thread; ends the program (REPLICATION 6.9 R6). */
    void (*failed)(struct err err);
};

/* Opens, replays, and serves when it returns; but for shards whose lead the full disk has no room
 * to write down (shard_owes), which serve as soon as it has. A node of a cluster has no shard then.
 * ERR_EXISTS: another process has the directory; ERR_CORRUPT, ERR_UNSUPPORTED (newer format),
 * ERR_IO. */
MUST_USE struct err store_node_open(const struct store_node_options *options,
                                    struct store_node **ret);
/* Finishes what is under way and writes memory to disk. No shard call is made after it began. */
void store_node_close(struct store_node *node);

/* Shards have numbers below this. */
unsigned store_node_shards(const struct store_node *node);
/* NULL: not open here. */
struct shard *store_node_shard(struct store_node *node, unsigned number);
/* The shard of a slot, or NULL. */
struct shard *store_node_of_slot(struct store_node *node, unsigned slot);
void store_node_id(const struct store_node *node, uint8_t id[16]);
/* How often the directory was opened: 1 the first time. */
uint64_t store_node_boot(const struct store_node *node);

/* A shard of a cluster: its slots [first, end), and the way to its other copies. */
struct store_shard_place {
    uint32_t number, slot_first, slot_end;
    struct shard_peers *peers;     /* shard_copy.h; lives as long as the node */
    const struct roster_id *boot;  /* of this process */
};
/* A node of a cluster: opens the shard and replays what is known to be committed; it is a learner
 * then, until the cluster's row makes it more. Blocks for the disk; one at a time. ERR_EXISTS: it
 * is open; ERR_TOO_BIG: the number; ERR_CORRUPT, ERR_IO. */
MUST_USE struct err store_node_open_shard(struct store_node *node,
                                          const struct store_shard_place *place);
/* False: the disk has not answered for seconds, so the node should lead nothing. Any thread. */
bool store_node_disk_ok(struct store_node *node);
/* All shards that the cluster knows to be in this directory are open: the log may be trimmed. */
MUST_USE struct err store_node_keep(struct store_node *node);

/* New settings, in force at once for what begins from now on. Any thread. */
void store_node_configure(struct store_node *node, const struct store_node_settings *settings);
/* As they are now. Any thread. */
uint64_t store_node_checkpoint_rate(const struct store_node *node);
uint64_t store_node_drop_delay_ms(const struct store_node *node);
/* Free bytes of the disk, and whether changes are refused for want of them. */
bool store_node_is_full(struct store_node *node, uint64_t *free_bytes);

/* The node in numbers, without waiting for a disk. Any thread. */
enum { STORE_ROLES = 8 };
struct store_node_stats {
    uint64_t log_bytes, log_segments, log_queued_bytes;
    uint64_t index_bytes, index_mailboxes, index_hits, index_misses;
    uint64_t kv_memory_bytes;         /* rows not on disk yet; as the keeper last saw it */
    uint64_t behind, behind_most;     /* entries logged and not applied: in all; of one shard */
    uint64_t free_bytes;              /* of the disk */
    uint64_t keeper_turns;            /* how often the keeper has looked after things */
    bool is_full;
    unsigned shards[STORE_ROLES];     /* by enum replica_role */
};
void store_node_stats_get(struct store_node *node, struct store_node_stats *ret);
/* "serving"; "unknown" for a number that is no role. */
const char *store_role_text(unsigned role);

#ifdef __cplusplus
}
#endif
#endif
