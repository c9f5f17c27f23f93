#include "engines.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines_private.h"
#include "loop.h"

void engines_options_init(struct engines_options *options)
{
    *options = (struct engines_options){
        .program = -1,
        .workers = 1,
        .limits = { .scan_ms = 30000,
                    .reach = { .scan_bytes_max = 400u << 20,
                               .file_bytes_max = ENGINES_FILE_BYTES_MAX,
                               .files_max = 10000,
                               .recursion_max = 17 },
                    .memory_bytes = 2048ull << 20,
                    .temp_bytes = 512u << 20 },
        .sandbox_required = true,
        .user = 65534,
        .group = 65534,
    };
#ifdef MAIL_SANITIZED
    options->limits.memory_bytes = 0; /* a sanitizer maps terabytes */
#endif
}

void engines_log(struct engines *engines, enum engines_level level, const char *event,
                 struct span text)
{
    if (engines->user->log != NULL) engines->user->log(engines->holder, level, event, text);
}

static void engines_on_changed(struct later *later)
{
    struct engines *engines = LIST_ITEM(later, struct engines, changed);
    engines->user->changed(engines->holder);
}

void engines_note_change(struct engines *engines)
{
    if (engines->closing || engines->user->changed == NULL) return;
    if (later_is_posted(&engines->changed)) return;
    later_post(loop_later(engines->loop), &engines->changed, engines_on_changed);
}

uint64_t engines_backoff_ms(unsigned failures)
{
    if (failures <= 1) return 0;
    unsigned doublings = failures - 2 < 16 ? failures - 2 : 16;
    uint64_t wait_ms = (uint64_t)ENGINES_BACKOFF_MIN_MS << doublings;
    return wait_ms < ENGINES_BACKOFF_MAX_MS ? wait_ms : ENGINES_BACKOFF_MAX_MS;
}

static unsigned engines_sets(const struct engines *engines)
{
    unsigned count = engines->live != NULL ? 1 : 0;
    if (engines->coming != NULL) count++;
    for (const struct engines_set *set = engines->ending; set != NULL; set = set->next) count++;
    return count;
}

static void engines_load(struct engines *engines)
{
    if (engines_sets(engines) >= ENGINES_SETS_MAX) {
        engines->reload_again = true; /* when one is gone: engines_balance() */
        return;
    }
    engines->stamp = engines_folder_stamp(engines->options.signature_dir);
    struct err err = engines_set_open(engines, &engines->coming);
    if (err.code == ERR_OK) return;
    engines->coming = NULL;
    engines->set_failures++;
    engines_log(engines, ENGINES_ERROR, "zygote-not-started", span_of(err.what, strlen(err.what)));
}

static void engines_on_set_retry(void *holder)
{
    struct engines *engines = holder;
    if (engines->live == NULL && engines->coming == NULL) engines_load(engines);
    engines_balance(engines);
}

static void engines_on_worker_retry(void *holder) { engines_balance(holder); }

/* Workers of a set, by what they are good for. */
struct engines_count {
    unsigned starting, idle, busy;
};

static struct engines_count engines_count(const struct engines *engines,
                                          const struct engines_set *set)
{
    struct engines_count count = { 0 };
    for (unsigned i = 0; i < engines->numbers; i++) {
        const struct engines_worker *worker = &engines->workers[i];
        if (worker->state == WORKER_FREE || worker->set != set) continue;
        if (worker->state == WORKER_STARTING || worker->state == WORKER_PROVING) count.starting++;
        if (worker->state == WORKER_IDLE) count.idle++;
        if (worker->state == WORKER_BUSY) count.busy++;
    }
    return count;
}

static struct engines_worker *engines_idle_of(struct engines *engines,
                                              const struct engines_set *set)
{
    for (unsigned i = 0; i < engines->numbers; i++) {
        struct engines_worker *worker = &engines->workers[i];
        if (worker->state == WORKER_IDLE && worker->set == set) return worker;
    }
    return NULL;
}

static void engines_start_workers(struct engines *engines, struct engines_set *set, unsigned wanted)
{
    struct engines_count count = engines_count(engines, set);
    unsigned have = count.starting + count.idle + count.busy;
    if (have >= wanted || timer_is_armed(&engines->worker_retry)) return;
    uint64_t wait_ms = engines_backoff_ms(engines->worker_failures);
    if (wait_ms > 0) {
        /* What is missing is started now, and what is missing then not before this has run. */
        timer_start(engines->loop, &engines->worker_retry, wait_ms, engines_on_worker_retry,
                    engines);
    }
    for (; have < wanted && count.starting < ENGINES_STARTING_MAX; have++, count.starting++) {
        struct err err = engines_worker_start(set);
        if (err.code == ERR_OK) continue;
        engines->worker_failures++;
        engines_log(engines, ENGINES_ERROR, "worker-not-started",
                    span_of(err.what, strlen(err.what)));
        timer_start(engines->loop, &engines->worker_retry, ENGINES_BACKOFF_MIN_MS * 10,
                    engines_on_worker_retry, engines);
        return;
    }
}

/* Old workers go as new ones are there to take their place, between two messages. */
static void engines_replace_old(struct engines *engines)
{
    struct engines_count live = engines_count(engines, engines->live);
    for (struct engines_set *set = engines->ending; set != NULL; set = set->next) {
        if (set->state == SET_ENDING) continue;
        struct engines_count old = engines_count(engines, set);
        unsigned ready = live.idle + live.busy;
        while (old.idle > 0 && ready + old.idle + old.busy > engines->options.workers) {
            engines_worker_kill(engines_idle_of(engines, set));
            old.idle--;
        }
        if (old.idle + old.busy + old.starting == 0) engines_set_end(set);
    }
}

void engines_balance(struct engines *engines)
{
    if (engines->coming != NULL && engines->coming->state == SET_PROVING) {
        engines_start_workers(engines, engines->coming, 1);
    }
    if (engines->live != NULL) {
        engines_start_workers(engines, engines->live, engines->options.workers);
        engines_replace_old(engines);
    }
    if (engines->coming == NULL && engines->reload_again &&
        engines_sets(engines) < ENGINES_SETS_MAX) {
        engines->reload_again = false;
        engines_load(engines);
    }
    if (engines->live == NULL && engines->coming == NULL &&
        !timer_is_armed(&engines->set_retry)) {
        timer_start(engines->loop, &engines->set_retry,
                    engines_backoff_ms(engines->set_failures + 1), engines_on_set_retry, engines);
    }
}

/* Out of its place, to be ended. */
static void engines_set_aside(struct engines *engines, struct engines_set *set)
{
    if (engines->live == set) engines->live = NULL;
    if (engines->coming == set) engines->coming = NULL;
    set->next = engines->ending;
    engines->ending = set;
}

void engines_set_proved(struct engines_set *set)
{
    struct engines *engines = set->engines;
    CHECK(engines->coming == set);
    struct engines_set *old = engines->live;
    engines->coming = NULL;
    if (old != NULL) engines_set_aside(engines, old);
    engines->live = set;
    set->state = SET_LIVE;
    engines->set_failures = engines->worker_failures = 0;
    engines->sets_proved++;
    engines_log(engines, ENGINES_INFO, "set-live", span_of(set->loaded.text, set->loaded.text_len));
}

static void set_note_refusal(const struct engines_set *set, struct span why)
{
    struct engines *engines = set->engines;
    why = span_head(why, sizeof(engines->refused_why));
    engines->sets_refused++;
    engines->refused_stamp = set->stamp;
    engines->refused_is_bad = set->is_bad;
    engines->refused_why_len = why.len;
    if (why.len > 0) memcpy(engines->refused_why, why.ptr, why.len);
}

void engines_set_failed(struct engines_set *set, const char *event, struct span why)
{
    struct engines *engines = set->engines;
    if (set->state == SET_ENDING) return;
    bool was_live = set->state == SET_LIVE;
    engines->set_failures++;
    if (!was_live) set_note_refusal(set, why);
    engines_log(engines, ENGINES_ERROR, event, why);
    bool aside = engines->live == set || engines->coming == set;
    if (aside) engines_set_aside(engines, set);
    for (unsigned i = 0; i < engines->numbers; i++) {
        struct engines_worker *worker = &engines->workers[i];
        if (worker->set != set || worker->state == WORKER_BUSY) continue;
        engines_worker_kill(worker);
    }
    engines_set_end(set);
    engines_balance(engines);
    engines_note_change(engines);
}

struct err engines_open(struct loop *loop, const struct engines_options *options,
                        const struct engines_user *user, void *holder, struct engines **ret)
{
    CHECK(options->workers >= 1 && options->workers <= ENGINES_WORKERS_MAX);
    unsigned numbers = options->workers * 2 + ENGINES_STARTING_MAX;
    if (numbers > ENGINES_NUMBERS) numbers = ENGINES_NUMBERS;
    struct engines *engines = calloc(1, sizeof(*engines) + numbers * sizeof(engines->workers[0]));
    if (engines == NULL) return err_make(ERR_NOMEM, "engines");
    engines->numbers = numbers;
    engines->loop = loop;
    engines->options = *options;
    engines->user = user;
    engines->holder = holder;
    engines->stamp = engines_folder_stamp(options->signature_dir);
    struct err err = engines_set_open(engines, &engines->coming);
    if (err.code != ERR_OK) {
        free(engines);
        return err;
    }
    *ret = engines;
    return err_ok();
}

void engines_set_reach(struct engines *engines, const struct engines_reach *reach)
{
    engines->options.limits.reach = *reach;
}

struct err engines_scan(struct engines *engines, struct engines_job *job)
{
    struct engines_worker *worker = NULL;
    if (engines->live != NULL) worker = engines_idle_of(engines, engines->live);
    for (struct engines_set *set = engines->ending; worker == NULL && set != NULL;
         set = set->next) {
        if (set->state == SET_LIVE) worker = engines_idle_of(engines, set);
    }
    if (worker == NULL) return err_make(ERR_BUSY, "scan workers");
    return engines_job_start(worker, job);
}

void engines_cancel(struct engines *engines, struct engines_job *job)
{
    struct engines_worker *worker = job->worker;
    if (worker == NULL) return;
    job->worker = NULL;
    worker->job = NULL;
    engines_worker_kill(worker);
    engines_balance(engines);
}

void engines_reload(struct engines *engines)
{
    if (engines->coming != NULL) {
        engines->reload_again = true;
        return;
    }
    timer_stop(&engines->set_retry);
    engines_load(engines);
    engines_balance(engines);
}

static void status_count(const struct engines_worker *worker, struct engines_status *status)
{
    switch (worker->state) {
    case WORKER_FREE: break;
    case WORKER_STARTING:
    case WORKER_PROVING: status->starting++; break;
    case WORKER_IDLE: status->idle++; break;
    case WORKER_BUSY: status->at_work++; break;
    case WORKER_DYING: status->dying++; break;
    }
}

void engines_status(const struct engines *engines, struct engines_status *ret)
{
    struct engines_status status = { .sets_refused = engines->sets_refused,
                                     .workers_lost = engines->workers_lost,
                                     .reach_before = engines->reach_before,
                                     .sets = engines_sets(engines),
                                     .is_loading = engines->coming != NULL ||
                                                   engines->reload_again,
                                     .is_replacing = engines->ending != NULL,
                                     .sets_proved = engines->sets_proved,
                                     .refused_stamp = engines->refused_stamp,
                                     .refused_is_bad = engines->refused_is_bad,
                                     .refused_why = span_of(engines->refused_why,
                                                            engines->refused_why_len),
                                     .sandbox = UINT32_MAX };
    for (unsigned i = 0; i < engines->numbers; i++) {
        const struct engines_worker *worker = &engines->workers[i];
        status_count(worker, &status);
        if (worker->state != WORKER_IDLE && worker->state != WORKER_BUSY) continue;
        status.workers++;
        status.sandbox &= worker->sandbox;
        status.reach_after |= worker->reach_after;
    }
    if (status.workers == 0) status.sandbox = 0;
    if (status.workers > engines->options.workers) status.workers = engines->options.workers;
    status.busy = status.workers > status.idle ? status.workers - status.idle : 0;
    if (engines->live != NULL) {
        const struct wire_news *loaded = &engines->live->loaded;
        status.ready = status.workers > 0;
        status.version = span_of(loaded->text, loaded->text_len);
        status.signatures = loaded->signatures;
        status.signatures_ms = loaded->signatures_ms;
        status.live_stamp = engines->live->stamp;
    }
    *ret = status;
}

unsigned engines_pids(const struct engines *engines, pid_t *to, unsigned size)
{
    unsigned count = 0;
    for (unsigned i = 0; i < engines->numbers && count < size; i++) {
        const struct engines_worker *worker = &engines->workers[i];
        if (worker->state != WORKER_IDLE && worker->state != WORKER_BUSY) continue;
        if (worker->pid > 0) to[count++] = worker->pid;
    }
    return count;
}

void engines_close(struct engines *engines)
{
    if (engines == NULL) return;
    engines->closing = true;
    timer_stop(&engines->set_retry);
    timer_stop(&engines->worker_retry);
    later_cancel(&engines->changed);
    for (unsigned i = 0; i < engines->numbers; i++) {
        struct engines_worker *worker = &engines->workers[i];
        if (worker->job != NULL) worker->job->worker = NULL;
        worker->job = NULL;
    }
    if (engines->coming != NULL) engines_set_aside(engines, engines->coming);
    if (engines->live != NULL) engines_set_aside(engines, engines->live);
    for (struct engines_set *set = engines->ending; set != NULL; set = set->next) {
        if (set->state != SET_ENDING) engines_set_end(set);
    }
    while (engines->ending != NULL) engines_set_wait(engines->ending);
    later_cancel(&engines->changed);
    free(engines);
}
