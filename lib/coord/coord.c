#include "coord.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "coord_private.h"
#include "crew.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "loop_poll.h"

struct coord {
    struct loop *loop;
    int inotify;
    struct loop_poll *poll;
    char *bytes; /* the file as last read */
    struct coord_rows rows;
    struct list watches, puts;
    unsigned watches_count, puts_count;
    struct err state;    /* of the last reading */
    uint64_t current_ms; /* until when it was good; counts while it is not */
    char directory[COORD_PATH_MAX_BYTES];
};

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

/* Freed in put_done(). */
struct coord_put_job {
    struct crew_job job;
    struct list link;
    struct coord *coord; /* NULL: closed meanwhile */
    struct coord_row row;
    struct err err;
    coord_done *done;
    void *holder;
    char directory[COORD_PATH_MAX_BYTES];
    char bytes[]; /* key and value */
};

/* ---- what the loop sees */

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

/* Takes what was read in place of what there was, and has those told whom it concerns. */
static void take_rows(struct coord *coord, char *bytes, const struct coord_rows *rows)
{
    for (struct list *at = coord->watches.next; at != &coord->watches; at = at->next) {
        struct coord_watch *watch = LIST_ITEM(at, struct coord_watch, link);
        struct span prefix = span_of(watch->prefix, watch->prefix_len);
        if (!coord_rows_same(&coord->rows, rows, prefix)) watch_post(watch);
    }
    coord_rows_free(&coord->rows);
    free(coord->bytes);
    coord->bytes = bytes;
    coord->rows = *rows;
}

static struct err coord_read(struct coord *coord)
{
    struct span read;
    struct coord_rows rows;
    bool same;
    char *bytes;
    TRY(coord_data_load(coord->directory, coord->rows.revision, &read, &same));
    if (same) return err_ok();
    memcpy(&bytes, &read.ptr, sizeof(bytes)); /* ours to free, though seen as const */
    struct err err = coord_file_read(read, &rows);
    if (err.code == ERR_OK && rows.revision < coord->rows.revision) {
        /* Gone, or an old one put back under us: a program does not go back in time. */
        coord_rows_free(&rows);
        err = err_make(ERR_CORRUPT, "configuration store older than what was read");
    }
    if (err.code != ERR_OK) {
        free(bytes);
        return err;
    }
    take_rows(coord, bytes, &rows);
    return err_ok();
}

struct err coord_refresh(struct coord *coord)
{
    struct err err = coord_read(coord);
    if (err.code == ERR_OK || coord->state.code == ERR_OK) {
        coord->current_ms = loop_now_ms(coord->loop);
    }
    coord->state = err;
    return err;
}

struct err coord_state(const struct coord *coord) { return coord->state; }

uint64_t coord_current_ms(const struct coord *coord)
{
    return coord->state.code == ERR_OK ? loop_now_ms(coord->loop) : coord->current_ms;
}

static void on_inotify(void *holder)
{
    struct coord *coord = holder;
    char events[4096];
    while (read(coord->inotify, events, sizeof(events)) > 0) continue;
    /* A file that can't be read leaves what was read before; coord_refresh() tells its callers. */
    (void)!coord_refresh(coord).code;
}

/* ---- opening */

static struct err open_inotify(struct coord *coord)
{
    coord->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (coord->inotify < 0 ||
        inotify_add_watch(coord->inotify, coord->directory, IN_MOVED_TO | IN_ONLYDIR) < 0) {
        return err_make_detail(ERR_IO, errno, "watch of the configuration store");
    }
    return loop_poll_open(coord->loop, coord->inotify, on_inotify, coord, &coord->poll);
}

struct err coord_open(struct loop *loop, const char *directory, struct coord **ret)
{
    if (strlen(directory) >= COORD_PATH_MAX_BYTES) return err_make(ERR_TOO_BIG, "path");
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        return err_make_detail(ERR_IO, errno, "configuration store");
    }
    struct coord *coord = calloc(1, sizeof(*coord));
    if (coord == NULL) return err_make(ERR_NOMEM, "configuration store");
    coord->loop = loop;
    list_init(&coord->watches);
    list_init(&coord->puts);
    memcpy(coord->directory, directory, strlen(directory) + 1);
    /* First the watch, then the first reading: what comes between is heard of. */
    struct err err = open_inotify(coord);
    if (err.code == ERR_OK) err = coord_refresh(coord);
    if (err.code != ERR_OK) {
        coord_close(coord);
        return err;
    }
    *ret = coord;
    return err_ok();
}

void coord_close(struct coord *coord)
{
    if (coord == NULL) return;
    CHECK(list_is_empty(&coord->watches));
    while (!list_is_empty(&coord->puts)) {
        struct coord_put_job *put = LIST_ITEM(coord->puts.next, struct coord_put_job, link);
        put->coord = NULL;
        list_remove(&put->link);
    }
    loop_poll_close(coord->poll);
    if (coord->inotify >= 0) close(coord->inotify);
    coord_rows_free(&coord->rows);
    free(coord->bytes);
    free(coord);
}

/* ---- reading */

uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder)
{
    const struct coord_rows *rows = &coord->rows;
    for (size_t i = coord_rows_find(rows, prefix); i < rows->count; i++) {
        if (!span_eq(span_head(rows->rows[i].key, prefix.len), prefix)) break;
        row(holder, &rows->rows[i]);
    }
    return rows->revision;
}

bool coord_get(struct coord *coord, struct span key, struct coord_row *ret)
{
    size_t at = coord_rows_find(&coord->rows, key);
    if (at == coord->rows.count || !span_eq(coord->rows.rows[at].key, key)) return false;
    *ret = coord->rows.rows[at];
    return true;
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

/* ---- changes on a crew */

static void put_run(struct crew_job *job)
{
    struct coord_put_job *put = LIST_ITEM(job, struct coord_put_job, job);
    put->err = coord_put(put->directory, &put->row);
}

static void put_done(struct crew_job *job)
{
    struct coord_put_job *put = LIST_ITEM(job, struct coord_put_job, job);
    if (put->coord != NULL) {
        put->coord->puts_count--;
        list_remove(&put->link);
        struct err err = coord_refresh(put->coord); /* this loop sees it before the caller hears */
        if (put->err.code == ERR_OK && err.code != ERR_OK) {
            put->err = err_make(ERR_UNKNOWN, err.what);
        }
    }
    put->done(put->holder, put->err);
    free(put);
}

static struct coord_put_job *put_new(struct coord *coord, const struct coord_row *row)
{
    struct coord_put_job *put = calloc(1, sizeof(*put) + row->key.len + row->value.len + 1);
    if (put == NULL) return NULL;
    put->job = (struct crew_job){ .run = put_run, .done = put_done, .loop = coord->loop };
    put->coord = coord;
    put->row.revision = row->revision;
    memcpy(put->directory, coord->directory, sizeof(put->directory));
    if (row->key.len > 0) memcpy(put->bytes, row->key.ptr, row->key.len);
    put->row.key = span_of(put->bytes, row->key.len);
    if (row->value.ptr != NULL) {
        memcpy(put->bytes + row->key.len, row->value.ptr, row->value.len);
        put->row.value = span_of(put->bytes + row->key.len, row->value.len);
    }
    return put;
}

struct err coord_put_start(struct coord *coord, struct crew *crew, const struct coord_row *row,
                           coord_done *done, void *holder)
{
    if (row->key.len > COORD_KEY_MAX_BYTES || row->value.len > COORD_VALUE_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "configuration row");
    }
    if (coord->puts_count == COORD_PUTS_MAX) return err_make(ERR_BUSY, "configuration rows");
    struct coord_put_job *put = put_new(coord, row);
    if (put == NULL) return err_make(ERR_NOMEM, "configuration row");
    put->done = done;
    put->holder = holder;
    struct err err = crew_run(crew, &put->job);
    if (err.code != ERR_OK) {
        free(put);
        return err;
    }
    list_add(&coord->puts, &put->link);
    coord->puts_count++;
    return err_ok();
}
