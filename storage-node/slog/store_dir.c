/* A data directory:
 *
 *   identity   who it is, 48 bytes, replaced by writing `identity.new` and renaming
 *   lock       empty; flock()ed while a process uses the directory
 *   log/       segments (slog_format.c)
 *   shards/    one store for each shard (kv_rocks.c)
 *
 * identity, integers little-endian:
 *
 *    0  8 bytes  "GODWITID"
 *    8  u32      format of the whole directory: 1
 *   12  u32      shards of the cluster
 *   16  16 bytes store id
 *   32  u64      boot number
 *   40  u32      0
 *   44  u32      CRC-32C of the bytes 0..43
 */
#include "store_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "hash.h"
#include "id.h"
#include "slog_file.h"

enum {
    FORMAT = 1,
    IDENTITY_BYTES = 48,
    AT_FORMAT = 8,
    AT_SHARDS = 12,
    AT_STORE_ID = 16,
    AT_BOOT = 32,
    AT_ZERO = 40,
    AT_CRC = 44,
    LOCK_MODE = 0600,
    PATH_BYTES = 4096,
};
static const char magic[] = "GODWITID", identity_name[] = "identity";
static const char identity_new_name[] = "identity.new", lock_name[] = "lock";

struct store_dir {
    struct slog_files *files;
    int lock;
    struct store_identity identity;
};

/* ---- the file */

static void put_le(char *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) to[i] = (char)(value >> (8 * i));
}

static uint64_t get_le(const char *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; i--) value = value << 8 | (unsigned char)from[i - 1];
    return value;
}

static void identity_encode(const struct store_identity *identity, char to[IDENTITY_BYTES])
{
    memcpy(to, magic, AT_FORMAT);
    put_le(to + AT_FORMAT, FORMAT, 4);
    put_le(to + AT_SHARDS, identity->shards, 4);
    memcpy(to + AT_STORE_ID, identity->store_id, STORE_ID_BYTES);
    put_le(to + AT_BOOT, identity->boot, 8);
    put_le(to + AT_ZERO, 0, 4);
    put_le(to + AT_CRC, hash_crc32c(0, span_of(to, AT_CRC)), 4);
}

static struct err identity_decode(struct span in, struct store_identity *ret)
{
    if (in.len < IDENTITY_BYTES || memcmp(in.ptr, magic, AT_FORMAT) != 0)
        return err_make(ERR_CORRUPT, "identity of the data directory");
    /* The format says how long it is and where its CRC stands, so it is looked at first. */
    if (get_le(in.ptr + AT_FORMAT, 4) > FORMAT)
        return err_make(ERR_UNSUPPORTED, "format of the data directory");
    if (in.len != IDENTITY_BYTES ||
        get_le(in.ptr + AT_CRC, 4) != hash_crc32c(0, span_head(in, AT_CRC)) ||
        get_le(in.ptr + AT_FORMAT, 4) != FORMAT)
        return err_make(ERR_CORRUPT, "identity of the data directory");
    memcpy(ret->store_id, in.ptr + AT_STORE_ID, STORE_ID_BYTES);
    ret->boot = get_le(in.ptr + AT_BOOT, 8);
    ret->shards = (uint32_t)get_le(in.ptr + AT_SHARDS, 4);
    return err_ok();
}

static struct err identity_read(struct store_dir *dir)
{
    struct slog_files *files = dir->files;
    int file;
    TRY(files->calls->open(files, identity_name, false, &file));
    char bytes[IDENTITY_BYTES + 1];
    size_t got = 0;
    struct err err = files->calls->read(files, file, bytes, sizeof(bytes), 0, &got);
    files->calls->close(files, file);
    TRY(err);
    return identity_decode(span_of(bytes, got), &dir->identity);
}

static struct err identity_write(struct store_dir *dir)
{
    struct slog_files *files = dir->files;
    /* One of a start that was killed. */
    struct err err = files->calls->unlink(files, identity_new_name);
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) return err;
    char bytes[IDENTITY_BYTES];
    identity_encode(&dir->identity, bytes);
    int file;
    TRY(files->calls->open(files, identity_new_name, true, &file));
    err = slog_file_write(files, file, span_of(bytes, sizeof(bytes)), 0);
    if (err.code == ERR_OK) err = files->calls->sync(files, file);
    files->calls->close(files, file);
    TRY(err);
    TRY(files->calls->rename(files, identity_new_name, identity_name));
    return files->calls->sync_directory(files);
}

/* ---- the directory */

static struct err lock_take(struct store_dir *dir, const char *path)
{
    char name[PATH_BYTES];
    int len = snprintf(name, sizeof(name), "%s/%s", path, lock_name);
    if (len < 0 || (size_t)len >= sizeof(name)) return err_make(ERR_TOO_BIG, "data directory");
    dir->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (dir->lock < 0) return err_make_detail(ERR_IO, errno, "lock of the data directory");
    if (flock(dir->lock, LOCK_EX | LOCK_NB) == 0) return err_ok();
    if (errno == EWOULDBLOCK) return err_make(ERR_EXISTS, "data directory in use");
    return err_make_detail(ERR_IO, errno, "lock of the data directory");
}

static struct err subdirectory_make(const char *path, const char *name)
{
    char whole[PATH_BYTES];
    struct slog_files *files;
    int len = snprintf(whole, sizeof(whole), "%s/%s", path, name);
    if (len < 0 || (size_t)len >= sizeof(whole)) return err_make(ERR_TOO_BIG, "data directory");
    TRY(slog_files_open(whole, &files));
    slog_files_close(files);
    return err_ok();
}

/* An error for what a directory that was never initialised does not have. */
static struct err name_check(void *holder, const char *name)
{
    static const char *const harmless[] = { lock_name, identity_new_name, "lost+found" };
    (void)holder;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (strcmp(name, harmless[i]) == 0) return err_ok();
    }
    return err_make(ERR_CORRUPT, "data directory without its identity");
}

static struct err identify(struct store_dir *dir, const char *path, uint32_t shards)
{
    struct err err = identity_read(dir);
    if (err.code == ERR_NOT_FOUND) {
        TRY(dir->files->calls->list(dir->files, name_check, NULL));
        id_random(dir->identity.store_id, STORE_ID_BYTES);
        dir->identity.shards = shards;
        err = err_ok();
    }
    TRY(err);
    dir->identity.boot++;
    TRY(identity_write(dir));
    TRY(subdirectory_make(path, "log"));
    return subdirectory_make(path, "shards");
}

struct err store_dir_open(const char *path, uint32_t shards, struct store_dir **ret)
{
    struct store_dir *dir = calloc(1, sizeof(*dir));
    if (dir == NULL) return err_make(ERR_NOMEM, "data directory");
    dir->lock = -1;
    struct err err = slog_files_open(path, &dir->files);
    if (err.code == ERR_OK) err = lock_take(dir, path);
    if (err.code == ERR_OK) err = identify(dir, path, shards);
    if (err.code != ERR_OK) {
        store_dir_close(dir);
        return err;
    }
    *ret = dir;
    return err_ok();
}

void store_dir_close(struct store_dir *dir)
{
    if (dir == NULL) return;
    slog_files_close(dir->files);
    if (dir->lock >= 0) close(dir->lock);
    free(dir);
}

const struct store_identity *store_dir_identity(const struct store_dir *dir)
{
    return &dir->identity;
}
