/* A store on a loop: what both back ends have in common. */
#include "coord.h"

#include <stdlib.h>

#include "check.h"
#include "coord_private.h"
#include "loop.h"

enum { OPEN_TURN_MS = 50 };

/* Freed by its user in coord_watch_stop(). */
struct coord_watch {
    struct list link;
    struct later later;
    struct coord *coord;
    void (*changed)(void *holder);
    void *holder;
    size_t prefix_len;
    char prefix[COORD_KEY_MAX_BYTES];
};

/* ---- watches */

static void watch_tell(struct later *later)
{
    struct coord_watch *watch = LIST_ITEM(later, struct coord_watch, later);
    watch->changed(watch->holder);
}

static void watch_post(struct coord_watch *watch)
{
    if (later_is_posted(&watch->later)) return;
    later_post(loop_later(watch->coord->loop), &watch->later, watch_tell);
}

static struct span watch_prefix(const struct coord_watch *watch)
{
    return span_of(watch->prefix, watch->prefix_len);
}

void coord_tell(struct coord *coord, struct span key)
{
    for (struct list *at = coord->watches.next; at != &coord->watches; at = at->next) {
        struct coord_watch *watch = LIST_ITEM(at, struct coord_watch, link);
        if (coord_key_under(key, watch_prefix(watch))) watch_post(watch);
    }
}

void coord_tell_differences(struct coord *coord, const struct coord_rows *was,
                            const struct coord_rows *is)
{
    for (struct list *at = coord->watches.next; at != &coord->watches; at = at->next) {
        struct coord_watch *watch = LIST_ITEM(at, struct coord_watch, link);
        if (!coord_rows_same(was, is, watch_prefix(watch))) watch_post(watch);
    }
}

struct err coord_watch_start(struct coord *coord, struct span prefix,
                             void (*changed)(void *holder), void *holder,
                             struct coord_watch **ret)
{
    if (prefix.len > COORD_KEY_MAX_BYTES) return err_make(ERR_TOO_BIG, "prefix of a watch");
    if (coord->watches_count == COORD_WATCHES_MAX) return err_make(ERR_BUSY, "watches");
    struct coord_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) return err_make(ERR_NOMEM, "watch");
    watch->coord = coord;
    watch->changed = changed;
    watch->holder = holder;
    watch->prefix_len = prefix.len;
    if (prefix.len > 0) memcpy(watch->prefix, prefix.ptr, prefix.len);
    list_add(&coord->watches, &watch->link);
    coord->watches_count++;
    watch_post(watch);
    *ret = watch;
    return err_ok();
}

void coord_watch_stop(struct coord_watch *watch)
{
    if (watch == NULL) return;
    watch->coord->watches_count--;
    later_cancel(&watch->later);
    list_remove(&watch->link);
    free(watch);
}

/* ---- from one back end to the next */

static void leases_lose(struct coord *coord)
{
    for (struct list *at = coord->leases.next; at != &coord->leases; at = at->next) {
        struct coord_lease *lease = LIST_ITEM(at, struct coord_lease, link);
        if (lease->back == NULL) continue;
        coord->back->ops->lease_stop(lease);
        lease->back = NULL;
        coord_lease_set(lease, COORD_LEASE_LOST);
    }
}

static void swap_run(struct later *later)
{
    struct coord *coord = LIST_ITEM(later, struct coord, swap);
    struct coord_back *was = coord->back;
    if (was != NULL) leases_lose(coord);
    coord->back = coord->next;
    coord->next = NULL;
    if (was == NULL) return;
    /* Revisions of one store mean nothing in the other: everything counts as changed. */
    for (struct list *at = coord->watches.next; at != &coord->watches; at = at->next) {
        watch_post(LIST_ITEM(at, struct coord_watch, link));
    }
    was->ops->close(was);
}

void coord_next_ready(struct coord *coord)
{
    if (coord->next == NULL || later_is_posted(&coord->swap)) return;
    later_post(loop_later(coord->loop), &coord->swap, swap_run);
}

/* ---- opening */

/* What will not get better while we wait. */
static bool is_hopeless(enum err_code code)
{
    return code == ERR_DENIED || code == ERR_TOO_BIG || code == ERR_UNSUPPORTED ||
           code == ERR_CORRUPT || code == ERR_IO || code == ERR_SYNTAX;
}

static struct err wait_ready(struct coord *coord)
{
    uint64_t until_ms = loop_now_ms(coord->loop) + COORD_WAIT_MS;
    while (coord->next != NULL) {
        struct err err = coord->next->ops->state(coord->next);
        if (is_hopeless(err.code)) return err;
        if (loop_now_ms(coord->loop) >= until_ms) {
            return err.code == ERR_OK ? err_make(ERR_TIMEOUT, "etcd") : err;
        }
        loop_step(coord->loop, OPEN_TURN_MS);
    }
    return err_ok();
}

static struct err open_backs(struct coord *coord)
{
    const struct coord_options *options = &coord->options->options;
    if (options->directory[0] == '\0') {
        TRY(coord_etcd_open(coord, options, &coord->next));
    } else {
        TRY(coord_file_open(coord, &coord->back));
        /* Moved, and we can't follow. */
        if (coord->next == NULL) TRY(coord->back->ops->state(coord->back));
    }
    return wait_ready(coord);
}

static struct err open_any(struct loop *loop, const struct coord_options *options, bool filling,
                           struct coord **ret)
{
    struct coord *coord = calloc(1, sizeof(*coord));
    if (coord == NULL) return err_make(ERR_NOMEM, "configuration store");
    coord->loop = loop;
    coord->filling = filling;
    list_init(&coord->watches);
    list_init(&coord->leases);
    struct err err = coord_options_copy(options, &coord->options);
    if (err.code == ERR_OK) err = open_backs(coord);
    if (err.code != ERR_OK) {
        coord_close(coord);
        return err;
    }
    *ret = coord;
    return err_ok();
}

struct err coord_open_options(struct loop *loop, const struct coord_options *options,
                              struct coord **ret)
{
    return open_any(loop, options, false, ret);
}

struct err coord_open_filling(struct loop *loop, const struct coord_options *options,
                              struct coord **ret)
{
    return open_any(loop, options, true, ret);
}

struct err coord_open(struct loop *loop, const char *directory, struct coord **ret)
{
    const struct coord_options options = { .directory = directory };
    return coord_open_options(loop, &options, ret);
}

void coord_close(struct coord *coord)
{
    if (coord == NULL) return;
    CHECK(list_is_empty(&coord->watches) && list_is_empty(&coord->leases));
    later_cancel(&coord->swap);
    if (coord->next != NULL) coord->next->ops->close(coord->next);
    if (coord->back != NULL) coord->back->ops->close(coord->back);
    free(coord->options);
    free(coord);
}

void coord_follow(struct coord *coord, struct span where)
{
    struct coord_options_copy *options;
    if (coord->next != NULL) return;
    if (coord_options_read(where, &coord->options->options, &options).code != ERR_OK) return;
    /* What can't be begun now is tried again with the next word of a change. */
    if (coord_etcd_open(coord, &options->options, &coord->next).code != ERR_OK) coord->next = NULL;
    free(options);
}

/* ---- reading */

struct err coord_state(const struct coord *coord) { return coord->back->ops->state(coord->back); }

uint64_t coord_current_ms(const struct coord *coord)
{
    return coord->back->ops->current_ms(coord->back);
}

uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder)
{
    const struct coord_rows *rows = coord->back->ops->rows(coord->back);
    for (size_t i = coord_rows_find(rows, prefix); i < rows->count; i++) {
        if (!coord_key_under(rows->rows[i].key, prefix)) break;
        row(holder, &rows->rows[i]);
    }
    return rows->revision;
}

bool coord_get(struct coord *coord, struct span key, struct coord_row *ret)
{
    const struct coord_row *row = coord_rows_get(coord->back->ops->rows(coord->back), key);
    if (row != NULL) *ret = *row;
    return row != NULL;
}

struct err coord_refresh(struct coord *coord) { return coord->back->ops->refresh(coord->back); }

struct err coord_refresh_start(struct coord *coord, struct span prefix, coord_done *done,
                               void *holder)
{
    if (!coord_options_keep(&coord->options->options, prefix)) {
        return err_make(ERR_UNSUPPORTED, "prefix that is not kept");
    }
    if (coord->changes_count == COORD_PUTS_MAX) return err_make(ERR_BUSY, "configuration rows");
    return coord->back->ops->refresh_start(coord->back, prefix, done, holder);
}

/* ---- leases */

static void lease_tell(struct later *later)
{
    struct coord_lease *lease = LIST_ITEM(later, struct coord_lease, later);
    lease->changed(lease->holder);
}

void coord_lease_set(struct coord_lease *lease, enum coord_lease_state state)
{
    if (lease->state == state || lease->state == COORD_LEASE_LOST) return;
    lease->state = state;
    if (state == COORD_LEASE_LOST) timer_stop(&lease->timer);
    if (later_is_posted(&lease->later)) return;
    later_post(loop_later(lease->coord->loop), &lease->later, lease_tell);
}

struct err coord_lease_start(struct coord *coord, unsigned seconds, void (*changed)(void *holder),
                             void *holder, struct coord_lease **ret)
{
    if (seconds < COORD_LEASE_MIN_S || seconds > COORD_LEASE_MAX_S) {
        return err_make(ERR_SYNTAX, "time of a lease: 2 to 600 s");
    }
    if (coord->leases_count == COORD_LEASES_MAX) return err_make(ERR_BUSY, "leases");
    struct coord_lease *lease = calloc(1, sizeof(*lease));
    if (lease == NULL) return err_make(ERR_NOMEM, "lease");
    lease->coord = coord;
    lease->back = coord->back;
    lease->seconds = seconds;
    lease->changed = changed;
    lease->holder = holder;
    struct err err = coord->back->ops->lease_start(coord->back, lease);
    if (err.code != ERR_OK) {
        free(lease);
        return err;
    }
    list_add(&coord->leases, &lease->link);
    coord->leases_count++;
    *ret = lease;
    return err_ok();
}

void coord_lease_stop(struct coord_lease *lease)
{
    if (lease == NULL) return;
    if (lease->back != NULL) lease->back->ops->lease_stop(lease);
    timer_stop(&lease->timer);
    later_cancel(&lease->later);
    list_remove(&lease->link);
    lease->coord->leases_count--;
    free(lease);
}
