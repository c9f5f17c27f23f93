#include "mapping_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "clock.h"
#include "crew.h"
#include "directory.h"
#include "directory_mapping.h"
#include "hash.h"
#include "ldap_filter.h"
#include "log.h"
#include "map.h"
#include "mapping_health.h"
#include "mapping_ldap_private.h"
#include "mapping_lookup_private.h"
#include "metrics.h"
#include "timer.h"

enum { JOB_ARENA_MAX_BYTES = 64 * 1024, FILTER_BYTES = 4 * LDAP_FILTER_MAX_BYTES };

/* Of one domain, as long as the program runs. */
struct place {
    struct mapping_health health;
    uint64_t mark; /* of the settings that it is about */
    struct span name;
};

struct mapping_pool {
    const struct mapping_calls *calls;
    pthread_mutex_t lock;
    struct map places; /* by name */
    struct crew *crews[MAPPING_CREWS], *search_crew;
};

/* Belongs to the caller's loop, but for the times when a thread is at it; is freed after the last
 * host. */
struct mapping_job {
    struct crew_job job;
    struct mapping_pool *pool;
    struct crew *crew;
    struct place *place;
    struct dns *const *dns;
    struct mapping_lookup lookup;
    size_t first, tried; /* the host to begin with; how many have been visited */
    struct timer timer;
    struct arena arena;
    struct directory_mapping mapping; /* texts in the arena */
    struct mapping_visit visit;
    struct mapping_found found;
    struct span name, dn, filter, password;
    char password_bytes[DIRECTORY_MAPPING_TEXT_MAX_BYTES];
    struct err err;
    mapping_checked *checked;
    mapping_searched *searched;
    void *holder;
    uint64_t until_ms;
    bool is_over; /* answered, or nobody waits any more */
};

const struct mapping_calls mapping_calls_ldap = { mapping_ldap_check, mapping_ldap_search };

struct err mapping_pool_new(const struct mapping_calls *calls, struct mapping_pool **ret)
{
    struct mapping_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return err_make(ERR_NOMEM, "directory");
    pool->calls = calls;
    pthread_mutex_init(&pool->lock, NULL);
    map_init(&pool->places, MAPPING_DOMAINS_MAX);
    *ret = pool;
    return err_ok();
}

void mapping_pool_free(struct mapping_pool *pool)
{
    if (pool == NULL) return;
    for (size_t i = 0; i < MAPPING_CREWS; i++) crew_free(pool->crews[i]);
    crew_free(pool->search_crew);
    size_t at = 0;
    for (struct place *place; (place = map_next(&pool->places, &at)) != NULL; at = 0) {
        map_remove(&pool->places, place->name);
        free(place);
    }
    map_free(&pool->places);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ---- with the lock */

static struct err place_of(struct mapping_pool *pool, const struct mapping_job *job,
                           struct place **ret)
{
    struct place *place = map_get(&pool->places, job->name);
    if (place == NULL) {
        place = calloc(1, sizeof(*place) + job->name.len);
        if (place == NULL) return err_make(ERR_NOMEM, "directory");
        memcpy(place + 1, job->name.ptr, job->name.len);
        place->name = span_of(place + 1, job->name.len);
        struct err err = map_put(&pool->places, place->name, place);
        if (err.code != ERR_OK) {
            free(place);
            return err;
        }
    }
    if (place->mark != job->mapping.mark) { /* other hosts may be better */
        unsigned under_way = place->health.under_way;
        place->health = (struct mapping_health){ .under_way = under_way };
        place->mark = job->mapping.mark;
    }
    *ret = place;
    return err_ok();
}

static struct err crew_of(struct mapping_pool *pool, const struct mapping_job *job,
                          struct crew **ret)
{
    static const uint64_t key[2] = { 1, 2 };
    bool is_search = job->searched != NULL;
    struct crew **crew = &pool->crews[hash_sip(key, job->name) % MAPPING_CREWS];
    if (is_search) crew = &pool->search_crew;
    if (*crew == NULL) {
        TRY(crew_new(is_search ? "ldap search" : "ldap",
                     is_search ? MAPPING_SEARCH_THREADS : MAPPING_CREW_THREADS, MAPPING_QUEUE_MAX,
                     crew));
    }
    *ret = *crew;
    return err_ok();
}

/* A search asks whatever is known: it is what finds out that a directory is back. */
static struct err job_begin(struct mapping_pool *pool, struct mapping_job *job)
{
    TRY(place_of(pool, job, &job->place));
    TRY(crew_of(pool, job, &job->crew));
    struct mapping_health *health = &job->place->health;
    if (job->searched != NULL) {
        job->first = health->first < job->mapping.hosts_count ? health->first : 0;
        return err_ok();
    }
    enum mapping_go go = mapping_health_begin(health, clock_boot_ms(), job->mapping.hosts_count,
                                              &job->first);
    if (go == MAPPING_GO_BUSY) return err_make(ERR_BUSY, "directory");
    if (go == MAPPING_GO_AWAY) return err_make(ERR_UNREACHABLE, "directory");
    return err_ok();
}

/* What the hosts' answer means for those who come next. BUSY says nothing of them. */
static enum mapping_news job_news(struct mapping_job *job, enum err_code code)
{
    bool answered = code != ERR_UNREACHABLE && code != ERR_TIMEOUT;
    enum mapping_news news = MAPPING_NEWS_NONE;
    if (job->searched != NULL) return news;
    pthread_mutex_lock(&job->pool->lock);
    struct mapping_health *health = &job->place->health;
    if (code == ERR_BUSY) health->under_way--;
    else news = mapping_health_end(health, clock_boot_ms(), answered, job->visit.host);
    pthread_mutex_unlock(&job->pool->lock);
    return news;
}

/* ---- a job */

static void job_free(struct mapping_job *job)
{
    timer_stop(&job->timer);
    arena_clear(&job->found.arena);
    arena_clear(&job->arena);
    explicit_bzero(job->password_bytes, sizeof(job->password_bytes));
    free(job);
}

/* On a thread. */
static void job_run(struct crew_job *crew_job)
{
    struct mapping_job *job = (struct mapping_job *)(void *)crew_job;
    const struct mapping_calls *calls = job->pool->calls;
    if (clock_boot_ms() >= job->until_ms) { /* nobody waits for it */
        job->err = err_make(ERR_TIMEOUT, "directory");
    } else if (job->searched != NULL) {
        job->err = calls->search(&job->visit, job->filter, job->password, &job->found);
    } else {
        job->err = calls->check(&job->visit, job->dn, job->password);
    }
}

static void job_answer(struct mapping_job *job, struct err err, const char *said)
{
    if (job->is_over) return;
    job->is_over = true;
    timer_stop(&job->timer);
    if (job->checked != NULL) job->checked(job->holder, err);
    else job->searched(job->holder, err, said, err.code == ERR_OK ? &job->found : NULL);
}

static void job_over(struct mapping_job *job)
{
    enum mapping_news news = job_news(job, job->err.code);
    if (news == MAPPING_NEWS_AWAY) {
        LOG(DIRECTORY_AWAY, NULL, log_text(job->name), log_words(job->visit.said));
    } else if (news == MAPPING_NEWS_BACK) {
        LOG(DIRECTORY_BACK, NULL, log_text(job->name));
    }
    if (job->checked != NULL) {
        enum err_code code = job->err.code;
        metric_add(METRIC_DIRECTORY_CHECKS, code == ERR_OK ? 0 : code == ERR_DENIED ? 1 : 2, 1);
    }
    job_answer(job, job->err, job->visit.said);
    job_free(job);
}

/* ---- from host to host */

static void on_addresses(void *holder);

/* Finds the host's addresses, and then it is visited. ERR_BUSY, at once or later. */
static struct err job_host(struct mapping_job *job)
{
    struct mapping_visit *visit = &job->visit;
    struct span host;
    uint16_t port;
    visit->host = (job->first + job->tried) % job->mapping.hosts_count;
    bool is_host = mapping_wire_split(job->mapping.hosts[visit->host], &host, &port);
    if (is_host && mapping_lookup_literal(host, visit)) return crew_run(job->crew, &job->job);
    job->lookup.loop = job->job.loop;
    job->lookup.dns = job->dns != NULL ? *job->dns : NULL;
    job->lookup.wait_ms = job->mapping.timeout_s * 1000ull;
    job->lookup.done = on_addresses;
    job->lookup.holder = job;
    mapping_lookup_start(&job->lookup, is_host ? host : SPAN(""));
    return err_ok();
}

/* After a visit, or when there was nobody to visit. */
static void job_next(struct mapping_job *job)
{
    bool is_last = ++job->tried == job->mapping.hosts_count || clock_boot_ms() >= job->until_ms;
    if (job->err.code == ERR_UNREACHABLE && !is_last) {
        struct err err = job_host(job);
        if (err.code == ERR_OK) return; /* a thread may have the job now */
        job->err = err;
    }
    job_over(job);
}

static void on_addresses(void *holder)
{
    struct mapping_job *job = holder;
    const char *why = mapping_lookup_take(&job->lookup, &job->visit);
    if (why != NULL) {
        job->err = mapping_failed(&job->visit, ERR_UNREACHABLE, why);
        job_next(job);
        return;
    }
    struct err err = crew_run(job->crew, &job->job);
    if (err.code == ERR_OK) return;
    job->err = err;
    job_over(job);
}

static void job_done(struct crew_job *crew_job)
{
    job_next((struct mapping_job *)(void *)crew_job);
}

/* The thread or the DNS is still at it, and what comes of it is not looked at; job_over() frees the
 * job. */
static void on_late(void *holder)
{
    job_answer(holder, err_make(ERR_TIMEOUT, "directory"), "no answer in time");
}

void mapping_job_cancel(struct mapping_job *job)
{
    if (job == NULL) return;
    job->is_over = true;
    timer_stop(&job->timer);
}

/* ---- the start */

/* Snapshots of domains come and go while the thread is at work. */
static struct err mapping_copy(struct mapping_job *job, const struct directory_mapping *from)
{
    struct directory_mapping *to = &job->mapping;
    struct span *const texts[] = { &to->ca,      &to->bind_dn, &to->sealed_password, &to->base,
                                   &to->filter,  &to->address, &to->name, &to->full_name };
    *to = *from;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        TRY(arena_copy(&job->arena, *texts[i], texts[i]));
    }
    for (size_t i = 0; i < to->hosts_count; i++) {
        TRY(arena_copy(&job->arena, to->hosts[i], &to->hosts[i]));
    }
    return err_ok();
}

static struct err job_fill(struct mapping_job *job, const struct mapping_question *question)
{
    char filter[FILTER_BYTES];
    struct buf text;
    TRY(mapping_copy(job, question->domain->mapping));
    TRY(arena_copy(&job->arena, question->domain->name, &job->name));
    TRY(arena_copy(&job->arena, question->dn, &job->dn));
    if (question->password.len > sizeof(job->password_bytes)) {
        return err_make(ERR_DENIED, "directory");
    }
    if (question->password.len > 0) {
        memcpy(job->password_bytes, question->password.ptr, question->password.len);
    }
    job->password = span_of(job->password_bytes, question->password.len);
    buf_init(&text, filter, sizeof(filter));
    ldap_filter_put(&text, job->mapping.filter, job->name);
    if (text.overflow) return err_make(ERR_TOO_BIG, "filter");
    return arena_copy(&job->arena, buf_span(&text), &job->filter);
}

static struct err job_start(struct mapping_pool *pool, const struct mapping_question *question,
                            struct mapping_job *job, uint64_t wait_ms)
{
    CHECK(question->domain->mapping != NULL);
    arena_init(&job->arena, JOB_ARENA_MAX_BYTES);
    arena_init(&job->found.arena, MAPPING_FOUND_MAX_BYTES);
    job->pool = pool;
    job->visit.mapping = &job->mapping;
    job->until_ms = clock_boot_ms() + wait_ms;
    job->dns = question->dns;
    job->job = (struct crew_job){ .run = job_run, .done = job_done, .loop = question->loop };
    struct err err = job_fill(job, question);
    if (err.code == ERR_OK) {
        pthread_mutex_lock(&pool->lock);
        err = job_begin(pool, job);
        pthread_mutex_unlock(&pool->lock);
    }
    if (err.code == ERR_OK) {
        err = job_host(job);
        if (err.code != ERR_OK) (void)job_news(job, ERR_BUSY);
    }
    if (err.code == ERR_OK) timer_start(question->loop, &job->timer, wait_ms, on_late, job);
    else job_free(job);
    return err;
}

struct err mapping_check_start(struct mapping_pool *pool, const struct mapping_question *question,
                               mapping_checked *done, void *holder, struct mapping_job **ret)
{
    struct mapping_job *job = calloc(1, sizeof(*job));
    if (job == NULL) return err_make(ERR_NOMEM, "directory");
    job->checked = done;
    job->holder = holder;
    TRY(job_start(pool, question, job, MAPPING_CHECK_MS));
    *ret = job;
    return err_ok();
}

struct err mapping_search_start(struct mapping_pool *pool, const struct mapping_question *question,
                                mapping_searched *done, void *holder, struct mapping_job **ret)
{
    struct mapping_job *job = calloc(1, sizeof(*job));
    if (job == NULL) return err_make(ERR_NOMEM, "directory");
    job->searched = done;
    job->holder = holder;
    TRY(job_start(pool, question, job, MAPPING_SEARCH_MS));
    *ret = job;
    return err_ok();
}
