#include "shard.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "kv_overlay.h"
#include "mbox_index.h"
#include "metrics.h"
#include "shard_copy.h"
#include "shard_private.h"
#include "slog.h"
#include "store_node_private.h"

/* ---- what others see */

void shard_show(struct shard *shard)
{
    enum replica_role role = shard->replica.role;
    if (role == REPLICA_SERVING && !shard->is_clean) role = REPLICA_RECONCILE;
    unsigned before = atomic_exchange_explicit(&shard->role, role, memory_order_relaxed);
    atomic_store_explicit(&shard->epoch, shard->replica.epoch, memory_order_relaxed);
    atomic_store_explicit(&shard->accepted_epoch, shard->replica.accepted_epoch,
                          memory_order_relaxed);
    atomic_store_explicit(&shard->last_index, shard->replica.last_index, memory_order_relaxed);
    atomic_store_explicit(&shard->commit_index, shard->replica.commit_index, memory_order_relaxed);
    atomic_store_explicit(&shard->applied_index, shard->replica.applied_index,
                          memory_order_relaxed);
    atomic_store_explicit(&shard->acked_index, replica_acked(&shard->replica),
                          memory_order_relaxed);
    atomic_store_explicit(&shard->read_until_ms, replica_read_until(&shard->replica),
                          memory_order_release);
    struct shard_peers *peers = shard->peers;
    if (before != role && peers != NULL && peers->calls->shown != NULL)
        peers->calls->shown(peers, shard);
}

void shard_state_get(const struct shard *shard, struct shard_state *ret)
{
    ret->role = atomic_load_explicit(&shard->role, memory_order_relaxed);
    ret->epoch = atomic_load_explicit(&shard->epoch, memory_order_relaxed);
    ret->accepted_epoch = atomic_load_explicit(&shard->accepted_epoch, memory_order_relaxed);
    ret->last_index = atomic_load_explicit(&shard->last_index, memory_order_relaxed);
    ret->commit_index = atomic_load_explicit(&shard->commit_index, memory_order_relaxed);
    ret->applied_index = atomic_load_explicit(&shard->applied_index, memory_order_relaxed);
}

bool shard_serves(const struct shard *shard)
{
    return atomic_load_explicit(&shard->role, memory_order_relaxed) == REPLICA_SERVING;
}

bool shard_leads(const struct shard *shard)
{
    unsigned role = atomic_load_explicit(&shard->role, memory_order_relaxed);
    bool alone = shard->peers == NULL;
    return alone || role == REPLICA_SERVING || role == REPLICA_RECONCILE;
}

bool shard_read_holds(const struct shard *shard)
{
    return clock_boot_ms() < atomic_load_explicit(&shard->read_until_ms, memory_order_acquire);
}

bool shard_owes(const struct shard *shard)
{
    return atomic_load_explicit(&shard->owes, memory_order_relaxed);
}

uint32_t shard_number(const struct shard *shard) { return shard->number; }

void shard_quota(const struct shard *shard, uint64_t *bytes, uint64_t *items)
{
    store_node_quota(shard->node, bytes, items);
}

struct kv_reader *shard_rows(struct shard *shard)
{
    return shard->kv == NULL ? shard_closed_rows() : shard->kv->calls->reader(shard->kv);
}
struct kv_reader *shard_rows_ahead(struct shard *shard)
{
    return kv_overlay_reader(shard->overlay);
}
struct mbox_index *shard_index(struct shard *shard) { return shard->index; }
struct mbox_due *shard_due(struct shard *shard) { return shard->due; }

void shard_slots(const struct shard *shard, uint32_t *first, uint32_t *end)
{
    *first = shard->slot_first;
    *end = shard->slot_end;
}

struct err shard_post(struct shard *shard, struct shard_job *job)
{
    return shard_worker_post(shard->worker, job, false);
}

/* ---- entries */

void shard_entry_free(struct shard_entry *entry)
{
    kv_batch_free(&entry->batch);
    free(entry);
}

static void shard_answer(struct shard *shard, uint64_t up_to, struct err err);
static void shard_answer_after(struct shard *shard, uint64_t index, struct err err);

void shard_fail(struct shard *shard, struct err err)
{
    struct replica_event event = { .kind = REPLICA_EVENT_FAIL, .code = err.code };
    struct store_notice notice = { .kind = STORE_SHARD_FAILED, .shard = shard->number, .err = err };
    bool first = shard->replica.role != REPLICA_QUARANTINED;
    shard_event(shard, &event);
    if (first) store_node_notice(shard->node, &notice);
}

/* Frees the entries behind `index`; what is left of those on their way is seen ahead again. */
void shard_entries_cut(struct shard *shard, uint64_t index)
{
    struct shard_entry **at = &shard->first;
    bool leads = shard->replica.role == REPLICA_SERVING;
    shard->last = NULL;
    kv_overlay_clear(shard->overlay);
    mbox_due_init(shard->due); /* it may have learned from what is not there now */
    for (; *at != NULL && (*at)->log.record.index <= index; at = &(*at)->next) {
        struct span batch = span_of((*at)->batch.bytes, (*at)->batch.len);
        uint64_t of = (*at)->log.record.index;
        shard->last = *at;
        /* It was there before, and less is there now. */
        if (leads) CHECK(kv_overlay_add(shard->overlay, batch, of).code == ERR_OK);
    }
    struct shard_entry *gone = *at;
    *at = NULL;
    while (gone != NULL) {
        struct shard_entry *next = gone->next;
        shard_entry_free(gone);
        gone = next;
    }
}

/* Everything that the log refused is undone: the changes are answered with why. */
static void shard_undo(struct shard *shard)
{
    struct replica_recovered view;
    struct replica_event event = { .kind = REPLICA_EVENT_REFUSED };
    struct err why = shard->refusing;
    if (shard->peers != NULL) {
        shard_copy_view(shard, &view);
        event.recovered = &view;
    }
    uint64_t durable = event.recovered != NULL ? view.last_index : shard->replica.durable_index;
    shard_entries_cut(shard, durable);
    shard->refusing = err_ok();
    shard_event(shard, &event);
    shard_answer_after(shard, durable, why);
    /* An epoch to begin, or the first part of a copy to take back: when there is space. */
    atomic_store_explicit(&shard->owes, true, memory_order_relaxed);
    store_node_wrote(shard->node);
}

/* On the shard's thread: what the log's thread has told. */
void shard_durable_run(struct shard_job *job)
{
    struct shard *shard = LIST_ITEM(job, struct shard, durable_job);
    pthread_mutex_lock(&shard->lock);
    struct replica_event event = { .kind = REPLICA_EVENT_DURABLE, .epoch = shard->durable_epoch,
                                   .index = shard->durable_index,
                                   .accepted = shard->durable_accept };
    struct err err = shard->durable_err;
    shard->in_flight -= shard->told;
    shard->told = 0;
    shard->durable_err = err_ok();
    shard->durable_posted = false;
    pthread_mutex_unlock(&shard->lock);
    if (err.code == ERR_IO) {
        shard_fail(shard, err);
        return;
    }
    shard_event(shard, &event);
    if (err.code != ERR_OK && shard->refusing.code == ERR_OK) shard->refusing = err;
    if (shard->refusing.code != ERR_OK && shard->in_flight == 0) shard_undo(shard);
}

/* On the log's thread. */
static void entry_durable(struct slog_entry *log, struct err err)
{
    struct shard_entry *entry = (struct shard_entry *)log;
    struct shard *shard = entry->shard;
    bool is_entry = log->record.type == SLOG_DATA || log->record.type == SLOG_EPOCH;
    pthread_mutex_lock(&shard->lock);
    /* FULL says more than the CONFLICT of those behind it. */
    if (err.code != ERR_OK && shard->durable_err.code == ERR_OK) shard->durable_err = err;
    if (err.code == ERR_OK && is_entry) {
        shard->durable_epoch = log->record.epoch;
        shard->durable_index = log->record.index;
    }
    if (err.code == ERR_OK && log->record.type == SLOG_ACCEPT &&
        log->record.epoch > shard->durable_accept) {
        shard->durable_accept = log->record.epoch;
    }
    shard->told++; /* from here on the shard's thread may free it, if it is an entry */
    bool post = !shard->durable_posted;
    shard->durable_posted = true;
    pthread_mutex_unlock(&shard->lock);
    if (post) CHECK(shard_worker_post(shard->worker, &shard->durable_job, true).code == ERR_OK);
    if (!is_entry) free(entry); /* nothing waits for it */
}

static void durable_post(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    bool post = !shard->durable_posted;
    shard->durable_posted = true;
    pthread_mutex_unlock(&shard->lock);
    if (post) CHECK(shard_worker_post(shard->worker, &shard->durable_job, true).code == ERR_OK);
}

void shard_entry_log(struct shard *shard, struct shard_entry *entry, enum slog_type type,
                     uint64_t index)
{
    bool is_entry = type == SLOG_DATA || type == SLOG_EPOCH;
    struct err err = entry == NULL ? err_make(ERR_NOMEM, "entry of the log") : shard->refusing;
    if (entry != NULL) {
        uint64_t epoch = entry->log.record.epoch, time_ms = entry->log.record.time_ms;
        entry->shard = shard;
        entry->log.record = (struct slog_record){
            .type = type, .shard = shard->number,
            .epoch = epoch != 0 || type == SLOG_TRUNC ? epoch : shard->replica.epoch,
            .index = index,
            .time_ms = time_ms != 0 ? time_ms : clock_wall_ms(),
            .payload = span_of(entry->batch.bytes, entry->batch.len)
        };
        entry->log.durable = entry_durable;
        entry->log.into_reserve = entry->log.into_reserve || type != SLOG_DATA;
    }
    if (entry != NULL && is_entry) {
        if (shard->last == NULL) shard->first = entry;
        else shard->last->next = entry;
        shard->last = entry;
    }
    if (err.code == ERR_OK) err = slog_submit(store_node_log_thread(shard->node), &entry->log);
    if (err.code == ERR_OK) {
        shard->in_flight++;
        return;
    }
    /* Undone with those before it, when the last of them has come back. */
    if (shard->refusing.code == ERR_OK) shard->refusing = err;
    if (!is_entry) free(entry);
    if (shard->in_flight == 0) durable_post(shard);
}

/* ---- applying and answering */

/* Reads entries back from the log and applies them. */
struct err shard_replay_one(void *holder, const struct slog_record *record)
{
    struct shard *shard = holder;
    struct span batch = record->type == SLOG_DATA ? record->payload : SPAN("");
    TRY(shard->kv->calls->apply(shard->kv, batch, record->epoch, record->index));
    mbox_index_apply(shard->index, batch);
    return err_ok();
}

static void shard_apply(struct shard *shard, uint64_t to)
{
    struct err err = err_ok();
    uint64_t last = shard->replica.applied_index;
    uint64_t next = shard->first == NULL ? to + 1 : shard->first->log.record.index;
    if (next > to + 1) next = to + 1;
    if (last + 1 < next) { /* inherited from before the start: read back */
        err = slog_replay(store_node_log(shard->node), shard->number, last + 1, next - 1,
                          shard_replay_one, shard);
        if (err.code == ERR_OK) last = next - 1;
    }
    while (shard->first != NULL && shard->first->log.record.index <= to && err.code == ERR_OK) {
        struct shard_entry *entry = shard->first;
        struct span batch = span_of(entry->batch.bytes, entry->batch.len);
        const struct slog_record *record = &entry->log.record;
        err = shard->kv->calls->apply(shard->kv, batch, record->epoch, record->index);
        if (err.code != ERR_OK) break;
        mbox_index_apply(shard->index, batch);
        last = record->index;
        metric_add(METRIC_APPLIED, 0, 1);
        shard->first = entry->next;
        if (shard->first == NULL) shard->last = NULL;
        shard_entry_free(entry);
    }
    if (last > shard->replica.applied_index) {
        kv_overlay_applied(shard->overlay, last);
        atomic_store_explicit(&shard->wrote, true, memory_order_relaxed);
        store_node_wrote(shard->node);
        struct replica_event event = { .kind = REPLICA_EVENT_APPLIED, .index = last };
        shard_event(shard, &event);
    }
    if (err.code != ERR_OK) shard_fail(shard, err);
}

static void shard_answer(struct shard *shard, uint64_t up_to, struct err err)
{
    while (shard->changes != NULL && (err.code != ERR_OK || shard->changes->index <= up_to)) {
        struct shard_change *change = shard->changes;
        shard->changes = change->next;
        if (shard->changes == NULL) shard->changes_last = NULL;
        change->done(change, err);
    }
}

static void shard_answer_after(struct shard *shard, uint64_t index, struct err err)
{
    struct shard_change **at = &shard->changes, *last = NULL;
    for (; *at != NULL && (*at)->index <= index; at = &(*at)->next) last = *at;
    struct shard_change *change = *at;
    *at = NULL;
    shard->changes_last = last;
    while (change != NULL) {
        struct shard_change *next = change->next;
        change->done(change, err);
        change = next;
    }
}

/* Leads no more, or leads anew: nothing is seen ahead of what is applied, and what was begun is
 * nobody's business here. */
static void role_changed(struct shard *shard)
{
    enum replica_role role = shard->replica.role;
    if (role == REPLICA_SERVING) {
        shard_clean(shard);
        return;
    }
    if (shard->peers == NULL) return;
    shard->is_clean = false;
    kv_overlay_clear(shard->overlay);
    mbox_due_init(shard->due);
}

void shard_event_entries(struct shard *shard, const struct replica_event *event,
                         const struct slog_record *entries)
{
    struct replica_actions actions;
    struct replica_event timed = *event;
    if (shard->is_parked) return;
    if (shard->peers != NULL) timed.now_ms = clock_boot_ms();
    struct err err = replica_step(&shard->replica, &timed, &actions);
    shard_show(shard);
    if (err.code != ERR_OK) {
        /* In quarantine: what was on its way is neither acknowledged nor lost; it may be there when
         * the shard is started again. */
        shard_answer(shard, 0, err_make(ERR_UNKNOWN, "the shard has failed"));
        return;
    }
    bool changed = actions.role_changed;
    if (shard->peers != NULL) {
        if (changed && shard->replica.role != REPLICA_SERVING) role_changed(shard);
        shard_copy_log(shard, &actions, event->message, entries);
        shard_copy_tell(shard, &actions);
    }
    if (actions.fail_waiting) {
        shard_answer(shard, 0, err_make(ERR_UNKNOWN, "the shard's leader has changed"));
    }
    if (actions.apply_from != 0) shard_apply(shard, actions.apply_to);
    if (actions.answer) shard_answer(shard, actions.answered_index, err_ok());
    if (changed && shard->replica.role == REPLICA_SERVING) role_changed(shard);
}

void shard_event(struct shard *shard, const struct replica_event *event)
{
    shard_event_entries(shard, event, NULL);
}

/* ---- proposing */

static void answer_run(struct shard_job *job)
{
    struct shard *shard = LIST_ITEM(job, struct shard, answer_job);
    shard->answering = false;
    const struct replica *replica = &shard->replica;
    bool enough = replica->isr_size >= replica->min_isr;
    if (replica->role != REPLICA_SERVING) return;
    if (enough) shard_answer(shard, replica->applied_index, err_ok());
    else shard_answer(shard, 0, err_make(ERR_UNKNOWN, "too few copies in sync"));
}

/* A change without batches waits for everything before it. */
static void shard_wait(struct shard *shard, struct shard_change *change)
{
    change->next = NULL;
    if (shard->changes_last == NULL) shard->changes = change;
    else shard->changes_last->next = change;
    shard->changes_last = change;
    if (change->index > shard->replica.applied_index || shard->answering) return;
    shard->answering = true;
    shard->answer_job.run = answer_run;
    CHECK(shard_worker_post(shard->worker, &shard->answer_job, true).code == ERR_OK);
}

/* An entry for each batch, chained; NULL: no memory. */
static struct shard_entry *entries_new(size_t count, bool into_reserve)
{
    struct shard_entry *made = NULL;
    for (size_t i = 0; i < count; i++) {
        struct shard_entry *entry = calloc(1, sizeof(*entry));
        if (entry == NULL) {
            for (; made != NULL; made = entry) {
                entry = made->next;
                free(made);
            }
            return NULL;
        }
        entry->log.into_reserve = into_reserve;
        entry->next = made;
        made = entry;
    }
    return made;
}

static struct err propose(struct shard *shard, struct kv_batch *batches, size_t count,
                          struct shard_change *change, bool into_reserve)
{
    struct replica_event event = { .kind = REPLICA_EVENT_PROPOSE, .count = (unsigned)count };
    struct replica_actions actions;
    if (shard->refusing.code != ERR_OK) return shard->refusing;
    if (count == 0) {
        TRY(replica_may_propose(&shard->replica, 0));
        change->index = shard->replica.last_index;
        shard_wait(shard, change);
        return err_ok();
    }
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (batches[i].failed) return err_make(ERR_NOMEM, "batch");
        bytes += batches[i].len;
    }
    if (!into_reserve) TRY(store_node_room(shard->node, bytes));
    struct shard_entry *made = entries_new(count, into_reserve);
    if (made == NULL) return err_make(ERR_NOMEM, "change");
    /* Either may refuse (BUSY); then nothing has happened. */
    struct err err = replica_may_propose(&shard->replica, (unsigned)count);
    if (err.code == ERR_OK) {
        struct span first = span_of(batches[0].bytes, batches[0].len);
        err = kv_overlay_add(shard->overlay, first, shard->replica.last_index + 1);
    }
    if (err.code == ERR_OK) {
        if (shard->peers != NULL) event.now_ms = clock_boot_ms();
        err = replica_step(&shard->replica, &event, &actions);
        CHECK(err.code == ERR_OK && actions.refused.code == ERR_OK);
    }
    for (size_t i = 0; i < count; i++) {
        struct shard_entry *entry = made;
        made = entry->next;
        if (err.code != ERR_OK) {
            free(entry);
            continue;
        }
        uint64_t index = actions.first_index + i;
        entry->next = NULL;
        entry->batch = batches[i];
        kv_batch_init(&batches[i]);
        struct span batch = span_of(entry->batch.bytes, entry->batch.len);
        if (i > 0) CHECK(kv_overlay_add(shard->overlay, batch, index).code == ERR_OK);
        mbox_due_note(shard->due, batch);
        shard_entry_log(shard, entry, SLOG_DATA, index);
        change->index = index;
    }
    shard_show(shard);
    if (err.code != ERR_OK) return err;
    shard_wait(shard, change);
    /* Behind the log, which has them first. */
    if (shard->peers != NULL) shard_copy_tell(shard, &actions);
    return err_ok();
}

struct err shard_propose(struct shard *shard, struct kv_batch *batches, size_t count,
                         struct shard_change *change)
{
    return propose(shard, batches, count, change, false);
}

struct err shard_propose_freeing(struct shard *shard, struct kv_batch *batches, size_t count,
                                 struct shard_change *change)
{
    return propose(shard, batches, count, change, true);
}
