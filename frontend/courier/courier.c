#include "courier.h"

#include <stdlib.h>

#include "body.h"
#include "buf.h"
#include "check.h"
#include "clock.h"
#include "courier_group_private.h"
#include "courier_link_private.h"
#include "courier_private.h"
#include "loop.h"
#include "smtp_client.h"

static void courier_look(struct later *later);

/* ---- options */

static struct err words_copy(struct buf *words, struct span *word, size_t max)
{
    if (word->len > max) return err_make(ERR_SYNTAX, "an option of the courier is too long");
    struct span from = *word;
    word->ptr = words->bytes + words->len;
    buf_put(words, from);
    return err_ok();
}

static struct err courier_take(const struct courier_options *options, struct courier *courier)
{
    struct courier_options taken = *options;
    char bytes[COURIER_WORDS_BYTES];
    struct buf words;
    buf_init(&words, bytes, sizeof(bytes));
    TRY(words_copy(&words, &taken.hostname, COURIER_HOST_NAME_BYTES - 1));
    TRY(words_copy(&words, &taken.smart_host, COURIER_HOST_NAME_BYTES - 1));
    TRY(words_copy(&words, &taken.smart_user, SMTP_CLIENT_PASSWORD_MAX_BYTES));
    TRY(words_copy(&words, &taken.smart_password, SMTP_CLIENT_PASSWORD_MAX_BYTES));
    CHECK(!words.overflow);
    bool is_valid = taken.smart_host.len == 0 || courier_host_is_valid(taken.smart_host);
    if (!is_valid) return err_make(ERR_SYNTAX, "smart host");
    if (taken.port == 0) taken.port = 25;
    if (taken.concurrency == 0 || taken.concurrency > COURIER_ENTRIES_MAX) {
        taken.concurrency = COURIER_ENTRIES_MAX;
    }
    if (taken.per_destination == 0) taken.per_destination = COURIER_DESTINATION_MAX;
    if (taken.connect_ms == 0) taken.connect_ms = COURIER_CONNECT_MS;
    if (taken.lease_ms == 0) taken.lease_ms = COURIER_LEASE_MS;
    memcpy(courier->words, bytes, words.len);
    struct span *spans[] = { &taken.hostname, &taken.smart_host, &taken.smart_user,
                             &taken.smart_password };
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        spans[i]->ptr = courier->words + (spans[i]->ptr - bytes);
    }
    courier->options = taken;
    return err_ok();
}

struct err courier_configure(struct courier *courier, const struct courier_options *options)
{
    struct courier_options changed = *options;
    const struct courier_options *now = &courier->options;
    changed.loop = now->loop;
    changed.route = now->route;
    changed.crew = now->crew;
    changed.budget = now->budget;
    changed.post = now->post;
    changed.told = now->told;
    changed.holder = now->holder;
    bool is_other = changed.dns != now->dns;
    TRY(courier_take(&changed, courier));
    if (is_other) courier_groups_ask_again(courier);
    if (!courier->stopping) courier_look_later(courier);
    return err_ok();
}

struct err courier_new(const struct courier_options *options, struct courier **ret)
{
    CHECK(options->post != NULL);
    struct courier *courier = calloc(1, sizeof(*courier));
    if (courier == NULL) return err_make(ERR_NOMEM, "courier");
    list_init(&courier->entries);
    list_init(&courier->backlog);
    list_init(&courier->nodes);
    list_init(&courier->waiting);
    list_init(&courier->sending);
    list_init(&courier->links);
    map_init(&courier->by_id, COURIER_ENTRIES_MAX + COURIER_BACKLOG_MAX + COURIER_BATCH);
    map_init(&courier->destinations, COURIER_DESTINATIONS_MAX);
    id_random(courier->owner, sizeof(courier->owner));
    struct err err = courier_take(options, courier);
    if (err.code == ERR_OK) err = courier_watch_new(courier);
    if (err.code != ERR_OK) {
        map_free(&courier->by_id);
        map_free(&courier->destinations);
        free(courier);
        return err;
    }
    courier_watch_start(courier);
    *ret = courier;
    return err_ok();
}

struct span courier_owner(const struct courier *courier)
{
    return span_of(courier->owner, sizeof(courier->owner));
}

struct courier_counts courier_counts(const struct courier *courier)
{
    struct courier_counts counts = courier->counts;
    counts.open = courier->entries_count + courier->backlog_count;
    return counts;
}

struct span courier_operation(uint8_t id[OPERATION_ID_BYTES])
{
    id_operation(clock_wall_ms(), id);
    return span_of(id, OPERATION_ID_BYTES);
}

/* ---- new entries */

void courier_entry_start(struct courier_entry *entry)
{
    struct courier *courier = entry->courier;
    list_add(&courier->entries, &entry->link);
    courier->entries_count++;
    courier_lease_begin(entry);
    courier_entry_go(entry);
}

void courier_new_entry(struct courier *courier, const struct store_queue_entry *row,
                       struct body *stored)
{
    struct courier_entry *entry;
    if (courier->stopping || courier->backlog_count >= COURIER_BACKLOG_MAX) return;
    /* Whatever fails here: the entry is leased again when its time comes. */
    if (courier_entry_new(courier, row, &entry).code != ERR_OK) return;
    entry->stored = body_ref(stored);
    if (courier->entries_count < courier->options.concurrency) {
        courier_entry_start(entry);
        return;
    }
    list_add(&courier->backlog, &entry->link);
    courier->backlog_count++;
}

static void courier_backlog_look(struct courier *courier)
{
    while (!list_is_empty(&courier->backlog) &&
           courier->entries_count < courier->options.concurrency) {
        struct courier_entry *entry = LIST_ITEM(courier->backlog.next, struct courier_entry, link);
        list_remove(&entry->link);
        courier->backlog_count--;
        courier_entry_start(entry);
    }
}

/* ---- end */

static bool courier_is_over(const struct courier *courier)
{
    return courier->entries_count == 0 && courier->links_count == 0 &&
           courier_watch_is_over(courier);
}

static void courier_look(struct later *later)
{
    struct courier *courier = LIST_ITEM(later, struct courier, look);
    if (!courier->stopping) {
        courier_backlog_look(courier);
        courier_groups_look(courier);
        courier_watch_look(courier);
        return;
    }
    courier_groups_look(courier);
    if (!courier_is_over(courier) || courier->stopped == NULL) return;
    void (*stopped)(void *holder) = courier->stopped;
    courier->stopped = NULL;
    timer_stop(&courier->stop_timer);
    stopped(courier->stopped_holder);
}

void courier_look_later(struct courier *courier)
{
    if (later_is_posted(&courier->look)) return;
    later_post(loop_later(courier->options.loop), &courier->look, courier_look);
}

/* What is still being sent has had its time. */
static void courier_stop_late(void *holder)
{
    struct courier *courier = holder;
    courier_links_abort(courier, true);
    struct list *link;
    for (link = courier->entries.next; link != &courier->entries; link = link->next) {
        struct courier_entry *entry = LIST_ITEM(link, struct courier_entry, link);
        if (entry->call != NULL) route_call_cancel(entry->call);
        courier_local_cancel(entry);
    }
}

void courier_stop(struct courier *courier, void (*stopped)(void *holder), void *holder)
{
    CHECK(!courier->stopping);
    courier->stopping = true;
    courier->stopped = stopped;
    courier->stopped_holder = holder;
    courier_watch_stop(courier);
    /* Nobody has begun with these: their leases run out. */
    while (!list_is_empty(&courier->backlog)) {
        courier_entry_free(LIST_ITEM(courier->backlog.next, struct courier_entry, link));
    }
    courier->backlog_count = 0;
    courier_links_abort(courier, false);
    timer_start(courier->options.loop, &courier->stop_timer, COURIER_STOP_MS, courier_stop_late,
                courier);
    courier_look_later(courier);
}

void courier_map_changed(struct courier *courier)
{
    if (courier->stopping) return;
    courier_watch_start(courier);
}

void courier_free(struct courier *courier)
{
    if (courier == NULL) return;
    CHECK(courier->stopping && courier_is_over(courier));
    timer_stop(&courier->stop_timer);
    later_cancel(&courier->look);
    courier_watch_free(courier);
    courier_destinations_free(courier);
    map_free(&courier->by_id);
    map_free(&courier->destinations);
    free(courier);
}
