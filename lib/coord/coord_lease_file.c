#include "coord_lease_file_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "coord_private.h"

enum {
    MAGIC_BYTES = 8,
    UNTIL_BYTES = 8,
    BOOT_BYTES = 36,
    LEASE_FILE_BYTES = MAGIC_BYTES + UNTIL_BYTES + BOOT_BYTES,
    NAME_BYTES = 32,
    PATH_BYTES = COORD_PATH_MAX_BYTES + NAME_BYTES,
};

static const char magic[] = "GWLEASE1", name_head[] = "lease-";

static void path_of(const char *directory, uint64_t id, char to[PATH_BYTES])
{
    snprintf(to, PATH_BYTES, "%s/%s%016" PRIx64, directory, name_head, id);
}

/* What every lease of this start of the machine has; without /proc all starts are one. */
static void boot_id(char to[BOOT_BYTES])
{
    memset(to, '-', BOOT_BYTES);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (read(fd, to, BOOT_BYTES) != BOOT_BYTES) memset(to, '-', BOOT_BYTES);
    close(fd);
}

static void write_lease(char to[LEASE_FILE_BYTES], uint64_t until_ms)
{
    memcpy(to, magic, MAGIC_BYTES);
    for (unsigned i = 0; i < UNTIL_BYTES; i++) {
        to[MAGIC_BYTES + i] = (char)(until_ms >> (8 * i) & 0xff);
    }
    boot_id(to + MAGIC_BYTES + UNTIL_BYTES);
}

/* Until when the file says; 0: it is over, or says nothing that we would have written. */
static uint64_t read_until(int fd, uint64_t now_ms)
{
    char bytes[LEASE_FILE_BYTES + 1], boot[BOOT_BYTES];
    uint64_t until_ms = 0;
    boot_id(boot);
    if (pread(fd, bytes, sizeof(bytes), 0) != LEASE_FILE_BYTES) return 0;
    if (memcmp(bytes, magic, MAGIC_BYTES) != 0) return 0;
    if (memcmp(bytes + MAGIC_BYTES + UNTIL_BYTES, boot, BOOT_BYTES) != 0) return 0;
    for (unsigned i = UNTIL_BYTES; i > 0; i--) {
        until_ms = until_ms << 8 | (uint8_t)bytes[MAGIC_BYTES + i - 1];
    }
    bool good = until_ms > now_ms && until_ms - now_ms <= COORD_LEASE_MAX_S * 1000u;
    return good ? until_ms : 0;
}

static bool is_unlinked(int fd)
{
    struct stat info;
    return fstat(fd, &info) != 0 || info.st_nlink == 0;
}

/* Of a file whose time is over: takes it out, unless its holder is just about to renew it. */
static bool take_out(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return false;
    bool gone = is_unlinked(fd);
    if (!gone && read_until(fd, clock_boot_ms()) == 0) gone = unlink(path) == 0;
    flock(fd, LOCK_UN);
    return gone;
}

bool coord_lease_file_gone(const char *directory, uint64_t id, uint64_t *look_ms)
{
    char path[PATH_BYTES];
    uint64_t now_ms = clock_boot_ms();
    path_of(directory, id, path);
    *look_ms = now_ms + COORD_LEASE_LOOK_MS;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    /* What can't be looked at now is not said to be gone. */
    if (fd < 0) return errno == ENOENT;
    uint64_t until_ms = read_until(fd, now_ms);
    bool gone = until_ms == 0 && take_out(fd, path);
    if (until_ms != 0) *look_ms = until_ms + 1;
    close(fd);
    return gone;
}

/* ---- its holder's */

static void take_out_old(const char *directory)
{
    DIR *folder = opendir(directory);
    struct dirent *entry;
    uint64_t look_ms;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        size_t head = sizeof(name_head) - 1;
        if (strncmp(entry->d_name, name_head, head) != 0) continue;
        char *end = NULL;
        uint64_t id = strtoull(entry->d_name + head, &end, 16);
        if (*end == '\0') (void)coord_lease_file_gone(directory, id, &look_ms);
    }
    if (folder != NULL) closedir(folder);
}

struct err coord_lease_file_make(const char *directory, uint64_t id, uint64_t until_ms, int *fd)
{
    char path[PATH_BYTES], bytes[LEASE_FILE_BYTES];
    take_out_old(directory);
    path_of(directory, id, path);
    write_lease(bytes, until_ms);
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return err_make_detail(errno == EEXIST ? ERR_EXISTS : ERR_IO, errno, "lease");
    }
    if (coord_give_to_owner(*fd, directory) &&
        pwrite(*fd, bytes, sizeof(bytes), 0) == LEASE_FILE_BYTES) {
        return err_ok();
    }
    struct err err = err_make_detail(errno == ENOSPC ? ERR_FULL : ERR_IO, errno, "lease");
    unlink(path);
    close(*fd);
    return err;
}

static struct err renew_locked(int fd, uint64_t until_ms)
{
    char bytes[LEASE_FILE_BYTES];
    if (is_unlinked(fd) || read_until(fd, clock_boot_ms()) == 0) {
        return err_make(ERR_NOT_FOUND, "lease");
    }
    write_lease(bytes, until_ms);
    if (pwrite(fd, bytes, sizeof(bytes), 0) == LEASE_FILE_BYTES) return err_ok();
    return err_make_detail(ERR_IO, errno, "lease");
}

struct err coord_lease_file_renew(int fd, uint64_t until_ms)
{
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return err_make(ERR_BUSY, "lease");
    struct err err = renew_locked(fd, until_ms);
    flock(fd, LOCK_UN);
    return err;
}

void coord_lease_file_remove(const char *directory, uint64_t id)
{
    char path[PATH_BYTES];
    path_of(directory, id, path);
    unlink(path);
}
