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
#include "mbox_maintain.h"
#include "shard_private.h"
#include "slog.h"
#include "slog_file.h"
#include "store_dir.h"
#include "store_node_private.h"

enum {
    PATH_BYTES = 1024,
    OPENERS = 4,                    /* threads that open stores at the start */
    ROCKS_THREADS = 2,
    SERVE_WAIT_MS = 120 * 1000,     /* to become serving, at the start */
    KEEPER_TURN_MS = 1000,          /* while there is something to look after */
    TRIM_EVERY_MS = 10 * 60 * 1000, /* also when nothing else happens */
    LOG_RETAIN_BYTES = 256 * 1024 * 1024,
    QUEUED_MAX = 65536,
    QUEUED_BYTES_MAX = 256 * 1024 * 1024,
    WRITE_BUFFER_MIN_BYTES = 4 * 1024 * 1024,
    FULL_LOOK_MS = 1000,
    SLOG_RESERVE_BYTES = 16 * 1024 * 1024,
    TRIM_STAGES = 4,
};

struct store_node {
    struct store_node_options options;
    struct store_dir *dir;
    struct slog_files *files;
    struct slog *log;
    struct slog_thread *log_thread;
    struct kv_rocks_shared *rocks;
    struct shard_worker *workers[SHARD_WORKERS_MAX];
    unsigned workers_count, shards_count;
    struct shard *shards[STORE_SHARDS_MAX];
    struct kv *stores[STORE_SHARDS_MAX]; /* at the start, until a shard has them */
    struct err open_errs[STORE_SHARDS_MAX];
    _Atomic unsigned next_open;
    /* The disk, as last looked at. */
    _Atomic uint64_t reserve_bytes, free_bytes, looked_ms;
    /* The keeper. */
    pthread_t keeper;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool keeper_runs, stops; /* under lock */
    _Atomic bool wrote, keeper_sleeps;
    uint64_t trimmed_ms;
};

struct slog *store_node_log(struct store_node *node) { return node->log; }
struct slog_thread *store_node_log_thread(struct store_node *node) { return node->log_thread; }
unsigned store_node_shards(const struct store_node *node) { return node->shards_count; }

uint64_t store_node_index_bytes(const struct store_node *node)
{
    return node->options.index_bytes / node->shards_count;
}

struct shard *store_node_shard(struct store_node *node, unsigned number)
{
    CHECK(number < node->shards_count);
    return node->shards[number];
}

/* The first slot of a shard: as place_map_one_node() cuts them. */
static uint32_t first_slot(const struct store_node *node, unsigned shard)
{
    return (uint32_t)((uint64_t)shard * MBOX_SLOTS / node->shards_count);
}

struct shard *store_node_of_slot(struct store_node *node, unsigned slot)
{
    if (slot >= MBOX_SLOTS) return NULL;
    unsigned shard = (unsigned)((uint64_t)slot * node->shards_count / MBOX_SLOTS);
    while (shard + 1 < node->shards_count && first_slot(node, shard + 1) <= slot) shard++;
    while (shard > 0 && first_slot(node, shard) > slot) shard--;
    return node->shards[shard];
}

void store_node_id(const struct store_node *node, uint8_t id[16])
{
    memcpy(id, store_dir_identity(node->dir)->store_id, 16);
}

/* ---- the disk */

void store_node_set_reserve(struct store_node *node, uint64_t reserve_bytes)
{
    atomic_store(&node->reserve_bytes, reserve_bytes);
    atomic_store(&node->looked_ms, 0);
}

bool store_node_is_full(struct store_node *node, uint64_t *free_bytes)
{
    uint64_t now = clock_boot_ms();
    if (now - atomic_load(&node->looked_ms) >= FULL_LOOK_MS) {
        struct statvfs disk;
        atomic_store(&node->looked_ms, now);
        if (statvfs(node->options.directory, &disk) == 0) {
            atomic_store(&node->free_bytes, (uint64_t)disk.f_bavail * disk.f_frsize);
        }
    }
    uint64_t bytes = atomic_load(&node->free_bytes);
    if (free_bytes != NULL) *free_bytes = bytes;
    return bytes < atomic_load(&node->reserve_bytes);
}

struct err store_node_room(struct store_node *node, size_t bytes)
{
    if (store_node_is_full(node, NULL)) return err_make(ERR_FULL, "disk below the reserve");
    if (slog_thread_queued_bytes(node->log_thread) + bytes > QUEUED_BYTES_MAX) {
        return err_make(ERR_BUSY, "log");
    }
    return err_ok();
}

/* ---- the keeper */

void store_node_wrote(struct store_node *node)
{
    /* Both in the one order of all threads, as in keeper_wait(): either this sees that the keeper
     * sleeps, or the keeper sees that something was written. */
    if (!atomic_load(&node->wrote)) atomic_store(&node->wrote, true);
    if (!atomic_load(&node->keeper_sleeps)) return;
    pthread_mutex_lock(&node->lock);
    pthread_cond_signal(&node->wake);
    pthread_mutex_unlock(&node->lock);
}

/* Writes the largest memory to disk while all together have too much. True: some was written. */
static bool keep_memory(struct store_node *node)
{
    uint64_t all = 0, most = 0;
    struct shard *largest = NULL;
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct kv *kv = node->shards[i]->kv;
        uint64_t bytes = kv->calls->memory_bytes(kv);
        all += bytes;
        if (bytes > most) {
            most = bytes;
            largest = node->shards[i];
        }
    }
    if (all <= node->options.memory_bytes || largest == NULL) return false;
    return largest->kv->calls->flush(largest->kv, true).code == ERR_OK;
}

static void keep_log(struct store_node *node)
{
    struct slog_kept kept[STORE_SHARDS_MAX];
    struct slog_pins pins;
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct kv *kv = node->shards[i]->kv;
        uint64_t epoch = 0, index = 0;
        if (kv->calls->applied(kv, true, &epoch, &index).code != ERR_OK) index = 0;
        kept[i] = (struct slog_kept){ i, index, UINT64_MAX };
    }
    if (slog_gc(node->log, kept, node->shards_count, LOG_RETAIN_BYTES, &pins).code != ERR_OK)
        return;
    struct slog_stats stats;
    slog_stats_get(node->log, &stats);
    if (stats.log_bytes < LOG_RETAIN_BYTES) return;
    /* A shard that is hardly written to must not hold the whole log. */
    for (size_t i = 0; i < pins.count; i++) {
        struct kv *kv = node->shards[pins.shards[i]]->kv;
        (void)!kv->calls->flush(kv, true).code;
    }
}

/* One round of forgetting in a shard; goes on by itself while there is more. */
struct trim {
    struct shard_job job;
    struct shard_change change;
    struct shard *shard;
    struct mbox_result result;
    unsigned stage;
};

static void trim_run(struct shard_job *job);

static void trim_done(struct shard_change *change, struct err err)
{
    struct trim *trim = LIST_ITEM(change, struct trim, change);
    bool more = err.code == ERR_OK && trim->result.more;
    mbox_result_free(&trim->result);
    if (err.code == ERR_OK && !more) trim->stage++;
    if (err.code == ERR_OK && trim->stage < TRIM_STAGES) {
        mbox_result_init(&trim->result);
        trim->job.run = trim_run;
        if (shard_post(trim->shard, &trim->job).code == ERR_OK) return;
        mbox_result_free(&trim->result);
    }
    free(trim);
}

static void trim_run(struct shard_job *job)
{
    struct trim *trim = LIST_ITEM(job, struct trim, job);
    struct shard *shard = trim->shard;
    uint64_t now = clock_wall_ms(), keep = shard->node->options.operation_keep_ms + 3600 * 1000;
    struct mbox_context context = { .rows = shard_rows_ahead(shard), .time_ms = now,
                                    .slot_first = shard->slot_first, .slot_end = shard->slot_end,
                                    .due = shard->due };
    struct err err = err_ok();
    if (trim->stage == 0) err = mbox_trim_operations(&context, now - keep, &trim->result);
    if (trim->stage == 1) err = mbox_trim_bodies(&context, now - keep, &trim->result);
    if (trim->stage == 2) err = mbox_sweep(&context, &trim->result);
    if (trim->stage == 3) err = mbox_trim_transactions(&context, &trim->result);
    trim->change.done = trim_done;
    if (err.code == ERR_OK) {
        err = shard_propose(shard, trim->result.batches, trim->result.batches_count, &trim->change);
    }
    if (err.code != ERR_OK) trim_done(&trim->change, err);
}

static void keep_trim(struct store_node *node)
{
    for (unsigned i = 0; i < node->shards_count; i++) {
        if (!shard_serves(node->shards[i])) continue;
        struct trim *trim = calloc(1, sizeof(*trim));
        if (trim == NULL) return;
        trim->shard = node->shards[i];
        trim->job.run = trim_run;
        mbox_result_init(&trim->result);
        if (shard_post(trim->shard, &trim->job).code != ERR_OK) {
            mbox_result_free(&trim->result);
            free(trim);
        }
    }
}

/* Until it is woken; no longer than to `until_ms` (clock_boot_ms). With `until_woken` what was
 * written meanwhile counts as being woken. */
static void keeper_wait(struct store_node *node, bool until_woken, uint64_t until_ms)
{
    struct timespec until;
    uint64_t now = clock_boot_ms(), wait_ms = until_ms > now ? until_ms - now : 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&node->lock);
    if (!node->stops) {
        atomic_store(&node->keeper_sleeps, until_woken);
        if (!until_woken || !atomic_load(&node->wrote)) {
            pthread_cond_timedwait(&node->wake, &node->lock, &until);
        }
        atomic_store(&node->keeper_sleeps, false);
    }
    pthread_mutex_unlock(&node->lock);
}

/* What shards could not do for want of space is tried again. True: some still wait for it. */
static bool keep_owed(struct store_node *node)
{
    bool owed = false;
    for (unsigned i = 0; i < node->shards_count; i++) {
        if (!shard_owes(node->shards[i])) continue;
        shard_pay(node->shards[i]);
        owed = true;
    }
    return owed;
}

/* One turn: memory, the log, what is owed, and from time to time what is to be forgotten. True:
 * there may be more to do in a moment. */
static bool keeper_turn(struct store_node *node)
{
    bool wrote = atomic_exchange(&node->wrote, false);
    if (wrote) {
        /* As often as there are shards: an empty one takes memory too. */
        for (unsigned i = 0; i < node->shards_count && keep_memory(node); i++) {
        }
        keep_log(node);
    }
    uint64_t now = clock_boot_ms();
    if (now - node->trimmed_ms >= node->options.trim_every_ms) {
        node->trimmed_ms = now;
        keep_trim(node);
    }
    bool owed = keep_owed(node);
    return wrote || owed;
}

static void *keeper_run(void *argument)
{
    struct store_node *node = argument;
    pthread_setname_np(pthread_self(), "keeper");
    for (;;) {
        pthread_mutex_lock(&node->lock);
        bool stops = node->stops;
        pthread_mutex_unlock(&node->lock);
        if (stops) return NULL;
        bool busy = keeper_turn(node);
        uint64_t trim_ms = node->trimmed_ms + node->options.trim_every_ms;
        uint64_t turn_ms = clock_boot_ms() + KEEPER_TURN_MS;
        keeper_wait(node, !busy, busy && turn_ms < trim_ms ? turn_ms : trim_ms);
    }
}

/* ---- opening */

static void on_log_failed(void *holder, struct err err)
{
    struct store_node *node = holder;
    node->options.failed(err);
}

static void *open_run(void *argument)
{
    struct store_node *node = argument;
    char path[PATH_BYTES];
    uint64_t each = node->options.memory_bytes / node->shards_count;
    if (each < WRITE_BUFFER_MIN_BYTES) each = WRITE_BUFFER_MIN_BYTES;
    for (;;) {
        unsigned shard = atomic_fetch_add(&node->next_open, 1);
        if (shard >= node->shards_count) return NULL;
        snprintf(path, sizeof(path), "%s/shards/%u", node->options.directory, shard);
        node->open_errs[shard] = kv_rocks_open(node->rocks, path, each, &node->stores[shard]);
    }
}

/* Stores are opened several at a time: each waits for the disk. */
static struct err open_stores(struct store_node *node)
{
    pthread_t threads[OPENERS];
    char path[PATH_BYTES];
    struct kv_rocks_limits limits = { node->options.cache_bytes, ROCKS_THREADS };
    TRY(kv_rocks_shared_new(&limits, &node->rocks));
    snprintf(path, sizeof(path), "%s/shards", node->options.directory);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return err_make_detail(ERR_IO, errno, "shards");
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

static struct err open_shard(struct store_node *node, unsigned number)
{
    struct slog_shard_view view = { 0 };
    struct replica_recovered found = { 0 };
    uint64_t epoch = 0, applied = 0;
    struct kv *kv = node->stores[number];
    TRY(shard_new(node, number, kv, &node->shards[number]));
    node->stores[number] = NULL;
    struct shard *shard = node->shards[number];
    shard->slot_first = first_slot(node, number);
    shard->slot_end = number + 1 < node->shards_count ? first_slot(node, number + 1) : MBOX_SLOTS;
    shard->worker = node->workers[number % node->workers_count];
    TRY(kv->calls->applied(kv, false, &epoch, &applied));
    struct err err = slog_shard_get(node->log, number, &view);
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) return err;
    found = (struct replica_recovered){ .accepted_epoch = view.accepted_epoch,
                                        .last_epoch = view.last_epoch,
                                        .last_index = view.last_index,
                                        .commit_hint = view.commit,
                                        .applied_index = applied };
    if (err.code == ERR_OK && view.first_index > applied + 1 && view.last_index > applied) {
        return err_make(ERR_CORRUPT, "the log begins behind what the shard's rows have");
    }
    TRY(shard_recover(shard, &found));
    return shard_lead(shard);
}

/* Those for whose epoch the disk has no room come later: the keeper looks after them. */
static struct err wait_serving(struct store_node *node)
{
    uint64_t until = clock_boot_ms() + SERVE_WAIT_MS;
    for (unsigned i = 0; i < node->shards_count; i++) {
        while (!shard_serves(node->shards[i]) && !shard_owes(node->shards[i])) {
            struct shard_state state;
            struct timespec turn = { 0, 1000000 };
            shard_state_get(node->shards[i], &state);
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
    TRY(open_stores(node));
    TRY(open_workers(node));
    for (unsigned i = 0; i < node->shards_count; i++) TRY(open_shard(node, i));
    TRY(wait_serving(node));
    if (pthread_create(&node->keeper, NULL, keeper_run, node) != 0) {
        return err_make(ERR_NOMEM, "keeper");
    }
    node->keeper_runs = true;
    return err_ok();
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
    if (node->options.trim_every_ms == 0) node->options.trim_every_ms = TRIM_EVERY_MS;
    node->trimmed_ms = clock_boot_ms();
    atomic_store(&node->reserve_bytes, options->reserve_bytes);
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
    if (node->keeper_runs) {
        pthread_mutex_lock(&node->lock);
        node->stops = true;
        pthread_cond_signal(&node->wake);
        pthread_mutex_unlock(&node->lock);
        pthread_join(node->keeper, NULL);
    }
    /* The log first: its callbacks post to the workers, which then finish what came. What they
     * propose meanwhile is refused (CANCELLED), so the log's queue stays until they have ended. */
    slog_thread_end(node->log_thread);
    for (unsigned i = 0; i < node->workers_count; i++) shard_worker_free(node->workers[i]);
    slog_thread_stop(node->log_thread);
    for (unsigned i = 0; i < node->shards_count; i++) {
        shard_free(node->shards[i]);
        if (node->stores[i] != NULL) node->stores[i]->calls->close(node->stores[i]);
    }
    kv_rocks_shared_free(node->rocks);
    slog_close(node->log);
    slog_files_close(node->files);
    store_dir_close(node->dir);
    pthread_cond_destroy(&node->wake);
    pthread_mutex_destroy(&node->lock);
    free(node);
}
