#include "coord.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coord_file.h"
#include "crew.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "loop_poll.h"

enum { PATH_BYTES = 1024 };

struct coord {
    struct loop *loop;
    char directory[PATH_BYTES];
    int inotify;
    struct loop_poll *poll;
    char *bytes; /* the file as last read */
    struct coord_rows rows;
    struct list watches;
};

struct coord_watch {
    struct list link;
    struct later later;
    struct coord *coord;
    void (*changed)(void *holder);
    void *holder;
};

/* ---- files */

static struct err read_file(const char *directory, char **ret, size_t *ret_len)
{
    char path[PATH_BYTES + 16];
    struct stat info;
    snprintf(path, sizeof(path), "%s/data", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *ret = NULL;
    *ret_len = 0;
    if (fd < 0 && errno == ENOENT) return err_ok();
    if (fd < 0) return err_make_detail(ERR_IO, errno, "configuration store");
    struct err err = err_ok();
    if (fstat(fd, &info) != 0 || info.st_size > COORD_BYTES_MAX) {
        err = err_make(ERR_CORRUPT, "configuration store");
    } else {
        size_t size = (size_t)info.st_size, done = 0;
        char *bytes = malloc(size + 1);
        while (bytes != NULL && done < size) {
            ssize_t n = read(fd, bytes + done, size - done);
            if (n <= 0) break;
            done += (size_t)n;
        }
        if (bytes == NULL || done < size) {
            free(bytes);
            err = err_make_detail(ERR_IO, errno, "configuration store");
        } else {
            *ret = bytes;
            *ret_len = size;
        }
    }
    close(fd);
    return err;
}

static struct err write_file(const char *directory, struct span bytes)
{
    char path[PATH_BYTES + 16], new_path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/data", directory);
    snprintf(new_path, sizeof(new_path), "%s/data.new", directory);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "configuration store");
    size_t done = 0;
    bool ok = true;
    while (ok && done < bytes.len) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        ok = n > 0;
        done += ok ? (size_t)n : 0;
    }
    ok = ok && fsync(fd) == 0;
    int number = errno;
    close(fd);
    if (!ok || rename(new_path, path) != 0) {
        unlink(new_path);
        return err_make_detail(number == ENOSPC ? ERR_FULL : ERR_IO, number,
                               "configuration store");
    }
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = folder >= 0 && fsync(folder) == 0;
    number = errno;
    if (folder >= 0) close(folder);
    return ok ? err_ok() : err_make_detail(ERR_IO, number, "configuration store");
}

struct err coord_put(const char *directory, const struct coord_row *row)
{
    char path[PATH_BYTES + 16], *bytes = NULL, *changed = NULL;
    size_t len = 0, changed_len = 0;
    struct coord_rows rows = { 0 };
    snprintf(path, sizeof(path), "%s/lock", directory);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock < 0) return err_make_detail(ERR_IO, errno, "configuration store");
    while (flock(lock, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        close(lock);
        return err_make_detail(ERR_IO, errno, "lock of the configuration store");
    }
    struct err err = read_file(directory, &bytes, &len);
    if (err.code == ERR_OK) err = coord_file_read(span_of(bytes, len), &rows);
    if (err.code == ERR_OK) err = coord_file_change(&rows, row, &changed, &changed_len);
    if (err.code == ERR_OK) err = write_file(directory, span_of(changed, changed_len));
    close(lock);
    coord_rows_free(&rows);
    free(changed);
    free(bytes);
    return err;
}

/* ---- what a loop sees */

struct err coord_refresh(struct coord *coord)
{
    char *bytes;
    size_t len;
    struct coord_rows rows;
    TRY(read_file(coord->directory, &bytes, &len));
    struct err err = coord_file_read(span_of(bytes, len), &rows);
    if (err.code != ERR_OK) {
        free(bytes);
        return err;
    }
    coord_rows_free(&coord->rows);
    free(coord->bytes);
    coord->bytes = bytes;
    coord->rows = rows;
    return err_ok();
}

static void watch_tell(struct later *later)
{
    struct coord_watch *watch = LIST_ITEM(later, struct coord_watch, later);
    watch->changed(watch->holder);
}

static void on_inotify(void *holder)
{
    struct coord *coord = holder;
    char events[4096];
    while (read(coord->inotify, events, sizeof(events)) > 0) {
    }
    uint64_t before = coord->rows.revision;
    if (coord_refresh(coord).code != ERR_OK || coord->rows.revision == before) return;
    for (struct list *at = coord->watches.next; at != &coord->watches; at = at->next) {
        struct coord_watch *watch = LIST_ITEM(at, struct coord_watch, link);
        if (!later_is_posted(&watch->later)) {
            later_post(loop_later(coord->loop), &watch->later, watch_tell);
        }
    }
}

struct err coord_open(struct loop *loop, const char *directory, struct coord **ret)
{
    if (strlen(directory) >= PATH_BYTES) return err_make(ERR_TOO_BIG, "configuration store");
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        return err_make_detail(ERR_IO, errno, "configuration store");
    }
    struct coord *coord = calloc(1, sizeof(*coord));
    if (coord == NULL) return err_make(ERR_NOMEM, "configuration store");
    coord->loop = loop;
    list_init(&coord->watches);
    snprintf(coord->directory, sizeof(coord->directory), "%s", directory);
    coord->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct err err = err_ok();
    if (coord->inotify < 0 || inotify_add_watch(coord->inotify, directory, IN_MOVED_TO) < 0) {
        err = err_make_detail(ERR_IO, errno, "watch of the configuration store");
    }
    if (err.code == ERR_OK) err = coord_refresh(coord);
    if (err.code == ERR_OK) err = loop_poll_open(loop, coord->inotify, on_inotify, coord, &coord->poll);
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
    loop_poll_close(coord->poll);
    if (coord->inotify >= 0) close(coord->inotify);
    coord_rows_free(&coord->rows);
    free(coord->bytes);
    free(coord);
}

uint64_t coord_list(struct coord *coord, struct span prefix,
                    void (*row)(void *holder, const struct coord_row *row), void *holder)
{
    for (size_t i = coord_rows_find(&coord->rows, prefix); i < coord->rows.count; i++) {
        if (!span_eq(span_head(coord->rows.rows[i].key, prefix.len), prefix)) break;
        row(holder, &coord->rows.rows[i]);
    }
    return coord->rows.revision;
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
    (void)prefix; /* a change of anything is rare enough to look */
    struct coord_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) return err_make(ERR_NOMEM, "watch");
    watch->coord = coord;
    watch->changed = changed;
    watch->holder = holder;
    list_add(&coord->watches, &watch->link);
    later_post(loop_later(coord->loop), &watch->later, watch_tell);
    *ret = watch;
    return err_ok();
}

void coord_watch_stop(struct coord_watch *watch)
{
    if (watch == NULL) return;
    later_cancel(&watch->later);
    list_remove(&watch->link);
    free(watch);
}

/* ---- changes on a crew */

struct coord_job {
    struct crew_job job;
    struct coord *coord;
    struct coord_row row;
    struct err err;
    coord_done *done;
    void *holder;
    char bytes[]; /* directory's copy is the coord's; key and value */
};

static void put_run(struct crew_job *job)
{
    struct coord_job *put = LIST_ITEM(job, struct coord_job, job);
    put->err = coord_put(put->coord->directory, &put->row);
}

static void put_done(struct crew_job *job)
{
    struct coord_job *put = LIST_ITEM(job, struct coord_job, job);
    on_inotify(put->coord); /* this loop sees it before the caller hears */
    put->done(put->holder, put->err);
    free(put);
}

struct err coord_put_start(struct coord *coord, struct crew *crew, const struct coord_row *row,
                           coord_done *done, void *holder)
{
    struct coord_job *put = calloc(1, sizeof(*put) + row->key.len + row->value.len + 1);
    if (put == NULL) return err_make(ERR_NOMEM, "configuration row");
    put->job = (struct crew_job){ .run = put_run, .done = put_done, .loop = coord->loop };
    put->coord = coord;
    put->done = done;
    put->holder = holder;
    put->row.revision = row->revision;
    memcpy(put->bytes, row->key.ptr, row->key.len);
    put->row.key = span_of(put->bytes, row->key.len);
    if (row->value.ptr != NULL) {
        memcpy(put->bytes + row->key.len, row->value.ptr, row->value.len);
        put->row.value = span_of(put->bytes + row->key.len, row->value.len);
    }
    struct err err = crew_run(crew, &put->job);
    if (err.code != ERR_OK) free(put);
    return err;
}
