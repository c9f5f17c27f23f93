#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Bytes got; -1: errno says why not. */
static ssize_t read_some(int fd, char *to, size_t size)
{
    ssize_t n;
    do n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

static struct err read_all(int fd, char *to, size_t size, size_t *len)
{
    char more;
    ssize_t n = 1;
    *len = 0;
    while (n > 0 && *len < size) {
        n = read_some(fd, to + *len, size - *len);
        if (n > 0) *len += (size_t)n;
    }
    if (n > 0) n = read_some(fd, &more, 1); /* all of `to` is full: was that the end? */
    if (n < 0) return err_make_detail(ERR_IO, errno, "read a file");
    return n == 0 ? err_ok() : err_make(ERR_TOO_BIG, "read a file");
}

struct err file_read(const char *path, char *to, size_t size, size_t *len)
{
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_make_detail(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open a file");
    }
    struct err err = read_all(fd, to, size, len);
    close(fd);
    return err;
}
