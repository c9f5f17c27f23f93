#include "crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "loop.h"

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job more, or the end */
    struct crew_job *first, *last;
    unsigned waiting, waiting_max, threads_count;
    bool ending;
    char name[CREW_NAME_MAX_BYTES + 1];
    pthread_t threads[CREW_THREADS_MAX];
};

static void crew_on_done(struct wake *wake)
{
    struct crew_job *job = (struct crew_job *)wake;
    loop_release(job->loop);
    job->done(job);
}

/* The next job, or NULL at the end. */
static struct crew_job *crew_take(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    while (crew->first == NULL && !crew->ending) pthread_cond_wait(&crew->changed, &crew->lock);
    struct crew_job *job = crew->first;
    if (job != NULL) {
        crew->first = job->next;
        crew->waiting--;
    }
    pthread_mutex_unlock(&crew->lock);
    return job;
}

static void *crew_thread(void *holder)
{
    struct crew *crew = holder;
    pthread_setname_np(pthread_self(), crew->name);
    for (struct crew_job *job; (job = crew_take(crew)) != NULL;) {
        job->run(job);
        wake_post(job->loop, &job->wake, crew_on_done);
    }
    return NULL;
}

struct err crew_new(const char *name, unsigned threads, unsigned queue_max, struct crew **ret)
{
    CHECK(threads > 0 && threads <= CREW_THREADS_MAX);
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) return err_make(ERR_NOMEM, "crew");
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    crew->waiting_max = queue_max;
    (void)snprintf(crew->name, sizeof(crew->name), "%s", name);
    /* Signals are the loops' business. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = 0;
    while (crew->threads_count < threads && failed == 0) {
        failed = pthread_create(&crew->threads[crew->threads_count], NULL, crew_thread, crew);
        if (failed == 0) crew->threads_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        crew_free(crew);
        return err_make_detail(ERR_NOMEM, failed, "thread of a crew");
    }
    *ret = crew;
    return err_ok();
}

struct err crew_run(struct crew *crew, struct crew_job *job)
{
    CHECK(job->loop != NULL && job->run != NULL && job->done != NULL);
    pthread_mutex_lock(&crew->lock);
    if (crew->waiting >= crew->waiting_max) {
        pthread_mutex_unlock(&crew->lock);
        return err_make(ERR_BUSY, "queue of a crew");
    }
    loop_hold(job->loop);
    job->next = NULL;
    if (crew->first == NULL) {
        crew->first = job;
    } else {
        crew->last->next = job;
    }
    crew->last = job;
    crew->waiting++;
    pthread_cond_signal(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    return err_ok();
}

void crew_free(struct crew *crew)
{
    if (crew == NULL) return;
    pthread_mutex_lock(&crew->lock);
    crew->ending = true;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->threads_count; i++) pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
