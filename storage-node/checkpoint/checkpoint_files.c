#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint_files_private.h"

enum { PATH_BYTES = 1024 + CHECKPOINT_NAME_MAX_BYTES + 2, FIRST_FILES = 64 };

static struct err io(const char *what)
{
    return err_make_detail(errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO, errno, what);
}

/* ---- listing */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_file *)a)->name,
                  ((const struct checkpoint_file *)b)->name);
}

static struct err take_entry(int directory, const char *name, struct checkpoint_file *ret)
{
    struct stat found;
    struct span text = span_of(name, strlen(name));
    if (!checkpoint_name_fits(text)) return err_make(ERR_CORRUPT, "file in a checkpoint");
    if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) != 0) return io("checkpoint's file");
    if (!S_ISREG(found.st_mode)) return err_make(ERR_CORRUPT, "file in a checkpoint");
    *ret = (struct checkpoint_file){ .bytes = (uint64_t)found.st_size,
                                     .name_len = (uint8_t)text.len };
    memcpy(ret->name, name, text.len);
    return err_ok();
}

static struct err list(DIR *directory, struct checkpoint_file **files, uint32_t *count)
{
    uint32_t size = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) return errno == 0 ? err_ok() : io("checkpoint");
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (*count == CHECKPOINT_FILES_MAX) return err_make(ERR_TOO_BIG, "files of a checkpoint");
        if (*count == size) {
            size = size == 0 ? FIRST_FILES : size * 2;
            struct checkpoint_file *grown = realloc(*files, size * sizeof(*grown));
            if (grown == NULL) return err_make(ERR_NOMEM, "files of a checkpoint");
            *files = grown;
        }
        TRY(take_entry(dirfd(directory), entry->d_name, &(*files)[*count]));
        ++*count;
    }
}

struct err checkpoint_files_list(const char *path, struct checkpoint_file **ret, uint32_t *count)
{
    struct checkpoint_file *files = NULL;
    uint32_t listed = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) return io("checkpoint");
    struct err err = list(directory, &files, &listed);
    closedir(directory);
    if (err.code == ERR_OK && listed == 0) err = err_make(ERR_CORRUPT, "checkpoint is empty");
    if (err.code != ERR_OK) {
        free(files);
        return err;
    }
    qsort(files, listed, sizeof(*files), by_name);
    *ret = files;
    *count = listed;
    return err_ok();
}

/* ---- one at a time */

static struct err path_of(const char *path, const struct checkpoint_file *file,
                          char ret[PATH_BYTES])
{
    int len = snprintf(ret, PATH_BYTES, "%s/%s", path, file->name);
    if (len < 0 || len >= PATH_BYTES) return err_make(ERR_TOO_BIG, "path of a checkpoint");
    return err_ok();
}

struct err checkpoint_files_close(struct checkpoint_open *open)
{
    int fd = open->fd;
    if (fd < 0) return err_ok();
    struct err err = open->writes && fsync(fd) != 0 ? io("checkpoint's file") : err_ok();
    open->fd = -1;
    close(fd);
    return err;
}

static struct err need(struct checkpoint_open *at, const char *path,
                       const struct checkpoint_file *files, uint32_t file, bool writes)
{
    char whole[PATH_BYTES];
    if (at->fd >= 0 && at->file == file) return err_ok();
    TRY(checkpoint_files_close(at));
    TRY(path_of(path, &files[file], whole));
    int flags = (writes ? O_WRONLY | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    at->fd = open(whole, flags, 0600);
    if (at->fd < 0) return io("checkpoint's file");
    at->file = file;
    at->writes = writes;
    return err_ok();
}

struct err checkpoint_files_read(struct checkpoint_open *open, const char *path,
                                 const struct checkpoint_file *files,
                                 struct checkpoint_piece *piece, char *to)
{
    size_t done = 0;
    TRY(need(open, path, files, piece->file, false));
    while (done < piece->bytes.len) {
        ssize_t got = pread(open->fd, to + done, piece->bytes.len - done,
                            (off_t)(piece->offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io("checkpoint's file");
        if (got == 0) return err_make(ERR_CORRUPT, "checkpoint's file ends early");
        done += (size_t)got;
    }
    piece->bytes.ptr = to;
    return err_ok();
}

struct err checkpoint_files_write(struct checkpoint_open *open, const char *path,
                                  const struct checkpoint_file *files,
                                  const struct checkpoint_piece *piece)
{
    size_t done = 0;
    TRY(need(open, path, files, piece->file, true));
    while (done < piece->bytes.len) {
        ssize_t put = pwrite(open->fd, piece->bytes.ptr + done, piece->bytes.len - done,
                             (off_t)(piece->offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return io("checkpoint's file");
        done += (size_t)put;
    }
    return err_ok();
}

struct err checkpoint_files_whole(const char *path, const struct checkpoint_file *files,
                                  uint32_t count)
{
    struct checkpoint_open open = { .fd = -1 };
    for (uint32_t i = 0; i < count; i++) {
        struct stat found;
        TRY(need(&open, path, files, i, files[i].bytes == 0));
        bool fits = fstat(open.fd, &found) == 0 && (uint64_t)found.st_size == files[i].bytes;
        TRY(checkpoint_files_close(&open));
        if (!fits) return err_make(ERR_CORRUPT, "length of a checkpoint's file");
    }
    return err_ok();
}
