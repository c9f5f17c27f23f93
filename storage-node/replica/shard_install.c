#include "shard_install.h"

#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "kv_overlay.h"
#include "mbox_index.h"
#include "replica_private.h"
#include "shard_private.h"
#include "slog.h"
#include "store_node_private.h"

struct shard_installing {
    struct shard_job job;
    struct slog_entry log;
    struct shard_install *install;
    struct kv *kv;
    struct err err;
};

/* ---- who uses the rows */

bool shard_hold(struct shard *shard)
{
    unsigned users = atomic_load(&shard->users);
    do {
        if (users >= SHARD_USERS_CLOSED) return false;
    } while (!atomic_compare_exchange_weak(&shard->users, &users, users + 1));
    return true;
}

void shard_release(struct shard *shard) { atomic_fetch_sub(&shard->users, 1); }

static struct err closed_get(struct kv_reader *reader, struct span key, struct kv_value *value)
{
    (void)reader, (void)key, (void)value;
    return err_make(ERR_BUSY, "the shard's rows are closed");
}

static struct err closed_iter(struct kv_reader *reader, struct span within, struct kv_iter **ret)
{
    (void)reader, (void)within, (void)ret;
    return err_make(ERR_BUSY, "the shard's rows are closed");
}

struct kv_reader *shard_closed_rows(void)
{
    static const struct kv_reader_calls calls = { closed_get, closed_iter };
    static struct kv_reader closed = { &calls }; /* never written to */
    return &closed;
}

struct err shard_rows_take(struct shard *shard, struct kv **ret)
{
    unsigned none = 0;
    if (shard->in_flight > 0 || shard->refusing.code != ERR_OK)
        return err_make(ERR_BUSY, "the log is at work for the shard");
    struct kv_overlay *closed = kv_overlay_new(shard_closed_rows());
    if (closed == NULL) return err_make(ERR_NOMEM, "shard");
    if (!atomic_compare_exchange_strong(&shard->users, &none, SHARD_USERS_CLOSED)) {
        kv_overlay_free(closed);
        return err_make(ERR_BUSY, "the shard's rows are in use");
    }
    /* What is logged and not applied is read back from the log, if it is needed at all. */
    shard_entries_cut(shard, shard->replica.applied_index);
    kv_overlay_free(shard->overlay);
    shard->overlay = closed;
    *ret = shard->kv;
    shard->kv = NULL;
    return err_ok();
}

struct err shard_rows_give(struct shard *shard, struct kv *kv)
{
    struct kv_overlay *overlay = kv_overlay_new(kv->calls->reader(kv));
    if (overlay == NULL) return err_make(ERR_NOMEM, "shard");
    kv_overlay_free(shard->overlay);
    shard->overlay = overlay;
    shard->kv = kv;
    mbox_index_clear(shard->index);
    return err_ok();
}

static void let_in(struct shard *shard) { atomic_store(&shard->users, 0); }

/* ---- steps, each on the shard's thread */

static struct shard_installing *of_job(struct shard_job *job)
{
    return LIST_ITEM(job, struct shard_installing, job);
}

static void post(struct shard_installing *own, void (*run)(struct shard_job *))
{
    own->job.run = run;
    CHECK(shard_worker_post(own->install->shard->worker, &own->job, true).code == ERR_OK);
}

static struct err step(struct shard *shard, const struct replica_event *event)
{
    struct replica_actions actions;
    struct replica_event timed = *event;
    if (shard->peers != NULL) timed.now_ms = clock_boot_ms();
    TRY(replica_step(&shard->replica, &timed, &actions));
    return actions.refused;
}

static void install_free(struct shard_install *install)
{
    free(install->own);
    install->own = NULL;
}

#ifdef REPLICA_FAULTS
static void early_durable(struct slog_entry *log, struct err err)
{
    (void)err;
    free(log);
}

static void log_early(const struct shard_install *install)
{
    struct slog_entry *log = calloc(1, sizeof(*log));
    CHECK(log != NULL);
    log->record = (struct slog_record){ .type = SLOG_INSTALL, .shard = install->shard->number,
                                        .epoch = install->epoch, .index = install->index };
    log->durable = early_durable;
    if (slog_submit(NULL, log).code != ERR_OK) free(log);
}
#else
#define log_early(install) ((void)(install))
#endif

static void begin_run(struct shard_job *job)
{
    struct shard_install *install = of_job(job)->install;
    struct shard *shard = install->shard;
    struct replica_event event = { .kind = REPLICA_EVENT_INSTALL, .epoch = install->epoch,
                                   .index = install->index };
    bool parked = shard->is_parked;
    struct err err = parked ? err_make(ERR_CONFLICT, "the copy is closed")
                            : shard_rows_take(shard, &install->old);
    if (err.code == ERR_OK) {
        err = step(shard, &event);
        if (err.code != ERR_OK) { /* all as it was */
            struct err given = shard_rows_give(shard, install->old);
            if (given.code == ERR_OK) let_in(shard);
            else shard_fail(shard, given);
        }
    }
    if (err.code != ERR_OK) install_free(install);
    else if (REPLICA_FAULT(&shard->replica, INSTALL_EARLY)) log_early(install);
    install->begun(install, err);
}

struct err shard_install_begin(struct shard_install *install)
{
    install->own = calloc(1, sizeof(*install->own));
    if (install->own == NULL) return err_make(ERR_NOMEM, "checkpoint to install");
    install->own->install = install;
    post(install->own, begin_run);
    return err_ok();
}

static void logged_run(struct shard_job *job)
{
    struct shard_install *install = of_job(job)->install;
    install->logged(install, install->own->err);
}

/* On the log's thread. */
static void install_durable(struct slog_entry *log, struct err err)
{
    struct shard_installing *own = LIST_ITEM(log, struct shard_installing, log);
    own->err = err;
    post(own, logged_run);
}

static void log_submit(struct shard_installing *own)
{
    const struct shard_install *install = own->install;
    own->log = (struct slog_entry){
        .record = { .type = SLOG_INSTALL, .shard = install->shard->number,
                    .epoch = install->epoch, .index = install->index,
                    .time_ms = clock_wall_ms(), .payload = SPAN("") },
        .into_reserve = true,
        .durable = install_durable,
    };
    own->err = slog_submit(store_node_log_thread(install->shard->node), &own->log);
    if (own->err.code != ERR_OK) post(own, logged_run);
}

static void log_run(struct shard_job *job) { log_submit(of_job(job)); }
void shard_install_log(struct shard_install *install) { post(install->own, log_run); }

/* They are the checkpoint's that was looked at before. */
static struct err rows_check(const struct shard_installing *own)
{
    uint64_t epoch = 0, index = 0;
    TRY(own->err);
    TRY(own->kv->calls->applied(own->kv, false, &epoch, &index));
    bool same = epoch == own->install->epoch && index == own->install->index;
    return same ? err_ok() : err_make(ERR_CORRUPT, "rows of a checkpoint are others");
}

static void opened_run(struct shard_job *job)
{
    struct shard_installing *own = of_job(job);
    struct shard_install *install = own->install;
    struct shard *shard = install->shard;
    struct err err = rows_check(own);
    if (err.code == ERR_OK) err = shard_rows_give(shard, own->kv);
    if (err.code != ERR_OK) {
        if (own->kv != NULL) own->kv->calls->close(own->kv);
        shard_fail(shard, err);
        install_free(install);
        install->logged(install, err_make(ERR_CORRUPT, "the checkpoint could not be opened"));
        return;
    }
    bool unlogged = REPLICA_FAULT(&shard->replica, INSTALL_UNLOGGED) ||
                    REPLICA_FAULT(&shard->replica, INSTALL_EARLY);
    if (unlogged) install->logged(install, err_ok());
    else log_submit(own);
}

void shard_install_opened(struct shard_install *install, struct kv *kv, struct err err)
{
    install->own->kv = kv;
    install->own->err = err;
    post(install->own, opened_run);
}

static void finish_run(struct shard_job *job)
{
    struct shard_install *install = of_job(job)->install;
    struct shard *shard = install->shard;
    struct replica_recovered found;
    struct replica_event event = { .kind = REPLICA_EVENT_INSTALLED, .recovered = &found };
    shard_copy_view(shard, &found);
    if (REPLICA_FAULT(&shard->replica, INSTALL_UNLOGGED)) {
        found = (struct replica_recovered){ .accepted_epoch = found.accepted_epoch,
                                            .last_epoch = install->epoch,
                                            .last_index = install->index,
                                            .first_index = install->index + 1 };
    }
    pthread_mutex_lock(&shard->lock);
    shard->durable_epoch = install->epoch;
    shard->durable_index = install->index;
    pthread_mutex_unlock(&shard->lock);
    install_free(install);
    let_in(shard);
    atomic_store_explicit(&shard->wrote, true, memory_order_relaxed);
    store_node_wrote(shard->node);
    shard_event(shard, &event);
    install->done(install, err_ok());
}

void shard_install_finish(struct shard_install *install) { post(install->own, finish_run); }

void shard_install_leave(struct shard_install *install) { install_free(install); }

static void undone_run(struct shard_job *job)
{
    struct shard_installing *own = of_job(job);
    struct shard_install *install = own->install;
    struct shard *shard = install->shard;
    struct replica_event event = { .kind = REPLICA_EVENT_INSTALLED, .code = ERR_CANCELLED };
    struct err err = shard_rows_give(shard, own->kv);
    if (err.code == ERR_OK) {
        let_in(shard);
        shard_event(shard, &event);
    } else {
        own->kv->calls->close(own->kv);
        shard_fail(shard, err);
    }
    install_free(install);
    install->done(install, err_make(ERR_CANCELLED, "a checkpoint was not installed"));
}

void shard_install_undone(struct shard_install *install, struct kv *kv)
{
    install->own->kv = kv;
    post(install->own, undone_run);
}

/* ---- the leader's log */

void shard_pin(struct shard *shard, uint64_t index, uint64_t until_ms)
{
    bool stands = clock_boot_ms() < atomic_load(&shard->pin_until_ms);
    if (!stands || index < atomic_load(&shard->pin_index)) atomic_store(&shard->pin_index, index);
    if (until_ms > atomic_load(&shard->pin_until_ms)) atomic_store(&shard->pin_until_ms, until_ms);
}
