/* Copies that are wanted nowhere any more: closed to everything, and deleted in the end.
 *
 * What a parked copy has in the log beyond its rows is given up (INSTALL of what its rows have), so
 * that it does not hold the log's segments: no set counts on it. Its promise stays until it is
 * dropped. */
#include <pthread.h>

#include "check.h"
#include "clock.h"
#include "kv.h"
#include "shard_private.h"
#include "slog.h"
#include "store_open.h"
#include "store_rows.h"
#include "store_state_private.h"

/* ---- another thread does it, this one waits */

struct waited {
    struct slog_entry log;
    struct shard_job job;
    struct shard *shard;
    struct kv *kv;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool told;
    struct err err;
};

static void waited_init(struct waited *waited)
{
    *waited = (struct waited){ .err = err_ok() };
    pthread_mutex_init(&waited->lock, NULL);
    pthread_cond_init(&waited->wake, NULL);
}

static void tell(struct waited *waited, struct err err)
{
    pthread_mutex_lock(&waited->lock);
    waited->told = true;
    waited->err = err;
    pthread_cond_signal(&waited->wake);
    pthread_mutex_unlock(&waited->lock);
}

/* Log and shards answer everything that they took, or the program ends (REPLICATION 6.9 R6). */
static struct err wait_end(struct waited *waited)
{
    pthread_mutex_lock(&waited->lock);
    while (!waited->told) pthread_cond_wait(&waited->wake, &waited->lock);
    pthread_mutex_unlock(&waited->lock);
    pthread_cond_destroy(&waited->wake);
    pthread_mutex_destroy(&waited->lock);
    return waited->err;
}

static void record_durable(struct slog_entry *log, struct err err)
{
    tell(LIST_ITEM(log, struct waited, log), err);
}

struct err store_log_write(struct store_node *node, const struct slog_record *record)
{
    struct waited waited;
    waited_init(&waited);
    waited.log = (struct slog_entry){ .record = *record, .into_reserve = true,
                                      .durable = record_durable };
    waited.log.record.time_ms = clock_wall_ms();
    waited.log.record.payload = SPAN("");
    struct err err = slog_submit(node->log_thread, &waited.log);
    if (err.code != ERR_OK) tell(&waited, err);
    return wait_end(&waited);
}

/* ---- closing */

static struct err may_park(const struct shard *shard)
{
    const struct replica *replica = &shard->replica;
    if (!replica->is_joined || replica->role == REPLICA_SERVING ||
        replica->role == REPLICA_RECONCILE)
        return err_make(ERR_CONFLICT, "the copy leads");
    if (roster_copies_have(&replica->config.row.isr, &replica->sid))
        return err_make(ERR_CONFLICT, "the copy is in the shard's set");
    if (replica->installing || replica->cas.change != REPLICA_NO_CHANGE)
        return err_make(ERR_BUSY, "the copy is at work");
    return err_ok();
}

static void park_run(struct shard_job *job)
{
    struct waited *waited = LIST_ITEM(job, struct waited, job);
    struct shard *shard = waited->shard;
    struct err err = may_park(shard);
    if (err.code == ERR_OK) err = shard_rows_take(shard, &waited->kv);
    if (err.code == ERR_OK) {
        shard->is_parked = true;
        shard->replica.role = REPLICA_OFFLINE;
        shard_show(shard);
    }
    tell(waited, err);
}

static void unpublish(struct store_node *node, struct shard *shard)
{
    for (unsigned slot = shard->slot_first; slot < shard->slot_end; slot++)
        atomic_store_explicit(&node->shard_of[slot], 0, memory_order_release);
    atomic_store_explicit(&node->shards[shard->number], NULL, memory_order_release);
    /* Others may have looked it up before: it stays, and hears nothing. */
    shard->next_parked = node->parked;
    node->parked = shard;
}

static struct err shard_take(struct store_node *node, struct shard *shard, struct kv **ret)
{
    struct waited waited;
    waited_init(&waited);
    waited.shard = shard;
    waited.job.run = park_run;
    struct err err = shard_post(shard, &waited.job);
    if (err.code != ERR_OK) tell(&waited, err);
    TRY(wait_end(&waited));
    unpublish(node, shard);
    *ret = waited.kv;
    return err_ok();
}

struct err store_node_park_shard(struct store_node *node, unsigned number)
{
    uint64_t epoch = 0, index = 0;
    struct slog_shard_view view;
    struct kv *kv = NULL;
    if (number >= node->shards_count) return err_make(ERR_TOO_BIG, "number of a shard");
    struct shard *shard = store_node_shard(node, number);
    if (shard != NULL) TRY(shard_take(node, shard, &kv));
    else if (store_rows_exist(node->options.directory, number, STORE_ROWS_DROPPED)) return err_ok();
    if (slog_shard_get(node->log, number, &view).code != ERR_OK && kv == NULL) return err_ok();
    if (kv == NULL) TRY(store_open_rows(node, number, &kv));
    struct err err = kv->calls->flush(kv, true);
    if (err.code == ERR_OK) err = kv->calls->applied(kv, true, &epoch, &index);
    kv->calls->close(kv);
    TRY(err);
    if (!store_log_has(node, number)) return err_ok();
    return store_log_write(node, &(struct slog_record){ .type = SLOG_INSTALL, .shard = number,
                                                        .epoch = epoch, .index = index });
}

/* ---- deleting */

struct err store_node_drop_shard(struct store_node *node, unsigned shard)
{
    const char *directory = node->options.directory;
    if (shard >= node->shards_count) return err_make(ERR_TOO_BIG, "number of a shard");
    if (store_node_shard(node, shard) != NULL) return err_make(ERR_EXISTS, "shard is open");
    TRY(store_rows_prepare(directory, shard));
    TRY(store_rows_remove(directory, shard, STORE_ROWS_OLD));
    if (store_rows_exist(directory, shard, STORE_ROWS))
        TRY(store_rows_move(directory, shard, STORE_ROWS, STORE_ROWS_DROPPED));
    return store_drop_finish(node, shard);
}

bool store_node_shard_here(struct store_node *node, unsigned from, unsigned *ret)
{
    const char *directory = node->options.directory;
    for (unsigned shard = from; shard < node->shards_count; shard++) {
        bool here = store_node_shard(node, shard) != NULL || store_log_has(node, shard) ||
                    store_rows_exist(directory, shard, STORE_ROWS) ||
                    store_rows_exist(directory, shard, STORE_ROWS_DROPPED);
        if (!here) continue;
        *ret = shard;
        return true;
    }
    return false;
}
