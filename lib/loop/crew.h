/* crew.h: threads for work that may block, with a bounded queue.
 *
 * Each kind of work has a crew of its own (the log of a disk, RocksDB, password hashes), so that
 * none waits behind another; libuv's pool is not used. */
#ifndef MAIL_CREW_H
#define MAIL_CREW_H

#include "err.h"
#include "wake.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CREW_THREADS_MAX = 64, CREW_NAME_MAX_BYTES = 15 };

struct crew;

/* Stands in its owner. The caller sets the last three fields; the rest is the crew's while the
 * job is under way. */
struct crew_job {
    struct wake wake;
    struct crew_job *next;
    void (*run)(struct crew_job *);  /* on a thread of the crew; may block */
    void (*done)(struct crew_job *); /* afterwards on `loop`; may free the job */
    struct loop *loop;               /* the loop of the thread that calls crew_run() */
};

/* `name` is what the threads are called. At most `queue_max` jobs wait. ERR_NOMEM. */
MUST_USE struct err crew_new(const char *name, unsigned threads, unsigned queue_max,
                             struct crew **ret);

/* Leads to run, then to done, each once. ERR_BUSY: `queue_max` jobs wait; nothing is called. */
MUST_USE struct err crew_run(struct crew *crew, struct crew_job *job);

/* Waits for all jobs to have run and for the threads to end. Their done() calls still come if
 * the loop turns. Takes NULL. */
void crew_free(struct crew *crew);

#ifdef __cplusplus
}
#endif
#endif
