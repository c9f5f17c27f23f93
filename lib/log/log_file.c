#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_line.h"

enum { FILE_PATH_BYTES = LOG_PATH_MAX_BYTES + 64 };

struct err log_files_init(struct log_files *files, const char *directory)
{
    *files = (struct log_files){ .rotate_keep = 1 };
    for (unsigned i = 0; i < LOG_FILES; i++) files->files[i].fd = -1;
    if (directory == NULL) return err_ok();
    size_t len = strlen(directory);
    if (len == 0 || len >= sizeof(files->directory)) return err_make(ERR_TOO_BIG, "log directory");
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        return err_make_detail(ERR_IO, errno, "log directory");
    }
    if (access(directory, W_OK | X_OK) != 0) {
        return err_make_detail(ERR_IO, errno, "log directory");
    }
    memcpy(files->directory, directory, len + 1);
    return err_ok();
}

static void file_close(struct log_file *file)
{
    if (file->fd >= 0) close(file->fd);
    *file = (struct log_file){ .fd = -1 };
}

void log_files_close(struct log_files *files)
{
    for (unsigned i = 0; i < LOG_FILES; i++) file_close(&files->files[i]);
}

/* "DIRECTORY/mail.log", or with a number behind it when it was put aside. */
static void path_of(const struct log_files *files, unsigned which, unsigned number,
                    char to[FILE_PATH_BYTES])
{
    const char *name = which == LOG_FILE_EVENTS ? "events" : log_name_text((enum log_name)which);
    const char *end = which == LOG_FILE_EVENTS ? "json" : "log";
    if (number == 0) {
        snprintf(to, FILE_PATH_BYTES, "%s/%s.%s", files->directory, name, end);
    } else {
        snprintf(to, FILE_PATH_BYTES, "%s/%s.%s.%u", files->directory, name, end, number);
    }
}

static void take_info(struct log_file *file, const struct stat *info)
{
    file->size_bytes = (uint64_t)info->st_size;
    file->device = (uint64_t)info->st_dev;
    file->inode = (uint64_t)info->st_ino;
}

/* Whether the file that is open has its name still; another program may have put it aside, or
 * somebody moved it. Then its size is known anew, since others write to it too. */
static bool is_current(const struct log_files *files, unsigned which, struct log_file *file)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    if (file->fd < 0) return false;
    path_of(files, which, 0, path);
    if (stat(path, &info) != 0 || (uint64_t)info.st_ino != file->inode ||
        (uint64_t)info.st_dev != file->device) {
        return false;
    }
    take_info(file, &info);
    return true;
}

/* mail.log.2 becomes mail.log.3 and so on; the last one goes. */
static void put_aside(struct log_files *files, unsigned which)
{
    char from[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    for (unsigned i = files->rotate_keep; i > 0; i--) {
        path_of(files, which, i - 1, from);
        path_of(files, which, i, to);
        /* A gap in the numbers is no fault. */
        (void)!rename(from, to);
    }
    path_of(files, which, 0, from);
    if (files->rotate_keep == 0) unlink(from);
}

static struct err open_file(struct log_files *files, unsigned which)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    struct log_file *file = &files->files[which];
    path_of(files, which, 0, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "log file");
    *file = (struct log_file){ .fd = fd };
    if (fstat(fd, &info) == 0) take_info(file, &info);
    return err_ok();
}

static bool is_full(const struct log_files *files, const struct log_file *file, size_t more)
{
    return files->rotate_bytes > 0 && file->size_bytes > 0 &&
           file->size_bytes + more > files->rotate_bytes;
}

/* Opens the file unless it is open and has its name. */
static struct err need_file(struct log_files *files, unsigned which)
{
    if (is_current(files, which, &files->files[which])) return err_ok();
    file_close(&files->files[which]);
    return open_file(files, which);
}

/* Puts a full file aside, unless another program did so while we waited. */
static struct err rotate(struct log_files *files, unsigned which, size_t more)
{
    char path[FILE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/.rotate", files->directory);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (lock < 0) return err_make_detail(ERR_IO, errno, "lock of the log files");
    while (flock(lock, LOCK_EX) != 0 && errno == EINTR) continue;
    struct err err = need_file(files, which);
    if (err.code == ERR_OK && is_full(files, &files->files[which], more)) {
        put_aside(files, which);
        err = need_file(files, which);
    }
    close(lock);
    return err;
}

struct err log_files_write(struct log_files *files, unsigned which, struct span lines)
{
    struct log_file *file = &files->files[which];
    if (files->directory[0] == '\0') return err_ok();
    TRY(need_file(files, which));
    if (is_full(files, file, lines.len)) TRY(rotate(files, which, lines.len));
    while (lines.len > 0) {
        ssize_t n = write(file->fd, lines.ptr, lines.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_make_detail(ERR_IO, errno, "log file");
        file->size_bytes += (uint64_t)n;
        lines = span_skip(lines, (size_t)n);
    }
    return err_ok();
}
