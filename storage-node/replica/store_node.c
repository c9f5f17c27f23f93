#include "store_node.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "kv_rocks.h"
#include "mbox.h"
#include "shard_copy.h"
#include "shard_private.h"
#include "slog.h"
#include "slog_file.h"
#include "store_dir.h"
#include "store_open.h"
#include "store_state_private.h"

enum {
    PATH_BYTES = 1024,
    OPENERS = 4,                    /* threads that open stores at the start */
    ROCKS_THREADS = 2,
    SERVE_WAIT_MS = 120 * 1000,     /* to become serving, at the start */
    QUEUED_MAX = 65536,
    QUEUED_BYTES_MAX = 256 * 1024 * 1024,
    WRITE_BUFFER_MIN_BYTES = 4 * 1024 * 1024,
    FULL_LOOK_MS = 1000,
    DISK_ILL_MS = 3000,             /* a group that is at the disk longer (REPLICATION 6.6) */
    SLOG_RESERVE_BYTES = 16 * 1024 * 1024,
};

struct slog *store_node_log(struct store_node *node) { return node->log; }
struct slog_thread *store_node_log_thread(struct store_node *node) { return node->log_thread; }
unsigned store_node_shards(const struct store_node *node) { return node->shards_count; }

static unsigned shares(const struct store_node *node)
{
    return node->options.shares != 0 ? node->options.shares : node->shards_count;
}

uint64_t store_node_index_bytes(const struct store_node *node)
{
    return node->options.index_bytes / shares(node);
}

struct shard *store_node_shard(struct store_node *node, unsigned number)
{
    CHECK(number < node->shards_count);
    return atomic_load_explicit(&node->shards[number], memory_order_acquire);
}

/* The first slot of a shard: as place_map_one_node() cuts them. */
static uint32_t first_slot(const struct store_node *node, unsigned shard)
{
    return (uint32_t)((uint64_t)shard * MBOX_SLOTS / node->shards_count);
}

struct shard *store_node_of_slot(struct store_node *node, unsigned slot)
{
    if (slot >= SLOT_COUNT) return NULL;
    unsigned above = atomic_load_explicit(&node->shard_of[slot], memory_order_acquire);
    return above == 0 ? NULL : store_node_shard(node, above - 1);
}

/* From now on the shard is there for everybody. */
static void publish(struct store_node *node, struct shard *shard)
{
    atomic_store_explicit(&node->shards[shard->number], shard, memory_order_release);
    for (uint32_t slot = shard->slot_first; slot < shard->slot_end; slot++) {
        atomic_store_explicit(&node->shard_of[slot], (uint16_t)(shard->number + 1),
                              memory_order_release);
    }
}

uint64_t store_node_boot(const struct store_node *node)
{
    return store_dir_identity(node->dir)->boot;
}

void store_node_id(const struct store_node *node, uint8_t id[16])
{
    memcpy(id, store_dir_identity(node->dir)->store_id, 16);
}

/* ---- the disk */

void store_node_configure(struct store_node *node, const struct store_node_settings *settings)
{
    atomic_store(&node->reserve_bytes, settings->reserve_bytes);
    atomic_store(&node->operation_keep_ms, settings->operation_keep_ms);
    atomic_store(&node->tombstone_keep_ms, settings->tombstone_keep_ms);
    atomic_store(&node->quota_bytes, settings->quota_bytes);
    atomic_store(&node->quota_items, settings->quota_items);
    atomic_store(&node->checkpoint_rate, settings->checkpoint_bytes_per_s);
    atomic_store(&node->drop_delay_ms, settings->drop_delay_ms);
    atomic_store(&node->looked_ms, 0);
}

uint64_t store_node_checkpoint_rate(const struct store_node *node)
{
    return atomic_load_explicit(&node->checkpoint_rate, memory_order_relaxed);
}

uint64_t store_node_drop_delay_ms(const struct store_node *node)
{
    return atomic_load_explicit(&node->drop_delay_ms, memory_order_relaxed);
}

void store_node_quota(const struct store_node *node, uint64_t *bytes, uint64_t *items)
{
    *bytes = atomic_load_explicit(&node->quota_bytes, memory_order_relaxed);
    *items = atomic_load_explicit(&node->quota_items, memory_order_relaxed);
}

void store_node_notice(struct store_node *node, const struct store_notice *notice)
{
    const struct store_node_options *options = &node->options;
    if (options->noticed != NULL) options->noticed(options->holder, notice);
}

bool store_node_is_full(struct store_node *node, uint64_t *free_bytes)
{
    uint64_t now = clock_boot_ms();
    if (now - atomic_load(&node->looked_ms) >= FULL_LOOK_MS) {
        struct statvfs disk;
        if (statvfs(node->options.directory, &disk) == 0) {
            atomic_store(&node->free_bytes, (uint64_t)disk.f_bavail * disk.f_frsize);
        }
        atomic_store(&node->looked_ms, now); /* last: nobody takes "not looked yet" for "full" */
    }
    uint64_t bytes = atomic_load(&node->free_bytes);
    bool full = bytes < atomic_load(&node->reserve_bytes);
    if (free_bytes != NULL) *free_bytes = bytes;
    if (atomic_load(&node->is_full) != full && atomic_exchange(&node->is_full, full) != full) {
        struct store_notice notice = { .kind = full ? STORE_DISK_FULL : STORE_DISK_FREE,
                                       .free_bytes = bytes };
        store_node_notice(node, &notice);
    }
    return full;
}

struct err store_node_room(struct store_node *node, size_t bytes)
{
    if (store_node_is_full(node, NULL)) return err_make(ERR_FULL, "disk below the reserve");
    if (slog_thread_queued_bytes(node->log_thread) + bytes > QUEUED_BYTES_MAX) {
        return err_make(ERR_BUSY, "log");
    }
    return err_ok();
}

/* ---- opening */

static void on_log_failed(void *holder, struct err err)
{
    struct store_node *node = holder;
    node->options.failed(err);
}

uint64_t store_node_shard_memory(const struct store_node *node)
{
    uint64_t each = node->options.memory_bytes / shares(node);
    return each < WRITE_BUFFER_MIN_BYTES ? WRITE_BUFFER_MIN_BYTES : each;
}

static void *open_run(void *argument)
{
    struct store_node *node = argument;
    for (;;) {
        unsigned shard = atomic_fetch_add(&node->next_open, 1);
        if (shard >= node->shards_count) return NULL;
        node->open_errs[shard] = store_open_rows(node, shard, &node->stores[shard]);
    }
}

static struct err open_rocks(struct store_node *node)
{
    char path[PATH_BYTES];
    struct kv_rocks_limits limits = { node->options.cache_bytes, ROCKS_THREADS };
    TRY(kv_rocks_shared_new(&limits, &node->rocks));
    snprintf(path, sizeof(path), "%s/shards", node->options.directory);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return err_make_detail(ERR_IO, errno, "shards");
    return store_checkpoint_sweep(node);
}

/* Stores are opened several at a time: each waits for the disk. */
static struct err open_stores(struct store_node *node)
{
    pthread_t threads[OPENERS];
    unsigned started = 0;
    while (started < OPENERS &&
           pthread_create(&threads[started], NULL, open_run, node) == 0) {
        started++;
    }
    if (started == 0) return err_make(ERR_NOMEM, "threads");
    for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < node->shards_count; i++) TRY(node->open_errs[i]);
    return err_ok();
}

/* What the log and the rows say of a shard. */
static struct err recovered(struct shard *shard, struct kv *kv, struct replica_recovered *ret)
{
    uint64_t epoch = 0, applied = 0;
    TRY(kv->calls->applied(kv, false, &epoch, &applied));
    shard_copy_view(shard, ret);
    ret->applied_index = applied;
    if (ret->first_index > applied + 1 && ret->last_index > applied) {
        return err_make(ERR_CORRUPT, "the log begins behind what the shard's rows have");
    }
    return err_ok();
}

/* The shard over its open store, with everything replayed that is known to be committed. */
static struct err open_shard(struct store_node *node, const struct store_shard_place *place)
{
    struct replica_recovered found = { 0 };
    unsigned number = place->number;
    struct kv *kv = node->stores[number];
    struct shard *shard;
    TRY(shard_new(node, number, kv, &shard));
    node->stores[number] = NULL;
    shard->slot_first = place->slot_first;
    shard->slot_end = place->slot_end;
    shard->worker = node->workers[number % node->workers_count];
    if (place->peers != NULL) {
        struct roster_id sid;
        store_node_id(node, sid.bytes);
        shard_join(shard, place->peers, &sid, place->boot);
    }
    struct err err = recovered(shard, kv, &found);
    if (err.code == ERR_OK) err = shard_recover(shard, &found);
    if (err.code != ERR_OK) {
        shard_free(shard);
        return err;
    }
    publish(node, shard);
    return err_ok();
}

struct err store_node_open_shard(struct store_node *node, const struct store_shard_place *place)
{
    unsigned number = place->number;
    if (number >= node->shards_count || place->slot_first > place->slot_end ||
        place->slot_end > SLOT_COUNT) {
        return err_make(ERR_TOO_BIG, "number of a shard");
    }
    if (store_node_shard(node, number) != NULL) return err_make(ERR_EXISTS, "shard");
    TRY(store_open_rows(node, number, &node->stores[number]));
    struct err err = open_shard(node, place);
    if (err.code != ERR_OK && node->stores[number] != NULL) {
        node->stores[number]->calls->close(node->stores[number]);
        node->stores[number] = NULL;
    }
    return err;
}

bool store_node_disk_ok(struct store_node *node)
{
    return slog_thread_writing_ms(node->log_thread, clock_boot_ms()) < DISK_ILL_MS;
}

struct err store_node_keep(struct store_node *node)
{
    return node->keeper_runs ? err_ok() : store_keeper_start(node);
}

/* Those for whose epoch the disk has no room come later: the keeper looks after them. */
static struct err wait_serving(struct store_node *node)
{
    uint64_t until = clock_boot_ms() + SERVE_WAIT_MS;
    for (unsigned i = 0; i < node->shards_count; i++) {
        const struct shard *shard = store_node_shard(node, i);
        while (!shard_serves(shard) && !shard_owes(shard)) {
            struct shard_state state;
            struct timespec turn = { 0, 1000000 };
            shard_state_get(shard, &state);
            if (state.role == REPLICA_QUARANTINED) return err_make(ERR_CORRUPT, "shard");
            if (clock_boot_ms() > until) return err_make(ERR_TIMEOUT, "shards to serve");
            nanosleep(&turn, NULL);
        }
    }
    return err_ok();
}

static struct err open_log(struct store_node *node)
{
    char path[PATH_BYTES];
    struct slog_options options = { node->options.segment_bytes, SLOG_RESERVE_BYTES };
    struct slog_thread_options thread = { .queued_bytes_max = QUEUED_BYTES_MAX * 2ull,
                                          .queued_max = QUEUED_MAX, .failed = on_log_failed,
                                          .holder = node };
    snprintf(path, sizeof(path), "%s/log", node->options.directory);
    TRY(slog_files_open(path, &node->files));
    TRY(slog_open(node->files, store_dir_identity(node->dir)->store_id, &options, &node->log));
    return slog_thread_start(node->log, &thread, &node->log_thread);
}

static struct err open_workers(struct store_node *node)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = node->options.workers;
    if (count == 0) count = cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;
    if (count > SHARD_WORKERS_MAX) count = SHARD_WORKERS_MAX;
    for (unsigned i = 0; i < count; i++) {
        TRY(shard_worker_new(i, &node->workers[i]));
        node->workers_count++;
    }
    return err_ok();
}

static struct err open_all(struct store_node *node)
{
    TRY(store_dir_open(node->options.directory, node->options.shards, &node->dir));
    node->shards_count = store_dir_identity(node->dir)->shards;
    TRY(open_log(node));
    TRY(open_rocks(node));
    TRY(open_workers(node));
    if (node->options.of_cluster) return err_ok();
    TRY(open_stores(node));
    for (unsigned i = 0; i < node->shards_count; i++) {
        uint32_t end = i + 1 < node->shards_count ? first_slot(node, i + 1) : MBOX_SLOTS;
        TRY(open_shard(node, &(struct store_shard_place){ i, first_slot(node, i), end, NULL,
                                                          NULL }));
        TRY(shard_lead(store_node_shard(node, i), 0));
    }
    TRY(wait_serving(node));
    return store_keeper_start(node);
}

static void wait_init(struct store_node *node)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&node->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&node->lock, NULL);
}

struct err store_node_open(const struct store_node_options *options, struct store_node **ret)
{
    struct store_node *node = calloc(1, sizeof(*node));
    if (node == NULL) return err_make(ERR_NOMEM, "storage node");
    node->options = *options;
    if (node->options.trim_every_ms == 0) node->options.trim_every_ms = STORE_TRIM_EVERY_MS;
    node->trimmed_ms = clock_boot_ms();
    store_node_configure(node, &options->settings);
    wait_init(node);
    struct err err = open_all(node);
    if (err.code != ERR_OK) {
        store_node_close(node);
        return err;
    }
    *ret = node;
    return err_ok();
}

void store_node_close(struct store_node *node)
{
    if (node == NULL) return;
    store_keeper_stop(node);
    /* The log first: its callbacks post to the workers, which then finish what came. What they
     * propose meanwhile is refused (CANCELLED), so the log's queue stays until they have ended. */
    slog_thread_end(node->log_thread);
    for (unsigned i = 0; i < node->workers_count; i++) shard_worker_free(node->workers[i]);
    slog_thread_stop(node->log_thread);
    for (unsigned i = 0; i < node->shards_count; i++) {
        shard_free(store_node_shard(node, i));
        if (node->stores[i] != NULL) node->stores[i]->calls->close(node->stores[i]);
    }
    while (node->parked != NULL) {
        struct shard *next = node->parked->next_parked;
        shard_free(node->parked);
        node->parked = next;
    }
    kv_rocks_shared_free(node->rocks);
    slog_close(node->log);
    slog_files_close(node->files);
    store_dir_close(node->dir);
    pthread_cond_destroy(&node->wake);
    pthread_mutex_destroy(&node->lock);
    free(node);
}
