/* shard_install.h: a checkpoint takes the place of a copy's rows and log (REPLICATION 6.1, 6.8).
 * The shard says when it may and writes it down; whoever has the checkpoint moves the files.
 *
 *   shard_install_begin()    asks the copy (replica_install.c says what makes it safe)
 *     begun(OK)              `old`: the rows, which nobody uses any more. They are closed, and the
 *                            checkpoint's directory is put in their place, durably; the old one is
 *                            kept beside it: with it a start knows what may be undone or done
 *   shard_install_opened()   the new rows; has INSTALL written to the log
 *     logged(OK)             from now on the shard is what the checkpoint says. The old directory
 *                            goes, durably out of its place, before
 *   shard_install_finish()   the copy goes on from there
 *     done()
 *
 * Until begun(OK) everything is as it was. After a crash between begun and logged the shard opens
 * as what it was, or as what it became (store_rows.h). */
#ifndef MAIL_SHARD_INSTALL_H
#define MAIL_SHARD_INSTALL_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv;
struct shard;
struct shard_installing; /* the shard's part of it */

/* Stands in its owner, until done(), or begun() or logged() with an error. */
struct shard_install {
    struct shard *shard;
    uint64_t epoch, index; /* what the checkpoint's own row `applied` says */
    struct kv *old;        /* in begun() */
    /* On the shard's thread; never within the call that leads to it. */
    /* Not OK: nothing has changed. BUSY: it may be asked again soon; CONFLICT: the copy does not
     * want it any more. */
    void (*begun)(struct shard_install *, struct err err);
    /* Not OK: the log had no room (FULL, BUSY): shard_install_log() tries again; until then, or the
     * next start, the shard waits. Anything else: it is in quarantine. */
    void (*logged)(struct shard_install *, struct err err);
    void (*done)(struct shard_install *, struct err err);
    struct shard_installing *own;
};

/* Any thread. ERR_NOMEM: nothing is called back. */
MUST_USE struct err shard_install_begin(struct shard_install *install);
/* Any thread, after begun(OK). `kv` is the shard's from now on. Not OK: it could not be opened,
 * `kv` is NULL: the shard is in quarantine, and logged() says so. */
void shard_install_opened(struct shard_install *install, struct kv *kv, struct err err);
/* Any thread, after begun(OK): the old rows are open again (`kv`), all is as it was. done() follows
 * with ERR_CANCELLED. */
void shard_install_undone(struct shard_install *install, struct kv *kv);
/* Any thread, after logged(FULL or BUSY). */
void shard_install_log(struct shard_install *install);
/* Any thread, after logged(OK). */
void shard_install_finish(struct shard_install *install);

/* After logged(not OK), or instead of shard_install_finish(): it is left as it is, and the shard
 * waits. The next start of the shard finishes it. Nothing is called back. */
void shard_install_leave(struct shard_install *install);

/* At the leader: entries behind `index` stay in the log until then (clock_boot_ms()), while it is
 * not larger than a limit (store_keeper.c): for a copy that is on its way to them by a checkpoint.
 * A pin that is not over yet keeps the lower index: UINT64_MAX only makes it last longer. Any
 * thread. */
void shard_pin(struct shard *shard, uint64_t index, uint64_t until_ms);

#ifdef __cplusplus
}
#endif
#endif
