#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines_private.h"
#include "hash.h"

enum { FOLDER_DEPTH_MAX = 32, FOLDER_NAME_BYTES = 32 };

/* Removes what is in a folder. `fd` is taken. The names were chosen by a worker: links are removed,
 * never followed. */
static void folder_empty(int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0 || depth >= FOLDER_DEPTH_MAX) continue;
        int below = openat(dirfd(dir), entry->d_name,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) folder_empty(below, depth + 1);
        unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

static void folder_name(unsigned number, char name[FOLDER_NAME_BYTES])
{
    snprintf(name, FOLDER_NAME_BYTES, "worker-%u", number);
}

static int folder_of_work(const struct engines_options *options)
{
    return open(options->work_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void engines_folder_remove(const struct engines_options *options, unsigned number)
{
    int work = folder_of_work(options);
    if (work < 0) return;
    char name[FOLDER_NAME_BYTES];
    folder_name(number, name);
    int fd = openat(work, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) folder_empty(fd, 0);
    unlinkat(work, name, AT_REMOVEDIR);
    close(work);
}

int engines_folder_make(const struct engines_options *options, unsigned number)
{
    engines_folder_remove(options, number); /* left by a scanner that was killed */
    int work = folder_of_work(options);
    if (work < 0) return -1;
    char name[FOLDER_NAME_BYTES];
    folder_name(number, name);
    int fd = -1;
    if (mkdirat(work, name, 0700) == 0) {
        fd = openat(work, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd >= 0 && geteuid() == 0 && fchown(fd, options->user, options->group) != 0) {
        close(fd);
        fd = -1;
    }
    close(work);
    return fd;
}

uint64_t engines_folder_stamp(const char *signature_dir)
{
    static const uint64_t key[2] = { 0x676f64776974, 1 };
    DIR *dir = opendir(signature_dir);
    if (dir == NULL) return 0;
    uint64_t stamp = 1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat;
        if (fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0 || !S_ISREG(stat.st_mode)) continue;
        uint64_t facts[5] = { hash_sip(key, span_of(entry->d_name, strlen(entry->d_name))),
                              (uint64_t)stat.st_size, (uint64_t)stat.st_mtim.tv_sec,
                              (uint64_t)stat.st_mtim.tv_nsec, (uint64_t)stat.st_ino };
        stamp += hash_sip(key, span_of(facts, sizeof(facts))); /* in whatever order they come */
    }
    closedir(dir);
    return stamp;
}
