#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines_private.h"
#include "hash.h"

enum { FOLDER_DEPTH_MAX = 32, FOLDER_NAME_BYTES = 32, FOLDER_PIECE_BYTES = 1 << 20 };

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
    if (dir == NULL) return 1;
    uint64_t stamp = 2;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat;
        if (fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0 || !S_ISREG(stat.st_mode)) continue;
        uint64_t facts[5] = { hash_sip(key, span_of(entry->d_name, strlen(entry->d_name))),
                              (uint64_t)stat.st_size, (uint64_t)stat.st_mtim.tv_sec,
                              (uint64_t)stat.st_mtim.tv_nsec, (uint64_t)stat.st_ino };
        stamp += hash_sip(key, span_of(facts, sizeof(facts))); /* in whatever order they come */
    }
    closedir(dir);
    return stamp == 0 ? 1 : stamp;
}

/* A whole piece, but for the last; -1: it can't be read. */
static ssize_t folder_read_piece(int fd, char *bytes)
{
    size_t have = 0;
    while (have < FOLDER_PIECE_BYTES) {
        ssize_t n = read(fd, bytes + have, FOLDER_PIECE_BYTES - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* Of a file's bytes; 1: they can't be read. Each piece is hashed under what was before. */
static uint64_t folder_file_digest(int fd, char *bytes)
{
    uint64_t key[2] = { 0x676f64776974, 2 };
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && (n = folder_read_piece(fd, bytes)) > 0) {
        key[1] = hash_sip(key, span_of(bytes, (size_t)n));
    }
    return n < 0 ? 1 : key[1];
}

uint64_t engines_folder_digest(const char *signature_dir)
{
    static const uint64_t key[2] = { 0x676f64776974, 3 };
    DIR *dir = opendir(signature_dir);
    char *bytes = malloc(FOLDER_PIECE_BYTES);
    uint64_t digest = 1;
    for (struct dirent *entry; dir != NULL && bytes != NULL && (entry = readdir(dir)) != NULL;) {
        struct stat stat;
        if (fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0 || !S_ISREG(stat.st_mode)) continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
        uint64_t facts[2] = { hash_sip(key, span_of(entry->d_name, strlen(entry->d_name))),
                              folder_file_digest(fd, bytes) };
        if (fd >= 0) close(fd);
        digest += hash_sip(key, span_of(facts, sizeof(facts))); /* in whatever order they come */
    }
    if (dir != NULL) closedir(dir);
    free(bytes);
    return digest == 0 ? 1 : digest;
}
