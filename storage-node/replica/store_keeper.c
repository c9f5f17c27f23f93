/* The keeper of a node: writes rows in memory to disk when there is too much of them, trims the
 * log, has shards try again what the disk had no room for, and forgets old operations, bodies and
 * changes. It sleeps until something was applied, or it is time to forget. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "kv.h"
#include "mbox.h"
#include "mbox_maintain.h"
#include "shard_private.h"
#include "slog.h"
#include "store_state_private.h"

enum {
    KEEPER_TURN_MS = 1000, /* while there is something to look after */
    TOMBSTONES_EVERY_MS = 24 * 3600 * 1000,
    LOG_RETAIN_BYTES = 256 * 1024 * 1024,
};
static const uint64_t LOG_PINNED_BYTES = 4ull * 1024 * 1024 * 1024;

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

/* ---- memory and the log */

static bool flush(struct shard *shard)
{
    if (!shard_hold(shard)) return false;
    struct err err = shard->kv->calls->flush(shard->kv, true);
    shard_release(shard);
    return err.code == ERR_OK;
}

/* Writes the largest memory to disk while all together have too much. True: some was written. */
static bool keep_memory(struct store_node *node)
{
    uint64_t all = 0, most = 0;
    struct shard *largest = NULL;
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct shard *shard = store_node_shard(node, i);
        if (shard == NULL || !shard_hold(shard)) continue;
        uint64_t bytes = shard->kv->calls->memory_bytes(shard->kv);
        shard_release(shard);
        all += bytes;
        if (bytes > most) {
            most = bytes;
            largest = shard;
        }
    }
    atomic_store(&node->kv_memory_bytes, all);
    if (all <= node->options.memory_bytes || largest == NULL) return false;
    return flush(largest);
}

/* What the log is to keep of the shard. False: its rows are being replaced, so everything. */
static bool kept_of(struct store_node *node, struct shard *shard, struct slog_kept *ret)
{
    uint64_t epoch = 0, index = 0;
    if (!shard_hold(shard)) return false;
    if (shard->kv->calls->applied(shard->kv, true, &epoch, &index).code != ERR_OK) index = 0;
    shard_release(shard);
    *ret = (struct slog_kept){ .shard = shard->number, .persisted_index = index,
                               .acked_index = atomic_load(&shard->acked_index) };
    bool pinned = clock_boot_ms() < atomic_load(&shard->pin_until_ms);
    if (!pinned || store_node_is_full(node, NULL)) return true;
    ret->pinned_from = atomic_load(&shard->pin_index) + 1;
    ret->pinned_bytes = LOG_PINNED_BYTES;
    return true;
}

static void keep_log(struct store_node *node)
{
    struct slog_kept kept[STORE_SHARDS_MAX];
    struct slog_pins pins;
    size_t count = 0;
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct shard *shard = store_node_shard(node, i);
        if (shard != NULL && kept_of(node, shard, &kept[count])) count++;
    }
    if (slog_gc(node->log, kept, count, LOG_RETAIN_BYTES, &pins).code != ERR_OK)
        return;
    struct slog_stats stats;
    slog_stats_get(node->log, &stats);
    if (stats.log_bytes < LOG_RETAIN_BYTES) return;
    /* A shard that is hardly written to must not hold the whole log. */
    for (size_t i = 0; i < pins.count; i++) {
        struct shard *shard = store_node_shard(node, pins.shards[i]);
        if (shard != NULL) (void)flush(shard);
    }
}

/* ---- forgetting */

enum trim_stage { TRIM_OPERATIONS, TRIM_BODIES, TRIM_SWEEP, TRIM_TRANSACTIONS,
                  TRIM_TOMBSTONES, TRIM_STAGES };

/* One round of forgetting in a shard; goes on by itself while there is more. */
struct trim {
    struct shard_job job;
    struct shard_change change;
    struct shard *shard;
    struct mbox_result result;
    struct mbox_trim_at at; /* of the tombstones */
    enum trim_stage stage, end;
};

static void trim_run(struct shard_job *job);

static void trim_done(struct shard_change *change, struct err err)
{
    struct trim *trim = LIST_ITEM(change, struct trim, change);
    bool more = err.code == ERR_OK && trim->result.more;
    mbox_result_free(&trim->result);
    if (err.code == ERR_OK && !more) trim->stage++;
    if (err.code == ERR_OK && trim->stage < trim->end) {
        mbox_result_init(&trim->result);
        trim->job.run = trim_run;
        if (shard_post(trim->shard, &trim->job).code == ERR_OK) return;
        mbox_result_free(&trim->result);
    }
    free(trim);
}

static struct err trim_step(struct trim *trim, const struct mbox_context *context)
{
    const struct store_node *node = trim->shard->node;
    uint64_t now = context->time_ms, before = now - atomic_load(&node->tombstone_keep_ms);
    uint64_t keep = atomic_load(&node->operation_keep_ms) + 3600 * 1000;
    switch (trim->stage) {
    case TRIM_OPERATIONS: return mbox_trim_operations(context, now - keep, &trim->result);
    case TRIM_BODIES: return mbox_trim_bodies(context, now - keep, &trim->result);
    case TRIM_SWEEP: return mbox_sweep(context, &trim->result);
    case TRIM_TRANSACTIONS: return mbox_trim_transactions(context, &trim->result);
    case TRIM_TOMBSTONES: return mbox_trim_tombstones(context, before, &trim->at, &trim->result);
    case TRIM_STAGES: break;
    }
    return err_make(ERR_UNSUPPORTED, "stage of forgetting");
}

static void trim_run(struct shard_job *job)
{
    struct trim *trim = LIST_ITEM(job, struct trim, job);
    struct shard *shard = trim->shard;
    struct mbox_context context = { .rows = shard_rows_ahead(shard), .time_ms = clock_wall_ms(),
                                    .slot_first = shard->slot_first, .slot_end = shard->slot_end,
                                    .due = shard->due };
    struct err err = trim_step(trim, &context);
    trim->change.done = trim_done;
    if (err.code == ERR_OK) {
        err = shard_propose(shard, trim->result.batches, trim->result.batches_count, &trim->change);
    }
    if (err.code != ERR_OK) trim_done(&trim->change, err);
}

/* Looking through all accounts is work, and a few days more or less do not matter. */
static bool tombstones_are_due(struct store_node *node, uint64_t now)
{
    uint64_t keep = atomic_load(&node->tombstone_keep_ms), every = keep / 8;
    if (every > TOMBSTONES_EVERY_MS) every = TOMBSTONES_EVERY_MS;
    if (keep == 0 || (node->tombstones_ms != 0 && now - node->tombstones_ms < every)) return false;
    node->tombstones_ms = now;
    return true;
}

static void keep_trim(struct store_node *node, uint64_t now)
{
    enum trim_stage end = tombstones_are_due(node, now) ? TRIM_STAGES : TRIM_TOMBSTONES;
    for (unsigned i = 0; i < node->shards_count; i++) {
        struct shard *shard = store_node_shard(node, i);
        if (shard == NULL || !shard_serves(shard)) continue;
        struct trim *trim = calloc(1, sizeof(*trim));
        if (trim == NULL) return;
        trim->shard = shard;
        trim->end = end;
        trim->job.run = trim_run;
        mbox_result_init(&trim->result);
        if (shard_post(trim->shard, &trim->job).code != ERR_OK) {
            mbox_result_free(&trim->result);
            free(trim);
        }
    }
}

/* ---- the thread */

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
        struct shard *shard = store_node_shard(node, i);
        if (shard == NULL || !shard_owes(shard)) continue;
        shard_pay(shard);
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
        keep_trim(node, now);
    }
    bool owed = keep_owed(node);
    atomic_fetch_add(&node->keeper_turns, 1);
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

struct err store_keeper_start(struct store_node *node)
{
    (void)keep_memory(node); /* for who asks how much there is */
    if (pthread_create(&node->keeper, NULL, keeper_run, node) != 0) {
        return err_make(ERR_NOMEM, "keeper");
    }
    node->keeper_runs = true;
    return err_ok();
}

void store_keeper_stop(struct store_node *node)
{
    if (!node->keeper_runs) return;
    pthread_mutex_lock(&node->lock);
    node->stops = true;
    pthread_cond_signal(&node->wake);
    pthread_mutex_unlock(&node->lock);
    pthread_join(node->keeper, NULL);
    node->keeper_runs = false;
}
