/* Changes: what is checked before a back end has them, and the short ways to one row. */
#include <stdlib.h>

#include "clock.h"
#include "coord_private.h"
#include "loop.h"

enum { PUT_TURN_MS = 50 };

enum coord_lease_state coord_lease_state(const struct coord_lease *lease)
{
    if (lease->state == COORD_LEASE_HELD && clock_boot_ms() >= lease->until_ms) {
        return COORD_LEASE_LOST;
    }
    return lease->state;
}

/* ---- checks and the copy */

static struct err check_item(const struct coord_change *change, size_t at)
{
    const struct coord_item *item = &change->items[at];
    if (item->key.len == 0) return err_make(ERR_SYNTAX, "configuration row without a key");
    if (item->key.len > COORD_KEY_MAX_BYTES || item->value.len > COORD_VALUE_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "configuration row");
    }
    if (item->action == COORD_COMPARE && item->revision == COORD_ANY) {
        return err_make(ERR_SYNTAX, "comparison with any revision");
    }
    for (size_t i = 0; i < at; i++) {
        if (!span_eq(change->items[i].key, item->key)) continue;
        return err_make(ERR_SYNTAX, "key that stands twice in a change");
    }
    if (item->lease == NULL) return err_ok();
    if (item->lease->back == NULL || coord_lease_state(item->lease) != COORD_LEASE_HELD) {
        return err_make(ERR_NOT_FOUND, "lease");
    }
    return err_ok();
}

static struct err check_change(const struct coord_change *change, size_t *bytes)
{
    bool changes = false;
    *bytes = 0;
    if (change->count > COORD_CHANGE_ITEMS_MAX) {
        return err_make(ERR_TOO_BIG, "change of more than 128 configuration rows");
    }
    for (size_t i = 0; i < change->count; i++) {
        TRY(check_item(change, i));
        *bytes += change->items[i].key.len + change->items[i].value.len;
        changes = changes || change->items[i].action != COORD_COMPARE;
    }
    if (*bytes > COORD_CHANGE_BYTES_MAX) {
        return err_make(ERR_TOO_BIG, "change of more than 1 MiB of configuration rows");
    }
    return changes ? err_ok() : err_make(ERR_SYNTAX, "change that changes nothing");
}

static struct span keep(char **to, struct span bytes)
{
    struct span kept = span_of(*to, bytes.len);
    if (bytes.len > 0) memcpy(*to, bytes.ptr, bytes.len);
    *to += bytes.len;
    return kept;
}

struct err coord_change_copy(const struct coord_change *change, struct coord_change_copy **ret)
{
    size_t bytes;
    TRY(check_change(change, &bytes));
    size_t fixed = change->count * (sizeof(struct coord_item) + sizeof(uint64_t));
    struct coord_change_copy *copy = calloc(1, sizeof(*copy) + fixed + bytes + 1);
    if (copy == NULL) return err_make(ERR_NOMEM, "configuration row");
    struct coord_item *items = (struct coord_item *)(void *)copy->bytes;
    copy->leases = (uint64_t *)(void *)(items + change->count);
    char *to = (char *)(copy->leases + change->count);
    for (size_t i = 0; i < change->count; i++) {
        items[i] = change->items[i];
        if (items[i].lease != NULL) copy->leases[i] = items[i].lease->id;
        items[i].lease = NULL;
        items[i].key = keep(&to, items[i].key);
        items[i].value = keep(&to, items[i].value);
    }
    copy->change = *change;
    copy->change.items = items;
    if (copy->change.wait_ms == 0) copy->change.wait_ms = COORD_WAIT_MS;
    *ret = copy;
    return err_ok();
}

/* ---- changes */

static struct err check_reserved(const struct coord_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        if (!span_eq(change->items[i].key, SPAN(COORD_MOVING_KEY))) continue;
        return err_make(ERR_SYNTAX, "configuration row \"moving\", which is not for use");
    }
    return err_ok();
}

struct err coord_change_start(struct coord *coord, struct crew *crew,
                              const struct coord_change *change, coord_changed *changed,
                              void *holder)
{
    struct coord_change_copy *copy;
    if (coord->changes_count == COORD_PUTS_MAX) return err_make(ERR_BUSY, "configuration rows");
    for (size_t i = 0; i < change->count && i < COORD_CHANGE_ITEMS_MAX; i++) {
        const struct coord_lease *lease = change->items[i].lease;
        if (lease != NULL && lease->back != coord->back) return err_make(ERR_NOT_FOUND, "lease");
    }
    if (!coord->filling) TRY(check_reserved(change));
    TRY(coord_change_copy(change, &copy));
    struct err err = coord->back->ops->change_start(coord->back, crew, copy, changed, holder);
    if (err.code != ERR_OK) free(copy);
    return err;
}

static struct coord_item item_of(const struct coord_row *row)
{
    return (struct coord_item){ .key = row->key, .value = row->value, .revision = row->revision,
                                .action = row->value.ptr == NULL ? COORD_DELETE : COORD_PUT };
}

/* Freed in put_changed(). */
struct put {
    coord_done *done;
    void *holder;
};

static void put_changed(void *holder, struct err err, uint64_t revision)
{
    struct put *put = holder;
    (void)revision;
    put->done(put->holder, err);
    free(put);
}

struct err coord_put_start(struct coord *coord, struct crew *crew, const struct coord_row *row,
                           coord_done *done, void *holder)
{
    const struct coord_item item = item_of(row);
    const struct coord_change change = { .items = &item, .count = 1 };
    struct put *put = malloc(sizeof(*put));
    if (put == NULL) return err_make(ERR_NOMEM, "configuration row");
    *put = (struct put){ done, holder };
    struct err err = coord_change_start(coord, crew, &change, put_changed, put);
    if (err.code != ERR_OK) free(put);
    return err;
}

struct err coord_put(const char *directory, const struct coord_row *row)
{
    const struct coord_item item = item_of(row);
    const struct coord_change change = { .items = &item, .count = 1 };
    struct coord_change_copy *copy;
    uint64_t revision;
    TRY(check_reserved(&change));
    TRY(coord_change_copy(&change, &copy));
    struct err err = coord_data_change(directory, copy, &revision);
    free(copy);
    return err;
}

/* ---- in any store, waiting */

struct waiting {
    bool done;
    struct err err;
};

static void waiting_done(void *holder, struct err err)
{
    struct waiting *waiting = holder;
    waiting->done = true;
    waiting->err = err;
}

static struct err put_and_wait(struct loop *loop, const struct coord_options *options,
                               const struct coord_row *row)
{
    struct coord *coord;
    struct waiting waiting = { .done = false };
    TRY(coord_open_options(loop, options, &coord));
    struct err err = coord_put_start(coord, NULL, row, waiting_done, &waiting);
    while (err.code == ERR_OK && !waiting.done) loop_step(loop, PUT_TURN_MS);
    coord_close(coord);
    return err.code == ERR_OK ? waiting.err : err;
}

struct err coord_put_options(const struct coord_options *options, const struct coord_row *row)
{
    struct loop *loop;
    bool is_file = options->directory != NULL && options->directory[0] != '\0';
    struct err err = is_file ? coord_put(options->directory, row) : err_make(ERR_MOVED, "etcd");
    if (err.code != ERR_MOVED) return err;
    TRY(loop_new(&loop));
    err = put_and_wait(loop, options, row);
    loop_free(loop);
    return err;
}
