#include "shard_worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "slog_thread.h"

enum { WORKER_TOGETHER = 16 };

struct shard_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct shard_job *first, *last; /* under lock */
    unsigned waiting;
    bool stops, sleeps;
};

/* What some jobs in a row log goes to the disk together. */
static void run_all(struct shard_job *job)
{
    unsigned run = 0;
    slog_hold_wakes();
    while (job != NULL) {
        struct shard_job *next = job->next;
        job->run(job);
        job = next;
        if (++run % WORKER_TOGETHER != 0) continue;
        slog_give_wakes();
        slog_hold_wakes();
    }
    slog_give_wakes();
}

static void *worker_run(void *argument)
{
    struct shard_worker *worker = argument;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (worker->first == NULL && !worker->stops) {
            worker->sleeps = true;
            pthread_cond_wait(&worker->wake, &worker->lock);
            worker->sleeps = false;
        }
        struct shard_job *job = worker->first;
        if (job == NULL) break;
        /* Everything that waits, in one go. */
        worker->first = worker->last = NULL;
        worker->waiting = 0;
        pthread_mutex_unlock(&worker->lock);
        run_all(job);
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

struct err shard_worker_new(unsigned number, struct shard_worker **ret)
{
    struct shard_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) return err_make(ERR_NOMEM, "worker");
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, NULL);
    int number_of_error = pthread_create(&worker->thread, NULL, worker_run, worker);
    if (number_of_error != 0) {
        free(worker);
        return err_make_detail(ERR_NOMEM, number_of_error, "worker");
    }
    char name[16];
    snprintf(name, sizeof(name), "shards-%u", number % 100);
    pthread_setname_np(worker->thread, name);
    *ret = worker;
    return err_ok();
}

struct err shard_worker_post(struct shard_worker *worker, struct shard_job *job, bool must)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->waiting >= SHARD_JOBS_MAX && !must) {
        pthread_mutex_unlock(&worker->lock);
        return err_make(ERR_BUSY, "work of a shard");
    }
    job->next = NULL;
    if (worker->last == NULL) worker->first = job;
    else worker->last->next = job;
    worker->last = job;
    worker->waiting++;
    bool wake = worker->sleeps;
    pthread_mutex_unlock(&worker->lock);
    if (wake) pthread_cond_signal(&worker->wake);
    return err_ok();
}

void shard_worker_free(struct shard_worker *worker)
{
    if (worker == NULL) return;
    pthread_mutex_lock(&worker->lock);
    worker->stops = true;
    pthread_mutex_unlock(&worker->lock);
    pthread_cond_signal(&worker->wake);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
