/* From a checkpoint that is whole to a copy that goes on from it: the crew moves files, the shard's
 * thread says when (shard_install.h), the loop leads from one to the other. */
#include "checkpoint_fetch_private.h"
#include "loop.h"
#include "shard.h"
#include "store_open.h"

static struct store_node *node_of(const struct fetch *fetch)
{
    return fetch->fetcher->options.node;
}

static struct fetch *of_job(struct crew_job *job) { return LIST_ITEM(job, struct fetch, job); }
static struct fetch *of_wake(struct wake *wake) { return LIST_ITEM(wake, struct fetch, wake); }
static struct fetch *of_install(struct shard_install *install)
{
    return LIST_ITEM(install, struct fetch, install);
}

static void say(struct shard_install *install, struct err err, void (*run)(struct wake *))
{
    struct fetch *fetch = of_install(install);
    fetch->said = err;
    wake_post(fetch->fetcher->loop, &fetch->wake, run);
}

/* ---- the end */

static void drop_run(struct crew_job *job)
{
    store_incoming_drop(node_of(of_job(job)), of_job(job)->number);
}

static void drop_done(struct crew_job *job) { fetch_end(of_job(job), of_job(job)->said); }

/* The copy does not want it. */
static void drop(struct fetch *fetch, struct err why)
{
    fetch->said = why;
    if (fetch_work(fetch, drop_run, drop_done).code != ERR_OK) fetch_end(fetch, why);
}

/* Both the files are moved and the shard has told: whichever came last goes on. */
static bool is_both(struct fetch *fetch)
{
    bool both = fetch->told && !fetch->at_work;
    if (both) fetch->told = false;
    return both;
}

/* ---- settling: the log knows */

static void settle_again(void *holder);

static void settle_end(struct fetch *fetch)
{
    if (is_both(fetch)) fetch_end(fetch, fetch->said);
}

static void settle_run(struct crew_job *job)
{
    struct fetch *fetch = of_job(job);
    fetch->err = store_incoming_settle(node_of(fetch), &fetch->install);
}

static void settle_done(struct crew_job *job)
{
    struct fetch *fetch = of_job(job);
    fetch->at_work = false;
    if (fetch->err.code == ERR_OK) settle_end(fetch);
    else fetch_pause(fetch, settle_again);
}

static void settle_again(void *holder)
{
    struct fetch *fetch = holder;
    if (fetch->fetcher->closing) {
        shard_install_leave(&fetch->install);
        fetch_end(fetch, err_make(ERR_CANCELLED, "checkpoint"));
        return;
    }
    if (fetch_work(fetch, settle_run, settle_done).code != ERR_OK)
        fetch_pause(fetch, settle_again);
}

/* ---- swapped: INSTALL is, or is not, in the log */

static void log_again(void *holder)
{
    struct fetch *fetch = holder;
    if (!fetch->fetcher->closing) {
        shard_install_log(&fetch->install);
        return;
    }
    shard_install_leave(&fetch->install);
    fetch_end(fetch, err_make(ERR_CANCELLED, "checkpoint"));
}

static void swapped(struct fetch *fetch)
{
    if (!is_both(fetch)) return;
    bool later = fetch->said.code == ERR_FULL || fetch->said.code == ERR_BUSY ||
                 fetch->said.code == ERR_NOMEM;
    if (fetch->said.code == ERR_OK) settle_again(fetch);
    else if (later) fetch_pause(fetch, log_again);
    else fetch_end(fetch, fetch->said);
}

static void logged_loop(struct wake *wake)
{
    of_wake(wake)->told = true;
    swapped(of_wake(wake));
}

static void logged(struct shard_install *install, struct err err)
{
    say(install, err, logged_loop);
}

static void done_loop(struct wake *wake)
{
    of_wake(wake)->told = true;
    settle_end(of_wake(wake));
}

static void done(struct shard_install *install, struct err err) { say(install, err, done_loop); }

static void swap_run(struct crew_job *job)
{
    store_incoming_swap(node_of(of_job(job)), &of_job(job)->install);
}

static void swap_done(struct crew_job *job)
{
    struct fetch *fetch = of_job(job);
    bool undone = fetch->told && fetch->said.code == ERR_CANCELLED;
    fetch->at_work = false;
    if (undone) settle_end(fetch);
    else swapped(fetch);
}

/* From begun(OK) on the shard has no rows: whatever happens, it is given some. */
static void swap_again(void *holder)
{
    if (fetch_work(holder, swap_run, swap_done).code != ERR_OK)
        fetch_pause(holder, swap_again);
}

/* ---- may it? */

static void ask(void *holder);

static void begun_loop(struct wake *wake)
{
    struct fetch *fetch = of_wake(wake);
    bool again = fetch->said.code == ERR_BUSY && ++fetch->asks < CHECKPOINT_ASKS_MAX &&
                 !fetch->fetcher->closing;
    if (fetch->said.code == ERR_OK) swap_again(fetch);
    else if (again) fetch_wait(fetch, CHECKPOINT_ASK_MS, ask);
    else drop(fetch, fetch->said);
}

static void begun(struct shard_install *install, struct err err) { say(install, err, begun_loop); }

static void ask(void *holder)
{
    struct fetch *fetch = holder;
    fetch->install.shard = fetch->shard;
    fetch->install.begun = begun;
    fetch->install.logged = logged;
    fetch->install.done = done;
    struct err err = fetch->fetcher->closing ? err_make(ERR_CANCELLED, "checkpoint")
                                             : shard_install_begin(&fetch->install);
    if (err.code != ERR_OK) drop(fetch, err);
}

/* ---- is it one? */

static void look_run(struct crew_job *job)
{
    struct fetch *fetch = of_job(job);
    const struct checkpoint_take *take = fetch->take;
    struct err err = checkpoint_files_close(&fetch->open);
    if (err.code == ERR_OK)
        err = checkpoint_files_whole(fetch->path, take->files, take->files_count);
    if (err.code == ERR_OK)
        err = store_incoming_check(node_of(fetch), fetch->number, &fetch->install.epoch,
                                   &fetch->install.index);
    fetch->err = err;
}

static void look_done(struct crew_job *job)
{
    struct fetch *fetch = of_job(job);
    fetch->at_work = false;
    if (fetch->err.code == ERR_OK) ask(fetch);
    else if (fetch->err.code == ERR_CORRUPT) fetch_anew(fetch, fetch->err);
    else fetch_end(fetch, fetch->err);
}

void fetch_look(struct fetch *fetch)
{
    struct err err = fetch_work(fetch, look_run, look_done);
    if (err.code != ERR_OK) fetch_end(fetch, err);
}
