#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto_private.h"
#include "id.h"

static struct err write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_make_detail(errno == ENOSPC ? ERR_FULL : ERR_IO, errno, "key file");
        bytes = span_skip(bytes, (size_t)n);
    }
    return err_ok();
}

/* Makes the directory's entries durable. */
static struct err sync_directory(const char *path)
{
    char directory[CRYPTO_PATH_MAX_BYTES];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? snprintf(directory, sizeof(directory), ".")
                            : snprintf(directory, sizeof(directory), "%.*s/", (int)(slash - path),
                                       path);
    if (len < 0 || (size_t)len >= sizeof(directory)) return err_make(ERR_TOO_BIG, "path");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "directory of a key file");
    bool ok = fsync(fd) == 0;
    int number = errno;
    close(fd);
    return ok ? err_ok() : err_make_detail(ERR_IO, number, "directory of a key file");
}

/* A name beside `path` that nobody else uses. */
static struct err spare_name(const char *path, char to[CRYPTO_PATH_MAX_BYTES])
{
    uint8_t id[8];
    char hex[16];
    id_random(id, sizeof(id));
    id_hex(id, sizeof(id), hex);
    int len = snprintf(to, CRYPTO_PATH_MAX_BYTES, "%s.%.16s", path, hex);
    if (len < 0 || len >= CRYPTO_PATH_MAX_BYTES) return err_make(ERR_TOO_BIG, "path");
    return err_ok();
}

/* Writes to a new file at `spare`, durably but for its name. */
static struct err write_spare(const char *spare, struct span bytes, mode_t mode)
{
    int fd = open(spare, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "key file");
    struct err err = write_all(fd, bytes);
    /* The umask may have taken more away than is wanted; never less. */
    if (err.code == ERR_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) {
        err = err_make_detail(ERR_IO, errno, "key file");
    }
    close(fd);
    if (err.code != ERR_OK) unlink(spare);
    return err;
}

struct err crypto_file_replace(const char *path, struct span bytes, mode_t mode)
{
    char spare[CRYPTO_PATH_MAX_BYTES];
    TRY(spare_name(path, spare));
    TRY(write_spare(spare, bytes, mode));
    if (rename(spare, path) != 0) {
        int number = errno;
        unlink(spare);
        return err_make_detail(ERR_IO, number, "key file");
    }
    return sync_directory(path);
}

struct err crypto_file_new(const char *path, struct span bytes, mode_t mode)
{
    char spare[CRYPTO_PATH_MAX_BYTES];
    TRY(spare_name(path, spare));
    TRY(write_spare(spare, bytes, mode));
    bool made = link(spare, path) == 0;
    int number = errno;
    unlink(spare);
    if (!made && number == EEXIST) return err_make(ERR_EXISTS, "key file");
    return made ? sync_directory(path) : err_make_detail(ERR_IO, number, "key file");
}
