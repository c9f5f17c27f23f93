/* The files of a directory on a disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "clock.h"
#include "metrics.h"
#include "slog_file.h"

enum {
    DIRECTORY_MODE = 0700,
    FILE_MODE = 0600,
    PATH_BYTES = 4096,
};

struct files_posix {
    struct slog_files files; /* first */
    int directory;
};

static struct err errno_err(const char *what)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT: return err_make_detail(ERR_FULL, errno, what);
    case ENOENT: return err_make_detail(ERR_NOT_FOUND, errno, what);
    case EEXIST: return err_make_detail(ERR_EXISTS, errno, what);
    case ENOMEM: return err_make_detail(ERR_NOMEM, errno, what);
    default: return err_make_detail(ERR_IO, errno, what);
    }
}

static struct files_posix *posix_of(struct slog_files *files)
{
    return (struct files_posix *)(void *)files;
}

static int directory_of(struct slog_files *files) { return posix_of(files)->directory; }

static struct err posix_open(struct slog_files *files, const char *name, bool create, int *file)
{
    int how = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0);
    int fd = openat(directory_of(files), name, how, FILE_MODE);
    if (fd < 0) return errno_err("open a file of the data directory");
    *file = fd;
    return err_ok();
}

static void posix_close(struct slog_files *files, int file)
{
    (void)files;
    close(file);
}

static struct err posix_size(struct slog_files *files, int file, uint64_t *bytes)
{
    (void)files;
    struct stat stat;
    if (fstat(file, &stat) != 0) return errno_err("size of a file");
    *bytes = (uint64_t)stat.st_size;
    return err_ok();
}

static struct err posix_write(struct slog_files *files, int file, struct span bytes, uint64_t at,
                              size_t *written)
{
    (void)files;
    ssize_t done;
    do done = pwrite(file, bytes.ptr, bytes.len, (off_t)at);
    while (done < 0 && errno == EINTR);
    if (done < 0) return errno_err("write to a file");
    *written = (size_t)done;
    return err_ok();
}

static struct err posix_read(struct slog_files *files, int file, char *to, size_t size, uint64_t at,
                             size_t *got)
{
    (void)files;
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(file, to + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_err("read a file");
        if (n == 0) break;
        done += (size_t)n;
    }
    *got = done;
    return err_ok();
}

static struct err posix_sync(struct slog_files *files, int file)
{
    (void)files;
    uint64_t from_us = clock_measure_us();
    if (fdatasync(file) != 0) return errno_err("fdatasync");
    metric_observe_us(METRIC_SYNC_TIME, clock_measure_us() - from_us);
    return err_ok();
}

static struct err posix_allocate(struct slog_files *files, int file, uint64_t bytes)
{
    (void)files;
    int failed;
    do failed = posix_fallocate(file, 0, (off_t)bytes);
    while (failed == EINTR);
    errno = failed;
    if (failed != 0) return errno_err("take disk space");
    return err_ok();
}

static struct err posix_truncate(struct slog_files *files, int file, uint64_t bytes)
{
    (void)files;
    return ftruncate(file, (off_t)bytes) == 0 ? err_ok() : errno_err("cut a file");
}

static void posix_forget(struct slog_files *files, int file)
{
    (void)files;
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* advice: nothing hangs on its success */
}

static struct err posix_rename(struct slog_files *files, const char *from, const char *to)
{
    int directory = directory_of(files);
    return renameat(directory, from, directory, to) == 0 ? err_ok() : errno_err("rename a file");
}

static struct err posix_unlink(struct slog_files *files, const char *name)
{
    return unlinkat(directory_of(files), name, 0) == 0 ? err_ok() : errno_err("remove a file");
}

static struct err posix_sync_directory(struct slog_files *files)
{
    return fsync(directory_of(files)) == 0 ? err_ok() : errno_err("fsync a directory");
}

static struct err posix_list(struct slog_files *files,
                             struct err (*each)(void *holder, const char *name), void *holder)
{
    int fd = openat(directory_of(files), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        struct err err = errno_err("list a directory");
        if (fd >= 0) close(fd);
        return err;
    }
    struct err err = err_ok();
    struct dirent *entry = NULL;
    do {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL && errno != 0) err = errno_err("list a directory");
        if (entry == NULL || strlen(entry->d_name) >= SLOG_NAME_MAX_BYTES) continue;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        err = each(holder, entry->d_name);
    } while (entry != NULL && err.code == ERR_OK);
    closedir(dir);
    return err;
}

static struct err posix_free_bytes(struct slog_files *files, uint64_t *bytes)
{
    struct statvfs stat;
    if (fstatvfs(directory_of(files), &stat) != 0) return errno_err("free space");
    *bytes = (uint64_t)stat.f_bavail * stat.f_frsize;
    return err_ok();
}

static const struct slog_files_calls posix_calls = {
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .write = posix_write,
    .read = posix_read,
    .sync = posix_sync,
    .allocate = posix_allocate,
    .truncate = posix_truncate,
    .forget = posix_forget,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .sync_directory = posix_sync_directory,
    .list = posix_list,
    .free_bytes = posix_free_bytes,
};

/* The directory that `path` lies in is synced, so that the new name in it lasts. */
static struct err parent_sync(const char *path)
{
    char parent[PATH_BYTES];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    while (len > 0 && path[len - 1] != '/') len--;
    if (len >= sizeof(parent)) return err_make(ERR_TOO_BIG, "path of a directory");
    memcpy(parent, path, len);
    parent[len] = '\0';
    int fd = open(len == 0 ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno_err("open a directory");
    struct err err = fsync(fd) == 0 ? err_ok() : errno_err("fsync a directory");
    close(fd);
    return err;
}

struct err slog_files_open(const char *path, struct slog_files **ret)
{
    if (mkdir(path, DIRECTORY_MODE) == 0) TRY(parent_sync(path));
    else if (errno != EEXIST) return errno_err("make a directory");
    struct files_posix *files = malloc(sizeof(*files));
    if (files == NULL) return err_make(ERR_NOMEM, "directory");
    files->files.calls = &posix_calls;
    files->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->directory < 0) {
        struct err err = errno_err("open a directory");
        free(files);
        return err;
    }
    *ret = &files->files;
    return err_ok();
}

void slog_files_close(struct slog_files *files)
{
    if (files == NULL) return;
    close(directory_of(files));
    free(files);
}
