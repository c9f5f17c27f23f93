/* shard_worker.h: a thread that does the work of some shards, one job after the other. */
#ifndef MAIL_SHARD_WORKER_H
#define MAIL_SHARD_WORKER_H

#include "err.h"
#include "shard.h"

#ifdef __cplusplus
extern "C" {
#endif

MUST_USE struct err shard_worker_new(unsigned number, struct shard_worker **ret);
/* Does what was posted, then ends. Takes NULL. */
void shard_worker_free(struct shard_worker *worker);
/* ERR_BUSY: SHARD_JOBS_MAX jobs wait; `must` jobs (our own, bounded elsewhere) are always taken. */
MUST_USE struct err shard_worker_post(struct shard_worker *worker, struct shard_job *job,
                                      bool must);

#ifdef __cplusplus
}
#endif
#endif
