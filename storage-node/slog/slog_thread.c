/* The log thread. It sleeps without a timeout when nothing happened since the last group but one
 * that it wrote for idleness: an idle node costs nothing.
 *
 * The idle group is what tells a bad last group that was acknowledged (the medium is bad) from one
 * that was not (a crash): recovery finds a good group behind the former. */
#include "slog_thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "clock.h"
#include "slog.h"
#include "slog_append.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

struct slog_thread {
    struct slog *log;
    struct slog_thread_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock. */
    struct list queue;
    size_t queued, queued_bytes;
    bool urgent; /* something that is not lazy is queued */
    bool sleeping, stopping;
    bool ended; /* the owner's: joined */
    struct err broken;
    _Atomic uint64_t writing_since_ms; /* 0: it is not at the disk */
    /* The thread's own. */
    bool idle_owed;        /* a group was written, or lazy entries wait: an idle one follows */
    struct timespec idle_at; /* CLOCK_MONOTONIC */
};

static struct slog_entry *entry_of(struct list *link)
{
    return LIST_ITEM(link, struct slog_entry, link);
}

static size_t entry_bytes(const struct slog_entry *entry)
{
    return slog_record_bytes(entry->record.payload.len);
}

static void idle_set(struct slog_thread *thread)
{
    clock_gettime(CLOCK_MONOTONIC, &thread->idle_at);
    thread->idle_at.tv_nsec += (long)SLOG_IDLE_MS * NS_PER_MS;
    if (thread->idle_at.tv_nsec >= (long)MS_PER_S * NS_PER_MS) {
        thread->idle_at.tv_nsec -= (long)MS_PER_S * NS_PER_MS;
        thread->idle_at.tv_sec++;
    }
    thread->idle_owed = true;
}

/* Waits for something to write; under the lock. False: nothing more will come. */
static bool work_wait(struct slog_thread *thread)
{
    for (;;) {
        bool queued = !list_is_empty(&thread->queue);
        if (thread->urgent) return true;
        if (thread->stopping) return queued || thread->idle_owed;
        if (queued && !thread->idle_owed) idle_set(thread); /* lazy entries after a sleep */
        thread->sleeping = true;
        int woken = 0;
        if (thread->idle_owed)
            woken = pthread_cond_timedwait(&thread->wake, &thread->lock, &thread->idle_at);
        else pthread_cond_wait(&thread->wake, &thread->lock);
        thread->sleeping = false;
        if (woken != 0) return true; /* it is time for the idle group */
    }
}

/* Moves as much as a group holds from the queue to `group`; under the lock. */
static void group_take(struct slog_thread *thread, struct list *group)
{
    size_t used = SLOG_GROUP_HEAD_BYTES;
    list_init(group);
    thread->urgent = false;
    while (!list_is_empty(&thread->queue)) {
        struct slog_entry *entry = entry_of(thread->queue.next);
        if (slog_group_bytes(used + entry_bytes(entry)) > SLOG_GROUP_MAX_BYTES) {
            thread->urgent = true; /* the rest follows at once */
            return;
        }
        used += entry_bytes(entry);
        thread->queued--;
        thread->queued_bytes -= entry_bytes(entry);
        list_remove(&entry->link);
        list_add(group, &entry->link);
    }
}

/* Calls every entry back; `err` for all, or, when that is OK, what came of each. */
static void group_answer(struct list *group, struct err err)
{
    while (!list_is_empty(group)) {
        struct slog_entry *entry = entry_of(group->next);
        list_remove(&entry->link);
        entry->durable(entry, err.code != ERR_OK ? err : entry->result);
    }
}

static struct err broken_err(struct err why)
{
    return err_make_detail(ERR_IO, why.detail, why.what);
}

/* The log is broken: the owner hears it first, then everyone who waits. */
static void thread_fail(struct slog_thread *thread, struct list *group, struct err why)
{
    thread->options.failed(thread->options.holder, why);
    group_answer(group, broken_err(why));
    struct list rest;
    pthread_mutex_lock(&thread->lock);
    thread->broken = broken_err(why);
    do {
        group_take(thread, &rest);
        pthread_mutex_unlock(&thread->lock);
        group_answer(&rest, broken_err(why));
        pthread_mutex_lock(&thread->lock);
    } while (!list_is_empty(&thread->queue));
    thread->urgent = false;
    pthread_mutex_unlock(&thread->lock);
}

static void *thread_run(void *argument)
{
    struct slog_thread *thread = argument;
    struct list group;
    pthread_mutex_lock(&thread->lock);
    while (work_wait(thread)) {
        bool data = thread->urgent;
        /* Whoever is about to submit more goes first, when processors are short; else it costs
         * nothing. */
        pthread_mutex_unlock(&thread->lock);
        sched_yield();
        pthread_mutex_lock(&thread->lock);
        group_take(thread, &group);
        pthread_mutex_unlock(&thread->lock);
        uint64_t now_ms = clock_boot_ms();
        atomic_store_explicit(&thread->writing_since_ms, now_ms, memory_order_relaxed);
        struct err err = slog_append(thread->log, &group, now_ms, clock_wall_ms());
        atomic_store_explicit(&thread->writing_since_ms, 0, memory_order_relaxed);
        if (err.code != ERR_OK) {
            thread_fail(thread, &group, err);
            return NULL;
        }
        if (data) idle_set(thread);
        else thread->idle_owed = false;
        group_answer(&group, err_ok());
        pthread_mutex_lock(&thread->lock);
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

static void sync_init(struct slog_thread *thread)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&thread->lock, NULL);
}

static void thread_free(struct slog_thread *thread)
{
    pthread_cond_destroy(&thread->wake);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}

struct err slog_thread_start(struct slog *log, const struct slog_thread_options *options,
                             struct slog_thread **ret)
{
    struct slog_thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL) return err_make(ERR_NOMEM, "log thread");
    thread->log = log;
    thread->options = *options;
    list_init(&thread->queue);
    sync_init(thread);
    int failed = pthread_create(&thread->thread, NULL, thread_run, thread);
    if (failed != 0) {
        thread_free(thread);
        return err_make_detail(ERR_NOMEM, failed, "log thread");
    }
    *ret = thread;
    return err_ok();
}

void slog_thread_end(struct slog_thread *thread)
{
    if (thread == NULL || thread->ended) return;
    pthread_mutex_lock(&thread->lock);
    thread->stopping = true;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
    int failed = pthread_join(thread->thread, NULL);
    CHECK(failed == 0 && list_is_empty(&thread->queue));
    thread->ended = true;
}

void slog_thread_stop(struct slog_thread *thread)
{
    if (thread == NULL) return;
    slog_thread_end(thread);
    thread_free(thread);
}

/* One entry always fits into an empty queue. */
static bool queue_is_full(const struct slog_thread *thread, size_t bytes)
{
    if (thread->queued == 0) return false;
    const struct slog_thread_options *options = &thread->options;
    return thread->queued >= options->queued_max ||
           thread->queued_bytes >= options->queued_bytes_max ||
           bytes > options->queued_bytes_max - thread->queued_bytes;
}

/* Of the calling thread, between slog_hold_wakes() and slog_give_wakes(). */
static _Thread_local bool holds_wakes;
static _Thread_local struct slog_thread *to_wake;

void slog_hold_wakes(void) { holds_wakes = true; }

void slog_give_wakes(void)
{
    struct slog_thread *thread = to_wake;
    holds_wakes = false;
    to_wake = NULL;
    if (thread == NULL) return;
    /* Under the lock, or it might fall between its look at the queue and its sleep. */
    pthread_mutex_lock(&thread->lock);
    bool sleeps = thread->sleeping;
    pthread_mutex_unlock(&thread->lock);
    if (sleeps) pthread_cond_signal(&thread->wake);
}

struct err slog_submit(struct slog_thread *thread, struct slog_entry *entry)
{
    size_t bytes = entry_bytes(entry);
    if (entry->record.payload.len > SLOG_PAYLOAD_MAX_BYTES)
        return err_make(ERR_TOO_BIG, "log record");
    struct err err = err_ok();
    bool wake = false;
    pthread_mutex_lock(&thread->lock);
    if (thread->broken.code != ERR_OK) {
        err = thread->broken;
    } else if (thread->stopping) {
        err = err_make(ERR_CANCELLED, "log that is being closed");
    } else if (queue_is_full(thread, bytes)) {
        err = err_make(ERR_BUSY, "log's queue");
    } else {
        bool first = list_is_empty(&thread->queue);
        list_add(&thread->queue, &entry->link);
        thread->queued++;
        thread->queued_bytes += bytes;
        wake = thread->sleeping && (entry->lazy ? first : !thread->urgent);
        if (!entry->lazy) thread->urgent = true;
    }
    pthread_mutex_unlock(&thread->lock);
    if (wake && holds_wakes) to_wake = thread;
    else if (wake) pthread_cond_signal(&thread->wake);
    return err;
}

uint64_t slog_thread_writing_ms(struct slog_thread *thread, uint64_t now_ms)
{
    uint64_t since = atomic_load_explicit(&thread->writing_since_ms, memory_order_relaxed);
    return since == 0 || since >= now_ms ? 0 : now_ms - since;
}

size_t slog_thread_queued_bytes(struct slog_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    size_t bytes = thread->queued_bytes;
    pthread_mutex_unlock(&thread->lock);
    return bytes;
}
