#include "store_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TREE_FILES = 16 }; /* descriptors of a walk */

struct err store_rows_path(const char *directory, unsigned shard, enum store_rows which,
                           char ret[STORE_PATH_BYTES])
{
    static const char *const ends[] = {
        [STORE_ROWS] = "", [STORE_ROWS_INCOMING] = ".incoming", [STORE_ROWS_OLD] = ".old",
        [STORE_ROWS_GONE] = ".gone", [STORE_ROWS_DROPPED] = ".dropped",
    };
    int len = snprintf(ret, STORE_PATH_BYTES, "%s/shards/%u%s", directory, shard, ends[which]);
    if (len < 0 || len >= STORE_PATH_BYTES) return err_make(ERR_TOO_BIG, "data directory");
    return err_ok();
}

bool store_rows_exist(const char *directory, unsigned shard, enum store_rows which)
{
    char path[STORE_PATH_BYTES];
    struct stat found;
    return store_rows_path(directory, shard, which, path).code == ERR_OK &&
           lstat(path, &found) == 0;
}

struct err store_directory_sync(const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return err_make_detail(ERR_IO, errno, "directory");
    int failed = fsync(file) != 0 ? errno : 0;
    close(file);
    return failed == 0 ? err_ok() : err_make_detail(ERR_IO, failed, "directory");
}

static struct err shards_sync(const char *directory)
{
    char path[STORE_PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/shards", directory);
    if (len < 0 || len >= STORE_PATH_BYTES) return err_make(ERR_TOO_BIG, "data directory");
    return store_directory_sync(path);
}

struct err store_rows_move(const char *directory, unsigned shard, enum store_rows from,
                           enum store_rows to)
{
    char before[STORE_PATH_BYTES], after[STORE_PATH_BYTES];
    TRY(store_rows_path(directory, shard, from, before));
    TRY(store_rows_path(directory, shard, to, after));
    if (rename(before, after) != 0) return err_make_detail(ERR_IO, errno, "rows of a shard");
    return shards_sync(directory);
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *at)
{
    (void)found, (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

struct err store_tree_remove(const char *path)
{
    struct stat found;
    if (lstat(path, &found) != 0) {
        return errno == ENOENT ? err_ok() : err_make_detail(ERR_IO, errno, "directory to delete");
    }
    if (nftw(path, remove_one, TREE_FILES, FTW_DEPTH | FTW_PHYS) == 0) return err_ok();
    return err_make_detail(ERR_IO, errno, "directory to delete");
}

struct err store_rows_remove(const char *directory, unsigned shard, enum store_rows which)
{
    char path[STORE_PATH_BYTES];
    TRY(store_rows_path(directory, shard, which, path));
    return store_tree_remove(path);
}

struct err store_rows_prepare(const char *directory, unsigned shard)
{
    bool old = store_rows_exist(directory, shard, STORE_ROWS_OLD);
    bool rows = store_rows_exist(directory, shard, STORE_ROWS);
    if (old && !rows) TRY(store_rows_move(directory, shard, STORE_ROWS_OLD, STORE_ROWS));
    TRY(store_rows_remove(directory, shard, STORE_ROWS_INCOMING));
    TRY(store_rows_remove(directory, shard, STORE_ROWS_GONE));
    /* What stands in its place was begun after the log had forgotten the one before. */
    if (rows) TRY(store_rows_remove(directory, shard, STORE_ROWS_DROPPED));
    return err_ok();
}
