#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

void log_files_close(struct log_files *files)
{
    for (unsigned i = 0; i < LOG_FILES; i++) {
        if (files->files[i].fd >= 0) close(files->files[i].fd);
        files->files[i] = (struct log_file){ .fd = -1 };
    }
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
    close(files->files[which].fd);
    files->files[which] = (struct log_file){ .fd = -1 };
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
    if (fstat(fd, &info) == 0) file->size_bytes = (uint64_t)info.st_size;
    return err_ok();
}

struct err log_files_write(struct log_files *files, unsigned which, struct span lines)
{
    struct log_file *file = &files->files[which];
    if (files->directory[0] == '\0') return err_ok();
    if (file->fd < 0) TRY(open_file(files, which));
    if (files->rotate_bytes > 0 && file->size_bytes > 0 &&
        file->size_bytes + lines.len > files->rotate_bytes) {
        put_aside(files, which);
        TRY(open_file(files, which));
    }
    while (lines.len > 0) {
        ssize_t n = write(file->fd, lines.ptr, lines.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_make_detail(ERR_IO, errno, "log file");
        file->size_bytes += (uint64_t)n;
        lines = span_skip(lines, (size_t)n);
    }
    return err_ok();
}
