/* The back end `file` on a loop: it hears of the rename by which a change ends, and of a lease that
 * was taken out, by inotify, and then reads again. Changes are made on a crew. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "coord_lease_file_private.h"
#include "coord_private.h"
#include "crew.h"
#include "id.h"
#include "loop.h"
#include "loop_poll.h"

enum { LEASE_TRY_MS = 10 };

struct file_back {
    struct coord_back back;
    int inotify;
    struct loop_poll *poll;
    char *bytes; /* the file as last read */
    struct coord_store store; /* of it, what is kept */
    struct timer leases_timer; /* when the first lease of a row may be over */
    uint64_t look_ms;
    struct err state;
    uint64_t current_ms;
    struct list jobs;
    struct file_group *group;  /* that is being written; NULL: none */
    struct file_group *waiting; /* that is filled meanwhile */
    struct crew *crew;         /* of the last change */
    const char *directory; /* in the options */
};

/* A change or a refresh under way. Freed when it has been told. */
struct file_job {
    struct later later;
    struct list link;
    struct file_back *file; /* NULL: closed meanwhile */
    struct coord_change_copy *change;
    uint64_t revision;
    struct err err;
    coord_changed *changed;
    coord_done *done;
    void *holder;
};

/* Changes that are written together. Freed when they have been told. */
struct file_group {
    struct crew_job crew;
    struct crew *next_crew;  /* for `next`, when the store is closed */
    struct file_group *next; /* waits for this one, when the store is closed */
    struct file_back *file;  /* NULL: closed meanwhile */
    struct loop *loop;
    size_t count;
    struct file_job *jobs[COORD_GROUP_MAX];
    struct coord_data_item items[COORD_GROUP_MAX];
    char directory[COORD_PATH_MAX_BYTES];
};

static struct file_back *file_of(struct coord_back *back)
{
    return LIST_ITEM(back, struct file_back, back);
}

/* ---- what the loop sees */

static void look_at_leases(void *holder);

/* Of coord_store_drop(): tells those who watched a row that goes. */
static bool drop_row(void *holder, const struct coord_row *row, uint64_t lease)
{
    struct file_back *file = holder;
    uint64_t look_ms;
    if (!coord_lease_file_gone(file->directory, lease, &look_ms)) {
        if (look_ms < file->look_ms) file->look_ms = look_ms;
        return false;
    }
    coord_tell(file->back.coord, row->key);
    return true;
}

/* Takes out what is gone, and sets out to look again. */
static void drop_leases(struct file_back *file, struct coord_store *store)
{
    uint64_t now_ms = clock_boot_ms();
    file->look_ms = UINT64_MAX;
    coord_store_drop(store, drop_row, file);
    timer_stop(&file->leases_timer);
    if (file->look_ms == UINT64_MAX) return;
    uint64_t wait_ms = file->look_ms > now_ms ? file->look_ms - now_ms : TIMER_WAIT_MIN_MS;
    timer_start(file->back.coord->loop, &file->leases_timer, wait_ms, look_at_leases, file);
}

static void look_at_leases(void *holder)
{
    struct file_back *file = holder;
    drop_leases(file, &file->store);
}

static void keep_prefixes(struct file_back *file, struct coord_store *store)
{
    const struct coord_options *options = &file->back.coord->options->options;
    struct coord_rows *rows = &store->rows;
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (!coord_options_keep(options, rows->rows[i].key)) continue;
        rows->rows[kept] = rows->rows[i];
        store->leases[kept++] = store->leases[i];
    }
    rows->count = kept;
}

static struct err read_file(struct file_back *file)
{
    struct span read;
    struct coord_store store;
    bool same;
    char *bytes;
    TRY(coord_data_load(file->directory, file->store.rows.revision, &read, &same));
    if (same) return err_ok();
    memcpy(&bytes, &read.ptr, sizeof(bytes)); /* ours to free, though seen as const */
    struct err err = coord_file_read(read, &store);
    if (err.code == ERR_OK && store.rows.revision < file->store.rows.revision) {
        /* Gone, or an old one put back under us: a program does not go back in time. */
        coord_store_free(&store);
        err = err_make(ERR_CORRUPT, "configuration store older than what was read");
    }
    if (err.code != ERR_OK) {
        free(bytes);
        return err;
    }
    keep_prefixes(file, &store);
    drop_leases(file, &store);
    coord_tell_differences(file->back.coord, &file->store.rows, &store.rows);
    coord_store_free(&file->store);
    free(file->bytes);
    file->bytes = bytes;
    file->store = store;
    return err_ok();
}

static struct err file_state(struct coord_back *back)
{
    const struct file_back *file = file_of(back);
    if (file->store.moved.len == 0) return file->state;
    return err_make(ERR_MOVED, "configuration store was moved to etcd");
}

static uint64_t file_current_ms(struct coord_back *back)
{
    struct file_back *file = file_of(back);
    if (file_state(back).code == ERR_OK) file->current_ms = loop_now_ms(back->coord->loop);
    return file->current_ms;
}

static const struct coord_rows *file_rows(struct coord_back *back)
{
    return &file_of(back)->store.rows;
}

static struct err file_refresh(struct coord_back *back)
{
    struct file_back *file = file_of(back);
    (void)file_current_ms(back); /* as it was until now */
    file->state = read_file(file);
    if (file->state.code == ERR_OK && file->store.moved.len > 0) {
        coord_follow(back->coord, file->store.moved);
    }
    return file->state;
}

static void on_inotify(void *holder)
{
    struct file_back *file = holder;
    char events[4096];
    while (read(file->inotify, events, sizeof(events)) > 0) continue;
    /* A file that can't be read leaves what was read before; coord_state() says so. */
    if (file_refresh(&file->back).code == ERR_OK) look_at_leases(file);
}

/* ---- changes and refreshes */

static void job_end(struct file_job *job)
{
    if (job->file != NULL) {
        job->file->back.coord->changes_count--;
        list_remove(&job->link);
    }
    if (job->changed != NULL) job->changed(job->holder, job->err, job->revision);
    else job->done(job->holder, job->err);
    free(job->change);
    free(job);
}

static void group_run(struct crew_job *crew)
{
    struct file_group *group = LIST_ITEM(crew, struct file_group, crew);
    coord_data_change_many(group->directory, group->items, group->count);
}

static void group_start(struct file_group *group, struct crew *crew);

/* This loop sees it before the callers hear. */
static void group_done(struct crew_job *crew)
{
    struct file_group *group = LIST_ITEM(crew, struct file_group, crew), *next = group->next;
    struct file_back *file = group->file;
    struct crew *next_crew = group->next_crew;
    struct err err = file == NULL ? err_ok() : file_refresh(&file->back);
    if (file != NULL) {
        next = file->waiting;
        next_crew = file->crew;
        file->group = NULL;
        file->waiting = NULL;
    }
    if (next != NULL) group_start(next, next_crew);
    for (size_t i = 0; i < group->count; i++) {
        struct file_job *job = group->jobs[i];
        job->err = group->items[i].err;
        job->revision = group->items[i].revision;
        if (job->err.code == ERR_OK && err.code != ERR_OK) {
            job->err = err_make(ERR_UNKNOWN, err.what);
            job->revision = 0;
        }
        job_end(job);
    }
    free(group);
}

static void group_fail(struct later *later)
{
    job_end(LIST_ITEM(later, struct file_job, later));
}

/* When the crew has no room, that is what its changes are told. */
static void group_start(struct file_group *group, struct crew *crew)
{
    group->crew = (struct crew_job){ .run = group_run, .done = group_done, .loop = group->loop };
    struct err err = crew_run(crew, &group->crew);
    if (err.code == ERR_OK) {
        if (group->file != NULL) group->file->group = group;
        return;
    }
    for (size_t i = 0; i < group->count; i++) {
        group->jobs[i]->err = err;
        later_post(loop_later(group->loop), &group->jobs[i]->later, group_fail);
    }
    free(group);
}

/* Room in a group for one more change; BUSY: it is full. */
static struct err group_room(struct file_back *file, struct file_group **ret)
{
    if (file->waiting == NULL) {
        struct file_group *group = calloc(1, sizeof(*group));
        if (group == NULL) return err_make(ERR_NOMEM, "configuration row");
        group->file = file;
        group->loop = file->back.coord->loop;
        memcpy(group->directory, file->directory, strlen(file->directory) + 1);
        file->waiting = group;
    }
    *ret = file->waiting;
    return file->waiting->count < COORD_GROUP_MAX ? err_ok()
                                                  : err_make(ERR_BUSY, "configuration rows");
}

static struct file_job *job_new(struct file_back *file)
{
    struct file_job *job = calloc(1, sizeof(*job));
    if (job == NULL) return NULL;
    job->file = file;
    list_add(&file->jobs, &job->link);
    file->back.coord->changes_count++;
    return job;
}

static struct err file_change_start(struct coord_back *back, struct crew *crew,
                                    struct coord_change_copy *change, coord_changed *changed,
                                    void *holder)
{
    struct file_back *file = file_of(back);
    struct file_group *group = NULL;
    if (crew == NULL) return err_make(ERR_UNSUPPORTED, "change of a file store without a crew");
    TRY(group_room(file, &group));
    struct file_job *job = job_new(file);
    if (job == NULL) return err_make(ERR_NOMEM, "configuration row");
    job->changed = changed;
    job->holder = holder;
    job->change = change;
    group->items[group->count].change = change;
    group->jobs[group->count++] = job;
    file->crew = crew;
    if (file->group != NULL) return err_ok();
    file->waiting = NULL;
    group_start(group, crew);
    return err_ok();
}

static void refresh_done(struct later *later)
{
    job_end(LIST_ITEM(later, struct file_job, later));
}

static struct err file_refresh_start(struct coord_back *back, struct span prefix, coord_done *done,
                                     void *holder)
{
    struct file_job *job = job_new(file_of(back));
    (void)prefix; /* all of it, for the same money */
    if (job == NULL) return err_make(ERR_NOMEM, "configuration rows");
    job->done = done;
    job->holder = holder;
    job->err = file_refresh(back);
    later_post(loop_later(back->coord->loop), &job->later, refresh_done);
    return err_ok();
}

/* ---- leases */

static void lease_close(struct coord_lease *lease)
{
    int *fd = lease->held;
    if (fd == NULL) return;
    close(*fd);
    free(fd);
    lease->held = NULL;
}

static void lease_renew(void *holder)
{
    struct coord_lease *lease = holder;
    struct loop *loop = lease->coord->loop;
    const int *fd = lease->held;
    uint64_t now_ms = clock_boot_ms(), until_ms = now_ms + lease->seconds * 1000u;
    struct err err = coord_lease_state(lease) == COORD_LEASE_HELD
                         ? coord_lease_file_renew(*fd, until_ms)
                         : err_make(ERR_NOT_FOUND, "lease");
    if (err.code == ERR_NOT_FOUND) {
        lease_close(lease);
        coord_lease_set(lease, COORD_LEASE_LOST);
        return;
    }
    if (err.code == ERR_OK) lease->until_ms = until_ms;
    timer_start(loop, &lease->timer,
                err.code == ERR_OK ? lease->seconds * 1000u / COORD_LEASE_RENEWALS
                                   : (uint64_t)LEASE_TRY_MS,
                lease_renew, lease);
}

static struct err file_lease_start(struct coord_back *back, struct coord_lease *lease)
{
    struct file_back *file = file_of(back);
    int *fd = malloc(sizeof(*fd));
    if (fd == NULL) return err_make(ERR_NOMEM, "lease");
    do id_random(&lease->id, sizeof(lease->id));
    while (lease->id == 0);
    lease->until_ms = clock_boot_ms() + lease->seconds * 1000u;
    struct err err = coord_lease_file_make(file->directory, lease->id, lease->until_ms, fd);
    if (err.code != ERR_OK) {
        free(fd);
        return err;
    }
    lease->held = fd;
    coord_lease_set(lease, COORD_LEASE_HELD);
    timer_start(back->coord->loop, &lease->timer, lease->seconds * 1000u / COORD_LEASE_RENEWALS,
                lease_renew, lease);
    return err_ok();
}

static void file_lease_stop(struct coord_lease *lease)
{
    if (lease->held == NULL) return;
    coord_lease_file_remove(file_of(lease->back)->directory, lease->id);
    lease_close(lease);
}

/* ---- opening and closing */

/* Groups go on without the store. */
static void groups_close(struct file_back *file)
{
    struct file_group *group = file->group;
    if (group == NULL) {
        free(file->waiting); /* an empty one */
        return;
    }
    group->file = NULL;
    group->next = file->waiting;
    group->next_crew = file->crew;
    if (group->next != NULL) group->next->file = NULL;
}

static void file_close(struct coord_back *back)
{
    struct file_back *file = file_of(back);
    groups_close(file);
    while (!list_is_empty(&file->jobs)) {
        struct file_job *job = LIST_ITEM(file->jobs.next, struct file_job, link);
        job->file = NULL;
        list_remove(&job->link);
        back->coord->changes_count--;
    }
    timer_stop(&file->leases_timer);
    loop_poll_close(file->poll);
    if (file->inotify >= 0) close(file->inotify);
    coord_store_free(&file->store);
    free(file->bytes);
    free(file);
}

static const struct coord_ops file_ops = {
    .close = file_close,
    .state = file_state,
    .current_ms = file_current_ms,
    .rows = file_rows,
    .refresh = file_refresh,
    .refresh_start = file_refresh_start,
    .change_start = file_change_start,
    .lease_start = file_lease_start,
    .lease_stop = file_lease_stop,
};

static struct err open_inotify(struct file_back *file)
{
    const uint32_t events = IN_MOVED_TO | IN_DELETE | IN_ONLYDIR;
    file->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (file->inotify < 0 || inotify_add_watch(file->inotify, file->directory, events) < 0) {
        return err_make_detail(ERR_IO, errno, "watch of the configuration store");
    }
    return loop_poll_open(file->back.coord->loop, file->inotify, on_inotify, file, &file->poll);
}

struct err coord_file_open(struct coord *coord, struct coord_back **ret)
{
    const char *directory = coord->options->options.directory;
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        return err_make_detail(ERR_IO, errno, "configuration store");
    }
    struct file_back *file = calloc(1, sizeof(*file));
    if (file == NULL) return err_make(ERR_NOMEM, "configuration store");
    file->back = (struct coord_back){ .ops = &file_ops, .coord = coord };
    file->directory = directory;
    list_init(&file->jobs);
    *ret = &file->back;
    /* First the watch, then the first reading: what comes between is heard of. */
    TRY(open_inotify(file)); /* coord_close() closes what is there */
    return file_refresh(&file->back);
}
