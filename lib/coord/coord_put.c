/* The files of a store: reading them, and changing them under the lock.
 *
 *   lock         flock: exclusive for a change
 *   data         the whole store, replaced by rename; its format is in coord_file.c
 *   lease-ID     coord_lease_file_private.h
 *
 * A change reads `data` under the lock, takes out the rows of leases that are gone, compares,
 * writes `data.new`, fsyncs it, renames it, and fsyncs the directory: a crash leaves the old
 * store or the new one. Everything is small (COORD_BYTES_MAX), so that reading it whole is
 * cheap; changes that come while one is written are written together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "coord_lease_file_private.h"
#include "coord_private.h"

enum { LOCK_TRY_MS = 2, PATH_BYTES = COORD_PATH_MAX_BYTES + 16 };

static struct err io_err(int number)
{
    return err_make_detail(number == ENOSPC || number == EDQUOT ? ERR_FULL : ERR_IO, number,
                           "configuration store");
}

/* ---- reading */

static struct err read_all(int fd, char *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_err(errno);
        if (n == 0) return err_make(ERR_CORRUPT, "configuration store");
        done += (size_t)n;
    }
    return err_ok();
}

static struct err load_open(int fd, uint64_t revision, struct span *ret, bool *same)
{
    struct stat info;
    char head[COORD_FILE_HEAD_BYTES];
    uint64_t is;
    if (fstat(fd, &info) != 0) return io_err(errno);
    if (info.st_size > COORD_BYTES_MAX) return err_make(ERR_CORRUPT, "configuration store");
    size_t size = (size_t)info.st_size;
    if (revision != 0 && size > sizeof(head)) {
        TRY(read_all(fd, head, sizeof(head)));
        *same = coord_file_revision(span_of(head, sizeof(head)), &is) && is == revision;
        if (*same) return err_ok();
    }
    char *bytes = malloc(size + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "configuration store");
    struct err err = read_all(fd, bytes, size);
    if (err.code != ERR_OK) {
        free(bytes);
        return err;
    }
    *ret = span_of(bytes, size);
    return err_ok();
}

struct err coord_data_load(const char *directory, uint64_t revision, struct span *ret, bool *same)
{
    char path[PATH_BYTES];
    *ret = span_of(NULL, 0);
    *same = false;
    snprintf(path, sizeof(path), "%s/data", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return err_ok();
    if (fd < 0) return io_err(errno);
    struct err err = load_open(fd, revision, ret, same);
    close(fd);
    return err;
}

/* ---- writing */

/* What root writes belongs to whom the directory belongs to, or the programs, which run as somebody
 * else, could not read it. */
bool coord_give_to_owner(int fd, const char *directory)
{
    struct stat info;
    if (geteuid() != 0) return true;
    return stat(directory, &info) == 0 && fchown(fd, info.st_uid, info.st_gid) == 0;
}

static struct err write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return io_err(errno);
        bytes = span_skip(bytes, (size_t)n);
    }
    return err_ok();
}

static struct err sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_err(errno);
    struct err err = fsync(fd) == 0 ? err_ok() : io_err(errno);
    close(fd);
    return err;
}

static struct err write_data(const char *directory, struct span bytes)
{
    char path[PATH_BYTES], new_path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/data", directory);
    snprintf(new_path, sizeof(new_path), "%s/data.new", directory);
    /* One that a crash left is written over: we hold the lock. */
    int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return io_err(errno);
    struct err err = write_all(fd, bytes);
    if (err.code == ERR_OK && !(coord_give_to_owner(fd, directory) && fsync(fd) == 0)) {
        err = io_err(errno);
    }
    if (close(fd) != 0 && err.code == ERR_OK) err = io_err(errno);
    if (err.code == ERR_OK && rename(new_path, path) != 0) err = io_err(errno);
    if (err.code != ERR_OK) {
        unlink(new_path);
        return err;
    }
    err = sync_directory(directory);
    return err.code == ERR_OK ? err : err_make_detail(ERR_UNKNOWN, err.detail, err.what);
}

static bool lease_gone(void *holder, const struct coord_row *row, uint64_t lease)
{
    const char *directory = holder;
    uint64_t look_ms;
    (void)row;
    return coord_lease_file_gone(directory, lease, &look_ms);
}

struct err coord_data_alter(const char *directory, coord_alter *alter, void *holder)
{
    struct coord_store store = { .moved = span_of(NULL, 0) };
    struct span bytes;
    bool same;
    char *changed = NULL, *read_bytes, *folder;
    size_t changed_len = 0;
    TRY(coord_data_load(directory, 0, &bytes, &same));
    memcpy(&read_bytes, &bytes.ptr, sizeof(read_bytes)); /* free takes no pointer to const */
    memcpy(&folder, &directory, sizeof(folder));
    struct err err = coord_file_read(bytes, &store);
    if (err.code == ERR_OK) (void)coord_store_drop(&store, lease_gone, folder);
    if (err.code == ERR_OK) err = alter(holder, &store, &changed, &changed_len);
    if (err.code == ERR_OK) err = write_data(directory, span_of(changed, changed_len));
    coord_store_free(&store);
    free(changed);
    free(read_bytes);
    return err;
}

/* A process that is stopped while it holds the lock must not stop all others for ever. */
static struct err lock_take(int fd)
{
    const struct timespec wait = { .tv_nsec = LOCK_TRY_MS * 1000000L };
    uint64_t until_ms = clock_boot_ms() + COORD_LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return io_err(errno);
        if (clock_boot_ms() >= until_ms) {
            return err_make(ERR_TIMEOUT, "lock of the configuration store");
        }
        nanosleep(&wait, NULL);
    }
    return err_ok();
}

struct err coord_data_lock(const char *directory, int *ret)
{
    char path[PATH_BYTES];
    if (strlen(directory) >= COORD_PATH_MAX_BYTES) return err_make(ERR_TOO_BIG, "path");
    snprintf(path, sizeof(path), "%s/lock", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return io_err(errno);
    struct err err = coord_give_to_owner(fd, directory) ? lock_take(fd) : io_err(errno);
    if (err.code == ERR_OK) *ret = fd;
    else close(fd);
    return err;
}

/* What coord_data_change_many() hands to change_store(). */
struct changing {
    struct coord_data_item *items;
    size_t count;
};

/* Applies one after the other; only the last state is written. With an error nothing is. */
static struct err change_store(void *holder, const struct coord_store *store, char **ret,
                               size_t *ret_len)
{
    const struct changing *changing = holder;
    struct coord_store now = *store, next;
    bool is_ours = false;
    for (size_t i = 0; i < changing->count; i++) {
        struct coord_data_item *item = &changing->items[i];
        item->err = coord_file_apply(&now, &item->change->change, item->change->leases, &next);
        if (item->err.code != ERR_OK) continue;
        if (is_ours) coord_store_free(&now);
        now = next;
        is_ours = true;
        item->revision = now.rows.revision;
    }
    if (!is_ours) return changing->items[0].err;
    struct err err = coord_file_write(&now, ret, ret_len);
    coord_store_free(&now);
    return err;
}

void coord_data_change_many(const char *directory, struct coord_data_item *items, size_t count)
{
    struct changing changing = { items, count };
    int lock;
    for (size_t i = 0; i < count; i++) {
        items[i].err = err_ok();
        items[i].revision = 0;
    }
    struct err err = coord_data_lock(directory, &lock);
    if (err.code == ERR_OK) {
        err = coord_data_alter(directory, change_store, &changing);
        close(lock); /* lets go of it */
    }
    for (size_t i = 0; i < count && err.code != ERR_OK; i++) {
        items[i].revision = 0;
        if (items[i].err.code == ERR_OK) items[i].err = err;
    }
}

struct err coord_data_change(const char *directory, const struct coord_change_copy *change,
                             uint64_t *revision)
{
    struct coord_data_item item = { .change = change };
    coord_data_change_many(directory, &item, 1);
    *revision = item.revision;
    return item.err;
}
