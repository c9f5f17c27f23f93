#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "coord.h"
#include "directory_mapping.h"
#include "id.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "sync_private.h"

enum { OFFICE_RETRY_MS = 1000, OFFICE_BYTES = 512 };

static const struct span office = SPAN_INIT("directory/office");

static void look(void *holder);

static void look_in(struct sync *sync, uint64_t wait_ms)
{
    if (sync->stopped) return;
    if (wait_ms < TIMER_WAIT_MIN_MS) wait_ms = TIMER_WAIT_MIN_MS;
    timer_start(sync->options.loop, &sync->timer, wait_ms, look, sync);
}

void sync_end(struct sync *sync)
{
    size_t at = 0;
    if (!sync->stopped || sync->runs > 0 || sync->telling > 0 || sync->standing) return;
    for (struct sync_place *place; (place = map_next(&sync->places, &at)) != NULL; at = 0) {
        map_remove(&sync->places, place->name);
        free(place);
    }
    map_free(&sync->places);
    free(sync);
}

/* ---- the office */

static void on_stood(void *holder, struct err err, uint64_t revision)
{
    struct sync *sync = holder;
    (void)revision;
    sync->standing = false;
    if (sync->stopped) sync_end(sync);
    else look_in(sync, err.code == ERR_OK ? 0 : OFFICE_RETRY_MS);
}

static void stand(struct sync *sync)
{
    char bytes[OFFICE_BYTES], id[ID_TEXT_BYTES];
    struct buf value;
    id_hex(sync->boot.bytes, ID_BYTES, id);
    buf_init(&value, bytes, sizeof(bytes));
    buf_put(&value, SPAN("{\"name\":\""));
    buf_put(&value, span_of(sync->options.name, strlen(sync->options.name)));
    buf_put(&value, SPAN("\",\"boot\":\""));
    buf_put(&value, span_of(id, sizeof(id)));
    buf_put(&value, SPAN("\"}"));
    struct coord_item item = { .key = office, .value = buf_span(&value), .revision = 0,
                               .action = COORD_PUT, .lease = sync->lease };
    struct coord_change change = { .items = &item, .count = 1 };
    struct err err = coord_change_start(sync->options.coord, sync->options.crew, &change, on_stood,
                                        sync);
    sync->standing = err.code == ERR_OK;
    if (!sync->standing) look_in(sync, OFFICE_RETRY_MS);
}

static bool is_own(const struct sync *sync, const struct coord_row *row)
{
    char id[ID_TEXT_BYTES];
    id_hex(sync->boot.bytes, ID_BYTES, id);
    return row->value.len > sizeof(id) + 2 &&
           memcmp(row->value.ptr + row->value.len - 2 - sizeof(id), id, sizeof(id)) == 0;
}

/* Whether this one holds it; sees to it that it may come to. */
static bool holds_office(struct sync *sync)
{
    struct coord_row row;
    if (sync->lease != NULL && coord_lease_state(sync->lease) == COORD_LEASE_LOST) {
        coord_lease_stop(sync->lease);
        sync->lease = NULL;
        look_in(sync, OFFICE_RETRY_MS);
        return false;
    }
    if (sync->lease == NULL) {
        struct err err = coord_lease_start(sync->options.coord, SYNC_LEASE_S, look, sync,
                                           &sync->lease);
        if (err.code != ERR_OK) look_in(sync, OFFICE_RETRY_MS);
        return false;
    }
    if (coord_lease_state(sync->lease) != COORD_LEASE_HELD || sync->standing) return false;
    if (coord_get(sync->options.coord, office, &row)) return is_own(sync, &row);
    stand(sync);
    return false;
}

static void give_up_runs(struct sync *sync)
{
    size_t at = 0;
    for (struct sync_place *place; (place = map_next(&sync->places, &at)) != NULL;) {
        if (place->run != NULL) sync_run_give_up(place->run);
    }
}

static void set_holds(struct sync *sync, bool holds)
{
    if (holds && !sync->holds) {
        LOG0(DIRECTORY_ELECTED, NULL);
        sync_sweep(sync);
    }
    if (!holds && sync->holds) give_up_runs(sync);
    sync->holds = holds;
}

/* ---- the end of a look */

/* What has changed since it was last told. */
static void say_refused(struct sync_run *run)
{
    struct sync_place *place = run->place;
    if (run->refused_mark == place->refused_mark) return;
    place->refused_mark = run->refused_mark;
    for (size_t i = 0; i < run->told_count; i++) {
        LOG(DIRECTORY_ENTRY_REFUSED, NULL, log_text(place->name), log_text(run->told[i].entry),
            log_text(run->told[i].why));
    }
}

static void say(struct sync_run *run, const char *failure)
{
    struct sync_place *place = run->place;
    bool is_news = strncmp(failure, place->failure, sizeof(place->failure) - 1) != 0;
    unsigned changes = run->made + run->changed + run->gone;
    snprintf(place->failure, sizeof(place->failure), "%s", failure);
    sync_tell(run->sync, place, &(struct sync_said){
        .tenant = run->own.tenant, .failure = failure, .is_news = is_news,
        .entries = run->found.count, .made = run->made, .changed = run->changed,
        .disabled = run->gone, .refused = run->plan.refusals_count + run->failed });
    metric_add(METRIC_DIRECTORY_SYNCS, failure[0] != '\0' || run->failed > 0 ? 1 : 0, 1);
    if (failure[0] != '\0') {
        if (is_news) {
            LOG(DIRECTORY_SYNC_FAILED, NULL, log_text(place->name), log_words(failure));
        }
        return;
    }
    say_refused(run);
    if (changes == 0 && !is_news) return;
    LOG(DIRECTORY_SYNCED, NULL, log_text(place->name), log_number(run->found.count),
        log_number(run->made), log_number(run->changed), log_number(run->gone),
        log_number(run->failed));
}

static uint64_t wait_after(struct sync *sync, const struct sync_place *place, bool failed)
{
    const struct directory_domain *domain =
        directory_find(sync->options.directory(sync->options.holder), place->name, NULL);
    uint64_t wait_ms = SYNC_RETRY_MS;
    if (domain != NULL && domain->mapping != NULL) wait_ms = domain->mapping->sync_s * 1000ull;
    return failed && wait_ms > SYNC_RETRY_MS ? SYNC_RETRY_MS : wait_ms;
}

void sync_run_over(struct sync_run *run, const char *failure)
{
    struct sync *sync = run->sync;
    struct sync_place *place = run->place;
    bool failed = failure[0] != '\0' || run->failed > 0;
    if (!run->is_given_up) say(run, failure);
    place->due_ms = loop_now_ms(sync->options.loop) + wait_after(sync, place, failed);
    place->run = NULL;
    sync->runs--;
    arena_clear(&run->found.arena);
    arena_clear(&run->arena);
    free(run);
    if (sync->stopped) sync_end(sync);
    else look_in(sync, 0);
}

/* ---- which domain is due */

static struct sync_place *place_of(struct sync *sync, struct span name)
{
    struct sync_place *place = map_get(&sync->places, name);
    if (place != NULL) return place;
    place = calloc(1, sizeof(*place) + name.len);
    if (place == NULL) return NULL;
    memcpy(place + 1, name.ptr, name.len);
    place->name = span_of(place + 1, name.len);
    if (map_put(&sync->places, place->name, place).code == ERR_OK) return place;
    free(place);
    return NULL;
}

/* Forgets domains that have no directory any more. */
static void forget(struct sync *sync)
{
    size_t at = 0;
    for (struct sync_place *place; (place = map_next(&sync->places, &at)) != NULL;) {
        if (place->is_there || place->run != NULL) continue;
        sync_untell(sync, place->name);
        map_remove(&sync->places, place->name);
        free(place);
        at = 0;
    }
}

/* Starts what is due; returns how long until the next one is. */
static uint64_t domain_look(struct sync *sync, const struct directory_domain *domain)
{
    uint64_t now = loop_now_ms(sync->options.loop);
    struct sync_place *place = place_of(sync, domain->name);
    if (place == NULL) return SYNC_RETRY_MS;
    place->is_there = true;
    if (place->run != NULL) return UINT64_MAX; /* its end looks again */
    if (place->mark == domain->mapping->mark && place->due_ms > now) return place->due_ms - now;
    if (sync->runs >= SYNC_RUNS_MAX) return UINT64_MAX;
    place->mark = domain->mapping->mark;
    place->due_ms = now + SYNC_RETRY_MS;
    sync->runs++;
    struct err err = sync_run_start(sync, place, domain);
    if (err.code == ERR_OK) return UINT64_MAX;
    sync->runs--;
    bool is_news = strcmp(place->failure, err_text(err)) != 0;
    sync_tell(sync, place, &(struct sync_said){ .tenant = domain->tenant, .is_news = is_news,
                                                .failure = err_text(err) });
    if (is_news) {
        snprintf(place->failure, sizeof(place->failure), "%s", err_text(err));
        LOG(DIRECTORY_SYNC_FAILED, NULL, log_text(place->name), log_words(err_text(err)));
    }
    return SYNC_RETRY_MS;
}

/* Asks for the office only while there is something to do in it. */
static bool has_work(const struct directory *directory)
{
    for (size_t i = 0; i < directory_count(directory); i++) {
        if (directory_at(directory, i)->mapping != NULL) return true;
    }
    return false;
}

static void look(void *holder)
{
    struct sync *sync = holder;
    const struct directory *directory = sync->options.directory(sync->options.holder);
    uint64_t wait_ms = UINT64_MAX;
    size_t at = 0;
    if (sync->stopped || directory == NULL) return;
    for (struct sync_place *place; (place = map_next(&sync->places, &at)) != NULL;) {
        place->is_there = false;
    }
    if (!has_work(directory)) {
        set_holds(sync, false);
        forget(sync);
        coord_lease_stop(sync->lease);
        sync->lease = NULL;
        return;
    }
    set_holds(sync, holds_office(sync));
    if (!sync->holds) return;
    for (size_t i = 0; i < directory_count(directory); i++) {
        const struct directory_domain *domain = directory_at(directory, i);
        uint64_t domain_ms = domain->mapping != NULL ? domain_look(sync, domain) : UINT64_MAX;
        if (domain_ms < wait_ms) wait_ms = domain_ms;
    }
    forget(sync);
    if (wait_ms != UINT64_MAX) look_in(sync, wait_ms);
}

void sync_configure(struct sync *sync) { look(sync); }

/* ---- life */

struct err sync_new(const struct sync_options *options, struct sync **ret)
{
    struct sync *sync = calloc(1, sizeof(*sync));
    if (sync == NULL) return err_make(ERR_NOMEM, "directory");
    sync->options = *options;
    map_init(&sync->places, SYNC_DOMAINS_MAX);
    id_random(sync->boot.bytes, sizeof(sync->boot.bytes));
    struct err err = coord_watch_start(options->coord, office, look, sync, &sync->watch);
    if (err.code != ERR_OK) {
        map_free(&sync->places);
        free(sync);
        return err;
    }
    *ret = sync;
    return err_ok();
}

void sync_stop(struct sync *sync)
{
    if (sync == NULL) return;
    sync->stopped = true;
    timer_stop(&sync->timer);
    coord_watch_stop(sync->watch);
    coord_lease_stop(sync->lease);
    sync->lease = NULL;
    sync->runs++; /* not freed while the runs are told */
    give_up_runs(sync);
    sync->runs--;
    sync_end(sync);
}
