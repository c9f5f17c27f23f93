/* store_state_private.h: a node from the inside. */
#ifndef MAIL_STORE_STATE_PRIVATE_H
#define MAIL_STORE_STATE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "shard.h"
#include "slot.h"
#include "store_node_private.h"

struct kv;
struct kv_rocks_shared;
struct slog_files;
struct slog_record;
struct store_dir;

enum { STORE_TRIM_EVERY_MS = 10 * 60 * 1000 }; /* also when nothing else happens */

struct store_node {
    struct store_node_options options;
    struct store_dir *dir;
    struct slog_files *files;
    struct slog *log;
    struct slog_thread *log_thread;
    struct kv_rocks_shared *rocks;
    struct shard_worker *workers[SHARD_WORKERS_MAX];
    unsigned workers_count, shards_count;
    struct shard *_Atomic shards[STORE_SHARDS_MAX]; /* NULL: not open */
    struct shard *parked; /* closed ones, until the node is: others may still know them */
    /* Of a slot: one above the number of its shard; 0: none here. */
    _Atomic uint16_t shard_of[SLOT_COUNT];
    struct kv *stores[STORE_SHARDS_MAX]; /* at the start, until a shard has them */
    struct err open_errs[STORE_SHARDS_MAX];
    _Atomic unsigned next_open;
    /* options.settings as they are now. */
    _Atomic uint64_t reserve_bytes, operation_keep_ms, tombstone_keep_ms, quota_bytes, quota_items;
    _Atomic uint64_t checkpoint_rate, drop_delay_ms;
    /* The disk, as last looked at. */
    _Atomic uint64_t free_bytes, looked_ms;
    _Atomic bool is_full;
    /* The keeper. */
    pthread_t keeper;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool keeper_runs, stops; /* under lock */
    _Atomic bool wrote, keeper_sleeps;
    _Atomic uint64_t kv_memory_bytes, keeper_turns;
    uint64_t trimmed_ms, tombstones_ms; /* when it last began to; 0: not yet */
};

/* Writes a record of the log and waits until it is durable. Not on the log's thread. */
MUST_USE struct err store_log_write(struct store_node *node, const struct slog_record *record);
bool store_log_has(struct store_node *node, unsigned shard);
/* store_open.c: the names of a dropped shard are gone: the log forgets it, then its bytes go. */
MUST_USE struct err store_drop_finish(struct store_node *node, unsigned shard);

/* What the rows of one shard may hold in memory. */
uint64_t store_node_shard_memory(const struct store_node *node);

/* store_keeper.c: the thread that writes memory to disk, trims the log, and forgets. */
MUST_USE struct err store_keeper_start(struct store_node *node);
/* Harmless when it was not started. */
void store_keeper_stop(struct store_node *node);

#endif
