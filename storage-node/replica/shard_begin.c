/* The beginning of a shard and its end: recovery, the lead with a new epoch, and what a crash or a
 * full disk has left half done, which is taken back before anybody sees it. What the log has no
 * room for is owed: the node's keeper has it tried again. */
#include <stdlib.h>

#include "clock.h"
#include "kv_overlay.h"
#include "mbox.h"
#include "mbox_index.h"
#include "mbox_maintain.h"
#include "shard_private.h"
#include "slog.h"
#include "store_node_private.h"

struct err shard_new(struct store_node *node, uint32_t number, struct kv *kv, struct shard **ret)
{
    struct shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) return err_make(ERR_NOMEM, "shard");
    shard->number = number;
    shard->node = node;
    shard->kv = kv;
    shard->durable_err = shard->refusing = err_ok();
    shard->durable_job.run = shard_durable_run;
    pthread_mutex_init(&shard->lock, NULL);
    replica_init(&shard->replica, number, 1);
    shard->overlay = kv_overlay_new(kv->calls->reader(kv));
    shard->index = mbox_index_new(store_node_index_bytes(node));
    shard->due = calloc(1, sizeof(*shard->due));
    if (shard->overlay == NULL || shard->index == NULL || shard->due == NULL) {
        shard->kv = NULL; /* the caller's still */
        shard_free(shard);
        return err_make(ERR_NOMEM, "shard");
    }
    mbox_due_init(shard->due);
    *ret = shard;
    return err_ok();
}

void shard_free(struct shard *shard)
{
    if (shard == NULL) return;
    while (shard->first != NULL) {
        struct shard_entry *next = shard->first->next;
        shard_entry_free(shard->first);
        shard->first = next;
    }
    kv_overlay_free(shard->overlay);
    mbox_index_free(shard->index);
    free(shard->due);
    if (shard->kv != NULL) shard->kv->calls->close(shard->kv);
    pthread_mutex_destroy(&shard->lock);
    free(shard);
}

struct err shard_recover(struct shard *shard, const struct replica_recovered *found)
{
    struct replica_event event = { .kind = REPLICA_EVENT_RECOVERED, .recovered = found };
    if (shard->peers != NULL) event.now_ms = clock_boot_ms();
    struct replica_actions actions;
    TRY(replica_step(&shard->replica, &event, &actions));
    if (actions.apply_from != 0) {
        TRY(slog_replay(store_node_log(shard->node), shard->number, actions.apply_from,
                        actions.apply_to, shard_replay_one, shard));
        event = (struct replica_event){ .kind = REPLICA_EVENT_APPLIED, .index = actions.apply_to,
                                        .now_ms = event.now_ms };
        TRY(replica_step(&shard->replica, &event, &actions));
    }
    shard->durable_index = shard->replica.durable_index;
    shard->durable_epoch = shard->replica.last_epoch;
    shard->durable_accept = shard->replica.accepted_epoch;
    shard_show(shard);
    return err_ok();
}

/* The epoch it was told to lead, or the next one; and that which the log had no room for again. */
static uint64_t epoch_to_lead(const struct shard *shard)
{
    const struct replica *replica = &shard->replica;
    if (shard->lead_epoch > replica->accepted_epoch) return shard->lead_epoch;
    if (replica->unbegun_epoch != 0) return replica->unbegun_epoch;
    return shard->lead_epoch != 0 ? shard->lead_epoch : replica->accepted_epoch + 1;
}

static struct err lead(struct shard *shard)
{
    struct replica_event event = { .kind = REPLICA_EVENT_LEAD, .epoch = epoch_to_lead(shard) };
    struct replica_actions actions;
    struct shard_entry *accept = calloc(1, sizeof(*accept)), *epoch = calloc(1, sizeof(*epoch));
    struct err err = accept == NULL || epoch == NULL ? err_make(ERR_NOMEM, "epoch") : err_ok();
    if (err.code == ERR_OK) err = replica_step(&shard->replica, &event, &actions);
    if (err.code != ERR_OK) {
        free(accept);
        free(epoch);
        return err;
    }
    shard_entry_log(shard, accept, SLOG_ACCEPT, 0);
    shard_entry_log(shard, epoch, SLOG_EPOCH, actions.epoch_index);
    shard_show(shard);
    return err_ok();
}

static void lead_run(struct shard_job *job)
{
    struct shard *shard = LIST_ITEM(job, struct shard, lead_job);
    struct err err = lead(shard);
    if (err.code == ERR_NOMEM) atomic_store_explicit(&shard->owes, true, memory_order_relaxed);
    else if (err.code != ERR_OK && shard->replica.role != REPLICA_QUARANTINED)
        shard_fail(shard, err);
}

struct err shard_lead(struct shard *shard, uint64_t epoch)
{
    shard->lead_epoch = epoch;
    shard->lead_job.run = lead_run;
    return shard_worker_post(shard->worker, &shard->lead_job, true);
}

/* ---- what is left half done: a step after the other, each when the one before is applied. */

struct cleaning {
    struct shard_change change;
    struct shard *shard;
    struct mbox_result result;
};

static void cleaning_done(struct shard_change *change, struct err err)
{
    struct cleaning *cleaning = LIST_ITEM(change, struct cleaning, change);
    struct shard *shard = cleaning->shard;
    mbox_result_free(&cleaning->result);
    free(cleaning);
    shard->is_cleaning = false;
    if (err.code == ERR_OK) shard_clean(shard);
    /* Refused: shard_undo() has noted that it is owed. */
}

static struct err cleaning_start(struct shard *shard, struct cleaning *cleaning)
{
    struct mbox_context context = { .rows = shard_rows_ahead(shard), .time_ms = clock_wall_ms(),
                                    .slot_first = shard->slot_first, .slot_end = shard->slot_end,
                                    .due = shard->due };
    struct mbox_result *result = &cleaning->result;
    TRY(mbox_undo_copies(&context, result));
    if (result->batches_count == 0) return err_make(ERR_NOT_FOUND, "nothing is left half done");
    cleaning->change.done = cleaning_done;
    return shard_propose_freeing(shard, result->batches, result->batches_count,
                                 &cleaning->change);
}

void shard_clean(struct shard *shard)
{
    if (shard->is_cleaning) return;
    struct cleaning *cleaning = calloc(1, sizeof(*cleaning));
    struct err err = err_make(ERR_NOMEM, "cleaning");
    if (cleaning != NULL) {
        cleaning->shard = shard;
        mbox_result_init(&cleaning->result);
        err = cleaning_start(shard, cleaning);
        if (err.code == ERR_OK) {
            shard->is_cleaning = true;
            return;
        }
        mbox_result_free(&cleaning->result);
        free(cleaning);
    }
    if (err.code == ERR_NOT_FOUND) {
        shard->is_clean = true;
        shard_show(shard);
    } else if (err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED) {
        shard_fail(shard, err);
    } else {
        atomic_store_explicit(&shard->owes, true, memory_order_relaxed);
        store_node_wrote(shard->node);
    }
}

static void pay_run(struct shard_job *job)
{
    struct shard *shard = LIST_ITEM(job, struct shard, pay_job);
    atomic_store_explicit(&shard->owes, false, memory_order_relaxed);
    atomic_store_explicit(&shard->paying, false, memory_order_relaxed);
    bool is_to_lead = shard->lead_job.run != NULL;
    bool is_candidate = shard->replica.role == REPLICA_CANDIDATE && shard->peers == NULL;
    if (is_candidate && is_to_lead) lead_run(&shard->lead_job);
    if (shard->replica.role == REPLICA_SERVING) shard_clean(shard);
}

void shard_pay(struct shard *shard)
{
    if (atomic_exchange(&shard->paying, true)) return;
    shard->pay_job.run = pay_run;
    if (shard_worker_post(shard->worker, &shard->pay_job, true).code != ERR_OK)
        atomic_store(&shard->paying, false);
}
