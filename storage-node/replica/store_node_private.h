/* store_node_private.h: a node from the inside, and what a shard asks of it. */
#ifndef MAIL_STORE_NODE_PRIVATE_H
#define MAIL_STORE_NODE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "shard.h"
#include "slot.h"
#include "store_node.h"

struct kv;
struct kv_rocks_shared;
struct slog;
struct slog_files;
struct slog_thread;
struct store_dir;

struct store_node {
    struct store_node_options options;
    struct store_dir *dir;
    struct slog_files *files;
    struct slog *log;
    struct slog_thread *log_thread;
    struct kv_rocks_shared *rocks;
    struct shard_worker *workers[SHARD_WORKERS_MAX];
    unsigned workers_count, shards_count;
    struct shard *_Atomic shards[STORE_SHARDS_MAX]; /* set once each; NULL: not open */
    /* Of a slot: one above the number of its shard; 0: none here. */
    _Atomic uint16_t shard_of[SLOT_COUNT];
    struct kv *stores[STORE_SHARDS_MAX]; /* at the start, until a shard has them */
    struct err open_errs[STORE_SHARDS_MAX];
    _Atomic unsigned next_open;
    /* options.settings as they are now. */
    _Atomic uint64_t reserve_bytes, operation_keep_ms, tombstone_keep_ms, quota_bytes, quota_items;
    /* The disk, as last looked at. */
    _Atomic uint64_t free_bytes, looked_ms;
    _Atomic bool is_full;
    /* The keeper. */
    pthread_t keeper;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool keeper_runs, stops; /* under lock */
    _Atomic bool wrote, keeper_sleeps;
    _Atomic uint64_t kv_memory_bytes;
    uint64_t trimmed_ms, tombstones_ms; /* when it last began to; 0: not yet */
};

struct slog *store_node_log(struct store_node *node);
struct slog_thread *store_node_log_thread(struct store_node *node);
uint64_t store_node_index_bytes(const struct store_node *node); /* of one shard */

/* ERR_FULL: the disk is below the reserve; ERR_BUSY: too much waits for the log. */
MUST_USE struct err store_node_room(struct store_node *node, size_t bytes);
/* Something was applied: the keeper has work. */
void store_node_wrote(struct store_node *node);
void store_node_notice(struct store_node *node, const struct store_notice *notice);

/* store_keeper.c: the thread that writes memory to disk, trims the log, and forgets. */
MUST_USE struct err store_keeper_start(struct store_node *node);
/* Harmless when it was not started. */
void store_keeper_stop(struct store_node *node);

#endif
