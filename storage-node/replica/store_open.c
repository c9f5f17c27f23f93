#include "store_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kv_rocks.h"
#include "shard_install.h"
#include "shard_private.h"
#include "slog.h"
#include "store_rows.h"
#include "store_state_private.h"

bool store_log_has(struct store_node *node, unsigned shard)
{
    struct slog_shard_view view;
    return slog_shard_get(node->log, shard, &view).code == ERR_OK;
}

/* ---- opening */

static const char *directory_of(const struct store_node *node) { return node->options.directory; }

/* The names are gone: the log forgets, then the bytes go. */
struct err store_drop_finish(struct store_node *node, unsigned shard)
{
    if (store_log_has(node, shard)) {
        TRY(store_log_write(node, &(struct slog_record){ .type = SLOG_DROP, .shard = shard }));
    }
    return store_rows_remove(directory_of(node), shard, STORE_ROWS_DROPPED);
}

/* There are rows of before: was INSTALL written? Nothing was applied since. */
static struct err install_finish(struct store_node *node, unsigned shard, struct kv *kv)
{
    uint64_t epoch = 0, index = 0;
    struct slog_shard_view view = { .first_index = 1 };
    TRY(kv->calls->applied(kv, false, &epoch, &index));
    (void)!slog_shard_get(node->log, shard, &view).code; /* not found: nothing of it */
    if (view.first_index <= index) {
        TRY(store_log_write(node, &(struct slog_record){ .type = SLOG_INSTALL, .shard = shard,
                                                   .epoch = epoch, .index = index }));
    }
    TRY(store_rows_move(directory_of(node), shard, STORE_ROWS_OLD, STORE_ROWS_GONE));
    return store_rows_remove(directory_of(node), shard, STORE_ROWS_GONE);
}

struct err store_open_rows(struct store_node *node, unsigned shard, struct kv **ret)
{
    const char *directory = directory_of(node);
    char path[STORE_PATH_BYTES];
    struct kv *kv;
    TRY(store_rows_prepare(directory, shard));
    if (store_rows_exist(directory, shard, STORE_ROWS_DROPPED)) TRY(store_drop_finish(node, shard));
    TRY(store_rows_path(directory, shard, STORE_ROWS, path));
    TRY(kv_rocks_open(node->rocks, path, store_node_shard_memory(node), &kv));
    if (store_rows_exist(directory, shard, STORE_ROWS_OLD)) {
        struct err err = install_finish(node, shard, kv);
        if (err.code != ERR_OK) {
            kv->calls->close(kv);
            return err;
        }
    }
    *ret = kv;
    return err_ok();
}

/* ---- a checkpoint that comes in */

struct err store_incoming_begin(struct store_node *node, unsigned shard, char *ret, unsigned size)
{
    char path[STORE_PATH_BYTES];
    TRY(store_rows_remove(directory_of(node), shard, STORE_ROWS_INCOMING));
    TRY(store_rows_path(directory_of(node), shard, STORE_ROWS_INCOMING, path));
    if (strlen(path) >= size) return err_make(ERR_TOO_BIG, "data directory");
    if (mkdir(path, 0700) != 0) return err_make_detail(ERR_IO, errno, "incoming checkpoint");
    memcpy(ret, path, strlen(path) + 1);
    return err_ok();
}

struct err store_incoming_check(struct store_node *node, unsigned shard, uint64_t *epoch,
                                uint64_t *index)
{
    char path[STORE_PATH_BYTES];
    struct kv *kv;
    TRY(store_rows_path(directory_of(node), shard, STORE_ROWS_INCOMING, path));
    struct err err = kv_rocks_open(node->rocks, path, store_node_shard_memory(node), &kv);
    if (err.code != ERR_OK) return err;
    err = kv->calls->applied(kv, true, epoch, index);
    kv->calls->close(kv);
    TRY(err);
    if (*index == 0) return err_make(ERR_CORRUPT, "checkpoint without anything applied");
    return store_directory_sync(path);
}

/* Both names, one after the other: a crash between them is undone by store_rows_prepare(). */
static struct err swap_names(const char *directory, unsigned shard)
{
    TRY(store_rows_move(directory, shard, STORE_ROWS, STORE_ROWS_OLD));
    return store_rows_move(directory, shard, STORE_ROWS_INCOMING, STORE_ROWS);
}

/* The names are as they were, or it is in quarantine. */
static void swap_undo(struct store_node *node, struct shard_install *install, struct err why)
{
    unsigned shard = shard_number(install->shard);
    char path[STORE_PATH_BYTES];
    struct kv *kv = NULL;
    struct err err = store_rows_prepare(directory_of(node), shard);
    bool swapped = store_rows_exist(directory_of(node), shard, STORE_ROWS_OLD);
    if (err.code == ERR_OK && swapped) err = why;
    if (err.code == ERR_OK) err = store_rows_path(directory_of(node), shard, STORE_ROWS, path);
    if (err.code == ERR_OK)
        err = kv_rocks_open(node->rocks, path, store_node_shard_memory(node), &kv);
    if (err.code == ERR_OK) shard_install_undone(install, kv);
    else shard_install_opened(install, NULL, err);
}

void store_incoming_swap(struct store_node *node, struct shard_install *install)
{
    unsigned shard = shard_number(install->shard);
    char path[STORE_PATH_BYTES];
    struct kv *kv = NULL;
    install->old->calls->close(install->old);
    install->old = NULL;
    struct err err = store_rows_path(directory_of(node), shard, STORE_ROWS, path);
    if (err.code == ERR_OK) err = swap_names(directory_of(node), shard);
    if (err.code != ERR_OK) {
        swap_undo(node, install, err);
        return;
    }
    err = kv_rocks_open(node->rocks, path, store_node_shard_memory(node), &kv);
    shard_install_opened(install, kv, err);
}

struct err store_incoming_settle(struct store_node *node, struct shard_install *install)
{
    unsigned shard = shard_number(install->shard);
    TRY(store_rows_move(directory_of(node), shard, STORE_ROWS_OLD, STORE_ROWS_GONE));
    shard_install_finish(install);
    (void)!store_rows_remove(directory_of(node), shard, STORE_ROWS_GONE).code; /* the next start */
    return err_ok();
}

void store_incoming_drop(struct store_node *node, unsigned shard)
{
    (void)!store_rows_remove(directory_of(node), shard, STORE_ROWS_INCOMING).code;
}

/* ---- checkpoints for others */

static struct err checkpoints_path(struct store_node *node, const char *name, char *ret,
                                   unsigned size)
{
    int len = snprintf(ret, size, "%s/checkpoints/%s", directory_of(node), name);
    if (len < 0 || (unsigned)len >= size) return err_make(ERR_TOO_BIG, "data directory");
    return err_ok();
}

struct err store_checkpoint_make(struct store_node *node, unsigned number, const char *name,
                                 char *ret, unsigned size)
{
    char path[STORE_PATH_BYTES];
    struct shard *shard = number < node->shards_count ? store_node_shard(node, number) : NULL;
    if (shard == NULL) return err_make(ERR_NOT_FOUND, "shard");
    if (store_node_is_full(node, NULL)) return err_make(ERR_FULL, "disk below the reserve");
    TRY(checkpoints_path(node, name, path, sizeof(path)));
    if (strlen(path) >= size) return err_make(ERR_TOO_BIG, "data directory");
    if (!shard_hold(shard)) return err_make(ERR_BUSY, "the shard's rows are closed");
    struct err err = kv_rocks_checkpoint(shard->kv, path);
    shard_release(shard);
    if (err.code != ERR_OK) (void)!store_tree_remove(path).code;
    else memcpy(ret, path, strlen(path) + 1);
    return err;
}

void store_checkpoint_remove(struct store_node *node, const char *name)
{
    char path[STORE_PATH_BYTES];
    if (checkpoints_path(node, name, path, sizeof(path)).code != ERR_OK) return;
    (void)!store_tree_remove(path).code; /* the next start sweeps */
}

struct err store_checkpoint_sweep(struct store_node *node)
{
    char path[STORE_PATH_BYTES];
    TRY(checkpoints_path(node, "", path, sizeof(path)));
    path[strlen(path) - 1] = '\0';
    TRY(store_tree_remove(path));
    if (mkdir(path, 0700) != 0) return err_make_detail(ERR_IO, errno, "checkpoints");
    return err_ok();
}
